/**
 * Makes what the compiler wrote fit for every host: imports of Node's modules become calls that no bundler sees, and the WGSL becomes
 * one module. Knows no file system.
 */
import { dirname, relative, sep } from "node:path";

const STATIC = /^import (?:\* as (\w+)|(\w+)|(\{[^}]*\})) from "(node:[\w/]+)";/gm;
const DYNAMIC = /\bimport\("(node:[\w/]+)"\)/g;
/** Dawn's bindings, 130 MB that bundlers would look for and put beside a page. */
const OPTIONAL = /\bimport\("(webgpu)"\)/g;

/**
 * JavaScript of the package without an import of `node:...`: each is a call of `builtin` in kernels/builtin.js. What is imported only
 * where it is installed has its name computed. No line moves, so that source maps stay right.
 *
 * @param path from the package's dist/, with `/`
 * @throws when an import is left that it does not know how to write
 */
export function forEveryHost(path: string, code: string): string {
  const written = code
    .replace(STATIC, (_, all, whole, names, id) => {
      const taken = all ?? whole ?? names.replaceAll(" as ", ": ");
      return `const ${taken} = builtin("${id}");`;
    })
    .replace(DYNAMIC, (_, id) => `Promise.resolve(builtin("${id}"))`)
    .replace(OPTIONAL, 'import(/* webpackIgnore: true */ /* @vite-ignore */ String("$1"))');
  if (/\b(?:from|import)[\s(]*["'`]node:/.test(written)) {
    throw new Error(
      `[build] dist/${path} imports of node: in a form that the build does not know; write import { names } from "node:..."`,
    );
  }
  if (!/\bbuiltin\("/.test(written)) return written;
  const to = relative(dirname(path), "kernels/builtin.js").split(sep).join("/");
  return `import { builtin } from "${to.startsWith(".") ? to : `./${to}`}"; ${written}`;
}

/** The module that stands for kernels/webgpu/sources.ts in dist/. @param texts by file without `.wgsl` */
export const wgslModule = (texts: Readonly<Record<string, string>>): string =>
  `/** The WGSL files as texts, written by the build. */
const texts = ${JSON.stringify(texts, null, 1)};

export async function wgsl(file) {
    if (texts[file] === undefined) throw new Error(\`[build] there is no kernel \${file}.wgsl\`);
    return texts[file];
}
`;
