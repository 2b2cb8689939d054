/** Fields of config.json that every model refuses, remarks or takes under a second name; ids that are no rows. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { albertConfig } from "../../models/albert.ts";
import { electraConfig } from "../../models/electra.ts";
import { generationConfig } from "../../models/generation/generate.ts";
import { modernBertConfig } from "../../models/modernbert.ts";
import { MODELS } from "../../models/registry.ts";
import { goldenCheckpoint, goldenText } from "./parity.ts";

const FOLDERS = {
  bert: "bert",
  roberta: "eps/roberta",
  distilbert: "distilbert",
  albert: "albert",
  electra: "electra",
  "xlm-roberta": "xlm-roberta",
  modernbert: "modernbert",
  bart: "bart",
  gpt2: "gpt2",
} as const;
type Kind = keyof typeof FOLDERS;
const KINDS = Object.keys(FOLDERS) as Kind[];

/** What loading with other fields says: the error's sentence, or the remarks. */
function saidOf(kind: Kind, fields: Readonly<Record<string, unknown>>, without: string[] = []) {
  const { config, tensors } = goldenCheckpoint(FOLDERS[kind]);
  const changed: Record<string, unknown> = { ...config, ...fields };
  for (const name of without) delete changed[name];
  try {
    return MODELS[kind].from({ where: "x", config: changed, tensors }).weights.remarks;
  } catch (error) {
    return (error as Error).message;
  }
}

const rowsOf = (kind: Kind) => Number(goldenCheckpoint(FOLDERS[kind]).config.vocab_size);

test("every *_token_id is a row of the table of words", () => {
  const names = ["bos", "eos", "pad", "mask", "sep", "decoder_start", "forced_bos", "forced_eos"];
  for (const kind of KINDS) {
    const rows = rowsOf(kind);
    for (const name of names.map((one) => `${one}_token_id`)) {
      const last = name === "pad_token_id" ? [] : [rows - 1]; // RoBERTa's positions begin behind it
      for (const id of [0, ...last, null]) assert.equal(saidOf(kind, { [name]: id }), [], name);
      for (const id of [rows, 99_999]) {
        assert.is(
          saidOf(kind, { [name]: id }),
          `[config] x/config.json: ${name} ${id} is no row of the table of words, which has ${rows}: use a config.json of the model that it names`,
        );
      }
      assert.match(String(saidOf(kind, { [name]: -1 })), name);
    }
    const both = saidOf(kind, { mask_token_id: rows, sep_token_id: [1, 2 * rows] });
    assert.match(String(both), `mask_token_id ${rows} is no row`);
    assert.match(String(both), `sep_token_id ${2 * rows} is no row`);
  }
});

test("what is not computed is refused by name, its neutral value is not", () => {
  const neutral = { pruned_heads: {}, quantization_config: null, chunk_size_feed_forward: 64 };
  for (const kind of KINDS) {
    assert.equal(saidOf(kind, { ...neutral, torchscript: true, classifier_dropout: 0.3 }), []);
    for (const [name, value] of [
      ["pruned_heads", { 0: [1] }],
      ["quantization_config", { bits: 4 }],
      ["per_layer_config", [{}]],
    ] as const) {
      assert.is(
        saidOf(kind, { [name]: value }),
        `[config] x/config.json: ${name} ${JSON.stringify(value)} is not computed here: use a config.json of the model that it names`,
      );
    }
  }
  const cases: [Kind, string, unknown, unknown][] = [
    ["bert", "is_decoder", false, true],
    ["bert", "add_cross_attention", false, true],
    ["bert", "position_embedding_type", "absolute", "relative_key"],
    ["roberta", "is_encoder_decoder", false, true],
    ["roberta", "position_embedding_type", "absolute", "relative_key_query"],
    ["distilbert", "is_encoder_decoder", false, true],
    ["distilbert", "position_embedding_type", "absolute", "relative_key"],
    ["albert", "position_embedding_type", "absolute", "relative_key_query"],
    ["electra", "is_decoder", false, true],
    ["electra", "position_embedding_type", "absolute", "relative_key"],
    ["xlm-roberta", "add_cross_attention", false, true],
    ["xlm-roberta", "position_embedding_type", "absolute", "relative_key"],
    ["modernbert", "is_decoder", false, true],
    ["modernbert", "rope_scaling", null, { rope_type: "linear", factor: 2 }],
    ["bart", "is_encoder_decoder", true, false],
    ["bart", "is_decoder", false, true],
    ["bart", "extra_pos_embeddings", 2, 0],
    ["bart", "do_blenderbot_90_layernorm", false, true],
    ["bart", "normalize_before", false, true],
    ["bart", "add_final_layer_norm", false, true],
    ["bart", "static_position_embeddings", false, true],
    ["bart", "tie_word_embeddings", true, false],
    ["gpt2", "add_cross_attention", false, true],
    ["gpt2", "scale_attn_by_inverse_layer_idx", false, true],
    ["gpt2", "scale_attn_weights", true, false],
    ["gpt2", "tie_word_embeddings", true, false],
  ];
  for (const [kind, name, same, other] of cases) {
    assert.equal(saidOf(kind, { [name]: same }), [], `${kind} ${name}`);
    const said = String(saidOf(kind, { [name]: other }));
    assert.match(said, new RegExp(`^\\[config\\] x/config\\.json: .*${name} `), `${kind} ${name}`);
  }
  assert.equal(saidOf("gpt2", { reorder_and_upcast_attn: true }), []); // the same numbers in f32
});

