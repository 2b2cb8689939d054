import { grad } from "../../engine/grad.ts";
import { crossEntropy } from "../../engine/ops/cross-entropy.ts";
import { mul } from "../../engine/ops/elementwise.ts";
import { mean, sum } from "../../engine/ops/reduce.ts";
import { concat, permute, slice } from "../../engine/ops/shape.ts";
import { type Tensor, tensor } from "../../engine/tensor.ts";
import { BartForConditionalGeneration } from "../../models/bart.ts";
import { type ForwardOptions, gatherRows, type TextInput } from "../../models/nn.ts";
import { onDevices } from "../devices.ts";
import {
  batchFirst,
  closeForward,
  closeGradients,
  closeLosses,
  goldenCheckpoint,
  gradientPairs,
  labelled,
  live,
  ModelGolden,
  trainedLosses,
  valuesOf,
} from "./parity.ts";

const test = await onDevices("BART");

const golden = new ModelGolden("bart");
const [B, T] = golden.shape("decoder_input_ids");
const masks = {
  encoder: golden.integers("attention_mask"),
  decoder: golden.integers("decoder_attention_mask"),
};
const load = () => BartForConditionalGeneration.from(goldenCheckpoint("bart"));

/** [B, T, ...] in the order of [T, B, ...]. */
const stepMajor = (values: ArrayLike<number>) => batchFirst(values, B, T);

const { rows, targets } = labelled(stepMajor(golden.integers("labels")));

const inputs = () => ({
  ids: golden.tensor("input_ids"),
  mask: golden.tensor("attention_mask"),
  decoderIds: tensor(Uint32Array.from(stepMajor(golden.integers("decoder_input_ids"))), [T, B]),
  decoderMask: golden.tensor("decoder_attention_mask"),
  rows: tensor(rows),
  targets: tensor(targets),
});
type Inputs = ReturnType<typeof inputs>;

/** The decoder's last hidden states [T, B, d], in one pass over the whole text. */
function decodeAll(
  model: BartForConditionalGeneration,
  x: Inputs,
  decoder: TextInput,
  options: { encoder?: ForwardOptions; decoder?: ForwardOptions } = {},
): Tensor {
  const encoded = model.encode({ ids: x.ids, mask: x.mask }, options.encoder);
  const input = { ...decoder, mask: x.decoderMask };
  return model.decode(input, model.start(encoded, x.mask), options.decoder).hidden;
}

function lossOf(model: BartForConditionalGeneration, x: Inputs, hidden: Tensor): Tensor {
  return mean(crossEntropy(model.logits(gatherRows(hidden, x.rows)), x.targets));
}

test("hidden states, logits and loss of token ids", async (device) => {
  const [model, x] = [load(), inputs()];
  const [encoder, decoder]: [Tensor[], Tensor[]] = [[], []];
  const options = { encoder: { hidden: encoder }, decoder: { hidden: decoder } };
  const hidden = decodeAll(model, x, { ids: x.decoderIds }, options);
  const got = await valuesOf(device, {
    ...Object.fromEntries(encoder.map((h, i) => [`encoder.hidden.${i}`, h])),
    ...Object.fromEntries(decoder.map((h, i) => [`decoder.hidden.${i}`, h])),
    logits: model.logits(hidden),
    loss: lossOf(model, x, hidden),
  });
  closeForward(
    Object.entries(got).map(([name, values]) => ({
      name,
      got:
        name === "loss"
          ? values
          : name.startsWith("encoder")
            ? live(values, masks.encoder)
            : live(batchFirst(values, T, B), masks.decoder),
      want: golden.floats(name),
    })),
  );
});

test("gradients of every parameter", async (device) => {
  const [model, x] = [load(), inputs()];
  const loss = lossOf(model, x, decodeAll(model, x, { ids: x.decoderIds }));
  closeGradients(await gradientPairs(device, loss, model.weights, golden));
});

