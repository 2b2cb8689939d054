/** Train: PromptGen from its start, with curves and prompts that change as it learns. */
import { useState } from "preact/hooks";
import { ALPHA, SEED } from "../address.ts";
import type { TrainingShown } from "../protocol.ts";
import type { Page, State, WatchedPrompt } from "../state.ts";
import { changedWords, duration, namesAnswer, percent } from "../words.ts";
import { Chart, type Curve } from "./chart.tsx";
import { Sentence } from "./parts.tsx";

/** Steps of a training in the embedded world. */
const WORLD_STEPS = 240;

type Props = { readonly page: Page; readonly state: State };

/** The second view. */
export function Train({ page, state }: Props) {
  const { training } = state;
  return (
    <>
      <div class="lead">
        <h1>Watch the writer learn what to ask.</h1>
        <p>
          <em class="writer">BART</em> is trained through <em class="reader">BERT</em>, whose
          weights stay as they are: a prompt is good when it makes the right answer probable, and
          bad when it would have got that answer about nobody.
        </p>
      </div>
      <Controls page={page} state={state} />
      <p class="hidden" role="status">
        {training ? spoken(training) : ""}
      </p>
      <Curves state={state} />
      <Prompts state={state} />
    </>
  );
}

const spoken = ({ state, message }: TrainingShown): string => {
  const said = {
    none: "",
    starting: "The training starts.",
    running: "The training runs.",
    pausing: "The training is stopping.",
    paused: "The training is paused.",
    done: "The training has ended.",
    failed: `The training failed: ${message}`,
  };
  return said[state];
};

function Controls({ page, state }: Props) {
  const { training, opened, progress } = state;
  const isOpen = opened.kind === "there" && training !== undefined;
  const stand = training?.state ?? "none";
  const isRunning = stand === "running" || stand === "starting" || stand === "pausing";
  const isNew = stand === "none" || stand === "failed" || stand === "done";
  return (
    <section class="controls" aria-label="Training">
      <div class="buttons">
        {isRunning ? (
          <button
            type="button"
            class="main"
            disabled={stand !== "running"}
            onClick={() => page.pause()}
          >
            {stand === "pausing" ? "Pausing …" : stand === "starting" ? "Starting …" : "Pause"}
          </button>
        ) : (
          <button
            type="button"
            class="main"
            disabled={!isOpen}
            onClick={() => (isNew ? page.train(training?.kind ?? "world") : page.resume())}
          >
            {isNew ? (stand === "none" ? "Train" : "Train again") : "Go on"}
          </button>
        )}
        <button
          type="button"
          disabled={!isOpen || stand !== "paused"}
          onClick={() => page.resume(true)}
        >
          One step
        </button>
        <button
          type="button"
          disabled={!isOpen || isRunning || stand === "none"}
          onClick={() => page.forget()}
        >
          Start over
        </button>
      </div>
      <Alpha page={page} state={state} />
      <label class="field seed">
        <span>Seed</span>
        <input
          type="number"
          min={SEED.least}
          max={SEED.most}
          value={state.seed}
          disabled={stand !== "none"}
          onChange={({ currentTarget }) => {
            const seed = Math.round(Number(currentTarget.value));
            const fits = seed >= SEED.least && seed <= SEED.most;
            if (fits) page.set({ seed });
            else currentTarget.value = String(state.seed);
          }}
        />
      </label>
      <div class="stand">
        <progress
          aria-label="Steps"
          max={Math.max(training?.steps ?? 0, 1)}
          value={training?.step ?? 0}
        />
        <p class="note">{standLine(training, progress)}</p>
      </div>
      {training && training.message !== "" ? (
        <p class="trouble" role="alert">
          {training.message}
        </p>
      ) : undefined}
    </section>
  );
}

