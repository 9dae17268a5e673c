// `holdfast bench --etcd-style put …`: the words and the output of etcd's own benchmark tool, so that its users feel at
// home, with a note on what that output hides. Its flags are in `etcd-flags.ts`, the form of its output in `etcd-report.ts`.

import { encodeUtf8 } from "../../core/base/utf8.ts";
import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import { Prng } from "../../core/base/prng.ts";
import { Store } from "../../core/mvcc/store.ts";
import { METHOD } from "../../core/wire/service.ts";
import { Control, statusOf } from "./control.ts";
import { type EtcdFlags, parseEtcdFlags } from "./etcd-flags.ts";
import {
  etcdReport,
  goDuration,
  type Measured,
  measuredFrom,
  measuredOf,
  type ReportForm,
} from "./etcd-report.ts";
import {
  type Isolation,
  MixedTxnWorkload,
  RequestWorkload,
  StmWorkload,
  WatchGetWorkload,
} from "./etcd-workloads.ts";
import { Histogram } from "./histogram.ts";
import { KeySpace } from "./keys.ts";
import { parseRun, type RunOptions, UsageError } from "./options.ts";
import { PointWorkload } from "./point-workload.ts";
import type { CommandIo } from "./print.ts";
import { prefixEnd } from "./range-workload.ts";
import type { RunResult } from "./result.ts";
import { openRpc } from "./rpc-client.ts";
import { leaderOf, type RunHooks, runOnce } from "./run.ts";
import { parseSizes, SizeTable, ValuePool } from "./sizes.ts";
import { clockUs } from "./ticker.ts";
import { formatBytes } from "./units.ts";
import { WatchDetail, WatchWorkload } from "./watch-workload.ts";
import type { Workload } from "./workload.ts";

export async function benchEtcdStyle(
  argv: readonly string[],
  io: CommandIo,
  hooks: RunHooks,
): Promise<number> {
  const flags = parseEtcdFlags(argv);
  const style = new Style(flags, io.env, hooks);
  if (flags.command !== "mvcc") await style.connect();
  io.stdout.write(await style.run());
  return 0;
}

/** One command of the tool. */
class Style {
  readonly #flags: EtcdFlags;
  readonly #env: CommandIo["env"];
  readonly #hooks: RunHooks;
  readonly #form: ReportForm;
  /** Where all goes, once `connect` knows. */
  #endpoints: string | undefined;

  constructor(flags: EtcdFlags, env: CommandIo["env"], hooks: RunHooks) {
    this.#flags = flags;
    this.#env = env;
    this.#hooks = hooks;
    this.#form = { precise: flags.is("precise"), sample: flags.is("sample") };
    this.#endpoints = flags.text("endpoints");
  }

