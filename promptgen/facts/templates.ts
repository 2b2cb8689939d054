/**
 * Relation templates: a sentence with [X] for the subject and [Y] for the object.
 *
 * Files are those of the OptiPrompt archive:
 * `relation_metainfo/{LAMA,LPAQA,AutoPrompt}_relations.jsonl`, one `{"relation": "P17", "template":
 * "[X] is located in [Y] ."}` a line.
 */
import { join } from "node:path";
import { readRows } from "./rows.ts";

/** The sets of templates of the benchmark: manual, mined and paraphrased, searched. */
export const TEMPLATE_SETS = ["LAMA", "LPAQA", "AutoPrompt"] as const;
export type TemplateSet = (typeof TEMPLATE_SETS)[number];

/** Other spellings of a slot. */
const SPELLED = { "[X]": /[[({<]\s*x\s*[\])}>]/gi, "[Y]": /[[({<]\s*y\s*[\])}>]/gi };

/**
 * Returns `text` when it holds [X] and [Y] exactly once each, else throws.
 * `where` names its origin in the message.
 */
export function checkTemplate(text: string, where = "template"): string {
  for (const [slot, role] of [
    ["[X]", "subject"],
    ["[Y]", "object"],
  ] as const) {
    const times = text.split(slot).length - 1;
    if (times !== 1) {
      const near = text.match(SPELLED[slot])?.find((one) => one !== slot);
      const meant = times === 0 && near !== undefined ? ` (but ${near})` : "";
      throw new Error(
        `[${where}] ${JSON.stringify(text)} holds ${slot} ${times === 0 ? "nowhere" : `${times} times`}${meant}; ` +
          `write it once, where the ${role} goes`,
      );
    }
  }
  return text;
}

/**
 * The sentence of a template: [X] becomes `subject`, [Y] becomes `object` (a word or a model's mask
 * token). An empty subject takes the blank behind it away, or the one before it where the sentence ends.
 */
export function fill(template: string, subject: string, object: string): string {
  const text = checkTemplate(template);
  return filledIn(subject === "" ? text.replace(/\[X\] | ?\[X\]$/, "[X]") : text, subject, object);
}

/** As `fill`, for a part of a template, which may lack a place. */
export function filledIn(part: string, subject: string, object: string): string {
  // one pass and functions: a subject may itself hold "[Y]" or "$&"
  return part.replace(/\[[XY]\]/g, (slot) => (slot === "[X]" ? subject : object));
}

/**
 * Templates by relation, in the file's order. Throws for a broken line (file and line), a repeated
 * relation or a bad template.
 */
export async function loadTemplates(root: string, set: TemplateSet): Promise<Map<string, string>> {
  const path = join(root, "relation_metainfo", `${set}_relations.jsonl`);
  const templates = new Map<string, string>();
  const rows = await readRows(path, ["relation", "template"]);
  if (rows.length === 0) {
    throw new Error(`[templates] ${path} holds no templates; write one with its relation a line`);
  }
  for (const { row, line } of rows) {
    if (templates.has(row.relation)) {
      throw new Error(
        `[templates] ${path}:${line} repeats relation ${row.relation}; keep one of them`,
      );
    }
    templates.set(row.relation, checkTemplate(row.template, `${path}:${line}`));
  }
  return templates;
}
