// Command line flags in the manner of etcdctl (Go's pflag): --name=value, --name value, -n value, -nvalue, flags and
// arguments in any order, and nothing but arguments after `--`.

import { parseDuration, parseInt64, quote } from "./go-text.ts";

export type FlagKind = "bool" | "string" | "int" | "duration" | "list";

export interface Flag {
  readonly name: string;
  /** One letter. */
  readonly short?: string;
  readonly kind: FlagKind;
  /** As it would be written on the command line. */
  readonly default: string;
  readonly help: string;
  /** What a shell offers to complete the value with. */
  readonly values?: readonly string[];
}

export function boolFlag(name: string, help: string, short?: string): Flag {
  return { name, kind: "bool", default: "false", help, ...(short === undefined ? undefined : { short }) };
}

export function intFlag(name: string, help: string, defaultValue = "0"): Flag {
  return { name, kind: "int", default: defaultValue, help };
}

export function stringFlag(
  name: string,
  help: string,
  options: { default?: string; values?: readonly string[] } = {},
): Flag {
  const values = options.values === undefined ? undefined : { values: options.values };
  return { name, kind: "string", default: options.default ?? "", help, ...values };
}

/** The command line is not as it should be; the usage is shown. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The values of a command's flags. Asking for a flag that the command does not have is our own mistake. */
export class FlagValues {
  readonly #flags = new Map<string, Flag>();
  readonly #values = new Map<string, string>();

  constructor(flags: readonly Flag[]) {
    for (const flag of flags) this.#flags.set(flag.name, flag);
  }

  /** Throws UsageError when the value does not fit the flag. */
  set(flag: Flag, value: string, spelled: string): void {
    const problem = problemOf(flag, value);
    if (problem !== undefined)
      throw new UsageError(`invalid argument ${quote(value)} for ${quote(spelled)} flag: ${problem}`);
    // A list given twice adds up.
    const before = flag.kind === "list" ? this.#values.get(flag.name) : undefined;
    this.#values.set(flag.name, before === undefined ? value : `${before},${value}`);
  }

  isSet(name: string): boolean {
    return this.#values.has(name);
  }

  text(name: string): string {
    const flag = this.#flags.get(name);
    if (flag === undefined) throw new RangeError(`Cannot read flag: there is no --${name} here`);
    return this.#values.get(name) ?? flag.default;
  }

  bool(name: string): boolean {
    return parseBool(this.text(name)) ?? false;
  }

  number(name: string): number {
    return Number(this.text(name));
  }

  /** Milliseconds. */
  duration(name: string): number {
    return parseDuration(this.text(name)) ?? 0;
  }

  list(name: string): string[] {
    return this.text(name).split(",");
  }

  get flags(): IterableIterator<Flag> {
    return this.#flags.values();
  }
}

function problemOf(flag: Flag, value: string): string | undefined {
  switch (flag.kind) {
    case "bool":
      return parseBool(value) === undefined
        ? `strconv.ParseBool: parsing ${quote(value)}: invalid syntax`
        : undefined;
    case "int":
      return parseInt64(value, 10).error;
    case "duration":
      return parseDuration(value) === undefined ? `time: invalid duration ${quote(value)}` : undefined;
    case "string":
    case "list":
      return undefined;
  }
}

function parseBool(text: string): boolean | undefined {
  if (/^(?:1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(?:0|f|F|false|FALSE|False)$/.test(text)) return false;
  return undefined;
}

/** Sets flags and returns what is left: the arguments. Throws UsageError. */
export function parseFlags(words: readonly string[], values: FlagValues): string[] {
  const flags = [...values.flags];
  const args: string[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    if (word === "--") return args.concat(words.slice(i + 1));
    if (word.startsWith("--")) i += setLong(word, words[i + 1], { flags, values });
    else if (word.length > 1 && word.startsWith("-")) i += setShort(word, words[i + 1], { flags, values });
    else args.push(word);
  }
  return args;
}

interface Target {
  readonly flags: readonly Flag[];
  readonly values: FlagValues;
}

/** Returns how many further words it took. */
function setLong(word: string, following: string | undefined, target: Target): number {
  const equals = word.indexOf("=");
  const name = equals < 0 ? word.slice(2) : word.slice(2, equals);
  const flag = target.flags.find((it) => it.name === name);
  if (name === "" || name.startsWith("-")) throw new UsageError(`bad flag syntax: ${word}`);
  if (flag === undefined) throw new UsageError(`unknown flag: --${name}`);
  const spelled = flag.short === undefined ? `--${name}` : `-${flag.short}, --${name}`;
  if (equals >= 0) target.values.set(flag, word.slice(equals + 1), spelled);
  else if (flag.kind === "bool") target.values.set(flag, "true", spelled);
  else if (following === undefined) throw new UsageError(`flag needs an argument: --${name}`);
  else {
    target.values.set(flag, following, spelled);
    return 1;
  }
  return 0;
}

/** Letters of switches may stand together; the first that takes a value takes the rest of the word. */
function setShort(word: string, following: string | undefined, target: Target): number {
  for (let i = 1; i < word.length; i++) {
    const letter = word[i]!;
    const flag = target.flags.find((it) => it.short === letter);
    if (flag === undefined) throw new UsageError(`unknown shorthand flag: ${quoteLetter(letter)} in ${word}`);
    const spelled = `-${letter}, --${flag.name}`;
    const rest = word.slice(i + 1);
    if (rest.startsWith("=")) target.values.set(flag, rest.slice(1), spelled);
    else if (flag.kind === "bool") {
      target.values.set(flag, "true", spelled);
      continue;
    } else if (rest !== "") target.values.set(flag, rest, spelled);
    else if (following === undefined)
      throw new UsageError(`flag needs an argument: ${quoteLetter(letter)} in ${word}`);
    else {
      target.values.set(flag, following, spelled);
      return 1;
    }
    return 0;
  }
  return 0;
}

function quoteLetter(letter: string): string {
  return `'${letter}'`;
}
