/** Programs of Node's own that a command runs in its place. */
import { spawn } from "node:child_process";

/**
 * Runs `node ...args` with the output of this process; its exit code, 1 where a signal ended it.
 * @param signal ends it with SIGTERM
 */
export function runProgram(args: readonly string[], signal?: AbortSignal): Promise<number> {
  const child = spawn(process.execPath, args, { stdio: "inherit" });
  const stop = (): void => void child.kill("SIGTERM");
  signal?.addEventListener("abort", stop, { once: true });
  return new Promise((done, failed) => {
    child.on("error", failed);
    child.on("close", (code) => {
      signal?.removeEventListener("abort", stop);
      done(code ?? 1);
    });
  });
}
