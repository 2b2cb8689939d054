/** What the page shows, in one place: set by what the worker says and by what the visitor does. Knows no element of the page. */
import { type Address, type NamedDevice, readAddress, type View, writeAddress } from "./address.ts";
import type { Client } from "./client.ts";
import type {
  Answers,
  EvaluationRow,
  Opened,
  PageEvent,
  PromptShown,
  Question,
  Series,
  TrainingShown,
  Written,
} from "./protocol.ts";

/** What came of a request: nothing yet, an error's sentence, or the answer. */
export type Loaded<T> =
  | { readonly kind: "none" | "waiting" }
  | { readonly kind: "error"; readonly error: string }
  | { readonly kind: "there"; readonly value: T };

export const NONE = { kind: "none" } as const;
export const WAITING = { kind: "waiting" } as const;

/** A watched prompt and what it was when it was looked at before. */
export type WatchedPrompt = PromptShown & { readonly before: string | undefined };

export type State = {
  readonly view: View;
  readonly opened: Loaded<Opened>;
  readonly question: Question;
  readonly written: Loaded<Written>;
  readonly rivals: Readonly<Record<string, Loaded<Answers>>>;
  readonly training: TrainingShown | undefined;
  readonly alpha: number;
  readonly seed: number;
  readonly series: Series;
  readonly evaluations: readonly EvaluationRow[];
  readonly prompts: { readonly step: number; readonly rows: readonly WatchedPrompt[] };
  readonly progress:
    | { readonly what: string; readonly done: number; readonly all: number }
    | undefined;
  /** One sentence where something went wrong that concerns all of the page. */
  readonly lost: string;
};

const NO_SERIES: Series = { steps: [], object: [], none: [], entropy: [], topProbability: [] };
/** A method that is larger is fetched when it is asked for. */
export const LIGHT = 200_000; // bytes

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The page without its elements. */
export class Page {
  readonly client: Client;
  readonly #listeners = new Set<() => void>();
  readonly #device: NamedDevice | undefined;
  #state: State;

  constructor(client: Client, hash: string) {
    const address = readAddress(hash);
    this.client = client;
    this.#device = address.device;
    this.#state = {
      view: address.view,
      opened: WAITING,
      question: questionOf(address),
      written: WAITING,
      rivals: {},
      training: undefined,
      alpha: address.alpha ?? 0.3,
      seed: address.seed ?? 1,
      series: NO_SERIES,
      evaluations: [],
      prompts: { step: 0, rows: [] },
      progress: undefined,
      lost: "",
    };
    client.listen((event) => this.#hear(event));
  }

  /** Whether the link keeps the page from a GPU. */
  get onCPU(): boolean {
    return this.#device === "cpu";
  }

  get state(): State {
    return this.#state;
  }

  /** Calls `listener` after each change; gives what ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  set(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }

  /** The link to what is shown. */
  get address(): string {
    const { view, question, alpha, seed } = this.#state;
    const device = this.#device === undefined ? {} : { device: this.#device };
    if (view === "ask") {
      const { relation, subject, other } = question;
      return writeAddress({ view, relation, subject, other, ...device });
    }
    return writeAddress(view === "train" ? { view, alpha, seed, ...device } : { view, ...device });
  }

