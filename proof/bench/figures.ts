// A figure of a comparison: what we and each rival had in every round, and which level of goals.md that meets.

import type { Prng } from "../../core/base/prng.ts";
import { type Estimate, median, quantileOf, ratioOfMedians } from "./statistics.ts";

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
  /** Of the ratio, 95 %; null when one side has one sample, which tells nothing of its spread. */
  readonly interval: readonly [number, number] | null;
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
  const estimates = new Map(
    [...rounds.rivals].map(([rival, theirs]) => [
      rival,
      { value: median(theirs), ratio: ratioOfMedians(rounds.ours, theirs, prng) },
    ]),
  );
  return resultOf(plan, rounds, { ours: median(rounds.ours), rivals: estimates });
}

/** One run in parts, such as its slices, and the figure as a statistic of any draw of them. */
export interface Parts<T> {
  readonly ours: readonly T[];
  readonly rivals: ReadonlyMap<string, readonly T[]>;
  readonly statistic: (drawn: readonly T[]) => number;
}

/** Enough for the first digit of an interval: a draw may merge some dozen histograms. */
const PART_RESAMPLES = 300;

/** A figure of a whole run, such as its slowest operation: the interval comes from drawing its parts again. */
export function partsResult<T>(plan: FigurePlan, parts: Parts<T>, prng: Prng): FigureResult {
  const { statistic } = parts;
  const ofEach = (those: readonly T[]): number[] => those.map((part) => statistic([part]));
  const draws = (those: readonly T[]): number[] =>
    Array.from({ length: PART_RESAMPLES }, () =>
      statistic(those.map(() => those[prng.below(those.length)]!)),
    );
  const ours = { value: statistic(parts.ours), draws: draws(parts.ours) };
  const rivals = new Map(
    [...parts.rivals].map(([rival, those]) => {
      const theirs = { value: statistic(those), draws: draws(those) };
      const ratios = ours.draws.map((value, i) => value / theirs.draws[i]!).filter(Number.isFinite);
      const value = ours.value === 0 && theirs.value === 0 ? 1 : ours.value / theirs.value;
      const ratio = { value, low: quantileOf(ratios, 0.025), high: quantileOf(ratios, 0.975) };
      return [rival, { value: theirs.value, ratio }];
    }),
  );
  const rounds = {
    ours: ofEach(parts.ours),
    rivals: new Map([...parts.rivals].map(([rival, those]) => [rival, ofEach(those)])),
  };
  return resultOf(plan, rounds, { ours: ours.value, rivals });
}

interface Found {
  readonly ours: number;
  readonly rivals: ReadonlyMap<string, { readonly value: number; readonly ratio: Estimate }>;
}

function resultOf(plan: FigurePlan, rounds: Rounds, found: Found): FigureResult {
  const { ours } = found;
  const against: Against[] = [...found.rivals].map(([rival, { value, ratio }]) => {
    const demands = plan.perRival?.[rival] ?? plan.demands;
    const samples = Math.min(rounds.ours.length, rounds.rivals.get(rival)?.length ?? 0);
    const known = samples > 1 && Number.isFinite(ratio.low) && Number.isFinite(ratio.high);
    return {
      rival,
      value: tidy(value),
      ratio: tidy(ratio.value),
      interval: known ? [tidy(ratio.low), tidy(ratio.high)] : null,
      met: levelMet(plan, demands, { ours, ratio: ratio.value }),
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
