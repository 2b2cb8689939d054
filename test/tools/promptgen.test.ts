/** The command promptgen: what its help says and what it reads. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import { METHODS } from "../../promptgen/methods/index.ts";
import { COMMANDS, help, meantBy } from "../../tools/commands/promptgen.ts";
import { completions } from "../../tools/commands/train.ts";
import type { OptionSpec } from "../../tools/lib/cli.ts";
import { COMMON_OPTIONS, type Command, readLine, understand } from "../../tools/lib/command.ts";
import { helpOf, WIDTH } from "../../tools/lib/help.ts";
import { ROOT, refuses, temporary } from "./command.ts";

const test = suite("promptgen");

const commands: Command[] = [];
for (const { load } of Object.values(COMMANDS)) commands.push((await load()).command);
for (const name of ["soak", "fullsize"]) {
  commands.push((await import(`../../tools/commands/${name}.ts`)).command);
}
const train = commands[0];
/** Every command, and train with each method. */
const all: Command[] = [...commands];
for (const { name } of METHODS) {
  all.push((await understand(train, ["--method", name])).command);
}

/** What a shell makes of a line. */
const words = (line: string): string[] =>
  [...line.replace(/ [<>] \S+$/, "").matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, double, single, bare]) => double ?? single ?? bare,
  );

async function sentence(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "nothing was thrown";
}

test("each help begins with what the command does, has two examples and fits a screen", () => {
  for (const command of all) {
    const { name, about, examples, screen = 24 } = command;
    const short = helpOf(command, COMMON_OPTIONS, false);
    const lines = short.trimEnd().split("\n");
    assert.ok(lines.length <= screen && screen <= 40, `${name}: ${lines.length} lines`);
    if (screen > 24) assert.ok(["train", "evaluate", "study"].includes(name), name);
    for (const line of lines) assert.ok(line.length <= WIDTH, `${name}: ${line}`);
    assert.ok(short.replace(/\n/g, " ").startsWith(about), name);
    const { call = `npx promptgen ${name}` } = command;
    const shown = lines.filter((line) => line.startsWith(`  ${call}`));
    for (const [line] of examples) {
      const own = helpOf(command, COMMON_OPTIONS, true).replace(/ \\\n +/g, " ");
      assert.ok(own.includes(`  ${call} ${line}`.trimEnd()), line);
    }
    assert.ok(examples.length >= 2 && shown.length >= 2, `${name}: ${shown.length} examples`);
    assert.match(short, /\nAll of it: .* --help all\n$/);
  }
  for (const line of help().split("\n")) assert.ok(line.length <= WIDTH, line);
  assert.ok(help().trimEnd().split("\n").length <= 24);
  for (const name of Object.keys(COMMANDS)) assert.match(help(), new RegExp(`^  ${name} `, "m"));
});

test("the short help names every option, the long one says what it does, and fits the width", () => {
  for (const command of all) {
    const [short, long] = [false, true].map((more) => helpOf(command, COMMON_OPTIONS, more));
    const plain = long.replace(/\s+/g, " ");
    const specs: [string, OptionSpec][] = Object.entries({ ...command.options, ...COMMON_OPTIONS });
    for (const [name, { value, help: what }] of specs) {
      assert.match(short, new RegExp(`^ .*--${name}(?![\\w-])`, "m"), `${command.name} --${name}`);
      const row = `--${name}${value === undefined ? "" : ` ${value}`} ${what}`;
      assert.ok(plain.includes(row.replace(/\s+/g, " ")), `${command.name} --${name}`);
    }
    assert.match(long, /DEBUG=1/);
    for (const line of long.split("\n")) assert.ok(line.length <= WIDTH, line);
  }
  const methods = helpOf(train, COMMON_OPTIONS, true).replace(/\s+/g, " ");
  for (const { name, summary } of METHODS) assert.ok(methods.includes(` ${name} ${summary}`), name);
});

test("every example is a line that its command takes", () => {
  for (const command of all) {
    for (const [line] of command.examples) {
      const { positionals } = readLine(command, words(line));
      assert.ok(command.operands !== undefined || positionals.length === 0, line);
    }
  }
  for (const [i, { name }] of METHODS.entries()) {
    const [first] = all[commands.length + i].examples;
    assert.ok(first[0].startsWith(name === "promptgen" ? "--world" : `--method ${name} --world`));
  }
  const refused = () => readLine(train, words("--world --aplha 0"));
  assert.throws(
    refused,
    /^UsageError: \[train\] Unknown option '--aplha' \(did you mean --alpha\?\); see --help$/,
  );
});

