/** Which masked LM a checkpoint holds, by config.json's model_type. */

import { BertForMaskedLM } from "./bert.ts";
import { ModelError } from "./errors.ts";
import { type Checkpoint, readCheckpoint } from "./formats/checkpoint.ts";
import type { MaskedLM } from "./masked-lm.ts";
import { RobertaForMaskedLM } from "./roberta.ts";
import type { Storage } from "./weights.ts";

const MODELS: Readonly<Record<string, (checkpoint: Checkpoint, storage: Storage) => MaskedLM>> = {
  bert: BertForMaskedLM.from,
  roberta: RobertaForMaskedLM.from,
};

/** model_type, or where there is none (as in files of before 2020) what the first architecture begins with. */
function typeOf({ config, where }: Checkpoint): string {
  const { model_type: type, architectures } = Object(config) as Record<string, unknown>;
  const [first] = Array.isArray(architectures) ? architectures : [];
  const found = type ?? /^(Bert|Roberta)[A-Z]/.exec(String(first))?.[1].toLowerCase();
  if (typeof found === "string" && Object.hasOwn(MODELS, found)) return found;
  const given = found === undefined ? "is missing" : `is ${JSON.stringify(found)}`;
  throw new ModelError(
    `[config] ${where}/config.json: model_type ${given}; the masked LMs that are supported are ${Object.keys(MODELS).join(", ")}`,
  );
}

/**
 * The masked LM of a checkpoint.
 *
 * @param storage f16 or bf16 keeps the matrices of a frozen model in half the memory
 * @throws one sentence for a model_type that is not supported, `[config] ...`, `[weights] ...`
 */
export const maskedLM = (checkpoint: Checkpoint, storage: Storage = "f32"): MaskedLM =>
  MODELS[typeOf(checkpoint)](checkpoint, storage);

/** The masked LM of a directory with config.json and weights. */
export const loadMaskedLM = async (directory: string, storage?: Storage): Promise<MaskedLM> =>
  maskedLM(await readCheckpoint(directory), storage);
