/** Bring your own: facts, a writer and a reader; what they take is said before it is spent. */
import { useState } from "preact/hooks";
import { LONGEST_TEXT } from "../facts-text.ts";
import type { Cost, FactsShown, ModelSource, OwnFacts } from "../protocol.ts";
import type { Loaded, Page, State } from "../state.ts";
import { NONE, WAITING } from "../state.ts";
import { bytes } from "../words.ts";
import { Costs } from "./costs.tsx";
import { Field } from "./parts.tsx";

type Props = { readonly page: Page; readonly state: State };

const PLACEHOLDER = `relation, subject, object
capital, Peru, Lima
capital, Kenya, Nairobi
capital, Norway, Oslo`;

/** Relations of the embedded world that make an example, and facts of each. */
const EXAMPLE = ["P36", "P38"];
const EXAMPLE_FACTS = 30;

/** Facts of the embedded world, as a visitor would write them. */
function exampleOf({ opened }: State): string {
  const relations = opened.kind === "there" ? opened.value.relations : [];
  const lines = relations
    .filter(({ id }) => EXAMPLE.includes(id))
    .flatMap(({ label, template, facts }) =>
      facts
        .slice(0, EXAMPLE_FACTS)
        .map(({ subject, object }) => [label, template, subject, object].join("\t")),
    );
  return ["relation\ttemplate\tsubject\tobject", ...lines].join("\n");
}

const sentence = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The third view. */
export function Own({ page, state }: Props) {
  const [facts, setFacts] = useState<OwnFacts>({ text: "", template: "[X] has [Y] ." });
  const [read, setRead] = useState<Loaded<FactsShown>>(NONE);
  const [generator, setGenerator] = useState<ModelSource>({ from: "world" });
  const [reader, setReader] = useState<ModelSource>({ from: "world" });
  const [cost, setCost] = useState<Loaded<Cost>>(NONE);
  const [ready, setReady] = useState<Loaded<Cost>>(NONE);
  const change = (own: OwnFacts) => {
    setFacts(own);
    setCost(NONE);
    setReady(NONE);
    if (own.text.trim() === "") setRead(NONE);
    else {
      page.client.ask("facts", own).then(
        (value) => setRead({ kind: "there", value }),
        (error) => setRead({ kind: "error", error: sentence(error) }),
      );
    }
  };
  const wanted = { facts, generator, reader, seed: state.seed };
  const request = (kind: "cost" | "prepare", set: (value: Loaded<Cost>) => void) => {
    set(WAITING);
    page.client.ask(kind, wanted).then(
      (value) => set({ kind: "there", value }),
      (error) => set({ kind: "error", error: sentence(error) }),
    );
  };
  const canAsk = read.kind === "there" && read.value.facts > 0;
  const source = (set: (value: ModelSource) => void) => (value: ModelSource) => {
    set(value);
    setCost(NONE);
    setReady(NONE);
  };
  const fits = cost.kind === "there" && cost.value.memory <= cost.value.limit;
  const train = async () => {
    page.set({ view: "train" });
    await page.train("own");
  };
  return (
    <>
      <div class="lead">
        <h1>Your facts, your models.</h1>
        <p>
          Facts stay on this machine. A model from the Hub is fetched from huggingface.co and from
          nowhere else, after its size was said here.
        </p>
      </div>
      <ol class="steps">
        <li>
          <h2>Facts</h2>
          <FactsField facts={facts} change={change} example={exampleOf(state)} />
          <FactsRead read={read} />
        </li>
        <li>
          <h2>Models</h2>
          <div class="columns">
            <Model
              title="Who writes"
              ink="writer"
              example="facebook/bart-base"
              source={generator}
              set={source(setGenerator)}
            />
            <Model
              title="Who answers"
              ink="reader"
              example="google-bert/bert-base-cased"
              source={reader}
              set={source(setReader)}
            />
          </div>
        </li>
        <li>
          <h2>What it takes</h2>
          <div class="buttons">
            <button
              type="button"
              disabled={!canAsk || cost.kind === "waiting"}
              onClick={() => request("cost", setCost)}
            >
              {cost.kind === "waiting" ? "Working it out …" : "Work it out"}
            </button>
          </div>
          <Costs cost={cost} />
          {fits ? (
            <div class="buttons">
              {ready.kind === "there" ? (
                <button type="button" class="main" onClick={train}>
                  Train with these
                </button>
              ) : (
                <button
                  type="button"
                  class="main"
                  disabled={ready.kind === "waiting"}
                  onClick={() => request("prepare", setReady)}
                >
                  {ready.kind === "waiting" ? "Fetching and reading …" : "Fetch and open"}
                </button>
              )}
            </div>
          ) : undefined}
          {ready.kind === "waiting" && state.progress ? (
            <p class="note" role="status">
              {state.progress.what} {bytes(state.progress.done)} of {bytes(state.progress.all)}
            </p>
          ) : undefined}
          {ready.kind === "there" ? <Costs cost={ready} /> : undefined}
          {ready.kind === "error" ? (
            <p class="trouble" role="alert">
              {ready.error}
            </p>
          ) : undefined}
        </li>
      </ol>
    </>
  );
}

