/** The compiled CPU kernels, and the records in which they take their launches. */
import { loadBytes } from "../../../kernels/load.ts";
import { type CPUKernel, cpuKernels } from "../../../kernels/manifest.ts";
import { EngineError, fail } from "../../errors.ts";

type FieldType = "u32" | "i32" | "f32" | "usize";
export type Fields = readonly (readonly [name: string, type: FieldType])[];

/** The compiled kernels and, from the module's custom section, the fields of each one's record. */
export type Kernels = {
  readonly module: WebAssembly.Module;
  readonly names: readonly CPUKernel[];
  readonly fields: Readonly<Record<CPUKernel, Fields>>;
};

/** A function that holds one f32x4.relaxed_madd: does the host know it? */
const RELAXED_PROBE = Uint8Array.from([
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 20, 1, 18, 0],
  ...[65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 133, 2, 26, 11],
]);

export const hasRelaxedSimd = (): boolean => WebAssembly.validate(RELAXED_PROBE);

/** How a module imports its memory: "env", "memory", kind 2, then flags: 3 is shared, 1 is not, both with a maximum. */
const MEMORY_IMPORT = [
  3,
  ...new TextEncoder().encode("env"),
  6,
  ...new TextEncoder().encode("memory"),
  2,
];

/** The same module for memory that is not shared; the kernels themselves do not care. */
function unshared(bytes: Uint8Array<ArrayBuffer>, name: string): Uint8Array<ArrayBuffer> {
  const at = bytes.findIndex((_, i) => MEMORY_IMPORT.every((byte, j) => bytes[i + j] === byte));
  const flags = at + MEMORY_IMPORT.length;
  if (at < 0 || bytes[flags] !== 3)
    fail("cpu", `${name} imports no shared memory; run npm run kernels`);
  return bytes.with(flags, 1);
}

/** Compiles the kernels, for shared memory or not, with relaxed SIMD or without. */
export async function loadKernels(relaxed: boolean, shared: boolean): Promise<Kernels> {
  const name = `${relaxed ? "relaxed" : "plain"}.wasm`;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await loadBytes(`../../../kernels/cpu/build/${name}`, import.meta.url);
  } catch (cause) {
    throw new EngineError(
      `[cpu] the CPU kernels are not built (kernels/cpu/build/${name} cannot be read); run npm run kernels`,
      { cause },
    );
  }
  const module = await WebAssembly.compile(shared ? bytes : unshared(bytes, name));
  const [section] = WebAssembly.Module.customSections(module, "kernels");
  if (!section) return fail("cpu", `${name} describes no kernels; run npm run kernels`);
  const described = JSON.parse(new TextDecoder().decode(section)) as Record<CPUKernel, Fields>;
  const missing = cpuKernels.find((kernel) => !described[kernel]);
  if (missing) return fail("cpu", `${name} has no kernel ${missing}; run npm run kernels`);
  return { module, names: cpuKernels, fields: described };
}

/**
 * Writes one launch's record: parameters and selectors by name, operands (addresses, 0 for none) in order. A missing or
 * unknown one throws.
 */
export function writeRecord(
  kernel: string,
  fields: Fields,
  params: Readonly<Record<string, number>>,
  constants: Readonly<Record<string, number>>,
  operands: readonly number[],
  into: DataView,
): void {
  const known = new Set(fields.map(([name]) => name));
  const given: Readonly<Record<string, number>> = { ...params, ...constants };
  for (const name of Object.keys(given)) {
    if (!known.has(name)) fail(kernel, `the kernel has no parameter ${name}`);
  }
  let operand = 0;
  for (const [i, [name, type]] of fields.entries()) {
    if (type === "usize") {
      into.setUint32(4 * i, operands[operand++] ?? 0, true);
      continue;
    }
    const value = given[name];
    if (value === undefined) fail(kernel, `the launch gives no parameter ${name}`);
    if (type === "f32") into.setFloat32(4 * i, value, true);
    else if (type === "i32") into.setInt32(4 * i, value, true);
    else into.setUint32(4 * i, value, true);
  }
  if (operands.length !== operand) {
    fail(kernel, `the launch has ${operands.length} operands, the kernel ${operand}`);
  }
}
