/**
 * What the page and its worker say to each other. The page asks, the worker answers each request once; events come on their own.
 * Everything is plain data: probabilities are 0 to 1, entropies in nats, times in seconds, sizes in bytes.
 */
import type { NamedDevice } from "./address.ts";

/** A word with its probability. */
export type Weighed = { readonly word: string; readonly probability: number };

/** A place of the prompt as the generator filled it. */
export type Slot = {
  /** The most probable words, the first is the one that is read aloud. */
  readonly words: readonly Weighed[];
  /** Of the whole distribution, in nats. */
  readonly entropy: number;
  /** Whether it is part of the prompt. */
  readonly live: boolean;
  /** Whether the segment ends here: `</s>` was the most probable. */
  readonly stops: boolean;
};

/** A question of the page. */
export type Question = {
  readonly relation: string;
  readonly subject: string;
  /** Stands in the place of the subject in the second question. */
  readonly other: string;
};

/** What was asked and answered with one method. */
export type Answers = {
  /** [X] where the subject stands, [Y] where the answer does. */
  readonly prompt: string;
  readonly own: readonly Weighed[];
  readonly none: readonly Weighed[];
};

/** PromptGen's prompt and what the reader makes of it. */
export type Written = Answers & {
  readonly question: Question;
  readonly other: readonly Weighed[];
  /** Those before the mask come first. */
  readonly slots: readonly Slot[];
  readonly before: number;
  /** ln of the number of words that could have been written: the largest entropy. */
  readonly most: number;
  /** The right answer, where the facts tell it; that of `other` too. */
  readonly object: string | undefined;
  readonly otherObject: string | undefined;
  readonly seconds: number;
};

/** Another method that the page has a trained prompter of. */
export type Rival = {
  readonly key: string;
  /** As in the paper's tables. */
  readonly row: string;
  readonly summary: string;
  readonly bytes: number;
};

/** The key of the prompter that is trained in the page. */
export const TRAINED_HERE = "here";

/** A relation with the subjects that its facts are about. */
export type RelationShown = {
  readonly id: string;
  readonly label: string;
  readonly template: string;
  readonly type: string;
  readonly facts: readonly {
    readonly subject: string;
    readonly object: string;
    readonly split: string;
  }[];
};

export type Opened = {
  /** As the engine describes it. */
  readonly device: string;
  readonly isolated: boolean;
  readonly relations: readonly RelationShown[];
  readonly rivals: readonly Rival[];
  /** The options of the prompter that answers. */
  readonly prompter: { readonly seed: number; readonly alpha: number; readonly bytes: number };
  readonly seconds: number;
};

/** Figures of the steps of a training, one array a column. */
export type Series = {
  readonly steps: readonly number[];
  readonly object: readonly number[];
  readonly none: readonly number[];
  readonly entropy: readonly number[];
  readonly topProbability: readonly number[];
};

export type EvaluationRow = {
  readonly step: number;
  readonly devAccuracy: number;
  readonly devNone: number;
  readonly distinctPrompts: number;
};

export type PromptShown = {
  readonly relation: string;
  readonly subject: string;
  readonly object: string;
  readonly prompt: string;
  readonly answer: Weighed;
  readonly none: Weighed;
  readonly right: boolean;
};

export type TrainingState =
  | "none"
  | "starting"
  | "running"
  | "pausing"
  | "paused"
  | "done"
  | "failed";

/** Whose facts and models are trained on. */
export type TrainingKind = "world" | "own";

export type TrainingShown = {
  readonly state: TrainingState;
  readonly kind: TrainingKind;
  readonly step: number;
  readonly steps: number;
  readonly alpha: number;
  readonly seed: number;
  /** Until the end; undefined where it is not known yet. */
  readonly left: number | undefined;
  readonly best: { readonly step: number; readonly accuracy: number } | undefined;
  /** Where the state came from: kept by the browser, or not, and why not. */
  readonly kept: boolean;
  readonly message: string;
};

export type TrainSettings = {
  readonly kind: TrainingKind;
  readonly alpha: number;
  readonly seed: number;
};

/** Where a model of one's own is. */
export type ModelSource =
  | { readonly from: "world" }
  | { readonly from: "hub"; readonly name: string }
  | { readonly from: "files"; readonly files: readonly File[] };

export type OwnFacts = {
  /** Lines as facts-text.ts reads them. */
  readonly text: string;
  /** For facts that name no relation: a sentence with [X] and [Y]. */
  readonly template: string;
};

/** What a text of facts holds. */
export type FactsShown = {
  readonly relations: readonly {
    readonly id: string;
    readonly template: string;
    readonly train: number;
    readonly dev: number;
    readonly test: number;
  }[];
  readonly facts: number;
  /** One sentence each. */
  readonly problems: readonly string[];
};

/** What a training would take. */
export type Cost = {
  readonly download: number;
  readonly memory: number;
  /** What a page can have. */
  readonly limit: number;
  readonly steps: number;
  readonly seconds: number;
  /** Measured on the visitor's device. */
  readonly gigaflops: number;
  readonly remarks: readonly string[];
};

/** Requests, what they take and what they are answered with. */
export type Requests = {
  open: { take: { readonly device: NamedDevice | "auto" }; give: Opened };
  ask: { take: Question; give: Written };
  /** One other method on the same question. */
  rival: { take: { readonly key: string; readonly question: Question }; give: Answers };
  /** What is kept of an earlier visit. */
  trained: {
    take: Record<string, never>;
    give: {
      readonly shown: TrainingShown;
      readonly series: Series;
      readonly evaluations: readonly EvaluationRow[];
    };
  };
  start: { take: TrainSettings; give: TrainingShown };
  pause: { take: Record<string, never>; give: TrainingShown };
  resume: { take: { readonly once: boolean; readonly alpha: number }; give: TrainingShown };
  forget: { take: Record<string, never>; give: TrainingShown };
  facts: { take: OwnFacts; give: FactsShown };
  cost: {
    take: {
      readonly facts: OwnFacts;
      readonly generator: ModelSource;
      readonly reader: ModelSource;
      readonly seed: number;
    };
    give: Cost;
  };
  prepare: {
    take: {
      readonly facts: OwnFacts;
      readonly generator: ModelSource;
      readonly reader: ModelSource;
      readonly seed: number;
    };
    give: Cost;
  };
};

export type Kind = keyof Requests;

export type Request = {
  [K in Kind]: { readonly id: number; readonly kind: K; readonly take: Requests[K]["take"] };
}[Kind];

export type Reply =
  | { readonly id: number; readonly give: unknown }
  | { readonly id: number; readonly error: string };

/** What the worker says unasked. */
export type PageEvent =
  | { readonly event: "training"; readonly shown: TrainingShown }
  | { readonly event: "steps"; readonly series: Series }
  | { readonly event: "evaluation"; readonly row: EvaluationRow }
  | { readonly event: "prompts"; readonly step: number; readonly prompts: readonly PromptShown[] }
  | {
      readonly event: "progress";
      readonly what: string;
      readonly done: number;
      readonly all: number;
    }
  | { readonly event: "lost"; readonly error: string };

export type FromWorker = Reply | PageEvent;
