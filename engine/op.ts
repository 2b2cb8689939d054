/** What an op is (shapes, gradient, launches) and what it hands to the planner. Knows no device. */
import type {
  MaybeUniformKernel,
  Params,
  Selected,
  SharedKernel,
  UniformKernel,
  WebGPUKernel,
} from "../kernels/manifest.ts";
import type { Node, Tensor, TensorSpec } from "./tensor.ts";

/** Bytes: every window of a memory starts at a multiple, the strictest storage offset alignment of WebGPU. */
export const ALIGNMENT = 256;

/** Compile-time facts of one application of an op; structural, so that plans can be cached by them. */
export type Attrs = Readonly<Record<string, unknown>>;

type LaunchOf<K extends WebGPUKernel> = {
  readonly kernel: K;
  readonly params: Params<K>;
  /** `null` is an unused binding. */
  readonly inputs: readonly (Tensor | null)[];
  readonly inouts?: readonly Tensor[];
  readonly outputs: readonly (Tensor | null)[];
} & (keyof Selected<K> extends never
  ? { readonly constants?: never }
  : { readonly constants: Selected<K> }) &
  (K extends UniformKernel
    ? { readonly uniform: Tensor }
    : K extends MaybeUniformKernel
      ? { readonly uniform: Tensor | null }
      : { readonly uniform?: never });

/** A launch of a kernel that is not the package's: WGSL, from which parameters and bindings are read. */
export type CustomLaunch = {
  /** `namespace::name`, for errors and profiles. */
  readonly kernel: `${string}::${string}`;
  readonly wgsl: string;
  /** Workgroups; beyond 65535 they are folded into two dimensions, so that the kernel must check its bounds. */
  readonly groups: number | readonly [number, number, number];
  readonly params: Readonly<Record<string, number>>;
  /** Override constants. */
  readonly constants?: Readonly<Record<string, number>>;
  readonly inputs: readonly Tensor[];
  readonly inouts?: never;
  readonly outputs: readonly Tensor[];
  readonly uniform?: never;
};

/** A launch of a kernel of kernels/manifest.ts. */
type SharedLaunch = { [K in SharedKernel]: LaunchOf<K> }[SharedKernel];

/**
 * One entry of a plan, the same for every device: which kernel of kernels/manifest.ts, on what. Operands are tensors (of
 * the node, or scratch made by `LaunchContext.temp`); which memory they are is the planner's business.
 * `constants` are the kernel's selectors; a device adds its geometry.
 */
export type Launch = SharedLaunch | CustomLaunch;

/** A matrix product. */
export type Product = LaunchOf<"matmul">;

/** Kernels that do the work of several launches; most take the parts of products as their first operand. */
export type JoinKernel = Exclude<
  WebGPUKernel,
  SharedKernel | "matmul_parts" | "matmul_end" | "matmul_each" | "table_attention_parts"
>;

/**
 * What several launches of ops have become. With products, the launch reads their parts instead of their results: its first input,
 * null here.
 */
export type Join = {
  [K in JoinKernel]: LaunchOf<K> & { readonly products: readonly Product[] };
}[JoinKernel];

/** What a launch reads before it writes, and what it writes. */
export const readsOf = (launch: Launch | Join): Tensor[] =>
  [
    ...("products" in launch ? launch.products.flatMap(({ inputs }) => inputs) : []),
    ...launch.inputs,
    launch.uniform,
    ...(launch.inouts ?? []),
  ].flatMap((t) => (t ? [t] : []));

export const writesOf = (launch: Launch | Join): Tensor[] =>
  [...(launch.inouts ?? []), ...launch.outputs].flatMap((t) => (t ? [t] : []));

export type LaunchContext = {
  readonly node: Node;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Scratch memory that lives for this node only. */
  temp(spec: TensorSpec): Tensor;
};

/**
 * A gradient on its way to a tensor. `outer` is the product aᵀ b over rows (a weight's gradient); `columns` the
 * column sums of a (times b, where given). Several of one kind become one product over concatenated rows. `rows` are
 * added to those rows of a table that `ids` name, in place; `unique`: no id occurs twice.
 */
export type Contribution =
  | Tensor
  | { readonly outer: readonly [Tensor, Tensor]; readonly group: string }
  | { readonly columns: Tensor; readonly times?: Tensor; readonly group: string }
  | { readonly rows: Tensor; readonly ids: Tensor; readonly unique: boolean }
  | undefined;

export type GradContext = {
  readonly node: Node;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** The gradient of each output; undefined where none arrives. */
  readonly upstream: readonly (Tensor | undefined)[];
  /** Which inputs want a gradient; the rule may skip the others. */
  readonly needs: readonly boolean[];
  /** What has arrived for an input so far. Where a rule takes it, it must return the new total, not a contribution. */
  take(input: number): Tensor | undefined;
};

export type GradRule = (ctx: GradContext) => Contribution[];

/** Marks an op that ends a gradient or refuses one. */
export type Nondifferentiable = { readonly why: string; readonly ends: boolean };

/** An op through which no gradient is meant to pass (integers, masks, `stopGradient`). */
export const endsGradient = (why: string): Nondifferentiable => ({ why, ends: true });
/** An op without a gradient rule: a gradient that reaches it is an error. */
export const nondifferentiable = (why: string): Nondifferentiable => ({ why, ends: false });

export type Op = {
  readonly name: string;
  /** Checks inputs and gives the outputs' shapes and dtypes. */
  infer(inputs: readonly Tensor[], attrs: Attrs): TensorSpec[];
  readonly grad: GradRule | Nondifferentiable;
  launch(ctx: LaunchContext): Launch[];
  /** Where the (single) output is a window of an input: no launch, no memory. Bytes; undefined if it must be copied. */
  view?(node: Node): { input: number; byteOffset: number } | undefined;
  /** output index -> input index whose memory the output takes over (the kernel's in-outs). */
  donates?(node: Node): Readonly<Record<number, number>>;
  /** Stacks its inputs along axis 0; the planner may let producers write straight into it. */
  readonly stacks?: boolean;
  /** The devices that have its kernels, where not all have: on others its twin is planned. */
  readonly on?: readonly ("webgpu" | "cpu")[];
  /** The same thing in primitive ops; tests compare the two. */
  twin?(inputs: readonly Tensor[], attrs: Attrs): Tensor[];
};
