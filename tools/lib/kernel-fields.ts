/** What the AssemblyScript sources say of their records: read by the build and by the check. */

export type Field = readonly [name: string, type: "u32" | "i32" | "f32" | "usize"];

/** Kernel name -> the fields of its parameter class, read from the sources. */
export function kernelFields(texts: readonly string[]): Record<string, Field[]> {
  const kernels: Record<string, Field[]> = {};
  for (const text of texts) {
    const code = text.replace(/\/\/.*$/gm, "");
    for (const [, kernel, type] of code.matchAll(/export function (\w+)\(p: (\w+), task: u32/g)) {
      const body = new RegExp(`class ${type}\\s*\\{([^}]*)\\}`).exec(code)?.[1];
      if (body === undefined) throw new Error(`[kernels] ${kernel}: there is no class ${type}`);
      const fields = [...body.matchAll(/(\w+)\s*:\s*(\w+)\s*;/g)];
      kernels[kernel] = fields.map(([, name, kind]) => {
        if (kind === "u32" || kind === "i32" || kind === "f32" || kind === "usize") {
          return [name, kind];
        }
        throw new Error(`[kernels] ${kernel}.${name} is ${kind}; use u32, i32, f32 or usize`);
      });
    }
  }
  return kernels;
}
