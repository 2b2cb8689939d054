/** The command `promptgen`: finds the command that is meant, and runs it. */
import { Argument, CommanderError } from "commander";
import { chooseAmong } from "../../promptgen/methods/options.ts";
import { UsageError } from "../lib/cli.ts";
import {
  COMMON_OPTIONS,
  type Command,
  fail,
  quietParser,
  runCommand,
  sentenceOf,
} from "../lib/command.ts";
import { bashCompletion, type Completed, zshCompletion } from "../lib/completion.ts";
import { twoColumns, wrapped } from "../lib/help.ts";
import { PACKAGE } from "../lib/package.ts";

type Loaded = {
  readonly command: Command;
  /** Options that are completed, where those of the command depend on others. */
  readonly completions?: Command["options"];
};
type Entry = { readonly summary: string; load(): Promise<Loaded> };

/** In the order in which they are of use. */
export const COMMANDS: Readonly<Record<string, Entry>> = {
  train: {
    summary: "train a way of asking a masked LM for facts, and ask the test facts",
    load: () => import("./train.ts"),
  },
  evaluate: { summary: "tables of finished runs", load: () => import("./evaluate.ts") },
  study: {
    summary: "all rows and seeds of a study, here or on Slurm",
    load: () => import("./study.ts"),
  },
  report: {
    summary: "the tables and the page of a study again",
    load: () => import("./report.ts"),
  },
  ask: { summary: "a saved run asked about facts of your own", load: () => import("./ask.ts") },
  probe: {
    summary: "whether a run's prompts give the answers away",
    load: () => import("./probe.ts"),
  },
  rank: {
    summary: "what a model knows by ranking answers, as BEAR does",
    load: () => import("./rank.ts"),
  },
  export: {
    summary: "a run's prompts as files for other programs",
    load: () => import("./export.ts"),
  },
  pretrain: {
    summary: "pre-train a model on any text, or the tiny ones of a world",
    load: () => import("./pretrain.ts"),
  },
  "make-world": {
    summary: "made facts and sentences with two dials, to train and ask",
    load: () => import("./make-world.ts"),
  },
  "make-lama": {
    summary: "LAMA's facts split anew, with a corpus that states them",
    load: () => import("./make-lama.ts"),
  },
  "fill-mask": {
    summary: "the most probable tokens for the masks of a text",
    load: () => import("./fill-mask.ts"),
  },
  infill: { summary: "BART fills the masks of a text", load: () => import("./infill.ts") },
  inspect: {
    summary: "the tensors of a checkpoint, and what a model takes of them",
    load: () => import("./inspect.ts"),
  },
  tokenizers: {
    summary: "make the tokenizers and configurations of a world",
    load: () => import("./tokenizers.ts"),
  },
};

const OTHERS: Readonly<Record<string, string>> = {
  help: "the help of a command, as promptgen help train; promptgen help train all",
  completion: "a script of completions for bash or zsh",
};

const SHELLS = { bash: bashCompletion, zsh: zshCompletion };

export const help = (): string => `${wrapped(
  "Ways of asking a frozen masked LM for facts, by prompts that are written, searched or learnt.",
)}

  npx promptgen train --world  # PromptGen on the embedded world, in a minute without a GPU
  npx promptgen help train     # what a command does, with examples

${twoColumns([...Object.entries(COMMANDS).map(([name, { summary }]) => [name, summary] as const), ...Object.entries(OTHERS)])}

promptgen --version; in ~/.bashrc (zsh: ~/.zshrc) source <(npx promptgen completion bash)
`;

/** Runs the command of a name. */
export async function runNamed(name: string, args?: readonly string[]): Promise<never> {
  const { command } = await COMMANDS[name].load();
  return runCommand(command, args);
}

/** What is meant by the words behind promptgen: a command with its own words, or a text that is printed. */
type Meant =
  | { readonly name: string; readonly args: readonly string[] }
  | { readonly text: string };

/** Throws UsageError for what is no command, or no option of promptgen itself. */
export async function meantBy(words: readonly string[]): Promise<Meant> {
  const found: Meant[] = [];
  const parser = quietParser("promptgen")
    .enablePositionalOptions()
    .option("-h, --help")
    .option("-V, --version");
  const named = (name: string) => parser.command(name).helpOption(false).argument("[words...]");
  for (const name of Object.keys(COMMANDS)) {
    const own = named(name).allowUnknownOption().passThroughOptions();
    own.action((args: readonly string[]) => {
      found.push({ name, args });
    });
  }
  named("help").action(([name = "help", ...more]: readonly string[]) => {
    if (!Object.hasOwn(OTHERS, name)) found.push({ name, args: ["--help", ...more] });
  });
  const shells = new Argument("<shell>").choices(Object.keys(SHELLS));
  const completion = parser.command("completion").helpOption(false).addArgument(shells);
  completion.action(async (shell: keyof typeof SHELLS) => {
    found.push({ text: SHELLS[shell](await completed()) });
  });
  try {
    await parser.parseAsync(words, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // that is what it throws where no command is named
    if (error.code !== "commander.help") throw sentenceOf("promptgen", error);
  }
  if (parser.opts().version) return { text: `${PACKAGE.version}\n` };
  const [meant = { text: help() }] = found;
  if ("name" in meant && !Object.hasOwn(COMMANDS, meant.name)) {
    const { name } = meant;
    throw new UsageError(
      `[promptgen] there is no command ${name}; ${chooseAmong(Object.keys(COMMANDS), name)}`,
    );
  }
  return meant;
}

/** Runs what is meant by the words behind promptgen. */
export async function promptgen(): Promise<void> {
  try {
    const meant = await meantBy(process.argv.slice(2));
    if ("text" in meant) process.stdout.write(meant.text);
    else await runNamed(meant.name, meant.args);
  } catch (error) {
    fail(error);
    process.exitCode = 1;
  }
}

/** All commands as completions need them. */
async function completed(): Promise<Completed[]> {
  const entries = Object.entries(COMMANDS).map(async ([name, { summary, load }]) => {
    const { command, completions = command.options } = await load();
    return { name, summary, options: { ...completions, ...COMMON_OPTIONS } };
  });
  return [
    ...(await Promise.all(entries)),
    { name: "help", summary: OTHERS.help, options: {}, words: Object.keys(COMMANDS) },
    { name: "completion", summary: OTHERS.completion, options: {}, words: Object.keys(SHELLS) },
  ];
}
