// The load: starts operations in a closed or an open loop, takes their ends, and measures.
//
// A slot is one operation under way. In a closed loop a client is a slot that starts its next operation when the last
// one has ended; in an open loop slots are taken from a free list when an operation's time has come, and an operation
// that finds none waits, its latency running. Per operation there is no promise, no closure and no object.

import { assert } from "../../core/base/assert.ts";
import type { Prng } from "../../core/base/prng.ts";
import { Histogram } from "./histogram.ts";
import { type Arrival, Schedule } from "./schedule.ts";
import { Series } from "./series.ts";
import { clockUs, Ticker } from "./ticker.ts";

/** What a workload does for the load. */
export interface Operations {
  /** Names of the kinds of operation, for reports that tell reads from writes. */
  readonly kinds: readonly string[];
  /** Starts one and returns its kind. It ends by `Load.done(slot, …)`, once, never within this call. */
  start(slot: number): number;
  /** Gives up on a slot: `done` will not be called for it. */
  abandon(slot: number): void;
}

export type LoopMode =
  | { readonly kind: "closed"; readonly clients: number }
  | {
      readonly kind: "open";
      readonly ratePerSecond: number;
      readonly arrival: Arrival;
      readonly slots: number;
      readonly precise: boolean;
    };

export interface LoadOptions {
  readonly mode: LoopMode;
  /** Of the measured part. */
  readonly durationUs: number;
  readonly operationsMax: number;
  readonly warmupUs: number;
  /** An operation that takes longer has failed. */
  readonly timeoutUs: number;
  readonly prng: Prng;
  /** Ends the run early, with a report of what was seen. */
  readonly signal: AbortSignal;
  readonly onSecond?: (live: Live) => void;
  /** The warm-up is over: what is measured beside the load begins. */
  readonly onMeasured?: () => void;
}

/** What the progress line shows: the operations that ended in the last second. */
export interface Live {
  readonly second: number;
  readonly ended: number;
  readonly errors: number;
  readonly latencies: Histogram;
  readonly inFlight: number;
}

export interface LoadResult {
  /** All operations, failed ones included: an error is no fast answer. */
  readonly latencies: Histogram;
  /** Those of `latencies` that failed. */
  readonly errorLatencies: Histogram;
  readonly byKind: readonly {
    readonly name: string;
    readonly latencies: Histogram;
    readonly errors: number;
  }[];
  readonly series: Series;
  readonly operations: number;
  readonly errors: number;
  readonly errorTexts: ReadonlyMap<string, number>;
  /** From the first measured start to the last end. */
  readonly seconds: number;
  /** How late operations were handed to the client, against their intended start; empty in a closed loop. */
  readonly scheduleError: Histogram;
  /** Operations that had to wait because all slots were taken. */
  readonly waitedForSlot: number;
  readonly clientCpuSeconds: number;
  /** Share of time in which the client's loop was busy. */
  readonly loopUtilisation: number;
  readonly aborted: boolean;
}

/** Different texts of errors that are counted apart. */
const ERROR_TEXTS_MAX = 50;
/** A client whose operation failed waits this long: a store that is down must not be asked a million times a second. */
const FAILURE_PAUSE_MS = 5;
/** How often slots are searched for operations that took too long. */
const SWEEP_MS = 100;

