// The rows of goals.md that are a load on running stores, measured in turns.

import { Prng } from "../../core/base/prng.ts";
import type { ServerTls } from "./launch.ts";
import { inTurns, loadOn, type RowContext, type Running, withAll } from "./contenders.ts";
import { type Demands, type FigurePlan, figureResult, type FigureResult } from "./figures.ts";
import type { WorkloadName } from "./options.ts";
import { type DiskProbe, probeDisk, probeLoopback } from "./probes.ts";
import type { RunResult } from "./result.ts";
import { median } from "./statistics.ts";

/** A figure and where it stands in a result. */
export interface LoadFigure extends FigurePlan {
  readonly from: (result: RunResult, limits: Limits) => number;
}

/** The physical limits, measured between the rounds. */
export interface Limits {
  readonly disk: DiskProbe;
  readonly loopbackP50Us: number;
}

export interface LoadRow {
  readonly id: string;
  readonly what: string;
  readonly members: 1 | 3;
  readonly workload: WorkloadName;
  readonly flags: readonly string[];
  readonly figures: readonly LoadFigure[];
  /** The same key space in all rounds, preloaded once; otherwise each round writes its own keys. */
  readonly sharedKeys?: boolean;
  /** Stores without etcd's API cannot take part. */
  readonly etcdOnly?: boolean;
  readonly tls?: "server" | "mutual";
  /** Said beside the figures. */
  readonly note?: string;
}

const ratio = (gate: number, target: number, stretch?: number): Demands => ({
  gate: { ratio: gate },
  target: { ratio: target },
  ...(stretch === undefined ? {} : { stretch: { ratio: stretch } }),
});

const latency = (name: "p50" | "p99" | "p99.9", demands: Demands): LoadFigure => ({
  name,
  unit: "us",
  better: "lower",
  demands,
  from: (result) => (name === "p50" ? result.p50Us : name === "p99" ? result.p99Us : result.p999Us),
});

const rate = (demands: Demands, perRival?: Record<string, Demands>): LoadFigure => ({
  name: "rate",
  unit: "/s",
  better: "higher",
  demands,
  ...(perRival ? { perRival } : {}),
  from: (result) => result.rate,
});

/**
 * (best durable write + round trips) / p50: how near the machine's limit. One round trip to one member; to three a second
 * one, to the follower, and the write is timed with as many writers at once as there are members on the disk.
 */
const efficiency = (roundTrips: number, demands: Demands): LoadFigure => ({
  name: "efficiency",
  unit: "",
  better: "higher",
  demands,
  from: (result, limits) => {
    const share = (limits.disk.bestP50Us + roundTrips * limits.loopbackP50Us) / result.p50Us;
    // Nobody beats the machine: then the probes were disturbed, and there is no figure.
    return share <= 1 ? share : Number.NaN;
  },
});

const cpuPerOperation = (demands: Demands): LoadFigure => ({
  name: "server CPU",
  unit: "us/put",
  better: "lower",
  demands,
  from: (result) =>
    result.servers.reduce((sum, one) => sum + one.cpuSeconds, 0) * (1e6 / Math.max(1, result.operations)),
});

const extra = (
  name: string,
  from: string,
  figure: { unit: string; better: "lower" | "higher"; demands: Demands },
): LoadFigure => ({
  name,
  ...figure,
  from: (result) => result.extras[from] ?? Number.NaN,
});

/** Rows P1, P4 and P9 with certificates on both sides, against the targets they have without. */
const MUTUAL = {
  members: 1,
  etcdOnly: true,
  tls: "mutual",
  note: "the half with auth is not measured: the bench compares no users and roles yet",
} as const;

