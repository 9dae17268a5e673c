// When streams are due for periodic progress notifications: every interval, plus up to a tenth, so that streams opened
// in the same moment (a client's restart) are not notified in the same moment for ever. A few lanes, each with an interval
// of its own: within a lane the stream that was armed first is due first, so that a list is all it takes.

import type { WatchStream } from "./watch-stream.ts";

const LANE_COUNT = 8;

export class ProgressTimers {
  readonly #intervalMs: number;
  /** Streams in the order in which they are due; those that ended are passed over. */
  readonly #lanes: Set<WatchStream>[] = [];
  #nextLane = 0;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
    for (let i = 0; i < LANE_COUNT; i++) this.#lanes.push(new Set());
  }

  has(stream: WatchStream): boolean {
    return stream.progressDueMs !== Infinity;
  }

  /** Arms a stream for the first time. */
  add(stream: WatchStream, nowMs: number): void {
    const lane = this.#nextLane;
    this.#nextLane = (lane + 1) % LANE_COUNT;
    this.#arm(stream, lane, nowMs);
  }

  remove(stream: WatchStream): void {
    if (!this.has(stream)) return;
    for (const lane of this.#lanes) if (lane.delete(stream)) break;
    stream.progressDueMs = Infinity;
  }

  /** A stream that is due, armed again; undefined when none is. */
  take(nowMs: number): WatchStream | undefined {
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const stream = this.#firstOf(lane);
      if (stream === undefined || stream.progressDueMs > nowMs) continue;
      this.#lanes[lane]!.delete(stream);
      this.#arm(stream, lane, nowMs);
      return stream;
    }
    return undefined;
  }

  nextMs(): number {
    let next = Infinity;
    for (let lane = 0; lane < LANE_COUNT; lane++) {
      const stream = this.#firstOf(lane);
      if (stream !== undefined && stream.progressDueMs < next) next = stream.progressDueMs;
    }
    return next;
  }

  #firstOf(lane: number): WatchStream | undefined {
    for (const stream of this.#lanes[lane]!) return stream;
    return undefined;
  }

  #arm(stream: WatchStream, lane: number, nowMs: number): void {
    stream.progressDueMs = nowMs + this.#intervalMs * (1 + lane / (10 * LANE_COUNT));
    this.#lanes[lane]!.add(stream);
  }
}
