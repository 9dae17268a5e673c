// Reads the server's flags: etcd's names, defaults and environment variables (ETCD_ and the name in capitals, `_` for `-`).
// What each one is: flag-table.ts.

import { EXPERIMENTAL_TWINS, type FlagSpec, SERVER_FLAGS } from "./flag-table.ts";

/** A flag that cannot be used as given; the text is for the user. */
export class FlagError extends Error {
  override readonly name = "FlagError";
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

export interface ParsedFlags {
  /** Every built flag's value, defaults included. */
  readonly values: ReadonlyMap<string, string>;
  /** The names that were set, on the command line or in the environment. */
  readonly set: ReadonlySet<string>;
  /** Lines for the log: flags without effect, unknown variables. */
  readonly notes: readonly string[];
}

/** Reads the command line and ETCD_* variables. Throws FlagError (exit code 2: usage; 1: conflict). */
export function parseServerFlags(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedFlags {
  const specs = new Map(SERVER_FLAGS.map((spec) => [spec.name, spec]));
  const given = readCommandLine(argv, specs);
  const notes = readEnvironment(env, specs, given);
  const values = new Map<string, string>();
  for (const spec of SERVER_FLAGS) {
    const value = given.get(spec.name);
    if (value !== undefined) notes.push(...checkGiven(spec, value));
    if (spec.state === "built") values.set(spec.name, value ?? spec.default);
  }
  return { values, set: new Set(given.keys()), notes };
}

function readCommandLine(argv: readonly string[], specs: ReadonlyMap<string, FlagSpec>): Map<string, string> {
  const given = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    const match = /^--?([a-z0-9][a-z0-9-]*)(?:=(.*))?$/s.exec(argument);
    if (match === null) throw new FlagError(`'${argument}' is not a valid flag`, 2);
    const spec = specs.get(normalName(match[1]!));
    if (spec === undefined) throw new FlagError(`flag provided but not defined: -${match[1]}`, 2);
    let value = match[2];
    if (value === undefined && (spec.type === "boolean" || spec.type === "anything")) value = "true";
    if (value === undefined) value = argv[++i];
    if (value === undefined) throw new FlagError(`flag needs an argument: -${match[1]}`, 2);
    given.set(spec.name, value);
  }
  return given;
}

function normalName(name: string): string {
  const plain = name.replace(/^experimental-/, "");
  return EXPERIMENTAL_TWINS.has(plain) ? plain : name;
}

function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  specs: ReadonlyMap<string, FlagSpec>,
  given: Map<string, string>,
): string[] {
  const notes: string[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith("ETCD_") || value === undefined || value === "") continue;
    const spec = specs.get(normalName(variable.slice(5).toLowerCase().replaceAll("_", "-")));
    if (spec === undefined) notes.push(`unrecognized environment variable ${variable}=${value}`);
    else if (given.has(spec.name)) {
      throw new FlagError(
        `conflicting environment variable "${variable}" is shadowed by corresponding command-line flag (either unset environment variable or disable flag)`,
        1,
      );
    } else given.set(spec.name, value);
  }
  return notes;
}

function checkGiven(spec: FlagSpec, value: string): string[] {
  if (spec.state === "refused" && value !== "" && value !== "false") {
    throw new FlagError(`--${spec.name} is not supported yet (${spec.why})`, 2);
  }
  checkType(spec, value);
  if (spec.state === "fixed" && !isSame(spec, value)) {
    throw new FlagError(`--${spec.name}=${value} is not supported yet (${spec.why})`, 2);
  }
  return spec.state === "idle" ? [`--${spec.name} has no effect: ${spec.why}`] : [];
}

function checkType(spec: FlagSpec, value: string): void {
  if (spec.type === "number" && !/^-?\d+$/.test(value)) throw invalid(spec, value);
  if (spec.type === "boolean" && !/^(true|false|1|0|t|f|T|F|TRUE|FALSE|True|False)$/.test(value))
    throw invalid(spec, value);
  if (spec.type === "duration" && parseDurationMs(value) === undefined) throw invalid(spec, value);
}

/** Whether a value means the same as the default. */
function isSame(spec: FlagSpec, value: string): boolean {
  switch (spec.type) {
    case "number":
      return Number(value) === Number(spec.default);
    case "boolean":
      return isTrue(value) === isTrue(spec.default);
    case "duration":
      return parseDurationMs(value) === parseDurationMs(spec.default);
    case "text":
    case "list":
    case "anything":
      return value === spec.default;
  }
}

function invalid(spec: FlagSpec, value: string): FlagError {
  return new FlagError(`invalid value "${value}" for flag -${spec.name}: parse error`, 2);
}

export function isTrue(value: string): boolean {
  return /^(true|1|t)$/i.test(value);
}

/** Go's durations (`1h30m`, `100ms`, `0`); undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  const unitsMs: Record<string, number> = {
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  };
  const sign = text.startsWith("-") ? -1 : 1;
  const body = text.replace(/^[+-]/, "");
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(body)) return undefined;
  let total = 0;
  for (const part of body.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g))
    total += Number(part[1]) * unitsMs[part[2]!]!;
  return sign * total;
}
