/** PromptGen: facts in, prompts and answers out. */

export {
  type Fact,
  filterFacts,
  loadFacts,
  type Relation,
  splitByVocabulary,
} from "./facts/facts.ts";
export { checkTemplate, fill, loadTemplates } from "./facts/templates.ts";
export {
  assemble,
  type Batch,
  encodeExample,
  layoutOf,
  specialIds,
  subjectWidth,
} from "./methods/promptgen/batch.ts";
export { Generator, hardened, type Prompts } from "./methods/promptgen/generator.ts";
export {
  diagnose,
  FLOOR,
  type Objective,
  objective,
  Reader,
} from "./methods/promptgen/objective.ts";
export { loadSystem, type System } from "./methods/promptgen/system.ts";
export {
  Examiner,
  type TrainerSettings,
  templateScores,
  trainPromptGen,
} from "./methods/promptgen/trainer.ts";
export { commonWordIds, pairVocabularies } from "./methods/promptgen/vocabulary.ts";
export { PromptProbe, promptText, TemplateProbe } from "./probe.ts";
export { majorityScores } from "./report/majority.ts";
export { type Result, report } from "./report/paper-tables.ts";
export { relationRows } from "./report/relations.ts";
export { means } from "./scores.ts";
export { NotFiniteError, type StepReport } from "./training/loop.ts";
export { RunFolder } from "./training/run-folder.ts";
export { embeddedWorld } from "./world/world.ts";
