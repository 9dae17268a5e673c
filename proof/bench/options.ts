// The flags of a run, and what they mean.

import * as fs from "node:fs";
import * as path from "node:path";
import { parseArgs } from "node:util";
import { Prng } from "../../core/base/prng.ts";
import { type KeyOrder, KEY_ORDERS, KeySpace } from "./keys.ts";
import type { TlsFiles } from "./rpc.ts";
import type { Arrival } from "./schedule.ts";
import { parseSizes, type SizeDistribution, SizeTable } from "./sizes.ts";
import { type Objective, parseSlo } from "./slo.ts";
import { parseCount, parseDurationUs } from "./units.ts";

/** The command line is wrong: the text goes to the user, exit status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const WORKLOADS = [
  "put",
  "range",
  "txn",
  "mixed",
  "cas",
  "watch-latency",
  "watch-fanout",
  "lease-keepalive",
  "lock",
  "list",
  "kubernetes",
] as const;
export type WorkloadName = (typeof WORKLOADS)[number];

export function isWorkload(name: string): name is WorkloadName {
  return (WORKLOADS as readonly string[]).includes(name);
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;

/** Flags that say where the store is. */
export const ENDPOINT_FLAGS = {
  endpoints: text,
  cacert: text,
  cert: text,
  key: text,
  "insecure-skip-tls-verify": flag,
  user: text,
} as const;

export const RUN_FLAGS = {
  ...ENDPOINT_FLAGS,
  store: text,
  clients: text,
  conns: text,
  rate: text,
  rates: text,
  "closed-loop": flag,
  arrival: text,
  precise: flag,
  inflight: text,
  keys: text,
  "key-size": text,
  "val-size": text,
  prefix: text,
  order: text,
  duration: text,
  total: text,
  warmup: text,
  timeout: text,
  seed: text,
  slo: text,
  "slo-window": text,
  "slo-share": text,
  preload: flag,
  "no-preload": flag,
  serializable: flag,
  linearizable: flag,
  mode: text,
  span: text,
  "keys-only": flag,
  "count-only": flag,
  reads: text,
  "txn-ops": text,
  watchers: text,
  streams: text,
  "one-key": flag,
  leases: text,
  locks: text,
  "write-out": { type: "string", short: "w" },
  report: text,
  save: text,
  title: text,
  quiet: flag,
  pid: { type: "string", multiple: true },
  profile: flag,
  "publish-anyway": flag,
} as const;

export interface RunOptions {
  readonly workload: WorkloadName;
  /** Whose protocol: etcd's, ZooKeeper's or Consul's. */
  readonly store: "etcd" | "zookeeper" | "zookeeper-npm" | "consul";
  readonly endpoints: readonly string[];
  readonly tls: TlsFiles;
  readonly user: string | undefined;
  readonly clients: number;
  readonly connections: number;
  /** Undefined: closed loop. */
  readonly ratePerSecond: number | undefined;
  readonly rates: readonly number[];
  readonly arrival: Arrival;
  readonly precise: boolean;
  /** Operations under way at most, in an open loop. */
  readonly inFlightMax: number;
  readonly keys: number;
  readonly keySize: SizeDistribution;
  readonly keySizeText: string;
  readonly valueSize: SizeDistribution;
  readonly valueSizeText: string;
  readonly prefix: string;
  readonly order: KeyOrder;
  readonly durationUs: number;
  readonly operationsMax: number;
  readonly warmupUs: number;
  readonly timeoutUs: number;
  readonly seed: number;
  readonly slo: readonly Objective[];
  readonly sloWindowSeconds: number;
  readonly sloWindowShare: number;
  readonly preload: boolean;
  readonly serializable: boolean;
  readonly rangeMode: "single" | "prefix" | "paged";
  readonly span: number;
  readonly keysOnly: boolean;
  readonly countOnly: boolean;
  readonly readShare: number;
  readonly txnPuts: number;
  readonly watchers: number;
  readonly streams: number;
  readonly oneKey: boolean;
  readonly leases: number;
  readonly locks: number;
  readonly json: boolean;
  readonly reportFile: string | undefined;
  readonly saveFile: string | undefined;
  readonly title: string | undefined;
  readonly quiet: boolean;
  readonly pids: readonly number[];
  readonly profile: boolean;
  readonly publishAnyway: boolean;
}

type Values = { [K in keyof typeof RUN_FLAGS]?: string | boolean | string[] };

