// The connections of a client, one per endpoint, made when needed: calls go round the endpoints, and one that cannot be
// reached is left out for a while.

import type { Connection, Connector, ConnectOptions } from "./channel.ts";
import { canceled, deadlineExceeded } from "./errors.ts";

/** How long an endpoint that failed is left out: doubling, so that a dead one costs little and a restart is noticed. */
const BACKOFF_MS_MIN = 50;
const BACKOFF_MS_MAX = 2000;

interface Slot {
  readonly endpoint: string;
  connection: Connection | undefined;
  connecting: Promise<Connection | undefined> | undefined;
  failureCount: number;
  /** By the clock of performance.now(): not before this. */
  retryAtMs: number;
}

export interface PickOptions {
  /** By the clock of performance.now(). */
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class EndpointPool {
  readonly #slots: Slot[];
  readonly #connector: Connector;
  readonly #options: ConnectOptions;
  #nextIndex = 0;
  #isClosed = false;
  /** Why the last attempt to connect failed. */
  lastError: unknown;

  constructor(endpoints: readonly string[], connector: Connector, options: ConnectOptions) {
    this.#slots = endpoints.map((endpoint) => ({
      endpoint,
      connection: undefined,
      connecting: undefined,
      failureCount: 0,
      retryAtMs: 0,
    }));
    this.#connector = connector;
    this.#options = options;
  }

  /** An open connection, the next one round; waits for one until the deadline. */
  async pick(options: PickOptions): Promise<Connection> {
    for (;;) {
      if (this.#isClosed || options.signal?.aborted === true) throw canceled(options.signal?.reason);
      const now = performance.now();
      if (now >= options.deadlineMs) throw deadlineExceeded(this.lastError);
      const slot = this.#nextSlot(now);
      if (slot.connection?.isOpen === true) return slot.connection;
      const waitMs = slot.retryAtMs - now;
      if (waitMs > 0) await pause(Math.min(waitMs, options.deadlineMs - now), options.signal);
      else await until(this.#connect(slot), options);
    }
  }

  /** Round robin over endpoints that are connected or may be tried now; else the one that may be tried soonest. */
  #nextSlot(now: number): Slot {
    let soonest = this.#slots[0]!;
    for (let i = 0; i < this.#slots.length; i++) {
      const slot = this.#slots[this.#nextIndex]!;
      this.#nextIndex = (this.#nextIndex + 1) % this.#slots.length;
      if (slot.connection?.isOpen === true || slot.retryAtMs <= now) return slot;
      if (slot.retryAtMs < soonest.retryAtMs) soonest = slot;
    }
    return soonest;
  }

  #connect(slot: Slot): Promise<Connection | undefined> {
    slot.connection?.close();
    slot.connection = undefined;
    slot.connecting ??= this.#connector(slot.endpoint, this.#options)
      .then(
        (connection) => {
          slot.failureCount = 0;
          slot.connection = connection;
          if (this.#isClosed) connection.close();
          return connection;
        },
        (error: unknown) => {
          this.lastError = error;
          const backoffMs = Math.min(BACKOFF_MS_MAX, BACKOFF_MS_MIN * 2 ** slot.failureCount++);
          slot.retryAtMs = performance.now() + backoffMs;
          return undefined;
        },
      )
      .finally(() => {
        slot.connecting = undefined;
      });
    return slot.connecting;
  }

  close(): void {
    this.#isClosed = true;
    for (const slot of this.#slots) slot.connection?.close();
  }
}

/** Ends early, without an error, when the signal is aborted: the caller looks. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal?.addEventListener("abort", end);
  });
}

/** Waits for a promise that never rejects, at most until the deadline. */
async function until(promise: Promise<unknown>, options: PickOptions): Promise<void> {
  const ended = new AbortController();
  const stop = (): void => ended.abort();
  options.signal?.addEventListener("abort", stop);
  const waitMs = Math.min(options.deadlineMs - performance.now(), 0x7fffffff);
  await Promise.race([promise, pause(Math.max(0, waitMs), ended.signal)]);
  options.signal?.removeEventListener("abort", stop);
  ended.abort();
}
