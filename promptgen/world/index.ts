/**
 * The embedded world as `promptgen/world`: a sub-path of its own, so that a page's bundle has these weights only where it is asked for
 * them.
 */
export { embeddedWorld, type World } from "./world.ts";

/** A model's files by name, where they can be fetched from. */
export type ModelFiles = Readonly<
  Record<"config.json" | "model.safetensors" | "tokenizer.json", URL>
>;

/** The models' files by literal URLs, which bundlers follow and copy. */
export const worldModels: Readonly<Record<"bert" | "bart" | "t5", ModelFiles>> = {
  bert: {
    "config.json": new URL("./bert/config.json", import.meta.url),
    "model.safetensors": new URL("./bert/model.safetensors", import.meta.url),
    "tokenizer.json": new URL("./bert/tokenizer.json", import.meta.url),
  },
  bart: {
    "config.json": new URL("./bart/config.json", import.meta.url),
    "model.safetensors": new URL("./bart/model.safetensors", import.meta.url),
    "tokenizer.json": new URL("./bart/tokenizer.json", import.meta.url),
  },
  t5: {
    "config.json": new URL("./t5/config.json", import.meta.url),
    "model.safetensors": new URL("./t5/model.safetensors", import.meta.url),
    "tokenizer.json": new URL("./t5/tokenizer.json", import.meta.url),
  },
};
