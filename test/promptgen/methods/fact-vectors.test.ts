/** Vectors of each fact (IDPG, instance-aware prompts): whose they are, resume, what is saved, what is refused. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as assert from "uvu/assert";
import { read } from "../../../engine/compile.ts";
import type { Device } from "../../../engine/device.ts";
import { concat } from "../../../engine/ops/shape.ts";
import { tensor } from "../../../engine/tensor.ts";
import { RunFolder } from "../../../models/training/run-folder.ts";
import { itemsOf } from "../../../promptgen/benchmark.ts";
import { methodOf } from "../../../promptgen/methods/index.ts";
import type { Options } from "../../../promptgen/methods/options.ts";
import {
  FactVectorsPrompter,
  type Network,
} from "../../../promptgen/methods/shared/fact-vectors.ts";
import {
  bestPrompter,
  examinerOf,
  type Prepared,
  prepare,
  runOptions,
  savedPrompter,
  trainRun,
} from "../../../promptgen/run.ts";
import { beginRun } from "../../../promptgen/run-file.ts";
import { onDevices } from "../../devices.ts";
import { closeForward, goldenFolder } from "../../models/parity.ts";

const test = await onDevices("vectors of each fact");
const home = mkdtempSync(join(tmpdir(), "promptgen-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));

const METHODS: Readonly<Record<string, Options>> = {
  idpg: { vectors: 2, bottleneck: 4 },
  "instance-prompt": { vectors: 2, head: 4 },
};

const load = (method: string, more: Options = {}): Promise<Prepared> =>
  prepare(
    runOptions({
      method,
      reader: goldenFolder("vectors/bert"),
      data: goldenFolder("vectors/data"),
      "batch-size": 3,
      epochs: 2,
      lr: 0.05,
      seed: 3,
      ...METHODS[method],
      ...more,
    }),
  );

function prompterOf({ prompter }: Pick<Prepared, "prompter">): FactVectorsPrompter {
  if (prompter instanceof FactVectorsPrompter) return prompter;
  throw new Error("it is no prompter of vectors of facts");
}

let runs = 0;
async function trained(
  device: Device,
  run: Prepared,
  more: { folder?: RunFolder; after?: number; identity?: string } = {},
) {
  const resume = more.folder !== undefined;
  const folder = more.folder ?? new RunFolder(join(home, `run ${runs++}`));
  const identity = more.identity ?? (await beginRun(folder, run)).identity;
  const stop = new AbortController();
  let steps = 0;
  const outcome = await trainRun(run, {
    device,
    folder,
    resume,
    identity,
    saveEvery: 2,
    signal: stop.signal,
    onStep() {
      if (++steps === more.after) stop.abort();
    },
  });
  return { folder, outcome, identity };
}

const filesOf = (method: string, folder: RunFolder): Buffer[] =>
  (method === "idpg" ? ["best"] : ["R1/best", "R2/best"]).map((path) =>
    readFileSync(folder.file(`${path}/network.safetensors`)),
  );

const logsOf = (method: string, folder: RunFolder): string[] =>
  (method === "idpg" ? [""] : ["R1/", "R2/"]).map((path) =>
    readFileSync(folder.file(`${path}log.jsonl`), "utf8"),
  );

for (const method of Object.keys(METHODS)) {
  test(`${method}: a padded batch asks as each question alone, with the own subject's vectors`, async (device) => {
    const run = await load(method);
    const prompter = prompterOf(run);
    const { network, benchmark } = prompter;
    const { reader, tokenizer, encode, relations } = benchmark;
    prompter.start(device, 3, 17);
    const items = relations.flatMap((relation) => itemsOf([relation], "dev").slice(0, 2));
    const asked = items.map((item) => ({ ...item, subjects: [item.fact.subject, "None", "Vex"] }));
    const most = Math.max(...asked.map((one) => prompter.width(one))) + 2;
    const { logits, trace } = prompter.predict(prompter.collate(asked, most, 5));
    const [got, near] = await read(device, [logits, trace.nearest]);
    assert.is(near.length, 5 * network.count);
    const states = Object.fromEntries(
      Object.keys(network.parameters).map((name, i) => [name, prompter.parameters[i]]),
    );
    const size = got.length / 15;
    const rows = (ids: readonly number[]) => tensor(Uint32Array.from(ids), [1, ids.length]);
    for (const [b, item] of items.entries()) {
      const { ids, place } = network.query(item);
      const query = rows(ids);
      const mask = tensor(new Uint32Array(ids.length).fill(1), [1, ids.length]);
      const queries = { ids: query, mask, places: tensor(Uint32Array.of(place)) };
      const vectors = network.vectors(queries, states);
      for (const [s, subject] of asked[b].subjects.entries()) {
        const head = reader.lm.embed(rows([tokenizer.cls, ...encode(subject)]));
        const end = reader.lm.embed(rows([tokenizer.mask, tokenizer.id("."), tokenizer.sep]));
        const at = head.shape[1] + network.count;
        const embeds = concat([head, vectors, end], 1);
        const [want] = await read(device, [reader.lm.logits(reader.lm.encode({ embeds }, {}, at))]);
        const row = got.subarray((s * 5 + b) * size, (s * 5 + b + 1) * size);
        closeForward([{ name: `${item.fact.subject} asked with ${subject}`, got: row, want }]);
      }
    }
  });

  test(`${method}: stopped after any step and gone on with, and trained again, the bits are the same`, async (device) => {
    const whole = await trained(device, await load(method));
    assert.is(whole.outcome.finished, true);
    const again = await trained(device, await load(method));
    assert.equal(filesOf(method, again.folder), filesOf(method, whole.folder));
    const run = await load(method);
    for (const after of [1, 3, whole.outcome.steps - 1]) {
      const cut = await trained(device, run, { after });
      assert.is(cut.outcome.finished, false);
      const { outcome } = await trained(device, run, cut);
      assert.equal(outcome, whole.outcome, `${after}`);
      assert.equal(filesOf(method, cut.folder), filesOf(method, whole.folder), `${after}`);
      assert.equal(logsOf(method, cut.folder), logsOf(method, whole.folder), `${after}`);
    }
    const other = await trained(device, await load(method, { seed: 4 }));
    assert.not.equal(filesOf(method, other.folder), filesOf(method, whole.folder));
  });

  test(`${method}: saved and opened again, it answers the same`, async (device) => {
    const run = await load(method);
    const { folder } = await trained(device, run);
    const items = itemsOf(run.benchmark.relations.slice(0, 1), "test");
    const best = await bestPrompter(run, device, folder);
    await best.select?.(device, run.benchmark.relations[0]);
    const want = await examinerOf(device, run).ask(items);
    const saved = savedPrompter(run.method, folder) ?? folder.file("R1/best");
    const opened = await methodOf(method).open(run.benchmark, run.options.own, saved);
    const got = await examinerOf(device, { ...run, prompter: opened }).ask(items);
    assert.equal(got, want);
    assert.match(want?.[0].prompt ?? "", /^\[X\] <.+> <.+> \[Y\] \.$/);
    const prompts = new Set(want?.map(({ prompt }) => prompt));
    if (method === "idpg") assert.ok(prompts.size > 1, "each fact has vectors of its own");
    else assert.is(prompts.size, 1);
    const others = await load(method, { vectors: 3 });
    const refused = await others.prompter.restore(device, saved).then(
      () => "",
      (error) => error.message,
    );
    assert.match(
      refused,
      /network\.safetensors does not hold (up\.weight \[72,4\]|embeddings \[3,24\]); use the reader and the options/,
    );
  });
}

test("too many vectors for the masked LM's positions, and facts that are too long", async () => {
  const said = (of: Promise<unknown>): Promise<string> =>
    of.then(
      () => "",
      (error) => error.message,
    );
  for (const method of Object.keys(METHODS)) {
    assert.match(
      await said(load(method, { vectors: 20 })),
      /\[(idpg|instance-prompt)\] 20 vectors .*24 positions; use fewer vectors/,
    );
  }
  const run = await load("idpg", { vectors: 18 });
  assert.is(run.prompter.limit, 2); // [CLS], 18 vectors, [MASK], the period and [SEP] leave two
  const short = run.benchmark.relations.flatMap((own) => own.train.map(({ subject }) => subject));
  assert.ok(short.includes("Korin") && !short.includes("North Korda"));
  assert.ok(run.remarks.some((remark) => /too long for the models' positions/.test(remark)));
});

test("a query that is longer than any of the benchmark's goes into a wider bucket", async () => {
  const prompter = prompterOf(await load("idpg"));
  const { network, benchmark } = prompter;
  const [relation] = benchmark.relations;
  const fact = { subject: "Korin Belda Mira Tal", object: "Peru" };
  const asked = { relation, fact, subjects: ["None"] };
  const width = prompter.width(asked);
  const { query } = prompter.collate([asked], width, 1);
  const ids: Network["query"] = (item) => network.query(item);
  assert.ok(query.shape[1] >= ids(asked).ids.length);
});

test.run();
