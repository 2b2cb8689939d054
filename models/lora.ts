/**
 * LoRA (Hu et al., 2022): products of low rank beside the matrices of a frozen model, y = x Wᵀ + (alpha / rank) x Aᵀ Bᵀ, trained in
 * their place. Names, files and fields are those of peft, which reads what is saved here and writes what is read here.
 */
import { compile } from "../engine/compile.ts";
import type { Device } from "../engine/device.ts";
import { kaimingUniform } from "../engine/init.ts";
import { add, mul } from "../engine/ops/elementwise.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { sameShape, show } from "../engine/shape.ts";
import { state, stateName, type Tensor, zeroState } from "../engine/tensor.ts";
import { assign } from "../engine/trace.ts";
import { failAbout, ModelError } from "./errors.ts";
import { writeWhole } from "./formats/files.ts";
import { type Json, parseObject } from "./formats/json.ts";
import { type FileTensor, openSafetensors, readFloat32 } from "./formats/safetensors.ts";
import { withSeal, writeSealed } from "./formats/seal.ts";
import type { Adaptable, Adapter } from "./nn.ts";
import { streamTensors } from "./save.ts";
import type { ModelWeights } from "./weights.ts";

export type LoraOptions = {
  /** Rank of the products: peft's `r`. */
  readonly rank: number;
  /** Their scale is alpha / rank; default: the rank. */
  readonly alpha?: number;
  /** The layers: ends of their names, as "query" and "value", or a pattern of whole names. */
  readonly targets: readonly string[] | RegExp;
  /** Layers that are trained whole beside them, and saved with them, as "classifier": peft's `modules_to_save`. */
  readonly modulesToSave?: readonly string[];
  /** Of the first values of A; B begins as 0. Default 0. */
  readonly seed?: number;
};

/** What a model must have. */
export type Adaptive = { readonly json: Json; readonly weights: ModelWeights };

/** Before every name in peft's files. */
const PREFIX = "base_model.model.";
const WEIGHTS = "adapter_model.safetensors";
const CONFIG = "adapter_config.json";

/** One adapted layer. */
export type LoraPart = {
  readonly name: string;
  readonly layer: Adaptable;
  readonly adapter: Adapter;
};

/** The adapters of one model: what is trained, saved and merged. */
export class Lora {
  /** The products' factors, `NAME.lora_A.weight` [rank, inputs] and `NAME.lora_B.weight` [outputs, rank], then what is trained whole. */
  readonly parameters: readonly Tensor[];
  /** Weight decay shrinks factors, and of the layers that are trained whole what it shrinks in the model. */
  readonly decays: (name: string) => boolean;
  readonly #parts: readonly LoraPart[];
  readonly #config: Json;

  /** Use `lora` or `loadLora`. */
  constructor(
    model: Adaptive,
    parts: readonly LoraPart[],
    whole: ReadonlyMap<string, Tensor>,
    config: Json,
  ) {
    this.#parts = parts;
    this.#config = config;
    this.parameters = [...parts.flatMap(({ adapter: { a, b } }) => [a, b]), ...whole.values()];
    this.decays = (name) => (whole.has(name) ? model.weights.decays(name) : true);
    for (const { layer, adapter } of parts) layer.adapter = adapter;
  }

  /** The names of the adapted layers. */
  get layers(): string[] {
    return this.#parts.map(({ name }) => name);
  }

  /**
   * Writes adapter_model.safetensors and adapter_config.json, as peft reads them, into a directory, which is made when it is not
   * there; each file whole or not at all.
   */
  async save(directory: string, device: Device): Promise<void> {
    const { join } = await import("node:path");
    await writeWhole(join(directory, CONFIG), `${JSON.stringify(this.#config, null, 2)}\n`);
    const metadata = withSeal({ format: "pt" });
    const named = (t: Tensor) => `${PREFIX}${stateName(t)}`;
    const pieces = streamTensors(device, this.parameters, metadata, "F32", named);
    await writeSealed(join(directory, WEIGHTS), pieces);
  }

  /**
   * Adds the products to the model's own matrices, on the device, and takes the adapters off: what the model computes is the same, up
   * to rounding, in plans that are there as well, and it can be saved as any other.
   * @throws ModelError for a model whose matrices are kept as f16 or bf16
   */
  async merge(device: Device): Promise<void> {
    for (const { name, layer } of this.#parts) {
      const { dtype } = layer.weight;
      if (dtype === "f32") continue;
      throw new ModelError(
        `[lora] ${name}.weight is kept as ${dtype}, which cannot take the product; load the model with f32 to merge`,
      );
    }
    const run = compile(device, () => {
      for (const { layer, adapter } of this.#parts) {
        const { a, b, scale } = adapter;
        const product = layer.transposed
          ? matmul(a, b, { transA: true, transB: true, scale })
          : matmul(b, a, { scale });
        assign(layer.weight, add(layer.weight, product));
        assign(b, mul(b, 0));
      }
      return {};
    });
    await run();
    await device.synchronize();
    this.remove();
  }

