/** Completions for bash and zsh, made from the tables of the commands: nothing of ours runs when a key is pressed. */
import type { OptionSpec } from "./cli.ts";

/** A command as completions need it. */
export type Completed = {
  readonly name: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** What may stand behind it, where that is one of a few words; else files may. */
  readonly words?: readonly string[];
};

/** For both shells, which take it between single quotes. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** A value that names something on the disk. */
const isPath = ({ value = "" }: OptionSpec): boolean => /\b(DIR|FILE|PATH|RUN)\b/.test(value);

/** bash 3.2 and newer, with or without the package bash-completion. */
export function bashCompletion(commands: readonly Completed[]): string {
  const cases = commands.map(({ name, options, words }) => {
    const values = Object.entries(options).flatMap(([option, spec]) => {
      const { value, choices } = spec;
      if (value === undefined) return [];
      if (choices) return [`      --${option}) words=${quoted(choices.join(" "))} ;;`];
      return [`      --${option}) ${isPath(spec) ? "files=1" : ":"} ;;`];
    });
    const flags = [...Object.keys(options).map((option) => `--${option}`), "--help"].join(" ");
    const operands = words ? `words=${quoted(words.join(" "))}` : "files=1";
    return `    ${name})
      case $before in
${values.map((line) => `  ${line}\n`).join("")}        *) case $word in -*) words=${quoted(flags)} ;; *) ${operands} ;; esac ;;
      esac ;;`;
  });
  return `# Completions of promptgen for bash: source <(promptgen completion bash)
_promptgen() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} words= files=
  # readline takes --option=value apart
  if [ "$word" = = ]; then word=
  elif [ "$before" = = ]; then before=\${COMP_WORDS[COMP_CWORD-2]}; fi
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W ${quoted(`${commands.map(({ name }) => name).join(" ")} --help --version`)} -- "$word"))
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join("\n")}
  esac
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$word"))
  elif [ -n "$files" ]; then
    compopt -o filenames 2> /dev/null
    local IFS=$'\\n'
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -F _promptgen promptgen
`;
}

/** As _arguments takes a text: its own marks spelled out. */
const escaped = (text: string): string => text.replace(/[\\[\]:]/g, "\\$&");

/** For zsh with its completion system (compinit), sourced or as a file _promptgen on fpath. */
export function zshCompletion(commands: readonly Completed[]): string {
  const cases = commands.map(({ name, options, words }) => {
    const flags = Object.entries(options).map(([option, spec]) => {
      const { value, help, choices } = spec;
      const text = `[${escaped(help)}]`;
      if (value === undefined) return quoted(`--${option}${text}`);
      const action = choices ? `(${choices.map(escaped).join(" ")})` : isPath(spec) ? "_files" : "";
      return quoted(`--${option}=${text}:${escaped(value)}:${action}`);
    });
    const operands = words ? `1: :(${words.join(" ")})` : "*:: :_files";
    const all = [...flags, quoted("--help[what it does, with examples]"), quoted(operands)];
    return `    ${name}) _arguments ${all.join(" \\\n      ")} ;;`;
  });
  const described = commands.map(({ name, summary }) => quoted(`${name}:${summary}`));
  return `#compdef promptgen
# Completions of promptgen for zsh: source <(promptgen completion zsh), behind compinit
_promptgen() {
  if (( CURRENT == 2 )); then
    local -a commands=(${described.join("\n      ")})
    _describe command commands
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join("\n")}
  esac
}
if [ "$funcstack[1]" = _promptgen ]; then _promptgen "$@"; else compdef _promptgen promptgen; fi
`;
}
