// The client commands, from words to exit code.

import type { Command } from "./command.ts";
import { Context, GLOBAL_FLAGS } from "./command.ts";
import { COMMANDS } from "./commands.ts";
import type { Flag } from "./flags.ts";
import { boolFlag, FlagValues, parseFlags, UsageError } from "./flags.ts";
import { quote } from "./go-text.ts";
import { commandHelp, flagLines, summaryLines } from "./help.ts";
import type { CliIo } from "./io.ts";
import { CommandError, EXIT } from "./io.ts";

export type { CliIo } from "./io.ts";

const PROGRAM = "holdfast";
const HELP_FLAG = boolFlag("help", "show this", "h");

/** Runs one client command; `argv` begins with its name or with flags. Resolves to the exit code, never rejects. */
export async function runCli(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    if (error instanceof CommandError) {
      const reason = error.cause instanceof Error ? error.cause.cause : undefined;
      // A deadline alone does not tell what to mend: the last failure to connect does.
      if (reason instanceof Error) io.stderr.write(`Warning: ${reason.message}\n`);
      io.stderr.write(`Error: ${error.message}\n`);
      return error.exitCode;
    }
    // Ours to mend: with the place where it happened.
    io.stderr.write(`Error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return EXIT.error;
  }
}

async function dispatch(argv: readonly string[], io: CliIo): Promise<number> {
  const { before, path, rest } = split(argv);
  if (path.length === 0) {
    io.stdout.write(overview());
    return EXIT.success;
  }
  const candidates = path[0] === "help" ? find(rest.slice(0, 2)) : find(path);
  if (path[0] === "help" && rest.length === 0) {
    io.stdout.write(overview());
    return EXIT.success;
  }
  const command = candidates.length === 1 ? candidates[0] : undefined;
  if (candidates.length === 0) {
    io.stderr.write(
      `Error: unknown command ${quote(path[0]!)} for "${PROGRAM}"\nRun '${PROGRAM} --help' for usage.\n`,
    );
    return EXIT.error;
  }
  if (command === undefined || path[0] === "help") {
    io.stdout.write(commandHelp(PROGRAM, candidates, command?.name ?? candidates[0]!.name.split(" ")[0]!));
    return EXIT.success;
  }
  // A group's name counts as a word only if the command has two.
  const wordCount = command.name.split(" ").length;
  return run(command, { before, words: [...path.slice(wordCount), ...rest], io });
}

interface Split {
  /** Flags in front of the command's name. */
  readonly before: readonly string[];
  /** The name: one or two words. */
  readonly path: readonly string[];
  readonly rest: readonly string[];
}

function split(argv: readonly string[]): Split {
  const before: string[] = [];
  let index = 0;
  while (index < argv.length && argv[index]!.startsWith("-")) {
    before.push(argv[index]!);
    if (takesNextWord(argv[index]!) && index + 1 < argv.length) before.push(argv[++index]!);
    index++;
  }
  const first = argv[index];
  if (first === undefined) return { before, path: [], rest: [] };
  const isGroup = COMMANDS.some((it) => it.name.startsWith(`${first} `)) || isPrefixOfGroup(first);
  let end = index + 1;
  if (isGroup) {
    // Flags may also stand between the two words.
    while (end < argv.length && argv[end]!.startsWith("-")) {
      before.push(argv[end]!);
      if (takesNextWord(argv[end]!) && end + 1 < argv.length) before.push(argv[++end]!);
      end++;
    }
    if (end < argv.length) return { before, path: [first, argv[end]!], rest: argv.slice(end + 1) };
  }
  return { before, path: [first], rest: argv.slice(end) };
}

function isPrefixOfGroup(word: string): boolean {
  const found = find([word]);
  return found.length > 0 && found.every((it) => it.name.includes(" "));
}

function takesNextWord(word: string): boolean {
  if (word.includes("=")) return false;
  const flags: readonly Flag[] = [...GLOBAL_FLAGS, HELP_FLAG];
  if (word.startsWith("--")) return flags.some((it) => `--${it.name}` === word && it.kind !== "bool");
  return word.length === 2 && flags.some((it) => it.short === word[1] && it.kind !== "bool");
}

/** Commands with this name; names may be shortened as long as they are clear, as in etcdctl. */
function find(path: readonly string[]): readonly Command[] {
  const [first, second] = path;
  if (first === undefined) return [];
  const firsts = [...new Set(COMMANDS.map((it) => it.name.split(" ")[0]!))];
  const chosen = firsts.includes(first) ? [first] : firsts.filter((it) => it.startsWith(first));
  if (chosen.length !== 1) return [];
  const group = COMMANDS.filter((it) => it.name === chosen[0] || it.name.startsWith(`${chosen[0]} `));
  if (group.length === 1 && group[0]!.name === chosen[0]) return group;
  if (second === undefined) return group;
  const exact = group.filter((it) => it.name === `${chosen[0]} ${second}`);
  if (exact.length === 1) return exact;
  const close = group.filter((it) => it.name.startsWith(`${chosen[0]} ${second}`));
  // A word that is no command of the group shows the group, as etcdctl does.
  return close.length === 1 ? close : group;
}

interface Request {
  readonly before: readonly string[];
  readonly words: readonly string[];
  readonly io: CliIo;
}

async function run(command: Command, request: Request): Promise<number> {
  const { before, words, io } = request;
  const flags = new FlagValues([...command.flags, ...GLOBAL_FLAGS, HELP_FLAG]);
  let args: string[];
  try {
    args = [...parseFlags(before, flags), ...parseFlags(words, flags)];
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    io.stdout.write(commandHelp(PROGRAM, [command], command.name));
    throw new CommandError(EXIT.error, error.message, { cause: error });
  }
  if (flags.bool("help")) {
    io.stdout.write(commandHelp(PROGRAM, [command], command.name));
    return EXIT.success;
  }
  takeEnvironment(flags, io);
  for (const name of ["discovery-srv", "discovery-srv-name"])
    if (flags.text(name) !== "")
      throw new CommandError(
        EXIT.badFeature,
        `--${name} is not built yet; name the members with --endpoints`,
      );
  const context = new Context({ program: PROGRAM, args, words, flags, io });
  try {
    return await command.run(context);
  } finally {
    context.close();
  }
}

/** Not flags, but read from the environment all the same. */
const OTHER_VARIABLES: ReadonlySet<string> = new Set([
  "ETCDCTL_API",
  "ETCDCTL_WATCH_KEY",
  "ETCDCTL_WATCH_RANGE_END",
]);

/** A flag that is set both ways is an error, as in etcdctl: one of the two is not meant. */
function takeEnvironment(flags: FlagValues, io: CliIo): void {
  for (const [name, value] of Object.entries(io.env)) {
    if (!name.startsWith("ETCDCTL_") || value === undefined || value === "" || OTHER_VARIABLES.has(name))
      continue;
    const flag = GLOBAL_FLAGS.find((it) => `ETCDCTL_${it.name.toUpperCase().replace(/-/g, "_")}` === name);
    if (flag === undefined) io.stderr.write(`Warning: unrecognized environment variable ${name}\n`);
    else if (flags.isSet(flag.name)) {
      throw new CommandError(
        EXIT.error,
        `conflicting environment variable ${name} is shadowed by --${flag.name}`,
      );
    } else {
      try {
        flags.set(flag, value, `--${flag.name}`);
      } catch (error) {
        if (!(error instanceof UsageError)) throw error;
        throw new CommandError(EXIT.error, `invalid value ${quote(value)} for ${name}: ${error.message}`, {
          cause: error,
        });
      }
    }
  }
  if (!flags.bool("debug")) return;
  for (const flag of GLOBAL_FLAGS) {
    const text = flag.name === "password" ? "…" : flags.text(flag.name);
    io.stderr.write(`ETCDCTL_${flag.name.toUpperCase().replace(/-/g, "_")}=${text}\n`);
  }
}

/** The program's --help; `others` are commands that are not here. */
export function overview(
  others: readonly { readonly name: string; readonly summary: string }[] = [],
): string {
  const lines = [
    `Usage: ${PROGRAM} <command> [options]`,
    "",
    ...(others.length === 0 ? [] : ["Run and prove:", ...summaryLines(others), ""]),
    "Talk to members of Holdfast and of etcd alike:",
    ...summaryLines(COMMANDS),
    "",
    "Options of the commands that talk to members (also ETCDCTL_… in the environment):",
    ...flagLines(GLOBAL_FLAGS),
  ];
  return `${lines.join("\n")}\n`;
}
