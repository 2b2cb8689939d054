/** PromptGen and other ways of asking a masked LM: facts in, prompts, answers and scores out. */
export { type Audited, type AuditedFact, Auditor } from "./audit.ts";
export {
  type Benchmark,
  type BenchmarkSources,
  type Item,
  itemsOf,
  loadBenchmark,
  NONE,
  openReader,
} from "./benchmark.ts";
export {
  type Fact,
  filterFacts,
  loadFacts,
  type Relation,
  splitByVocabulary,
} from "./facts/facts.ts";
export { countLeftOut, type LeftOut, leftOutMessage, type Reason } from "./facts/left-out.ts";
export { overlapping, type TestSplit, testSplits } from "./facts/splits.ts";
export { checkTemplate, fill, loadTemplates } from "./facts/templates.ts";
export {
  type Answer,
  type Answered,
  bucketsFor,
  Examiner,
  type Explained,
  FILLERS,
  type Filler,
  type Measured,
  NOBODY,
  OWN,
} from "./measure.ts";
export { METHODS, methodOf } from "./methods/index.ts";
export {
  type Asked,
  type Batch,
  Joined,
  type Method,
  type Prediction,
  type Prompter,
  type Trace,
  type Training,
  untrained,
} from "./methods/method.ts";
export {
  type Option,
  type Options,
  type OptionTable,
  optionsOf,
  trainingOptions,
} from "./methods/options.ts";
export { Generator, hardened, type Prompts } from "./methods/promptgen/generator.ts";
export { diagnose, FLOOR, type Objective, objective } from "./methods/promptgen/objective.ts";
export { PromptGenPrompter } from "./methods/promptgen/prompter.ts";
export { pairVocabularies } from "./methods/promptgen/vocabulary.ts";
export { TemplatePrompter } from "./methods/shared/templates.ts";
export { loadBear } from "./ranking/bear.ts";
export {
  type RankOptions,
  type RankRow,
  type Reduction,
  rankRelation,
  rankScores,
} from "./ranking/rank.ts";
export { type PllMetric, type Scorer, scorerOf } from "./ranking/scorer.ts";
export { type RankedRelation, rankedRelations, statement } from "./ranking/statements.ts";
export { type Part, Reader } from "./reader.ts";
export { type FactRow, factFigures, readFactRows, writeFactRows } from "./report/fact-rows.ts";
export { relationRows } from "./report/relations.ts";
export { readResults, resultsOf } from "./report/results.ts";
export type { Row, RowRun } from "./report/rows.ts";
export { type RowsOptions, rowsReport } from "./report/rows-tables.ts";
export {
  bestPrompter,
  examinerOf,
  type Prepared,
  prepare,
  type RunOptions,
  runOptions,
  trainRun,
} from "./run.ts";
export { readRun } from "./run-file.ts";
export { means, type Score, type Scores } from "./scores.ts";
export { TestAsker, type TestFacts } from "./test-facts.ts";
export { Learner, NotFiniteError, type Problem, type StepReport, train } from "./training/loop.ts";
export { RunFolder } from "./training/run-folder.ts";
export { readSteps, type StepTable } from "./training/steps.ts";
export { type Transferred, transfer } from "./transfer.ts";
export { namedAway } from "./uhn.ts";
