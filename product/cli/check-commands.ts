// check perf and check datascale: etcdctl's quick verdicts on a cluster. For measurements there is `bench`.

import * as http from "node:http";
import * as https from "node:https";
import * as fs from "node:fs";
import type { Client } from "../client/client.ts";
import { EtcdError } from "../client/errors.ts";
import type { Command, Context } from "./command.ts";
import { rethrow } from "./command.ts";
import type { Flag } from "./flags.ts";
import { boolFlag, stringFlag } from "./flags.ts";
import { quote } from "./go-text.ts";
import { CommandError, EXIT } from "./io.ts";

interface Load {
  /** Writes a second (perf), or keys in all (datascale). */
  readonly limit: number;
  readonly workerCount: number;
}

type LoadName = "s" | "m" | "l" | "xl";

const PERF_LOADS: Readonly<Record<LoadName, Load>> = {
  s: { limit: 150, workerCount: 50 },
  m: { limit: 1000, workerCount: 200 },
  l: { limit: 8000, workerCount: 500 },
  xl: { limit: 15_000, workerCount: 1000 },
};

const SCALE_LOADS: Readonly<Record<LoadName, Load>> = {
  s: { limit: 10_000, workerCount: 50 },
  m: { limit: 100_000, workerCount: 200 },
  l: { limit: 1_000_000, workerCount: 500 },
  xl: { limit: 3_000_000, workerCount: 1000 },
};

const ALIASES: Readonly<Record<string, LoadName>> = {
  s: "s",
  small: "s",
  m: "m",
  medium: "m",
  l: "l",
  large: "l",
  xl: "xl",
  xLarge: "xl",
};

const PERF_DURATION_MS = 60_000;
const CLEANUP_TIMEOUT_MS = 30_000;

/** What perf calls good: nine tenths of the rate, the slowest request, the spread. */
const RATE_SHARE_MIN = 0.9;
const SLOWEST_SECONDS_MAX = 0.5;
const STDDEV_SECONDS_MAX = 0.1;

const FLAGS: readonly Flag[] = [
  stringFlag("load", "size of the load: s, m, l or xl", { default: "s", values: ["s", "m", "l", "xl"] }),
  boolFlag("auto-compact", "forget the history afterwards"),
  boolFlag("auto-defrag", "give the space back afterwards"),
];

function loadOf(context: Context, loads: Readonly<Record<LoadName, Load>>): Load {
  const text = context.flags.text("load");
  const name = ALIASES[text];
  if (name === undefined) throw new CommandError(EXIT.badFeature, `unknown load option ${text}`);
  return loads[name];
}

/** Of the requests of a run, in seconds. */
class Tally {
  count = 0;
  slowest = 0;
  #sum = 0;
  #squares = 0;
  readonly errors = new Map<string, number>();

  add(seconds: number): void {
    this.count++;
    this.#sum += seconds;
    this.#squares += seconds * seconds;
    if (seconds > this.slowest) this.slowest = seconds;
  }

  fail(error: EtcdError): void {
    this.errors.set(error.display, (this.errors.get(error.display) ?? 0) + 1);
  }

