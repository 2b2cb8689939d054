/**
 * What the browser keeps of the disk: files below a folder are mirrored into the origin private file system, each whole or not at all,
 * in the order in which they became whole. A page that is closed in the middle finds what a process that was killed would find.
 */
import { disk } from "../node/disk.ts";

type Root = FileSystemDirectoryHandle;

/** Milliseconds that a page which was just closed has to let go. */
const PATIENCE = 3000;

/** Takes a lock that this worker has until it ends. @throws where another page has it */
function taken(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const have = () => {
      resolve();
      return new Promise<never>(() => undefined);
    };
    navigator.locks.request(name, { signal: AbortSignal.timeout(PATIENCE) }, have).catch(reject);
  });
}

/** A folder of the disk that survives the page. */
export class Kept {
  readonly #folder: string;
  readonly #root: Root;
  /** Paths that are to be mirrored, the next one first. */
  readonly #waiting = new Set<string>();
  #working: Promise<void> | undefined;
  /** Why the browser keeps nothing any more; empty while it does. */
  problem = "";

  private constructor(folder: string, root: Root) {
    this.#folder = folder;
    this.#root = root;
  }

  /**
   * Reads what was kept onto the disk, and keeps what is written from then on. One page of a browser does at a time.
   * @throws where another page does, and where the browser has no such file system, as in a private window of some
   */
  static async open(folder: string): Promise<Kept> {
    await taken(`promptgen ${folder}`);
    const root = await navigator.storage.getDirectory();
    const kept = new Kept(folder, root);
    await kept.#read(root, "");
    disk.watch(({ path }) => {
      if (!path.startsWith(`${folder}/`) || path.endsWith(".part")) return;
      // the record of the steps is open while they are taken: it goes with each checkpoint, before it
      if (path.endsWith("/last.safetensors")) {
        kept.#want(path.replace("last.safetensors", "steps.bin"));
      }
      kept.#want(path);
    });
    return kept;
  }

  /** Waits until all that was written is kept. */
  async settled(): Promise<void> {
    while (this.#working) await this.#working;
  }

  #want(path: string): void {
    this.#waiting.delete(path);
    this.#waiting.add(path);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    for (const path of this.#waiting) {
      this.#waiting.delete(path);
      try {
        await this.#mirror(path);
        this.problem = "";
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        this.problem = `This browser does not keep what is learned (${why}); it is lost when the page is closed.`;
      }
    }
  }

  async #mirror(path: string): Promise<void> {
    const names = path.slice(this.#folder.length + 1).split("/");
    const name = names.pop() ?? "";
    const exists = disk.kind(path) === "file";
    let folder = this.#root;
    for (const one of names) {
      try {
        folder = await folder.getDirectoryHandle(one, { create: exists });
      } catch (error) {
        if (!exists) return; // nothing of it was kept
        throw error;
      }
    }
    if (!exists) {
      await folder.removeEntry(name).catch(() => undefined);
      return;
    }
    const bytes = disk.bytes(path).slice();
    const file = await folder.getFileHandle(name, { create: true });
    const stream = await file.createWritable(); // replaces the file when it is closed
    await stream.write(bytes);
    await stream.close();
  }

  async #read(folder: Root, path: string): Promise<void> {
    for await (const [name, handle] of folder.entries()) {
      const own = `${path}/${name}`;
      if (handle instanceof FileSystemDirectoryHandle) await this.#read(handle, own);
      else if (handle instanceof FileSystemFileHandle) {
        const bytes = await (await handle.getFile()).arrayBuffer();
        disk.put(`${this.#folder}${own}`, new Uint8Array(bytes));
      }
    }
  }
}
