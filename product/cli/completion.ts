// completion: a script for a shell, made from the table of commands. It holds all it needs and never runs the program.

import type { Command } from "./command.ts";
import { GLOBAL_FLAGS } from "./command.ts";
import { PART_SUMMARIES } from "../parts.ts";
import { SERVER_FLAGS } from "../server/flag-table.ts";
import { type Flag, intFlag } from "./flags.ts";
import { CommandError, EXIT } from "./io.ts";

/** The command itself is one of those that it completes, so it asks for them when it runs. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    name: "completion",
    usage: "bash|zsh|fish",
    summary: "Prints a completion script for a shell",
    details:
      "bash: source <(holdfast completion bash)\n" +
      "zsh:  holdfast completion zsh > a folder of $fpath, as _holdfast\n" +
      "fish: holdfast completion fish | source",
    flags: [],
    async run(context) {
      const [shell, ...others] = context.args;
      if (shell === undefined || others.length > 0) {
        throw new CommandError(EXIT.error, `accepts 1 arg(s), received ${context.args.length}`);
      }
      const script = completionScript(shell, context.program, completedCommands(commands()));
      if (script === undefined)
        throw new CommandError(EXIT.error, `invalid argument "${shell}" for "${context.program} completion"`);
      context.io.stdout.write(script);
      return EXIT.success;
    },
  };
}

/** What completion knows of a command. */
export type Completed = Pick<Command, "name" | "summary" | "flags">;

/** All commands of the program: of the ones that run members with the server's flags, of other parts the name alone. */
export function completedCommands(commands: readonly Command[]): Completed[] {
  const serverFlags = SERVER_FLAGS.filter((it) => it.state !== "refused").map((it): Flag => ({
    name: it.name,
    kind: it.type === "boolean" ? "bool" : "string",
    default: it.default,
    help: it.help,
  }));
  const members = intFlag("members", "how many members");
  const parts = Object.entries(PART_SUMMARIES).map(([name, summary]): Completed => {
    if (name === "server") return { name, summary, flags: serverFlags };
    const isStarter = name === "start" || name === "up";
    return { name, summary, flags: isStarter ? [members, ...serverFlags] : [] };
  });
  return [...parts, ...commands];
}

/** Undefined for a shell that we do not know. */
export function completionScript(
  shell: string,
  program: string,
  commands: readonly Completed[],
): string | undefined {
  switch (shell) {
    case "bash":
      return bashScript(program, commands);
    case "zsh":
      return zshScript(program, commands);
    case "fish":
      return fishScript(program, commands);
    default:
      return undefined;
  }
}

function spellings(flags: readonly Flag[]): string[] {
  return flags.flatMap((it) =>
    it.short === undefined ? [`--${it.name}`] : [`--${it.name}`, `-${it.short}`],
  );
}

/** The first words, and behind each group its second words. */
function wordsAfter(commands: readonly Completed[]): Map<string, string[]> {
  const after = new Map<string, string[]>([["", []]]);
  for (const { name } of commands) {
    const [first, second] = name.split(" ") as [string, string?];
    if (!after.get("")!.includes(first)) after.get("")!.push(first);
    if (second !== undefined) after.set(first, [...(after.get(first) ?? []), second]);
  }
  return after;
}

function bashScript(program: string, commands: readonly Completed[]): string {
  const name = `_${program.replace(/\W/g, "_")}`;
  const groups = [...wordsAfter(commands)]
    .map(([first, words]) => `    "${first}") words="${words.join(" ")}" ;;`)
    .join("\n");
  const flags = commands
    .filter((it) => it.flags.length > 0)
    .map((it) => `    "${it.name}") flags="${spellings(it.flags).join(" ")}" ;;`)
    .join("\n");
  const values = flagsWithValues(commands)
    .map(
      (it) =>
        `    ${spellings([it]).join("|")}) COMPREPLY=($(compgen -W "${it.values!.join(" ")}" -- "$current")); return ;;`,
    )
    .join("\n");
  return `# bash completion of ${program}
${name}() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}" path="" words="" flags="" word
  case "$previous" in
${values}
    --cacert|--cert|--key) COMPREPLY=($(compgen -f -- "$current")); return ;;
  esac
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ "$word" == -* ]] && continue
    path="\${path:+$path }$word"
  done
  case "$path" in
${flags}
  esac
  case "$path" in
${groups}
  esac
  if [[ "$current" == -* ]]; then words="$flags ${spellings(GLOBAL_FLAGS).join(" ")}"; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F ${name} ${program}
`;
}

