// The demo's load: every operation writes a key of its own and notes what was acknowledged, so that it can be looked for
// afterwards.

import { Client, EtcdError } from "../../product/client/index.ts";
import type { Operations } from "../bench/load.ts";

const PREFIX = "demo/";
const CALL_TIMEOUT_MS = 10_000;

export class Writes implements Operations {
  readonly kinds = ["put"];
  /** Key to revision. */
  readonly acknowledged = new Map<string, number>();
  /** Neither yes nor no: the answer was lost with its connection. */
  readonly unknown = new Set<string>();
  readonly #clients: readonly Client[];
  readonly #value: string;
  readonly #done: (slot: number, failure: string | undefined) => void;
  readonly #timesMs: number[] = [];
  #count = 0;

  constructor(
    clients: readonly Client[],
    options: {
      readonly valueSizeBytes: number;
      readonly done: (slot: number, failure: string | undefined) => void;
    },
  ) {
    this.#clients = clients;
    this.#value = "x".repeat(options.valueSizeBytes);
    this.#done = options.done;
  }

  start(slot: number): number {
    const number = this.#count++;
    const key = PREFIX + String(number).padStart(8, "0");
    this.unknown.add(key);
    const put = this.#clients[number % this.#clients.length]!.kv.put(key, this.#value, {
      timeoutMs: CALL_TIMEOUT_MS,
    });
    put.then(
      ({ header }) => {
        this.#acknowledge(key, header.revision);
        this.#done(slot, undefined);
      },
      (error: unknown) => this.#done(slot, error instanceof EtcdError ? error.message : String(error)),
    );
    return 0;
  }

  abandon(): void {
    // Its answer may still come, and counts then.
  }

  /** The longest time without an acknowledgement that touches the span, on performance.now()'s clock. */
  longestGapMs(span: { readonly fromMs: number; readonly toMs: number }): number {
    let longestMs = 0;
    for (let i = 1; i < this.#timesMs.length; i++) {
      const [startMs, endMs] = [this.#timesMs[i - 1]!, this.#timesMs[i]!];
      if (endMs >= span.fromMs && startMs <= span.toMs) longestMs = Math.max(longestMs, endMs - startMs);
    }
    return longestMs;
  }

  /** Acknowledgements in every step of a span, on performance.now()'s clock. */
  acknowledgedPerStep(span: {
    readonly fromMs: number;
    readonly toMs: number;
    readonly stepMs: number;
  }): number[] {
    const counts = Array.from({ length: Math.ceil((span.toMs - span.fromMs) / span.stepMs) }, () => 0);
    for (const timeMs of this.#timesMs) {
      const step = Math.floor((timeMs - span.fromMs) / span.stepMs);
      if (step >= 0 && step < counts.length) counts[step]!++;
    }
    return counts;
  }

  #acknowledge(key: string, revision: number): void {
    this.#timesMs.push(performance.now());
    this.acknowledged.set(key, revision);
    this.unknown.delete(key);
  }
}

export interface Found {
  /** Acknowledged, and not there as it was acknowledged. */
  readonly lost: readonly string[];
  /** There more than once, or from nowhere. */
  readonly strange: readonly string[];
}

/** Reads everything back from one member and compares. */
export async function readBack(endpoint: string, writes: Writes): Promise<Found> {
  const client = Client.connect({ endpoints: [endpoint] });
  try {
    const { kvs } = await client.kv.get(PREFIX, { prefix: true, timeoutMs: 30_000 });
    const found = new Map(kvs.map((kv) => [Buffer.from(kv.key).toString(), kv]));
    const lost: string[] = [];
    for (const [key, revision] of writes.acknowledged)
      if (found.get(key)?.modRevision !== revision) lost.push(key);
    const isKnown = (key: string): boolean => writes.acknowledged.has(key) || writes.unknown.has(key);
    const strange = [...found].filter(([key, kv]) => kv.version !== 1 || !isKnown(key)).map(([key]) => key);
    return { lost, strange };
  } finally {
    client.close();
  }
}
