/**
 * Holds the kernels' sources, WGSL and AssemblyScript, to kernels/manifest.ts: files, parameters, selectors, operands, the
 * codes of selectors, shared numbers. Part of `npm run check`.
 */
import {
  CPU_HELPERS,
  cpuKernels,
  type KernelName,
  kernelOperands,
  kernels,
  type Selector,
  webgpuKernels,
} from "../../../kernels/manifest.ts";
import { GEOMETRY_CONSTANTS } from "../../../kernels/webgpu/table.ts";
import { kernelFields } from "../../lib/kernel-fields.ts";
import type { Source } from "./imports.ts";

type Device = "webgpu" | "cpu";

const CONST = /\bconst ([A-Z][A-Z0-9_]*)\s*:\s*u32\s*=\s*(\d+)u?\s*;/g;

const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");

/** What a source does, without what it declares or imports. */
const body = (code: string): string =>
  code.replace(CONST, "").replace(/^import\s*\{[^}]*\}.*$/gm, "");

const upper = (name: string): string => name.replace(/[A-Z]/g, "_$&").toUpperCase();

/** `UNARY_EXP` -> 1, of a selector's codes; empty for flags and counts. */
const codesOf = (selector: Selector): Map<string, number> =>
  new Map(
    typeof selector === "string"
      ? []
      : Object.entries(selector).flatMap(([prefix, codes]) =>
          Object.entries(codes).map(([name, code]) => [`${prefix}_${upper(name)}`, code] as const),
        ),
  );

/** Every code of the manifest by its name in the sources. */
const allCodes = new Map(
  Object.values(kernels).flatMap(({ selectors = {} }) =>
    Object.values(selectors).flatMap((s) => [...codesOf(s)]),
  ),
);
const prefixes = new Set([...allCodes.keys()].map((name) => name.slice(0, name.indexOf("_"))));

/** A file of a device, its comments gone. */
type File = { readonly path: string; readonly name: string; readonly code: string };

function filesOf(sources: readonly Source[], device: Device): { own: File[]; libs: File[] } {
  const folder = `kernels/${device}/`;
  const end = device === "webgpu" ? ".wgsl" : ".ts";
  const files = sources
    .filter(({ path }) => path.startsWith(folder) && path.endsWith(end))
    .map(({ path, text }) => ({
      path,
      name: path.slice(folder.length, -end.length),
      code: withoutComments(text),
    }))
    .filter(({ path }) => path !== "kernels/webgpu/table.ts");
  const isLib = ({ name }: File) => name.startsWith("lib/");
  return { own: files.filter((f) => !isLib(f)), libs: files.filter(isLib) };
}

/** The kernel of a WGSL file: `matmul_tile` is one of matmul's. */
const ownerOf = (file: string): KernelName | undefined =>
  [...webgpuKernels]
    .sort((a, b) => b.length - a.length)
    .find((name) => file === name || file.startsWith(`${name}_`));

/** One sentence where a list is not what the manifest has. */
function differs(
  path: string,
  what: string,
  got: readonly string[],
  want: readonly string[],
): string[] {
  if (got.join() === want.join()) return [];
  return [
    `[check] ${path}: ${what} are ${got.join(", ") || "none"}; kernels/manifest.ts has ${want.join(", ") || "none"}`,
  ];
}

const paramsOf = (name: KernelName): string[] =>
  Object.entries(kernels[name].params).map(([param, type]) => `${param}: ${type}`);

const selectorsOf = (name: KernelName): string[] => Object.keys(kernels[name].selectors ?? {});

function wgslProblems({ path, code }: File, name: KernelName): string[] {
  const struct = /struct Params\s*\{([^}]*)\}/.exec(code)?.[1] ?? "";
  const params = [...struct.matchAll(/(\w+)\s*:\s*(\w+)/g)].map(([, n, type]) => `${n}: ${type}`);
  const bindings = [
    ...code.matchAll(/@binding\((\d+)\)\s+var<(?:storage,\s*)?(\w+)>\s+(\w+)/g),
  ].map(([, at, access, n]) => `${at} ${access} ${n}`);
  const operands = kernelOperands(name).map(
    (o) => `${o.list === "inputs" ? "read" : "read_write"} ${o.name}`,
  );
  const { uniform } = kernels[name];
  const last = uniform ? [`uniform ${uniform.replace("?", "")}`] : [];
  const bound = ["uniform p", ...operands, ...last].map((o, at) => `${at} ${o}`);
  const overrides = [...code.matchAll(/\boverride\s+(\w+)/g)].map(([, n]) => n);
  return [
    ...differs(path, "the parameters", params, paramsOf(name)),
    ...differs(path, "the bindings", bindings, bound),
    ...differs(
      path,
      "the selectors",
      overrides.filter((n) => !GEOMETRY_CONSTANTS.has(n)).sort(),
      selectorsOf(name).sort(),
    ),
  ];
}

