/** What a training takes, before it is spent. */
import type { Cost } from "../protocol.ts";
import type { Loaded } from "../state.ts";
import { bytes, duration } from "../words.ts";

/** Bytes to fetch, memory and time, or why they cannot be told. */
export function Costs({ cost }: { readonly cost: Loaded<Cost> }) {
  if (cost.kind === "error") {
    return (
      <p class="trouble" role="alert">
        {cost.error}
      </p>
    );
  }
  if (cost.kind !== "there") return null;
  const { download, memory, limit, steps, seconds, gigaflops, remarks } = cost.value;
  const share = Math.min(1, memory / limit);
  return (
    <div class="costs" role="status">
      <dl>
        <div>
          <dt>to fetch</dt>
          <dd>{download === 0 ? "nothing" : bytes(download)}</dd>
        </div>
        <div>
          <dt>memory</dt>
          <dd>
            {bytes(memory)} <small>of {bytes(limit)}</small>
            <span class={memory > limit ? "gauge over" : "gauge"} aria-hidden="true">
              <span style={{ width: `${100 * share}%` }} />
            </span>
          </dd>
        </div>
        <div>
          <dt>time</dt>
          <dd>
            about {duration(seconds)}{" "}
            <small>
              {steps} steps at {gigaflops.toFixed(0)} GFLOP/s, measured here
            </small>
          </dd>
        </div>
      </dl>
      {memory > limit ? (
        <p class="trouble">
          That is more than a page can have. Choose smaller models, or train on the command line:
          npx promptgen train --help
        </p>
      ) : undefined}
      {remarks.map((remark) => (
        <p key={remark} class="note">
          {remark}
        </p>
      ))}
    </div>
  );
}