export class Load {
  readonly #options: LoadOptions;
  readonly #open: Extract<LoopMode, { kind: "open" }> | undefined;
  readonly #latencies = new Histogram();
  readonly #errorLatencies = new Histogram();
  readonly #scheduleError = new Histogram();
  readonly #series = new Series();
  readonly #errorTexts = new Map<string, number>();
  readonly #kindLatencies: Histogram[] = [];
  readonly #kindErrors: number[] = [];
  // Columns by slot.
  readonly #intendedUs: Float64Array;
  readonly #busy: Uint8Array;
  readonly #kind: Uint8Array;
  readonly #free: Int32Array;
  #freeCount = 0;
  #operations: Operations | undefined;
  #schedule: Schedule | undefined;
  #ticker: Ticker | undefined;
  #startUs = 0;
  #endUs = 0;
  #lastEndUs = 0;
  #issued = 0;
  #inFlight = 0;
  #errors = 0;
  #waitedForSlot = 0;
  #stopped = false;
  #finished: (() => void) | undefined;
  /** Until the first operation that is measured. */
  #onMeasured: (() => void) | undefined;
  #live = new Histogram();
  #liveErrors = 0;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#open = options.mode.kind === "open" ? options.mode : undefined;
    const slots = options.mode.kind === "open" ? options.mode.slots : options.mode.clients;
    assert(slots > 0, "a load has a slot");
    this.#intendedUs = new Float64Array(slots);
    this.#busy = new Uint8Array(slots);
    this.#kind = new Uint8Array(slots);
    this.#free = new Int32Array(slots);
  }

  get slots(): number {
    return this.#busy.length;
  }

  /** Runs to the end; `operations` calls `done` of this load. */
  async run(operations: Operations): Promise<LoadResult> {
    if (this.#open) {
      this.#ticker = new Ticker({ precise: this.#open.precise, onTick: this.#tick });
      await this.#ticker.ready;
    }
    this.#operations = operations;
    for (const _ of operations.kinds) {
      this.#kindLatencies.push(new Histogram());
      this.#kindErrors.push(0);
    }
    let cpuBefore = process.cpuUsage();
    let loopBefore = performance.eventLoopUtilization();
    this.#onMeasured = () => {
      this.#onMeasured = undefined;
      cpuBefore = process.cpuUsage();
      loopBefore = performance.eventLoopUtilization();
      this.#options.onMeasured?.();
    };
    const finished = new Promise<void>((resolve) => (this.#finished = resolve));
    const stop = (): void => this.#stop();
    this.#options.signal.addEventListener("abort", stop);
    const timers = [
      setInterval(() => this.#sweep(), SWEEP_MS),
      setInterval(() => this.#reportSecond(), 1000),
    ];
    this.#begin();
    if (this.#options.signal.aborted) this.#stop();
    await finished;
    for (const timer of timers) clearInterval(timer);
    this.#options.signal.removeEventListener("abort", stop);
    await this.#ticker?.stop();
    const cpu = process.cpuUsage(cpuBefore);
    const loop = performance.eventLoopUtilization(performance.eventLoopUtilization(), loopBefore);
    return this.#result((cpu.user + cpu.system) / 1e6, loop.utilization);
  }

  /** The operation of `slot`, which is under way, began after the warm-up. */
  isMeasured(slot: number): boolean {
    return this.#intendedUs[slot]! >= this.#startUs;
  }

  /** The operation of `slot` has ended: well, or with a failure's text. */
  done(slot: number, failure: string | undefined): void {
    if (this.#busy[slot] === 0) return; // given up on before
    this.#busy[slot] = 0;
    this.#inFlight--;
    const nowUs = clockUs();
    this.#take(slot, nowUs, failure);
    if (this.#open) {
      this.#free[this.#freeCount++] = slot;
      if (!this.#stopped && this.#schedule!.nextUs <= nowUs) this.#startDue(nowUs);
    } else if (failure !== undefined) setTimeout(this.#restart, FAILURE_PAUSE_MS, slot);
    else if (!this.#stopped) this.#startClosed(slot, nowUs);
    if (this.#stopped && this.#inFlight === 0) this.#finished!();
  }

  #begin(): void {
    const nowUs = clockUs();
    this.#startUs = nowUs + this.#options.warmupUs;
    this.#endUs = this.#startUs + this.#options.durationUs;
    this.#lastEndUs = this.#startUs;
    const open = this.#open;
    if (!open) {
      for (let slot = 0; slot < this.#busy.length; slot++) this.#startClosed(slot, clockUs());
      if (this.#stopped && this.#inFlight === 0) this.#finished!();
      return;
    }
    for (let slot = this.#busy.length - 1; slot >= 0; slot--) this.#free[this.#freeCount++] = slot;
    this.#schedule = new Schedule({ ...open, prng: this.#options.prng, firstUs: nowUs + 1000 });
    this.#ticker!.wakeAt(this.#schedule.nextUs);
  }

  readonly #tick = (): void => {
    if (this.#stopped) return;
    this.#startDue(clockUs());
    if (!this.#stopped) this.#ticker!.wakeAt(this.#schedule!.nextUs);
  };

  readonly #restart = (slot: number): void => {
    if (!this.#stopped && this.#busy[slot] === 0) this.#startClosed(slot, clockUs());
  };

  /** Starts all operations whose time has come and that find a slot. */
  #startDue(nowUs: number): void {
    const schedule = this.#schedule!;
    while (schedule.nextUs <= nowUs) {
      if (schedule.nextUs >= this.#endUs || this.#issued >= this.#options.operationsMax) return this.#stop();
      if (this.#freeCount === 0) return;
      const intendedUs = schedule.nextUs;
      schedule.advance();
      const startedUs = clockUs();
      if (intendedUs >= this.#startUs) {
        this.#scheduleError.record(startedUs - intendedUs);
        if (this.#freeCount === 1) this.#waitedForSlot++;
      }
      this.#start(this.#free[--this.#freeCount]!, intendedUs);
    }
  }

  #startClosed(slot: number, nowUs: number): void {
    if (nowUs >= this.#endUs || this.#issued >= this.#options.operationsMax) return this.#stop();
    this.#start(slot, nowUs);
  }

  #start(slot: number, intendedUs: number): void {
    if (this.#onMeasured !== undefined && intendedUs >= this.#startUs) this.#onMeasured();
    this.#issued++;
    this.#inFlight++;
    this.#busy[slot] = 1;
    this.#intendedUs[slot] = intendedUs;
    this.#kind[slot] = this.#operations!.start(slot);
  }

  #take(slot: number, nowUs: number, failure: string | undefined): void {
    this.#takeLatency(this.#intendedUs[slot]!, nowUs, this.#kind[slot]!, failure);
  }

  #takeLatency(intendedUs: number, nowUs: number, kind: number, failure: string | undefined): void {
    const us = nowUs - intendedUs;
    const failed = failure !== undefined;
    this.#live.record(us);
    if (failed) this.#liveErrors++;
    if (intendedUs < this.#startUs) return; // warm-up
    this.#latencies.record(us);
    this.#series.record(intendedUs - this.#startUs, us, failed);
    if (nowUs > this.#lastEndUs) this.#lastEndUs = nowUs;
    if (this.#kindLatencies.length > 1) this.#kindLatencies[kind]!.record(us);
    if (!failed) return;
    this.#errors++;
    this.#errorLatencies.record(us);
    this.#kindErrors[kind]!++;
    const text =
      this.#errorTexts.size < ERROR_TEXTS_MAX || this.#errorTexts.has(failure) ? failure : "other errors";
    this.#errorTexts.set(text, (this.#errorTexts.get(text) ?? 0) + 1);
  }

  /** Nothing more is started; the run ends when all operations under way have. */
  #stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    if (this.#inFlight === 0) this.#finished!();
  }

  #sweep(): void {
    const nowUs = clockUs();
    if (!this.#stopped) this.#stopWhenOver(nowUs);
    const lateUs = nowUs - this.#options.timeoutUs;
    // After Ctrl-C nobody waits for a timeout of ten seconds.
    const patience = this.#options.signal.aborted ? Math.max(lateUs, nowUs - 1_000_000) : lateUs;
    for (let slot = 0; slot < this.#busy.length; slot++) {
      if (this.#busy[slot] === 0 || this.#intendedUs[slot]! > patience) continue;
      this.#operations!.abandon(slot);
      this.done(slot, "no answer in time");
    }
  }

  /** An open loop ends when all that was due has been started, however late that is; only then is nothing left out. */
  #stopWhenOver(nowUs: number): void {
    if (!this.#open) {
      if (nowUs >= this.#endUs) this.#stop();
      return;
    }
    if (nowUs < this.#endUs + this.#options.timeoutUs) return;
    const schedule = this.#schedule!;
    while (schedule.nextUs < this.#endUs && this.#issued < this.#options.operationsMax) {
      this.#issued++;
      this.#takeLatency(schedule.nextUs, nowUs, 0, "never started: all slots were taken");
      schedule.advance();
    }
    this.#stop();
  }

  #reportSecond(): void {
    const latencies = this.#live;
    this.#live = new Histogram();
    const errors = this.#liveErrors;
    this.#liveErrors = 0;
    const second = Math.round((clockUs() - this.#startUs) / 1e6);
    this.#options.onSecond?.({
      second,
      ended: latencies.count - errors,
      errors,
      latencies,
      inFlight: this.#inFlight,
    });
  }

  #result(clientCpuSeconds: number, loopUtilisation: number): LoadResult {
    // Nothing ended: then the time that was waited is what the rate of zero refers to.
    const endUs = this.#latencies.count > 0 ? this.#lastEndUs : clockUs();
    const seconds = Math.max(1e-3, (endUs - this.#startUs) / 1e6);
    // The last second is a whole one only if starting went on until its end.
    this.#series.close(Math.min(seconds, this.#options.durationUs / 1e6));
    const names = this.#operations!.kinds;
    const several = names.length > 1;
    return {
      latencies: this.#latencies,
      errorLatencies: this.#errorLatencies,
      byKind: names.map((name, i) => ({
        name,
        latencies: several ? this.#kindLatencies[i]! : this.#latencies,
        errors: this.#kindErrors[i]!,
      })),
      series: this.#series,
      operations: this.#latencies.count - this.#errors,
      errors: this.#errors,
      errorTexts: this.#errorTexts,
      seconds,
      scheduleError: this.#scheduleError,
      waitedForSlot: this.#waitedForSlot,
      clientCpuSeconds,
      loopUtilisation,
      aborted: this.#options.signal.aborted,
    };
  }
}