/** Parses the flags after `bench WORKLOAD`; throws `UsageError`. */
export function parseRun(
  workload: WorkloadName,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): RunOptions {
  const values = parseFlags(argv, RUN_FLAGS) as Values;
  const read = new Reader(values);
  try {
    const options = build(workload, read, env);
    check(options);
    return options;
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError((error as Error).message);
  }
}

/** `parseArgs` with errors of ours; positional words are refused. */
export function parseFlags<
  T extends Record<string, { type: "string" | "boolean"; short?: string; multiple?: boolean }>,
>(argv: readonly string[], flags: T): Record<string, string | boolean | (string | boolean)[] | undefined> {
  try {
    return parseArgs({ args: [...argv], options: flags, allowPositionals: false, strict: true }).values;
  } catch (error) {
    throw new UsageError((error as Error).message.split(". To specify")[0]!);
  }
}

class Reader {
  readonly #values: Values;
  constructor(values: Values) {
    this.#values = values;
  }
  has(name: keyof Values): boolean {
    return this.#values[name] !== undefined;
  }
  is(name: keyof Values): boolean {
    return this.#values[name] === true;
  }
  text(name: keyof Values): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }
  list(name: keyof Values): string[] {
    const value = this.#values[name];
    return Array.isArray(value) ? value : [];
  }
  count(name: keyof Values, byDefault: number, least = 1): number {
    const value = this.text(name);
    if (value === undefined) return byDefault;
    const count = parseCount(value);
    if (!Number.isInteger(count) || count < least)
      throw new UsageError(`--${name} is ${value}: it must be a whole number from ${least}`);
    return count;
  }
  us(name: keyof Values, byDefault: number): number {
    const value = this.text(name);
    return value === undefined ? byDefault : parseDurationUs(value);
  }
  share(name: keyof Values, byDefault: number): number {
    const value = this.text(name);
    if (value === undefined) return byDefault;
    const share = value.endsWith("%") ? Number(value.slice(0, -1)) / 100 : Number(value);
    if (!(share >= 0 && share <= 1))
      throw new UsageError(`--${name} is ${value}: it must be a share between 0 and 1`);
    return share;
  }
  oneOf<T extends string>(name: keyof Values, words: readonly T[], byDefault: T): T {
    const value = this.text(name);
    if (value === undefined) return byDefault;
    const word = words.find((one) => one === value);
    if (word === undefined)
      throw new UsageError(`--${name} is ${value}: it must be one of ${words.join(", ")}`);
    return word;
  }
}

/** Bounds on operations under way that no flag says: far above what any store of one machine answers in time. */
const IN_FLIGHT_DEFAULT = 20_000;
const OPEN_CONNECTIONS_DEFAULT = 10;
const KEYS_DEFAULT = 10_000;
/** A bit each is kept to count the distinct ones; nothing here writes more in any run. */
const KEYS_ONCE_MAX = 50_000_000;
/** Of a closed loop that ends by the clock: more than any store of one machine takes in a minute. */
const KEYS_ONCE_CLOSED = 10_000_000;
const DURATION_US_DEFAULT = 10_000_000;
const WARMUP_US_DEFAULT = 1_000_000;

