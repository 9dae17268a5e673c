// A figure of a comparison: what we and each rival had in every round, and which level of goals.md that meets.

import type { Prng } from "../../core/base/prng.ts";
import { median, ratioOfMedians } from "./statistics.ts";

export type Level = "gate" | "target" | "stretch";
const LEVELS: readonly Level[] = ["gate", "target", "stretch"];

/** What a level asks of a figure: a ratio to the rival, a value of our own, or both. */
export interface Bound {
  readonly ratio?: number;
  readonly value?: number;
}

/** A level that is left out asks for nothing. */
export type Demands = { readonly [L in Level]?: Bound };

export interface FigurePlan {
  readonly name: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  /** Against any rival that is not named. */
  readonly demands: Demands;
  /** Against one rival only, as "2x etcd, 1.5x ZooKeeper". */
  readonly perRival?: { readonly [rival: string]: Demands };
}

export interface Against {
  readonly rival: string;
  readonly value: number;
  readonly ratio: number;
  /** Of the ratio, 95 %. */
  readonly interval: readonly [number, number];
  readonly met: Level | null;
}

export interface FigureResult {
  readonly name: string;
  readonly unit: string;
  readonly better: "lower" | "higher";
  readonly ours: number;
  readonly oursRounds: readonly number[];
  readonly rivalRounds: { readonly [rival: string]: readonly number[] };
  readonly against: readonly Against[];
  readonly met: Level | null;
}

export interface Rounds {
  readonly ours: readonly number[];
  readonly rivals: ReadonlyMap<string, readonly number[]>;
}

export function figureResult(plan: FigurePlan, rounds: Rounds, prng: Prng): FigureResult {
  const ours = median(rounds.ours);
  const against: Against[] = [...rounds.rivals].map(([rival, theirs]) => {
    const estimate = ratioOfMedians(rounds.ours, theirs, prng);
    const demands = plan.perRival?.[rival] ?? plan.demands;
    return {
      rival,
      value: tidy(median(theirs)),
      ratio: tidy(estimate.value),
      interval: [tidy(estimate.low), tidy(estimate.high)],
      met: levelMet(plan, demands, { ours, ratio: estimate.value }),
    };
  });
  const alone = levelMet(plan, plan.demands, { ours, ratio: undefined });
  return {
    name: plan.name,
    unit: plan.unit,
    better: plan.better,
    ours: tidy(ours),
    oursRounds: rounds.ours.map(tidy),
    rivalRounds: Object.fromEntries([...rounds.rivals].map(([rival, values]) => [rival, values.map(tidy)])),
    against,
    // Nothing measured meets nothing, also where nothing is asked.
    met: !Number.isFinite(ours) ? null : against.length === 0 ? alone : lowest(against.map((one) => one.met)),
  };
}

/** The highest level whose demands, and those of all levels below it, are met. */
function levelMet(
  plan: FigurePlan,
  demands: Demands,
  found: { ours: number; ratio: number | undefined },
): Level | null {
  let met: Level | null = null;
  for (const level of LEVELS) {
    const bound = demands[level];
    if (bound === undefined) {
      // Nothing is asked of this figure at this level: it does not hold the row back.
      met = level;
      continue;
    }
    if (bound.value !== undefined && !within(plan, found.ours, bound.value)) break;
    if (bound.ratio !== undefined && (found.ratio === undefined || !within(plan, found.ratio, bound.ratio)))
      break;
    met = level;
  }
  return met;
}

function within(plan: FigurePlan, value: number, bound: number): boolean {
  if (!Number.isFinite(value)) return false;
  return plan.better === "lower" ? value <= bound : value >= bound;
}

export function lowest(levels: readonly (Level | null)[]): Level | null {
  let least = LEVELS.length;
  for (const level of levels) least = Math.min(least, level === null ? -1 : LEVELS.indexOf(level));
  return least < 0 || least === LEVELS.length ? null : LEVELS[least]!;
}

export interface RowResult {
  readonly row: string;
  readonly what: string;
  /** The figure and rival that hold the row back. */
  readonly figure: string;
  readonly unit: string;
  readonly ours: number | null;
  readonly rival: number | null;
  readonly rivalName: string | null;
  readonly ratio: number | null;
  readonly interval: readonly [number, number] | null;
  readonly met: Level | null;
  readonly figures: readonly FigureResult[];
  readonly notes: readonly string[];
  /** The command that measures this row again. */
  readonly command: string;
  readonly seconds: number;
}

export interface RowFrame {
  readonly row: string;
  readonly what: string;
  readonly command: string;
  readonly seconds: number;
  readonly notes: readonly string[];
}

export function rowResult(frame: RowFrame, figures: readonly FigureResult[]): RowResult {
  const met = lowest(figures.map((figure) => figure.met));
  const holding = figures.find((figure) => figure.met === met);
  const rival = holding?.against.find((one) => one.met === met) ?? holding?.against[0];
  return {
    row: frame.row,
    what: frame.what,
    figure: holding?.name ?? "",
    unit: holding?.unit ?? "",
    ours: holding?.ours ?? null,
    rival: rival?.value ?? null,
    rivalName: rival?.rival ?? null,
    ratio: rival?.ratio ?? null,
    interval: rival?.interval ?? null,
    met,
    figures,
    notes: frame.notes,
    command: frame.command,
    seconds: Math.round(frame.seconds),
  };
}

/** Four digits: no figure here is known better. */
export function tidy(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : value;
}
