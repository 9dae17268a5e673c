// The rows about a store's memory: with a million keys, loaded and restarted (P11, and what comes out of the same load:
// P18 and P27), of a further version of a key (P12), and of large answers under way (P16).

import * as fs from "node:fs";
import {
  addNoteOnce,
  etcdLike,
  loadOn,
  massKeys,
  type RowContext,
  type Running,
  sleep,
  withAll,
  withOne,
} from "./contenders.ts";
import type { Cluster } from "./launch.ts";
import { higher, lower, MB, type ProcessRow, residentBytes, untilPut, type Values } from "./process-row.ts";
import { clockUs } from "./ticker.ts";

const RESTARTS = 3;
const SLICES = 20;
const SLICE_KEYS = 50_000;
/** Before memory is looked at: what a load or a start needed for a moment is given back by then. */
const SETTLE_MS = 2_000;

const MASS: ProcessRow = {
  id: "P11",
  what: "resident memory with 1 M keys of 64/256 bytes, after the load and after a restart",
  shares: {
    P18: "restart with 1 M keys, clean and after kill -9",
    P27: "rate over the last 10 % of 1 M keys / over the first 10 %",
  },
  figures: [
    lower("memory after load", "MB", {
      gate: { ratio: 0.8 },
      target: { ratio: 0.75 },
      stretch: { ratio: 0.4 },
    }),
    lower("memory after restart", "MB", {
      gate: { ratio: 0.55 },
      target: { ratio: 0.5 },
      stretch: { ratio: 0.4 },
    }),
    lower("P18 restart", "ms", { gate: { ratio: 0.35 }, target: { ratio: 0.2 } }),
    lower("P18 restart after kill -9", "ms", { gate: { ratio: 0.35 }, target: { ratio: 0.2 } }),
    higher("P27 last tenth / first tenth", "x", { gate: { value: 0.7 }, target: { value: 0.9 } }),
  ],
  run: async (context, values) => {
    const keys = massKeys(context);
    const slice = Math.min(SLICE_KEYS, Math.ceil(keys / SLICES));
    if (keys < 1_000_000) context.notes.push(`with ${keys} keys, not 1,000,000`);
    context.notes.push(`both stores up, loaded in alternating slices of ${slice} keys`);
    const rivals = context.options.rivals.filter((one) => one.kind === "etcd");
    const inner = { ...context, options: { ...context.options, rivals } };
    await withAll(inner, 1, async (running) => {
      await loadInSlices(context, { running, keys, slice }, values);
      await sleep(SETTLE_MS);
      for (const { contender, cluster } of running)
        values.add("memory after load", contender.name, residentBytes(ownedCluster(cluster)) / MB);
      for (let restart = 0; restart < RESTARTS; restart++) {
        for (const target of running) await restartBoth(context, { target, values, puts: slice });
      }
    });
  },
};

function ownedCluster(cluster: Cluster | undefined): Cluster {
  if (!cluster) throw new Error("this row restarts stores itself, so it cannot use given endpoints");
  return cluster;
}

async function loadInSlices(
  context: RowContext,
  load: { running: readonly Running[]; keys: number; slice: number },
  values: Values,
): Promise<void> {
  const { running, keys, slice } = load;
  const rates = new Map<string, number[]>(running.map((one) => [one.contender.name, []]));
  for (let first = 0; first < keys; first += slice) {
    for (let i = 0; i < running.length; i++) {
      const target = running[(i + first / slice) % running.length]!;
      const { name } = target.contender;
      context.say(`${name}: keys ${first} to ${Math.min(keys, first + slice)} of ${keys}`);
      const flags = ["--prefix", `mass/${first}/`, "--keys", String(Math.min(slice, keys - first))];
      const result = await loadOn(context, target, "put", [
        ...flags,
        ...["--clients", "100", "--conns", "10", "--timeout", "60s"],
      ]);
      if (result.errors > 0) addNoteOnce(context.notes, `${name}: ${result.errors} errors in a slice`);
      rates.get(name)!.push(result.rate);
    }
  }
  for (const [name, ofSlices] of rates)
    for (const share of lastToFirst(ofSlices)) values.add("P27 last tenth / first tenth", name, share);
}

/** The rates of the last tenth of the slices over those of the first, in pairs. */
export function lastToFirst(rates: readonly number[]): number[] {
  const tenth = Math.max(1, Math.round(rates.length / 10));
  return Array.from({ length: tenth }, (_, i) => rates[rates.length - tenth + i]! / rates[i]!);
}

async function restartBoth(
  context: RowContext,
  of: { readonly target: Running; readonly values: Values; readonly puts: number },
): Promise<void> {
  const { target, values, puts } = of;
  const cluster = ownedCluster(target.cluster);
  const { name } = target.contender;
  for (const [figure, signal] of [
    ["P18 restart", "SIGTERM"],
    ["P18 restart after kill -9", "SIGKILL"],
  ] as const) {
    // A store that was restarted a moment ago has nothing in its log that its files do not hold: a crash comes amid work.
    if (signal === "SIGKILL") {
      const flags = ["--prefix", "mass/0/", "--keys", String(puts), "--total", String(puts)];
      await loadOn(context, target, "put", [...flags, ...["--clients", "100", "--conns", "10"]]);
    }
    context.say(`restarting: ${name}`);
    await cluster.stopMember(0, signal);
    const sinceUs = clockUs();
    cluster.startMember(0);
    values.add(figure, name, await untilPut(cluster, sinceUs));
    if (signal === "SIGTERM") {
      await sleep(SETTLE_MS);
      values.add("memory after restart", name, residentBytes(cluster) / MB);
    }
  }
}