// oxlint-disable-next-line max-lines-per-function -- one line a flag; there is nothing to follow
function build(
  workload: WorkloadName,
  read: Reader,
  env: Readonly<Record<string, string | undefined>>,
): RunOptions {
  const rates = (read.text("rates") ?? "")
    .split(",")
    .filter((one) => one !== "")
    .map(parseCount);
  const rate = read.text("rate") === undefined ? undefined : parseCount(read.text("rate")!);
  if (rate !== undefined && rate <= 0) throw new UsageError("--rate must be above 0");
  if (rates.some((one) => one <= 0)) throw new UsageError("--rates must all be above 0");
  const open = (rate !== undefined || rates.length > 0) && !read.is("closed-loop");
  const watchers = read.count("watchers", workload === "watch-fanout" ? 1000 : 1);
  const clients = read.count("clients", 1);
  const connections = read.count(
    "conns",
    open && !read.has("clients")
      ? OPEN_CONNECTIONS_DEFAULT
      : Math.min(clients, Math.max(1, Math.ceil(clients / 10))),
  );
  const timed = read.has("duration") || open || workload === "list";
  const counted =
    read.has("total") || (read.has("keys") && !timed && (workload === "put" || workload === "txn"));
  const order = read.oneOf(
    "order",
    KEY_ORDERS,
    workload === "put" || workload === "txn" ? "sequential" : "uniform",
  );
  const durationUs = read.us("duration", counted ? Number.POSITIVE_INFINITY : DURATION_US_DEFAULT);
  // A second by default where time is the measure: the client compiles its own hot path in it.
  const warmupUs = read.us("warmup", counted ? 0 : WARMUP_US_DEFAULT);
  const writesOnce = (workload === "put" || workload === "txn") && order === "sequential";
  const seed = read.count("seed", 1, 0);
  const prefix = read.text("prefix") ?? (workload === "kubernetes" ? "/registry/pods/" : "bench/");
  const keySizeText = read.text("key-size") ?? "64";
  const keySize = parseSizes(keySizeText);
  const keys = read.count(
    "keys",
    writesOnce && !read.is("preload")
      ? keysForOnce({
          room: keySizeMin(keySize, seed) - prefix.length,
          operations: read.has("total") ? read.count("total", 1) : undefined,
          ratePerSecond: open ? Math.max(rate ?? 0, ...rates) : undefined,
          durationUs: durationUs + warmupUs,
          keysPerOperation: workload === "txn" ? read.count("txn-ops", 1) : 1,
        })
      : KEYS_DEFAULT,
  );
  const valueSizeText = read.text("val-size") ?? (workload === "kubernetes" ? "lognormal:1200,0.8" : "256");
  if (read.is("serializable") && read.is("linearizable"))
    throw new UsageError("--serializable and --linearizable exclude each other");
  const sloWindowUs = read.us("slo-window", 1_000_000);
  if (sloWindowUs < 1_000_000 || sloWindowUs % 1_000_000 !== 0)
    throw new UsageError("--slo-window must be whole seconds");
  return {
    workload,
    store: read.oneOf("store", ["etcd", "zookeeper", "zookeeper-npm", "consul"], "etcd"),
    endpoints: parseEndpoints(read.text("endpoints") ?? env["ETCDCTL_ENDPOINTS"]),
    tls: tlsOf((name) => read.text(name), read.is("insecure-skip-tls-verify")),
    user: read.text("user"),
    clients,
    connections,
    ratePerSecond: open ? rate : undefined,
    rates: open ? rates : [],
    arrival: read.oneOf("arrival", ["fixed", "poisson"], "fixed"),
    precise: read.is("precise"),
    inFlightMax: read.count("inflight", read.has("clients") ? clients : IN_FLIGHT_DEFAULT),
    keys,
    keySize,
    keySizeText,
    valueSize: parseSizes(valueSizeText),
    valueSizeText,
    prefix,
    order,
    durationUs,
    operationsMax: counted
      ? read.count("total", operationsFor(workload, keys, read.count("txn-ops", 1)))
      : Number.POSITIVE_INFINITY,
    warmupUs,
    timeoutUs: read.us("timeout", 10_000_000),
    seed,
    slo: parseSlo(read.text("slo") ?? ""),
    sloWindowSeconds: sloWindowUs / 1_000_000,
    sloWindowShare: read.share("slo-share", 1),
    preload: read.is("preload") || (needsKeys(workload) && !read.is("no-preload")),
    serializable: read.is("serializable"),
    rangeMode: read.oneOf("mode", ["single", "prefix", "paged"], "single"),
    span: read.count("span", 100),
    keysOnly: read.is("keys-only"),
    countOnly: read.is("count-only"),
    readShare: read.share("reads", 0.9),
    txnPuts: read.count("txn-ops", 1),
    watchers,
    streams: Math.min(watchers, read.count("streams", Math.max(connections, Math.min(10, watchers)))),
    oneKey: read.is("one-key") || workload === "watch-fanout",
    leases: read.count("leases", Math.max(clients, 100)),
    locks: read.count("locks", 1),
    json: read.oneOf("write-out", ["simple", "json"], "simple") === "json",
    reportFile: read.text("report"),
    saveFile: read.text("save"),
    title: read.text("title"),
    quiet: read.is("quiet"),
    pids: read.list("pid").map(Number),
    profile: read.is("profile"),
    publishAnyway: read.is("publish-anyway"),
  };
}

