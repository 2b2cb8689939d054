/**
 * Compiles the CPU kernels (`kernels/cpu/*.ts`, AssemblyScript) to WebAssembly: `npm run kernels`, also part of
 * `npm ci` and `npm run build`. There are two modules, with and without relaxed SIMD. What the engine must know of their parameters goes along as a custom section.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import asc from "assemblyscript/asc";
import { kernelFields } from "../lib/kernel-fields.ts";

const FOLDER = fileURLToPath(new URL("../../kernels/cpu", import.meta.url));

/** What the modules depend on besides the sources. */
const BUILDERS = [import.meta.url, new URL("../lib/kernel-fields.ts", import.meta.url)].map((url) =>
  fileURLToPath(url),
);

/** 4 GiB: what 32-bit addresses reach. */
const MAXIMUM_PAGES = 65536;

/** An unsigned LEB128 number. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return [...bytes, rest];
    bytes.push((rest & 127) | 128);
  }
}

/** A WebAssembly custom section: id 0, size, name, content. */
function customSection(name: string, content: string): Uint8Array {
  const encoder = new TextEncoder();
  const label = encoder.encode(name);
  const body = [...leb(label.length), ...label, ...encoder.encode(content)];
  return Uint8Array.from([0, ...leb(body.length), ...body]);
}

async function compileModule(entry: string, relaxed: boolean): Promise<Uint8Array> {
  let wasm: Uint8Array | undefined;
  const features = ["simd", "threads", ...(relaxed ? ["relaxed-simd"] : [])];
  const { error, stderr } = await asc.main(
    [
      "index.ts",
      ...["--outFile", "out.wasm", "--runtime", "stub", "-O3", "--noAssert", "--importMemory"],
      ...features.flatMap((f) => ["--enable", f]),
      ...["--initialMemory", "1", "--maximumMemory", `${MAXIMUM_PAGES}`],
      ...["--sharedMemory", "--disableWarning"],
    ],
    {
      readFile: (name, base) => {
        if (name === "index.ts") return entry;
        try {
          return readFileSync(join(base.startsWith(FOLDER) ? base : FOLDER, name), "utf8");
        } catch {
          return null;
        }
      },
      writeFile: (name, contents) => {
        if (name === "out.wasm" && typeof contents !== "string") wasm = contents;
      },
      listFiles: () => [],
    },
  );
  if (error || !wasm) throw new Error(`[kernels] the compiler reports errors:\n${stderr}`);
  return wasm;
}

const modules = [true, false].map((relaxed) => ({
  relaxed,
  path: join(FOLDER, "build", `${relaxed ? "relaxed" : "plain"}.wasm`),
}));

/** Whether every module is newer than every source and than what builds it. */
function upToDate(): boolean {
  const sources = readdirSync(FOLDER, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(FOLDER, name));
  const time = (path: string): number => (existsSync(path) ? statSync(path).mtimeMs : 0);
  const newest = Math.max(...[...sources, ...BUILDERS].map(time));
  return modules.every(({ path }) => time(path) > newest);
}

/** Writes kernels/cpu/build/*.wasm; with `ifNeeded`, only when a source has changed. */
export async function buildKernels({ ifNeeded = false } = {}): Promise<void> {
  if (ifNeeded && upToDate()) return;
  const sources = readdirSync(FOLDER).filter((name) => name.endsWith(".ts"));
  const fields = kernelFields(sources.map((name) => readFileSync(join(FOLDER, name), "utf8")));
  const section = customSection("kernels", JSON.stringify(fields));
  const entry = sources.map((name) => `export * from "./${name.replace(/\.ts$/, "")}";`).join("\n");
  mkdirSync(join(FOLDER, "build"), { recursive: true });
  for (const { relaxed, path } of modules) {
    const module = await compileModule(entry, relaxed);
    writeFileSync(`${path}.part`, Buffer.concat([module, section]));
    renameSync(`${path}.part`, path);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const start = performance.now();
  try {
    await buildKernels({ ifNeeded: process.argv.includes("--if-needed") });
    console.error(
      `[kernels] kernels/cpu/build is written in ${((performance.now() - start) / 1000).toFixed(1)} s`,
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
}
