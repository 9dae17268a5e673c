// Pings: ours, which find out whether a silent peer is still there, and the peer's, which must not come too often.

import type { ByteWriter } from "../base/byte-writer.ts";
import { FRAME_PING, writeFrameHeader } from "./frames.ts";
import type { TransportLimits } from "./limits.ts";

/** A client without streams has no business pinging more often than this (grpc-go: two hours). */
const PING_WITHOUT_STREAMS_MS_MIN = 2 * 3600 * 1000;
const PING_STRIKE_COUNT_MAX = 2;

export class Keepalive {
  /** Our ping is not answered yet. */
  isWaiting = false;
  readonly #limits: TransportLimits;
  #heardMs: number;
  #pingedMs = 0;
  #peerPingedMs = -Infinity;
  #strikeCount = 0;
  /** We sent headers or data since the peer's last ping: it may be measuring, as Go does, so the next one is free. */
  #hasSent = false;
  /** The peer's last ping was such a free one: Go measures the bandwidth with a ping each round trip that brings data. */
  wasFree = false;

  constructor(limits: TransportLimits, nowMs: number) {
    this.#limits = limits;
    this.#heardMs = nowMs;
  }

  heard(nowMs: number): void {
    this.#heardMs = nowMs;
  }

  sent(): void {
    this.#hasSent = true;
  }

  ping(writer: ByteWriter, nowMs: number): void {
    if (this.isWaiting) return;
    this.isWaiting = true;
    this.#pingedMs = nowMs;
    writeFrameHeader(writer, 8, FRAME_PING, 0, 0);
    writer.utf8("holdfast");
  }

  acknowledged(): void {
    this.isWaiting = false;
  }

  nextDeadlineMs(mayPing: boolean): number {
    if (this.isWaiting) return this.#pingedMs + this.#limits.keepaliveTimeoutMs;
    return mayPing ? this.#heardMs + this.#limits.keepaliveIntervalMs : Infinity;
  }

  /** The peer pinged: counts strikes as etcd's server does; the third one is too many. */
  isAbusive(nowMs: number, streamCount: number): boolean {
    const sinceMs = nowMs - this.#peerPingedMs;
    this.#peerPingedMs = nowMs;
    this.wasFree = this.#hasSent;
    if (this.#hasSent) {
      this.#hasSent = false;
      this.#strikeCount = 0;
      return false;
    }
    const minMs = streamCount === 0 ? PING_WITHOUT_STREAMS_MS_MIN : this.#limits.keepaliveMinTimeMs;
    if (sinceMs < minMs) this.#strikeCount++;
    return this.#strikeCount > PING_STRIKE_COUNT_MAX;
  }
}
