/**
 * Candidate templates of relations, among which a method chooses.
 *
 * Layout (that of LPAQA):
 *
 *     prompt/manual_paraphrase/<relation>.txt           a template a line
 *     prompt/{mine,paraphrase}/<relation>.jsonl         {"template": ..., "weight": ...} a line; the weight is not read
 *
 * A relation may lack some of the three files. Its manual template is the first candidate, then they come in the order above.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { printable } from "../../models/errors.ts";
import type { Relation } from "./facts.ts";
import { listed } from "./left-out.ts";
import { readLines, readRows, unprintable } from "./rows.ts";
import { checkTemplate } from "./templates.ts";

/** A template and where it stands. */
type Candidate = { readonly template: string; readonly where: string };

/** Candidates by relation, each template once, and sentences about what was read and what was left out. */
export type Candidates = {
  readonly templates: ReadonlyMap<string, readonly string[]>;
  readonly remarks: readonly string[];
};

/** What is wrong with a template and the remedy, the end of a sentence; undefined where it can be asked. */
export type Problem = (template: string) => string | undefined;

type Known = Pick<Relation, "id" | "template">;

const SETS = [
  { folder: "manual_paraphrase", ending: "txt" },
  { folder: "mine", ending: "jsonl" },
  { folder: "paraphrase", ending: "jsonl" },
] as const;

const LAYOUT =
  "point --candidates at a folder in LPAQA's layout, with prompt/mine/P17.jsonl, prompt/paraphrase/P17.jsonl or prompt/manual_paraphrase/P17.txt";

/**
 * The candidates of relations under `root`, the folder that holds prompt/ or prompt/ itself.
 * @param problemOf what else makes a template one that cannot be asked
 * @throws one sentence for a folder or a relation without candidates, and for a line that cannot be read
 */
export async function loadCandidates(
  root: string,
  relations: readonly Known[],
  problemOf: Problem = () => undefined,
): Promise<Candidates> {
  const home = promptFolder(root);
  const found = new Map<string, readonly Candidate[]>();
  const manual = new Map<string, string>();
  for (const { id, template } of relations) {
    found.set(id, await relationCandidates(home, id));
    manual.set(id, template);
  }
  return chosen(found, manual, home, problemOf);
}

/**
 * The sentences that the masked LM of an embedded world was pre-trained on, as candidates: patterns.jsonl of the facts' folder,
 * one `{"relation", "pattern"}` a line.
 * @throws one sentence for a folder without the file and for a relation without a pattern that can be a template
 */
export async function loadPatternCandidates(
  data: string,
  relations: readonly Known[],
  problemOf: Problem = () => undefined,
): Promise<Candidates> {
  const path = join(data, "patterns.jsonl");
  const remedy =
    "only an embedded world tells what its masked LM was pre-trained on; use --pool candidates";
  const rows = await readRows(path, ["relation", "pattern"], remedy);
  const found = new Map<string, Candidate[]>(relations.map(({ id }) => [id, []]));
  for (const { row, line } of rows) {
    found.get(row.relation)?.push({ template: row.pattern.trim(), where: `${path}:${line}` });
  }
  return chosen(found, new Map(), path, problemOf);
}

function promptFolder(root: string): string {
  const found = statSync(root, { throwIfNoEntry: false });
  if (!found?.isDirectory()) {
    const what = found ? "is no folder" : "does not exist";
    throw new Error(`[candidates] ${root} ${what}; ${LAYOUT}`);
  }
  const inner = join(root, "prompt");
  const holds = (folder: string) => SETS.some((set) => existsSync(join(folder, set.folder)));
  const home = [inner, root].find(holds);
  if (home !== undefined) return home;
  throw new Error(
    `[candidates] ${existsSync(inner) ? inner : root} holds none of ${SETS.map(({ folder }) => `${folder}/`).join(", ")}; ${LAYOUT}`,
  );
}

async function relationCandidates(home: string, id: string): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  const files = SETS.map(({ folder, ending }) => join(home, folder, `${id}.${ending}`));
  const there = files.filter((path) => existsSync(path));
  if (there.length === 0) {
    throw new Error(
      `[candidates] there are none for ${id}: ${listed(files)} do not exist; add one of them, or leave ${id} out of --relations`,
    );
  }
  for (const path of there) {
    const read = path.endsWith(".txt") ? await textLines(path) : await jsonLines(path);
    candidates.push(...read);
  }
  return candidates;
}

async function textLines(path: string): Promise<Candidate[]> {
  const lines = await readLines(path, LAYOUT);
  return lines.flatMap((text, i) => {
    const where = `${path}:${i + 1}`;
    const template = text.trim();
    const what = unprintable(template);
    if (what !== undefined) throw new Error(`[candidates] ${where} has ${what}; remove it`);
    return template === "" ? [] : [{ template, where }];
  });
}

async function jsonLines(path: string): Promise<Candidate[]> {
  const rows = await readRows(path, ["template"], LAYOUT);
  return rows.map(({ row, line }) => ({ template: row.template.trim(), where: `${path}:${line}` }));
}

/**
 * What can be asked of each relation, each template once.
 * @param manual templates that come first, by relation
 */
function chosen(
  found: ReadonlyMap<string, readonly Candidate[]>,
  manual: ReadonlyMap<string, string>,
  from: string,
  problemOf: Problem,
): Candidates {
  const templates = new Map<string, readonly string[]>();
  const broken: string[] = [];
  let repeated = 0;
  let kept = 0;
  for (const [id, candidates] of found) {
    const first = manual.get(id);
    const own = new Set(first === undefined ? [] : [first]);
    const problems = new Map<string, string>();
    let good = 0;
    for (const { template, where } of candidates) {
      const problem = sentence(template, where, problemOf);
      if (problem === undefined) good++;
      if (own.has(template) || problems.has(template)) repeated++;
      else if (problem === undefined) own.add(template);
      else problems.set(template, problem);
    }
    broken.push(...problems.values());
    if (good === 0) {
      const why = [...problems.values(), "none is written there"][0];
      throw new Error(
        `[candidates] ${from} has none for ${id} that can be asked (${why}); write some with [X] and [Y] once, or leave ${id} out of --relations`,
      );
    }
    templates.set(id, [...own]);
    kept += own.size;
  }
  const twice = repeated === 0 ? "" : `, ${repeated} repeated`;
  const relations = `${found.size} ${found.size === 1 ? "relation" : "relations"}`;
  const remarks = [`[candidates] ${kept} templates for ${relations} from ${from}${twice}`];
  if (broken.length > 0) {
    remarks.push(
      `[candidates] ${broken.length} of ${kept + broken.length} templates cannot be asked and are left out, as ${broken[0]}`,
    );
  }
  return { templates, remarks };
}

/** Why a template cannot be asked, with where it stands; undefined where it can. */
function sentence(template: string, where: string, problemOf: Problem): string | undefined {
  try {
    checkTemplate(template, where);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  const problem = problemOf(template);
  return problem && `[${where}] ${JSON.stringify(printable(template))} ${problem}`;
}