export const LOAD_ROWS: readonly LoadRow[] = [
  {
    id: "P1",
    what: "put p50, 1 client, 1 member",
    members: 1,
    workload: "put",
    flags: ["--clients", "1"],
    figures: [
      latency("p50", ratio(0.8, 0.6)),
      efficiency(1, { target: { value: 0.6 }, stretch: { value: 0.75 } }),
    ],
  },
  {
    id: "P2",
    what: "put p99 and p99.9, 1 client, 1 member",
    members: 1,
    workload: "put",
    flags: ["--clients", "1"],
    figures: [
      { ...latency("p99", ratio(1, 0.7)) },
      { ...latency("p99.9", ratio(1, 0.7)) },
      {
        name: "p99 / p99 of fdatasync",
        unit: "x",
        better: "lower",
        demands: { stretch: { value: 1.5 } },
        from: (result, limits) => result.p99Us / limits.disk.fdatasyncP99Us,
      },
    ],
  },
  {
    id: "P3",
    what: "put p50, 1 client, 3 members",
    members: 3,
    workload: "put",
    flags: ["--clients", "1"],
    figures: [latency("p50", ratio(0.6, 0.35)), efficiency(2, { stretch: { value: 0.6 } })],
  },
  {
    id: "P4",
    what: "put/s, 100 clients on 10 connections, 1 member",
    members: 1,
    workload: "put",
    flags: ["--clients", "100", "--conns", "10"],
    figures: [rate(ratio(2, 3, 4), { zookeeper: ratio(1.5, 2.2) })],
  },
  {
    id: "P5",
    what: "put p50, p99, p99.9, 100 clients on 10 connections, 1 member",
    members: 1,
    workload: "put",
    flags: ["--clients", "100", "--conns", "10"],
    figures: [
      latency("p50", ratio(0.5, 0.3, 0.25)),
      latency("p99", ratio(0.5, 0.4, 0.25)),
      latency("p99.9", ratio(0.5, 0.5, 0.25)),
    ],
  },
  {
    id: "P6",
    what: "put/s and p99, 1,000 clients on 100 connections, 1 member",
    members: 1,
    workload: "put",
    flags: ["--clients", "1000", "--conns", "100"],
    figures: [rate(ratio(2, 3, 4), { zookeeper: ratio(2, 2.3, 4) }), latency("p99", ratio(0.6, 0.4))],
  },
  {
    id: "P7",
    what: "put/s, 100 clients on 10 connections, 3 members",
    members: 3,
    workload: "put",
    flags: ["--clients", "100", "--conns", "10"],
    figures: [rate(ratio(1.8, 3, 5))],
  },
  {
    id: "P8",
    what: "open loop at 4,000/s, p99, 1 member",
    members: 1,
    workload: "put",
    flags: ["--rate", "4000"],
    figures: [latency("p99", { gate: { ratio: 0.5 }, target: { ratio: 0.2 }, stretch: { value: 10_000 } })],
  },
  {
    id: "P9",
    what: "linearizable get p50, 1 client, 1 member",
    members: 1,
    workload: "range",
    flags: ["--clients", "1"],
    sharedKeys: true,
    figures: [
      latency("p50", ratio(0.7, 0.45)),
      {
        name: "round trips",
        unit: "x",
        better: "lower",
        demands: { stretch: { value: 4 } },
        from: (result, limits) => result.p50Us / limits.loopbackP50Us,
      },
    ],
  },
  {
    id: "P9b",
    what: "linearizable get/s, 100 clients on 10 connections, 1 member",
    members: 1,
    workload: "range",
    flags: ["--clients", "100", "--conns", "10"],
    sharedKeys: true,
    figures: [rate(ratio(2, 4))],
  },
  {
    id: "P10",
    what: "linearizable get p50, 1 client, 3 members",
    members: 3,
    workload: "range",
    flags: ["--clients", "1"],
    sharedKeys: true,
    // ZooKeeper answers from the member that was asked, which may lag: no linearizable read.
    etcdOnly: true,
    figures: [latency("p50", ratio(0.7, 0.45))],
  },
  {
    id: "P10b",
    what: "linearizable get/s, 100 clients on 10 connections, 3 members",
    members: 3,
    workload: "range",
    flags: ["--clients", "100", "--conns", "10"],
    sharedKeys: true,
    etcdOnly: true,
    figures: [rate(ratio(1.5, 3))],
  },
  {
    id: "P13",
    what: "1,000 watchers on one key: last event, events/s",
    members: 1,
    workload: "watch-fanout",
    flags: ["--clients", "1", "--conns", "10", "--watchers", "1000"],
    etcdOnly: true,
    figures: [
      { ...latency("p50", ratio(0.8, 0.4)), name: "last event p50" },
      extra("events", "eventsPerSecond", {
        unit: "/s",
        better: "higher",
        demands: { target: { value: 350_000 } },
      }),
    ],
  },
  {
    id: "P16",
    what: "list of 100,000 keys (34 MB), p50",
    members: 1,
    workload: "list",
    flags: ["--keys", "100000", "--clients", "1", "--timeout", "30s"],
    sharedKeys: true,
    etcdOnly: true,
    figures: [latency("p50", ratio(0.6, 0.25))],
  },
  {
    id: "P25",
    what: "server CPU per put, 100 clients on 10 connections",
    members: 1,
    workload: "put",
    flags: ["--clients", "100", "--conns", "10"],
    figures: [
      cpuPerOperation({ gate: { ratio: 0.5 }, target: { ratio: 0.3, value: 25 }, stretch: { value: 18 } }),
    ],
  },
  {
    id: "P29",
    what: "TLS: put/s and p99, 100 clients on 10 connections, 1 member",
    members: 1,
    workload: "put",
    flags: ["--clients", "100", "--conns", "10"],
    etcdOnly: true,
    tls: "server",
    figures: [rate(ratio(2.5, 4)), latency("p99", ratio(0.5, 0.4))],
  },
  {
    id: "P29b",
    what: "mutual TLS: put p50, 1 client",
    ...MUTUAL,
    workload: "put",
    flags: ["--clients", "1"],
    figures: [latency("p50", { target: { ratio: 0.6 } })],
  },
  {
    id: "P29c",
    what: "mutual TLS: put/s, 100 clients on 10 connections",
    ...MUTUAL,
    workload: "put",
    flags: ["--clients", "100", "--conns", "10"],
    figures: [rate({ target: { ratio: 3 }, stretch: { ratio: 4 } })],
  },
  {
    id: "P29d",
    what: "mutual TLS: linearizable get p50, 1 client",
    ...MUTUAL,
    workload: "range",
    flags: ["--clients", "1"],
    sharedKeys: true,
    figures: [latency("p50", { target: { ratio: 0.45 } })],
  },
  {
    id: "P29e",
    what: "mutual TLS: linearizable get/s, 100 clients on 10 connections",
    ...MUTUAL,
    workload: "range",
    flags: ["--clients", "100", "--conns", "10"],
    sharedKeys: true,
    figures: [rate({ target: { ratio: 4 } })],
  },
];

