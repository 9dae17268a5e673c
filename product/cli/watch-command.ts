// watch: shows events as they happen; for each of them a command can be run, and several keys watched at once (-i).

import { spawn } from "node:child_process";
import type { Client } from "../client/client.ts";
import type { EtcdError } from "../client/errors.ts";
import type { WatchOptions } from "../client/watch.ts";
import type { WatchMessage } from "../client/watch-stream.ts";
import { WatchCompactedError } from "../client/watch-stream.ts";
import type { Command, Context } from "./command.ts";
import { badArguments } from "./command.ts";
import { boolFlag, FlagValues, intFlag, parseFlags, UsageError } from "./flags.ts";
import { quote } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";
import { LineReader, splitWords } from "./lines.ts";

const FLAGS = [
  boolFlag("interactive", "read what to watch from standard input", "i"),
  boolFlag("prefix", "all keys that begin with <key>"),
  intFlag("rev", "begin at this revision"),
  boolFlag("prev-kv", "show the version before each event"),
  boolFlag("progress-notify", "have the server say how far it is when nothing happens"),
];

/** What to watch, and what to run for each event. */
interface Wish {
  readonly key: string;
  readonly options: WatchOptions;
  readonly command: readonly string[];
}

export const watchCommand: Command = {
  name: "watch",
  usage: "[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
  summary: "Shows changes of keys as they happen",
  details:
    "The command behind -- runs for each event, with ETCD_WATCH_REVISION, ETCD_WATCH_EVENT_TYPE, ETCD_WATCH_KEY and\n" +
    "ETCD_WATCH_VALUE in its environment. Key and range end may also stand in ETCDCTL_WATCH_KEY and\n" +
    "ETCDCTL_WATCH_RANGE_END. With -i every line is `watch [options] <key> …` or `progress`.",
  flags: FLAGS,
  async run(context) {
    const { ETCDCTL_WATCH_KEY: key = "", ETCDCTL_WATCH_RANGE_END: rangeEnd = "" } = context.io.env;
    if (key === "" && rangeEnd !== "") {
      badArguments(`ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=${quote(rangeEnd)}`);
    }
    if (context.flags.bool("interactive")) return watchInteractively(context);
    const wish = wishOf(context, context.words);
    if (typeof wish === "string") badArguments(wish);
    const client = await context.client();
    await follow(context, client, wish);
    throw new CommandError(EXIT.interrupted, "watch is canceled by the server");
  },
};

/** The wish in these words, or what is wrong with them. */
function wishOf(context: Context, words: readonly string[]): Wish | string {
  const separator = words.indexOf("--");
  const command = separator < 0 ? [] : words.slice(separator + 1);
  if (separator >= 0 && command.length === 0) {
    return "bad number of arguments (found separator --, but no commands)";
  }
  const flags = new FlagValues([...FLAGS, ...globalFlagsOf(context)]);
  let args: string[];
  try {
    args = parseFlags(separator < 0 ? words : words.slice(0, separator), flags);
  } catch (error) {
    if (error instanceof UsageError) return error.message;
    throw error;
  }
  const { ETCDCTL_WATCH_KEY: envKey = "", ETCDCTL_WATCH_RANGE_END: envRangeEnd = "" } = context.io.env;
  if (envKey !== "") {
    if (args.length > 0) return "bad number of arguments (found conflicting environment key)";
    args = envRangeEnd === "" ? [envKey] : [envKey, envRangeEnd];
  }
  const [key, rangeEnd] = args;
  if (key === undefined) return "bad number of arguments";
  const prefix = flags.bool("prefix");
  if (prefix && rangeEnd !== undefined) return "`range_end` and `--prefix` are mutually exclusive";
  const options: WatchOptions = {
    prefix,
    rangeEnd: args.length === 2 ? rangeEnd : undefined,
    startRevision: flags.number("rev"),
    previous: flags.bool("prev-kv"),
    progressNotify: flags.bool("progress-notify"),
    requireLeader: true,
  };
  return { key, options, command };
}

function globalFlagsOf(context: Context) {
  return [...context.flags.flags].filter((it) => !FLAGS.some((own) => own.name === it.name));
}

/** Until the input ends or a line cannot be understood. */
async function watchInteractively(context: Context): Promise<number> {
  const client = await context.client();
  const lines = new LineReader(context.io.stdin);
  try {
    for (;;) {
      const line = await lines.next();
      if (line === undefined)
        throw new CommandError(EXIT.invalidInput, "error reading watch request line: EOF");
      const words = splitWords(line);
      if (words[0] === "progress") client.watch.requestProgress({ requireLeader: true });
      else if (words[0] === "watch") startWatch(context, client, { line, words: words.slice(1) });
      else if (words.length === 0) {
        context.output.errorLine(`Invalid command: ${line} (watch and progress supported)`);
      } else context.output.errorLine(`Invalid command ${line} (only support watch)`);
    }
  } finally {
    lines.close();
  }
}