  /** Judges the flags of a connection, waits for one as long as `--dial-timeout` says, and finds the leader. */
  async connect(): Promise<void> {
    const options = this.#options({ total: 1 });
    const timeoutUs = this.#flags.durationUs("dial-timeout");
    if (timeoutUs !== undefined) await dial(options, timeoutUs);
    if (this.#flags.is("target-leader")) this.#endpoints = await leaderOf(options);
  }

  run(): Promise<string> {
    switch (this.#flags.command) {
      case "put":
        return this.#put();
      case "range":
        return this.#range();
      case "txn-put":
        return this.#txnPut();
      case "txn-mixed":
        return this.#txnMixed();
      case "stm":
        return this.#stm();
      case "watch":
        return this.#watch();
      case "watch-get":
        return this.#watchGet();
      case "watch-latency":
        return this.#watchLatency();
      case "lease-keepalive":
        return this.#leaseKeepAlive();
      case "mvcc":
        return Promise.resolve(this.#mvcc());
    }
  }

  async #put(): Promise<string> {
    const flags = this.#flags;
    const options = this.#options({
      total: this.#total(),
      rate: flags.count("rate", 0),
      keys: flags.count("key-space-size", 1, 1),
      sequential: flags.is("sequential-keys"),
    });
    const intervalUs = flags.durationUs("compact-interval");
    const delta = flags.count("compact-index-delta", 1000);
    const result = await runOnce(options, this.#hooks, ({ control, material, store }) => {
      const puts = new PointWorkload(store, material, 0);
      if (intervalUs !== undefined) compactBeside(puts, control, { intervalUs, delta });
      return puts;
    });
    const hash = flags.is("check-hashkv") ? await hashKv(options) : "";
    return `${this.#report(measuredOf(result))}\n${hash}${notes(result, [overwritten(result)])}`;
  }

  async #range(): Promise<string> {
    const flags = this.#flags;
    const [key = "", end = ""] = flags.words;
    const request = {
      key: encodeUtf8(key),
      range_end: encodeUtf8(end),
      limit: flags.count("limit", 0),
      count_only: flags.is("count-only"),
      serializable: this.#isSerializable(),
    };
    const options = this.#options({ total: this.#total(), rate: flags.count("rate", 0) });
    const result = await runOnce(
      options,
      this.#hooks,
      ({ rpc, material }) => new RequestWorkload(rpc, material, { method: METHOD.range, request }),
    );
    const hides = "it asked for the same key again and again (bench range reads from a key space)";
    return `${this.#consistencyLine()}${this.#report(measuredOf(result))}${notes(result, [hides])}`;
  }

  async #txnPut(): Promise<string> {
    const flags = this.#flags;
    const puts = flags.count("txn-ops", 1, 1);
    const keys = flags.count("key-space-size", 1, 1);
    if (puts > keys)
      throw new UsageError(
        `expected --txn-ops no larger than --key-space-size, got txn-ops(${puts}) key-space-size(${keys})`,
      );
    const load = { total: this.#total(), rate: flags.count("rate", 0), keys, sequential: true };
    const options = { ...this.#options(load), workload: "txn" as const, txnPuts: puts };
    const result = await runOnce(options, this.#hooks);
    return `${this.#report(measuredOf(result))}\n${notes(result, [overwritten(result)])}`;
  }

  async #txnMixed(): Promise<string> {
    const flags = this.#flags;
    const ratio = flags.share("rw-ratio", 1);
    const endKey = flags.text("end-key");
    const range = {
      key: ALL_KEYS,
      range_end: endKey === undefined ? ALL_KEYS : encodeUtf8(endKey),
      limit: flags.count("limit", 1000),
      serializable: this.#isSerializable(),
    };
    const options = this.#options({
      total: this.#total(),
      rate: flags.count("rate", 0),
      keys: flags.count("key-space-size", 1, 1),
      sequential: true,
    });
    const result = await runOnce(
      options,
      this.#hooks,
      ({ rpc, material }) => new MixedTxnWorkload(rpc, material, { readShare: ratio / (1 + ratio), range }),
    );
    const details = result.kinds.map((kind) => {
      const measured = {
        ...measuredOf(result),
        ...kind,
        pairs: kind.histogram ?? [],
        series: [],
        errorTexts: {},
      };
      const name = kind.name === "read" ? "Read" : "Write";
      const form = { ...this.#form, sample: false };
      return `Total ${name} Ops: ${kind.operations}\nDetails:${etcdReport(measured, form)}\n`;
    });
    const hides = `a read is one of up to ${range.limit} keys, which says little of reads of one`;
    return `${this.#consistencyLine()}${details.join("")}${notes(result, [hides, overwritten(result)])}`;
  }

  async #stm(): Promise<string> {
    const flags = this.#flags;
    const locker = flags.text("stm-locker") ?? "stm";
    if (locker !== "stm")
      throw new UsageError(`--stm-locker ${locker} is not supported (bench lock measures locks)`);
    const isolation = flags.oneOf<Isolation>("isolation", ["c", "r", "s", "ss"], "r");
    const stm = {
      keysPerTxn: flags.count("keys-per-txn", 1, 1),
      writePercent: flags.count("txn-wr-percent", 50),
      isolation,
    };
    const options = this.#options({
      total: this.#total(),
      rate: flags.count("rate", 0),
      keys: flags.count("keys", 1, 1),
    });
    const result = await runOnce(
      options,
      this.#hooks,
      ({ rpc, material }) => new StmWorkload(rpc, material, stm),
    );
    const hides = `${result.extras["conflicts"]} transactions met another and began anew, within their latency`;
    return `${this.#report(measuredOf(result))}${notes(result, [hides])}`;
  }

  async #watch(): Promise<string> {
    const flags = this.#flags;
    const detail = new WatchDetail();
    const streams = flags.count("streams", 10, 1);
    // Keys that are watched are drawn from the key space, which is one key unless told otherwise.
    const keys = Math.min(flags.count("watched-key-total", 1, 1), flags.count("key-space-size", 1, 1));
    const options = this.#options({
      total: flags.count("put-total", 1000, 1),
      rate: flags.count("put-rate", 0),
      keys,
      keySize: 32,
      sequential: flags.is("sequential-keys"),
    });
    const watchers = streams * flags.count("watch-per-stream", 100, 1);
    const result = await this.#watched(options, { streams, watchers, keyEach: true, detail });
    const created = measuredFrom(detail.created, detail.createdSeconds);
    const events = measuredFrom(detail.events, result.seconds);
    const hides = "the tool times the handling of an event, near 0; here it counts from the start of its put";
    return (
      `Watch creation summary:\n${this.#report(created)}Watch events received summary:\n${this.#report(events)}` +
      notes(result, [hides])
    );
  }

  async #watchLatency(): Promise<string> {
    const flags = this.#flags;
    const detail = new WatchDetail();
    const streams = flags.count("streams", 10, 1);
    const options = this.#options({
      total: flags.count("put-total", 1000, 1),
      rate: flags.count("put-rate", 100),
      keySize: 32,
      valueSize: 32,
    });
    const watchers = streams * flags.count("watchers-per-stream", 10, 1);
    const prevKv = flags.is("prevkv");
    const result = await this.#watched(options, { streams, watchers, keyEach: true, prevKv, detail });
    const puts = measuredFrom(detail.puts, result.seconds);
    const events = measuredFrom(detail.events, result.seconds);
    const hides =
      "the tool counts an event from the acknowledgement of its put, and one that comes before it as 0; here from the put's start";
    return (
      `\nPut summary:\n${this.#report(puts)}\nWatch events summary:\n${this.#report(events)}` +
      notes(result, [hides])
    );
  }

  async #watchGet(): Promise<string> {
    const flags = this.#flags;
    const watch = {
      streams: flags.count("streams", 1, 1),
      watchers: flags.count("watchers", 10_000, 1),
      events: flags.count("events", 8, 1),
    };
    const caughtUp = new AbortController();
    const signal = AbortSignal.any([this.#hooks.signal, caughtUp.signal]);
    const onCaughtUp = (): void => caughtUp.abort();
    const options = { ...this.#options({ total: 1 }), operationsMax: Number.POSITIVE_INFINITY };
    const result = await runOnce(
      options,
      { ...this.#hooks, signal },
      ({ rpc, control, material }) => new WatchGetWorkload(rpc, control, material, { ...watch, onCaughtUp }),
    );
    const hides = "gets are serializable: they wait for nobody, and may be answered from the past";
    return `Get during watch summary:\n${this.#report(measuredOf(result))}${notes(result, [hides])}`;
  }

  async #leaseKeepAlive(): Promise<string> {
    const options = this.#options({ total: this.#total() });
    const result = await runOnce(
      { ...options, workload: "lease-keepalive", leases: options.clients },
      this.#hooks,
    );
    const hides = "one lease a client, on a stream that stays open (bench lease-keepalive --leases N)";
    return `${this.#report(measuredOf(result))}${notes(result, [hides])}`;
  }

  /** The store alone, in this process: no log, no consensus, no network. */
  #mvcc(): string {
    const flags = this.#flags;
    if (flags.words[0] !== "put")
      throw new UsageError(`mvcc ${flags.words[0]} is not supported: only mvcc put is`);
    const total = flags.count("total", 100, 1);
    const puts = { keySize: flags.count("key-size", 64, 1), valueSize: flags.count("value-size", 64, 1) };
    const perRevision = flags.is("txn") ? flags.count("txn-ops", 1, 1) : 1;
    const startedUs = clockUs();
    const histogram = putIntoStore(total, perRevision, puts);
    const measured = measuredFrom(histogram, (clockUs() - startedUs) / 1e6);
    return `${this.#report(measured)}${NOTE_HEAD}\n  this is Holdfast's store in memory; the log, which makes a put durable, is not in it\n`;
  }

  async #watched(
    options: RunOptions,
    watch: Partial<WatchOptions> & Pick<WatchOptions, "streams" | "watchers">,
  ): Promise<RunResult> {
    return runOnce(
      options,
      this.#hooks,
      ({ rpc, material }): Workload => new WatchWorkload(rpc, material, { oneKey: false, ...watch }),
    );
  }

  #total(): number {
    return this.#flags.count("total", 10_000, 1);
  }

  #report(measured: Measured): string {
    return etcdReport(measured, this.#form);
  }

  #isSerializable(): boolean {
    return this.#flags.oneOf("consistency", ["l", "s"], "l") === "s";
  }

  #consistencyLine(): string {
    return `bench with ${this.#isSerializable() ? "serializable" : "linearizable"} range\n`;
  }

  /** The tool's defaults, one key among them: that is what the note speaks of. */
  #options(load: LoadOfTool): RunOptions {
    const flags = this.#flags;
    const size = (name: string, byDefault: number): string => String(flags.count(name, byDefault, 1));
    const words = [
      ...["--total", String(load.total), "--prefix", "", "--publish-anyway"],
      ...["--clients", String(flags.count("clients", 1, 1)), "--conns", String(flags.count("conns", 1, 1))],
      ...[
        "--key-size",
        size("key-size", load.keySize ?? 8),
        "--val-size",
        size("val-size", load.valueSize ?? 8),
      ],
      ...["--keys", String(load.keys ?? 1), "--order", load.sequential ? "sequential" : "uniform"],
    ];
    if (this.#endpoints !== undefined) words.push("--endpoints", this.#endpoints);
    for (const name of ["cacert", "cert", "key", "user"] as const) {
      const value = flags.text(name);
      if (value !== undefined) words.push(`--${name}`, value);
    }
    if (flags.is("insecure-skip-tls-verify")) words.push("--insecure-skip-tls-verify");
    // Its rate limits a closed loop and starts the clock late. Ours counts from the intended start.
    if (load.rate !== undefined && load.rate > 0)
      words.push("--rate", String(load.rate), "--duration", `${Math.ceil(load.total / load.rate)}s`);
    return parseRun("put", words, this.#env);
  }
}

