// The rows about the most that a store takes: the highest rate that keeps a latency (P8), twice of what it can do (P30),
// and many cores (P31).

import * as os from "node:os";
import { etcdLike, loadOn, type RowContext, type Running, withOne } from "./contenders.ts";
import { HIGHEST_RATE, P99_US_MAX } from "./highest-rate-row.ts";
import { fromPairs, type Histogram } from "./histogram.ts";
import { higher, lower, type ProcessRow, type Values } from "./process-row.ts";
import type { RunResult } from "./result.ts";

async function putsAt(
  context: RowContext,
  target: Running,
  rate: number,
  more: readonly string[],
): Promise<RunResult> {
  const flags = ["--rate", String(rate), "--duration", `${context.options.sliceSeconds}s`];
  return loadOn(context, target, "put", [...flags, "--prefix", `l${rate}/`, "--keys", "1000000", ...more]);
}

async function closedLoop(context: RowContext, target: Running, clients: number): Promise<RunResult> {
  const flags = ["--clients", String(clients), "--conns", String(clients / 10), "--prefix", "peak/"];
  return loadOn(context, target, "put", [
    ...flags,
    ...["--keys", "1000000", "--duration", `${context.options.sliceSeconds}s`, "--warmup", "1s"],
  ]);
}

/**
 * Much work in few bytes: client and store share the machine, and what is offered has to be written, read and refused
 * beside the work. Ten puts of 64 and 256 bytes, 3.5 kB a transaction, took the client's core and half of the store's.
 */
const OVERLOAD_PUTS = 50;
const OVERLOAD_SIZES = ["--key-size", "16", "--val-size", "16"];
const OVERLOAD_CLIENTS = [100, 1000];
/** What a client of an overloaded store may wait before it gives up. */
const OVERLOAD_TIMEOUT_SECONDS = 2;
/** The default of 2 GiB is full after a minute of this. */
const OVERLOAD_QUOTA_BYTES = 8 * 2 ** 30;
const OVERLOAD_ROUNDS = { full: 3, quick: 2 };

const OVERLOAD: ProcessRow = {
  id: "P30",
  what: `overload at twice the capacity: work done against the peak; p99 of what was admitted, transactions of ${OVERLOAD_PUTS} small puts, 1 member`,
  figures: [
    higher("work done / peak", "x", { gate: { value: 0.8 }, target: { value: 0.9 } }),
    lower("admitted p99", "us", { target: { value: P99_US_MAX } }),
  ],
  run: async (context, values) => {
    for (let round = 0; round < OVERLOAD_ROUNDS[context.options.suite]; round++) {
      for (const who of etcdLike(context.options))
        await withOne(context, who, async (_cluster, target) => overload(context, target, values), {
          flags: ["--quota-backend-bytes", String(OVERLOAD_QUOTA_BYTES)],
        });
    }
    for (const { name } of etcdLike(context.options))
      if (values.of("work done / peak", name).length === 0)
        throw new Error(`the client was the bottleneck in each round of ${name}`);
  },
};

async function overload(context: RowContext, target: Running, values: Values): Promise<void> {
  const { name } = target.contender;
  const seconds = context.options.sliceSeconds;
  const txns = async (load: readonly string[]): Promise<RunResult> =>
    loadOn(context, target, "txn", [
      ...["--txn-ops", String(OVERLOAD_PUTS), ...OVERLOAD_SIZES],
      ...["--keys", "1000000", "--duration", `${seconds}s`],
      ...load,
    ]);
  let peak = 0;
  for (const clients of OVERLOAD_CLIENTS) {
    context.say(`peak of ${clients} clients: ${name}`);
    const load = ["--clients", String(clients), "--conns", String(clients / 10)];
    peak = Math.max(peak, (await txns(load)).rate);
  }
  const rate = Math.round(2 * peak);
  context.say(`${name} at ${rate}/s, twice its peak`);
  // A slot for each that waits for its end: one that found none would be late by the client.
  const slots = String(Math.ceil(rate * (OVERLOAD_TIMEOUT_SECONDS + 1)));
  const patience = ["--timeout", `${OVERLOAD_TIMEOUT_SECONDS}s`, "--inflight", slots];
  const result = await txns(["--rate", String(rate), ...patience]);
  context.notes.push(overloadNote(name, peak, result));
  // What the client started late says nothing of the store.
  if (!result.published) return;
  values.add("work done / peak", name, result.operations / seconds / peak);
  // Nothing has no p99.
  const p99 = result.operations > 0 ? admittedOf(result).quantile(0.99) : Number.NaN;
  values.add("admitted p99", name, p99);
}

/** Latencies without those of errors. */
export function admittedOf(result: Pick<RunResult, "histogram" | "errorHistogram">): Histogram {
  const failed = new Map(result.errorHistogram.map((pair) => [pair[0]!, pair[1]!]));
  return fromPairs(result.histogram.map(([us, count]) => [us!, count! - (failed.get(us!) ?? 0)]));
}

function overloadNote(name: string, peak: number, result: RunResult): string {
  const errors = Object.entries(result.errorTexts).map(([text, count]) => `${count} "${text}"`);
  const offered = Math.round((result.operations + result.errors) / result.seconds);
  return [
    `${name}: peak ${Math.round(peak)}/s, ${offered}/s came to an end, ${result.errors} of them errors`,
    errors.length > 0 ? ` (${errors.join(", ")})` : "",
    result.refusal ? `; left out: ${result.refusal}` : "",
  ].join("");
}

const CORES_MIN = 8;
const MANY_CORES_RATE = 10_000;

const CORES: ProcessRow = {
  id: "P31",
  what: "8 and 16 cores: maximum put rate; p99 at 10,000/s, 1 member",
  figures: [
    higher("rate", "/s", { gate: { ratio: 0.7 }, target: { ratio: 1 }, stretch: { ratio: 2 } }),
    lower("p99 at 10,000/s", "us", { gate: { ratio: 1 }, target: { ratio: 0.6 } }),
  ],
  run: async (context, values) => {
    const cores = os.availableParallelism();
    if (cores < CORES_MIN) throw new Error(`needs ${CORES_MIN} cores, and this machine has ${cores}`);
    for (const who of etcdLike(context.options)) {
      await withOne(context, who, async (_cluster, target) => {
        for (let round = 0; round < context.options.rounds; round++) {
          context.say(`1,000 clients, then ${MANY_CORES_RATE}/s: ${who.name}`);
          values.add("rate", who.name, (await closedLoop(context, target, 1000)).rate);
          values.add("p99 at 10,000/s", who.name, (await putsAt(context, target, MANY_CORES_RATE, [])).p99Us);
        }
      });
    }
  },
};

export const CAPACITY_ROWS: readonly ProcessRow[] = [HIGHEST_RATE, OVERLOAD, CORES];
