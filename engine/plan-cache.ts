/** Which loaded plans stay on a device: the most recently run ones, as many as a driver bears. */
import type { Device, Executable } from "./device.ts";

/** The most bind groups that the plans of one device keep alive (a software driver dies near 65,000). */
const LIVE_BIND_GROUPS = 30_000;

/** Least recently run first. */
const loaded = new WeakMap<Device, Map<object, { executable: Executable; drop: () => void }>>();

/** Remembers a loaded plan under its owner; `drop` forgets it there. */
export function keep(
  device: Device,
  owner: object,
  executable: Executable,
  drop: () => void,
): void {
  const plans = loaded.get(device) ?? new Map();
  loaded.set(device, plans);
  plans.set(owner, { executable, drop });
}

/** Marks a plan as used now and evicts the least recently run ones beyond the limit. */
export function touch(device: Device, owner: object): void {
  const plans = loaded.get(device);
  const mine = plans?.get(owner);
  if (!plans || !mine) return;
  plans.delete(owner);
  plans.set(owner, mine);
  let live = 0;
  for (const p of plans.values()) live += p.executable.bindGroups;
  for (const [key, p] of plans) {
    if (live <= LIVE_BIND_GROUPS || key === owner) break;
    live -= p.executable.bindGroups;
    plans.delete(key);
    p.drop();
    p.executable.destroy();
  }
}
