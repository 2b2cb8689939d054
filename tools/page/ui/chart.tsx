/** A drawing of curves over steps, as SVG of its own: few marks, one scale, a table's worth of figures in its description. */
import { useEffect, useRef, useState } from "preact/hooks";

/** One curve. */
export type Curve = {
  readonly name: string;
  /** Of the style: writer, reader or quiet. */
  readonly ink: "writer" | "reader" | "quiet";
  readonly points: readonly (readonly [step: number, value: number])[];
  /** Each point has a dot. */
  readonly dots?: boolean;
};

/** More points than this are drawn as means of neighbours. */
const MOST = 300;

/** Fewer points of the same shape. */
export function thinned(points: Curve["points"], most = MOST): Curve["points"] {
  if (points.length <= most) return points;
  const size = Math.ceil(points.length / most);
  return Array.from({ length: Math.ceil(points.length / size) }, (_, i) => {
    const own = points.slice(i * size, (i + 1) * size);
    const mean = own.reduce((sum, [, value]) => sum + value, 0) / own.length;
    return [own[own.length - 1][0], mean] as const;
  });
}

/** Round numbers within a range. */
export function ticks(low: number, high: number, count = 3): number[] {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((size) => size >= rough) ?? rough;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.floor((high - first) / step + 1e-9) + 1 }, (_, i) =>
    Number((first + i * step).toPrecision(6)),
  );
}

/** The width of an element, as it changes. */
function useWidth() {
  const ref = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(320);
  useEffect(() => {
    const element = ref.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(([{ contentRect }]) =>
      setWidth(Math.max(200, contentRect.width)),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return { ref, width };
}

const HEIGHT = 150;
const MARGIN = { left: 34, right: 8, top: 8, bottom: 20 };

/** Curves that share their axes. */
export function Chart({
  title,
  curves,
  range,
  last,
  unit = "",
}: {
  readonly title: string;
  readonly curves: readonly Curve[];
  /** The values that are always in view. */
  readonly range: readonly [low: number, high: number];
  /** The last step that there will be. */
  readonly last: number;
  readonly unit?: string;
}) {
  const { ref, width } = useWidth();
  const drawn = curves.map((curve) => ({ ...curve, points: thinned(curve.points) }));
  const values = drawn
    .flatMap(({ points }) => points.map(([, value]) => value))
    .filter(Number.isFinite);
  const low = Math.min(range[0], ...values);
  const high = Math.max(range[1], ...values);
  const end = Math.max(last, 1, ...drawn.map(({ points }) => points.at(-1)?.[0] ?? 0));
  const x = (step: number) => MARGIN.left + (step / end) * (width - MARGIN.left - MARGIN.right);
  const y = (value: number) =>
    MARGIN.top + ((high - value) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const path = (points: Curve["points"]) =>
    points
      .filter(([, value]) => Number.isFinite(value))
      .map(
        ([step, value], i) => `${i === 0 ? "M" : "L"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`,
      )
      .join("");
  const said = curves
    .map(({ name, points }) => {
      const value = points.at(-1)?.[1];
      return `${name} ${value === undefined ? "not yet known" : `${value.toFixed(2)}${unit}`}`;
    })
    .join(", ");
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <ul class="legend">
          {drawn.map(({ name, ink, points }) => (
            <li key={name} class={ink}>
              {name}{" "}
              <span class="share">
                {points.length === 0
                  ? ""
                  : `${(points.at(-1)?.[1] ?? 0).toFixed(unit === "" ? 2 : 0)}${unit}`}
              </span>
            </li>
          ))}
        </ul>
      </figcaption>
      <div ref={ref}>
        <svg
          width={width}
          height={HEIGHT}
          viewBox={`0 0 ${width} ${HEIGHT}`}
          role="img"
          aria-label={`${title}: ${said}`}
        >
          {ticks(low, high).map((tick) => (
            <g key={tick} class="tick">
              <line x1={MARGIN.left} x2={width - MARGIN.right} y1={y(tick)} y2={y(tick)} />
              <text x={MARGIN.left - 6} y={y(tick)} dy="0.32em" text-anchor="end">
                {tick}
              </text>
            </g>
          ))}
          {ticks(0, end, width > 400 ? 5 : 3).map((tick) => (
            <text key={tick} class="below" x={x(tick)} y={HEIGHT - 4} text-anchor="middle">
              {tick}
            </text>
          ))}
          {drawn.map(({ name, ink, points, dots }) => (
            <g key={name} class={`curve ${ink}`}>
              <path d={path(points)} />
              {(dots ? points : points.slice(-1)).map(([step, value]) =>
                Number.isFinite(value) ? (
                  <circle key={step} cx={x(step)} cy={y(value)} r={dots ? 2.5 : 3.5} />
                ) : undefined,
              )}
            </g>
          ))}
        </svg>
      </div>
    </figure>
  );
}
