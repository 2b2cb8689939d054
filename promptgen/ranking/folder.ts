/**
 * The folder of a ranking.
 *
 *     rank.json    who scored (fingerprint of the model, kind of likelihood) and, by relation, what of: a fingerprint of the facts
 *                  and templates, of the file, and the answer space
 *     ID.jsonl     one line a fact and template, see `RankRow`
 *
 * A relation is there when rank.json has it: its file is written before, each of the two whole or not at all. So a ranking that was
 * stopped goes on with the relations that are left.
 */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeWhole } from "../../models/formats/files.ts";
import { textFingerprint } from "../training/fingerprint.ts";
import type { RankRow } from "./rank.ts";
import type { RankedRelation } from "./statements.ts";

/** Who scores: what all relations of a folder share. */
export type RankedBy = {
  /** `modelFingerprint`. */
  readonly model: string;
  /** `Scorer.kind`. */
  readonly kind: string;
};

type Entry = {
  /** Of facts, templates and answers, and how many of them were asked. */
  readonly asked: string;
  /** Of the relation's file. */
  readonly file: string;
  readonly templates: readonly string[];
  readonly answers: readonly string[];
};

type Index = RankedBy & { readonly relations: Readonly<Record<string, Entry>> };

const INDEX = "rank.json";

/** What of a relation is asked. */
export type AskedOf = {
  readonly relation: RankedRelation;
  readonly templates: readonly number[];
  readonly limit?: number | undefined;
};

const askedOf = ({ relation, templates, limit }: AskedOf): string => {
  const facts = relation.facts.slice(0, limit);
  const chosen = templates.map((i) => [i, relation.templates[i]]);
  const { id, answers, capitalize } = relation;
  return textFingerprint(JSON.stringify([id, chosen, capitalize, answers, facts]));
};

/** Relations that were ranked by one scorer. */
export class RankFolder {
  readonly path: string;
  #index: Index;

  private constructor(path: string, index: Index) {
    this.path = path;
    this.#index = index;
  }

  /** Opens a folder; one that holds nothing yet is a new one. @throws one sentence where another scorer wrote there */
  static async open(path: string, by: RankedBy): Promise<RankFolder> {
    const file = join(path, INDEX);
    if (!existsSync(file)) return new RankFolder(path, { ...by, relations: {} });
    const found = parsed(await readFile(file, "utf8"));
    if (typeof found?.model !== "string" || Object(found.relations) !== found.relations) {
      throw new Error(`[ranking] ${file} is not what was written; name another --out`);
    }
    const differs = found.model === by.model ? "kind of likelihood" : "model";
    if (found.model !== by.model || found.kind !== by.kind) {
      throw new Error(
        `[ranking] ${path} was ranked by another ${differs}${differs === "model" ? "" : ` (${found.kind}, not ${by.kind})`}; name another --out`,
      );
    }
    return new RankFolder(path, found);
  }

  /**
   * The rows of a relation that is done; undefined for one that is not.
   * @throws one sentence where it was asked about something else, or the file is not what was written
   */
  async rows(asked: AskedOf): Promise<RankRow[] | undefined> {
    const { id } = asked.relation;
    if (!Object.hasOwn(this.#index.relations, id)) return undefined;
    const entry = this.#index.relations[id];
    if (entry.asked !== askedOf(asked)) {
      throw new Error(
        `[ranking] ${this.path} has ${id} with other facts, templates or --limit; name another --out`,
      );
    }
    const file = this.#file(id);
    const text = existsSync(file) ? await readFile(file, "utf8") : "";
    if (textFingerprint(text) !== entry.file) {
      throw new Error(
        `[ranking] ${file} is not what was written; put it back, or name another --out`,
      );
    }
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  }

  /** Writes the rows of a relation, which is done then. */
  async save(asked: AskedOf, rows: readonly RankRow[]): Promise<void> {
    const { id, templates, answers } = asked.relation;
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join("");
    await writeWhole(this.#file(id), text);
    const entry: Entry = { asked: askedOf(asked), file: textFingerprint(text), templates, answers };
    this.#index = { ...this.#index, relations: { ...this.#index.relations, [id]: entry } };
    await writeWhole(join(this.path, INDEX), `${JSON.stringify(this.#index, null, 1)}\n`);
  }

  #file(id: string): string {
    return join(this.path, `${id}.jsonl`);
  }
}

function parsed(text: string): Index | undefined {
  try {
    return Object(JSON.parse(text));
  } catch {
    return undefined;
  }
}
