/** Finds a WebGPU adapter, in Node through Dawn, and opens its device with the limits and features that kernels can use. */
import type { DeviceOptions } from "../../device.ts";
import { NoDeviceError } from "../../errors.ts";
import { debugLevel, inNode } from "../host.ts";

export type Opened = {
  device: GPUDevice;
  software: boolean;
  description: string;
  name: string;
  /** The adapter and its driver. */
  build: string;
  /** Whether the device was opened with what matrix units need. */
  units: boolean;
};

/** By the adapter's name, empty for any, and toggles. Dawn crashes when an object that `create()` returned is collected: they stay reachable for ever. */
const dawn = new Map<string, GPU>();

/** Dawn's bindings for Node, an optional dependency. */
async function bindings(): Promise<typeof import("webgpu")> {
  try {
    return await import("webgpu");
  } catch (cause) {
    throw new NoDeviceError(
      `[openDevice] WebGPU in Node needs the package webgpu, which does not load (${reasonOf(cause)}); type npm install webgpu, or ask for cpu, which needs nothing`,
      { cause },
    );
  }
}

/** The first line of what an error says. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0];

/**
 * @param adapter its whole name; empty for any
 * @param more toggles of Dawn's
 */
async function findGPU(adapter = "", more: readonly string[] = []): Promise<GPU> {
  if (adapter === "" && typeof navigator !== "undefined" && navigator.gpu) return navigator.gpu;
  if (!inNode()) {
    throw new NoDeviceError(
      "[openDevice] this browser has no WebGPU; use one that has (Chrome 113+), or the device cpu",
    );
  }
  const key = [adapter, ...more].join();
  const found = dawn.get(key);
  if (found) return found;
  const { create, globals } = await bindings();
  Object.assign(globalThis, globals);
  const toggles = ["allow_unsafe_apis", ...more, ...(process.env.DAWN_TOGGLES?.split(",") ?? [])];
  const made = create([
    `enable-dawn-features=${toggles}`,
    "disable-dawn-features=timestamp_quantization", // steps of 65.5 us hide most launches
    ...(adapter === "" ? [] : [`adapter=${adapter}`]),
  ]);
  dawn.set(key, made);
  Object.defineProperty(globalThis, "__dawn", { value: dawn, configurable: true });
  return made;
}

/** A name that no adapter has: Dawn then says which there are. */
const NOBODY = "no adapter has this name";

/** The names of all adapters, in Node. */
export async function adapterNames(): Promise<string[]> {
  if (!inNode()) {
    throw new NoDeviceError(
      "[openDevice] a browser chooses its adapter by itself; leave adapter out",
    );
  }
  const gpu = await findGPU(NOBODY);
  const said = await gpu.requestAdapter().then(
    () => "",
    (error: unknown) => String(Object(error).message ?? error),
  );
  return [...said.matchAll(/^ *\* *backend: '[^']*', name: '(.*)'$/gm)].map(([, name]) => name);
}

/** The whole name of the first adapter that `part` is in. Throws one sentence with all names where there is none, and for `list`. */
export async function adapterNamed(part: string): Promise<string> {
  const names = await adapterNames();
  const name = names.find((one) => one.toLowerCase().includes(part.toLowerCase()));
  if (name !== undefined && part.trim() !== "" && part !== "list") return name;
  throw new NoDeviceError(
    names.length === 0
      ? noAdapter
      : `[openDevice] adapter is "${part}", which is in no adapter's name; there are: ${names.join("; ")}`,
  );
}

/** A software rasteriser that implements Vulkan on the CPU. */
const isSoftware = (info: GPUAdapterInfo): boolean =>
  info.isFallbackAdapter ||
  /llvmpipe|lavapipe|swiftshader|software/i.test(
    `${info.vendor} ${info.architecture} ${info.device} ${info.description}`,
  );

const noAdapter =
  "[openDevice] no WebGPU adapter: install a Vulkan driver, on Debian or Ubuntu `sudo bash tools/setup.sh` " +
  "(a software one will do), elsewhere your GPU's own driver; or ask for cpu, which needs nothing";

const highPerformance = (gpu: GPU): Promise<GPUAdapter | null> =>
  gpu.requestAdapter({ powerPreference: "high-performance" });

/** Files in /dev, or in /dev/dri as dri/NAME, by which Linux shows a device that computes, whoever's driver it is. */
const GRAPHICS = /^(dri\/renderD\d+|nvidia\d+|dxg|kgsl-|mali\d*$|nvgpu|nvhost-gpu|pvr)/;

/** Whether any of the names of files in /dev is that of a graphics device. */
export const namesGraphics = (names: readonly string[]): boolean =>
  names.some((name) => GRAPHICS.test(name));

/** Whether asking for an adapter can find hardware: only then are drivers loaded, which write warnings of their own to stderr. */
async function mayHaveHardware(): Promise<boolean> {
  if (!inNode() || process.platform !== "linux") return true;
  const { readdir } = await import("node:fs/promises");
  const names = async (folder: string) => readdir(folder).catch(() => []);
  const rendering = (await names("/dev/dri")).map((name) => `dri/${name}`);
  return namesGraphics([...(await names("/dev")), ...rendering]);
}

/** Whether there is a hardware adapter. */
export async function findHardware(): Promise<boolean> {
  if (!(await mayHaveHardware())) return false;
  try {
    const adapter = await highPerformance(await findGPU());
    return adapter !== null && !isSoftware(adapter.info);
  } catch {
    return false; // no WebGPU, or no build of it for this system
  }
}

/** What kernels need of a device for its matrix units. */
const UNITS = [
  "shader-f16",
  "subgroups",
  "chromium-experimental-subgroup-matrix",
] as GPUFeatureName[];

/** Dawn hides f16 on NVIDIA's Vulkan, and the units' loads are of Vulkan's memory model. */
const UNITS_TOGGLES = ["vulkan_enable_f16_on_nvidia", "use_vulkan_memory_model"];

type UnitsInfo = GPUAdapterInfo & {
  readonly subgroupMatrixConfigs?: Iterable<
    Readonly<Record<"componentType" | "resultComponentType", string>> &
      Readonly<Record<"M" | "N" | "K", number>>
  >;
};

/** Whether an adapter has the matrix units of lib/units.wgsl: 16 x 16 x 16, f16 operands, f32 sums, by 32 threads. */
export function hasUnits({ features, info }: Pick<GPUAdapter, "features" | "info">): boolean {
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] }: UnitsInfo = info;
  return (
    UNITS.every((feature) => features.has(feature)) &&
    subgroupMinSize === 32 &&
    subgroupMaxSize === 32 &&
    [...subgroupMatrixConfigs].some(
      ({ componentType, resultComponentType, M, N, K }) =>
        componentType === "f16" &&
        resultComponentType === "f32" &&
        [M, N, K].every((size) => size === 16),
    )
  );
}

