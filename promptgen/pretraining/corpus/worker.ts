/** A thread that makes tokens of pieces of a corpus; see make.ts. */
import { parentPort, workerData } from "node:worker_threads";
import { loadTokenizer } from "../../../models/tokenizer/tokenizer.ts";
import { type CutOptions, type Encoded, LineEncoder, LineError } from "./texts.ts";

/** What a worker is started with. */
export type Setup = { readonly tokenizer: string; readonly options: CutOptions };
/** A piece of a file: whole lines. */
export type Piece = { readonly bytes: Uint8Array<ArrayBuffer>; readonly isJson: boolean };
export type Answer = Encoded | { readonly line: number; readonly what: string };

const { tokenizer, options } = workerData as Setup;
const encoder = new LineEncoder(await loadTokenizer(tokenizer), options);

parentPort?.on("message", ({ bytes, isJson }: Piece) => {
  let answer: Answer;
  try {
    answer = encoder.encode(bytes, isJson);
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    answer = { line: error.line, what: error.message };
  }
  const moved = "tokens" in answer ? [answer.tokens.buffer, answer.lengths.buffer] : [];
  parentPort?.postMessage(answer, moved);
});
