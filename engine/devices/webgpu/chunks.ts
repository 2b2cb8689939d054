/** Products whose K is split: where one launch of a plan becomes two on WebGPU. */
import type { WebGPUKernel } from "../../../kernels/manifest.ts";
import { matmulChunks } from "../../../kernels/webgpu/matmul.ts";
import type { Adapter } from "../../../kernels/webgpu/table.ts";
import type { Memory, PlanLaunch, Region } from "../../plan.ts";

/** A window of a plan's memory or of the one scratch buffer that a device has. */
export type StepRegion = Omit<Region, "memory"> & {
  readonly memory: Memory | { readonly kind: "scratch" };
};

/** A launch as WebGPU runs it. */
export type StepLaunch = {
  readonly op: string;
  readonly kernel: WebGPUKernel;
  readonly constants: Readonly<Record<string, number>>;
  readonly params: Readonly<Record<string, number>>;
  readonly inputs: readonly (StepRegion | null)[];
  readonly inouts: readonly StepRegion[];
  readonly outputs: readonly (StepRegion | null)[];
  readonly rng?: Region | null;
};

/** Two launches for a matrix product whose K is split: sums of each chunk, into scratch, then the sums of those. */
export function chunked(launch: PlanLaunch, adapter: Adapter): readonly StepLaunch[] {
  if (launch.kernel !== "matmul") return [launch];
  const { params, constants, inputs } = launch;
  const chunks = matmulChunks(params, adapter);
  if (chunks === 1) return [launch];
  const { M, N, ldc, cOffset, alpha } = params;
  const partials: StepRegion = {
    memory: { kind: "scratch" },
    byteOffset: 0,
    byteLength: chunks * M * N * 4,
    spec: { shape: [chunks, M, N], dtype: "f32" },
  };
  const { BIAS, ACTIVATION, RESIDUAL, ACCUMULATE, ...operands } = constants;
  return [
    {
      ...launch,
      constants: { ...operands, SPLIT: 1 },
      params: { ...params, batch: chunks, alpha: 1, ldc: N, cOffset: 0, cBatchStride: M * N },
      inputs: [inputs[0], inputs[1], null, null],
      outputs: [partials, null],
    },
    {
      ...launch,
      kernel: "matmul_join",
      constants: { BIAS, ACTIVATION, RESIDUAL, ACCUMULATE },
      params: { M, N, ldc, cOffset, chunks, alpha },
      inputs: [partials, inputs[2], inputs[3]],
    },
  ];
}

/** Bytes of scratch that a launch binds. */
export const scratchBytes = ({ inputs, outputs }: StepLaunch): number =>
  Math.max(
    0,
    ...[...inputs, ...outputs].map((r) => (r?.memory.kind === "scratch" ? r.byteLength : 0)),
  );