test("README and docs name no command and no option that is not there", () => {
  const options = new Map(commands.map((one) => [one.name, new Set(Object.keys(one.options))]));
  options.set("train", new Set(Object.keys(completions)));
  const common = new Set([...Object.keys(COMMON_OPTIONS), "help"]);
  const scripts = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")).scripts;
  const every = new Set([...options.values()].flatMap((own) => [...own]));
  // programs for developers whose options are in their source alone
  for (const name of ["bench.ts", "test.ts"]) {
    const source = readFileSync(join(ROOT, "tools/commands", name), "utf8");
    for (const [, option] of source.matchAll(/--([a-z][\w-]*)/g)) every.add(option);
  }
  const docs = readdirSync(join(ROOT, "docs")).filter((name) => name.endsWith(".md"));
  let looked = 0;
  for (const path of ["README.md", ...docs.map((name) => `docs/${name}`)]) {
    const text = readFileSync(join(ROOT, path), "utf8");
    const blocks = [...text.matchAll(/^```\w*\n([\s\S]*?)^```/gm)].flatMap(([, code]) =>
      code.split("\n"),
    );
    const indented = text.split("\n").filter((line) => /^ {4}\S/.test(line));
    const prose = text.replace(/^```[\s\S]*?^```/gm, "");
    const inline = [...prose.matchAll(/`([^`]+)`/g)].map(([, code]) => code);
    for (const code of [...blocks, ...indented, ...inline]) {
      const line = code.replace(/\s#.*$/, "").replace(/"[^"]*"/g, '""');
      const named = [...line.matchAll(/--([a-z][\w-]*)/g)].map(([, name]) => name);
      const at = `${path}: ${code}`;
      const name = /(?:^|[\s(])promptgen ([a-z][\w-]*)/.exec(line)?.[1];
      const script = /npm (?:run )?([\w:]+)/.exec(line)?.[1];
      const file = /(?:node|bash|python3?) ((?:tools|test)\/\S+)/.exec(line)?.[1];
      if (name !== undefined) {
        looked++;
        const known =
          options.get(name) ?? (["help", "completion"].includes(name) ? new Set() : undefined);
        assert.ok(known, `${at}: there is no command ${name}`);
        for (const one of named) assert.ok(known.has(one) || common.has(one), `${at}: --${one}`);
      } else if (script !== undefined && script in scripts) {
        const source = /node (\S+)/
          .exec(scripts[script])?.[1]
          .replace(/tools\/(\w+\.ts)/, "tools/commands/$1");
        const body = source ? readFileSync(join(ROOT, source), "utf8") : "";
        const known = options.get(script);
        for (const one of named) {
          assert.ok(known?.has(one) || common.has(one) || body.includes(one), `${at}: --${one}`);
        }
      } else if (file !== undefined) {
        const body = readFileSync(join(ROOT, file), "utf8");
        for (const one of named) assert.ok(body.includes(one), `${at}: --${one}`);
      } else if (/^--/.test(line)) {
        looked++;
        for (const one of named) assert.ok(every.has(one) || common.has(one), `${at}: --${one}`);
      }
    }
  }
  assert.ok(looked > 80, String(looked));
});

test("the words behind promptgen: commands, help, version, guesses", async () => {
  assert.deepEqual(await meantBy(["rank", "--template", "0", "-x"]), {
    name: "rank",
    args: ["--template", "0", "-x"],
  });
  assert.deepEqual(await meantBy(["help", "train", "all"]), {
    name: "train",
    args: ["--help", "all"],
  });
  for (const none of [[], ["help"], ["--help"], ["-h"], ["help", "help"]]) {
    assert.deepEqual(await meantBy(none), { text: help() });
  }
  const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  assert.deepEqual(await meantBy(["--version"]), { text: `${version}\n` });
  for (const [line, said] of [
    [["trian"], "[promptgen] Unknown command 'trian' (did you mean train?); see --help"],
    [
      ["evaluat", "runs/a"],
      "[promptgen] Unknown command 'evaluat' (did you mean evaluate?); see --help",
    ],
    [["zzz"], "[promptgen] Unknown command 'zzz'; see --help"],
    [["--verison"], "[promptgen] Unknown option '--verison' (did you mean --version?); see --help"],
    [
      ["help", "studdy"],
      "[promptgen] there is no command studdy; did you mean study? choose among train,",
    ],
    [
      ["completion", "fish"],
      "[promptgen] Command-argument value 'fish' is invalid for argument 'shell'. Allowed choices are bash, zsh; see --help",
    ],
  ] as const) {
    assert.ok((await sentence(() => meantBy(line))).startsWith(said), said);
  }
});

test("what is wrong with a line is said in a sentence", async () => {
  const rank = commands.find(({ name }) => name === "rank") ?? train;
  for (const [command, line, said] of [
    [rank, ["--modle=x"], "[rank] Unknown option '--modle' (did you mean --model?); see --help"],
    [rank, ["--zzz"], "[rank] Unknown option '--zzz'; see --help"],
    [rank, ["--json=yes"], "[rank] Option '--json' takes no value; see --help"],
    [rank, ["--model"], "[rank] Option '--model <value>' argument missing; see --help"],
    [
      rank,
      ["--out", "--data", "x"],
      "[rank] Option '--out' argument is ambiguous: --data is behind it; write --out=--data if that is meant; see --help",
    ],
    [
      train,
      ["--templates", "manual"],
      "[train] Unknown option '--templates' for --method promptgen: it is one of template; see --help",
    ],
    [train, ["--method", "lama"], "[method] there is no method lama; choose among majority,"],
  ] as const) {
    const told = await sentence(() => understand(command, line));
    assert.ok(told.startsWith(said), told);
  }
  const given = async (command: Command, line: readonly string[]) =>
    (await understand(command, line)).line.values;
  assert.deepEqual(await given(rank, ["--out=--data", "--limit", "3", "--limit", "4"]), {
    out: "--data",
    limit: "4",
  });
  assert.deepEqual(await given(train, ["--alpha", "-0.1", "--world"]), {
    alpha: "-0.1",
    world: "true",
  });
  const study = commands.find(({ name }) => name === "study") ?? train;
  assert.deepEqual(await given(study, ["--slurm", "--mem=8G"]), { slurm: "--mem=8G" });
});

test("--config: options by their names, those of the command line win, mistakes have a line", async () => {
  const home = temporary();
  const file = (name: string, text: string): string => {
    writeFileSync(join(home, name), text);
    return join(home, name);
  };
  mkdirSync(join(home, "facts"));
  const good = file(
    "run.yaml",
    "# a run\nmethod: optiprompt\nworld: true\nvectors: 3\nlr: 1e-2\nrelations: [P36, P17]\njson: false\ndata: ./facts\n",
  );
  const { command, line } = await understand(train, ["--config", good, "--lr", "0.5"]);
  assert.ok("vectors" in command.options && !("alpha" in command.options));
  assert.deepEqual(line.values, {
    config: good,
    method: "optiprompt",
    world: "true",
    vectors: "3",
    lr: "0.5",
    relations: "P36,P17",
    data: join(home, "facts"),
  });
  const json = file("run.json", '{ "$schema": "x", "limit": 3, "quiet": true }');
  const rank = commands.find(({ name }) => name === "rank") ?? train;
  assert.deepEqual((await understand(rank, [`--config=${json}`])).line.values, {
    config: json,
    limit: "3",
    quiet: "true",
  });
  for (const [text, said] of [
    ["seed: 1\nepoch: 2\n", ":2 epoch is no option here; did you mean epochs? choose among"],
    ["batch_size: 2\n", ":1 batch_size is no option here; did you mean batch-size?"],
    [
      "method: idpg\n\nalpha: 0.1\n",
      ":3 alpha is no option here for --method idpg: it is one of promptgen",
    ],
    ["world: yes please\n", ':1 world is "yes please"; write true or false'],
    ["epochs:\n", ":1 epochs is null; write a number or a text"],
    ["seed: 1\nepochs: { a: 1 }\n", ':2 epochs is {"a":1}; write a number or a text'],
    ["relations: []\n", ":1 relations is []; write a number or a text"],
    ["config: other.yaml\n", ":1 config is no option here"],
    ["- seed\n", ":1 holds no keys; write options as name: value"],
    ["seed: 1\nseed: 2\n", ":2 seed stands there already; keep one of them"],
    ["seed: [1\n", ":2 "],
  ] as const) {
    const wrong = file("wrong.yaml", text);
    const told = await sentence(() => understand(train, ["--config", wrong]));
    assert.ok(told.startsWith(`[train] ${wrong}${said}`), told);
  }
  const none = await sentence(() => understand(train, ["--config", join(home, "none.yaml")]));
  assert.match(none, /^\[train\] .*none\.yaml .*name a file of options/);
  const outside = file("outside.yaml", "seed: 1\nepochs: 0\n");
  await refuses(
    "promptgen.ts",
    ["train", "--config", outside],
    /^error \[train\] --epochs \(.*outside\.yaml:2\) is 0; give a whole number/,
  );
});

/** What bash offers for lines whose last word is being typed. */
function completed(script: string, lines: readonly (readonly string[])[]): string[][] {
  const asked = lines.map((line) => {
    const quoted = ["promptgen", ...line].map((word) => `'${word}'`).join(" ");
    return `COMP_WORDS=(${quoted}); COMP_CWORD=${line.length}; _promptgen; echo "\${COMPREPLY[*]}"`;
  });
  const { stdout, stderr } = spawnSync("bash", ["--norc", "-c", `${script}\n${asked.join("\n")}`], {
    encoding: "utf8",
    cwd: ROOT,
  });
  assert.equal(stderr, "");
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" ").filter((word) => word !== ""));
}

test("completions: bash offers commands, options, choices and files; zsh has them all", async () => {
  const script = async (shell: string): Promise<string> => {
    const meant = await meantBy(["completion", shell]);
    return "text" in meant ? meant.text : "";
  };
  const names = METHODS.map(({ name }) => name);
  const flags = (command: string): string[] =>
    Object.keys(commands.find(({ name }) => name === command)?.options ?? {}).map(
      (name) => `--${name}`,
    );
  const rows: [line: string[], offered: string[]][] = [
    [["tr"], ["train"]],
    [["fi"], ["fill-mask"]],
    [["--v"], ["--version"]],
    [["train", "--alph"], ["--alpha"]],
    [["train", "--vect"], ["--vectors"]],
    [["train", "--method", ""], names],
    [["train", "--method", "=", "opti"], ["optiprompt"]],
    [["train", "--method", "="], names],
    [["train", "--templates", "A"], ["AutoPrompt"]],
    [["train", "--lr", ""], []],
    [["study", "--on", "s"], ["slurm"]],
    [["evaluate", "--format", "mark"], ["markdown"]],
    [["evaluate", "LICEN"], ["LICENSE"]],
    [["train", "--data", "promptgen/wor"], ["promptgen/world"]],
    [
      ["rank", "--device", "gpu"],
      ["gpu", "gpu:software"],
    ],
    [
      ["inspect", "--"],
      ["--revision", "--json", "--quiet", "--config", "--help"],
    ],
    [
      ["rank", "--"],
      [...flags("rank"), "--json", "--quiet", "--config", "--help"],
    ],
    [["help", "stu"], ["study"]],
    [
      ["completion", ""],
      ["bash", "zsh"],
    ],
  ];
  const found = completed(
    await script("bash"),
    rows.map(([line]) => line),
  );
  rows.forEach(([line, offered], i) => {
    assert.deepEqual([...found[i]].sort(), [...offered].sort(), line.join(" "));
  });
  const zsh = await script("zsh");
  assert.match(zsh, /^#compdef promptgen\n/);
  for (const { name, options } of commands.slice(0, Object.keys(COMMANDS).length)) {
    const own = zsh.split(`\n    ${name}) _arguments `)[1]?.split(" ;;\n")[0] ?? "";
    for (const option of Object.keys(options)) {
      assert.match(own, new RegExp(`^ *'--${option}[=\\[]`, "m"), `${name} --${option}`);
    }
  }
  assert.match(zsh, new RegExp(`:NAME:\\(${names.join(" ")}\\)'`));
  assert.match(zsh, /:DIR:_files'/);
});

test.run();
