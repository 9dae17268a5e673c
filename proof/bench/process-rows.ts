// The rows of goals.md that are about a store's process: its start, its restart, its memory, its idling.

import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { WatchRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import { readWatchResponse } from "./etcd-requests.ts";
import type { Rpc, RpcStream } from "./rpc.ts";
import { all, type Contender, loadOn, prepare, type RowContext, type Running } from "./contenders.ts";
import { Control } from "./control.ts";
import { type FigurePlan, figureResult, type FigureResult } from "./figures.ts";
import { openForeignStore } from "./foreign-store.ts";
import { type Cluster, findEtcdctl } from "./launch.ts";
import { sectorsWritten } from "./probes.ts";
import { readProcess } from "./process-sampler.ts";
import { openRpc } from "./rpc-client.ts";
import type { Second } from "./series.ts";
import { clockUs } from "./ticker.ts";
import { execFile, execFileSync } from "node:child_process";

/** A row that needs more than a load. `run` gives values by figure and contender, one a round. */
export interface ProcessRow {
  readonly id: string;
  readonly what: string;
  readonly figures: readonly FigurePlan[];
  /** Consul and ZooKeeper take part only where it means something. */
  readonly etcdOnly?: boolean;
  readonly run: (context: RowContext) => Promise<Values>;
}

export class Values {
  readonly #values = new Map<string, Map<string, number[]>>();

  add(figure: string, contender: string, value: number): void {
    let byContender = this.#values.get(figure);
    if (!byContender) this.#values.set(figure, (byContender = new Map<string, number[]>()));
    byContender.set(contender, [...(byContender.get(contender) ?? []), value]);
  }

  of(figure: string, contender: string): readonly number[] {
    return this.#values.get(figure)?.get(contender) ?? [];
  }
}

export function processFigures(context: RowContext, row: ProcessRow, values: Values): FigureResult[] {
  const prng = new Prng(context.options.seed);
  return row.figures.map((figure) => {
    const rivals = context.options.rivals.filter((one) => values.of(figure.name, one.name).length > 0);
    return figureResult(
      figure,
      {
        ours: values.of(figure.name, context.options.ours.name),
        rivals: new Map(rivals.map((one) => [one.name, values.of(figure.name, one.name)])),
      },
      prng,
    );
  });
}

const START_TIMEOUT_MS = 60_000;

/** Tries again and again until a put is acknowledged. Milliseconds since `sinceUs`. */
async function untilPut(cluster: Cluster, sinceUs: number): Promise<number> {
  for (;;) {
    if (cluster.pids().length === 0) throw new Error(`${cluster.kind} ended at its start`);
    if (await tryPut(cluster)) return (clockUs() - sinceUs) / 1000;
    if ((clockUs() - sinceUs) / 1000 > START_TIMEOUT_MS)
      throw new Error(`${cluster.kind} acknowledged no put within ${START_TIMEOUT_MS} ms`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function tryPut(cluster: Cluster): Promise<boolean> {
  const endpoint = cluster.endpoints[0]!;
  try {
    if (cluster.kind === "zookeeper" || cluster.kind === "consul") {
      const store = await openForeignStore(cluster.kind, [endpoint], 1);
      const key = encodeUtf8(`first${process.hrtime.bigint()}`);
      const ended = new Promise<string | undefined>((resolve) => {
        store.sink = { onEnd: (_slot, failure) => resolve(failure) };
        setTimeout(resolve, 2000, "no answer in time");
      });
      store.put(0, key, key.length, key, 0, key.length);
      const failure = await ended;
      await store.close();
      return failure === undefined;
    }
    const control = new Control(
      await openRpc({
        endpoints: [endpoint],
        connectionCount: 1,
        slotCount: 1,
        tls: cluster.tls,
        user: undefined,
      }),
      1,
    );
    try {
      await control.call(METHOD.put, { key: encodeUtf8("first"), value: encodeUtf8("put") }, 2000);
      return true;
    } finally {
      await control.close();
    }
  } catch {
    return false;
  }
}

function residentBytes(cluster: Cluster): number {
  return cluster.pids().reduce((sum, pid) => sum + (readProcess(pid)?.rssBytes ?? 0), 0);
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

const MB = 1e6;

/** Stops the cluster whatever happens in `body`. */
async function withOne(
  context: RowContext,
  who: Contender,
  body: (cluster: Cluster, target: Running) => Promise<void>,
): Promise<void> {
  const cluster = await prepare(context, who, 1);
  try {
    await body(cluster, { contender: who, cluster, endpoint: cluster.endpoints[0]!, tls: cluster.tls });
  } finally {
    await cluster.stop();
  }
}

const START: ProcessRow = {
  id: "P17",
  what: "empty start to first acknowledged put",
  figures: [
    {
      name: "start",
      unit: "ms",
      better: "lower",
      demands: { gate: { value: 300 }, target: { value: 250 }, stretch: { value: 200 } },
    },
  ],
  run: async (context) => {
    const values = new Values();
    for (let round = 0; round < context.options.rounds; round++) {
      for (const who of all(context.options)) {
        context.say(`start ${round + 1} of ${context.options.rounds}: ${who.name}`);
        await withOne(context, who, async (cluster) => {
          const sinceUs = clockUs();
          cluster.startMember(0);
          values.add("start", who.name, await untilPut(cluster, sinceUs));
        });
      }
    }
    return values;
  },
};

const IDLE_SECONDS = 5;

const IDLE: ProcessRow = {
  id: "P28",
  what: "idle: memory and CPU of a member",
  figures: [
    { name: "memory", unit: "MB", better: "lower", demands: { gate: { value: 90 }, target: { value: 80 } } },
    { name: "CPU", unit: "%", better: "lower", demands: { gate: { value: 2 }, target: { value: 1 } } },
  ],
  run: async (context) => {
    const values = new Values();
    for (const who of all(context.options)) {
      context.say(`idling: ${who.name}`);
      await withOne(context, who, async (cluster) => {
        const sinceUs = clockUs();
        cluster.startMember(0);
        await untilPut(cluster, sinceUs);
        await pause(2000);
        const before = cpuOf(cluster);
        await pause(IDLE_SECONDS * 1000);
        values.add("CPU", who.name, (100 * (cpuOf(cluster) - before)) / IDLE_SECONDS);
        values.add("memory", who.name, residentBytes(cluster) / MB);
      });
    }
    return values;
  },
};

function cpuOf(cluster: Cluster): number {
  return cluster.pids().reduce((sum, pid) => {
    const reading = readProcess(pid);
    return sum + (reading ? reading.userSeconds + reading.systemSeconds : 0);
  }, 0);
}

/** Keys of the rows that ask for a million; the quick suite takes a tenth, and says so. */
export function massKeys(context: RowContext): number {
  return context.options.keys ?? (context.options.suite === "full" ? 1_000_000 : 100_000);
}

const MASS: ProcessRow = {
  id: "P11",
  what: "resident memory with 1 M keys of 64/256 bytes, after the load and after a restart",
  etcdOnly: true,
  figures: [
    {
      name: "memory after load",
      unit: "MB",
      better: "lower",
      demands: { gate: { ratio: 0.8 }, target: { ratio: 0.75 }, stretch: { ratio: 0.4 } },
    },
    {
      name: "memory after restart",
      unit: "MB",
      better: "lower",
      demands: { gate: { ratio: 0.55 }, target: { ratio: 0.5 }, stretch: { ratio: 0.4 } },
    },
    {
      name: "P18 restart",
      unit: "ms",
      better: "lower",
      demands: { gate: { ratio: 0.35 }, target: { ratio: 0.2 } },
    },
    {
      name: "P18 restart after kill -9",
      unit: "ms",
      better: "lower",
      demands: { gate: { ratio: 0.35 }, target: { ratio: 0.2 } },
    },
    {
      name: "P27 last tenth / first tenth",
      unit: "x",
      better: "higher",
      demands: { gate: { value: 0.7 }, target: { value: 0.9 } },
    },
  ],
  run: async (context) => {
    const values = new Values();
    const keys = massKeys(context);
    if (keys < 1_000_000) context.notes.push(`with ${keys} keys, not 1,000,000`);
    for (const who of all(context.options).filter((one) => one.kind === "holdfast" || one.kind === "etcd")) {
      context.say(`loading ${keys} keys: ${who.name}`);
      await withOne(context, who, async (cluster, target) => {
        cluster.startMember(0);
        await cluster.ready();
        const result = await loadOn(context, target, "put", [
          "--keys",
          String(keys),
          "--clients",
          "100",
          "--conns",
          "10",
          "--timeout",
          "60s",
        ]);
        values.add("P27 last tenth / first tenth", who.name, lastToFirstTenth(result.series));
        await pause(2000);
        values.add("memory after load", who.name, residentBytes(cluster) / MB);
        for (const [name, signal] of [
          ["P18 restart", "SIGTERM"],
          ["P18 restart after kill -9", "SIGKILL"],
        ] as const) {
          context.say(`restarting: ${who.name}`);
          await cluster.stopMember(0, signal);
          const sinceUs = clockUs();
          cluster.startMember(0);
          values.add(name, who.name, await untilPut(cluster, sinceUs));
          if (signal === "SIGTERM") values.add("memory after restart", who.name, residentBytes(cluster) / MB);
        }
      });
    }
    return values;
  },
};

/** Rate over the seconds of the last tenth of the operations, over that of the first tenth. */
export function lastToFirstTenth(series: readonly Second[]): number {
  const total = series.reduce((sum, one) => sum + one.operations, 0);
  const rateOf = (seconds: readonly Second[]): number => {
    let operations = 0;
    let taken = 0;
    for (const one of seconds) {
      if (operations >= total / 10) break;
      operations += one.operations;
      taken++;
    }
    return operations / Math.max(1, taken);
  };
  // The last second is cut off by the end of the run.
  const whole = series.length > 2 ? series.slice(0, -1) : series;
  return rateOf([...whole].reverse()) / rateOf(whole);
}

const PAYLOAD_BYTES = 64 + 256;

const WRITTEN: ProcessRow = {
  id: "P24",
  what: "device sectors written per byte stored, 100 clients and 1 client (whole disk: keep it otherwise quiet)",
  figures: [
    {
      name: "100 clients",
      unit: "x",
      better: "lower",
      demands: { gate: { ratio: 0.75 }, target: { ratio: 0.6 }, stretch: { value: 2 } },
    },
    {
      name: "1 client",
      unit: "x",
      better: "lower",
      demands: { gate: { ratio: 0.9 }, target: { ratio: 0.4 } },
    },
  ],
  run: async (context) => {
    const values = new Values();
    if (sectorsWritten() === undefined) throw new Error("this machine has no /proc/diskstats");
    for (const who of all(context.options)) {
      await withOne(context, who, async (cluster, target) => {
        cluster.startMember(0);
        await cluster.ready();
        for (const [name, flags] of [
          ["100 clients", ["--clients", "100", "--conns", "10", "--total", "60000"]],
          ["1 client", ["--clients", "1", "--total", "4000"]],
        ] as const) {
          context.say(`writing with ${name}: ${who.name}`);
          execFileSync("sync");
          const before = sectorsWritten()!;
          const result = await loadOn(context, target, "put", [
            "--prefix",
            name.startsWith("1 ") ? "one/" : "many/",
            "--keys",
            "100000",
            ...flags,
          ]);
          execFileSync("sync");
          values.add(
            name,
            who.name,
            ((sectorsWritten()! - before) * 512) / (result.operations * PAYLOAD_BYTES),
          );
        }
      });
    }
    return values;
  },
};

const IDLE_WATCHERS = 20_000;

const WATCHERS: ProcessRow = {
  id: "P14",
  what: `memory of an idle watcher, of ${IDLE_WATCHERS} on keys of their own`,
  etcdOnly: true,
  figures: [
    {
      name: "bytes a watcher",
      unit: "B",
      better: "lower",
      demands: { gate: { ratio: 1 }, target: { ratio: 0.35 }, stretch: { value: 150 } },
    },
  ],
  run: async (context) => {
    const values = new Values();
    for (const who of all(context.options).filter((one) => one.kind === "holdfast" || one.kind === "etcd")) {
      context.say(`opening ${IDLE_WATCHERS} watchers: ${who.name}`);
      await withOne(context, who, async (cluster) => {
        cluster.startMember(0);
        await cluster.ready();
        // The first thousand pay for streams and pools.
        const watchers = await IdleWatchers.open(cluster);
        await watchers.add(1000);
        await pause(1000);
        const before = residentBytes(cluster);
        await watchers.add(IDLE_WATCHERS);
        await pause(2000);
        values.add("bytes a watcher", who.name, (residentBytes(cluster) - before) / IDLE_WATCHERS);
        await watchers.close();
      });
    }
    return values;
  },
};

/** Watchers on keys that nobody writes, on ten streams. */
class IdleWatchers {
  readonly #rpc: Rpc;
  readonly #streams: RpcStream[] = [];
  #asked = 0;
  #created = 0;
  #failure: string | undefined;

  private constructor(rpc: Rpc) {
    this.#rpc = rpc;
    for (let i = 0; i < 10; i++) {
      this.#streams.push(
        rpc.stream(i, METHOD.watch, {
          onMessage: (bytes, start, end) => {
            if (readWatchResponse(bytes, start, end, () => {}).created) this.#created++;
          },
          onEnd: (text) => (this.#failure = text),
        }),
      );
    }
  }

  static async open(cluster: Cluster): Promise<IdleWatchers> {
    const endpoints = [cluster.endpoints[0]!];
    return new IdleWatchers(
      await openRpc({ endpoints, connectionCount: 10, slotCount: 1, tls: cluster.tls, user: undefined }),
    );
  }

  async add(count: number): Promise<void> {
    const message = new ByteWriter();
    for (let i = 0; i < count; i++) {
      message.reset();
      const key = encodeUtf8(`idle/${String(this.#asked).padStart(10, "0")}`);
      encode(WatchRequest, { create_request: { key } }, message);
      this.#streams[this.#asked++ % this.#streams.length]!.send(message);
    }
    for (let waitedMs = 0; this.#created < this.#asked; waitedMs += 20) {
      if (this.#failure !== undefined) throw new Error(`a watch ended: ${this.#failure}`);
      if (waitedMs > 30_000) throw new Error(`${this.#created} of ${this.#asked} watchers after 30 s`);
      await pause(20);
    }
  }

  async close(): Promise<void> {
    this.#failure = "closed";
    await this.#rpc.close();
  }
}

/** etcd's own client puts the load: 8,000 or 15,000 put/s for 60 s. 1 is a pass. */
const CHECK_PERF: ProcessRow = {
  id: "P26",
  what: "etcdctl check perf --load=l and xl (1 is a pass)",
  etcdOnly: true,
  figures: [
    { name: "l", unit: "", better: "higher", demands: { gate: { value: 1 } } },
    { name: "xl", unit: "", better: "higher", demands: { target: { value: 1 } } },
  ],
  run: async (context) => {
    const values = new Values();
    const etcdctl = findEtcdctl();
    for (const who of all(context.options).filter((one) => one.kind === "holdfast" || one.kind === "etcd")) {
      for (const load of ["l", "xl"]) {
        context.say(`etcdctl check perf --load=${load}: ${who.name}`);
        await withOne(context, who, async (cluster) => {
          cluster.startMember(0);
          await cluster.ready();
          const { passed, words } = await checkPerf(etcdctl, cluster.endpoints[0]!, load);
          values.add(load, who.name, passed ? 1 : 0);
          context.notes.push(`${who.name} ${load}: ${words}`);
        });
      }
    }
    return values;
  },
};

async function checkPerf(
  etcdctl: string,
  endpoint: string,
  load: string,
): Promise<{ passed: boolean; words: string }> {
  const output = await new Promise<string>((resolve) => {
    const args = ["--endpoints", endpoint, "check", "perf", `--load=${load}`];
    execFile(
      etcdctl,
      args,
      { timeout: 120_000, env: { ...process.env, ETCDCTL_API: "3" } },
      (_error, out, err) => resolve(`${out}\n${err}`),
    );
  });
  const verdicts = output.split(/[\r\n]/).filter((line) => /^(?:PASS|FAIL)/.test(line));
  return { passed: verdicts.at(-1) === "PASS", words: verdicts.join("; ") || "no verdict" };
}

export const PROCESS_ROWS: readonly ProcessRow[] = [MASS, START, WRITTEN, CHECK_PERF, WATCHERS, IDLE];
