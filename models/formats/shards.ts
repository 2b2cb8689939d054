/**
 * A checkpoint in several files: `NAME.index.json` holds {metadata, weight_map}, the second from each tensor to the file that
 * holds it. Both `model.safetensors.index.json` and `pytorch_model.bin.index.json` are of this form.
 * Source: https://huggingface.co/docs/transformers/big_models, "Sharded checkpoints".
 */
import { type Fail, printable } from "./messages.ts";

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Whether a name is one that a file can have, and stays in the folder that it is used in, on any system. */
const isPlainName = (name: string) =>
  name.length < 256 && /^[^/\\:\p{C}]+$/u.test(name) && !/^\.\.?$/.test(name);

/**
 * The file of each tensor.
 *
 * @throws what `fail` throws, for a text that is no such index, and for a file name that leads to another folder
 */
export function parseShardIndex(text: string, fail: Fail): Map<string, string> {
  let index: unknown;
  try {
    index = JSON.parse(text);
  } catch {
    fail("is no JSON: download it again");
  }
  const map = isObject(index) ? index.weight_map : undefined;
  if (!isObject(map)) return fail("has no 'weight_map' from tensors to files: download it again");
  const files = new Map<string, string>();
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== "string") {
      return fail(`gives no file name for '${printable(tensor)}': download it again`);
    }
    if (!isPlainName(file)) {
      fail(
        `names '${printable(file)}' for '${printable(tensor)}', which is not a file beside it: refused, download it from its makers`,
      );
    }
    files.set(tensor, file);
  }
  if (files.size === 0) fail("has an empty 'weight_map': download it again");
  return files;
}

/**
 * The tensors of all files of an index, those that it does not list included. Where two files hold one name, the index
 * decides.
 *
 * @param open reads the tensors of one file; it is called for one after another, sorted by name
 * @throws what `fail` and `open` throw: `fail` also for a tensor that is not in its file
 */
export async function readShards<T>(
  text: string,
  open: (file: string) => Promise<ReadonlyMap<string, T>>,
  fail: Fail,
): Promise<Map<string, T>> {
  const files = parseShardIndex(text, fail);
  const tensors = new Map<string, T>();
  const from = new Map<string, string>();
  for (const file of [...new Set(files.values())].sort()) {
    for (const [name, tensor] of await open(file)) {
      const listed = files.get(name);
      const other = from.get(name);
      if (listed === undefined && other !== undefined) {
        fail(
          `does not list '${printable(name)}', which both '${other}' and '${file}' hold: download it and them again`,
        );
      }
      if (listed !== undefined && listed !== file) continue;
      tensors.set(name, tensor);
      from.set(name, file);
    }
  }
  for (const [name, file] of files) {
    if (!tensors.has(name)) {
      fail(`lists '${printable(name)}' in '${file}', which does not hold it: download both again`);
    }
  }
  return tensors;
}
