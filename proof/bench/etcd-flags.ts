// The command line of etcd's own benchmark tool: its global flags anywhere, its subcommands and their flags and defaults, as
// 3.6 has them. What is not supported is refused by name.

import { parseArgs } from "node:util";
import { UsageError } from "./options.ts";
import { parseDurationUs } from "./units.ts";

const text = { type: "string" } as const;
const several = { type: "string", multiple: true } as const;
const flag = { type: "boolean" } as const;

type FlagTable = Readonly<Record<string, { type: "string" | "boolean"; multiple?: boolean }>>;

const GLOBAL: FlagTable = {
  endpoints: several,
  clients: text,
  conns: text,
  precise: flag,
  sample: flag,
  "target-leader": flag,
  "dial-timeout": text,
  cacert: text,
  cert: text,
  key: text,
  "insecure-skip-tls-verify": flag,
  user: text,
};

const KEY_FLAGS: FlagTable = { "key-size": text, "key-space-size": text };

export const COMMANDS = {
  put: {
    ...KEY_FLAGS,
    "val-size": text,
    total: text,
    rate: text,
    "sequential-keys": flag,
    "compact-interval": text,
    "compact-index-delta": text,
    "check-hashkv": flag,
  },
  range: { consistency: text, "count-only": flag, limit: text, rate: text, total: text },
  "txn-put": { ...KEY_FLAGS, "val-size": text, total: text, rate: text, "txn-ops": text },
  "txn-mixed": {
    ...KEY_FLAGS,
    "val-size": text,
    total: text,
    rate: text,
    consistency: text,
    "end-key": text,
    limit: text,
    "rw-ratio": text,
  },
  stm: {
    isolation: text,
    keys: text,
    "keys-per-txn": text,
    rate: text,
    "stm-locker": text,
    total: text,
    "txn-wr-percent": text,
    "val-size": text,
  },
  watch: {
    ...KEY_FLAGS,
    "put-rate": text,
    "put-total": text,
    "sequential-keys": flag,
    streams: text,
    "watch-per-stream": text,
    "watched-key-total": text,
  },
  "watch-get": { events: text, streams: text, watchers: text },
  "watch-latency": {
    "key-size": text,
    "val-size": text,
    prevkv: flag,
    "put-rate": text,
    "put-total": text,
    streams: text,
    "watchers-per-stream": text,
  },
  "lease-keepalive": { total: text },
  mvcc: { "key-size": text, "value-size": text, total: text, txn: flag, "txn-ops": text },
} as const satisfies Readonly<Record<string, FlagTable>>;

export type EtcdCommand = keyof typeof COMMANDS;

/** Flags of the tool, in this version or another, that mean nothing here. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  "auto-sync-interval": "the endpoints are those that are given",
  "report-perfdash": "-w json of the bench itself is for programs (holdfast bench put -w json)",
  "batch-interval": "the store has no batches of its own",
  "batch-limit": "the store has no batches of its own",
  cpuprofile: "holdfast profile makes profiles",
  memprofile: "holdfast profile makes profiles",
};

/** Positional words that a command takes, at least and at most. */
const WORDS: Partial<Record<EtcdCommand, readonly [number, number]>> = {
  range: [1, 2],
  // It reads from the beginning whatever the words say.
  "txn-mixed": [0, 2],
  mvcc: [1, 1],
};

export class EtcdFlags {
  readonly command: EtcdCommand;
  readonly words: readonly string[];
  readonly #values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;

  constructor(command: EtcdCommand, words: readonly string[], values: EtcdFlags["flags"]) {
    this.command = command;
    this.words = words;
    this.#values = values;
  }

  get flags(): Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>> {
    return this.#values;
  }

  is(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string | undefined {
    const value = this.#values[name];
    if (Array.isArray(value)) return value.join(",");
    return typeof value === "string" ? value : undefined;
  }

  count(name: string, byDefault: number, least = 0): number {
    const value = this.text(name);
    if (value === undefined) return byDefault;
    if (!/^\d+$/.test(value) || Number(value) < least)
      throw new UsageError(`--${name} is ${value}: it must be a whole number from ${least}`);
    return Number(value);
  }

  share(name: string, byDefault: number): number {
    const value = this.text(name);
    const number = value === undefined ? byDefault : Number(value);
    if (!(number >= 0)) throw new UsageError(`--${name} is ${value}: it must be a number from 0`);
    return number;
  }

  oneOf<T extends string>(name: string, words: readonly T[], byDefault: T): T {
    const value = this.text(name) ?? byDefault;
    const word = words.find((one) => one === value);
    if (word === undefined)
      throw new UsageError(`--${name} is ${value}: it must be one of ${words.join(", ")}`);
    return word;
  }

  durationUs(name: string): number | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : parseDurationUs(value);
  }
}

/** Parses the words after `--etcd-style`; throws `UsageError`. */
export function parseEtcdFlags(argv: readonly string[]): EtcdFlags {
  const at = commandAt(argv);
  const command = argv[at] as EtcdCommand;
  const table: FlagTable = { ...GLOBAL, ...COMMANDS[command] };
  const rest = withoutValues([...argv.slice(0, at), ...argv.slice(at + 1)], table);
  for (const word of rest) {
    const name = /^--([^=]+)/.exec(word)?.[1] ?? "";
    if (name in UNSUPPORTED) throw new UsageError(`--${name} is not supported: ${UNSUPPORTED[name]}`);
  }
  const { values, positionals } = parse(rest, table, command);
  const [least, most] = WORDS[command] ?? [0, 0];
  if (positionals.length < least || positionals.length > most)
    throw new UsageError(
      `${command} takes ${least === most ? least : `${least} to ${most}`} words beside its flags, not ${positionals.length}: ${positionals.join(" ")}`,
    );
  return new EtcdFlags(command, positionals, values);
}

function parse(
  words: string[],
  table: FlagTable,
  command: EtcdCommand,
): { values: EtcdFlags["flags"]; positionals: string[] } {
  try {
    return parseArgs({ args: words, options: table, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(`${command}: ${(error as Error).message.split(". To specify")[0]!}`);
  }
}

/** Global flags may stand before the subcommand, and their values may be called like one. */
function commandAt(argv: readonly string[]): number {
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i]!;
    const name = /^--([^=]+)$/.exec(word)?.[1];
    if (name !== undefined && (GLOBAL[name]?.type === "string" || name in UNSUPPORTED)) i++;
    else if (!word.startsWith("-")) {
      if (word in COMMANDS) return i;
      throw new UsageError(`--etcd-style ${word} is none of ${Object.keys(COMMANDS).join(", ")}`);
    }
  }
  throw new UsageError(`--etcd-style needs one of ${Object.keys(COMMANDS).join(", ")}`);
}

/** Go's flags take `--sample=true`, ours of Node do not. */
function withoutValues(argv: readonly string[], table: FlagTable): string[] {
  return argv.flatMap((word) => {
    const parts = /^--([^=]+)=(true|1|false|0)$/.exec(word);
    if (!parts || table[parts[1]!]?.type !== "boolean") return [word];
    return parts[2] === "true" || parts[2] === "1" ? [`--${parts[1]}`] : [];
  });
}
