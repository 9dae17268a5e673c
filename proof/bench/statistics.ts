// Small statistics for comparisons: medians, bootstrap intervals of a ratio, a line through points.

import type { Prng } from "../../core/base/prng.ts";

export function median(values: readonly number[]): number {
  return quantileOf(values, 0.5);
}

/** The quantile of a small sample, interpolated between neighbours; NaN when there is none. */
export function quantileOf(values: readonly number[], share: number): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(sorted.length - 1, below + 1);
  return sorted[below]! + (sorted[above]! - sorted[below]!) * (place - below);
}

/** An estimate with the interval that holds 95 of 100 resampled ones. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/** Draws per interval: enough for two digits of a 2.5 % tail. */
const RESAMPLES = 2000;

/**
 * The ratio of the medians of two samples, with a percentile-bootstrap interval. The samples are rounds of the same
 * length taken in turns, and each is resampled on its own: with five rounds a paired resample has too few distinct draws.
 */
export function ratioOfMedians(ours: readonly number[], theirs: readonly number[], prng: Prng): Estimate {
  const ratios: number[] = [];
  for (let i = 0; i < RESAMPLES; i++) {
    const ratio = ratioOf(median(resample(ours, prng)), median(resample(theirs, prng)));
    if (Number.isFinite(ratio)) ratios.push(ratio);
  }
  return {
    value: ratioOf(median(ours), median(theirs)),
    low: quantileOf(ratios, 0.025),
    high: quantileOf(ratios, 0.975),
  };
}

/** Nothing against nothing is a tie. */
function ratioOf(ours: number, theirs: number): number {
  return ours === 0 && theirs === 0 ? 1 : ours / theirs;
}

function resample(values: readonly number[], prng: Prng): number[] {
  return values.map(() => values[prng.below(values.length)]!);
}

/** Divisions of all values into two sides that are looked at one by one; more of them are drawn. */
const DIVISIONS_MAX = 20_000;

/**
 * The chance that the means of two samples differ by this much by luck alone: a permutation test, exact for as many values
 * as a comparison of a few rounds has, so that its smallest answer is not the number of draws.
 */
export function permutationP(left: readonly number[], right: readonly number[], prng: Prng): number {
  const all = [...left, ...right];
  const total = all.reduce((sum, value) => sum + value, 0);
  const gapOf = (sum: number): number => Math.abs(sum / left.length - (total - sum) / right.length);
  const seen = gapOf(left.reduce((sum, value) => sum + value, 0)) * (1 - 1e-12);
  if (divisions(all.length, left.length) <= DIVISIONS_MAX) {
    let count = 0;
    let atLeast = 0;
    forEachSum(all, left.length, (sum) => {
      count++;
      if (gapOf(sum) >= seen) atLeast++;
    });
    return atLeast / count;
  }
  let atLeast = 0;
  for (let i = 0; i < DIVISIONS_MAX; i++) {
    shuffle(all, prng);
    let sum = 0;
    for (let j = 0; j < left.length; j++) sum += all[j]!;
    if (gapOf(sum) >= seen) atLeast++;
  }
  return (atLeast + 1) / (DIVISIONS_MAX + 1);
}

/** Ways to choose so many of all. */
export function divisions(count: number, chosen: number): number {
  let ways = 1;
  for (let i = 1; i <= Math.min(chosen, count - chosen) && ways <= 1e12; i++)
    ways = (ways * (count - i + 1)) / i;
  return Math.round(ways);
}

/** Calls with the sum of every choice of `chosen` values. */
function forEachSum(values: readonly number[], chosen: number, visit: (sum: number) => void): void {
  const choose = (from: number, left: number, sum: number): void => {
    if (left === 0) return visit(sum);
    for (let i = from; i <= values.length - left; i++) choose(i + 1, left - 1, sum + values[i]!);
  };
  choose(0, chosen, 0);
}

/**
 * Holm's correction: of many comparisons some differ by luck. Each value is what its test says when all of them are taken
 * together; as many false alarms as one test has remain for all. In the order given.
 */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, i) => i).sort((a, b) => ps[a]! - ps[b]!);
  const adjusted = ps.map(() => 1);
  let least = 0;
  for (const [rank, i] of order.entries()) {
    least = Math.max(least, Math.min(1, ps[i]! * (ps.length - rank)));
    adjusted[i] = least;
  }
  return adjusted;
}

export function mean(values: readonly number[]): number {
  let sum = 0;
  for (const value of values) sum += value;
  return values.length === 0 ? Number.NaN : sum / values.length;
}

export function shuffle<T>(items: T[], prng: Prng): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    const kept = items[i]!;
    items[i] = items[j]!;
    items[j] = kept;
  }
}

/** The exponent k of cost ~ n^k through the points (a line in log-log), with a bootstrap interval over the points. */
export function fitExponent(points: readonly { n: number; cost: number }[], prng: Prng): Estimate {
  const usable = points.filter((point) => point.n > 0 && point.cost > 0);
  const slopes: number[] = [];
  for (let i = 0; i < RESAMPLES; i++) {
    const drawn = usable.map(() => usable[prng.below(usable.length)]!);
    const slope = slopeOf(drawn);
    if (Number.isFinite(slope)) slopes.push(slope);
  }
  return { value: slopeOf(usable), low: quantileOf(slopes, 0.025), high: quantileOf(slopes, 0.975) };
}

function slopeOf(points: readonly { n: number; cost: number }[]): number {
  const xs = points.map((point) => Math.log(point.n));
  const ys = points.map((point) => Math.log(point.cost));
  const xMean = mean(xs);
  const yMean = mean(ys);
  let above = 0;
  let below = 0;
  for (let i = 0; i < xs.length; i++) {
    above += (xs[i]! - xMean) * (ys[i]! - yMean);
    below += (xs[i]! - xMean) ** 2;
  }
  return below === 0 ? Number.NaN : above / below;
}