/** Finds an adapter and opens it with its own limits and the optional features that kernels can use. */
export async function openAdapter(options: DeviceOptions): Promise<Opened> {
  const called = options.adapter === undefined ? "" : await adapterNamed(options.adapter);
  const gpu = await findGPU(called);
  const wanted = options.device ?? "auto";
  let adapter = await highPerformance(gpu);
  const isNamed = options.adapter !== undefined;
  if (wanted === "gpu:software" && !isNamed && (!adapter || !isSoftware(adapter.info))) {
    adapter = await gpu.requestAdapter({ forceFallbackAdapter: true });
  }
  if (!adapter) throw new NoDeviceError(noAdapter);
  const software = isSoftware(adapter.info);
  const name =
    adapter.info.description || `${adapter.info.vendor} ${adapter.info.architecture}`.trim();
  if (wanted !== "gpu:software" && software) {
    const which = isNamed ? "that adapter" : "the only adapter";
    throw new NoDeviceError(
      `[openDevice] ${which} is software (${name}); install your GPU's driver, or ask for cpu or gpu:software`,
    );
  }
  if (wanted === "gpu:software" && isNamed && !software) {
    throw new NoDeviceError(
      `[openDevice] that adapter is no software (${name}); ask for gpu, or leave adapter out`,
    );
  }
  const mayHaveUnits = options.precision === "f16" && options.units !== false && !software;
  if (mayHaveUnits) {
    const other = await highPerformance(await findGPU(called, UNITS_TOGGLES));
    if (other && hasUnits(other)) adapter = other;
  }
  const units = mayHaveUnits && hasUnits(adapter);
  const features: GPUFeatureName[] = units ? [...UNITS] : ["subgroups"];
  if (options.profile || debugLevel(options) > 0) features.push("timestamp-query");
  const { limits } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: features.filter((f) => adapter.features.has(f)),
    requiredLimits: {
      maxBufferSize: limits.maxBufferSize,
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxStorageBuffersPerShaderStage: Math.min(limits.maxStorageBuffersPerShaderStage, 10),
      maxComputeWorkgroupStorageSize: limits.maxComputeWorkgroupStorageSize,
    },
  });
  const why = software ? "a software adapter, as asked" : "a hardware GPU";
  return {
    device,
    software,
    units,
    name,
    build: [
      "WebGPU",
      adapter.info.vendor,
      adapter.info.architecture,
      adapter.info.device,
      adapter.info.description,
    ].join(", "),
    description: `WebGPU on ${name || "an unnamed adapter"} (${why})`,
  };
}
