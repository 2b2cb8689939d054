/** Small pieces that several views are made of. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import type { Weighed } from "../protocol.ts";
import { type Piece, percent, pieces, prompts } from "../words.ts";

/** A list of answers, each with a bar as long as it is probable. */
export function Bars({
  words,
  right,
  label,
}: {
  readonly words: readonly Weighed[];
  /** The word that is marked as the right one. */
  readonly right?: string | undefined;
  readonly label: string;
}) {
  return (
    <ol class="bars" aria-label={label}>
      {words.map(({ word, probability }) => (
        <li key={word} class={word === right ? "right" : undefined}>
          <span class="bar" aria-hidden="true">
            <span style={{ width: `${100 * probability}%` }} />
          </span>
          <span class="word">{word}</span>
          <span class="share">{percent(probability)}</span>
        </li>
      ))}
    </ol>
  );
}

function Bit({ piece, mask }: { readonly piece: Piece; readonly mask: string }) {
  if (piece.kind === "subject") return <b class="subject">{piece.text}</b>;
  if (piece.kind === "mask") return <span class="mask">{mask === "" ? "____" : mask}</span>;
  if (piece.kind === "word") return <>{piece.text}</>;
  return (
    <i class="vector" title="a free vector; this is the word that is nearest to it">
      {piece.text}
    </i>
  );
}

/** A prompt as a sentence: with the subject in its place and the answer in the mask's. */
export function Sentence({
  prompt,
  subject,
  mask = "",
  changed,
}: {
  readonly prompt: string;
  readonly subject: string;
  readonly mask?: string;
  /** Which of its words are new. */
  readonly changed?: readonly boolean[];
}) {
  return (
    <>
      {prompts(prompt).map((one) => (
        <span key={one.prompt} class="sentence" lang="en">
          {one.weight === "" ? undefined : <small>{one.weight}</small>}
          {pieces(one.prompt, subject).map((piece, i) => {
            const bit = <Bit piece={piece} mask={mask} />;
            return <span key={i}>{changed?.[i] ? <mark>{bit}</mark> : bit} </span>;
          })}
        </span>
      ))}
    </>
  );
}

/** A field with its name above it. */
export function Field({
  label,
  children,
  wide = false,
}: {
  readonly label: string;
  /** Makes the control, which has the id. */
  readonly children: (id: string) => ComponentChildren;
  readonly wide?: boolean;
}) {
  const id = useId();
  return (
    <div class={wide ? "field wide" : "field"}>
      <label for={id}>{label}</label>
      {children(id)}
    </div>
  );
}