function cpuProblems({ path, code }: File, name: KernelName): string[] {
  const fields = kernelFields([code])[name];
  if (!fields) return [`[check] ${path} exports no ${name}(p, task, scratch)`];
  const { uniform, cpu = [] } = kernels[name];
  const selectors = selectorsOf(name);
  const isSelector = (field: string) =>
    selectors.includes(field) || /^[A-Z][A-Z0-9_]+$/.test(field);
  const numbers = fields.filter(([, type]) => type !== "usize");
  const operands = fields.filter(([, type]) => type === "usize").map(([n]) => n);
  const params = numbers.filter(([n]) => !isSelector(n)).map(([n, type]) => `${n}: ${type}`);
  const chosen = numbers.filter(([n]) => isSelector(n)).map(([n]) => n);
  const taken = kernelOperands(name).map((o) => o.name);
  return [
    ...differs(path, "the parameters", params, paramsOf(name)),
    ...differs(path, "the operands", operands, [
      ...taken,
      ...(uniform ? [uniform.replace("?", "")] : []),
      ...cpu,
    ]),
    ...differs(path, "the selectors", chosen.sort(), selectors.sort()),
  ];
}

/** A kernel's codes stand by their names; one may be what is left over. Shared numbers are the manifest's. */
function codeProblems(file: File, libs: readonly File[], name: KernelName): string[] {
  const { selectors = {}, fixed = {} } = kernels[name];
  const own = body(file.code);
  const all = [own, ...libs.map((l) => body(l.code))].join("\n");
  const problems: string[] = [];
  for (const [selector, kind] of Object.entries(selectors)) {
    const codes = [...codesOf(kind).keys()];
    const unnamed = codes.filter((code) => !new RegExp(`\\b${code}\\b`).test(all));
    if (unnamed.length > 1) {
      problems.push(`[check] ${file.path}: ${selector} is never ${unnamed.join(" nor ")}`);
    }
    const bare = new RegExp(
      `\\b(?:${selector}|${selector.toLowerCase()})\\s*[=!<>]=?\\s*\\d+|\\bcase \\d+`,
    );
    const number = codes.length > 0 ? bare.exec(own)?.[0] : undefined;
    if (number) problems.push(`[check] ${file.path}: \`${number}\`; name the code`);
  }
  for (const [constant, value] of Object.entries(fixed)) {
    const found = [file, ...libs].flatMap(({ code }) =>
      [...code.matchAll(CONST)].filter((m) => m[1] === constant).map((m) => Number(m[2])),
    );
    if (found[0] !== value) {
      problems.push(
        `[check] ${file.path}: const ${constant} is ${found[0] ?? "missing"}; kernels/manifest.ts has ${value}`,
      );
    }
  }
  return problems;
}

/** Every constant with a code's prefix has the code's number, and a device has all of them. */
function constantProblems(files: readonly File[], device: Device): string[] {
  const declared = files.flatMap(({ path, code }) =>
    [...code.matchAll(CONST)].map(([, name, value]) => ({ path, name, value: Number(value) })),
  );
  const coded = declared.filter(
    ({ name }) => name.includes("_") && prefixes.has(name.slice(0, name.indexOf("_"))),
  );
  const wrong = coded
    .filter(({ name, value }) => allCodes.get(name) !== value)
    .map(
      ({ path, name, value }) =>
        `[check] ${path}: ${name} is ${value}; kernels/codes.ts has ${allCodes.get(name) ?? "no such code"}`,
    );
  const missing = [...allCodes.keys()].filter((name) => !coded.some((c) => c.name === name));
  return [...wrong, ...missing.map((name) => `[check] kernels/${device} has no const ${name}`)];
}

/** One sentence for each place where a kernel's source is not what the manifest says. */
export function kernelProblems(sources: readonly Source[]): string[] {
  const problems: string[] = [];
  const wgsl = filesOf(sources, "webgpu");
  for (const file of wgsl.own) {
    const name = ownerOf(file.name);
    if (!name) problems.push(`[check] ${file.path} is of no kernel in kernels/manifest.ts`);
    else problems.push(...wgslProblems(file, name), ...codeProblems(file, wgsl.libs, name));
  }
  for (const name of webgpuKernels) {
    if (wgsl.own.some((file) => ownerOf(file.name) === name)) continue;
    problems.push(`[check] kernels/webgpu has no file of the kernel ${name}`);
  }
  const cpu = filesOf(sources, "cpu");
  for (const file of cpu.own) {
    if (file.name in CPU_HELPERS) continue;
    const name = cpuKernels.find((kernel) => kernel === file.name);
    if (!name) problems.push(`[check] ${file.path} is of no kernel in kernels/manifest.ts`);
    else problems.push(...cpuProblems(file, name), ...codeProblems(file, cpu.libs, name));
  }
  for (const name of [...cpuKernels, ...Object.keys(CPU_HELPERS)]) {
    if (cpu.own.some((file) => file.name === name)) continue;
    problems.push(`[check] kernels/cpu has no file ${name}.ts`);
  }
  problems.push(...constantProblems([...wgsl.own, ...wgsl.libs], "webgpu"));
  problems.push(...constantProblems([...cpu.own, ...cpu.libs], "cpu"));
  return problems;
}
