// The turn: all input of this pass of the event loop is in, so the member works it off as one batch, every connection
// is written once, and then what is behind the acknowledgements (watchers, checkpoints, compaction) gets a slice.

import type { Waker } from "../../core/base/ports.ts";

export interface Machine {
  /** Works off what has arrived. */
  turn(): void;
  /** A slice of about 2 ms of work that nobody waits for; true when there is more. */
  background(): boolean;
  nextDeadlineMs(): number;
}

export interface DriverOptions {
  readonly machine: Machine;
  readonly now: () => number;
  /** Writes what the machine has put out, one write per connection. */
  readonly flush: () => void;
  /** How long the loop was held, background included; for metrics. */
  readonly onTurn: (durationMs: number) => void;
  /** A bug or a fault of the disk: the process must end. */
  readonly onFatal: (error: unknown) => void;
}

/** Timers above this are cut; the machine is simply asked again. */
const TIMER_MS_MAX = 60_000;

export class Driver implements Waker {
  readonly #options: DriverOptions;
  #scheduled = false;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  readonly #onImmediate = (): void => this.#run();

  constructor(options: DriverOptions) {
    this.#options = options;
  }

  /** Runs a turn once this pass of the loop has handed in all its input. */
  wake(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    setImmediate(this.#onImmediate);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #run(): void {
    this.#scheduled = false;
    if (this.#stopped) return;
    const { machine, now, flush, onTurn, onFatal } = this.#options;
    const startMs = now();
    try {
      machine.turn();
      flush();
      const more = machine.background();
      flush();
      onTurn(now() - startMs);
      if (more) this.wake();
      else this.#arm();
    } catch (error) {
      this.stop();
      onFatal(error);
    }
  }

  #arm(): void {
    const { machine, now } = this.#options;
    const deadlineMs = machine.nextDeadlineMs();
    // A timer that fires too early only asks again; re-arming on every turn would cost more than that.
    if (this.#timer !== undefined && this.#timerAtMs <= deadlineMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = Math.min(deadlineMs, now() + TIMER_MS_MAX);
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        this.#timerAtMs = Number.POSITIVE_INFINITY;
        this.wake();
      },
      Math.max(0, Math.ceil(this.#timerAtMs - now())),
    );
  }
}
