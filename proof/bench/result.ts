// What a run found, as one object: printed by `-w json`, saved by `--save`, drawn by `--report`, compared by `diff`.

import * as os from "node:os";
import { type Percentiles, percentilesOf, toPairs } from "./histogram.ts";
import type { LoadResult } from "./load.ts";
import type { RunOptions } from "./options.ts";
import type { ProcessUse, Sample } from "./process-sampler.ts";
import { type Mark, type Second, spikes } from "./series.ts";
import { judge, type Verdict } from "./slo.ts";
import { formatDuration } from "./units.ts";

export interface ClientUse {
  readonly cpuSeconds: number;
  /** Of one core. */
  readonly cpuPercent: number;
  readonly loopUtilisation: number;
  readonly rssBytes: number;
}

export interface RunResult extends Percentiles {
  /** Of this object; readers refuse a newer one. */
  readonly format: 1;
  readonly workload: string;
  readonly store: string;
  readonly title: string;
  readonly rate: number;
  readonly operations: number;
  readonly errors: number;
  readonly distinctKeys: number;
  readonly seconds: number;
  readonly loop: "closed" | "open";
  readonly targetRate: number | null;
  readonly clients: number;
  readonly connections: number;
  readonly keys: number;
  readonly keySize: string;
  readonly valueSize: string;
  readonly order: string;
  readonly seed: number;
  readonly endpoints: readonly string[];
  readonly serverVersion: string;
  /** Name and version, as the server says them: "holdfast 0.1.0". */
  readonly server: string;
  readonly aborted: boolean;
  readonly errorTexts: Readonly<Record<string, number>>;
  readonly kinds: readonly (Percentiles & {
    readonly name: string;
    readonly operations: number;
    readonly errors: number;
    /** Of runs with several kinds. */
    readonly histogram?: readonly (readonly number[])[];
  })[];
  readonly extras: Readonly<Record<string, number>>;
  readonly scheduleErrorUs: { readonly p50: number; readonly p99: number; readonly max: number } | null;
  readonly waitedForSlot: number;
  readonly client: ClientUse;
  readonly servers: readonly ProcessUse[];
  /** False: the client, not the store, set these figures. */
  readonly published: boolean;
  readonly refusal: string | null;
  readonly warnings: readonly string[];
  readonly slo: Verdict | null;
  readonly worstSecondUs: number;
  readonly medianSecondUs: number;
  readonly secondsAboveTwice: number;
  readonly series: readonly Second[];
  readonly heat: readonly (readonly (readonly number[])[])[];
  readonly marks: readonly Mark[];
  readonly histogram: readonly (readonly number[])[];
  /** The part of the histogram that is errors. */
  readonly errorHistogram: readonly (readonly number[])[];
  readonly samples: readonly Sample[];
  readonly machine: Machine;
  readonly startedAt: string;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
}

export function thisMachine(): Machine {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model ?? "unknown",
    cores: cpus.length,
    memoryBytes: os.totalmem(),
    kernel: os.release(),
    node: process.version,
  };
}

export interface RunFacts {
  readonly options: RunOptions;
  readonly load: LoadResult;
  readonly distinctKeys: number;
  readonly extras: Readonly<Record<string, number>>;
  readonly serverVersion: string;
  readonly server: string;
  readonly servers: readonly ProcessUse[];
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
  readonly startedAt: Date;
}

