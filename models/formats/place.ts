/**
 * A place that has files: a directory, a model in a cache, what a visitor dropped. All that reads a model asks one of these for
 * its files by name, and knows nothing else of where they are.
 */
import { type Fail, ModelError, printable } from "../errors.ts";
import { type ByteSource, blobSource } from "./source.ts";
import { decodeText } from "./text.ts";

/** A place that has files. */
export type Place = {
  /** What to call it in errors: a directory, a name, an address. */
  readonly where: string;
  /** What to call a file of it in errors. */
  path(name: string): string;
  has(name: string): Promise<boolean>;
  /** Random access to a file; throws one sentence where it cannot be had. */
  open(name: string): Promise<ByteSource>;
  /**
   * The text of a file in UTF-8, without its byte order mark.
   *
   * @param remedy what to do where it cannot be had, the end of the sentence
   * @param limit bytes from which on it is refused
   * @throws what `fail` throws
   */
  text(name: string, fail: Fail, remedy: string, limit: number): Promise<string>;
};

/** A place made of what opens a file, which gives undefined for one that is not there. */
export function placeOf(
  where: string,
  find: (name: string) => Promise<ByteSource | undefined>,
): Place {
  const path = (name: string) => `${where}/${name}`;
  return {
    where,
    path,
    has: async (name) => (await find(name)) !== undefined,
    open: async (name) => {
      const source = await find(name);
      if (source) return source;
      throw new ModelError(`[source] ${path(name)} does not exist; give a place that has it`);
    },
    text: async (name, fail, remedy, limit) => {
      const source = await find(name);
      if (!source) return fail(`does not exist; ${remedy}`);
      if (source.size > limit) {
        return fail(`has ${source.size} bytes, the limit is ${limit}; ${remedy}`);
      }
      return decodeText(await source.read(0, source.size), fail);
    },
  };
}

/** Where a file lies among those of a dropped folder. */
const pathOf = (file: File): string => file.webkitRelativePath || file.name;

const CONFIG = "config.json";

/**
 * Files that a visitor chose or dropped, one model's: those beside the one config.json that lies nearest to the top.
 *
 * @throws `[files] ...` where two stand equally near, where one name stands twice, or where there is no file
 */
export function filesPlace(files: Iterable<File>): Place {
  const all = Array.from(files, (file) => {
    const path = pathOf(file);
    return { file, folder: path.slice(0, path.lastIndexOf("/") + 1), name: file.name };
  });
  if (all.length === 0) {
    throw new ModelError(
      "[files] no file was given; give config.json, the tokenizer and the weights of a model",
    );
  }
  const depth = ({ folder }: { folder: string }) => folder.split("/").length;
  const nearest = all.toSorted((a, b) => depth(a) - depth(b));
  const configs = nearest.filter(({ name }) => name === CONFIG);
  const [first = nearest[0], second] = configs;
  if (second && depth(second) === depth(first) && second.folder !== first.folder) {
    const both = [first, second].map(({ folder }) => `'${printable(folder)}'`).join(" and ");
    throw new ModelError(`[files] both ${both} hold a ${CONFIG}; give the files of one model`);
  }
  const own = new Map<string, File>();
  for (const { file, folder, name } of all) {
    if (folder !== first.folder) continue;
    if (own.has(name)) {
      throw new ModelError(
        `[files] '${printable(name)}' was given twice; give the files of one model`,
      );
    }
    own.set(name, file);
  }
  const where = first.folder === "" ? "the given files" : printable(first.folder.slice(0, -1));
  return placeOf(where, async (name) => {
    const file = own.get(name);
    return file && blobSource(file, `${where}/${name}`);
  });
}

/** The files at the top of a folder that a visitor chose or dropped. */
export function handlePlace(folder: FileSystemDirectoryHandle): Place {
  if (folder.kind !== "directory") {
    throw new ModelError(
      "[files] what was given is no list of files, folder or address; give files as a list",
    );
  }
  return placeOf(printable(folder.name), async (name) => {
    const handle = await folder.getFileHandle(name).catch((cause: unknown) => {
      const { name: kind } = Object(cause) as { name?: string };
      if (kind === "NotFoundError" || kind === "TypeMismatchError") return undefined;
      throw new ModelError(
        `[files] ${printable(folder.name)}/${name} cannot be read (${kind}); choose the folder again and permit reading it`,
        { cause },
      );
    });
    return handle && blobSource(await handle.getFile(), `${printable(folder.name)}/${name}`);
  });
}