function flagsWithValues(commands: readonly Completed[]): Flag[] {
  const found = new Map<string, Flag>();
  for (const flag of [...GLOBAL_FLAGS, ...commands.flatMap((it) => it.flags)]) {
    if (flag.values !== undefined && !found.has(flag.name)) found.set(flag.name, flag);
  }
  return [...found.values()];
}

function zshQuote(text: string): string {
  return text.replace(/'/g, "'\\''").replace(/[:[\]]/g, "\\$&");
}

function zshScript(program: string, commands: readonly Completed[]): string {
  const after = wordsAfter(commands);
  const flagSpec = (flag: Flag): string => {
    const action =
      flag.kind === "bool"
        ? ""
        : `:${flag.name}:${flag.values === undefined ? "" : `(${flag.values.join(" ")})`}`;
    return `'--${flag.name}${flag.kind === "bool" ? "" : "="}[${zshQuote(flag.help)}]${action}'`;
  };
  const cases = commands
    .map((it) => `    '${it.name}') flags=(${it.flags.map(flagSpec).join(" ")}) ;;`)
    .join("\n");
  const groups = [...after]
    .map(([first, words]) => `    '${first}') commands=(${words.join(" ")}) ;;`)
    .join("\n");
  return `#compdef ${program}
_${program}() {
  local -a commands flags path
  local word
  for word in "\${(@)words[2,CURRENT-1]}"; do
    [[ "$word" == -* ]] || path+=("$word")
  done
  case "\${(j: :)path}" in
${groups}
  esac
  case "\${(j: :)path[1,2]}" in
${cases}
  esac
  if (( $#commands )) && [[ "$PREFIX" != -* ]]; then
    compadd -- $commands
  else
    _arguments $flags ${GLOBAL_FLAGS.map(flagSpec).join(" ")} '*: :'
  fi
}
_${program} "$@"
`;
}

function fishScript(program: string, commands: readonly Completed[]): string {
  const quoted = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const lines = [`# fish completion of ${program}`, `complete -c ${program} -f`];
  const groups = [...wordsAfter(commands)];
  const firsts = groups.find(([first]) => first === "")![1];
  const none = `not __fish_seen_subcommand_from ${firsts.join(" ")}`;
  for (const first of firsts) {
    const summary = commands.find((it) => it.name === first)?.summary ?? `${first} …`;
    lines.push(`complete -c ${program} -n ${quoted(none)} -a ${first} -d ${quoted(summary)}`);
  }
  const flagLine = (flag: Flag, condition: string): string => {
    const short = flag.short === undefined ? "" : ` -s ${flag.short}`;
    const value =
      flag.kind === "bool"
        ? ""
        : ` -r${flag.values === undefined ? "" : ` -a ${quoted(flag.values.join(" "))}`}`;
    return `complete -c ${program}${condition}${short} -l ${flag.name}${value} -d ${quoted(flag.help)}`;
  };
  for (const it of commands) {
    const [first, second] = it.name.split(" ") as [string, string?];
    const seen = `__fish_seen_subcommand_from ${first}`;
    const siblings = groups.find(([name]) => name === first)?.[1] ?? [];
    if (second !== undefined) {
      const condition = `${seen}; and not __fish_seen_subcommand_from ${siblings.join(" ")}`;
      lines.push(`complete -c ${program} -n ${quoted(condition)} -a ${second} -d ${quoted(it.summary)}`);
    }
    const condition = second === undefined ? seen : `${seen}; and __fish_seen_subcommand_from ${second}`;
    for (const flag of it.flags) lines.push(flagLine(flag, ` -n ${quoted(condition)}`));
  }
  for (const flag of GLOBAL_FLAGS) lines.push(flagLine(flag, ""));
  return `${lines.join("\n")}\n`;
}
