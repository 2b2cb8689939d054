/** PromptGen and other ways of asking a masked LM: facts in, prompts, answers and scores out. */

export type { Group as BucketGroup } from "../models/training/buckets.ts";
export {
  Learner,
  type LearnerSettings,
  type Part as LearnerPart,
  type Task as LearnerTask,
} from "../models/training/learner.ts";
export type {
  Best as BestEvaluation,
  Evaluation,
  Items as LearnerItems,
  LoopOptions,
  LoopSettings,
  Outcome as TrainingOutcome,
  Stored,
  StoredProblem,
} from "../models/training/loop.ts";
export {
  NotFiniteError,
  type Problem,
  type StepReport,
  train,
} from "../models/training/loop.ts";
export type { Estimate as PaceEstimate, Seconds as PaceSeconds } from "../models/training/pace.ts";
export type { Random } from "../models/training/random.ts";
export type { JsonObject, JsonValue, LogRow } from "../models/training/run-folder.ts";
export { RunFolder } from "../models/training/run-folder.ts";
export type { ScheduleSettings } from "../models/training/schedule.ts";
export {
  AskError,
  type Asking,
  type AskOptions,
  ask,
  type Likely,
  type Question,
  type Reply,
} from "./ask.ts";
export type { AuditAnswer } from "./audit.ts";
export { type Audited, type AuditedFact, Auditor } from "./audit.ts";
export {
  type Benchmark,
  type BenchmarkSources,
  type Item,
  itemsOf,
  loadBenchmark,
  NONE,
  OBJECT_SPELLINGS,
  type ObjectSpelling,
  openReader,
  READER_DTYPES,
  READER_WEIGHTS,
  type ReaderDtype,
  type ReaderWeights,
} from "./benchmark.ts";
export type {
  FactOptions,
  FactSet,
  FilterCount,
  RelationType,
  Split,
  VocabularySplit,
  WordSource,
} from "./facts/facts.ts";
export {
  type Fact,
  filterFacts,
  loadFacts,
  type Relation,
  splitByVocabulary,
} from "./facts/facts.ts";
export type { LeftOutCounts, SplitCounts } from "./facts/left-out.ts";
export { countLeftOut, type LeftOut, leftOutMessage, type Reason } from "./facts/left-out.ts";
export type { Triple } from "./facts/splits.ts";
export { overlapping, type TestSplit, testSplits } from "./facts/splits.ts";
export {
  checkTemplate,
  fill,
  loadTemplates,
  TEMPLATE_SETS,
  type TemplateSet,
} from "./facts/templates.ts";
export type { Candidate, MeasureOptions } from "./measure.ts";
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
export type {
  ChoiceOption,
  Common as OptionCommon,
  Limits,
  NumberOption,
  OptionValue,
  PathOption,
} from "./methods/options.ts";
export {
  type Option,
  type Options,
  type OptionTable,
  optionsOf,
  trainingOptions,
} from "./methods/options.ts";
export type { PromptBatch } from "./methods/promptgen/batch.ts";
export type { Classes as PromptClasses } from "./methods/promptgen/generator.ts";
export { Generator, hardened, type Prompts } from "./methods/promptgen/generator.ts";
export type { ObjectRows } from "./methods/promptgen/leak.ts";
export type { Diagnostics } from "./methods/promptgen/objective.ts";
export { diagnose, FLOOR, type Objective, objective } from "./methods/promptgen/objective.ts";
export { PromptGenPrompter } from "./methods/promptgen/prompter.ts";
export type { CommonVocabulary } from "./methods/promptgen/vocabulary.ts";
export { pairVocabularies } from "./methods/promptgen/vocabulary.ts";
export type { TemplateBatch } from "./methods/shared/templates.ts";
export { TemplatePrompter } from "./methods/shared/templates.ts";
export type { BearSet } from "./ranking/bear.ts";
export { loadBear } from "./ranking/bear.ts";
export {
  type Place as RankPlace,
  type RankOptions,
  type RankRow,
  REDUCTIONS,
  type Reduction,
  rankRelation,
  rankScores,
} from "./ranking/rank.ts";
export {
  PLL_METRICS,
  type PllMetric,
  type Scored,
  type Scorer,
  type ScorerOptions,
  scorerOf,
} from "./ranking/scorer.ts";
export type { RankedFact } from "./ranking/statements.ts";
export { type RankedRelation, rankedRelations, statement } from "./ranking/statements.ts";
export type { ReaderIds } from "./reader.ts";
export { type Part, Reader } from "./reader.ts";
export type { FactAnswer, FactFigures } from "./report/fact-rows.ts";
export { type FactRow, factFigures, readFactRows, writeFactRows } from "./report/fact-rows.ts";
export type { RelationRow } from "./report/relations.ts";
export { relationRows } from "./report/relations.ts";
export {
  type Counts,
  RESULTS_VERSION,
  type Results,
  type ResultsParts,
  type ResultsRow,
  type RunExtended,
  type RunMemory,
  type RunSeconds,
  type RunStopped,
  readResults,
  resultsOf,
  type Versions,
} from "./report/results.ts";
export type { Row, RowRun } from "./report/rows.ts";
export { type RowsOptions, rowsReport } from "./report/rows-tables.ts";
export type {
  Cell as ReportCell,
  Column as ReportColumn,
  Group as ReportGroup,
  Table as ReportTable,
} from "./report/table.ts";
export type { Locate as LocateModel, TrainOptions } from "./run.ts";
export {
  bestPrompter,
  examinerOf,
  type Prepared,
  prepare,
  type RunOptions,
  runOptions,
  trainRun,
} from "./run.ts";
export type { RunFile } from "./run-file.ts";
export { readRun } from "./run-file.ts";
export { openRun } from "./saved-run.ts";
export type { Means } from "./scores.ts";
export { means, type Score, type Scores } from "./scores.ts";
export { TestAsker, type TestFacts } from "./test-facts.ts";
export { readSteps, type StepTable } from "./training/steps.ts";
export { type Transferred, transfer } from "./transfer.ts";
export { namedAway } from "./uhn.ts";
export { embeddedWorld } from "./world/embedded.ts";