  /** Takes the adapters off: what is compiled from here on computes the model as it is without them. */
  remove(): void {
    for (const { layer } of this.#parts) layer.adapter = undefined;
  }
}

const list = new Intl.ListFormat("en", { type: "conjunction" });

/** The layers of a model whose names fit. */
function targeted({ weights }: Adaptive, targets: LoraOptions["targets"]): [string, Adaptable][] {
  const { layers } = weights;
  const whole = targets instanceof RegExp && new RegExp(`^(?:${targets.source})$`, targets.flags);
  const fits = (name: string, wanted: string) => name === wanted || name.endsWith(`.${wanted}`);
  const found = [...layers].filter(([name]) =>
    targets instanceof RegExp
      ? whole instanceof RegExp && whole.test(name)
      : targets.some((wanted) => fits(name, wanted)),
  );
  const lost =
    targets instanceof RegExp
      ? found.length > 0
        ? []
        : [String(targets)]
      : targets.filter((wanted) => ![...layers.keys()].some((name) => fits(name, wanted)));
  if (lost.length > 0 || found.length === 0) {
    const ends = new Set([...layers.keys()].map((name) => name.split(".").at(-1)));
    throw new ModelError(
      `[lora] no layer of the model is named ${lost.length > 0 ? list.format(lost) : "by no targets"}; its layers end in ${list.format([...ends].map(String))}`,
    );
  }
  return found;
}

/** The parameters of the modules that are trained whole. */
function wholeOf({ weights }: Adaptive, modules: readonly string[]): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const wanted of modules) {
    const pattern = (name: string) => `.${name}`.includes(`.${wanted}.`);
    const own = [...weights.parameters].filter(([name]) => pattern(name));
    if (own.length === 0) {
      throw new ModelError(
        `[lora] no parameter of the model is within ${JSON.stringify(wanted)}, which modulesToSave names; use the name of a module, as "classifier"`,
      );
    }
    for (const [name, parameter] of own) found.set(name, parameter);
  }
  return found;
}

function checkOptions({ rank, alpha = rank }: LoraOptions): void {
  if (!Number.isSafeInteger(rank) || rank < 1) {
    throw new ModelError(`[lora] the rank is ${rank}; use a whole number of 1 or more`);
  }
  if (!Number.isFinite(alpha)) {
    throw new ModelError(`[lora] alpha is ${alpha}; use a number, such as the rank`);
  }
}

function checkFree(parts: readonly [string, Adaptable][]): void {
  const taken = parts.find(([, layer]) => layer.adapter);
  if (!taken) return;
  throw new ModelError(
    `[lora] ${taken[0]} has an adapter already; remove() that one first, or load the model again`,
  );
}

/** [inputs, outputs] of a layer. */
function sizesOf({ weight, transposed }: Adaptable): readonly [number, number] {
  const [rows, columns] = weight.shape;
  return transposed ? [rows, columns] : [columns, rows];
}

/**
 * Puts adapters beside layers of a model, whose own weights stay as they are: train `parameters` of what is returned, with `fit` or
 * with an optimiser. The model computes with them from the next plan on. A begins as peft begins it, uniform within 1 / sqrt(inputs),
 * B as 0, so that at first nothing changes.
 *
 * @throws ModelError `[lora] ...` for targets that no layer has, and for a rank that is none
 */
export function lora(model: Adaptive, options: LoraOptions): Lora {
  checkOptions(options);
  const { rank, alpha = rank, targets, modulesToSave = [], seed = 0 } = options;
  const found = targeted(model, targets);
  checkFree(found);
  const whole = wholeOf(model, modulesToSave);
  const parts = found.map(([name, layer], i) => {
    const [inputs, outputs] = sizesOf(layer);
    const a = state(`${name}.lora_A.weight`, kaimingUniform([rank, inputs], seed, i), [
      rank,
      inputs,
    ]);
    const b = zeroState(`${name}.lora_B.weight`, [outputs, rank]);
    return { name, layer, adapter: { a, b, scale: alpha / rank } };
  });
  const [{ layer }] = parts;
  const config: Json = {
    base_model_name_or_path: null,
    bias: "none",
    fan_in_fan_out: layer.transposed,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_dropout: 0,
    modules_to_save: modulesToSave.length > 0 ? modulesToSave : null,
    peft_type: "LORA",
    r: rank,
    target_modules: targets instanceof RegExp ? targets.source : targets,
    task_type: modulesToSave.includes("classifier") ? "SEQ_CLS" : null,
    use_dora: false,
    use_rslora: false,
  };
  return new Lora(model, parts, whole, config);
}

