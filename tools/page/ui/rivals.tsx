/** The same fact asked in other ways: a row for each method, with its prompt and what the reader makes of it. */
import { type Answers, type Rival, TRAINED_HERE, type Weighed, type Written } from "../protocol.ts";
import { LIGHT, type Loaded, type Page, type State } from "../state.ts";
import { bytes, percent } from "../words.ts";
import { Sentence } from "./parts.tsx";

type Props = { readonly page: Page; readonly state: State };

/** The table of the methods. */
export function Rivals({ page, state, written }: Props & { readonly written: Written }) {
  const { opened, rivals, question, training } = state;
  if (opened.kind !== "there" || opened.value.rivals.length === 0) return null;
  return (
    <section class="band rivals" aria-labelledby="rivals">
      <h2 id="rivals">The same fact, asked in other ways</h2>
      <div class="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">Method</th>
              <th scope="col">Its prompt</th>
              <th scope="col">Answer</th>
              <th scope="col">About “None”</th>
            </tr>
          </thead>
          <tbody>
            <tr class="self">
              <th scope="row">PromptGen</th>
              <Cells answers={written} subject={written.question.subject} object={written.object} />
            </tr>
            {training?.kind === "world" && training.step > 0 ? (
              <RivalRow
                rival={{
                  key: TRAINED_HERE,
                  row: "PromptGen, trained here",
                  summary: `as it is at step ${training.step}`,
                  bytes: 0,
                }}
                found={rivals[TRAINED_HERE]}
                subject={question.subject}
                object={written.object}
                ask={() => page.askRival(TRAINED_HERE)}
              />
            ) : undefined}
            {opened.value.rivals.map((rival) => (
              <RivalRow
                key={rival.key}
                rival={rival}
                found={rivals[rival.key]}
                subject={question.subject}
                object={written.object}
                ask={() => page.askRival(rival.key)}
              />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function RivalRow({
  rival,
  found,
  subject,
  object,
  ask,
}: {
  readonly rival: Rival;
  readonly found: Loaded<Answers> | undefined;
  readonly subject: string;
  readonly object: string | undefined;
  ask(): void;
}) {
  const size = rival.bytes === 0 ? "" : ` (${bytes(rival.bytes)})`;
  return (
    <tr>
      <th scope="row" title={rival.summary}>
        {rival.row}
      </th>
      {found?.kind === "there" ? (
        <Cells answers={found.value} subject={subject} object={object} />
      ) : (
        <td colSpan={3} class="pending">
          {found?.kind === "error" ? found.error : found?.kind === "waiting" ? "…" : undefined}
          {found === undefined && (rival.bytes > LIGHT || rival.key === TRAINED_HERE) ? (
            <button type="button" onClick={ask} aria-label={`Ask ${rival.row} too${size}`}>
              Ask it too{size}
            </button>
          ) : undefined}
        </td>
      )}
    </tr>
  );
}

function Cells({
  answers: { prompt, own, none },
  subject,
  object,
}: {
  readonly answers: Answers;
  readonly subject: string;
  readonly object: string | undefined;
}) {
  const isAsking = prompt.includes("[Y]");
  return (
    <>
      <td class="prompt">
        {isAsking ? (
          <Sentence prompt={prompt} subject={subject} />
        ) : (
          <span class="note">asks nothing: the most frequent object</span>
        )}
      </td>
      <td class="reader">
        <Best words={own} object={object} />
      </td>
      <td class="reader">
        <Best words={none} object={undefined} />
      </td>
    </>
  );
}

function Best({
  words: [best],
  object,
}: {
  readonly words: readonly Weighed[];
  readonly object: string | undefined;
}) {
  if (!best) return null;
  return (
    <>
      <b>{best.word}</b> <span class="share">{percent(best.probability)}</span>
      {object === undefined ? undefined : (
        <span class={best.word === object ? "tick" : "cross"}>
          {best.word === object ? " · right" : " · wrong"}
        </span>
      )}
    </>
  );
}
