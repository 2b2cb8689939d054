/** The devices that tests run on, and suites that run on each of them. */
import { suite } from "uvu";
import type { Device, DeviceOptions } from "../engine/device.ts";
import { CPUDevice } from "../engine/devices/cpu/device.ts";
import { NoDeviceError } from "../engine/errors.ts";
import { openDevice } from "../engine/open.ts";

export type TestDevice = "cpu" | "gpu" | "gpu:software";
export type Opened = { readonly name: TestDevice; readonly device: Device };

const webgpu = ["gpu", "gpu:software"] as const;
/** More than one, so that work is shared and waited for, whatever machine this is. */
const threads = 2;

/**
 * What PROMPTGEN_TEST_DEVICES, the runner's --device, asks for. Unset: what this machine has. `all`: the CPU and a
 * software adapter, either of which must be there.
 */
function asked(): "here" | "all" | TestDevice {
  const value = process.env.PROMPTGEN_TEST_DEVICES ?? "";
  if (value === "") return "here";
  if (value === "all" || value === "cpu" || value === "gpu" || value === "gpu:software")
    return value;
  throw new Error(
    `PROMPTGEN_TEST_DEVICES is ${value}; choose cpu, gpu, gpu:software or all, or unset it`,
  );
}

/** Whether tests on this device are asked for. */
export function testsRunOn(device: TestDevice): boolean {
  const wanted = asked();
  return wanted === "here" || wanted === "all" || wanted === device;
}

/** The CPU with 64-bit addresses; nothing that a test does lies below 4 GiB. */
export async function openWide(more: DeviceOptions = {}): Promise<Device> {
  const device = await openDevice({ memoryBudget: 12e9, ...more, device: "cpu" });
  if (!(device instanceof CPUDevice)) throw new Error("the CPU is another device");
  for (let i = 0; i < 2; i++) device.allocate(2 ** 31, "what lies below"); // reserved, never touched
  return device;
}

/** A command's options for the device that a test of that name has. */
export const deviceArguments = (name: TestDevice): string[] => [
  "--device",
  name,
  ...(name === "cpu" && process.env.PROMPTGEN_TEST_BUILD === "plain" ? ["--simd", "plain"] : []),
];

/** The CPU with the kernels that PROMPTGEN_TEST_BUILD asks for: relaxed where it is unset, plain or wide. */
function openCPU(more: DeviceOptions): Promise<Device> {
  const build = process.env.PROMPTGEN_TEST_BUILD ?? "relaxed";
  const options = { threads, ...more, device: "cpu" } as const;
  if (build === "relaxed") return openDevice(options);
  if (build === "plain") return openDevice({ simd: "plain", ...options });
  if (build === "wide") return more.memoryBudget ? openDevice(options) : openWide(options);
  throw new Error(`PROMPTGEN_TEST_BUILD is ${build}; choose relaxed, plain or wide, or unset it`);
}

/**
 * A GPU with the form of the kernels that is for hardware, which joins products wherever it can: as if all of them were split, and
 * every table were large.
 */
export async function openJoined(device: TestDevice, more: DeviceOptions = {}): Promise<Device> {
  const opened = await openDevice({ ...more, device, geometry: "hardware" });
  const { joins } = opened;
  if (!joins) throw new Error(`the device ${device} has no joins`);
  return Object.assign(opened, { joins: { ...joins, splits: () => true, tableRows: 1 } });
}

/**
 * A GPU with the form of its kernels that PROMPTGEN_TEST_GEOMETRY asks for: hardware, software, or joined for `openJoined`. Unset:
 * the adapter's own.
 */
function openForm(device: TestDevice, more: DeviceOptions): Promise<Device> {
  const geometry = process.env.PROMPTGEN_TEST_GEOMETRY ?? "";
  if (geometry === "") return openDevice({ ...more, device });
  if (geometry === "joined") return openJoined(device, more);
  if (geometry === "hardware" || geometry === "software") {
    return openDevice({ geometry, ...more, device });
  }
  throw new Error(
    `PROMPTGEN_TEST_GEOMETRY is ${geometry}; choose hardware, software or joined, or unset it`,
  );
}

async function openWebGPU(more: DeviceOptions): Promise<Opened[]> {
  const wanted = asked();
  const found: Opened[] = [];
  for (const name of webgpu) {
    if (!testsRunOn(name)) continue;
    try {
      found.push({ name, device: await openForm(name, more) });
    } catch (error) {
      const may = wanted === "here" || (wanted === "all" && name === "gpu");
      if (!may || !(error instanceof NoDeviceError)) throw error;
    }
  }
  return found;
}

/** Opens every device that is asked for. Throws where one that was named is missing. */
export async function openEach(more: DeviceOptions = {}): Promise<Opened[]> {
  const first: Opened[] = testsRunOn("cpu") ? [{ name: "cpu", device: await openCPU(more) }] : [];
  return [...first, ...(await openWebGPU(more))];
}

let opened: Promise<Opened[]> | undefined;

/** The same devices for the whole process. */
export function allDevices(): Promise<Opened[]> {
  opened ??= openEach();
  return opened;
}

export async function openDevices(): Promise<Device[]> {
  return (await allDevices()).map(({ device }) => device);
}

/** The WebGPU device of a test that is about WebGPU: hardware, else software. */
export async function anyWebGPU(): Promise<Opened> {
  const [first] = (await allDevices()).filter(({ name }) => name !== "cpu");
  if (!first) throw new Error("no WebGPU adapter; `bash tools/setup.sh` installs a software one");
  return first;
}

/** Registers a test that runs on each device. */
export type OnDevices = {
  (name: string, run: (device: Device, name: TestDevice) => Promise<void> | void): void;
  run(): void;
};

/** One suite for each device. The runner counts by the suites' names, which end in "on DEVICE". */
export async function onDevices(name: string, devices = allDevices()): Promise<OnDevices> {
  const each = (await devices).map((o) => ({ ...o, test: suite(`${name} on ${o.name}`) }));
  const register = (what: string, run: Parameters<OnDevices>[1]): void => {
    for (const { name, device, test } of each) test(what, () => run(device, name));
  };
  return Object.assign(register, {
    run: () => {
      for (const { test } of each) test.run();
    },
  });
}
