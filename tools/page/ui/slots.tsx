/**
 * The prompt as it is written: an interlinear line. Each word stands over its gloss, which is what else could have stood there and how
 * open the choice was; the answer stands in its place in the other ink.
 */
import { useEffect, useState } from "preact/hooks";
import type { Slot, Written } from "../protocol.ts";
import { percent } from "../words.ts";

/** Milliseconds a word. */
const PACE = 170;
/** Words below the chosen one. */
const OTHERS = 3;

const still = (): boolean => matchMedia("(prefers-reduced-motion: reduce)").matches;

/** How many slots are shown, growing to all of them; `play` begins again. */
function useWriting(written: Written): {
  readonly shown: number;
  readonly playing: boolean;
  play(): void;
  show(count: number): void;
} {
  const all = written.slots.length;
  const [shown, setShown] = useState(still() ? all : 0);
  const [playing, setPlaying] = useState(!still());
  useEffect(() => {
    setShown(still() ? all : 0);
    setPlaying(!still());
  }, [written, all]);
  useEffect(() => {
    if (!playing) return undefined;
    const timer = setInterval(() => setShown((count) => Math.min(count + 1, all)), PACE);
    return () => clearInterval(timer);
  }, [playing, all]);
  useEffect(() => {
    if (shown >= all) setPlaying(false);
  }, [shown, all]);
  return {
    shown,
    playing,
    play: () => {
      setShown(0);
      setPlaying(true);
    },
    show: (count) => {
      setPlaying(false);
      setShown(count);
    },
  };
}

/** A slot that is written: the word, its probability, the others, the entropy. */
function Word({ slot, most }: { readonly slot: Slot; readonly most: number }) {
  const [best, ...others] = slot.words;
  const name = slot.stops ? "stop" : best.word;
  const state = slot.live ? "" : slot.stops ? " stop" : " dead";
  return (
    <li class={`slot${state}`}>
      <span class="word">{slot.live ? best.word : slot.stops ? "stop" : "·"}</span>
      <span class="sure" role="img" aria-label={`${name}: ${percent(best.probability)}`}>
        <span style={{ width: `${100 * best.probability}%` }} />
      </span>
      {slot.live || slot.stops ? (
        <>
          <ul class="others">
            {others.slice(0, OTHERS).map(({ word, probability }) => (
              <li key={word} class={probability < 0.05 ? "faint" : undefined}>
                <span>{word === "" ? "stop" : word}</span>{" "}
                <span class="share">{percent(probability)}</span>
              </li>
            ))}
          </ul>
          <span
            class="entropy"
            title={`entropy ${slot.entropy.toFixed(2)} of at most ${most.toFixed(2)} nats`}
          >
            <span aria-hidden="true" class="open" style={{ "--open": `${slot.entropy / most}` }} />
            {slot.entropy.toFixed(2)}
          </span>
        </>
      ) : undefined}
    </li>
  );
}

const Empty = () => (
  <li class="slot empty" aria-hidden="true">
    <span class="word">&nbsp;</span>
    <span class="sure" />
  </li>
);

/** The interlinear line of a prompt, with the means to watch it again. */
export function Slots({ written }: { readonly written: Written }) {
  const { slots, before, most, question, own } = written;
  const { shown, playing, play, show } = useWriting(written);
  const done = shown >= slots.length;
  const item = (slot: Slot, i: number) =>
    i < shown ? <Word key={i} slot={slot} most={most} /> : <Empty key={i} />;
  const stopped = (part: readonly Slot[]): readonly Slot[] => {
    const end = part.findIndex(({ stops }) => stops);
    return end < 0 ? part : part.slice(0, end + 1);
  };
  const first = stopped(slots.slice(0, before));
  const second = stopped(slots.slice(before));
  const mean = slots.filter(({ live }) => live);
  const entropy = mean.reduce((sum, slot) => sum + slot.entropy, 0) / Math.max(mean.length, 1);
  return (
    <div class="writing">
      <ol class="line" aria-label="The prompt, word by word">
        <li class="slot given">
          <span class="word subject">{question.subject}</span>
          <span class="gloss">subject</span>
        </li>
        {first.map(item)}
        <li class={done ? "slot answer there" : "slot answer"}>
          <span class="word">{done ? own[0]?.word : "[MASK]"}</span>
          <span class="gloss">
            {done ? `BERT, ${percent(own[0]?.probability ?? 0)}` : "BERT’s place"}
          </span>
        </li>
        {second.map((slot, i) => item(slot, before + i))}
      </ol>
      <div class="playing">
        <button type="button" onClick={play} disabled={playing}>
          Write it again
        </button>
        <label>
          <span class="hidden">Words written</span>
          <input
            type="range"
            min={0}
            max={slots.length}
            value={shown}
            aria-valuetext={`${shown} of ${slots.length} slots`}
            onInput={(event) => show(Number(event.currentTarget.value))}
          />
        </label>
        <p class="note">
          {mean.length} of {slots.length} slots used; mean entropy {entropy.toFixed(2)} nats of at
          most {most.toFixed(1)}
        </p>
      </div>
    </div>
  );
}
