/** The frame of the page: its name, the three views, and on what it computes. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { View } from "../address.ts";
import type { Page, State } from "../state.ts";
import { Ask } from "./ask.tsx";
import { Own } from "./own.tsx";
import { Train } from "./train.tsx";

const VIEWS: readonly (readonly [View, string])[] = [
  ["ask", "Ask"],
  ["train", "Train"],
  ["own", "Bring your own"],
];

const LABELS: ReadonlyMap<View, string> = new Map(VIEWS);

/** The state of the page; the component is drawn again when it changes, at most once a frame. */
function usePage(page: Page): State {
  const [state, set] = useState(page.state);
  useEffect(() => {
    let frame = 0;
    const draw = () => {
      frame = 0;
      set(page.state);
    };
    const stop = page.listen(() => {
      if (frame === 0) frame = requestAnimationFrame(draw);
    });
    draw();
    return () => {
      stop();
      cancelAnimationFrame(frame);
    };
  }, [page]);
  return state;
}

/** The whole page. */
export function App({ page }: { readonly page: Page }) {
  const state = usePage(page);
  const { view, opened, lost } = state;
  const heading = useRef<HTMLElement>(null);
  const shown = useRef(view);
  useEffect(() => {
    document.title = `${LABELS.get(view)} · PromptGen, word by word`;
    if (shown.current === view) return;
    shown.current = view;
    heading.current?.focus(); // who hears the page is told where it went
  }, [view]);
  const trouble = opened.kind === "error" ? opened.error : lost;
  return (
    <>
      <button type="button" class="skip" onClick={() => heading.current?.focus()}>
        To the contents
      </button>
      <header class="top">
        <p class="name">
          <span class="mark" aria-hidden="true" />
          PromptGen
        </p>
        <nav aria-label="Views">
          {VIEWS.map(([name, label]) => (
            <a
              key={name}
              href={`#${name}`}
              aria-current={name === view ? "page" : undefined}
              onClick={(event) => {
                event.preventDefault();
                if (name !== view) history.pushState(null, "", `#${name}`);
                page.set({ view: name });
              }}
            >
              {label}
              {name === "train" && state.training?.state === "running" ? (
                <span class="live" title="a training runs" />
              ) : undefined}
            </a>
          ))}
        </nav>
        <p class="device" title={opened.kind === "there" ? opened.value.device : undefined}>
          {deviceLine(state)}
        </p>
      </header>
      {trouble === "" ? undefined : (
        <p class="trouble" role="alert">
          {trouble}
          {opened.kind === "error" && !page.onCPU ? (
            <>
              {" "}
              <a href="?#ask?device=cpu">Try it on the CPU</a>
            </>
          ) : undefined}
        </p>
      )}
      <main id="main" tabIndex={-1} ref={heading}>
        {view === "ask" ? <Ask page={page} state={state} /> : undefined}
        {view === "train" ? <Train page={page} state={state} /> : undefined}
        {view === "own" ? <Own page={page} state={state} /> : undefined}
      </main>
      <footer>
        <p>
          After Zhang et al.,{" "}
          <cite>PromptGen: Automatically Generate Prompts using Generative Models</cite>, Findings
          of NAACL 2022. Everything is computed on this machine; nothing that you type leaves it.
          The models here are tiny and know a small world of a thousand facts.
        </p>
      </footer>
    </>
  );
}

/** On what the page computes, shortly. */
function deviceLine({ opened }: State): string {
  if (opened.kind !== "there") return opened.kind === "error" ? "" : "opening …";
  const { device, isolated } = opened.value;
  const short = device.replace(/ \(.*$/, "");
  return isolated || !device.startsWith("CPU") ? short : `${short}; reload for all cores`;
}
