/** placeholder */
import type { Device } from "../../../engine/device.ts";
import type { Prepared } from "../../../promptgen/run.ts";
import type { Cost, FactsShown, OwnFacts, PageEvent, TrainSettings } from "../protocol.ts";
export class Own {
  constructor(_device: Device, _emit: (event: PageEvent) => void) {}
  async facts(_: OwnFacts): Promise<FactsShown> { throw new Error("x"); }
  async cost(_: object): Promise<Cost> { throw new Error("x"); }
  async prepare(_: object): Promise<Cost> { throw new Error("x"); }
  async run(_: TrainSettings): Promise<Prepared> { throw new Error("x"); }
}
