// What a member counts about each of the others. A round trip is from a heartbeat to its answer, as this member's loop sees
// it: one that is busy, here or there, is in it.

import { type Counter, exponentialBounds, type Histogram, type Metrics } from "../base/metrics.ts";
import { type Id64, id64Hex } from "../base/ids.ts";

const ROUND_TRIP_BOUNDS = exponentialBounds(0.0001, 2, 16);
/** Members that ever were; what comes after has no statistics. */
const PEER_COUNT_MAX = 64;

class PeerStats {
  readonly hi: number;
  readonly lo: number;
  readonly roundTripSeconds: Histogram;
  readonly sendFailures: Counter;
  readonly disconnects: Counter;
  /** The number of the heartbeat whose answer is awaited, and when it was sent; 0 when none is. */
  awaited = 0;
  awaitedSinceMs = 0;
  /** When the last heartbeat was sent; -1 before. */
  heartbeatMs = -1;

  constructor(peer: Id64, self: Id64, metrics: Metrics) {
    this.hi = peer.hi;
    this.lo = peer.lo;
    const To = id64Hex(peer);
    this.roundTripSeconds = metrics.histogram(
      "etcd_network_peer_round_trip_time_seconds",
      "Round-Trip-Time histogram between peers: heartbeats and their answers.",
      ROUND_TRIP_BOUNDS,
      { To },
    );
    this.sendFailures = metrics.counter(
      "etcd_network_peer_sent_failures_total",
      "The total number of send failures from peers.",
      { To },
    );
    this.disconnects = metrics.counter(
      "etcd_network_disconnected_peers_total",
      "The total number of disconnected peers.",
      { Local: id64Hex(self), Remote: To },
    );
  }
}

export class PeerStatistics {
  readonly #self: Id64;
  readonly #metrics: Metrics;
  readonly #heartbeatsLate: Counter;
  readonly #heartbeatMs: number;
  readonly #peers: PeerStats[] = [];

  constructor(options: {
    readonly self: Id64;
    readonly metrics: Metrics;
    readonly heartbeatsLate: Counter;
    readonly heartbeatMs: number;
  }) {
    this.#self = options.self;
    this.#metrics = options.metrics;
    this.#heartbeatsLate = options.heartbeatsLate;
    this.#heartbeatMs = options.heartbeatMs;
  }

  /** `number` comes back with the answer; 0 when none is wanted. */
  heartbeatSent(peer: Id64, number: number, nowMs: number): void {
    const stats = this.#of(peer);
    if (stats === undefined) return;
    // As etcd has it: a leader that sends them at twice the interval is overloaded.
    if (stats.heartbeatMs >= 0 && nowMs - stats.heartbeatMs > 2 * this.#heartbeatMs)
      this.#heartbeatsLate.add(1);
    stats.heartbeatMs = nowMs;
    if (stats.awaited > 0) return;
    stats.awaited = number;
    stats.awaitedSinceMs = nowMs;
  }

  heartbeatAnswered(peer: Id64, number: number, nowMs: number): void {
    const stats = this.#of(peer);
    if (stats === undefined || stats.awaited === 0 || number < stats.awaited) return;
    stats.roundTripSeconds.observe((nowMs - stats.awaitedSinceMs) / 1000);
    stats.awaited = 0;
  }

  sendFailed(peer: Id64): void {
    this.#of(peer)?.sendFailures.add(1);
  }

  disconnected(peer: Id64): void {
    const stats = this.#of(peer);
    if (stats === undefined) return;
    stats.disconnects.add(1);
    stats.awaited = 0;
  }

  /** This member leads no more, or begins to: what it sent before says nothing. */
  leaderChanged(): void {
    for (const stats of this.#peers) {
      stats.heartbeatMs = -1;
      stats.awaited = 0;
    }
  }

  #of(peer: Id64): PeerStats | undefined {
    for (const stats of this.#peers) if (stats.lo === peer.lo && stats.hi === peer.hi) return stats;
    if (this.#peers.length >= PEER_COUNT_MAX) return undefined;
    const stats = new PeerStats(peer, this.#self, this.#metrics);
    this.#peers.push(stats);
    return stats;
  }
}
