// Wakes the loop at a time given in microseconds. Node's timers count whole milliseconds; polling with setImmediate
// is exact to a microsecond and takes a core, which on a small machine is taken from the store. So a thread sleeps on a futex
// and posts a message: measured 25 to 50 us late at the median, a quarter of a core at 4,000 wakes a second.

import { Worker } from "node:worker_threads";

// A string, so that it runs from the sources and from the bundle alike.
const SLEEPER = `
const { parentPort, workerData } = require("node:worker_threads");
const state = new Int32Array(workerData, 0, 3);
const target = new Float64Array(workerData, 16, 1);
parentPort.postMessage(1);
for (;;) {
  Atomics.wait(state, 0, 0);
  if (Atomics.load(state, 2) === 1) break;
  Atomics.store(state, 0, 0);
  const now = process.hrtime();
  const leftUs = target[0] - (now[0] * 1e6 + now[1] / 1e3);
  if (leftUs > 20) Atomics.wait(state, 1, 0, leftUs / 1e3);
  parentPort.postMessage(0);
}`;

/** A wake costs about 50 us: it is asked for so much earlier. */
const WAKE_LEAD_US = 40;
/** More wakes than this a second are not worth their CPU: operations due in between start together. */
const SLEEP_US_MIN = 150;

/** Monotonic microseconds of this thread. */
export function clockUs(): number {
  return performance.now() * 1000;
}

/** The same in all threads, but an array a call. */
function sharedClockUs(): number {
  const now = process.hrtime();
  return now[0] * 1_000_000 + now[1] / 1000;
}

export class Ticker {
  readonly #state: Int32Array<SharedArrayBuffer>;
  readonly #target: Float64Array<SharedArrayBuffer>;
  readonly #worker: Worker | undefined;
  readonly #onTick: () => void;
  #stopped = false;
  /** A thread takes some tens of milliseconds to start, by which the first operations would be late. */
  readonly ready: Promise<void> = Promise.resolve();

  /** `precise` polls instead of sleeping. */
  constructor(options: { precise: boolean; onTick: () => void }) {
    const shared = new SharedArrayBuffer(32);
    this.#state = new Int32Array(shared, 0, 3);
    this.#target = new Float64Array(shared, 16, 1);
    this.#onTick = options.onTick;
    if (options.precise) return;
    this.#worker = new Worker(SLEEPER, { eval: true, workerData: shared });
    const worker = this.#worker;
    this.ready = new Promise((resolve) => {
      worker.once("message", () => {
        worker.on("message", () => {
          if (!this.#stopped) this.#onTick();
        });
        resolve();
      });
    });
  }

  /** Calls `onTick` at about `atUs`, never within this call. At most one is waited for. */
  wakeAt(atUs: number): void {
    if (!this.#worker) {
      setImmediate(this.#poll);
      return;
    }
    const delayUs = Math.max(atUs - clockUs(), SLEEP_US_MIN) - WAKE_LEAD_US;
    this.#target[0] = sharedClockUs() + delayUs;
    Atomics.store(this.#state, 0, 1);
    Atomics.notify(this.#state, 0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    Atomics.store(this.#state, 2, 1);
    Atomics.store(this.#state, 0, 1);
    Atomics.notify(this.#state, 0);
    await this.#worker?.terminate();
  }

  readonly #poll = (): void => {
    if (!this.#stopped) this.#onTick();
  };
}