test("soft embeddings: logits, loss and the gradient of the embeddings", async (device) => {
  const [model, x] = [load(), inputs()];
  const embeds = golden.tensor("soft.decoder_inputs_embeds");
  const hidden = decodeAll(model, x, { embeds: permute(embeds, [1, 0, 2]) });
  const loss = lossOf(model, x, hidden);
  const got = await valuesOf(device, {
    logits: model.logits(hidden),
    loss,
    grad: grad(loss, [embeds])[0],
  });
  const logits = live(batchFirst(got.logits, T, B), masks.decoder);
  closeForward([
    { name: "soft.logits", got: logits, want: golden.floats("soft.logits") },
    { name: "soft.loss", got: got.loss, want: golden.floats("soft.loss") },
  ]);
  closeGradients([{ name: "soft.grad", got: got.grad, want: golden.floats("soft.grad") }]);
});

test("ten AdamW losses", async (device) => {
  const model = load();
  const losses = await trainedLosses(
    device,
    model,
    inputs(),
    (x) => lossOf(model, x, decodeAll(model, x, { ids: x.decoderIds })),
    golden.doubles("train.lr"),
    1e-2,
  );
  closeLosses("train.loss", losses, golden.doubles("train.loss"));
});

/** A prefix of `first` places in one pass, then one place at a time; hidden states [T, B, d]. */
function decodeSteps(model: BartForConditionalGeneration, x: Inputs, first: number): Tensor {
  const encoded = model.encode({ ids: x.ids, mask: x.mask });
  let cache = model.start(encoded, x.mask);
  const parts: Tensor[] = [];
  for (let at = 0; at < T; ) {
    const next = at === 0 ? first : at + 1;
    const ids = slice(x.decoderIds, 0, at, next);
    const count = next - at;
    const positions = tensor(
      Uint32Array.from({ length: count * B }, (_, i) => at + Math.floor(i / B)),
      [count, B],
    );
    const mask = slice(x.decoderMask, 1, 0, next);
    const step = model.decode({ ids, mask, positions: at === 0 ? undefined : positions }, cache);
    cache = step.cache;
    parts.push(step.hidden);
    at = next;
  }
  return concat(parts, 0);
}

test("a prefix and single steps with the cache equal one pass, forward and backward", async (device) => {
  const [model, x] = [load(), inputs()];
  const [whole, steps] = [decodeAll(model, x, { ids: x.decoderIds }), decodeSteps(model, x, 3)];
  const got = await valuesOf(device, { whole, steps });
  closeForward([
    {
      name: "hidden",
      got: live(batchFirst(got.steps, T, B), masks.decoder),
      want: live(batchFirst(got.whole, T, B), masks.decoder),
    },
  ]);
  closeGradients(await gradientPairs(device, lossOf(model, x, steps), model.weights, golden));
});

test("dropout off: the attention of primitive ops equals the fused one", async (device) => {
  const config = { ...goldenCheckpoint("bart").config, attention_dropout: 1e-9 };
  const model = BartForConditionalGeneration.from({ ...goldenCheckpoint("bart"), config });
  const x = inputs();
  const training = { rng: tensor(Uint32Array.of(1, 0, 1, 0)) };
  const both = { encoder: { training }, decoder: { training } };
  const fused = decodeAll(model, x, { ids: x.decoderIds });
  const plain = decodeAll(model, x, { ids: x.decoderIds }, both);
  const weights = golden.tensor("soft.decoder_inputs_embeds");
  const upstream = permute(mul(weights, 0.1), [1, 0, 2]);
  const { weight } = model.model.encoder.layers[0].selfAttn.qProj;
  const got = await valuesOf(device, {
    fused,
    plain,
    fusedGrad: grad(sum(mul(fused, upstream)), [weight])[0],
    plainGrad: grad(sum(mul(plain, upstream)), [weight])[0],
  });
  closeForward([{ name: "hidden", got: got.plain, want: got.fused }]);
  closeGradients([{ name: "q_proj.weight", got: got.plainGrad, want: got.fusedGrad }]);
});

test.run();
