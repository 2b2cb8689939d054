import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { embeddedWorld } from "../../promptgen/world/world.ts";
import { onDevices } from "../devices.ts";
import { COMMITS } from "../models/hub/server.ts";
import { goldenText } from "../models/parity.ts";
import { printedBy, refuses, run, withHub } from "./command.ts";

const test = suite("infill");
const each = await onDevices("infill");
const TOOL = "infill.ts";

type Written = {
  readonly text: string;
  readonly filled: string;
  readonly score: number;
  readonly ids: number[];
};
const golden: (Written & { beams: number })[] = JSON.parse(
  goldenText("generate/commands.json"),
).infill;
const of = (beams: number) => golden.filter((written) => written.beams === beams);
const world = embeddedWorld().bart;
const cpu = ["--device", "cpu"];

each("what transformers writes, greedily and with beams", async (_, name) => {
  for (const beams of [1, 4]) {
    const wanted = of(beams);
    const options = ["--device", name, "--model", world, "--beams", String(beams), "--json"];
    const out = await printedBy(TOOL, [...options, ...wanted.map(({ text }) => text)]);
    const got: Written[] = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      got.map(({ text, filled, ids }) => ({ text, filled, ids })),
      wanted.map(({ text, filled, ids }) => ({ text, filled, ids })),
    );
    got.forEach(({ score }, i) => {
      assert.ok(Math.abs(score - wanted[i].score) < 1e-4, `${score}, ${wanted[i].score}`);
    });
  }
});

test("the filled text alone; lines of stdin; a length that cuts", async () => {
  const input = `${of(1)
    .map(({ text }) => text)
    .join("\n")}\n`;
  const filled = of(1).map(({ filled }) => `${filled}\n`);
  assert.equal(await printedBy(TOOL, [...cpu, "-"], { input }), filled.join(""));
  const short = await printedBy(TOOL, [...cpu, "--max-length", "6", of(1)[0].text]);
  assert.equal(short, "Paris is the\n");
});

test("a name on the Hub; its generation_config.json counts, the command line more", async () => {
  const models = {
    "tiny/bart": {
      folder: world,
      more: { "generation_config.json": { num_beams: 4, max_length: 40, forced_eos_token_id: 2 } },
    },
    "tiny/broken": { folder: world, more: { "generation_config.json": { num_beams: "four" } } },
  };
  await withHub(models, async ({ cache, env }) => {
    const { text, filled } = of(4)[2];
    assert.notEqual(filled, of(1)[2].filled);
    const first = await run(TOOL, [...cpu, "--model", "tiny/bart", text], { env });
    assert.deepEqual([first.code, first.out], [0, `${filled}\n`], first.error);
    assert.match(first.error, /^tiny\/bart \d+\/\d+ MB /);
    const snapshot = join(cache, "models--tiny--bart", "snapshots", COMMITS[0]);
    assert.ok(existsSync(join(snapshot, "generation_config.json")), readdirSync(snapshot).join());
    const greedy = [...cpu, "--model", "tiny/bart", "--beams", "1", text];
    assert.equal(await printedBy(TOOL, greedy, { env }), `${of(1)[2].filled}\n`);
    const broken = await run(TOOL, [...cpu, "--model", "tiny/broken", text], { env });
    assert.equal(broken.code, 1);
    assert.match(
      broken.error,
      /error \[config\] .*generation_config\.json: num_beams is "four" where/,
    );
  });
});

test("mistakes are answered in one sentence", async () => {
  const { text } = golden[0];
  const { bert } = embeddedWorld();
  await refuses(TOOL, [], /\[infill\] there is no text; write it in quotes/);
  await refuses(
    TOOL,
    ["a [MASK] ."],
    /"a \[MASK\] \." has a \[MASK\], but this model's mask is <mask>/,
  );
  await refuses(TOOL, [text, "--beams", "0"], /--beams is 0; give a whole number of 1 or more/);
  await refuses(
    TOOL,
    [text, "--max-length", "129"],
    /--max-length is 129; give a whole number from 2/,
  );
  await refuses(TOOL, [text, "--max-length", "1"], /--max-length is 1; give a whole number from 2/);
  await refuses(
    TOOL,
    ["a ".repeat(200)],
    /has \d+ tokens with those around it, the model reads 128;/,
  );
  await refuses(
    TOOL,
    [text, "--model", bert],
    /config\.json: model_type is "bert", a masked LM; the encoder-decoders that are supported are bart/,
  );
  await refuses(
    TOOL,
    [text, "--model", "nowhere at all"],
    /\[hub\] there is no directory "nowhere/,
  );
});

test("--help teaches and ends with code 0", async () => {
  const help = await printedBy(TOOL, ["--help"]);
  assert.match(help, /npx promptgen infill --model facebook\/bart-large --beams 4 "/);
  assert.match(help, /--max-length N [^(]*\(default the model's\s+own/);
});

test.run();
each.run();
