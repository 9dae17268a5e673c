// `holdfast bench growth --of keys`: how the cost of an operation grows with something, as an exponent with its
// interval, and whether that is faster than it should be. (Big-O, measured.)

import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { METHOD } from "../../core/wire/service.ts";
import { Control } from "./control.ts";
import { findInstalled, launch } from "./launch.ts";
import {
  assertWritable,
  ENDPOINT_FLAGS,
  parseFlags,
  parseRun,
  type RunOptions,
  runDirectory,
  UsageError,
} from "./options.ts";
import { prefixEnd } from "./range-workload.ts";
import type { LineData, Page } from "./report/sections.ts";
import type { RunResult } from "./result.ts";
import { openRpc } from "./rpc-client.ts";
import { type RunHooks, runOnce } from "./run.ts";
import { type Estimate, fitExponent } from "./statistics.ts";
import { formatBytes, formatCount, formatDuration, parseCount, threeDigits } from "./units.ts";

export const GROWTHS = ["keys", "watchers", "leases", "value-size", "clients"] as const;
export type GrowthOf = (typeof GROWTHS)[number];

interface Plan {
  readonly steps: readonly number[];
  readonly workload: "put" | "range" | "watch-latency" | "lease-keepalive";
  readonly flags: (n: number) => readonly string[];
  /** The exponent that is right for the algorithm; logarithms show as a little above 0. */
  readonly expected: number;
  readonly cost: "server CPU" | "latency";
  readonly why: string;
}

const PLANS: Readonly<Record<GrowthOf, Plan>> = {
  keys: {
    steps: [1000, 4000, 16_000, 64_000, 256_000],
    workload: "put",
    flags: (n) => [
      "--preload",
      "--keys",
      String(n),
      "--order",
      "uniform",
      "--clients",
      "100",
      "--conns",
      "10",
    ],
    expected: 0.15,
    cost: "server CPU",
    why: "an index is logarithmic: ten times the keys cost a fifth more",
  },
  watchers: {
    steps: [10, 30, 100, 300, 1000],
    workload: "watch-latency",
    flags: (n) => ["--watchers", String(n), "--one-key", "--conns", "10"],
    expected: 1,
    cost: "server CPU",
    why: "every watcher gets its event",
  },
  leases: {
    steps: [100, 1000, 4000, 16_000],
    workload: "lease-keepalive",
    flags: (n) => ["--leases", String(n), "--clients", "10"],
    expected: 0.15,
    cost: "server CPU",
    why: "a keep-alive touches one lease",
  },
  "value-size": {
    steps: [64, 256, 1024, 4096, 16_384, 65_536],
    workload: "put",
    flags: (n) => ["--val-size", String(n), "--keys", "1000", "--clients", "10"],
    expected: 1,
    cost: "server CPU",
    why: "bytes are copied and written",
  },
  clients: {
    steps: [1, 4, 16, 64, 256, 1000],
    workload: "put",
    flags: (n) => [
      "--clients",
      String(n),
      "--conns",
      String(Math.max(1, Math.ceil(n / 10))),
      "--keys",
      "100000",
    ],
    expected: 1,
    cost: "latency",
    why: "in a closed loop latency is clients over throughput once the store is busy",
  },
};

/** An interval must lie this much above the expected exponent before it is called too fast: short ladders are noisy. */
const SLACK = 0.1;

export interface Growth {
  readonly format: 1;
  readonly kind: "growth";
  readonly of: GrowthOf;
  /** What was started for it; absent for a store that ran. */
  readonly store?: string;
  readonly cost: string;
  readonly exponent: Estimate;
  readonly expected: number;
  readonly tooFast: boolean;
  readonly points: readonly {
    readonly n: number;
    readonly costUs: number;
    readonly rate: number;
    readonly p99Us: number;
    readonly residentBytes: number;
    /** An operation's; null: the store is on another machine, or of a kind that cannot be looked into. */
    readonly allocatedBytes: number | null;
    /** Null: the store does not say. */
    readonly gcShare: number | null;
  }[];
}

type Started = "holdfast" | "etcd";

export interface GrowthOptions {
  readonly of: GrowthOf;
  readonly steps: readonly number[];
  readonly flags: readonly string[];
  /** A fresh store for each step, one kind after the other; empty: one that runs, whose keys of a step are deleted after it. */
  readonly starts: readonly Started[];
  readonly directory: string;
  readonly allocations: boolean;
  readonly json: boolean;
  readonly reportFile: string | undefined;
  readonly saveFile: string | undefined;
  readonly quiet: boolean;
}

const text = { type: "string" } as const;
const flag = { type: "boolean" } as const;
export const GROWTH_FLAGS = {
  ...ENDPOINT_FLAGS,
  of: text,
  steps: text,
  duration: text,
  start: text,
  dir: text,
  "no-allocations": flag,
  report: text,
  save: text,
  quiet: flag,
  "write-out": { type: "string", short: "w" },
} as const;

