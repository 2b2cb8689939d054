/** The compiled CPU kernels, and the records in which they take their launches. */
import { type Build, loadModule } from "../../../kernels/load.ts";
import { type CPUKernel, cpuKernels } from "../../../kernels/manifest.ts";
import { EngineError, fail } from "../../errors.ts";

type FieldType = "u32" | "i32" | "f32" | "usize";
type Fields = readonly (readonly [name: string, type: FieldType])[];

/** How a record lies in memory. */
export type Layout = {
  readonly fields: readonly {
    readonly name: string;
    readonly type: FieldType;
    readonly at: number;
  }[];
  /** Words of 4 bytes, an even number. */
  readonly words: number;
  /** Addresses are words of 8 bytes. */
  readonly wide: boolean;
};

/** The compiled kernels and, from the module's custom section, the record of each. */
export type Kernels = {
  readonly module: WebAssembly.Module;
  readonly build: Build;
  readonly names: readonly CPUKernel[];
  readonly layouts: Readonly<Record<CPUKernel, Layout>>;
};

/** Fields one after the other, each where its size divides the address, as the compiler lays classes out. */
export function layoutOf(fields: Fields, wide: boolean): Layout {
  let end = 0;
  const placed = fields.map(([name, type]) => {
    const bytes = wide && type === "usize" ? 8 : 4;
    const at = Math.ceil(end / bytes) * bytes;
    end = at + bytes;
    return { name, type, at };
  });
  return { fields: placed, words: 2 * Math.ceil(end / 8), wide };
}

/** A function that holds one f32x4.relaxed_madd: does the host know it? */
const RELAXED_PROBE = Uint8Array.from([
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 10, 20, 1, 18, 0],
  ...[65, 0, 253, 15, 65, 0, 253, 15, 65, 0, 253, 15, 253, 133, 2, 26, 11],
]);

export const hasRelaxedSimd = (): boolean => WebAssembly.validate(RELAXED_PROBE);

/** A module that has a memory with 64-bit addresses: does the host know it? */
const WIDE_PROBE = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 4, 1]);

export const hasWideMemory = (): boolean => WebAssembly.validate(WIDE_PROBE);

/** How a module imports its memory: "env", "memory", kind 2, then flags: 1 for a maximum, 2 for shared, 4 for 64-bit addresses. */
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
  if (at < 0 || (bytes[flags] & 3) !== 3)
    fail("cpu", `${name} imports no shared memory; run npm run kernels`);
  return bytes.with(flags, bytes[flags] & ~2);
}

/** Compiles the kernels of a build, for shared memory or not. */
export async function loadKernels(build: Build, shared: boolean): Promise<Kernels> {
  const name = `${build}.wasm`;
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await loadModule(build);
  } catch (cause) {
    throw new EngineError(
      `[cpu] no CPU kernels: ${cause instanceof Error ? cause.message : String(cause)}`,
      { cause },
    );
  }
  const module = await WebAssembly.compile(shared ? bytes : unshared(bytes, name));
  const [section] = WebAssembly.Module.customSections(module, "kernels");
  if (!section) return fail("cpu", `${name} describes no kernels; run npm run kernels`);
  const described = JSON.parse(new TextDecoder().decode(section)) as Record<CPUKernel, Fields>;
  const missing = cpuKernels.find((kernel) => !described[kernel]);
  if (missing) return fail("cpu", `${name} has no kernel ${missing}; run npm run kernels`);
  const layouts = cpuKernels.map((kernel) => [
    kernel,
    layoutOf(described[kernel], build === "wide"),
  ]);
  return { module, build, names: cpuKernels, layouts: Object.fromEntries(layouts) };
}

/**
 * Writes one launch's record: parameters and selectors by name, operands (addresses, 0 for none) in order. A missing or
 * unknown one throws.
 */
export function writeRecord(
  kernel: string,
  { fields, wide }: Layout,
  params: Readonly<Record<string, number>>,
  constants: Readonly<Record<string, number>>,
  operands: readonly number[],
  into: DataView,
): void {
  const known = new Set(fields.map(({ name }) => name));
  const given: Readonly<Record<string, number>> = { ...params, ...constants };
  for (const name of Object.keys(given)) {
    if (!known.has(name)) fail(kernel, `the kernel has no parameter ${name}`);
  }
  let operand = 0;
  for (const { name, type, at } of fields) {
    if (type === "usize") {
      const address = operands[operand++] ?? 0;
      into.setUint32(at, address % 2 ** 32, true);
      if (wide) into.setUint32(at + 4, Math.floor(address / 2 ** 32), true);
      continue;
    }
    const value = given[name];
    if (value === undefined) fail(kernel, `the launch gives no parameter ${name}`);
    if (type === "f32") into.setFloat32(at, value, true);
    else if (type === "i32") into.setInt32(at, value, true);
    else into.setUint32(at, value, true);
  }
  if (operands.length !== operand) {
    fail(kernel, `the launch has ${operands.length} operands, the kernel ${operand}`);
  }
}