  get stddev(): number {
    if (this.count === 0) return 0;
    const mean = this.#sum / this.count;
    return Math.sqrt(Math.max(0, this.#squares / this.count - mean * mean));
  }
}

interface Run {
  readonly clients: readonly Client[];
  readonly load: Load;
  readonly prefix: string;
  readonly keySizeBytes: number;
  readonly value: Uint8Array;
  /** Whether there is one more request, and when it may go: undefined at the end, else milliseconds to wait. */
  readonly next: () => number | undefined;
}

/** A connection for twenty workers: HTTP/2 shares them well, and a thousand would measure the client. */
const WORKERS_PER_CONNECTION = 20;

async function connectAll(context: Context, workerCount: number): Promise<Client[]> {
  const clients: Client[] = [];
  for (let i = 0; i < Math.ceil(workerCount / WORKERS_PER_CONNECTION); i++)
    clients.push(await context.client());
  return clients;
}

async function runLoad(run: Run): Promise<Tally> {
  const tally = new Tally();
  const worker = async (client: Client): Promise<void> => {
    for (;;) {
      const waitMs = run.next();
      if (waitMs === undefined) return;
      if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
      const key = run.prefix + randomDigits(run.keySizeBytes);
      const started = performance.now();
      try {
        await client.kv.put(key, run.value, { timeoutMs: Infinity });
        tally.add((performance.now() - started) / 1000);
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        tally.fail(error);
      }
    }
  };
  const workers: Promise<void>[] = [];
  for (let i = 0; i < run.load.workerCount; i++) workers.push(worker(run.clients[i % run.clients.length]!));
  await Promise.all(workers);
  return tally;
}

function randomDigits(length: number): string {
  return String(Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)).padEnd(length, "0");
}

async function refuseUsedPrefix(client: Client, prefix: string): Promise<void> {
  const found = await client.kv
    .get(prefix, { prefix: true, limit: 1 })
    .catch((error) => rethrow(error, EXIT.error));
  if (found.kvs.length === 0) return;
  const text = `prefix ${quote(prefix)} has keys. Delete with 'holdfast del --prefix ${prefix}' first`;
  throw new CommandError(EXIT.invalidInput, text);
}

async function cleanUp(context: Context, client: Client, prefix: string): Promise<void> {
  const options = { timeoutMs: CLEANUP_TIMEOUT_MS };
  const { header } = await client.kv.delete(prefix, { prefix: true, ...options });
  if (context.flags.bool("auto-compact")) {
    context.output.line(`Compacting with revision ${header.revision}`);
    await client.kv.compact(header.revision, { physical: true, ...options });
    context.output.line(`Compacted with revision ${header.revision}`);
  }
  if (!context.flags.bool("auto-defrag")) return;
  for (const endpoint of context.endpoints) {
    context.output.line(`Defragmenting ${quote(endpoint)}`);
    await (await context.client([endpoint])).maintenance.defragment(options);
    context.output.line(`Defragmented ${quote(endpoint)}`);
  }
}

function reportErrors(context: Context, tally: Tally): boolean {
  if (tally.errors.size === 0) return true;
  context.output.line("FAIL: too many errors");
  for (const [text, count] of tally.errors) context.output.line(`FAIL: ERROR(${text}) -> ${count}`);
  return false;
}

const perfCommand: Command = {
  name: "check perf",
  usage: "[options]",
  summary: "Writes at a fixed rate for a minute and says whether the cluster keeps up",
  flags: [stringFlag("prefix", "where the keys are written", { default: "/etcdctl-check-perf/" }), ...FLAGS],
  async run(context) {
    const load = loadOf(context, PERF_LOADS);
    const prefix = context.flags.text("prefix");
    const clients = await connectAll(context, load.workerCount);
    await refuseUsedPrefix(clients[0]!, prefix);
    const started = performance.now();
    let sent = 0;
    const next = (): number | undefined => {
      const dueMs = (sent++ * 1000) / load.limit;
      return dueMs >= PERF_DURATION_MS ? undefined : Math.max(0, started + dueMs - performance.now());
    };
    const value = new Uint8Array(1024);
    const tally = await runLoad({ clients, load, prefix, keySizeBytes: 256, value, next });
    const rate = tally.count / ((performance.now() - started) / 1000);
    await cleanUp(context, clients[0]!, prefix).catch((error: unknown) => {
      if (!(error instanceof EtcdError)) throw error;
      context.output.line(`FAIL: Cleanup failed during key deletion: ERROR(${error.display})`);
    });
    return verdict(context, { tally, rate, load });
  },
};

function verdict(context: Context, result: { tally: Tally; rate: number; load: Load }): number {
  const { tally, rate, load } = result;
  let isGood = reportErrors(context, tally);
  const judge = (good: boolean, passed: string, failed: string): void => {
    isGood = isGood && good;
    context.output.line(good ? `PASS: ${passed}` : failed);
  };
  const whole = Math.trunc(rate) + 1;
  judge(
    rate / load.limit > RATE_SHARE_MIN,
    `Throughput is ${whole} writes/s`,
    `FAIL: Throughput too low: ${whole} writes/s`,
  );
  const slowest = tally.slowest.toFixed(6);
  judge(
    tally.slowest <= SLOWEST_SECONDS_MAX,
    `Slowest request took ${slowest}s`,
    `Slowest request took too long: ${slowest}s`,
  );
  const stddev = tally.stddev.toFixed(6);
  judge(tally.stddev <= STDDEV_SECONDS_MAX, `Stddev is ${stddev}s`, `Stddev too high: ${stddev}s`);
  context.output.line(isGood ? "PASS" : "FAIL");
  return isGood ? EXIT.success : EXIT.error;
}

const datascaleCommand: Command = {
  name: "check datascale",
  usage: "[options]",
  summary: "Writes many keys and says how much memory the first endpoint took for them",
  flags: [
    stringFlag("prefix", "where the keys are written", { default: "/etcdctl-check-datascale/" }),
    ...FLAGS,
  ],
  async run(context) {
    const load = loadOf(context, SCALE_LOADS);
    const prefix = context.flags.text("prefix");
    const clients = await connectAll(context, load.workerCount);
    await refuseUsedPrefix(clients[0]!, prefix);
    const before = await residentBytes(context, "before");
    context.output.line(
      `Start data scale check for work load [${load.limit} key-value pairs, 1024 bytes per key-value, ` +
        `${load.workerCount} concurrent clients].`,
    );
    let sent = 0;
    const next = (): number | undefined => (sent++ < load.limit ? 0 : undefined);
    const tally = await runLoad({
      clients,
      load,
      prefix,
      keySizeBytes: 512,
      value: new Uint8Array(512),
      next,
    });
    const after = await residentBytes(context, "after");
    await cleanUp(context, clients[0]!, prefix).catch((error) => rethrow(error, EXIT.error));
    if (!reportErrors(context, tally)) return EXIT.error;
    const megabytes = ((after - before) / (1024 * 1024)).toFixed(2);
    context.output.line(`PASS: Approximate system memory used : ${megabytes} MB.`);
    return EXIT.success;
  },
};

const RESIDENT_METRIC = "process_resident_memory_bytes";

async function residentBytes(context: Context, when: string): Promise<number> {
  const endpoint = context.endpoints[0]!;
  const url = `${/^https?:\/\//.test(endpoint) ? endpoint : `http://${endpoint}`}/metrics`;
  const text = await fetchText(context, url);
  const line = text.split("\n").find((it) => it.startsWith(`${RESIDENT_METRIC} `));
  const value = Number(line?.slice(RESIDENT_METRIC.length) ?? Number.NaN);
  if (value > 0) return value;
  throw new CommandError(EXIT.error, `FAIL: Could not read ${RESIDENT_METRIC} ${when} the put operations.`);
}

function fetchText(context: Context, url: string): Promise<string> {
  const file = (name: string): Buffer | undefined => {
    const path = context.flags.text(name);
    return path === "" ? undefined : fs.readFileSync(path);
  };
  const tls = {
    ca: file("cacert"),
    cert: file("cert"),
    key: file("key"),
    rejectUnauthorized: !context.flags.bool("insecure-skip-tls-verify"),
  };
  return new Promise((resolve) => {
    const request = url.startsWith("https:") ? https.get(url, tls) : http.get(url);
    request.on("error", (error) => {
      context.output.line(`fetch error: ${error.message}`);
      resolve("");
    });
    request.on("response", (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part)).on("end", () => resolve(text));
    });
  });
}

export const checkCommands: readonly Command[] = [perfCommand, datascaleCommand];