test("layers that training would skip, and code of the file's own, are remarked", () => {
  assert.equal(saidOf("bart", { encoder_layerdrop: 0, decoder_layerdrop: 0.0 }), []);
  assert.equal(saidOf("bart", { encoder_layerdrop: 0.1, decoder_layerdrop: 0.25 }), [
    "[config] x/config.json: encoder_layerdrop 0.1 is not applied: training skips no layer",
    "[config] x/config.json: decoder_layerdrop 0.25 is not applied: training skips no layer",
  ]);
  for (const kind of KINDS) {
    assert.equal(saidOf(kind, { auto_map: { AutoModel: "modeling.Mine" } }), [
      "[config] x/config.json: auto_map names code of its own, which is not run",
    ]);
  }
});

test("fields of the newer encoders that do not fit each other, or what is computed", () => {
  const rope = (kind: string, fields: object) => ({ rope_parameters: { [kind]: fields } });
  const cases: [Kind, Record<string, unknown>, string][] = [
    ["distilbert", { activation: "mish" }, 'activation is "mish" where "relu", "gelu"'],
    ["distilbert", { n_heads: 3 }, "n_heads 3 does not divide dim 20"],
    ["albert", { hidden_act: "gelu_10" }, 'hidden_act is "gelu_10" where "relu", "gelu"'],
    ["albert", { num_attention_heads: 5 }, "num_attention_heads 5 does not divide hidden_size 24"],
    ["albert", { num_hidden_groups: 6 }, "num_hidden_groups 6 is more than num_hidden_layers 5"],
    ["electra", { embedding_size: 0 }, "embedding_size is 0 where a whole number of 1 or more"],
    ["electra", { num_attention_heads: 4 }, "num_attention_heads 4 does not divide hidden_size 18"],
    ["modernbert", { hidden_activation: "x" }, 'hidden_activation is "x" where "relu", "gelu"'],
    ["modernbert", { classifier_activation: "x" }, 'classifier_activation is "x" where "relu"'],
    [
      "modernbert",
      { num_attention_heads: 10 },
      "num_attention_heads 10 does not divide hidden_size 30 into even widths",
    ],
    [
      "modernbert",
      { layer_types: ["full_attention", "causal"] },
      'layer_types is ["full_attention","causal"] where a list of full_attention and sliding_attention is expected',
    ],
    [
      "modernbert",
      { layer_types: ["full_attention"] },
      "layer_types names 1 layers where num_hidden_layers is 5",
    ],
    [
      "modernbert",
      rope("full_attention", { rope_type: "yarn" }),
      'config.json: rope_parameters.full_attention: rope_type is "yarn" where "default", the one that is supported, is expected',
    ],
    [
      "modernbert",
      rope("sliding_attention", { rope_theta: 0 }),
      "rope_parameters.sliding_attention: rope_theta is 0 where a number from",
    ],
    ["modernbert", { rope_parameters: [1] }, "rope_parameters [1] name no full_attention"],
  ];
  for (const [kind, fields, text] of cases) {
    const said = String(saidOf(kind, fields));
    assert.ok(said.startsWith("[config] x/config.json"), said);
    assert.ok(said.includes(text), said);
  }
});

test("fields that are absent mean what they do in transformers", () => {
  const sizes = { vocab_size: 9, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2 };
  const rest = { intermediate_size: 4, max_position_embeddings: 6 };
  const albert = albertConfig({ ...sizes, ...rest });
  assert.is(albert.hidden_act, "geluTanh");
  assert.is(albert.embedding_size, 128);
  assert.equal([albert.hidden_dropout_prob, albert.attention_probs_dropout_prob], [0, 0]);
  const electra = electraConfig({ ...sizes, ...rest });
  assert.is(electra.hidden_act, "gelu");
  assert.is(electra.embedding_size, 128);
  assert.equal([electra.hidden_dropout_prob, electra.attention_probs_dropout_prob], [0.1, 0.1]);
});

