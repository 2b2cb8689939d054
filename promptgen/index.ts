/** PromptGen: facts in, prompts and answers out. */
export {
  assemble,
  type Batch,
  encodeExample,
  layoutOf,
  specialIds,
  subjectWidth,
} from "./batch.ts";
export { RunFolder } from "./checkpoint.ts";
export { type Fact, filterFacts, loadFacts, type Relation, splitByVocabulary } from "./facts.ts";
export { Generator, hardened, type Prompts } from "./generator.ts";
export { NotFiniteError, type StepReport } from "./loop.ts";
export { diagnose, FLOOR, type Objective, objective, Reader } from "./objective.ts";
export { PromptProbe, promptText, TemplateProbe } from "./probe.ts";
export { majorityScores, means, report } from "./report.ts";
export { loadSystem, type System } from "./system.ts";
export { checkTemplate, fill, loadTemplates } from "./templates.ts";
export { Examiner, type TrainerSettings, templateScores, trainPromptGen } from "./trainer.ts";
export { commonWordIds, pairVocabularies } from "./vocabulary.ts";
export { embeddedWorld } from "./world.ts";
