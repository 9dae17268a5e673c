// Objectives and verdicts: `p99<20ms,p99.9<50ms,errors<0.01%`, judged for the whole run and for each window of time,
// because a run that is good on average may have been unusable for a minute.

import { formatDuration, parseDurationUs } from "./units.ts";
import type { Histogram } from "./histogram.ts";

export type Objective =
  | { readonly kind: "quantile"; readonly text: string; readonly share: number; readonly boundUs: number }
  | { readonly kind: "mean"; readonly text: string; readonly boundUs: number }
  | { readonly kind: "errors"; readonly text: string; readonly boundShare: number }
  | { readonly kind: "rate"; readonly text: string; readonly boundRate: number };

/** Parses a list of objectives; throws with the text to show. */
export function parseSlo(text: string): Objective[] {
  return text
    .split(",")
    .filter((part) => part.trim() !== "")
    .map((part) => parseObjective(part.trim()));
}

function parseObjective(text: string): Objective {
  const rate = /^rate>=?(\d+(?:\.\d+)?)(k?)$/.exec(text);
  if (rate) return { kind: "rate", text, boundRate: Number(rate[1]) * (rate[2] === "k" ? 1000 : 1) };
  const parts = /^([a-z]+[\d.]*)<=?(.+)$/.exec(text);
  if (!parts)
    throw new Error(
      `Objective ${text} is not of the form p99<20ms, max<1s, mean<2ms, errors<0.01% or rate>4k`,
    );
  const [, name, bound] = parts as unknown as [string, string, string];
  if (name === "errors") {
    const share = /^(\d+(?:\.\d+)?)(%?)$/.exec(bound);
    if (!share) throw new Error(`Objective ${text} needs a share of operations, as in errors<0.01%`);
    return { kind: "errors", text, boundShare: Number(share[1]) / (share[2] === "%" ? 100 : 1) };
  }
  const boundUs = parseDurationUs(bound);
  if (name === "mean") return { kind: "mean", text, boundUs };
  if (name === "max") return { kind: "quantile", text, share: 1, boundUs };
  const quantile = /^p(\d+(?:\.\d+)?)$/.exec(name);
  const percent = quantile ? Number(quantile[1]) : Number.NaN;
  if (!(percent > 0 && percent <= 100))
    throw new Error(`Objective ${text} names no percentile between p0 and p100`);
  return { kind: "quantile", text, share: percent / 100, boundUs };
}

/** What is judged: a window of time, or the run. Operations are all that ended, failed ones included. */
export interface Judged {
  readonly latencies: Histogram;
  readonly errors: number;
  readonly seconds: number;
}

export interface Measured {
  readonly objective: string;
  readonly value: string;
  readonly kept: boolean;
  /** How far beyond the bound, as a factor: 1 is on it. For "the worst window". */
  readonly excess: number;
}

export function measure(objective: Objective, judged: Judged): Measured {
  switch (objective.kind) {
    case "quantile":
      return time(objective, judged.latencies.quantile(objective.share));
    case "mean":
      return time(objective, judged.latencies.mean());
    case "errors": {
      const share = judged.latencies.count === 0 ? 0 : judged.errors / judged.latencies.count;
      const kept = share < objective.boundShare || judged.errors === 0;
      const excess = share / Math.max(objective.boundShare, 1e-9);
      return { objective: objective.text, value: `${(share * 100).toPrecision(3)} %`, kept, excess };
    }
    case "rate": {
      const rate = (judged.latencies.count - judged.errors) / judged.seconds;
      const excess = objective.boundRate / Math.max(rate, 1e-9);
      return {
        objective: objective.text,
        value: `${Math.round(rate)}/s`,
        kept: rate >= objective.boundRate,
        excess,
      };
    }
  }
}

function time(objective: { text: string; boundUs: number }, us: number): Measured {
  return {
    objective: objective.text,
    value: formatDuration(us),
    kept: us < objective.boundUs,
    excess: us / objective.boundUs,
  };
}

export interface Verdict {
  readonly kept: boolean;
  readonly objectives: readonly Measured[];
  readonly windowSeconds: number;
  readonly windows: number;
  readonly windowsKept: number;
  /** Share of windows that must keep it. */
  readonly windowShare: number;
  readonly worst:
    | { readonly atSecond: number; readonly objective: string; readonly value: string }
    | undefined;
}

export interface Window extends Judged {
  readonly startSecond: number;
}

/** Judges the run and each of its windows. Windows without an operation broke it: nothing was served. */
export function judge(
  objectives: readonly Objective[],
  whole: Judged,
  windows: readonly Window[],
  options: { readonly windowSeconds: number; readonly windowShare: number },
): Verdict {
  const measured = objectives.map((objective) => measure(objective, whole));
  let windowsKept = 0;
  let worst: (Measured & { atSecond: number }) | undefined;
  for (const window of windows) {
    const inWindow = objectives.map((objective) => measure(objective, window));
    const served = window.latencies.count > 0;
    if (served && inWindow.every((one) => one.kept)) windowsKept++;
    for (const one of inWindow) {
      const excess = served ? one.excess : Number.POSITIVE_INFINITY;
      if (!worst || excess > worst.excess)
        worst = { ...one, value: served ? one.value : "nothing", excess, atSecond: window.startSecond };
    }
  }
  const enough = windows.length === 0 || windowsKept / windows.length >= options.windowShare;
  return {
    kept: measured.every((one) => one.kept) && enough,
    objectives: measured,
    windowSeconds: options.windowSeconds,
    windows: windows.length,
    windowsKept,
    windowShare: options.windowShare,
    worst: worst && { atSecond: worst.atSecond, objective: worst.objective, value: worst.value },
  };
}