/** Fields of adapter_config.json that would change what is computed, with what changes nothing. */
const NEUTRAL: Json = {
  bias: "none",
  use_dora: false,
  rank_pattern: {},
  alpha_pattern: {},
  layer_replication: null,
  trainable_token_indices: null,
  target_parameters: null,
  exclude_modules: null,
};

/**
 * Puts the adapters of a directory, written by `Lora.save` or by peft, beside the layers of a model.
 *
 * @throws ModelError `[lora] ...` for a directory that holds none, for kinds that are not computed here, and for files that do not
 *   fit the model
 */
export async function loadLora(directory: string, device: Device, model: Adaptive): Promise<Lora> {
  const { join } = await import("node:path");
  const { pathSource, readText } = await import("./formats/disk.ts");
  const [path, at] = [join(directory, CONFIG), join(directory, WEIGHTS)];
  const remedy = "name the directory of an adapter";
  const text = await readText(path, failAbout("lora", path), remedy);
  const config = parseObject(text, "lora", path);
  const { peft_type: type, r: rank, lora_alpha: alpha } = config;
  const odd = Object.entries(NEUTRAL).flatMap(([name, value]) => {
    const given = JSON.stringify(config[name] ?? null);
    return given === "null" || given === JSON.stringify(value) ? [] : [`${name} ${given}`];
  });
  if (type !== "LORA") odd.unshift(`peft_type ${JSON.stringify(type)}`);
  if (odd.length > 0) {
    throw new ModelError(`[lora] ${path}: ${list.format(odd)}: not computed here; train without`);
  }
  if (!Number.isSafeInteger(rank) || Number(rank) < 1 || !Number.isFinite(alpha)) {
    throw new ModelError(
      `[lora] ${path}: r is ${JSON.stringify(rank)} and lora_alpha ${JSON.stringify(alpha)}, where numbers are expected; use the file that peft wrote`,
    );
  }
  const scale = Number(alpha) / (config.use_rslora === true ? Number(rank) ** 0.5 : Number(rank));
  const { tensors } = await openSafetensors(await pathSource(at), at);
  const left = new Map(tensors);
  const take = async (name: string, shape: readonly number[]): Promise<Float32Array> => {
    const entry: FileTensor | undefined = left.get(`${PREFIX}${name}`);
    if (!entry || !sameShape(entry.shape, shape)) {
      throw new ModelError(
        `[lora] ${at}: ${PREFIX}${name} is ${entry ? show(entry.shape) : "missing"}, the model asks for ${show(shape)}; use the adapter of this model`,
      );
    }
    left.delete(`${PREFIX}${name}`);
    return readFloat32(entry);
  };
  const found = [...model.weights.layers].filter(([name]) =>
    left.has(`${PREFIX}${name}.lora_A.weight`),
  );
  checkFree(found);
  const parts: LoraPart[] = [];
  for (const [name, layer] of found) {
    const [inputs, outputs] = sizesOf(layer);
    const factor = async (which: "A" | "B", shape: readonly number[]) => {
      const full = `${name}.lora_${which}.weight`;
      return state(full, await take(full, shape), shape);
    };
    const a = await factor("A", [Number(rank), inputs]);
    const b = await factor("B", [outputs, Number(rank)]);
    parts.push({ name, layer, adapter: { a, b, scale } });
  }
  const { parameters } = model.weights;
  const values: [Tensor, Float32Array][] = [];
  for (const [name, parameter] of parameters) {
    if (!left.has(`${PREFIX}${name}`)) continue;
    values.push([parameter, await take(name, parameter.shape)]);
  }
  const [stray] = left.keys();
  if (stray !== undefined || parts.length === 0) {
    throw new ModelError(
      `[lora] ${at}: ${stray === undefined ? "it has no factors" : `${stray} is of no layer of the model`}; use the adapter of this model`,
    );
  }
  for (const [parameter, data] of values) device.write(parameter, data);
  const whole = new Map(values.map(([parameter]) => [stateName(parameter), parameter]));
  return new Lora(model, parts, whole, config);
}
