/** LM-BFF's beam search beside a golden that PyTorch computed in float64, with every hypothesis decoded anew (tools/reference_lmbff.py). */
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  AverageGenerator,
  type AverageSearch,
  type Hypothesis,
} from "../../../../models/generation/average.ts";
import { seq2Seq } from "../../../../models/registry.ts";
import { loadTokenizer } from "../../../../models/tokenizer/tokenizer.ts";
import { bartWriter, t5Writer } from "../../../../promptgen/methods/lm-bff/writers.ts";
import { onDevices } from "../../../devices.ts";
import { goldenCheckpoint, goldenFolder, goldenText } from "../../../models/parity.ts";

const test = suite("LM-BFF search");
const each = await onDevices("LM-BFF search");

type Golden = {
  readonly facts: readonly { readonly subject: string; readonly object: string }[];
  readonly encoded: readonly (readonly number[])[];
  readonly beam: number;
  readonly steps: number;
  readonly choices: number;
  readonly beams: readonly Hypothesis[];
  readonly without?: readonly Hypothesis[];
  readonly templates: readonly (string | null)[];
};

async function goldenOf(name: "lm-bff" | "lm-bff-bart") {
  const golden: Golden = JSON.parse(goldenText(`${name}/golden.json`));
  const tokenizer = await loadTokenizer(goldenFolder(name));
  const lm = seq2Seq(goldenCheckpoint(name));
  const writer = (name === "lm-bff" ? t5Writer : bartWriter)(lm, tokenizer, name);
  const { beam: beams, steps, choices } = golden;
  const settings = { ...writer.search(golden.facts), beams, steps, choices };
  const texts = golden.facts.map((fact) => writer.source(fact));
  return { golden, tokenizer, lm, writer, settings, texts };
}

const t5 = await goldenOf("lm-bff");
const bart = await goldenOf("lm-bff-bart");

function close(found: readonly Hypothesis[] | undefined, wanted: readonly Hypothesis[]): void {
  assert.equal(
    found?.map(({ ids, ended }) => ({ ids, ended })),
    wanted.map(({ ids, ended }) => ({ ids, ended })),
  );
  wanted.forEach(({ logLikelihood }, i) => {
    const own = found?.[i].logLikelihood ?? Number.NaN;
    assert.ok(Math.abs(own - logLikelihood) < 1e-4, `${i}: ${own}, wanted ${logLikelihood}`);
  });
}

for (const [name, own] of Object.entries({ t5, bart })) {
  test(`${name}: facts are read as Python's tokenizers reads them, and texts are the templates that it writes`, () => {
    assert.equal(own.texts, own.golden.encoded);
    assert.equal(
      own.golden.beams.map(({ ids }) => own.writer.template(ids) ?? null),
      own.golden.templates,
    );
  });

  each(`${name}: the beams and their log-likelihoods are PyTorch's`, async (device) => {
    const { lm, texts, settings, golden } = own;
    close(await new AverageGenerator(device, lm).search(texts, settings), golden.beams);
  });
}

each("without the rules about spaces and periods too", async (device) => {
  const { lm, texts, settings, golden, tokenizer } = t5;
  const ends = ["<extra_id_1>", "<extra_id_2>", "</s>"].map((token) => tokenizer.id(token));
  const follow: AverageSearch["follow"] = (ids, id) => {
    let part = 0;
    for (const one of [...ids, id]) if (one === ends[part] || one === ends[2]) part++;
    return part > 1 ? "ended" : "open";
  };
  const generator = new AverageGenerator(device, lm);
  close(await generator.search(texts, { ...settings, follow }), golden.without ?? []);
});

each(
  "neither how many texts are decoded together nor a stop between steps changes anything",
  async (device) => {
    const { lm, texts, settings, golden } = t5;
    const generator = new AverageGenerator(device, lm);
    // a mean over each text seven times is the mean; 49 texts of 20 hypotheses are more than one run
    const many = Array.from({ length: 7 }, () => texts).flat();
    close(await generator.search(many, settings), golden.beams);
    const stop = new AbortController();
    let from: AverageSearch["from"];
    const stopped = await generator.search(texts, {
      ...settings,
      signal: stop.signal,
      onStep(step, hypotheses) {
        from = { step, hypotheses };
        if (step === 4) stop.abort("test");
      },
    });
    assert.is(stopped, undefined);
    assert.is(from?.step, 4);
    const whole = await generator.search(texts, settings);
    assert.equal(await generator.search(texts, { ...settings, from }), whole);
  },
);

test.run();
each.run();
