/** Each activation that config.json may name, in each model: logits and gradients beside those of transformers. */
import * as assert from "uvu/assert";
import { read } from "../../engine/compile.ts";
import { grad } from "../../engine/grad.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { permute } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { BertForMaskedLM } from "../../models/bert.ts";
import type { Checkpoint } from "../../models/formats/checkpoint.ts";
import { GPT2LMHeadModel } from "../../models/gpt2.ts";
import { RobertaForMaskedLM } from "../../models/roberta.ts";
import type { ModelWeights } from "../../models/weights.ts";
import { onDevices } from "../devices.ts";
import {
  batchFirst,
  closeForward,
  closeGradients,
  goldenCheckpoint,
  ModelGolden,
} from "./parity.ts";

const test = await onDevices("activations of models");

const NAMES = ["relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "swish", "tanh"];

type Applied = { readonly logits: Tensor; readonly weights: ModelWeights };

function bart(checkpoint: Checkpoint, golden: ModelGolden): Applied {
  const model = BartForConditionalGeneration.from(checkpoint);
  const [B, T] = golden.shape("decoder_input_ids");
  const steps = batchFirst(golden.integers("decoder_input_ids"), B, T); // [T, B]
  const start = model.start(model.encode({ ids: golden.tensor("input_ids") }), undefined);
  const { hidden } = model.decode({ ids: tensor(Uint32Array.from(steps), [T, B]) }, start);
  return { logits: permute(model.logits(hidden), [1, 0, 2]), weights: model.weights };
}

function gpt2(checkpoint: Checkpoint, golden: ModelGolden): Applied {
  const model = GPT2LMHeadModel.from(checkpoint);
  return {
    logits: model.logits(model.decode({ ids: golden.tensor("input_ids") })),
    weights: model.weights,
  };
}

const masked =
  (type: typeof BertForMaskedLM | typeof RobertaForMaskedLM) =>
  (checkpoint: Checkpoint, golden: ModelGolden): Applied => {
    const model = type.from(checkpoint);
    return {
      logits: model.logits(model.encode({ ids: golden.tensor("input_ids") })),
      weights: model.weights,
    };
  };

const models = {
  bert: { field: "hidden_act", apply: masked(BertForMaskedLM), gradients: 3 },
  roberta: { field: "hidden_act", apply: masked(RobertaForMaskedLM), gradients: 3 },
  bart: { field: "activation_function", apply: bart, gradients: 3 },
  gpt2: { field: "activation_function", apply: gpt2, gradients: 2 },
};

for (const [name, { field, apply, gradients }] of Object.entries(models)) {
  test(`${name}: logits and gradients`, async (device) => {
    const golden = new ModelGolden(`activations/${name}`);
    const checkpoint = goldenCheckpoint(`activations/${name}`);
    for (const activation of NAMES) {
      const config = { ...(checkpoint.config as object), [field]: activation };
      const { logits, weights } = apply({ ...checkpoint, config }, golden);
      const keys = [...weights.parameters.keys()].filter((key) =>
        golden.has(`${activation}.grad.${key}`),
      );
      assert.is(keys.length, gradients);
      const wrt = [...weights.parameters].flatMap(([key, p]) => (keys.includes(key) ? [p] : []));
      const loss = sum(mul(logits, golden.tensor("upstream")));
      const [got, ...slopes] = await read(device, [logits, ...grad(loss, wrt)]);
      const want = golden.floats(`${activation}.logits`);
      closeForward([{ name: `${activation}.logits`, got, want }], 0, 2e-5);
      closeGradients(
        keys.map((key, i) => ({
          name: `${activation}.grad.${key}`,
          got: slopes[i],
          want: golden.floats(`${activation}.grad.${key}`),
        })),
      );
    }
  });

  test(`${name}: an activation that is not computed is refused`, () => {
    const checkpoint = goldenCheckpoint(`activations/${name}`);
    const golden = new ModelGolden(`activations/${name}`);
    for (const other of ["gelu_fast", "mish", "GELU", "toString", "", 1, true, {}]) {
      const config = { ...(checkpoint.config as object), [field]: other };
      const message = `${field} is ${JSON.stringify(other)} where "relu", "gelu", "gelu_new", "gelu_pytorch_tanh", "silu", "swish" or "tanh" is expected`;
      assert.throws(
        () => apply({ ...checkpoint, config }, golden),
        (error: Error) => error.name === "ModelError" && error.message.includes(message),
        message,
      );
    }
  });
}

test.run();
