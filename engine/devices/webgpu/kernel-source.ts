/** Reads WGSL files, and from them how a launch is bound: parameters, bindings, override constants. */
import { wgsl } from "../../../kernels/webgpu/sources.ts";
import { fail } from "../../errors.ts";

type Scalar = "u32" | "i32" | "f32";

/** What the engine needs to know of a kernel, read from its WGSL: the source is the one truth. */
export type KernelSource = {
  /** For people: the kernel's file, or the name of one that is not the package's. */
  readonly name: string;
  readonly code: string;
  readonly params: readonly (readonly [name: string, type: Scalar])[];
  /** Storage bindings in order, from binding 1. */
  readonly bindings: readonly ("read" | "read_write")[];
  /** Whether a uniform operand is bound behind them. */
  readonly uniform: boolean;
  readonly overrides: ReadonlySet<string>;
  /** Numbers of bindings that launches of this form do not have. */
  readonly absent: ReadonlySet<number>;
};

const sources = new Map<string, Promise<KernelSource>>();
const customs = new Map<string, KernelSource>();

/** A kernel that is not the package's. */
export function customSource(name: string, wgsl: string): KernelSource {
  let source = customs.get(wgsl);
  if (!source) {
    source = parse(name, wgsl);
    customs.set(wgsl, source);
  }
  return source;
}

/** What WGSL wants before all else; any file may have such lines. */
const DIRECTIVES = /^(?:enable|diagnostic)\b[^;]*;/gm;

/** The op's file with its constant and library files joined behind it, and their directives before it. */
export function kernelSource(file: string, uses: readonly string[]): Promise<KernelSource> {
  const key = [file, ...uses].join("+");
  let source = sources.get(key);
  if (!source) {
    source = Promise.all([file, ...uses].map(wgsl)).then((texts) => {
      const code = texts.join("\n");
      const first = code.match(DIRECTIVES) ?? [];
      return parse(file, [...first, code.replace(DIRECTIVES, "")].join("\n"));
    });
    sources.set(key, source);
  }
  return source;
}

function parse(name: string, code: string): KernelSource {
  const struct = /struct Params\s*\{([^}]*)\}/.exec(code)?.[1];
  if (struct === undefined) return fail(name, "the kernel has no `struct Params`");
  const body = struct.replace(/\/\/.*$/gm, "");
  const params = [...body.matchAll(/(\w+)\s*:\s*(u32|i32|f32)/g)].map(
    (m) => [m[1], m[2] as Scalar] as const,
  );
  if (params.length * 4 > 256) fail(name, "parameters must fit 256 bytes");
  const bindings: ("read" | "read_write")[] = [];
  for (const m of code.matchAll(/@binding\((\d+)\)\s+var<storage,\s*(read|read_write)>/g)) {
    bindings[Number(m[1]) - 1] = m[2] === "read" ? "read" : "read_write";
  }
  const last = new RegExp(`@binding\\(${bindings.length + 1}\\)\\s+var<uniform>`);
  const overrides = new Set([...code.matchAll(/override\s+(\w+)/g)].map((m) => m[1]));
  const uniform = last.test(code);
  return { name, code, params, bindings, uniform, overrides, absent: new Set() };
}

const lean = new WeakMap<KernelSource, Map<string, KernelSource>>();

/**
 * The source for launches that lack the operands of the bindings `absent`: each is a private variable that no constant lets it touch, for
 * what is bound costs the host a tenth of a microsecond at every dispatch.
 */
export function withoutBindings(source: KernelSource, absent: readonly number[]): KernelSource {
  if (absent.length === 0) return source;
  const forms = lean.get(source) ?? new Map<string, KernelSource>();
  lean.set(source, forms);
  let form = forms.get(absent.join());
  if (!form) {
    const code = source.code.replace(
      /@group\(0\) @binding\((\d+)\) var<(storage|uniform)[^>]*> (\w+): ([^;]+);/g,
      (line: string, binding: string, kind: string, name: string, type: string) => {
        if (!absent.includes(Number(binding))) return line;
        return `var<private> ${name}: ${kind === "storage" ? type.replace(/>$/, ", 1>") : type};`;
      },
    );
    form = { ...source, code, absent: new Set(absent) };
    forms.set(absent.join(), form);
  }
  return form;
}

/** Writes a launch's parameters in the struct's order; a missing or unknown name throws. */
export function packParams(
  kernel: string,
  source: KernelSource,
  values: Readonly<Record<string, number>>,
  into: DataView,
  byteOffset: number,
): void {
  const names = new Set(source.params.map(([name]) => name));
  for (const name of Object.keys(values)) {
    if (!names.has(name)) fail(kernel, `the kernel has no parameter ${name}`);
  }
  source.params.forEach(([name, type], i) => {
    const value = values[name];
    if (value === undefined) fail(kernel, `the launch gives no parameter ${name}`);
    const at = byteOffset + i * 4;
    if (type === "f32") into.setFloat32(at, value, true);
    else if (type === "i32") into.setInt32(at, value, true);
    else into.setUint32(at, value, true);
  });
}
