/**
 * Which types a user meets in a signature of the package and cannot import: read from the declarations that the compiler wrote, whose
 * statements begin in the first column. A name counts where it is a type, or a constant behind `typeof`.
 */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

type Declaration = { readonly name: string; readonly kind: string; readonly text: string };

/** A declarations file: what it declares, and what its names mean that come from other files. */
type Module = {
  readonly declared: ReadonlyMap<string, Declaration>;
  /** By the name that stands in the file. */
  readonly imported: ReadonlyMap<string, Target>;
  readonly exported: ReadonlyMap<string, Target>;
};

type Target = { readonly file: string; readonly name: string };

const DECLARATION =
  /^(?:export )?(?:declare )?(?:abstract )?(class|type|interface|function|const|let|enum) (\w+)/;

const key = ({ file, name }: Target): string => `${file}: ${name}`;

/** `a, type b as c` of braces: what is meant, and what it is called. */
const namesOf = (braces: string): [meant: string, called: string][] =>
  braces
    .split(",")
    .map((one) => one.trim().replace(/^type /, ""))
    .filter(Boolean)
    .map((one) => {
      const [meant, called = meant] = one.split(" as ");
      return [meant, called];
    });

function parse(file: string): Module {
  const text = readFileSync(file, "utf8").replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
  const declared = new Map<string, Declaration>();
  const imported = new Map<string, Target>();
  const exported = new Map<string, Target>();
  const statements = text.split(/^(?=(?:export|import|declare|type|class|interface|abstract) )/m);
  for (const statement of statements) {
    const from = /^(import|export) (?:type )?\{([^}]*)\} from "(\.[^"]*)"/.exec(statement);
    if (from) {
      const [, verb, braces, path] = from;
      const source = join(dirname(file), path.replace(/\.(?:js|ts)$/, ".d.ts"));
      for (const [name, called] of namesOf(braces)) {
        (verb === "import" ? imported : exported).set(called, { file: source, name });
      }
      continue;
    }
    const again = /^export (?:type )?\{([^}]*)\};/.exec(statement);
    for (const [name, called] of namesOf(again?.[1] ?? "")) {
      const target = imported.get(name);
      if (target) exported.set(called, target);
    }
    const [, kind, name] = DECLARATION.exec(statement) ?? [];
    // a function has a statement for each overload
    const before = name === undefined ? "" : (declared.get(name)?.text ?? "");
    if (name !== undefined) declared.set(name, { name, kind, text: before + statement });
  }
  return { declared, imported, exported };
}

/** Whether `name` stands in a declaration as a type: not as a property's, a parameter's or a method's name. */
function uses({ text }: Declaration, name: string, isType: boolean): boolean {
  const before = isType ? "(?<![\\w.$\"'])" : "\\btypeof ";
  return new RegExp(`${before}${name}\\b(?!["'(]|\\??:)`).test(text);
}

const TYPES = new Set(["class", "type", "interface", "enum"]);

/**
 * One line for each type that what `entries` export uses and none of them exports.
 *
 * @param entries paths of .d.ts files
 */
export function unnamedTypes(entries: readonly string[]): string[] {
  const modules = new Map<string, Module>();
  const moduleOf = (file: string): Module => {
    const module = modules.get(file) ?? parse(file);
    modules.set(file, module);
    return module;
  };
  /** Where a name is declared that a file exports, perhaps of another one. */
  const declaredAt = (target: Target): Target => {
    const onward = moduleOf(target.file).exported.get(target.name);
    return onward ? declaredAt(onward) : target;
  };
  const named = entries.flatMap((entry) => [...moduleOf(entry).exported.values()].map(declaredAt));
  const can = new Set(named.map(key));
  const said = new Set<string>();
  for (const { file, name } of named) {
    const { declared, imported } = moduleOf(file);
    const own = declared.get(name);
    if (!own) throw new Error(`${file} declares no ${name}`);
    const others = new Map([
      ...imported,
      ...[...declared.keys()].map((n) => [n, { file, name: n }] as const),
    ]);
    for (const [called, target] of others) {
      const at = declaredAt(target);
      const kind = moduleOf(at.file).declared.get(at.name)?.kind ?? "";
      if (called === name || can.has(key(at)) || kind === "function") continue;
      if (!uses(own, called, TYPES.has(kind))) continue;
      said.add(`${name} uses ${at.name} of ${at.file}`);
    }
  }
  return [...said].sort();
}
