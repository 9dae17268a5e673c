// Latencies in an HDR histogram: buckets that are exact to a number of decimal digits over the whole range, so that
// recording costs a few instructions, memory does not grow with the run, and two histograms merge by adding.
//
//   value      0 .. 2047      2048 .. 4095     4096 .. 8191  ...
//   bucket     0              1                2
//   width      1              2                4                    (3 digits: 2048 sub-buckets, the upper half used)
//
// Worked example, 3 digits: 5000 lies in bucket 2, whose width is 4: sub-bucket 1250, so it is stored with
// 5000..5003 and reported as 5003, an error below a thousandth. After Gil Tene's HdrHistogram.

import { assert } from "../../core/base/assert.ts";

/** The longest latency that is told apart, microseconds; longer ones count as this, and `max` stays exact. */
export const LATENCY_US_MAX = 60_000_000;

export class Histogram {
  readonly digits: number;
  readonly #subBits: number;
  readonly #half: number;
  readonly #counts: Uint32Array;
  /** Values recorded. */
  count = 0;
  /** Exact sum of the recorded values, for the mean. */
  sum = 0;
  max = 0;
  min = Number.POSITIVE_INFINITY;

  constructor(digits = 3) {
    assert(digits >= 1, "a histogram keeps at least one digit");
    assert(digits <= 4, "a histogram keeps at most four digits");
    this.digits = digits;
    this.#subBits = Math.ceil(Math.log2(2 * 10 ** digits));
    this.#half = 2 ** (this.#subBits - 1);
    const buckets = Math.max(1, Math.ceil(Math.log2(LATENCY_US_MAX)) - this.#subBits + 1);
    this.#counts = new Uint32Array((buckets + 1) * this.#half);
  }

  /** Records one latency in microseconds; fractions are rounded, negative ones count as 0. */
  record(us: number): void {
    const value = us > 0 ? us : 0;
    this.count++;
    this.sum += value;
    if (value > this.max) this.max = value;
    if (value < this.min) this.min = value;
    this.#counts[this.#indexOf(value >= LATENCY_US_MAX ? LATENCY_US_MAX - 1 : (value + 0.5) | 0)]!++;
  }

  /** Records the same latency `count` times. */
  recordMany(us: number, count: number): void {
    if (count <= 0) return;
    this.record(us);
    this.#counts[this.#indexOf(Math.min(LATENCY_US_MAX - 1, Math.round(us)))]! += count - 1;
    this.count += count - 1;
    this.sum += us * (count - 1);
  }

  /** Adds everything that `other` recorded. */
  add(other: Histogram): void {
    assert(other.digits === this.digits, "histograms of different precision do not add");
    const counts = this.#counts;
    const more = other.#counts;
    for (let i = 0; i < counts.length; i++) counts[i]! += more[i]!;
    this.count += other.count;
    this.sum += other.sum;
    if (other.max > this.max) this.max = other.max;
    if (other.min < this.min) this.min = other.min;
  }

  /** The value that this share (0 to 1) of the recorded ones does not exceed: nearest rank; 0 when empty. */
  quantile(share: number): number {
    if (this.count === 0) return 0;
    // The subtraction keeps 0.999 * 1000 = 999.0000000001 from asking for the thousandth.
    const rank = Math.max(1, Math.ceil(share * this.count - 1e-6));
    if (rank >= this.count) return this.max;
    let seen = 0;
    for (let i = 0; i < this.#counts.length; i++) {
      seen += this.#counts[i]!;
      if (seen >= rank) return Math.min(this.#highestOf(i), this.max);
    }
    return this.max;
  }

  /** Values at most `us`, as a share of all; 1 when empty. */
  shareAtMost(us: number): number {
    if (this.count === 0) return 1;
    if (us >= this.max) return 1;
    const last = this.#indexOf(Math.min(LATENCY_US_MAX - 1, Math.floor(us)));
    let seen = 0;
    for (let i = 0; i <= last; i++) seen += this.#counts[i]!;
    return seen / this.count;
  }

  mean(): number {
    return this.count === 0 ? 0 : this.sum / this.count;
  }

  reset(): void {
    this.#counts.fill(0);
    this.count = 0;
    this.sum = 0;
    this.max = 0;
    this.min = Number.POSITIVE_INFINITY;
  }

  /** Calls with every bucket that is not empty: its highest value in microseconds, and how many it holds. */
  forEach(visit: (us: number, count: number) => void): void {
    for (let i = 0; i < this.#counts.length; i++) {
      const count = this.#counts[i]!;
      if (count > 0) visit(this.#highestOf(i), count);
    }
  }

  #indexOf(value: number): number {
    const bits = 32 - Math.clz32(value | (2 ** this.#subBits - 1));
    const bucket = bits - this.#subBits;
    return bucket * this.#half + (value >>> bucket);
  }

  /** The highest value that is stored at `index`. */
  #highestOf(index: number): number {
    const bucket = Math.max(0, Math.floor(index / this.#half) - 1);
    const sub = index - bucket * this.#half;
    return (sub + 1) * 2 ** bucket - 1;
  }
}

/** Histograms in result files: pairs of [highest value, count], which `fromPairs` reads back. */
export function toPairs(histogram: Histogram): number[][] {
  const pairs: number[][] = [];
  histogram.forEach((us, count) => pairs.push([us, count]));
  return pairs;
}

export function fromPairs(pairs: readonly (readonly number[])[], digits = 3): Histogram {
  const histogram = new Histogram(digits);
  for (const pair of pairs) histogram.recordMany(pair[0] ?? 0, pair[1] ?? 0);
  return histogram;
}

/** The percentiles of a report, in microseconds. */
export interface Percentiles {
  readonly p50Us: number;
  readonly p90Us: number;
  readonly p99Us: number;
  readonly p999Us: number;
  readonly p9999Us: number;
  readonly maxUs: number;
  readonly minUs: number;
  readonly meanUs: number;
}

export function percentilesOf(histogram: Histogram): Percentiles {
  const round = (us: number): number => Math.round(us * 10) / 10;
  return {
    p50Us: round(histogram.quantile(0.5)),
    p90Us: round(histogram.quantile(0.9)),
    p99Us: round(histogram.quantile(0.99)),
    p999Us: round(histogram.quantile(0.999)),
    p9999Us: round(histogram.quantile(0.9999)),
    maxUs: round(histogram.max),
    minUs: histogram.count === 0 ? 0 : round(histogram.min),
    meanUs: round(histogram.mean()),
  };
}

/** Whether a percentile rests on enough values to be printed: at least 100 beyond it. */
export function isSupported(share: number, count: number): boolean {
  return count * (1 - share) >= 100;
}
