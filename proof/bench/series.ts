// Latencies by the second in which an operation was meant to start: what the deck's picture is drawn from, what an SLO
// is judged on, and what a heat map shows.

import { Histogram } from "./histogram.ts";
import type { Window } from "./slo.ts";
import { median } from "./statistics.ts";

/** A second, as reports carry it. */
export interface Second {
  readonly second: number;
  readonly operations: number;
  readonly errors: number;
  readonly minUs: number;
  readonly meanUs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

/** What happened beside the load, to be drawn over the seconds. */
export interface Mark {
  readonly atSecond: number;
  readonly kind: "fsync" | "gc" | "election" | "checkpoint" | "compaction" | "kill" | "stall";
  readonly text: string;
}

/** Two digits are enough for a second, and keep an hour's run in 40 MB. */
const WINDOW_DIGITS = 2;

export class Series {
  readonly #latencies: Histogram[] = [];
  readonly #errors: number[] = [];
  #last = -1;

  /** `startedUs` counts from the start of the measured part; `us` is the latency. */
  record(startedUs: number, us: number, failed: boolean): void {
    const second = startedUs <= 0 ? 0 : (startedUs / 1_000_000) | 0;
    if (second > this.#last) this.#extend(second);
    this.#latencies[second]!.record(us);
    if (failed) this.#errors[second]!++;
  }

  /** Seconds up to the end of the run exist even if nothing started in them: a stall is not a gap in the picture. */
  close(seconds: number): void {
    const last = Math.floor(seconds) - 1;
    if (last > this.#last) this.#extend(last);
  }

  get length(): number {
    return this.#last + 1;
  }

  /** Whole seconds, in order. An empty one shows how long the last operation before it took, at least. */
  seconds(): Second[] {
    const seconds: Second[] = [];
    let carriedUs = 0;
    for (let i = 0; i <= this.#last; i++) {
      const latencies = this.#latencies[i]!;
      const empty = latencies.count === 0;
      if (!empty) carriedUs = latencies.max;
      seconds.push({
        second: i,
        operations: latencies.count - this.#errors[i]!,
        errors: this.#errors[i]!,
        minUs: empty ? carriedUs : Math.round(latencies.min * 10) / 10,
        meanUs: Math.round(empty ? carriedUs : latencies.mean()),
        p50Us: empty ? carriedUs : latencies.quantile(0.5),
        p99Us: Math.round(empty ? carriedUs : latencies.quantile(0.99)),
        maxUs: Math.round(empty ? carriedUs : latencies.max),
      });
    }
    return seconds;
  }

  /** Windows of whole seconds for the verdicts; a last one that is not full is left out unless it is the only one. */
  windows(secondsPerWindow: number): Window[] {
    const windows: Window[] = [];
    for (let first = 0; first <= this.#last; first += secondsPerWindow) {
      const end = Math.min(first + secondsPerWindow, this.#last + 1);
      if (end - first < secondsPerWindow && windows.length > 0) break;
      const latencies = new Histogram(WINDOW_DIGITS);
      let errors = 0;
      for (let i = first; i < end; i++) {
        latencies.add(this.#latencies[i]!);
        errors += this.#errors[i]!;
      }
      windows.push({ startSecond: first, latencies, errors, seconds: end - first });
    }
    return windows;
  }

  /** Columns of a heat map: for each second, [microseconds, count] of its cells, four to a doubling. */
  heat(): number[][][] {
    return this.#latencies.map((latencies) => {
      const cells = new Map<number, number>();
      latencies.forEach((us, count) => {
        const cell = heatCell(us);
        cells.set(cell, (cells.get(cell) ?? 0) + count);
      });
      return [...cells].sort((a, b) => a[0] - b[0]);
    });
  }

  #extend(second: number): void {
    for (let i = this.#last + 1; i <= second; i++) {
      this.#latencies.push(new Histogram(WINDOW_DIGITS));
      this.#errors.push(0);
    }
    this.#last = second;
  }
}

/** Row of the heat map: four to a doubling of the latency. */
export function heatCell(us: number): number {
  return us < 1 ? 0 : Math.round(Math.log2(us) * 4);
}

/** The deck's figures: the worst one-second average, and how many seconds average above twice the median second. */
export function spikes(seconds: readonly Second[]): {
  worstSecondUs: number;
  medianSecondUs: number;
  secondsAboveTwice: number;
} {
  const means = seconds.map((one) => one.meanUs);
  if (means.length === 0) return { worstSecondUs: 0, medianSecondUs: 0, secondsAboveTwice: 0 };
  const middle = median(means);
  return {
    worstSecondUs: means.reduce((a, b) => Math.max(a, b), 0),
    medianSecondUs: Math.round(middle),
    secondsAboveTwice: means.filter((one) => one > 2 * middle).length,
  };
}