function FactsField({
  facts,
  change,
  example,
}: {
  readonly facts: OwnFacts;
  change(facts: OwnFacts): void;
  readonly example: string;
}) {
  const [over, setOver] = useState(false);
  const take = async (list: FileList | null | undefined) => {
    const [file] = list ?? [];
    // one character more than may be, so that what is too long is told
    if (file) change({ ...facts, text: await file.slice(0, LONGEST_TEXT + 1).text() });
  };
  return (
    <div class="facts">
      <label class="field wide">
        <span>Paste them, or drop a file here</span>
        <textarea
          class={over ? "over" : undefined}
          rows={8}
          value={facts.text}
          placeholder={PLACEHOLDER}
          spellcheck={false}
          onInput={({ currentTarget: { value } }) => change({ ...facts, text: value })}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={(event) => {
            event.preventDefault();
            setOver(false);
            take(event.dataTransfer?.files);
          }}
        />
      </label>
      <div class="buttons">
        <button type="button" onClick={() => change({ ...facts, text: example })}>
          Put in an example
        </button>
        <label class="file">
          Choose a file
          <input
            type="file"
            accept=".csv,.tsv,.txt,.jsonl,.json"
            onChange={({ currentTarget }) => take(currentTarget.files)}
          />
        </label>
      </div>
      <Field label="Template, for facts without one: [X] the subject, [Y] the object" wide>
        {(id) => (
          <input
            id={id}
            value={facts.template}
            onInput={({ currentTarget: { value } }) => change({ ...facts, template: value })}
          />
        )}
      </Field>
      <p class="note">
        A line a fact: subject and object, or relation, subject and object, divided by tabs or
        commas; or JSON lines with "subject", "object" and, as you like, "relation" and "template".
      </p>
    </div>
  );
}

function FactsRead({ read }: { readonly read: Loaded<FactsShown> }) {
  if (read.kind === "error") {
    return (
      <p class="trouble" role="alert">
        {read.error}
      </p>
    );
  }
  if (read.kind !== "there") return null;
  const { relations, facts, problems } = read.value;
  return (
    <div role="status">
      <p>
        {facts} {facts === 1 ? "fact" : "facts"} in {relations.length}{" "}
        {relations.length === 1 ? "relation" : "relations"}.
      </p>
      {problems.length === 0 ? undefined : (
        <ul class="problems">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      {relations.length === 0 ? undefined : (
        <div class="scroll">
          <table>
            <thead>
              <tr>
                <th scope="col">Relation</th>
                <th scope="col">Template</th>
                <th scope="col">to train</th>
                <th scope="col">dev</th>
                <th scope="col">test</th>
              </tr>
            </thead>
            <tbody>
              {relations.map(({ id, template, train, dev, test }) => (
                <tr key={id}>
                  <th scope="row">{id}</th>
                  <td class="prompt">{template}</td>
                  <td>{train}</td>
                  <td>{dev}</td>
                  <td>{test}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </div>
  );
}

function Model({
  title,
  ink,
  example,
  source,
  set,
}: {
  readonly title: string;
  readonly ink: "writer" | "reader";
  readonly example: string;
  readonly source: ModelSource;
  set(source: ModelSource): void;
}) {
  const choose = (from: ModelSource["from"]) => {
    if (from === "world") set({ from });
    else set(from === "hub" ? { from, name: example } : { from, files: [] });
  };
  const choices = [
    ["world", "the tiny one of this page"],
    ["hub", "from the Hub"],
    ["files", "from this machine"],
  ] as const;
  return (
    <fieldset class={`column ${ink}`}>
      <legend>{title}</legend>
      {choices.map(([from, label]) => (
        <label key={from} class="choice">
          <input
            type="radio"
            name={title}
            checked={source.from === from}
            onChange={() => choose(from)}
          />{" "}
          {label}
        </label>
      ))}
      {source.from === "hub" ? (
        <Field label="Name on the Hub" wide>
          {(id) => (
            <input
              id={id}
              value={source.name}
              spellcheck={false}
              autocapitalize="off"
              onInput={({ currentTarget: { value } }) => set({ from: "hub", name: value })}
            />
          )}
        </Field>
      ) : undefined}
      {source.from === "files" ? (
        <Field label="config.json, tokenizer.json, model.safetensors" wide>
          {(id) => (
            <input
              id={id}
              type="file"
              multiple
              onChange={({ currentTarget: { files } }) =>
                set({ from: "files", files: [...(files ?? [])] })
              }
            />
          )}
        </Field>
      ) : undefined}
    </fieldset>
  );
}
