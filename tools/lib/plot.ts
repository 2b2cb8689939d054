/** A line plot as an SVG file: no library, a hundred lines of text that any browser shows. */

/** One line of the plot. */
export type Curve = {
  readonly label: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
};

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 56;
const RIGHT = 16;
const TOP = 36;
const BOTTOM = 48;

/** Round numbers, about `count` of them, that cover 0 to `most`. */
function ticks(most: number, count: number): number[] {
  const rough = most / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((f) => f * power >= rough) ?? 10) * power;
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, i) => i * step);
}

const text = (x: number, y: number, anchor: string, content: string, extra = ""): string =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}"${extra}>${content}</text>`;

/** Both axes begin at 0. */
export function linePlot(
  title: string,
  xName: string,
  yName: string,
  curves: readonly Curve[],
): string {
  const all = curves.flatMap(({ points }) => points);
  const xMost = Math.max(...all.map(([x]) => x));
  const yMost = Math.max(...all.map(([, y]) => y));
  const px = (x: number): number => LEFT + (x / xMost) * (WIDTH - LEFT - RIGHT);
  const py = (y: number): number => HEIGHT - BOTTOM - (y / yMost) * (HEIGHT - TOP - BOTTOM);
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(WIDTH / 2, 20, "middle", title, ' font-size="15"'),
  ];
  for (const y of ticks(yMost, 6)) {
    lines.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${py(y).toFixed(1)}" y2="${py(y).toFixed(1)}" stroke="#ddd"/>`,
      text(LEFT - 6, py(y) + 4, "end", String(Number(y.toPrecision(3)))),
    );
  }
  for (const x of ticks(xMost, 8))
    lines.push(text(px(x), HEIGHT - BOTTOM + 16, "middle", String(x)));
  lines.push(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 10, "middle", xName));
  lines.push(text(14, HEIGHT / 2, "middle", yName, ` transform="rotate(-90 14 ${HEIGHT / 2})"`));
  curves.forEach(({ label, color, points }, i) => {
    const path = points.map(([x, y]) => `${px(x).toFixed(1)},${py(y).toFixed(1)}`).join(" ");
    lines.push(
      `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/>`,
      text(WIDTH - RIGHT - 8, TOP + 16 * (i + 1), "end", label, ` style="fill:${color}"`),
    );
  });
  return `${lines.join("\n")}\n</svg>\n`;
}