/** What no flag alone can tell: everything that is wrong is said before anything is started. */
function check(options: RunOptions): void {
  const { workload, store, rates, profile } = options;
  if (profile && options.reportFile === undefined)
    throw new UsageError("--profile is drawn on a page: it needs --report");
  if (profile && rates.length > 0) throw new UsageError("--profile goes with one rate, not with --rates");
  if (store !== "etcd" && !isPoint(options))
    throw new UsageError(`Workload ${workload} needs a store that speaks etcd's API, not --store ${store}`);
  if (options.txnPuts > options.keys)
    throw new UsageError(
      `--txn-ops ${options.txnPuts} needs as many keys, and there are ${options.keys} (--keys)`,
    );
  if (options.user !== undefined && !options.user.includes(":"))
    throw new UsageError("--user must be NAME:PASSWORD");
  if (options.pids.some((pid) => !Number.isInteger(pid) || pid <= 0))
    throw new UsageError("--pid must be a process id");
  if ((options.tls.certFile === undefined) !== (options.tls.keyFile === undefined))
    throw new UsageError("--cert and --key go together");
  for (const file of [options.tls.caFile, options.tls.certFile, options.tls.keyFile])
    if (file !== undefined) assertReadable(file);
  for (const file of [options.reportFile, options.saveFile]) if (file !== undefined) assertWritable(file);
  assertKeysFit(options);
}

function isPoint(options: RunOptions): boolean {
  const { workload, rangeMode } = options;
  return workload === "put" || workload === "mixed" || (workload === "range" && rangeMode === "single");
}

/** Where the data of stores goes that are started: a folder of this run's own in `--dir`, because all of it is removed at the end. */
export function runDirectory(parent = "."): string {
  return path.resolve(parent, `holdfast-bench-${process.pid}.data`);
}

/** A run of an hour must not end with a report that cannot be written. */
export function assertWritable(file: string): void {
  try {
    fs.accessSync(fs.existsSync(file) ? file : path.dirname(path.resolve(file)), fs.constants.W_OK);
  } catch (error) {
    throw new UsageError(`Cannot write ${file}: ${(error as Error).message}`);
  }
}

function assertReadable(file: string): void {
  try {
    fs.accessSync(file, fs.constants.R_OK);
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${(error as Error).message}`);
  }
}

function assertKeysFit(options: RunOptions): void {
  const sizes = new SizeTable(options.keySize, new Prng(options.seed).split("key sizes"));
  void new KeySpace({ count: options.keys, prefix: options.prefix, sizes });
}

function keySizeMin(sizes: SizeDistribution, seed: number): number {
  return new SizeTable(sizes, new Prng(seed).split("key sizes")).min;
}

/** Enough keys that a load writes each of them once, or as many as there can be. */
function keysForOnce(load: {
  /** Bytes of a key behind the prefix. */
  readonly room: number;
  readonly operations: number | undefined;
  readonly ratePerSecond: number | undefined;
  readonly durationUs: number;
  readonly keysPerOperation: number;
}): number {
  const { room, operations, ratePerSecond, durationUs, keysPerOperation } = load;
  const most = Math.min(KEYS_ONCE_MAX, 256 ** Math.max(1, room));
  if (operations !== undefined) return Math.min(most, operations * keysPerOperation);
  if (ratePerSecond === undefined) return Math.min(most, KEYS_ONCE_CLOSED);
  // Poisson starts may be a few more than the rate says.
  const starts = Math.ceil(1.05 * ratePerSecond * (durationUs / 1e6)) + 1000;
  return Math.min(most, starts * keysPerOperation);
}

function operationsFor(workload: WorkloadName, keys: number, txnPuts: number): number {
  return workload === "txn" ? Math.ceil(keys / txnPuts) : keys;
}

function needsKeys(workload: WorkloadName): boolean {
  return (
    workload === "range" ||
    workload === "mixed" ||
    workload === "list" ||
    workload === "kubernetes" ||
    workload === "cas"
  );
}

export function parseEndpoints(list: string | undefined): string[] {
  const endpoints = (list ?? "127.0.0.1:2379")
    .split(",")
    .map((one) => one.trim())
    .filter((one) => one !== "");
  if (endpoints.length === 0) throw new UsageError("--endpoints names no endpoint");
  return endpoints;
}

export function tlsOf(
  read: (name: "cacert" | "cert" | "key") => string | undefined,
  insecureSkipVerify: boolean,
): TlsFiles {
  return { caFile: read("cacert"), certFile: read("cert"), keyFile: read("key"), insecureSkipVerify };
}
