/** Every method, in the order of the tables. A new one is a file beside this and a row in the list. */
import { autoprompt } from "./autoprompt/index.ts";
import { fineTune } from "./fine-tune.ts";
import { idpg } from "./idpg.ts";
import { instancePrompt } from "./instance-prompt.ts";
import { lmBff, lmBffBart } from "./lm-bff/index.ts";
import { ensemble } from "./lpaqa/ensemble.ts";
import { lpaqa } from "./lpaqa/index.ts";
import { majority } from "./majority.ts";
import type { Method } from "./method.ts";
import { chooseAmong } from "./options.ts";
import { optiprompt } from "./optiprompt.ts";
import { ownPatterns } from "./own-pattern.ts";
import { promptgen } from "./promptgen/index.ts";
import { template } from "./template.ts";

export const METHODS: readonly Method[] = [
  majority,
  template,
  lpaqa,
  ensemble,
  lmBff,
  lmBffBart,
  autoprompt,
  optiprompt,
  promptgen,
  idpg,
  instancePrompt,
  fineTune,
  ownPatterns,
];

/** The method of a name. Throws one sentence for a name that is none. */
export function methodOf(name: string): Method {
  const found = METHODS.find((method) => method.name === name);
  if (found) return found;
  const names = METHODS.map((method) => method.name);
  throw new Error(`[method] there is no method ${name}; ${chooseAmong(names, name)}`);
}
