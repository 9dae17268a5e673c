// What a failure test found, as data and as text.

import type { Gap, History, Operation } from "./history.ts";

export interface TimelineItem {
  readonly atSeconds: number;
  readonly fault: string;
  readonly victim: string;
  readonly wasLeader: boolean;
  readonly seconds: number;
  /** From the end of the fault to the next acknowledged write; undefined when there was none. */
  readonly recoveredMs: number | undefined;
  /** The longest time without an acknowledged write that began during the fault or its recovery. */
  longestGapMs: number;
  readonly note: string;
}

export interface FailureResult {
  readonly exec: string;
  readonly members: number;
  readonly seed: number;
  /** Ended early by the user. */
  readonly isInterrupted: boolean;
  readonly seconds: number;
  readonly network: string;
  /** The kinds of faults that can be made here. */
  readonly kinds: readonly string[];
  readonly timeline: readonly TimelineItem[];
  /** Times without any acknowledged write of at least `atLeastMs`: how many, and their sum. */
  readonly gapCdf: readonly GapRow[];
  /** Quantiles of the time that passes, at a random instant, until a write is acknowledged: what a user waits. */
  readonly waitMs: Readonly<Record<string, number>>;
  readonly longestGaps: readonly { readonly atSeconds: number; readonly lengthMs: number }[];
  readonly clients: readonly ClientRow[];
  readonly operations: number;
  readonly acknowledgedWrites: number;
  readonly unknownWrites: number;
  readonly checkedEvents: number;
  readonly leases: {
    readonly kept: number;
    readonly ended: number;
    readonly latestMs: number;
  };
  readonly hashes: readonly string[];
  /** What was not done or not checked here, and why. */
  readonly leftOut: readonly string[];
  readonly violations: readonly string[];
  readonly directory: string;
  readonly resultFile: string;
}

export interface GapRow {
  readonly atLeastMs: number;
  readonly count: number;
  readonly sumMs: number;
}

export interface ClientRow {
  readonly program: string;
  readonly clients: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly unknown: number;
}

const GAP_BOUNDS_MS = [50, 100, 250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000];
const QUANTILES = [0.5, 0.9, 0.99, 0.999, 1];

export function gapCdf(gaps: readonly Gap[]): GapRow[] {
  return GAP_BOUNDS_MS.map((atLeastMs) => {
    const long = gaps.filter((gap) => gap.lengthMs >= atLeastMs);
    const sumMs = Math.round(long.reduce((sum, gap) => sum + gap.lengthMs, 0));
    return { atLeastMs, count: long.length, sumMs };
  }).filter((row) => row.count > 0);
}

/** At an instant within a gap of length g the wait left is equally distributed over 0..g. */
export function waitQuantiles(gaps: readonly Gap[]): Record<string, number> {
  const lengths = gaps.map((gap) => gap.lengthMs);
  const totalMs = lengths.reduce((sum, it) => sum + it, 0);
  const longestMs = lengths.reduce((most, it) => Math.max(most, it), 0);
  const quantile = (q: number): number => {
    let [low, high] = [0, longestMs];
    while (high - low > 0.5) {
      const middle = (low + high) / 2;
      const longerMs = lengths.reduce((sum, it) => sum + Math.max(0, it - middle), 0);
      if (longerMs <= (1 - q) * totalMs) high = middle;
      else low = middle;
    }
    return Math.round(high);
  };
  return Object.fromEntries(QUANTILES.map((q) => [`p${q * 100}`, quantile(q)]));
}

export function clientRows(operations: readonly Operation[]): ClientRow[] {
  const byProgram = new Map<string, Operation[]>();
  for (const operation of operations) {
    const program = operation.client.slice(operation.client.indexOf("(") + 1, -1);
    const list = byProgram.get(program) ?? [];
    byProgram.set(program, list);
    list.push(operation);
  }
  return [...byProgram].map(([program, list]) => ({
    program,
    clients: new Set(list.map((it) => it.client)).size,
    operations: list.length,
    acknowledged: list.filter((it) => it.outcome === "ok").length,
    unknown: list.filter((it) => it.kind !== "get" && it.outcome === "unknown").length,
  }));
}

/** Each gap belongs to the fault that was there when it began. */
export function assignGaps(timeline: readonly TimelineItem[], gaps: readonly Gap[]): void {
  for (const gap of gaps) {
    const item = timeline.findLast((it) => it.atSeconds * 1000 <= gap.atMs + gap.lengthMs);
    if (item !== undefined) item.longestGapMs = Math.max(item.longestGapMs, Math.round(gap.lengthMs));
  }
}

export function writesOf(history: History): Operation[] {
  return history.operations.filter((it) => it.kind !== "get");
}

export function report(result: FailureResult): string {
  return [
    `${result.exec}, ${result.members} members, ${result.seconds} s${result.isInterrupted ? " (interrupted)" : ""}, seed ${result.seed}: ${result.timeline.length} faults, network: ${result.network}`,
    ...result.timeline.map(timelineLine),
    ...gapLines(result),
    ...checkedLines(result),
    ...result.leftOut.map((text) => `left out: ${text}`),
    ...result.violations.map((text) => `VIOLATION: ${text}`),
    result.violations.length === 0
      ? "no violation"
      : `${result.violations.length} violations; data and logs in ${result.directory}`,
    `result in ${result.resultFile}`,
    "",
  ].join("\n");
}

function timelineLine(item: TimelineItem): string {
  const { atSeconds, fault, victim, wasLeader, seconds, longestGapMs, recoveredMs, note } = item;
  const who = `${victim}${wasLeader && victim !== "all" ? " (leader)" : ""}`;
  const served = recoveredMs === undefined ? "NOT SERVED AGAIN" : `served again after ${recoveredMs} ms`;
  const more = note === "" ? "" : `; ${note}`;
  return (
    `${atSeconds.toFixed(1).padStart(8)} s  ${`${fault}, ${who}`.padEnd(54)} ${seconds.toFixed(1).padStart(4)} s; ` +
    `longest gap ${longestGapMs} ms, ${served}${more}`
  );
}

function gapLines({ gapCdf: rows, waitMs, longestGaps }: FailureResult): string[] {
  const waits = Object.entries(waitMs).map(([name, ms]) => `${name} ${ms} ms`);
  return [
    "times without an acknowledged put, of any client:",
    ...rows.map(
      ({ atLeastMs, count, sumMs }) =>
        `  >= ${String(atLeastMs).padStart(5)} ms  ${String(count).padStart(4)}  ${(sumMs / 1000).toFixed(1).padStart(6)} s in sum`,
    ),
    `  the longest: ${longestGaps.map((gap) => `${gap.lengthMs} ms at ${gap.atSeconds} s`).join(", ")}`,
    `  from any instant to the next acknowledged put: ${waits.join(", ")}`,
  ];
}

function checkedLines(result: FailureResult): string[] {
  const { leases } = result;
  return [
    `checked: ${result.operations} operations (${result.acknowledgedWrites} acknowledged writes, ${result.unknownWrites} of unknown outcome), ` +
      `${result.checkedEvents} watch events, hashes ${result.hashes.join(", ")}`,
    `leases: ${leases.kept} times there while renewed, ${leases.ended} ended after their TTL, the latest ${leases.latestMs} ms after it`,
    ...result.clients.map(
      (row) =>
        `${row.clients} x ${row.program}: ${row.operations} operations, ${row.acknowledged} acknowledged, ${row.unknown} writes of unknown outcome`,
    ),
  ];
}