export function resultOf(facts: RunFacts): RunResult {
  const { options, load } = facts;
  const series = load.series.seconds();
  const verdictOn = { latencies: load.latencies, errors: load.errors, seconds: load.seconds };
  const window = { windowSeconds: options.sloWindowSeconds, windowShare: options.sloWindowShare };
  const judged = judgeFigures(facts);
  return {
    format: 1,
    workload: workloadText(options),
    store: options.store,
    title: options.title ?? facts.server,
    rate: Math.round((load.operations / load.seconds) * 10) / 10,
    ...percentilesOf(load.latencies),
    operations: load.operations,
    errors: load.errors,
    distinctKeys: facts.distinctKeys,
    seconds: Math.round(load.seconds * 1000) / 1000,
    loop: options.ratePerSecond === undefined ? "closed" : "open",
    targetRate: options.ratePerSecond ?? null,
    clients: options.ratePerSecond === undefined ? options.clients : options.inFlightMax,
    connections: options.connections,
    keys: options.keys,
    keySize: options.keySizeText,
    valueSize: options.valueSizeText,
    order: options.order,
    seed: options.seed,
    endpoints: options.endpoints,
    serverVersion: facts.serverVersion,
    server: facts.server,
    aborted: load.aborted,
    errorTexts: Object.fromEntries(load.errorTexts),
    kinds: load.byKind.map((kind) => ({
      name: kind.name,
      operations: kind.latencies.count - kind.errors,
      errors: kind.errors,
      ...percentilesOf(kind.latencies),
      ...(load.byKind.length > 1 ? { histogram: toPairs(kind.latencies) } : {}),
    })),
    extras: facts.extras,
    scheduleErrorUs: scheduleErrorOf(load),
    waitedForSlot: load.waitedForSlot,
    client: {
      cpuSeconds: Math.round(load.clientCpuSeconds * 100) / 100,
      cpuPercent: Math.round((100 * load.clientCpuSeconds) / load.seconds),
      loopUtilisation: Math.round(load.loopUtilisation * 1000) / 1000,
      rssBytes: process.memoryUsage.rss(),
    },
    servers: facts.servers,
    published: judged.refusal === null || options.publishAnyway,
    refusal: judged.refusal,
    warnings: judged.warnings,
    slo:
      options.slo.length === 0
        ? null
        : judge(options.slo, verdictOn, load.series.windows(options.sloWindowSeconds), window),
    ...spikes(series),
    series,
    heat: load.series.heat(),
    marks: facts.marks,
    histogram: toPairs(load.latencies),
    errorHistogram: toPairs(load.errorLatencies),
    samples: facts.samples,
    machine: thisMachine(),
    startedAt: facts.startedAt.toISOString(),
  };
}

function scheduleErrorOf(load: LoadResult): RunResult["scheduleErrorUs"] {
  const error = load.scheduleError;
  return error.count === 0
    ? null
    : { p50: error.quantile(0.5), p99: error.quantile(0.99), max: Math.round(error.max) };
}

/** A loop that is busy for more than this share is the limit of the run. */
const LOOP_FULL_SHARE = 0.97;
/** Operations that start later than this share of the p99 latency make up the p99 themselves. */
const LATE_SHARE = 0.5;
const LATE_US_MIN = 2000;

/**
 * Whether there are figures, and whether the client made them. In an open loop that voids them: the store was not offered the load. In a closed
 * loop the rate is then a lower bound and the latencies an upper one, which is said beside them.
 */
function judgeFigures(facts: RunFacts): { refusal: string | null; warnings: string[] } {
  const { load, options } = facts;
  const warnings: string[] = [];
  if (load.aborted && load.operations + load.errors === 0)
    return { refusal: "Nothing was measured: it was ended within its warm-up", warnings };
  const full = load.loopUtilisation >= LOOP_FULL_SHARE && load.clientCpuSeconds / load.seconds >= 0.85;
  const busy = `the client's loop was busy ${(load.loopUtilisation * 100).toFixed(0)} % of the time`;
  if (options.ratePerSecond === undefined) {
    if (full) warnings.push(`${busy}: the rate is a lower bound, the latencies upper bounds`);
    return { refusal: null, warnings };
  }
  const lateUs = load.scheduleError.quantile(0.99);
  const late = lateUs > LATE_US_MIN && lateUs > LATE_SHARE * load.latencies.quantile(0.99);
  if (late) {
    const text = `operations started ${formatDuration(lateUs)} late at p99, of a p99 latency of ${formatDuration(load.latencies.quantile(0.99))}`;
    return { refusal: `The client was the bottleneck: ${text}${full ? `, and ${busy}` : ""}`, warnings };
  }
  if (full && !options.precise) return { refusal: `The client was the bottleneck: ${busy}`, warnings };
  if (load.waitedForSlot > 0)
    warnings.push(
      `all ${options.inFlightMax} slots were taken ${load.waitedForSlot} times; those operations waited in the client (their latency counts)`,
    );
  return { refusal: null, warnings };
}

export function workloadText(options: RunOptions): string {
  switch (options.workload) {
    case "range":
      return `range ${options.rangeMode}, ${options.serializable ? "serializable" : "linearizable"}`;
    case "mixed":
      return `mixed, ${Math.round(options.readShare * 100)} % reads`;
    case "txn":
      return `txn of ${options.txnPuts}`;
    case "watch-latency":
    case "watch-fanout":
      return `${options.workload}, ${options.watchers} ${options.watchers === 1 ? "watcher" : "watchers"}`;
    default:
      return options.workload;
  }
}