export function parseGrowth(argv: readonly string[]): GrowthOptions {
  const values = parseFlags(argv, GROWTH_FLAGS);
  const read = (name: keyof typeof GROWTH_FLAGS): string | undefined =>
    typeof values[name] === "string" ? values[name] : undefined;
  const of = GROWTHS.find((one) => one === values["of"]);
  if (of === undefined) throw new UsageError(`--of must be one of ${GROWTHS.join(", ")}`);
  const flags = Object.keys(ENDPOINT_FLAGS).flatMap((name) =>
    typeof values[name] === "string"
      ? [`--${name}`, values[name]]
      : values[name] === true
        ? [`--${name}`]
        : [],
  );
  const starts = (read("start")?.split(",") ?? []).map((start): Started => {
    if (start === "holdfast" || start === "etcd") return start;
    throw new UsageError(`--start is ${start}: it must be holdfast, etcd or both with a comma`);
  });
  if (starts.length > 0 && read("endpoints") !== undefined)
    throw new UsageError("--start and --endpoints exclude each other");
  for (const file of [read("report"), read("save")]) if (file !== undefined) assertWritable(file);
  return {
    of,
    steps: read("steps")?.split(",").map(parseStep) ?? PLANS[of].steps,
    flags: [...flags, "--duration", read("duration") ?? "5s", "--quiet"],
    starts,
    directory: runDirectory(read("dir")),
    allocations: values["no-allocations"] !== true,
    json: read("write-out") === "json",
    reportFile: read("report"),
    saveFile: read("save"),
    quiet: values["quiet"] === true,
  };
}

function parseStep(word: string): number {
  try {
    const step = parseCount(word);
    if (Number.isInteger(step) && step > 0) return step;
  } catch {
    // Said below, with the flag's name.
  }
  throw new UsageError(`--steps has ${word}: they must be whole numbers from 1, as in 1k,4k,16k`);
}

