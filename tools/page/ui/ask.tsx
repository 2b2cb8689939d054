/** Ask: a subject and a relation; the prompt that is written for them, what the reader answers, and how other methods ask. */
import { useEffect, useState } from "preact/hooks";
import { LONGEST_SUBJECT } from "../address.ts";
import type { Opened, Question, Weighed, Written } from "../protocol.ts";
import { completed, type Page, type State } from "../state.ts";
import { namesAnswer, percent } from "../words.ts";
import { Bars, Field } from "./parts.tsx";
import { Rivals } from "./rivals.tsx";
import { Slots } from "./slots.tsx";

type Props = { readonly page: Page; readonly state: State };

/** The first view. */
export function Ask({ page, state }: Props) {
  const { opened, written } = state;
  return (
    <>
      <div class="lead">
        <h1>One model writes the question, another answers it.</h1>
        <p>
          BERT knows facts, if it is asked well. In <em class="writer">blue</em>, BART writes a
          prompt of its own for each subject. In <em class="reader">red</em>, BERT, which is never
          trained, fills in the blank.
        </p>
      </div>
      <Questions key={opened.kind} page={page} state={state} />
      <p class="hidden" role="status">
        {written.kind === "there" ? told(written.value) : ""}
      </p>
      {written.kind === "error" ? (
        <p class="trouble" role="alert">
          {written.error}
        </p>
      ) : undefined}
      {written.kind === "there" ? (
        <Answered page={page} state={state} written={written.value} />
      ) : undefined}
      {written.kind === "waiting" ? <p class="waiting">BART is picking up its pen …</p> : undefined}
    </>
  );
}

/** The result in a sentence, for who cannot see it. */
function told({ question, prompt, own, none }: Written): string {
  const sentence = prompt.replace("[X]", question.subject).replace("[Y]", "blank");
  const [first] = own;
  return `BART wrote: ${sentence}. BERT answers ${first.word}, ${percent(first.probability)}. With None for a subject it answers ${none[0].word}, ${percent(none[0].probability)}.`;
}

function Questions({ page, state }: Props) {
  const { opened, question } = state;
  const [draft, setDraft] = useState(question);
  useEffect(() => setDraft(question), [question]);
  if (opened.kind !== "there") return <div class="questions" aria-busy="true" />;
  const { relations } = opened.value;
  const relation = relations.find(({ id }) => id === draft.relation);
  const ask = (wanted: Question) => {
    setDraft(wanted);
    page.askAll(wanted);
  };
  return (
    <form
      class="questions"
      onSubmit={(event) => {
        event.preventDefault();
        ask(draft);
      }}
    >
      <Field label="Relation">
        {(id) => (
          <select
            id={id}
            value={draft.relation}
            onChange={({ currentTarget: { value } }) =>
              ask(completed({ relation: value, subject: "", other: "" }, opened.value))
            }
          >
            {relations.map(({ id, label }) => (
              <option key={id} value={id}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Subject" wide>
        {(id) => (
          <input
            id={id}
            value={draft.subject}
            list="subjects"
            maxLength={LONGEST_SUBJECT}
            autocomplete="off"
            spellcheck={false}
            onInput={({ currentTarget: { value } }) => setDraft({ ...draft, subject: value })}
          />
        )}
      </Field>
      <Field label="Another, for comparison" wide>
        {(id) => (
          <input
            id={id}
            value={draft.other}
            list="subjects"
            maxLength={LONGEST_SUBJECT}
            autocomplete="off"
            spellcheck={false}
            onInput={({ currentTarget: { value } }) => setDraft({ ...draft, other: value })}
          />
        )}
      </Field>
      <datalist id="subjects">
        {relation?.facts.map(({ subject }) => (
          <option key={subject} value={subject} />
        ))}
      </datalist>
      <div class="buttons">
        <button type="submit" class="main" disabled={draft.subject.trim() === ""}>
          Ask
        </button>
        <button type="button" onClick={() => ask(drawn(opened.value))}>
          Any fact
        </button>
        <Share page={page} />
      </div>
    </form>
  );
}

/** A question by chance. */
function drawn({ relations }: Opened): Question {
  const any = <T,>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)];
  const relation = any(relations);
  const [one, two] = [any(relation.facts).subject, any(relation.facts).subject];
  return completed(
    { relation: relation.id, subject: one, other: one === two ? "" : two },
    { relations },
  );
}

function Share({ page }: { readonly page: Page }) {
  const [said, say] = useState("Copy link");
  const copy = async () => {
    const link = new URL(page.address, location.href).href;
    const done = await navigator.clipboard?.writeText(link).then(
      () => true,
      () => false,
    );
    say(done ? "Copied" : "It is in the address bar");
    setTimeout(() => say("Copy link"), 2500);
  };
  return (
    <button type="button" onClick={copy} aria-live="polite">
      {said}
    </button>
  );
}

function Answered({ page, state, written }: Props & { readonly written: Written }) {
  const { question, own, none, other, object, otherObject } = written;
  return (
    <>
      <section class="band writes" aria-labelledby="writes">
        <h2 id="writes">
          <span class="writer">BART writes</span>{" "}
          <small>
            below each word what else it might have written, and the entropy of that choice
          </small>
        </h2>
        <Slots written={written} />
      </section>
      <section class="band answers" aria-labelledby="answers">
        <h2 id="answers">
          <span class="reader">BERT answers</span>
        </h2>
        <p class="verdict">{verdict(written)}</p>
        <div class="columns">
          <Column
            title={question.subject}
            words={own}
            right={object}
            note="The prompt was written for this subject."
          />
          <Column
            title="None"
            words={none}
            right={object}
            note="The same prompt about nobody. What it says now, the prompt alone gives away."
          />
          {other.length === 0 ? undefined : (
            <Column
              title={question.other}
              words={other}
              right={otherObject}
              note={`The prompt of ${question.subject}, asked about another.`}
            />
          )}
        </div>
      </section>
      <Rivals page={page} state={state} written={written} />
    </>
  );
}

/** What the answers mean. */
function verdict({ question, prompt, own, none, object }: Written): string {
  const [answer] = own;
  const said = `“${answer.word}”`;
  const judged =
    object === undefined
      ? `${said}; the facts here do not say whether that is right.`
      : object === answer.word
        ? `${said}, which is right.`
        : `${said}, which is wrong: the facts say “${object}”.`;
  const leak =
    none[0].word === answer.word
      ? "It says the same about nobody: this prompt gives its answer away."
      : namesAnswer(prompt, answer.word)
        ? `About nobody it would say “${none[0].word}”, though the prompt itself names “${answer.word}”: it is BART that knew.`
        : `About nobody it would say “${none[0].word}”: the answer comes from knowing ${question.subject}.`;
  return `${judged} ${leak}`;
}

function Column({
  title,
  words,
  right,
  note,
}: {
  readonly title: string;
  readonly words: readonly Weighed[];
  readonly right: string | undefined;
  readonly note: string;
}) {
  return (
    <div class="column">
      <h3>
        <small>about</small> {title}
      </h3>
      <Bars words={words} right={right} label={`Answers about ${title}`} />
      <p class="note">{note}</p>
    </div>
  );
}
