/** Templates that were written or searched by others. Nothing is trained. */
import type { Benchmark } from "../benchmark.ts";
import { loadTemplates, TEMPLATE_SETS } from "../facts/templates.ts";
import { type Method, untrained } from "./method.ts";
import type { OptionsOf, OptionTable } from "./options.ts";
import { readPrompts, TemplatePrompter } from "./shared/templates.ts";

const OPTIONS = {
  templates: {
    kind: "choice",
    value: "SET",
    help: "manual (LAMA's own), or a set of published ones that stands in the data's relation_metainfo/: LPAQA, AutoPrompt",
    initial: "manual",
    choices: ["manual", "LPAQA", "AutoPrompt"],
    structural: true,
  },
} as const satisfies OptionTable;

/** Rows of the tables by set. */
const ROWS: Readonly<Record<string, string>> = {
  manual: "Manual",
  LPAQA: "LPAQA (published)",
  AutoPrompt: "AutoPrompt (5 [T]s)",
};

export const template: Method = {
  name: "template",
  summary: "hand-written or published templates, one a relation; nothing is trained",
  scope: "all",
  options: OPTIONS,
  choices: {},
  prompts: "words",
  row: ({ templates }) => ROWS[templates] ?? String(templates),
  async open(benchmark: Benchmark, { templates: set }: OptionsOf<typeof OPTIONS>, saved?: string) {
    if (saved !== undefined) return new TemplatePrompter(benchmark, await readPrompts(saved));
    const known = TEMPLATE_SETS.find((name) => name === set);
    const templates = known
      ? await loadTemplates(benchmark.data, known)
      : new Map(benchmark.relations.map(({ id, template: own }) => [id, own]));
    return new TemplatePrompter(benchmark, templates);
  },
  train: untrained,
};
