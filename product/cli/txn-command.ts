// txn: comparisons, requests for success, requests for failure, one a line on standard input; an empty line ends a part.

import { METHOD } from "../../core/wire/service.ts";
import type { Compare, Operation } from "../client/kv.ts";
import {
  compare,
  compareLease,
  compareValue,
  deleteOperation,
  getOperation,
  putOperation,
} from "../client/kv.ts";
import type { Command, Context } from "./command.ts";
import { badArguments, rethrow } from "./command.ts";
import { boolFlag, FlagValues, parseFlags, UsageError } from "./flags.ts";
import { parseInt64, quote, unquote } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";
import {
  deleteArguments,
  deleteCommand,
  getArguments,
  getCommand,
  putArguments,
  putCommand,
} from "./kv-commands.ts";
import { LineReader, splitWords } from "./lines.ts";

export const txnCommand: Command = {
  name: "txn",
  usage: "[options]",
  summary: "Runs requests as one transaction",
  details:
    "Standard input holds three parts, each ended by an empty line:\n" +
    '  comparisons, all of which must hold:  mod("key") > "0"    (also create, version, value, lease; = > < !=)\n' +
    '  requests to run if they do:           put key "value"       (also get, del, with their flags)\n' +
    "  requests to run if one does not",
  flags: [boolFlag("interactive", "say which part is expected", "i")],
  async run(context) {
    if (context.args.length !== 0) badArguments("txn command does not accept argument");
    const client = await context.client();
    const lines = new LineReader(context.io.stdin);
    try {
      prompt(context, "compares:");
      const conditions = await readPart(lines, parseCompare);
      prompt(context, "success requests (get, put, del):");
      const success = await readPart(lines, (line) => parseRequest(line, context));
      prompt(context, "failure requests (get, put, del):");
      const failure = await readPart(lines, (line) => parseRequest(line, context));
      const answer = await client
        .call(METHOD.txn, { compare: conditions, success, failure }, { timeoutMs: Infinity })
        .catch((error) => rethrow(error, EXIT.error));
      context.printer.print("txn", answer);
      return EXIT.success;
    } finally {
      lines.close();
    }
  },
};

function prompt(context: Context, text: string): void {
  if (context.flags.bool("interactive")) context.output.line(text);
}

async function readPart<T>(lines: LineReader, parse: (line: string) => T | Promise<T>): Promise<T[]> {
  const items: T[] = [];
  for (;;) {
    const line = await lines.next();
    if (line === undefined) throw new CommandError(EXIT.invalidInput, "EOF");
    const trimmed = line.trim();
    if (trimmed === "") return items;
    items.push(await parse(trimmed));
  }
}

const COMPARISON = /^\s*("(?:[^"\\]|\\.)*"|`[^`]*`)\s*\)\s*(\S+)\s*("(?:[^"\\]|\\.)*"|`[^`]*`)/;

/** `mod("key") > "0"`. Throws CommandError. */
export function parseCompare(line: string): Compare {
  const open = line.indexOf("(");
  if (open < 0) throw malformed(line, "");
  const target = line.slice(0, open);
  const match = COMPARISON.exec(line.slice(open + 1));
  const key = match === null ? undefined : unquote(match[1]!);
  const operand = match === null ? undefined : unquote(match[3]!);
  if (match === null || key === undefined || operand === undefined) {
    throw malformed(line, `; got ${target}(${quote(key ?? "")}) ${match?.[2] ?? ""} ${quote(operand ?? "")}`);
  }
  const relation = match[2]!;
  if (relation !== "=" && relation !== "!=" && relation !== "<" && relation !== ">")
    throw malformed(line, "");
  const text = new TextDecoder().decode(operand);
  switch (target) {
    case "ver":
    case "version":
      return compare(key, "version", relation, numberIn(text, line));
    case "c":
    case "create":
      return compare(key, "create", relation, numberIn(text, line));
    case "m":
    case "mod":
      return compare(key, "mod", relation, numberIn(text, line));
    case "val":
    case "value":
      return compareValue(key, relation, operand);
    case "lease": {
      const id = parseInt64(text, 16);
      if (id.error !== undefined) throw invalidRequest(line);
      return compareLease(key, relation, id.value);
    }
    default:
      throw malformed(line, ` (unknown target ${target})`);
  }
}

function malformed(line: string, detail: string): CommandError {
  return new CommandError(EXIT.invalidInput, `malformed comparison: ${line}${detail}`);
}

function invalidRequest(line: string): CommandError {
  return new CommandError(EXIT.invalidInput, `invalid txn compare request: ${line}`);
}

function numberIn(text: string, line: string): number {
  const parsed = parseInt64(text, 10);
  if (parsed.error !== undefined) throw invalidRequest(line);
  return Number(parsed.value);
}

/** `put key value`, `get key`, `del key`, each with the flags of the command. */
async function parseRequest(line: string, context: Context): Promise<Operation> {
  const [name, ...words] = splitWords(line);
  if (words.length === 0) throw invalidRequest(line);
  const command = [putCommand, getCommand, deleteCommand].find((it) => it.name === name);
  if (command === undefined) throw new CommandError(EXIT.invalidInput, `invalid txn request: ${line}`);
  const flags = new FlagValues(command.flags);
  let args: string[];
  try {
    args = parseFlags(words, flags);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new CommandError(EXIT.invalidInput, `invalid txn request: ${line}`, { cause: error });
  }
  if (command === putCommand) {
    const { key, value, options } = await putArguments(args, flags, context.io);
    return putOperation(key, value, options);
  }
  if (command === getCommand) {
    const { key, options } = getArguments(args, flags);
    return getOperation(key, options);
  }
  const { key, options } = await deleteArguments(args, flags, context.io);
  return deleteOperation(key, options);
}
