/** Opens devices: the one place that knows every implementation, and loads only the one that is taken. */
import { type Device, type DeviceOptions, deviceNames } from "./device.ts";
import { checksFinite } from "./devices/host.ts";
import { fail } from "./errors.ts";
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
  const cpu = async (why: string): Promise<Device> => {
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