const VERSIONED_KEYS = 100_000;
const PUTS_PER_TXN = 20;
/** How often all keys are written. The first half of the passes fills what a store keeps in memory. */
const PASSES = { full: 24, quick: 8 };

const VERSIONS: ProcessRow = {
  id: "P12",
  what: "memory of a further version of a key beyond the resident budget",
  figures: [
    lower("bytes a version", "B", { gate: { value: 24 }, target: { value: 16 }, stretch: { value: 8 } }),
  ],
  run: async (context, values) => {
    const passes = PASSES[context.options.suite];
    const keys = Math.min(VERSIONED_KEYS, context.options.keys ?? VERSIONED_KEYS);
    context.notes.push(
      `${keys} keys, each written ${passes} times; growth of anonymous memory over the second half of that (files mapped by etcd do not count)`,
    );
    for (const who of etcdLike(context.options)) {
      await withOne(context, who, async (cluster, target) => {
        const after: number[] = [];
        for (let pass = 1; pass <= passes; pass++) {
          context.say(`writing ${keys} keys, ${pass} of ${passes}: ${who.name}`);
          const flags = ["--keys", String(keys), "--txn-ops", String(PUTS_PER_TXN), "--clients", "16"];
          const total = ["--total", String(Math.ceil(keys / PUTS_PER_TXN)), "--timeout", "60s"];
          await loadOn(context, target, "txn", [...flags, ...total]);
          await sleep(500);
          after.push(anonymousBytes(cluster));
        }
        const half = passes / 2;
        const perVersion = (from: number, to: number): number =>
          Math.max(0, after[to - 1]! - after[from - 1]!) / ((to - from) * keys);
        values.add("bytes a version", who.name, perVersion(half, passes));
        context.notes.push(
          `${who.name}: ${Math.round(perVersion(1, half))} bytes a version in the first half; ${Math.round(after.at(-1)! / MB)} MB at the end`,
        );
      });
    }
  },
};

/** Memory that no file backs: what cannot be dropped. */
function anonymousBytes(cluster: Cluster): number {
  return cluster.pids().reduce((sum, pid) => sum + statusBytes(pid, "RssAnon"), 0);
}

function statusBytes(pid: number, field: string): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(
    fs.readFileSync(`/proc/${pid}/status`, "utf8"),
  );
  if (!found) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(found[1]) * 1024;
}

const LISTED_KEYS = 100_000;
const LISTS = 10;
const LIST_ROUNDS = 3;

const LISTING: ProcessRow = {
  id: "P16b",
  what: "extra memory of 10 lists of 100,000 keys at once",
  figures: [lower("extra memory", "MB", { gate: { ratio: 0.5 }, target: { ratio: 0.5, value: 64 } })],
  run: async (context, values) => {
    const keys = Math.min(LISTED_KEYS, context.options.keys ?? LISTED_KEYS);
    if (keys < LISTED_KEYS) context.notes.push(`lists of ${keys} keys, not 100,000`);
    for (const who of etcdLike(context.options)) {
      await withOne(context, who, async (cluster, target) => {
        context.say(`loading ${keys} keys: ${who.name}`);
        const all = ["--prefix", "list/", "--keys", String(keys)];
        const fill = ["--txn-ops", String(PUTS_PER_TXN), "--total", String(Math.ceil(keys / PUTS_PER_TXN))];
        await loadOn(context, target, "txn", [...all, ...fill, "--clients", "16", "--timeout", "60s"]);
        for (let round = 0; round < LIST_ROUNDS; round++) {
          // What a list leaves behind would be there before the next one: each has a fresh process.
          await cluster.stopMember(0);
          cluster.startMember(0);
          await cluster.ready();
          await sleep(1000);
          context.say(`${LISTS} lists at once, ${round + 1} of ${LIST_ROUNDS}: ${who.name}`);
          const pid = cluster.pidOf(0)!;
          resetPeak(pid);
          const before = statusBytes(pid, "VmRSS");
          const load = ["--clients", String(LISTS), "--conns", String(LISTS), "--total", String(LISTS)];
          const flags = [...all, ...load, "--warmup", "0s", "--no-preload", "--timeout", "60s"];
          const result = await loadOn(context, target, "list", flags);
          if (result.operations < LISTS) throw new Error(`only ${result.operations} lists were answered`);
          values.add("extra memory", who.name, (statusBytes(pid, "VmHWM") - before) / MB);
        }
      });
    }
  },
};

/** The kernel forgets the highest resident size so far (proc(5), clear_refs). */
function resetPeak(pid: number): void {
  fs.writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

export const MEMORY_ROWS: readonly ProcessRow[] = [MASS, VERSIONS, LISTING];
