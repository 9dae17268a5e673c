// One stream of an HTTP/2 connection, and the table that finds it by its id. Both are reused for thousands of calls.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";

/** State of one direction of a stream: still open, ended in order (END_STREAM), or cut off by RST_STREAM of either side. */
export type HalfState = 0 | 1 | 2;
export const HALF_OPEN = 0;
export const HALF_ENDED = 1;
export const HALF_RESET = 2;

/** How our direction ends once all queued bytes are out: not yet, by trailers, by END_STREAM on the last DATA frame. */
export type EndMode = 0 | 1 | 2;
export const END_NONE = 0;
export const END_TRAILERS = 1;
export const END_DATA = 2;

/** Urgency of what a stream sends; see SendQueue. */
export const PRIORITY_WATCH = 0;
export const PRIORITY_UNARY = 1;
export const PRIORITY_LARGE = 2;

/** Bytes pulled while the peer takes them, so that a large answer needs no buffer of its size. */
export interface Producer {
  /** Writes at most about `roomBytes`, at least one byte, and returns true when that was the last. */
  pull(writer: ByteWriter, roomBytes: number): boolean;
  /** Nobody wants the rest. */
  abandon(): void;
}

/** Larger buffers do not stay with a pooled stream or call. */
export const POOLED_SIZE_BYTES_MAX = 16384;

export class Http2Stream {
  id = 0;
  /** The next stream of the same bucket of the table, or of the pool. */
  next: Http2Stream | undefined = undefined;
  /** The owner's object: a call. Stays with this stream when it is reused. */
  context: unknown = undefined;
  /** When it was opened, on the connection's clock. */
  openedMs = 0;
  /** What the peer may still send, and what we may. */
  remote: HalfState = HALF_OPEN;
  local: HalfState = HALF_OPEN;
  /** The owner is done with the stream; it leaves the table when both directions have ended, too. */
  isOwnerDone = false;
  /** What we may send before the next WINDOW_UPDATE; negative after the peer shrank its window (RFC 9113 6.9.2). */
  sendWindowBytes = 0;
  receiveWindowBytes = 0;
  /** Of the content-length field: -1 without one, else the bytes that are still to come. */
  contentBytesLeft = -1;
  /** Message bytes that wait for window or turn: queue.bytes[queueStart, queue.position). */
  queue: ByteWriter | undefined = undefined;
  queueStart = 0;
  producer: Producer | undefined = undefined;
  endMode: EndMode = END_NONE;
  priority = PRIORITY_UNARY;
  /** It is in the send queue. */
  isScheduled = false;
  /** The class it waits in, and its neighbours there. */
  scheduledPriority = PRIORITY_UNARY;
  sendPrevious: Http2Stream | undefined = undefined;
  sendNext: Http2Stream | undefined = undefined;
  /** The owner saw `isWritable` false and waits for `onWritable`. */
  isAwaitingRoom = false;
  /** A header block was sent; on a server the next one is trailers. */
  headersSent = false;

  /** Back to the first state, for another id. */
  reset(id: number): void {
    assert(!this.isScheduled, "a stream in the send queue is not reused");
    this.id = id;
    this.next = undefined;
    this.remote = HALF_OPEN;
    this.local = HALF_OPEN;
    this.isOwnerDone = false;
    this.contentBytesLeft = -1;
    this.queueStart = 0;
    this.producer = undefined;
    this.endMode = END_NONE;
    this.priority = PRIORITY_UNARY;
    this.isAwaitingRoom = false;
    this.headersSent = false;
    const queue = this.queue;
    if (queue === undefined) return;
    queue.position = 0;
    // A large answer's buffer does not stay with the pool.
    if (queue.bytes.length > POOLED_SIZE_BYTES_MAX) this.queue = undefined;
  }

  queuedBytes(): number {
    return this.queue === undefined ? 0 : this.queue.position - this.queueStart;
  }
}

/**
 * Streams by id. Ids of one peer go up by two, so `id / 2` modulo the size spreads without collisions as long as the
 * streams that are open at once are neighbours; chains take the rest.
 */
export class StreamTable {
  #buckets: (Http2Stream | undefined)[] = new Array<Http2Stream | undefined>(16).fill(undefined);
  #mask = 15;
  count = 0;

  find(id: number): Http2Stream | undefined {
    let stream = this.#buckets[(id >>> 1) & this.#mask];
    while (stream !== undefined && stream.id !== id) stream = stream.next;
    return stream;
  }

  add(stream: Http2Stream): void {
    if (this.count > this.#mask) this.#grow();
    const bucket = (stream.id >>> 1) & this.#mask;
    stream.next = this.#buckets[bucket];
    this.#buckets[bucket] = stream;
    this.count++;
  }

  remove(stream: Http2Stream): void {
    const bucket = (stream.id >>> 1) & this.#mask;
    let current = this.#buckets[bucket];
    if (current === stream) this.#buckets[bucket] = stream.next;
    else {
      while (current !== undefined && current.next !== stream) current = current.next;
      assert(current !== undefined, "a stream that leaves the table is in it");
      current.next = stream.next;
    }
    stream.next = undefined;
    this.count--;
  }

  /** All streams, in no order; a copy, so that the visitor may remove them. */
  all(): Http2Stream[] {
    const streams: Http2Stream[] = [];
    for (const bucket of this.#buckets) {
      for (let stream = bucket; stream !== undefined; stream = stream.next) streams.push(stream);
    }
    return streams;
  }

  #grow(): void {
    const streams = this.all();
    this.#mask = this.#mask * 2 + 1;
    this.#buckets = new Array<Http2Stream | undefined>(this.#mask + 1).fill(undefined);
    this.count = 0;
    for (const stream of streams) this.add(stream);
  }
}
