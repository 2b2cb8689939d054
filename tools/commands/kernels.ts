/**
 * Compiles the CPU kernels (`kernels/cpu/*.ts`, AssemblyScript) to WebAssembly: `npm run kernels`, also part of
 * `npm ci` and `npm run build`. There are three modules: with relaxed SIMD, without, and with it for memories of more than 4 GiB, whose
 * addresses have 64 bits. What the engine must know of their parameters goes along as a custom section.
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
import * as compiler from "assemblyscript";
import asc from "assemblyscript/asc";
import { kernelFields } from "../lib/kernel-fields.ts";

const FOLDER = fileURLToPath(new URL("../../kernels/cpu", import.meta.url));

/** What the modules depend on besides the sources. */
const BUILDERS = [import.meta.url, new URL("../lib/kernel-fields.ts", import.meta.url)].map((url) =>
  fileURLToPath(url),
);

/** 4 GiB: what 32-bit addresses reach. */
const MAXIMUM_PAGES = 65536;
/** 16 GiB: what V8 gives to a memory with 64-bit addresses. */
const WIDE_PAGES = 262144;

/** An unsigned LEB128 number. */
function leb(value: number): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
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

/** The text of a source of kernels/cpu, or of AssemblyScript's own library; null where there is none. */
function sourceOf(name: string): string | null {
  try {
    return readFileSync(join(FOLDER, name), "utf8");
  } catch {
    return null;
  }
}

/** AssemblyScript's library as the compiler takes it: paths without ending, and texts. */
function library(): [path: string, text: string][] {
  const folder = fileURLToPath(new URL("../std/assembly/", import.meta.resolve("assemblyscript")));
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).flatMap((file) => {
    const isRuntime =
      file.startsWith("rt/") && !/^rt\/(index-stub|stub|common|rtrace)\.ts$/.test(file);
    if (!file.endsWith(".ts") || file.endsWith(".d.ts") || isRuntime) return [];
    return [[`~lib/${file}`, readFileSync(join(folder, file), "utf8")]];
  });
}

/** The compiler's numbers for a target and a runtime. */
const WASM64 = 2;
const STUB = 0;

/**
 * The kernels for addresses of 64 bits: the compiler's command line does not have that target, its interface does. Addresses cross the
 * border to JavaScript as f64, which holds every one: BigInt would have to be allocated for each task.
 */
function compileWide(sources: readonly string[]): Uint8Array {
  const options = compiler.newOptions();
  compiler.setTarget(options, WASM64);
  compiler.setRuntime(options, STUB);
  compiler.setNoAssert(options, true);
  compiler.setImportMemory(options, true);
  compiler.setInitialMemory(options, 1);
  compiler.setMaximumMemory(options, MAXIMUM_PAGES - 1); // `widened` gives the true one
  compiler.setSharedMemory(options, true);
  compiler.setOptimizeLevelHints(options, 3, 0);
  const { FEATURE_SIMD, FEATURE_THREADS, FEATURE_RELAXED_SIMD, FEATURE_MEMORY64 } = compiler;
  for (const feature of [FEATURE_SIMD, FEATURE_THREADS, FEATURE_RELAXED_SIMD, FEATURE_MEMORY64]) {
    compiler.setFeature(options, feature, true);
  }
  const program = compiler.newProgram(options);
  const messages: string[] = [];
  const report = (): void => {
    for (let d = compiler.nextDiagnostic(program); d; d = compiler.nextDiagnostic(program)) {
      if (compiler.isError(d)) messages.push(compiler.formatDiagnostic(d));
    }
    if (messages.length > 0) {
      throw new Error(`[kernels] the compiler reports errors:\n${messages.join("\n")}`);
    }
  };
  for (const [path, text] of library()) compiler.parse(program, text, path, false);
  compiler.parse(program, wideEntry(sources), "index.ts", true);
  for (let file = compiler.nextFile(program); file; file = compiler.nextFile(program)) {
    compiler.parse(program, sourceOf(`${file}.ts`), `${file}.ts`, false);
  }
  report();
  compiler.initializeProgram(program);
  const module = compiler.compile(program);
  report();
  module.optimize(3, 0, false, true);
  return widened(module.toBinary(null).output);
}

/** Exports every function of the sources, its addresses as f64. */
function wideEntry(names: readonly string[]): string {
  return names
    .map((name) => {
      const text = (sourceOf(name) ?? "").replace(/\/\/.*$/gm, "");
      const found = [...text.matchAll(/export function (\w+)\(([^)]*)\): (\w+)/g)];
      const lines = found.map(([, fn, parameters, type]) => {
        const given = parameters.split(",").map((part) => part.split(":").map((t) => t.trim()));
        const isNumber = (kind: string) => ["u32", "i32", "f32"].includes(kind);
        const taken = given.map(([p, kind]) => `${p}: ${isNumber(kind) ? kind : "f64"}`);
        const passed = given.map(([p, kind]) => {
          if (isNumber(kind)) return p;
          return kind === "usize" ? `<usize>${p}` : `changetype<from.${kind}>(<usize>${p})`;
        });
        const call = `from.${fn}(${passed.join(", ")})`;
        return `export function ${fn}(${taken.join(", ")}): ${type} { ${type === "void" ? "" : "return "}${call}; }`;
      });
      const file = name.replace(/\.ts$/, "");
      const own = lines.map((line) => line.replaceAll("from.", `_${file}.`));
      return `import * as _${file} from "./${file}";\n${own.join("\n")}`;
    })
    .join("\n");
}

/** An unsigned LEB128 number and where the next byte stands. */
function readLeb(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let i = at, scale = 1; ; i++, scale *= 128) {
    value += (bytes[i] & 127) * scale;
    if (bytes[i] < 128) return [value, i + 1];
  }
}

/** The module with its one import, the memory, declared for 64-bit addresses: the compiler leaves the flag out. */
function widened(bytes: Uint8Array): Uint8Array {
  const IMPORTS = 2;
  for (let at = 8; at < bytes.length; ) {
    const [size, start] = readLeb(bytes, at + 1);
    const end = start + size;
    if (bytes[at] === IMPORTS) {
      const [count, first] = readLeb(bytes, start);
      const [moduleLength, moduleAt] = readLeb(bytes, first);
      const [nameLength, nameAt] = readLeb(bytes, moduleAt + moduleLength);
      const kind = nameAt + nameLength;
      if (count !== 1 || bytes[kind] !== 2) {
        throw new Error("[kernels] the wide module imports more than its memory");
      }
      const [least] = readLeb(bytes, kind + 2);
      const limits = [bytes[kind + 1] | 4, ...leb(least), ...leb(WIDE_PAGES)];
      const body = [...bytes.subarray(start, kind + 1), ...limits];
      const head = [IMPORTS, ...leb(body.length), ...body];
      return Uint8Array.from([...bytes.subarray(0, at), ...head, ...bytes.subarray(end)]);
    }
    at = end;
  }
  throw new Error("[kernels] the wide module imports no memory");
}

const modules = (["relaxed", "plain", "wide"] as const).map((kind) => ({
  kind,
  path: join(FOLDER, "build", `${kind}.wasm`),
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
  for (const { kind, path } of modules) {
    const module =
      kind === "wide" ? compileWide(sources) : await compileModule(entry, kind === "relaxed");
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
