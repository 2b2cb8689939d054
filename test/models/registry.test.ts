/** What can be loaded: each type by its role, with a sentence for every other; and each has a tokenizer that can be read. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { AlbertForMaskedLM } from "../../models/albert.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import { DistilBertForMaskedLM } from "../../models/distilbert.ts";
import { ElectraForMaskedLM } from "../../models/electra.ts";
import { ModelError } from "../../models/errors.ts";
import { GPT2LMHeadModel } from "../../models/gpt2.ts";
import { ModernBertForMaskedLM } from "../../models/modernbert.ts";
import {
  causalLM,
  loadCausalLM,
  loadMaskedLM,
  loadSeq2Seq,
  MODELS,
  maskedLM,
  modelType,
  seq2Seq,
} from "../../models/registry.ts";
import { RobertaForMaskedLM } from "../../models/roberta.ts";
import { T5ForConditionalGeneration } from "../../models/t5.ts";
import { createTokenizer } from "../../models/tokenizer/tokenizer.ts";
import { XLMRobertaForMaskedLM } from "../../models/xlm-roberta.ts";
import { goldenFolder } from "./parity.ts";

/** Types whose older files are a SentencePiece model, which is no text, or that never had any. */
const WHOLE_ONLY = ["t5", "albert", "xlm-roberta", "modernbert"];

const of = (config: Record<string, unknown>) => ({ where: "x", config, tensors: new Map() });

function messageOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.instance(error, ModelError);
    return error instanceof Error ? error.message : "";
  }
  return "it loads";
}

test("each type gives its class", async () => {
  assert.instance(await loadMaskedLM(goldenFolder("bert")), BertForMaskedLM);
  assert.instance(await loadMaskedLM(goldenFolder("roberta")), RobertaForMaskedLM);
  assert.instance(await loadMaskedLM(goldenFolder("distilbert")), DistilBertForMaskedLM);
  assert.instance(await loadMaskedLM(goldenFolder("albert")), AlbertForMaskedLM);
  assert.instance(await loadMaskedLM(goldenFolder("electra")), ElectraForMaskedLM);
  assert.instance(await loadMaskedLM(goldenFolder("xlm-roberta")), XLMRobertaForMaskedLM);
  assert.instance(await loadMaskedLM(goldenFolder("modernbert")), ModernBertForMaskedLM);
  assert.instance(await loadSeq2Seq(goldenFolder("bart")), BartForConditionalGeneration);
  assert.instance(await loadSeq2Seq(goldenFolder("t5")), T5ForConditionalGeneration);
  assert.instance(await loadCausalLM(goldenFolder("gpt2")), GPT2LMHeadModel);
});

test("a model_type that is not known, or of another role", () => {
  const supported = {
    masked:
      "; the masked LMs that are supported are bert, roberta, distilbert, albert, electra, xlm-roberta, modernbert",
    both: "; the encoder-decoders that are supported are bart, t5",
    causal: "; the causal LMs that are supported are gpt2",
  };
  const says = (load: (checkpoint: ReturnType<typeof of>) => unknown, config: object) =>
    messageOf(() => load(of({ ...config })));
  for (const [load, those] of [
    [maskedLM, supported.masked],
    [seq2Seq, supported.both],
    [causalLM, supported.causal],
  ] as const) {
    for (const type of ["xlnet", "constructor", ["bert"]]) {
      const given = JSON.stringify(type);
      const want = `[config] x/config.json: model_type is ${given}${those}`;
      assert.is(says(load, { model_type: type }), want);
    }
    for (const config of [{}, { architectures: "Bert" }, { architectures: ["Bertram"] }]) {
      assert.match(
        says(load, config),
        /^\[config\] x\/config\.json has no model_type, and neither its architectures nor the names of the weights tell it; write one into it, as in "model_type": "\w+" \(/,
      );
      assert.ok(says(load, config).endsWith(`${those.slice(2)})`));
    }
  }
  const at = "[config] x/config.json: model_type is";
  assert.is(says(seq2Seq, { model_type: "bert" }), `${at} "bert", a masked LM${supported.both}`);
  assert.is(
    says(causalLM, { model_type: "bart" }),
    `${at} "bart", an encoder-decoder${supported.causal}`,
  );
  assert.is(
    says(maskedLM, { architectures: ["GPT2LMHeadModel"] }),
    `${at} "gpt2", a causal LM${supported.masked}`,
  );
});

test("a class refuses the config of another type", () => {
  assert.match(
    messageOf(() => BartForConditionalGeneration.from(of({ model_type: "t5" }))),
    'model_type is "t5" where "bart", the one that is supported, is expected',
  );
});

test("files of before 2020 name their type by the class that was saved", () => {
  const found = (name: string) =>
    modelType({ config: { architectures: [name] }, tensors: new Map() });
  assert.is(found("BertForPreTraining"), "bert");
  assert.is(found("RobertaForMaskedLM"), "roberta");
  assert.is(found("BartModel"), "bart");
  assert.is(found("GPT2LMHeadModel"), "gpt2");
  assert.is(found("T5ForConditionalGeneration"), "t5");
  assert.is(found("DistilBertForMaskedLM"), "distilbert");
  assert.is(found("AlbertForPreTraining"), "albert");
  assert.is(found("ElectraForMaskedLM"), "electra");
  assert.is(found("XLMRobertaForMaskedLM"), "xlm-roberta");
  assert.is(found("ModernBertForMaskedLM"), "modernbert");
  assert.is(found("MobileBertForMaskedLM"), undefined);
  assert.is(
    modelType({
      config: { model_type: "bart", architectures: ["BertModel"] },
      tensors: new Map(),
    }),
    "bart",
  );
});

test("the older files of a tokenizer are read for every type whose tokenizer had such", () => {
  const words = ["[UNK]", "[CLS]", "[SEP]", "[MASK]", "[PAD]"];
  const pieces = ["<s>", "</s>", "<unk>", "<pad>", "<mask>", "<|endoftext|>"];
  for (const model_type of Object.keys(MODELS)) {
    const files = {
      "config.json": JSON.stringify({ model_type }),
      "vocab.txt": words.join("\n"),
      "vocab.json": JSON.stringify(Object.fromEntries(pieces.map((token, id) => [token, id]))),
      "merges.txt": "",
    };
    if (WHOLE_ONLY.includes(model_type)) {
      assert.match(
        messageOf(() => createTokenizer(files)),
        `has no tokenizer.json, which its model_type "${model_type}" in config.json needs`,
      );
      continue;
    }
    const wordpiece = ["bert", "distilbert", "electra"].includes(model_type);
    assert.is(createTokenizer(files).kind, wordpiece ? "wordpiece" : "bpe", model_type);
  }
});

test.run();