function startWatch(
  context: Context,
  client: Client,
  request: { line: string; words: readonly string[] },
): void {
  if (request.words.length === 0 && (context.io.env["ETCDCTL_WATCH_KEY"] ?? "") === "") {
    context.output.errorLine(`Invalid command ${request.line} (command type or key is not provided)`);
    return;
  }
  const wish = wishOf(context, request.words);
  if (typeof wish === "string") badArguments(wish);
  follow(context, client, wish).catch((error: unknown) => {
    context.output.errorLine(error instanceof Error ? error.message : String(error));
  });
}

/** Shows what comes; returns when the server ends the watch. */
async function follow(context: Context, client: Client, wish: Wish): Promise<void> {
  const queue: WatchMessage[] = [];
  let wake: () => void = () => {};
  let isOver = false;
  let error: EtcdError | undefined;
  let lastHeader: Received["header"] | undefined;
  client.watch.subscribe(wish.key, wish.options, {
    onResponse({ header, events }) {
      queue.push(rawMessage(header, events));
      wake();
    },
    onEnd(fault, header) {
      isOver = true;
      error = fault;
      lastHeader = header;
      wake();
    },
  });
  for (;;) {
    const message = queue.shift();
    if (message !== undefined) await showMessage(context, message, wish.command);
    else if (isOver) break;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
  if (error === undefined) return;
  context.output.errorLine(`watch was canceled (${error.display})`);
  const compactRevision = error instanceof WatchCompactedError ? error.compactRevision : 0;
  context.printer.print("watch", {
    ...rawMessage(lastHeader, []),
    canceled: true,
    compact_revision: compactRevision,
  });
}

type Received = Parameters<Parameters<Client["watch"]["subscribe"]>[2]["onResponse"]>[0];

/** The client's response in the protocol's words, which printers understand. */
function rawMessage(header: Received["header"] | undefined, events: Received["events"]): WatchMessage {
  const rawKv = (kv: Received["events"][number]["kv"]) => ({
    key: kv.key,
    create_revision: kv.createRevision,
    mod_revision: kv.modRevision,
    version: kv.version,
    value: kv.value,
    lease: kv.lease,
  });
  return {
    header: {
      cluster_id: header?.clusterId ?? 0n,
      member_id: header?.memberId ?? 0n,
      revision: header?.revision ?? 0,
      raft_term: header?.raftTerm ?? 0,
    },
    watch_id: 0n,
    created: false,
    canceled: false,
    compact_revision: 0,
    cancel_reason: "",
    fragment: false,
    events: events.map((it) => ({
      type: it.type === "delete" ? 1 : 0,
      kv: rawKv(it.kv),
      prev_kv: it.previous === undefined ? undefined : rawKv(it.previous),
    })),
  };
}

async function showMessage(
  context: Context,
  message: WatchMessage,
  command: readonly string[],
): Promise<void> {
  const revision = message.header?.revision ?? 0;
  if (message.events.length === 0) context.output.line(`progress notify: ${revision}`);
  context.printer.print("watch", message);
  if (command.length === 0) return;
  for (const event of message.events) {
    const type = event.type === 1 ? "DELETE" : "PUT";
    await runCommand(context, command, {
      ETCD_WATCH_REVISION: String(revision),
      ETCD_WATCH_EVENT_TYPE: quote(type),
      ETCD_WATCH_KEY: quote(event.kv?.key ?? ""),
      ETCD_WATCH_VALUE: quote(event.kv?.value ?? ""),
    });
  }
}

async function runCommand(
  context: Context,
  words: readonly string[],
  extra: Record<string, string>,
): Promise<void> {
  const result = await execute(context, words, extra);
  if (result.exitCode === 0) return;
  throw new CommandError(EXIT.error, `command ${quotedList(words)} error (${result.problem})`);
}

function quotedList(words: readonly string[]): string {
  return `[${words.map(quote).join(" ")}]`;
}

/** Runs a program with our streams; the exit code, and in words why it is not 0. */
export async function execute(
  context: Context,
  words: readonly string[],
  extra: Record<string, string>,
): Promise<{ exitCode: number; problem: string }> {
  const [program, ...args] = words;
  // Earlier output first: the program writes to the same place by itself.
  context.output.flush();
  await new Promise<void>((resolve) => context.io.stdout.write("", () => resolve()));
  const child = spawn(program!, args, {
    env: { ...process.env, ...extra },
    stdio: ["inherit", "pipe", "pipe"],
  });
  child.stdout.pipe(context.io.stdout, { end: false });
  child.stderr.pipe(context.io.stderr, { end: false });
  return new Promise((resolve) => {
    child.once("error", (error) => resolve({ exitCode: EXIT.error, problem: error.message }));
    child.once("close", (code, signal) => {
      if (code === 0) resolve({ exitCode: 0, problem: "" });
      else if (code !== null) resolve({ exitCode: code, problem: `exit status ${code}` });
      else resolve({ exitCode: EXIT.error, problem: `signal: ${signal}` });
    });
  });
}