/** The rows that share a load (P1 and P2, P4, P5 and P25) are measured together, once. */
export function loadGroups(rows: readonly LoadRow[]): LoadRow[][] {
  const groups = new Map<string, LoadRow[]>();
  for (const row of rows) {
    const load = JSON.stringify([row.members, row.workload, row.flags, row.tls ?? null]);
    groups.set(load, [...(groups.get(load) ?? []), row]);
  }
  return [...groups.values()];
}

export interface LoadGroupResult {
  readonly results: ReadonlyMap<string, readonly RunResult[]>;
  readonly limits: readonly Limits[];
}

/** Measures one load on all contenders. */
export async function runLoadGroup(
  context: RowContext,
  row: LoadRow,
  tls: ServerTls | undefined,
): Promise<LoadGroupResult> {
  const { options } = context;
  const rivals = row.etcdOnly ? options.rivals.filter((one) => one.kind === "etcd") : options.rivals;
  const limits: Limits[] = [];
  const inner = { ...context, options: { ...options, rivals } };
  const results = await withAll(
    inner,
    row.members,
    async (running) => {
      await warmUp(inner, running, row);
      return inTurns(inner, running, async (target, round) => {
        if (target === running[0]) limits.push(await measureLimits(options.directory, row.members));
        return loadOn(inner, target, row.workload, sliceFlags(inner, row, round));
      });
    },
    tls ? { tls } : {},
  );
  return { results, limits };
}

const DISK_PROBES = 200;
/** Ten of them lie beyond the p99. */
const SYNC_PROBES = 1000;
const LOOPBACK_PROBES = 500;

/** What the disk and the loopback can do, with as many members' logs on the disk. */
export async function measureLimits(directory: string, members: number): Promise<Limits> {
  const probes = { writers: members, count: DISK_PROBES, syncCount: SYNC_PROBES };
  return {
    disk: await probeDisk({ directory, ...probes }),
    loopbackP50Us: (await probeLoopback(LOOPBACK_PROBES)).p50Us,
  };
}

/** Both programs compile their hot path, caches fill, keys are loaded. */
async function warmUp(context: RowContext, running: readonly Running[], row: LoadRow): Promise<void> {
  for (const target of running) {
    context.say(`warming up ${target.contender.name}`);
    const flags = row.sharedKeys
      ? ["--prefix", "shared/", "--preload"]
      : ["--prefix", "warm/", "--keys", "1000000", "--no-preload"];
    await loadOn(context, target, row.workload, [
      ...flags,
      ...row.flags,
      "--duration",
      "2s",
      "--warmup",
      "0s",
    ]);
  }
}

function sliceFlags(context: RowContext, row: LoadRow, round: number): string[] {
  const keys = row.sharedKeys
    ? ["--prefix", "shared/", "--no-preload"]
    : ["--prefix", `r${round}/`, "--keys", "1000000", "--no-preload"];
  // Flags of the row come last, so that they win.
  return [...keys, "--duration", `${context.options.sliceSeconds}s`, "--warmup", "300ms", ...row.flags];
}

/** The figures of one row of the group. */
export function loadFigures(context: RowContext, row: LoadRow, group: LoadGroupResult): FigureResult[] {
  const prng = new Prng(context.options.seed);
  // A limit is what the machine can do: the best of all rounds, so that a disturbed probe flatters nobody.
  const least = (values: number[]): number => Math.min(...values);
  const limits: Limits = {
    disk: {
      fdatasyncP50Us: least(group.limits.map((one) => one.disk.fdatasyncP50Us)),
      // Not the best: the tail that it stands beside comes from all rounds, too.
      fdatasyncP99Us: median(group.limits.map((one) => one.disk.fdatasyncP99Us)),
      bestP50Us: least(group.limits.map((one) => one.disk.bestP50Us)),
      bestP99Us: least(group.limits.map((one) => one.disk.bestP99Us)),
      bestWay: group.limits[0]?.disk.bestWay ?? "",
    },
    loopbackP50Us: least(group.limits.map((one) => one.loopbackP50Us)),
  };
  const ours = group.results.get(context.options.ours.name) ?? [];
  return row.figures.map((figure) => {
    const values = (results: readonly RunResult[]): number[] =>
      results.map((result) => figure.from(result, limits));
    const rivals = new Map(
      [...group.results]
        .filter(([name]) => name !== context.options.ours.name)
        .map(([name, results]) => [name, values(results)]),
    );
    return figureResult(figure, { ours: values(ours), rivals }, prng);
  });
}
