/**
 * Weights in one file, safetensors or torch.save's by the ending of its name, and in several files that an index lists.
 *
 * `NAME.index.json` holds {metadata, weight_map}, the second from each tensor to the file that holds it. Both
 * `model.safetensors.index.json` and `pytorch_model.bin.index.json` are of this form.
 * Source: https://huggingface.co/docs/transformers/big_models, "Sharded checkpoints".
 */
import { type Fail, ModelError, printable } from "../errors.ts";
import { isObject, type Json } from "./json.ts";
import { readPytorch } from "./pytorch.ts";
import { type FileTensor, openSafetensors } from "./safetensors.ts";
import { type ByteSource, reasonOf } from "./source.ts";
import { withoutMark } from "./text.ts";

/** Tensors of files by name, and what the files say beside them. */
export type OpenedWeights = {
  readonly tensors: ReadonlyMap<string, FileTensor>;
  /** The path of each tensor's file. */
  readonly files: ReadonlyMap<string, string>;
  readonly metadata: Json;
};

/**
 * The tensors of one file of weights. Reads headers only.
 *
 * @param name the file's name: by its ending it is read, `.bin` as torch.save's, and it stands in errors
 * @throws `[safetensors] ...` or `[pytorch] ...` for a file that is not what its name says
 */
export async function openFile(source: ByteSource, name: string): Promise<OpenedWeights> {
  const { tensors, metadata } = name.endsWith(".bin")
    ? { tensors: await readPytorch(source, name), metadata: {} }
    : await openSafetensors(source, name);
  const files = new Map([...tensors.keys()].map((tensor) => [tensor, name]));
  return { tensors, files, metadata };
}

/** Whether a name is that of a file of weights, hidden nowhere, which stays in its folder on any system. */
const isPlainName = (name: string) =>
  name.length < 256 && /^[^/\\:.\p{C}][^/\\:\p{C}]*\.(?:safetensors|bin)$/u.test(name);

/** {metadata, weight_map} of an index; throws what `fail` throws. */
function parseIndex(text: string, fail: Fail): { files: Map<string, string>; metadata: Json } {
  let index: unknown;
  try {
    index = JSON.parse(withoutMark(text));
  } catch {
    fail("is no JSON: download it again");
  }
  const { weight_map: map, metadata } = isObject(index) ? index : {};
  if (!isObject(map)) return fail("has no 'weight_map' from tensors to files: download it again");
  const files = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string") {
      return fail(`gives no file name for '${printable(tensor)}': download it again`);
    }
    if (!isPlainName(file)) {
      fail(
        `names '${printable(file)}' for '${printable(tensor)}', which is no .safetensors or .bin beside it: refused, download it from its makers`,
      );
    }
    files.set(tensor, file);
  }
  if (files.size === 0) fail("has an empty 'weight_map': download it again");
  return { files, metadata: isObject(metadata) ? metadata : {} };
}

/**
 * The files that an index lists, each once, sorted.
 *
 * @throws what `fail` throws, for a text that is no index, and for a name that leads to another folder or is that of no
 *   file of weights
 */
export const shardFiles = (text: string, fail: Fail): string[] =>
  [...new Set(parseIndex(text, fail).files.values())].sort();

/**
 * The tensors of all files of an index, those that it does not list included. Where two files hold one name, the one that
 * the index names is taken.
 *
 * @param text the index
 * @param name what to call the index in errors
 * @param open opens a file beside the index; called for one after another, sorted by name
 * @throws ModelError `[weights] NAME ...` for a text that is no index, one that names what is no file of weights beside it or
 *   cannot be opened, and for a tensor that is not in its file; else as `openFile`, with the file's name
 */
export async function openShards(
  text: string,
  name: string,
  open: (file: string) => Promise<ByteSource>,
): Promise<OpenedWeights> {
  const fail: Fail = (what) => {
    throw new ModelError(`[weights] ${name} ${what}`);
  };
  const { files, metadata } = parseIndex(text, fail);
  const tensors = new Map<string, FileTensor>();
  const from = new Map<string, string>();
  const pathOf = (file: string) => name.replace(/[^/\\]*$/, () => file);
  for (const file of [...new Set(files.values())].sort()) {
    const source = await open(file).catch((cause: unknown) =>
      fail(
        `names the shard '${printable(file)}', which cannot be opened (${printable(reasonOf(cause))}): download it too`,
      ),
    );
    for (const [tensor, entry] of (await openFile(source, pathOf(file))).tensors) {
      const listed = files.get(tensor);
      const other = from.get(tensor);
      if (listed === undefined && other !== undefined) {
        fail(
          `does not list '${printable(tensor)}', which both '${other}' and '${file}' hold: download it and them again`,
        );
      }
      if (listed !== undefined && listed !== file) continue;
      tensors.set(tensor, entry);
      from.set(tensor, file);
    }
  }
  for (const [tensor, file] of files) {
    if (!tensors.has(tensor)) {
      fail(
        `lists '${printable(tensor)}' in '${file}', which does not hold it: download both again`,
      );
    }
  }
  const paths = new Map([...from].map(([tensor, file]) => [tensor, pathOf(file)]));
  return { tensors, files: paths, metadata };
}
