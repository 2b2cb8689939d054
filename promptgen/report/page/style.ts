/** The page's style: one for light and dark, screens of any width, and print. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#fdfcf9, #17181b);
  --raised: light-dark(#f5f2ec, #1f2125);
  --ink: light-dark(#1d1c1a, #e6e3dd);
  --muted: light-dark(#655f57, #a39e95);
  --rule: light-dark(#e2ddd3, #33363b);
  --band: light-dark(#e0dacd, #3a3d43);
  --accent: light-dark(#1f5c99, #86b8ee);
  --second: light-dark(#b0521c, #eda267);
  --good: light-dark(#1d6b42, #78c79b);
  --c0: light-dark(#1f5c99, #86b8ee);
  --c1: light-dark(#b0521c, #eda267);
  --c2: light-dark(#1d6b42, #78c79b);
  --c3: light-dark(#8b3a76, #dd9fcd);
  --c4: light-dark(#7a6410, #d6bf62);
  --c5: light-dark(#127078, #6cc8cf);
  --c6: light-dark(#a3323a, #f09393);
  --c7: light-dark(#5a51a8, #b1aaf2);
  --serif: Charter, "Bitstream Charter", "Iowan Old Style", "Source Serif 4", Cambria, Georgia, serif;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, "Liberation Mono", monospace;
}
:root[data-theme="light"] { color-scheme: light; }
:root[data-theme="dark"] { color-scheme: dark; }
* { box-sizing: border-box; }
html { scroll-padding-top: 3.5rem; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 1.0625rem/1.6 var(--serif); }
header.top, main, footer { max-width: 70rem; margin-inline: auto; padding-inline: clamp(1rem, 4vw, 2.5rem); }
header.top { padding-top: clamp(2rem, 6vw, 4rem); }
h1, h2, h3 { line-height: 1.2; font-weight: 600; text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.9rem, 1.4rem + 2vw, 2.7rem); margin: 0 0 0.5rem; letter-spacing: -0.015em; }
h2 { font-size: 1.55rem; margin: 0 0 0.75rem; letter-spacing: -0.01em; }
h3 { font-size: 1.1rem; margin: 2rem 0 0.5rem; }
p { margin: 0 0 0.75rem; max-width: 44rem; }
.lead { color: var(--muted); max-width: none; text-wrap: pretty; }
.fine { font: 0.85rem/1.5 var(--sans); color: var(--muted); }
section { padding-block: 2.5rem 1rem; }
section + section { border-top: 1px solid var(--rule); }
a { color: var(--accent); text-underline-offset: 0.18em; text-decoration-thickness: 1px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: 0.5rem 1rem; z-index: 3; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
nav { position: sticky; top: 0; z-index: 2; background: var(--paper); border-bottom: 1px solid var(--rule); }
nav > div { max-width: 70rem; margin-inline: auto; padding: 0.3rem clamp(1rem, 4vw, 2.5rem); display: flex; align-items: center; gap: 1rem; }
nav ul { display: flex; gap: 0.2rem 1.1rem; list-style: none; margin: 0; padding: 0.25rem 0; overflow-x: auto; scrollbar-width: none; font: 0.875rem/1.6 var(--sans); flex: 1; }
nav li { white-space: nowrap; }
nav a { color: var(--muted); text-decoration: none; display: inline-block; padding: 0.2rem 0; }
nav a:hover { color: var(--ink); text-decoration: underline; }
button, select, input { font: 0.9rem/1.4 var(--sans); color: var(--ink); background: var(--raised); border: 1px solid color-mix(in srgb, var(--muted) 55%, transparent); border-radius: 4px; padding: 0.4rem 0.7rem; min-height: 2.25rem; max-width: 100%; }
button { cursor: pointer; }
button:disabled { color: var(--muted); cursor: default; opacity: 0.75; }
#theme { min-height: 1.9rem; padding: 0.15rem 0.7rem; font-size: 0.82rem; }
figure { margin: 1.5rem 0; min-width: 0; }
figcaption { font: 600 0.95rem/1.4 var(--sans); margin-bottom: 0.4rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; max-width: 100%; }
svg.plot { display: block; width: 100%; height: auto; overflow: visible; font-family: var(--sans); background: none; }
svg.plot text { white-space: pre; }
.glance { max-width: 44rem; }
.twice > :nth-child(2) { display: none; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1.5rem 2rem; align-items: start; }
.panels.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); }
.panel { margin: 0; break-inside: avoid; }
.panel > svg { max-width: 26rem; }
.small .panel figcaption { font-weight: 500; font-size: 0.85rem; color: var(--muted); display: flex; flex-wrap: wrap; gap: 0 0.8rem; }
.small .legend { margin: 0; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0.15rem 1.1rem; padding: 0; margin: 0 0 0.6rem; font: 0.82rem/1.5 var(--sans); color: var(--muted); }
.legend li { display: flex; align-items: center; gap: 0.4rem; overflow-wrap: anywhere; }
.key { flex: none; display: inline-block; }
.key.dot { width: 9px; height: 9px; border-radius: 50%; background: var(--accent); }
.key.small { width: 6px; height: 6px; border-radius: 50%; background: var(--accent); opacity: 0.5; }
.key.ring { width: 10px; height: 10px; border-radius: 50%; border: 2px solid var(--second); }
.key.tick { width: 2px; height: 12px; background: var(--accent); }
.key.line { width: 16px; height: 2px; background: var(--accent); }
.key.band { width: 16px; height: 8px; border-radius: 4px; background: var(--band); }
.key.stroke { width: 20px; border-top: 2px solid; }
.key.dashed { border-top-style: dashed; }
.key.dotted { border-top-style: dotted; }
.k0 { color: var(--c0); } .k1 { color: var(--c1); } .k2 { color: var(--c2); } .k3 { color: var(--c3); }
.k4 { color: var(--c4); } .k5 { color: var(--c5); } .k6 { color: var(--c6); } .k7 { color: var(--c7); }
table { border-collapse: collapse; font: 0.875rem/1.45 var(--sans); font-variant-numeric: tabular-nums; border-block: 1.5px solid var(--ink); }
th, td { text-align: left; vertical-align: baseline; padding: 0.3rem 0.8rem 0.3rem 0; font-weight: 400; }
th:last-child, td:last-child { padding-right: 0.2rem; }
thead th { font-weight: 600; vertical-align: bottom; }
thead tr:last-child > * { border-bottom: 1px solid var(--muted); }
tbody tr:hover > * { background: var(--raised); }
.table td.n, .table tbody th { white-space: nowrap; }
.n { text-align: right; }
td.t { min-width: 11rem; }
thead th.n { max-width: 9rem; }
.g { padding-left: 1.2rem; }
thead th.g[scope="colgroup"] { border-bottom: 1px solid var(--rule); }
tr.rule > * { border-top: 1px solid var(--muted); }
.table tbody th, .table thead tr > :first-child:not([colspan]) { position: sticky; left: 0; background: var(--paper); padding-right: 1.2rem; }
.table tbody tr:hover > th { background: var(--raised); }
.notes { margin-top: 0.6rem; }
.notes summary { font: 0.8rem/1.5 var(--sans); color: var(--muted); }
.notes p { font: 0.8rem/1.5 var(--sans); color: var(--muted); margin: 0 0 0.2rem; max-width: 56rem; overflow-wrap: anywhere; }
details > summary { cursor: pointer; padding: 0.35rem 0; }
details.more { border-top: 1px solid var(--rule); }
details.more:last-of-type { border-bottom: 1px solid var(--rule); }
details.more > summary { font: 600 0.95rem/1.5 var(--sans); overflow-wrap: anywhere; }
details.more[open] > summary { margin-bottom: 0.6rem; }
details.more > :last-child:not(summary) { margin-bottom: 1.5rem; }
small { font: 0.8rem/1.4 var(--sans); color: var(--muted); }
code { font: 0.82rem/1.5 var(--mono); overflow-wrap: anywhere; white-space: pre-wrap; }
#facts-form { display: flex; flex-wrap: wrap; gap: 0.8rem 1.2rem; margin: 1.2rem 0; }
#facts-form[hidden], #facts-pages[hidden] { display: none; }
#facts-form label { display: grid; gap: 0.2rem; font: 0.8rem/1.4 var(--sans); color: var(--muted); max-width: 100%; }
#facts-status { font: 0.875rem/1.5 var(--sans); color: var(--muted); margin: 0 0 0.4rem; }
#facts-list { list-style: none; margin: 0; padding: 0; border-block: 1px solid var(--rule); }
#facts-list > li + li { border-top: 1px solid var(--rule); }
#facts-list summary { display: grid; grid-template-columns: minmax(0, 1fr) auto auto; gap: 0 1rem; align-items: baseline; padding: 0.4rem 0.25rem; list-style: none; }
#facts-list summary::-webkit-details-marker { display: none; }
#facts-list summary:hover { background: var(--raised); }
#facts-list .fact { overflow-wrap: anywhere; }
#facts-list .fact::before { content: "\\25b8"; color: var(--muted); display: inline-block; width: 1.2em; font-size: 0.8em; }
#facts-list details[open] .fact::before { content: "\\25be"; }
#facts-list details > .scroll { padding: 0.2rem 0 1.2rem 1.2rem; }
#facts-list table { width: 100%; border-block: 0; }
#facts-list tbody tr + tr > * { border-top: 1px solid var(--rule); }
#facts-list th[scope="row"] { min-width: 10rem; }
#facts-list td code { display: block; min-width: 14rem; max-width: 34rem; }
#facts-list ol { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0 0.9rem; min-width: 11rem; }
#facts-list strong { color: var(--good); }
.strip { display: inline-flex; gap: 0.15rem; font: 0.85rem/1 var(--sans); }
.mark { display: inline-block; width: 1.1em; text-align: center; color: var(--muted); }
.mark.right { color: var(--good); }
.mark.leak { color: var(--second); }
#facts-pages { display: flex; gap: 0.6rem; margin-top: 1rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.2rem 1.2rem; font: 0.875rem/1.5 var(--sans); margin: 0 0 1.5rem; }
dt { color: var(--muted); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { padding-block: 2rem 3rem; color: var(--muted); font: 0.82rem/1.5 var(--sans); }
@media (max-width: 40rem) {
  .twice > :first-child { display: none; }
  .twice > :nth-child(2) { display: block; }
  body { font-size: 1rem; }
  #facts-list summary { grid-template-columns: minmax(0, 1fr); gap: 0.15rem; }
  #facts-list details > .scroll { padding-left: 0; }
  #facts-form label, #facts-form select, #facts-form input { width: 100%; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 0.5rem; }
  .table tbody th { max-width: 9.5rem; white-space: normal; }
}
@media print {
  :root, :root[data-theme] { color-scheme: light; --paper: #ffffff; }
  @page { margin: 14mm; }
  @page broad { size: landscape; margin: 12mm; }
  .broad { page: broad; }
  body { font-size: 10pt; background: none; }
  header.top, main, footer { max-width: none; padding-inline: 0; }
  nav, .skip, #facts-form, #facts-pages, #facts-status { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 7pt; }
  thead th { white-space: normal; }
  .table td.n, .table tbody th { position: static; white-space: normal; }
  td.t { min-width: 0; }
  th, td { padding: 0.12rem 0.45rem 0.12rem 0; }
  .broad table { font-size: 6.5pt; }
  .broad th, .broad td { padding-right: 0.3rem; }
  tr, .panel, .glance { break-inside: avoid; }
  h2, h3, figcaption { break-after: avoid; }
  section { padding-block: 1.2rem 0; }
  .panels { grid-template-columns: repeat(2, 1fr); }
  .panels.small { grid-template-columns: repeat(3, 1fr); }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
`.trim();
