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

/**
 * The chance that the two samples differ by this much in rank by luck alone: a permutation test on the difference
 * of medians (exact tables are not worth their code at these sizes).
 */
export function permutationP(left: readonly number[], right: readonly number[], prng: Prng): number {
  const all = [...left, ...right];
  const seen = Math.abs(mean(left) - mean(right));
  let atLeast = 0;
  for (let i = 0; i < RESAMPLES; i++) {
    shuffle(all, prng);
    const gap = Math.abs(mean(all.slice(0, left.length)) - mean(all.slice(left.length)));
    if (gap >= seen * (1 - 1e-12)) atLeast++;
  }
  return (atLeast + 1) / (RESAMPLES + 1);
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