/** One for each kind of store that is started, or the one of the store that runs. */
export async function growth(
  options: GrowthOptions,
  hooks: RunHooks,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Growth[]> {
  if (options.starts.length === 0) return [await growthOf(options, undefined, hooks, env)];
  const found: Growth[] = [];
  for (const start of options.starts) found.push(await growthOf(options, start, hooks, env));
  return found;
}

async function growthOf(
  options: GrowthOptions,
  start: Started | undefined,
  hooks: RunHooks,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Growth> {
  const plan = PLANS[options.of];
  const points: Growth["points"][number][] = [];
  let cost = plan.cost;
  for (const n of options.steps) {
    if (hooks.signal.aborted) break;
    hooks.onPhase(`${start === undefined ? "" : `${start}, `}${options.of}: ${formatCount(n)}`);
    const prefix = `growth-${n}/`;
    await withStore(options, start, async (endpointFlags) => {
      const words = [...options.flags, ...endpointFlags, "--prefix", prefix, ...plan.flags(n)];
      const run = parseRun(plan.workload, words, env);
      try {
        const result = await runOnce(run, hooks);
        if (result.operations === 0)
          throw new Error(
            `Nothing succeeded with ${n} ${options.of}: ${Object.keys(result.errorTexts)[0] ?? "no answer"}`,
          );
        // A server on another machine shows no CPU: then latency is what there is.
        if (result.servers.length === 0) cost = "latency";
        const allocatedBytes = options.allocations ? await allocatedBy(result, run, hooks) : null;
        points.push({ n, ...costsOf(result, cost), allocatedBytes });
      } finally {
        if (start === undefined) await deleteKeys(run, prefix);
      }
    });
  }
  const exponent = fitExponent(
    points.map((point) => ({ n: point.n, cost: point.costUs })),
    new Prng(1),
  );
  return {
    format: 1,
    kind: "growth",
    of: options.of,
    ...(start === undefined ? {} : { store: start }),
    cost,
    exponent,
    expected: plan.expected,
    tooFast: exponent.low > plan.expected + SLACK,
    points,
  };
}

/** Steps must not find the keys of those before them: `n` would not be what it says. */
async function withStore(
  options: GrowthOptions,
  start: Started | undefined,
  body: (endpointFlags: readonly string[]) => Promise<void>,
): Promise<void> {
  if (start === undefined) return body([]);
  const installed = findInstalled(start, undefined);
  const cluster = await launch(installed, {
    members: 1,
    directory: options.directory,
    flags: [],
    tls: undefined,
  });
  try {
    await body(["--endpoints", cluster.endpoints[0]!]);
  } finally {
    await cluster.stop();
  }
}

async function deleteKeys(run: RunOptions, prefix: string): Promise<void> {
  const { endpoints, tls, user } = run;
  const rpc = await openRpc({ endpoints, tls, user, connectionCount: 1, slotCount: 1 });
  const control = new Control(rpc, 1);
  try {
    const key = encodeUtf8(prefix);
    await control.call(METHOD.deleteRange, { key, range_end: prefixEnd(key) }, 60_000);
  } finally {
    await control.close();
  }
}

/** Long enough for thousands of operations, of which V8 samples what they allocate. */
const ALLOCATION_RUN_US = 2_000_000;

/**
 * Bytes that an operation allocates in the store. Go counts them. In a Node program a sampler runs beside a second, short
 * load, because it takes a share of the CPU that the first one measures. Null when nobody can tell.
 */
async function allocatedBy(result: RunResult, run: RunOptions, hooks: RunHooks): Promise<number | null> {
  const counted = result.servers.map((server) => server.allocatedBytes);
  if (counted.length > 0 && counted.every((bytes) => bytes !== null))
    return counted.reduce((sum, bytes) => sum + bytes, 0) / result.operations;
  const [server, ...others] = result.servers;
  if (server === undefined || others.length > 0 || hooks.signal.aborted) return null;
  const { allocatedDuring } = await import("../profile/allocations.ts");
  const short = { ...run, durationUs: ALLOCATION_RUN_US, warmupUs: 0, preload: false };
  let operations = 0;
  const bytes = await allocatedDuring(server.pid, async () => {
    operations = (await runOnce(short, hooks)).operations;
  });
  return bytes === null || operations === 0 ? null : bytes / operations;
}

function costsOf(result: RunResult, cost: string): Omit<Growth["points"][number], "n" | "allocatedBytes"> {
  const sum = (of: (server: RunResult["servers"][number]) => number): number =>
    result.servers.reduce((all, server) => all + of(server), 0);
  const cpuUs = (sum((server) => server.cpuSeconds) * 1e6) / Math.max(1, result.operations);
  return {
    costUs: cost === "latency" ? result.p50Us : cpuUs,
    rate: result.rate,
    p99Us: result.p99Us,
    residentBytes: sum((server) => server.rssBytes),
    gcShare: result.servers.some((server) => server.gcSeconds === null)
      ? null
      : sum((server) => server.gcSeconds ?? 0) / result.seconds,
  };
}

export function describeGrowth(found: Growth): string {
  const lines = [
    ...(found.store === undefined ? [] : [found.store]),
    `  ${found.of.padStart(10)} ${found.cost.padStart(12)} ${"rate".padStart(11)} ${"p99".padStart(9)} ${"resident".padStart(9)} ${"allocated".padStart(9)}  time in garbage collection`,
  ];
  for (const point of found.points) {
    lines.push(
      `  ${formatCount(point.n).padStart(10)} ${formatDuration(point.costUs).padStart(12)} ${formatCount(point.rate).padStart(9)}/s ${formatDuration(point.p99Us).padStart(9)} ${formatBytes(point.residentBytes).padStart(9)} ${allocated(point.allocatedBytes).padStart(9)}  ${point.gcShare === null ? "?" : `${threeDigits(100 * point.gcShare)} %`}`,
    );
  }
  const { exponent } = found;
  lines.push(
    `  ${found.cost} grows as ${found.of}^${threeDigits(exponent.value)} [${threeDigits(exponent.low)}, ${threeDigits(exponent.high)}]; ${threeDigits(found.expected)} is right: ${PLANS[found.of].why}`,
  );
  lines.push(found.tooFast ? "  It grows FASTER than it should" : "  It grows no faster than it should");
  return `${lines.join("\n")}\n`;
}

/** By one operation. */
function allocated(bytes: number | null): string {
  return bytes === null ? "?" : formatBytes(bytes);
}

type Point = Growth["points"][number];

/** Of one store, or of several side by side. */
export function growthPage(all: readonly Growth[]): Page {
  const first = all[0]!;
  const view = (name: string, of: (point: Point) => number | null) => ({
    name,
    lines: all.map((found): LineData => ({
      name: found.store ?? name,
      x: found.points.map((point) => point.n),
      y: found.points.map(of),
    })),
  });
  const shape = {
    kind: "lines" as const,
    note: "",
    xLabel: first.of,
    yLabel: "",
    xScale: "log" as const,
    marks: [],
    percentileAxis: false,
    points: true,
  };
  const allocated: Page["sections"] = all.every((found) =>
    found.points.every((point) => point.allocatedBytes === null),
  )
    ? []
    : [
        {
          ...shape,
          title: "Allocated by an operation",
          unit: "bytes",
          yScale: "linear",
          views: [view("allocated", (point) => point.allocatedBytes)],
        },
      ];
  return {
    title: all
      .map(
        (found) =>
          `${found.store === undefined ? "" : `${found.store}: `}${found.cost} grows as ${found.of} to the ${threeDigits(found.exponent.value)}`,
      )
      .join("; "),
    lead: [
      `interval ${all.map(({ exponent }) => `${threeDigits(exponent.low)} to ${threeDigits(exponent.high)}`).join("; ")}; ${threeDigits(first.expected)} is right: ${PLANS[first.of].why}`,
    ],
    sections: [
      {
        ...shape,
        title: "Cost of an operation",
        unit: "us",
        yScale: "log",
        views: [view(first.cost, (point) => point.costUs), view("p99 latency", (point) => point.p99Us)],
      },
      {
        ...shape,
        title: "Throughput",
        unit: "rate",
        yScale: "linear",
        views: [view("rate", (point) => point.rate)],
      },
      {
        ...shape,
        title: "Memory, resident",
        unit: "bytes",
        yScale: "linear",
        views: [view("resident", (point) => point.residentBytes)],
      },
      ...allocated,
    ],
  };
}