type WatchOptions = ConstructorParameters<typeof WatchWorkload>[2];

interface LoadOfTool {
  readonly total: number;
  readonly rate?: number;
  readonly keys?: number;
  readonly keySize?: number;
  readonly valueSize?: number;
  readonly sequential?: boolean;
}

/** From the first key to the last. */
const ALL_KEYS = prefixEnd(new Uint8Array(0));

async function dial(options: RunOptions, timeoutUs: number): Promise<void> {
  const { endpoints, tls, user } = options;
  const connecting = openRpc({ endpoints, tls, user, connectionCount: 1, slotCount: 1 });
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`dial ${endpoints.join(",")}: context deadline exceeded`)),
      timeoutUs / 1000,
    );
  });
  try {
    const rpc = await Promise.race([connecting, late]);
    await rpc.close();
  } catch (error) {
    connecting.then((rpc) => rpc.close()).catch(() => {});
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Compacts in intervals while the puts go on, always so far behind the newest revision. */
function compactBeside(
  puts: PointWorkload,
  control: Control,
  options: { intervalUs: number; delta: number },
): void {
  const timer = setInterval(() => {
    void statusOf(control)
      .then(async ({ revision }) => {
        if (revision > options.delta)
          await control.call(METHOD.compact, { revision: revision - options.delta });
      })
      // Compacted by somebody else, or gone: the puts tell the latter.
      .catch(() => {});
  }, options.intervalUs / 1000);
  const finish = puts.finish.bind(puts);
  puts.finish = async () => {
    clearInterval(timer);
    await finish();
  };
}

async function hashKv(options: RunOptions): Promise<string> {
  const { tls, user } = options;
  const endpoint = options.endpoints[0]!;
  const control = new Control(
    await openRpc({ endpoints: [endpoint], tls, user, connectionCount: 1, slotCount: 1 }),
    1,
  );
  try {
    const startedUs = clockUs();
    const { hash } = await control.call(METHOD.hashKV, { revision: 0 }, 60_000);
    const tookUs = clockUs() - startedUs;
    const { dbSizeBytes } = await statusOf(control);
    return (
      `HashKV Summary:\n\tHashKV: ${hash}\n\tEndpoint: ${endpoint}\n` +
      `\tTime taken to get hashkv: ${goDuration(tookUs)}\n\tDB size: ${formatBytes(dbSizeBytes)}\n`
    );
  } finally {
    await control.close();
  }
}

function putIntoStore(
  total: number,
  perRevision: number,
  sizes: { keySize: number; valueSize: number },
): Histogram {
  const histogram = new Histogram();
  const prng = new Prng(1);
  const keySizes = new SizeTable(parseSizes(String(sizes.keySize)), prng);
  const keys = new KeySpace({ count: total, prefix: "", sizes: keySizes });
  const values = new ValuePool(sizes.valueSize, prng);
  const store = new Store({ segmentSizeBytes: DEFAULT_LIMITS.dataSegmentSizeBytes, hashSeed: 1 });
  for (let i = 0; i < total; i++) {
    keys.write(i);
    const from = values.nextStart();
    const startedUs = clockUs();
    if (i % perRevision === 0) store.beginRevision();
    store.put(keys.bytes, 0, keys.size, values.bytes, from, from + sizes.valueSize, 0, 0);
    if ((i + 1) % perRevision === 0 || i === total - 1) store.endRevision();
    histogram.record(clockUs() - startedUs);
  }
  return histogram;
}

const NOTE_HEAD = "\nWhat this output hides:";

function overwritten(result: RunResult): string {
  const keys = result.distinctKeys === 1 ? "one key" : `${result.distinctKeys} keys`;
  return `it overwrote ${keys}${result.distinctKeys < result.operations ? " (give --key-space-size)" : ""}`;
}

/** One note on what the form hides, and what there is instead. */
function notes(result: RunResult, own: readonly string[]): string {
  const lines = [...own];
  if (result.loop === "closed")
    lines.push(
      "a closed loop stops asking while the store stalls: a stall of a second with one client is one slow request (bench put --rate N)",
    );
  else
    lines.push(
      "the tool's rate starts the clock when a request is sent; here it counts from when it was due",
    );
  lines.push(
    "linear buckets show no tail, and no second by second: bench put --report F.html",
    `p99.9 ${(result.p999Us / 1e6).toFixed(4)} secs., worst second's average ${(result.worstSecondUs / 1e6).toFixed(4)} secs., client CPU ${result.client.cpuPercent} %`,
  );
  if (result.errors > 0)
    lines.push(`the tool leaves ${result.errors} failed operations out of its latencies; here they count`);
  if (result.refusal) lines.push(result.refusal);
  return `${NOTE_HEAD}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}
