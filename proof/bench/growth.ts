// `holdfast bench growth --of keys`: how the cost of an operation grows with something, as an exponent with its
// interval, and whether that is faster than it should be. (Big-O, measured.)

import { Prng } from "../../core/base/prng.ts";
import { ENDPOINT_FLAGS, parseFlags, parseRun, UsageError } from "./options.ts";
import type { LineData, Page } from "./report/sections.ts";
import type { RunResult } from "./result.ts";
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
    /** Null: the store does not say. */
    readonly gcShare: number | null;
  }[];
}

export interface GrowthOptions {
  readonly of: GrowthOf;
  readonly steps: readonly number[];
  readonly flags: readonly string[];
  readonly json: boolean;
  readonly reportFile: string | undefined;
  readonly quiet: boolean;
}

const text = { type: "string" } as const;

export function parseGrowth(argv: readonly string[]): GrowthOptions {
  const values = parseFlags(argv, {
    ...ENDPOINT_FLAGS,
    of: text,
    steps: text,
    duration: text,
    report: text,
    quiet: { type: "boolean" },
    "write-out": { type: "string", short: "w" },
  });
  const of = GROWTHS.find((one) => one === values["of"]);
  if (of === undefined) throw new UsageError(`--of must be one of ${GROWTHS.join(", ")}`);
  const flags = Object.keys(ENDPOINT_FLAGS).flatMap((name) =>
    typeof values[name] === "string"
      ? [`--${name}`, values[name]]
      : values[name] === true
        ? [`--${name}`]
        : [],
  );
  const duration = typeof values["duration"] === "string" ? values["duration"] : "5s";
  return {
    of,
    steps: typeof values["steps"] === "string" ? values["steps"].split(",").map(parseCount) : PLANS[of].steps,
    flags: [...flags, "--duration", duration, "--quiet"],
    json: values["write-out"] === "json",
    reportFile: typeof values["report"] === "string" ? values["report"] : undefined,
    quiet: values["quiet"] === true,
  };
}

export async function growth(
  options: GrowthOptions,
  hooks: RunHooks,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Growth> {
  const plan = PLANS[options.of];
  const points: Growth["points"][number][] = [];
  let cost = plan.cost;
  for (const n of options.steps) {
    if (hooks.signal.aborted) break;
    hooks.onPhase(`${options.of}: ${formatCount(n)}`);
    const run = parseRun(
      plan.workload,
      [...options.flags, "--prefix", `growth-${n}/`, ...plan.flags(n)],
      env,
    );
    const result = await runOnce(run, hooks);
    if (result.operations === 0)
      throw new Error(
        `Nothing succeeded with ${n} ${options.of}: ${Object.keys(result.errorTexts)[0] ?? "no answer"}`,
      );
    // A server on another machine shows no CPU: then latency is what there is.
    if (result.servers.length === 0) cost = "latency";
    points.push({ n, ...costsOf(result, cost) });
  }
  const exponent = fitExponent(
    points.map((point) => ({ n: point.n, cost: point.costUs })),
    new Prng(1),
  );
  return {
    format: 1,
    kind: "growth",
    of: options.of,
    cost,
    exponent,
    expected: plan.expected,
    tooFast: exponent.low > plan.expected + SLACK,
    points,
  };
}

function costsOf(result: RunResult, cost: string): Omit<Growth["points"][number], "n"> {
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
    `  ${found.of.padStart(10)} ${found.cost.padStart(12)} ${"rate".padStart(11)} ${"p99".padStart(9)} ${"resident".padStart(9)}  time in garbage collection`,
  ];
  for (const point of found.points) {
    lines.push(
      `  ${formatCount(point.n).padStart(10)} ${formatDuration(point.costUs).padStart(12)} ${formatCount(point.rate).padStart(9)}/s ${formatDuration(point.p99Us).padStart(9)} ${formatBytes(point.residentBytes).padStart(9)}  ${point.gcShare === null ? "?" : `${threeDigits(100 * point.gcShare)} %`}`,
    );
  }
  const { exponent } = found;
  lines.push(
    `  ${found.cost} grows as ${found.of}^${threeDigits(exponent.value)} [${threeDigits(exponent.low)}, ${threeDigits(exponent.high)}]; ${threeDigits(found.expected)} is right: ${PLANS[found.of].why}`,
  );
  lines.push(found.tooFast ? "  It grows FASTER than it should" : "  It grows no faster than it should");
  return `${lines.join("\n")}\n`;
}

export function growthPage(found: Growth): Page {
  const line = (name: string, of: (point: Growth["points"][number]) => number): LineData => ({
    name,
    x: found.points.map((point) => point.n),
    y: found.points.map(of),
  });
  const shape = {
    kind: "lines" as const,
    note: "",
    xLabel: found.of,
    yLabel: "",
    xScale: "log" as const,
    marks: [],
    percentileAxis: false,
    points: true,
  };
  return {
    title: `${found.cost} grows as ${found.of} to the ${threeDigits(found.exponent.value)}`,
    lead: [
      `interval ${threeDigits(found.exponent.low)} to ${threeDigits(found.exponent.high)}; ${threeDigits(found.expected)} is right: ${PLANS[found.of].why}`,
    ],
    sections: [
      {
        ...shape,
        title: "Cost of an operation",
        unit: "us",
        yScale: "log",
        views: [
          {
            name: "all",
            lines: [line(found.cost, (point) => point.costUs), line("p99 latency", (point) => point.p99Us)],
          },
        ],
      },
      {
        ...shape,
        title: "Throughput",
        unit: "rate",
        yScale: "linear",
        views: [{ name: "all", lines: [line("rate", (point) => point.rate)] }],
      },
      {
        ...shape,
        title: "Memory, resident",
        unit: "bytes",
        yScale: "linear",
        views: [{ name: "all", lines: [line("resident", (point) => point.residentBytes)] }],
      },
    ],
  };
}