/** How far it is, in a line. */
function standLine(training: TrainingShown | undefined, progress: State["progress"]): string {
  if (!training || training.state === "none")
    return `${WORLD_STEPS} steps, about a minute on two cores. What is learned is kept in this browser.`;
  const { step, steps, left, best, state, kept } = training;
  const parts = [steps === 0 ? `step ${step}` : `step ${step} of ${steps}`];
  if (state === "running" && left !== undefined) parts.push(`${duration(left)} left`);
  if (progress !== undefined && state !== "paused")
    parts.push(`asking ${progress.what} ${progress.done} of ${progress.all}`);
  if (best !== undefined) parts.push(`best ${best.accuracy.toFixed(1)} % at step ${best.step}`);
  if (state === "paused")
    parts.push(
      kept
        ? "kept in this browser: come back any time"
        : "not kept, for another page of it trains or it allows no files",
    );
  return parts.join(" · ");
}

function Alpha({ page, state }: Props) {
  const { alpha, training } = state;
  const [draft, setDraft] = useState<number>();
  const shown = draft ?? alpha;
  const isBusy = training?.state === "starting" || training?.state === "pausing";
  return (
    <div class="alpha">
      <label for="alpha">
        alpha <output for="alpha">{shown.toFixed(2)}</output>
      </label>
      <input
        id="alpha"
        type="range"
        min={ALPHA.least}
        max={ALPHA.most}
        step={0.05}
        value={shown}
        disabled={isBusy}
        aria-describedby="alpha-note"
        onInput={({ currentTarget: { value } }) => setDraft(Number(value))}
        onChange={({ currentTarget: { value } }) => {
          setDraft(undefined);
          page.setAlpha(Number(value));
        }}
      />
      <p class="note" id="alpha-note">
        How much an answer is punished that needs no subject: loss = −log P(object | subject) +
        alpha · log P(object | None).
      </p>
    </div>
  );
}

function Curves({ state: { series, evaluations, training } }: { readonly state: State }) {
  const last = training?.steps || WORLD_STEPS;
  const of = (column: readonly number[]): Curve["points"] =>
    column.map((value, i) => [series.steps[i], value] as const);
  const rows = (name: "devAccuracy" | "devNone"): Curve["points"] =>
    evaluations.map((row) => [row.step, row[name]] as const);
  return (
    <section class="charts" aria-label="Curves">
      <Chart
        title="Right on the dev facts"
        unit=" %"
        range={[0, 100]}
        last={last}
        curves={[
          { name: "with the subject", ink: "reader", points: rows("devAccuracy"), dots: true },
          { name: "with “None”", ink: "quiet", points: rows("devNone"), dots: true },
        ]}
      />
      <Chart
        title="The two terms of the loss"
        range={[-12, 5]}
        last={last}
        curves={[
          { name: "−log P(object | subject)", ink: "reader", points: of(series.object) },
          { name: "log P(object | None)", ink: "quiet", points: of(series.none) },
        ]}
      />
      <Chart
        title="How open the writer’s choices are"
        range={[0, 1.5]}
        last={last}
        curves={[
          { name: "entropy, nats", ink: "writer", points: of(series.entropy) },
          { name: "probability of the top word", ink: "quiet", points: of(series.topProbability) },
        ]}
      />
    </section>
  );
}

function Prompts({ state }: { readonly state: State }) {
  const { step, rows } = state.prompts;
  return (
    <section class="band prompts" aria-labelledby="prompts">
      <h2 id="prompts">What it writes{rows.length === 0 ? "" : `, at step ${step}`}</h2>
      {rows.length === 0 ? (
        <p class="note">
          Prompts of five facts that it does not learn from appear here; words that changed are
          marked.
        </p>
      ) : (
        <ul class="watched">
          {rows.map((row) => (
            <Watched key={`${row.relation} ${row.subject}`} row={row} />
          ))}
        </ul>
      )}
    </section>
  );
}

function Watched({ row }: { readonly row: WatchedPrompt }) {
  const { prompt, before, subject, object, answer, none, right } = row;
  return (
    <li>
      <Sentence
        prompt={prompt}
        subject={subject}
        mask={answer.word}
        changed={changedWords(before, prompt)}
      />
      <p class="note">
        <span class={right ? "tick" : "cross"}>{right ? "right" : `wrong, it is ${object}`}</span>
        {namesAnswer(prompt, answer.word) ? " · the prompt names its answer" : ""}
        {` · ${answer.word} ${percent(answer.probability)} · about nobody: ${none.word} ${percent(none.probability)}`}
      </p>
    </li>
  );
}
