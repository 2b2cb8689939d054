/**
 * Node's modules for the built package, which bundlers and pages read too: the build writes each import of `node:...` in dist/ as a
 * call of this, so that no bundler sees one. Deno and Bun have the same modules. A page has none: what it takes of one throws
 * when it is called.
 */

/** The module `id`, as `node:fs`. */
export function builtin(id: string): object {
  const found =
    typeof process === "undefined" ? undefined : process.getBuiltinModule?.(id as "node:fs");
  return found ?? absent(id);
}

function absent(id: string): object {
  const get = (_: object, name: string | symbol): unknown =>
    name === "then" // or a promise of it would call it
      ? undefined
      : () => {
          throw new Error(
            `[package] ${String(name)} of ${id} was called, but this host has no such module: ` +
              "in a page use what takes URLs or bytes; Node has it from 20.16",
          );
        };
  return new Proxy({}, { get });
}