test("ModernBERT's fields of before transformers 5 are the same model", () => {
  const { config } = goldenCheckpoint("modernbert");
  const { rope_parameters, layer_types, ...rest } = config;
  const old = {
    ...rest,
    global_attn_every_n_layers: 3,
    global_rope_theta: 800,
    local_rope_theta: 50,
  };
  const [now, before] = [modernBertConfig(config), modernBertConfig(old)];
  assert.equal(before.layers, layer_types);
  assert.equal(before.layers, now.layers);
  assert.equal(before.bases, { full_attention: 800, sliding_attention: 50 });
  assert.equal(before.bases, now.bases);
  const { bases } = modernBertConfig(rest);
  assert.equal(bases, { full_attention: 160_000, sliding_attention: 10_000 });
  // without a base of its own, attention within a window turned by that of the others
  const { bases: one } = modernBertConfig({ ...old, local_rope_theta: null });
  assert.equal(one, { full_attention: 800, sliding_attention: 800 });
});

test("second names of fields, as upstream's attribute_map has them", () => {
  // transformers 5: GPT2Config(hidden_size=64, ...).n_embd is 64, BartConfig(hidden_size=64).d_model is 64
  const pairs: [Kind, [alias: string, name: string][]][] = [
    [
      "gpt2",
      [
        ["hidden_size", "n_embd"],
        ["max_position_embeddings", "n_positions"],
        ["num_attention_heads", "n_head"],
        ["num_hidden_layers", "n_layer"],
      ],
    ],
    [
      "distilbert",
      [
        ["hidden_size", "dim"],
        ["num_attention_heads", "n_heads"],
        ["num_hidden_layers", "n_layers"],
      ],
    ],
    [
      "bart",
      [
        ["hidden_size", "d_model"],
        ["num_hidden_layers", "encoder_layers"],
        ["num_attention_heads", "encoder_attention_heads"],
      ],
    ],
  ];
  for (const [kind, names] of pairs) {
    const { config } = goldenCheckpoint(FOLDERS[kind]);
    for (const [alias, name] of names) {
      assert.equal(saidOf(kind, { [alias]: config[name] }, [name]), [], alias);
      assert.equal(saidOf(kind, { [alias]: config[name] }), [], alias);
      assert.match(
        String(saidOf(kind, { [alias]: Number(config[name]) + 1 })),
        `${alias} ${Number(config[name]) + 1} and ${name} ${config[name]} are one field`,
      );
      assert.match(String(saidOf(kind, {}, [name, alias])), `${name} is missing`);
    }
  }
});

test("force_bos_token_to_be_generated is forced_bos_token_id: bos_token_id", () => {
  const { cases } = JSON.parse(goldenText("generate/golden.json"));
  let compared = 0;
  for (const { options } of cases) {
    const { forced_bos_token_id: forced, ...rest } = options;
    if (forced === undefined) continue;
    const old = { ...rest, force_bos_token_to_be_generated: true, bos_token_id: forced };
    assert.equal(generationConfig(old), generationConfig(options)); // that transformers has seen
    compared++;
  }
  assert.ok(compared >= 3);
  const of = (json: Record<string, unknown>) => generationConfig(json).forced_bos_token_id;
  const flag = { force_bos_token_to_be_generated: true };
  assert.is(of({ ...flag, bos_token_id: 7, forced_bos_token_id: null }), 7);
  assert.is(of(flag), 0); // BartConfig's bos_token_id
  assert.is(of({ ...flag, bos_token_id: 7, forced_bos_token_id: 3 }), 3);
  assert.is(of({ force_bos_token_to_be_generated: false, bos_token_id: 7 }), null);
  assert.is(of({ bos_token_id: 7 }), null);
});

test("ids of generation_config.json are rows too", () => {
  const names = ["decoder_start", "eos", "forced_bos", "forced_eos", "bos", "pad"];
  for (const name of names.map((one) => `${one}_token_id`)) {
    assert.ok(generationConfig({ [name]: 47 }, "here", 48));
    assert.throws(
      () => generationConfig({ [name]: 48 }, "here", 48),
      `[config] here: ${name} 48 is no row of the table of words, which has 48: use a`,
    );
  }
});

test.run();
