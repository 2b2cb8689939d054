/** Where models come from in the worker: a page's places, and folders of its disk before them. */
import { directoryPlace } from "../../../models/formats/disk.ts";
import type { Host } from "../../../models/hub/host.ts";
import { host as page } from "../../../models/hub/page.ts";
import { disk } from "./disk.ts";

export const host: Host = Object.assign({}, page, {
  find: async (text: string) =>
    disk.kind(text) === "folder" ? directoryPlace(text) : page.find(text),
});
