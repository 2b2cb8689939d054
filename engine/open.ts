/** Opens devices: the one place that knows every implementation, and loads only the one that is taken. */
import { type Device, type DeviceOptions, deviceNames, precisions } from "./device.ts";
import { checksFinite } from "./devices/host.ts";
import { fail, NoDeviceError } from "./errors.ts";
import { noteOrigins } from "./tensor.ts";

/**
 * Opens a device; its description says which was taken and why. Without a choice it is a hardware GPU or the CPU, never a
 * software adapter. Throws `NoDeviceError` with the remedy where what was asked for is not there.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  if (checksFinite(options) || options.profile) noteOrigins();
  if (!checksFinite(options)) return open(options);
  return Object.assign(await open(options), { checkFinite: true });
}

async function open(options: DeviceOptions): Promise<Device> {
  const wanted = options.device ?? "auto";
  if (!deviceNames.includes(wanted)) {
    fail("openDevice", `there is no device ${wanted}; choose among ${deviceNames.join(", ")}`);
  }
  const { precision = "f32" } = options;
  if (!precisions.includes(precision)) {
    fail("openDevice", `there is no precision ${precision}; choose among ${precisions.join(", ")}`);
  }
  const cpu = async (why: string): Promise<Device> => {
    if (precision === "f16") {
      throw new NoDeviceError(
        `[openDevice] the precision f16 is for GPUs, but the device is the CPU, ${why}; leave the precision out, or ask for a GPU`,
      );
    }
    const { openCPU } = await import("./devices/cpu/device.ts");
    return openCPU(options, why);
  };
  if (wanted === "cpu") {
    if (options.adapter !== undefined) {
      fail("openDevice", "adapter is for WebGPU, but the device is cpu; leave one of them out");
    }
    return cpu("as asked");
  }
  const { findHardware } = await import("./devices/webgpu/adapter.ts");
  const isNamed = options.adapter !== undefined;
  if (wanted !== "auto" || isNamed || (await findHardware())) {
    const { openWebGPU } = await import("./devices/webgpu/device.ts");
    return openWebGPU(options);
  }
  return cpu("no hardware GPU was found");
}
