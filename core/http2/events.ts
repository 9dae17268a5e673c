// The contract between an HTTP/2 connection and the layer above it.

import type { Clock } from "../base/ports.ts";
import type { HeaderBlock } from "./header-block.ts";
import type { TransportLimits } from "./limits.ts";
import type { Http2Stream } from "./stream.ts";

/** What the layer above a connection answers to. All calls come from within `receive`, `takeOutput` or `onDeadline`. */
export interface Http2Events {
  /** A stream object was made: hang the owner's object on `stream.context`. Called once, not per reuse. */
  attach(stream: Http2Stream): void;
  /** Server: a request. Client: a response, or its trailers (then `isEnd`). */
  onHeaders(stream: Http2Stream, block: HeaderBlock, isEnd: boolean): void;
  /** Bytes are valid during the call. Five parameters: once per request, an object would cost. */
  onData(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, isEnd: boolean): void;
  /** The stream was cut off, by whoever; the owner still owes `releaseStream`. */
  onReset(stream: Http2Stream, code: number): void;
  /** There is room in the stream's queue again, after `isWritable` was false. */
  onRoom(stream: Http2Stream): void;
  /** The queue is empty: write the trailers now (END_TRAILERS). */
  writeTrailers(stream: Http2Stream): void;
  /** The peer will take no new streams; client streams above `lastStreamId` were not processed and are reset after this call. */
  onGoaway(lastStreamId: number, code: number, text: string): void;
  /** The connection has ended; every stream got its `onReset` before. */
  onClosed(reason: string): void;
}

export interface Http2Options {
  readonly isServer: boolean;
  readonly clock: Clock;
  readonly limits: TransportLimits;
  /** Streams the peer may have open at once. */
  readonly streamCountMax: number;
  /** Unsent bytes of the connection above which no stream `isWritable`. */
  readonly connectionOutputBytesMax: number;
  /** Time without any progress after which a peer that lets so much pile up is given up, milliseconds. */
  readonly stalledReaderMs: number;
  /** Pings are sent also while no stream is open (servers do). */
  readonly pingsWithoutStreams: boolean;
}