  /** Opens the worker and asks the first question. */
  async open(): Promise<void> {
    try {
      const opened = await this.client.ask("open", { device: this.#device ?? "auto" });
      this.set({ opened: { kind: "there", value: opened } });
      const question = completed(this.#state.question, opened);
      if (this.#state.view === "train") await this.remember(); // what is looked at comes first
      await this.ask(question);
      performance.mark("first answer");
      await this.#askLightRivals();
      if (!this.#state.training) await this.remember();
    } catch (error) {
      this.set({ opened: { kind: "error", error: messageOf(error) } });
    }
  }

  /** Takes over what another link says. */
  goTo(hash: string): void {
    const address = readAddress(hash);
    const { opened, question } = this.#state;
    this.set({
      view: address.view,
      alpha: address.alpha ?? this.#state.alpha,
      seed: address.seed ?? this.#state.seed,
    });
    if (address.view !== "ask" || opened.kind !== "there" || address.relation === undefined) return;
    const wanted = completed(questionOf(address), opened.value);
    if (JSON.stringify(wanted) !== JSON.stringify(question)) this.askAll(wanted);
  }

  /** Asks PromptGen; an answer that comes after another question was asked is dropped. */
  async ask(question: Question): Promise<void> {
    const before = this.#state.written;
    this.set({ question, written: before.kind === "there" ? before : WAITING, rivals: {} });
    let written: State["written"];
    try {
      written = { kind: "there", value: await this.client.ask("ask", question) };
    } catch (error) {
      written = { kind: "error", error: messageOf(error) };
    }
    if (this.#state.question === question) this.set({ written });
  }

  /** Asks PromptGen, then the methods that are there at once. */
  async askAll(question: Question): Promise<void> {
    await this.ask(question);
    await this.#askLightRivals();
  }

  /** Asks another method the question that is shown. */
  async askRival(key: string): Promise<void> {
    const { question } = this.#state;
    const put = (value: Loaded<Answers>) => {
      if (this.#state.question === question) {
        this.set({ rivals: { ...this.#state.rivals, [key]: value } });
      }
    };
    put(WAITING);
    try {
      put({ kind: "there", value: await this.client.ask("rival", { key, question }) });
    } catch (error) {
      put({ kind: "error", error: messageOf(error) });
    }
  }

  async #askLightRivals(): Promise<void> {
    const { opened, question } = this.#state;
    if (opened.kind !== "there") return;
    for (const { key, bytes } of opened.value.rivals) {
      if (bytes <= LIGHT && this.#state.question === question) await this.askRival(key);
    }
  }

  /** Shows the training that an earlier visit has left. */
  async remember(): Promise<void> {
    const { shown, series, evaluations } = await this.client.ask("trained", {});
    this.set({ training: shown, series, evaluations });
    if (shown.state !== "none") this.set({ alpha: shown.alpha, seed: shown.seed });
  }

  /** Does something with the training. */
  async #steer(act: () => Promise<TrainingShown>): Promise<void> {
    try {
      this.set({ training: await act() });
    } catch (error) {
      const { training } = this.#state;
      const message = messageOf(error);
      if (training) this.set({ training: { ...training, state: "failed", message } });
      else this.set({ lost: message });
    }
  }

  /** Begins a training anew. */
  train(kind: "world" | "own"): Promise<void> {
    const { alpha, seed } = this.#state;
    this.set({ series: NO_SERIES, evaluations: [], prompts: { step: 0, rows: [] } });
    return this.#steer(() => this.client.ask("start", { kind, alpha, seed }));
  }

  pause(): Promise<void> {
    return this.#steer(() => this.client.ask("pause", {}));
  }

  resume(once = false): Promise<void> {
    const { alpha } = this.#state;
    return this.#steer(() => this.client.ask("resume", { once, alpha }));
  }

  async forget(): Promise<void> {
    await this.#steer(() => this.client.ask("forget", {}));
    this.set({ series: NO_SERIES, evaluations: [], prompts: { step: 0, rows: [] } });
  }

  /** Another alpha; a training that runs goes on with it. */
  async setAlpha(alpha: number): Promise<void> {
    this.set({ alpha });
    if (this.#state.training?.state !== "running") return;
    await this.pause();
    if (this.state.training?.state === "paused") await this.resume();
  }

  #hear(event: PageEvent): void {
    switch (event.event) {
      case "training":
        this.set({ training: event.shown });
        break;
      case "steps":
        this.set({ series: joined(this.#state.series, event.series), progress: undefined });
        break;
      case "evaluation": {
        const { row } = event;
        const evaluations = this.#state.evaluations.filter(({ step }) => step < row.step);
        this.set({ evaluations: [...evaluations, row], progress: undefined });
        break;
      }
      case "prompts": {
        const before = new Map(
          this.#state.prompts.rows.map(({ relation, subject, prompt }) => [
            `${relation} ${subject}`,
            prompt,
          ]),
        );
        const rows = event.prompts.map((one) => ({
          ...one,
          before: before.get(`${one.relation} ${one.subject}`),
        }));
        this.set({ prompts: { step: event.step, rows } });
        break;
      }
      case "progress": {
        const { what, done, all } = event;
        this.set({ progress: { what, done, all } });
        break;
      }
      case "lost":
        this.set({ lost: event.error });
    }
  }
}

const questionOf = ({ relation = "", subject = "", other = "" }: Address): Question => ({
  relation,
  subject,
  other,
});

/** A series with more steps; steps that are taken again are those that were taken last. */
export function joined(before: Series, more: Series): Series {
  const [start = 0] = more.steps;
  const kept = before.steps.findIndex((step) => step >= start);
  const own = (column: readonly number[]) => (kept < 0 ? column : column.slice(0, kept));
  return {
    steps: [...own(before.steps), ...more.steps],
    object: [...own(before.object), ...more.object],
    none: [...own(before.none), ...more.none],
    entropy: [...own(before.entropy), ...more.entropy],
    topProbability: [...own(before.topProbability), ...more.topProbability],
  };
}

/** The question that the page opens with where the link leaves something out. */
const FIRST_RELATION = "P36";

/** A question with what it lacks: the relation of the opening, the first of its test facts, another subject of it. */
export function completed(question: Question, { relations }: Pick<Opened, "relations">): Question {
  const relation =
    relations.find(({ id }) => id === question.relation) ??
    relations.find(({ id }) => id === FIRST_RELATION) ??
    relations[0];
  const subjects = relation.facts.map(({ subject }) => subject);
  const subject = question.subject === "" ? subjects[0] : question.subject;
  const other =
    question.other === "" ? (subjects.find((one) => one !== subject) ?? subject) : question.other;
  return { relation: relation.id, subject, other };
}
