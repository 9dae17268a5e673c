// One HTTP/2 connection as a machine (RFC 9113): bytes in, events and bytes out. Server and client side.
//
//   receive(bytes) --> frames --> events.onHeaders / onData / onReset
//   beginMessage / endMessage / endStream --> out (or a stream's queue) --> takeOutput()
//
// A small message is written straight into the output, behind a frame header that is patched once the size is known.
// What does not fit the windows or the slice waits in its stream's queue and is framed by `takeOutput`, most urgent
// first (send-queue.ts). The input side that has no state of its own is in `frame-checks.ts`.
//
// A stream leaves the table when both directions have ended and its owner is done, whichever is last: a peer that
// resets streams quickly still occupies their slots until the work has ended (CVE-2023-44487, CVE-2025-8671).

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import type { Clock } from "../base/ports.ts";
import { ClosedStreams } from "./closed-streams.ts";
import {
  CANCEL,
  ConnectionError,
  ENHANCE_YOUR_CALM,
  FLAG_ACK,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FLAG_PRIORITY,
  FLOW_CONTROL_ERROR,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADER_SIZE_BYTES,
  FRAME_HEADERS,
  FRAME_PAYLOAD_SIZE_BYTES_MAX,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_SIZE_ERROR,
  FRAME_WINDOW_UPDATE,
  INTERNAL_ERROR,
  NO_ERROR,
  PREFACE,
  PROTOCOL_ERROR,
  patchFrameHeader,
  readUint31,
  readUint32,
  REFUSED_STREAM,
  SETTINGS_TIMEOUT,
  STREAM_CLOSED,
  STREAM_ID_MAX,
  WINDOW_SIZE_DEFAULT,
  WINDOW_SIZE_MAX,
  writeFrameHeader,
  writeGoaway,
  writeRstStream,
  writeWindowUpdate,
} from "./frames.ts";
import { type HeaderBlock } from "./header-block.ts";
import { HeaderMemo } from "./header-memo.ts";
import { HpackDecoder } from "./hpack-decode.ts";
import { HpackEncoder } from "./hpack-encode.ts";
import { Keepalive } from "./keepalive.ts";
import type { TransportLimits } from "./limits.ts";
import { SendQueue } from "./send-queue.ts";
import { PeerSettings, writeOwnSettings } from "./settings.ts";
import {
  END_DATA,
  END_NONE,
  END_TRAILERS,
  type EndMode,
  HALF_ENDED,
  HALF_OPEN,
  HALF_RESET,
  Http2Stream,
  type Producer,
  StreamTable,
} from "./stream.ts";
import { TokenBucket } from "./token-bucket.ts";

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

const EMPTY = new Uint8Array(0);
const OUTPUT_SIZE_BYTES_FIRST = 2048;

export class Http2Connection {
  /** Bytes that are framed and may go out. */
  out = new ByteWriter(OUTPUT_SIZE_BYTES_FIRST);
  readonly encoder = new HpackEncoder();
  readonly peer = new PeerSettings();
  /** Time as of the last call of `receive`, `onDeadline`. */
  nowMs: number;
  /** Write what is left, then close the socket. */
  closed = false;
  closeReason = "";
  /** The writer of the message that is being written, and where it starts there. */
  messageWriter: ByteWriter = this.out;
  messageStart = 0;

  readonly #options: Http2Options;
  readonly #limits: TransportLimits;
  readonly #events: Http2Events;
  #spare = new ByteWriter(OUTPUT_SIZE_BYTES_FIRST);
  /** Takes what is written to streams that are cut off. */
  readonly #scrap = new ByteWriter(64);

  // Input.
  /** A frame whose end has not arrived; or an incomplete preface. */
  readonly #partial = new ByteWriter(64);
  #prefaceLeft: number;
  #hasSettings = false;
  readonly #decoder: HpackDecoder;
  readonly #memo = new HeaderMemo();
  /** The stream whose header block is incomplete; 0 when none is. */
  #headersStreamId = 0;
  #headersIsEnd = false;
  #continuationCount = 0;
  readonly #headerBytes = new ByteWriter(64);
  #receiveWindowBytes = WINDOW_SIZE_DEFAULT;
  #frameDeadlineMs = Infinity;
  #handshakeDeadlineMs: number;

  // Output.
  readonly #sendQueue = new SendQueue();
  #sendWindowBytes = WINDOW_SIZE_DEFAULT;
  /** Bytes in the queues of all streams. */
  #queuedBytes = 0;
  /** Streams that saw `isWritable` false since there was room last; some may have been told already. */
  #awaitingRoom: Http2Stream[] = [];
  #messageStream: Http2Stream | undefined = undefined;
  /** Since when queued bytes above the limit have made no progress. */
  #stalledSinceMs = Infinity;

  // Streams.
  readonly #streams = new StreamTable();
  #pool: Http2Stream | undefined = undefined;
  #poolCount = 0;
  readonly #closedStreams = new ClosedStreams();
  /** The highest id the peer opened, and the next one of ours (client). */
  #peerStreamIdLast = 0;
  #streamIdNext = 1;
  /** No new streams of ours (GOAWAY received). */
  #isGoawayReceived = false;
  /** Drain: none, GOAWAY with the highest id is out and a ping tells when the peer saw it, last GOAWAY is out. */
  #drain: 0 | 1 | 2 = 0;

  readonly #keepalive: Keepalive;
  readonly #resetBudget: TokenBucket;
  readonly #faultBudget: TokenBucket;
  readonly #idleFrameBudget: TokenBucket;
  readonly #windowUpdateBudget: TokenBucket;

  constructor(options: Http2Options, events: Http2Events) {
    const limits = options.limits;
    const nowMs = options.clock.now();
    this.#options = options;
    this.#limits = limits;
    this.#events = events;
    this.nowMs = nowMs;
    this.#decoder = new HpackDecoder(limits.headerListSizeBytesMax);
    this.#prefaceLeft = options.isServer ? PREFACE.length : 0;
    this.#handshakeDeadlineMs = nowMs + limits.handshakeMs;
    this.#keepalive = new Keepalive(limits, nowMs);
    this.#resetBudget = new TokenBucket(limits.resetBurst, limits.resetPerSecond, nowMs);
    this.#faultBudget = new TokenBucket(limits.faultBurst, limits.faultPerSecond, nowMs);
    this.#idleFrameBudget = new TokenBucket(limits.idleFrameBurst, limits.idleFramePerSecond, nowMs);
    this.#windowUpdateBudget = new TokenBucket(limits.windowUpdateBurst, limits.windowUpdatePerSecond, nowMs);
    if (!options.isServer) this.out.raw(PREFACE, 0, PREFACE.length);
    writeOwnSettings(this.out, options);
    const increment = limits.connectionWindowBytes - WINDOW_SIZE_DEFAULT;
    if (increment > 0) writeWindowUpdate(this.out, 0, increment);
    this.#receiveWindowBytes = Math.max(limits.connectionWindowBytes, WINDOW_SIZE_DEFAULT);
  }

  /** All streams, as a copy. */
  streams(): Http2Stream[] {
    return this.#streams.all();
  }

  get streamCount(): number {
    return this.#streams.count;
  }

  /** The peer's first SETTINGS have arrived. */
  get isReady(): boolean {
    return this.#hasSettings;
  }

  /** More input would only pile up output that the socket does not take (CVE-2019-9512, CVE-2019-9515). */
  get isReadPaused(): boolean {
    return this.out.position > this.#limits.outputPendingBytesMax;
  }

  /** Output waits, framed or not. */
  get hasOutput(): boolean {
    return this.out.position > 0 || (this.#sendQueue.count > 0 && this.#sendWindowBytes > 0);
  }

  get unsentBytes(): number {
    return this.out.position + this.#queuedBytes;
  }

  // ---- Input -------------------------------------------------------------------------------------------------------

  /** Takes bytes as they came from the peer; keeps none of them. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    if (this.closed) return;
    this.nowMs = this.#options.clock.now();
    this.#keepalive.heard(this.nowMs);
    try {
      this.#consume(bytes, start, end);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.fail(error.code, error.message);
    }
  }

  #consume(bytes: Uint8Array, start: number, end: number): void {
    let position = start;
    if (this.#prefaceLeft > 0) position = this.#takePreface(bytes, position, end);
    if (this.#partial.position > 0) position = this.#completeFrame(bytes, position, end);
    while (end - position >= FRAME_HEADER_SIZE_BYTES && !this.closed) {
      const length = frameLength(bytes, position);
      const next = position + FRAME_HEADER_SIZE_BYTES + length;
      if (next > end) break;
      this.#onFrame(bytes, position, next);
      position = next;
    }
    if (this.closed) return;
    if (position < end) this.#partial.raw(bytes, position, end);
    if (this.#partial.position === 0 && this.#headersStreamId === 0) this.#frameDeadlineMs = Infinity;
    else if (this.#frameDeadlineMs === Infinity) this.#frameDeadlineMs = this.nowMs + this.#limits.frameMs;
  }

  #takePreface(bytes: Uint8Array, start: number, end: number): number {
    let position = start;
    while (position < end && this.#prefaceLeft > 0) {
      if (bytes[position++] !== PREFACE[PREFACE.length - this.#prefaceLeft--]) {
        throw new ConnectionError(PROTOCOL_ERROR, "not an HTTP/2 preface");
      }
    }
    return position;
  }

  /** Adds to the frame that began in an earlier chunk, and handles it once it is whole. */
  #completeFrame(bytes: Uint8Array, start: number, end: number): number {
    const partial = this.#partial;
    let position = start;
    while (partial.position < FRAME_HEADER_SIZE_BYTES && position < end) partial.byte(bytes[position++]!);
    if (partial.position < FRAME_HEADER_SIZE_BYTES) return position;
    const size = FRAME_HEADER_SIZE_BYTES + frameLength(partial.bytes, 0);
    const taken = Math.min(size - partial.position, end - position);
    partial.raw(bytes, position, position + taken);
    position += taken;
    if (partial.position < size) return position;
    partial.reset();
    this.#frameDeadlineMs = Infinity;
    this.#onFrame(partial.bytes, 0, size);
    return position;
  }

  #onFrame(bytes: Uint8Array, start: number, end: number): void {
    const type = bytes[start + 3]!;
    const flags = bytes[start + 4]!;
    const id = readUint31(bytes, start + 5);
    const payload = start + FRAME_HEADER_SIZE_BYTES;
    if (this.#headersStreamId !== 0 && (type !== FRAME_CONTINUATION || id !== this.#headersStreamId)) {
      throw new ConnectionError(PROTOCOL_ERROR, "a frame inside of a header block"); // RFC 9113 4.3
    }
    if (!this.#hasSettings && (type !== FRAME_SETTINGS || (flags & FLAG_ACK) !== 0)) {
      throw new ConnectionError(PROTOCOL_ERROR, "the first frame is not SETTINGS"); // RFC 9113 3.4
    }
    switch (type) {
      case FRAME_DATA:
        return this.#onData(bytes, payload, end, flags, id);
      case FRAME_HEADERS:
        return this.#onHeaders(bytes, payload, end, flags, id);
      case FRAME_PRIORITY:
        return this.#onPriority(bytes, payload, end, id);
      case FRAME_RST_STREAM:
        return this.#onRstStream(bytes, payload, end, id);
      case FRAME_SETTINGS:
        return this.#onSettings(bytes, payload, end, flags, id);
      case FRAME_PUSH_PROMISE:
        throw new ConnectionError(PROTOCOL_ERROR, "PUSH_PROMISE"); // we neither push nor allow it: RFC 9113 8.4
      case FRAME_PING:
        return this.#onPing(bytes, payload, end, flags, id);
      case FRAME_GOAWAY:
        return this.#onGoaway(bytes, payload, end, id);
      case FRAME_WINDOW_UPDATE:
        return this.#onWindowUpdate(bytes, payload, end, id);
      case FRAME_CONTINUATION:
        return this.#onContinuation(bytes, payload, end, flags, id);
      default:
        return this.#spend(this.#idleFrameBudget); // unknown types are ignored: RFC 9113 4.1
    }
  }

  #spend(budget: TokenBucket): void {
    if (!budget.take(this.nowMs))
      throw new ConnectionError(ENHANCE_YOUR_CALM, "too many frames that ask for nothing");
  }

  #onData(bytes: Uint8Array, payload: number, end: number, flags: number, id: number): void {
    const sizeBytes = end - payload; // padding counts: RFC 9113 6.9.1
    this.#receiveWindowBytes -= sizeBytes;
    if (this.#receiveWindowBytes < 0)
      throw new ConnectionError(FLOW_CONTROL_ERROR, "more than the connection's window");
    this.#refillConnection();
    let start = payload;
    if ((flags & FLAG_PADDED) !== 0) {
      end = unpadded(bytes, payload, end);
      start++;
    }
    const stream = this.#streams.find(id);
    if (stream === undefined) return this.#onFrameOfNoStream(id);
    if (stream.remote !== HALF_OPEN) return this.#onStrayFrame(stream);
    const isEnd = (flags & FLAG_END_STREAM) !== 0;
    if (start === end && !isEnd) this.#spend(this.#idleFrameBudget); // CVE-2019-9518
    stream.receiveWindowBytes -= sizeBytes;
    if (stream.receiveWindowBytes < 0) return this.resetStream(stream, FLOW_CONTROL_ERROR);
    if (stream.contentBytesLeft >= 0 && !takeContent(stream, end - start, isEnd)) {
      return this.resetStream(stream, PROTOCOL_ERROR);
    }
    if (isEnd) stream.remote = HALF_ENDED;
    else this.#refillStream(stream);
    this.#events.onData(stream, bytes, start, end, isEnd);
  }

  #refillConnection(): void {
    const full = this.#limits.connectionWindowBytes;
    if (this.#receiveWindowBytes > full / 2) return;
    writeWindowUpdate(this.out, 0, full - this.#receiveWindowBytes);
    this.#receiveWindowBytes = full;
  }

  #refillStream(stream: Http2Stream): void {
    const full = this.#limits.streamWindowBytes;
    if (stream.receiveWindowBytes > full / 2) return;
    writeWindowUpdate(this.out, stream.id, full - stream.receiveWindowBytes);
    stream.receiveWindowBytes = full;
  }

  /** DATA or HEADERS behind the end of a stream that is still in the table. */
  #onStrayFrame(stream: Http2Stream): void {
    if (stream.remote === HALF_RESET) return; // it was on its way: RFC 9113 5.1
    if (stream.local !== HALF_RESET) return this.resetStream(stream, STREAM_CLOSED);
    writeRstStream(this.out, stream.id, STREAM_CLOSED);
    this.#spend(this.#faultBudget);
  }

  /** DATA for a stream that is not in the table. */
  #onFrameOfNoStream(id: number): void {
    if (this.#isIdle(id)) throw new ConnectionError(PROTOCOL_ERROR, "a frame of an idle stream");
    // It was on its way: RFC 9113 5.1. A server that sends too much costs a client nothing.
    if (!this.#options.isServer || this.#closedStreams.wasResetByUs(id)) return;
    this.#refuse(id, STREAM_CLOSED);
  }

  /** Never opened: RFC 9113 5.1.1. */
  #isIdle(id: number): boolean {
    if (id === 0) return true;
    if ((id & 1) === 1)
      return this.#options.isServer ? id > this.#peerStreamIdLast : id >= this.#streamIdNext;
    return true;
  }

  #onHeaders(bytes: Uint8Array, payload: number, end: number, flags: number, id: number): void {
    let start = payload;
    if ((flags & FLAG_PADDED) !== 0) {
      end = unpadded(bytes, payload, end);
      start++;
    }
    let dependsOnSelf = false;
    if ((flags & FLAG_PRIORITY) !== 0) {
      if (end - start < 5)
        throw new ConnectionError(FRAME_SIZE_ERROR, "HEADERS without room for its priority");
      dependsOnSelf = readUint31(bytes, start) === id;
      start += 5;
    }
    if (id === 0) throw new ConnectionError(PROTOCOL_ERROR, "HEADERS on stream 0");
    const isEnd = (flags & FLAG_END_STREAM) !== 0;
    if (end - start > this.#limits.headerBlockSizeBytesMax) tooLargeBlock();
    if (dependsOnSelf) throw new ConnectionError(PROTOCOL_ERROR, "a stream that depends on itself"); // RFC 7540 5.3.1
    if ((flags & FLAG_END_HEADERS) !== 0) return this.#onHeaderBlock(bytes, start, end, id, isEnd);
    this.#headersStreamId = id;
    this.#headersIsEnd = isEnd;
    this.#continuationCount = 0;
    this.#headerBytes.reset();
    this.#headerBytes.raw(bytes, start, end);
  }

  #onContinuation(bytes: Uint8Array, start: number, end: number, flags: number, id: number): void {
    if (this.#headersStreamId === 0)
      throw new ConnectionError(PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    const sizeBytes = this.#headerBytes.position + end - start;
    // Checked before anything is kept (CVE-2024-27983, CVE-2023-33953).
    if (++this.#continuationCount > this.#limits.continuationCountMax) tooLargeBlock();
    if (sizeBytes > this.#limits.headerBlockSizeBytesMax) tooLargeBlock();
    this.#headerBytes.raw(bytes, start, end);
    if ((flags & FLAG_END_HEADERS) === 0) return;
    this.#headersStreamId = 0;
    this.#onHeaderBlock(this.#headerBytes.bytes, 0, sizeBytes, id, this.#headersIsEnd);
  }

  #onHeaderBlock(bytes: Uint8Array, start: number, end: number, id: number, isEnd: boolean): void {
    // Always decoded, for the table's sake: RFC 9113 4.3.
    const block = this.#decode(bytes, start, end);
    const stream = this.#streams.find(id);
    if (stream !== undefined) return this.#onBlockOfStream(stream, block, isEnd);
    if (!this.#options.isServer || id <= this.#peerStreamIdLast) return this.#onBlockOfNoStream(id);
    if ((id & 1) === 0) throw new ConnectionError(PROTOCOL_ERROR, "a client's stream with an even id");
    this.#onRequest(id, block, isEnd);
  }

  #decode(bytes: Uint8Array, start: number, end: number): HeaderBlock {
    const version = this.#decoder.version;
    const known = this.#memo.find(bytes, start, end, version);
    if (known !== undefined) return known;
    const block = this.#decoder.decode(bytes, start, end);
    if (this.#decoder.version === version) this.#memo.keep(bytes, start, end, version, block);
    return block;
  }

  #onBlockOfNoStream(id: number): void {
    if (this.#closedStreams.wasResetByUs(id)) return;
    if (!this.#options.isServer && !this.#isIdle(id)) return;
    if (this.#closedStreams.has(id)) throw new ConnectionError(STREAM_CLOSED, "HEADERS on a closed stream");
    throw new ConnectionError(PROTOCOL_ERROR, "a stream id that is not above the last"); // RFC 9113 5.1.1
  }

  #onRequest(id: number, block: HeaderBlock, isEnd: boolean): void {
    if (this.#drain === 2) return; // above the id we announced: RFC 9113 6.8
    this.#peerStreamIdLast = id;
    if (this.#streams.count >= this.#options.streamCountMax) return this.#refuse(id, REFUSED_STREAM);
    if (block.tooLarge) return this.#refuse(id, ENHANCE_YOUR_CALM);
    if (!block.isRequest()) return this.#refuse(id, PROTOCOL_ERROR);
    if (isEnd && block.contentLength > 0) return this.#refuse(id, PROTOCOL_ERROR); // RFC 9113 8.1.1
    const stream = this.#newStream(id);
    stream.contentBytesLeft = block.contentLength;
    if (isEnd) stream.remote = HALF_ENDED;
    this.#events.onHeaders(stream, block, isEnd);
  }

  #onBlockOfStream(stream: Http2Stream, block: HeaderBlock, isEnd: boolean): void {
    if (stream.remote !== HALF_OPEN) return this.#onStrayFrame(stream);
    if (block.tooLarge) return this.resetStream(stream, ENHANCE_YOUR_CALM);
    if (this.#options.isServer) {
      // The client's trailers, which say nothing to us.
      if (!isEnd || !block.isTrailers()) return this.resetStream(stream, PROTOCOL_ERROR);
      if (stream.contentBytesLeft > 0) return this.resetStream(stream, PROTOCOL_ERROR);
      stream.remote = HALF_ENDED;
      return this.#events.onData(stream, EMPTY, 0, 0, true);
    }
    const isValid = block.status === "" ? isEnd && block.isTrailers() : block.isResponse();
    if (!isValid) return this.resetStream(stream, PROTOCOL_ERROR);
    if (isEnd) stream.remote = HALF_ENDED;
    this.#events.onHeaders(stream, block, isEnd);
  }

  #onPriority(bytes: Uint8Array, payload: number, end: number, id: number): void {
    if (id === 0) throw new ConnectionError(PROTOCOL_ERROR, "PRIORITY on stream 0");
    if (end - payload !== 5) throw new ConnectionError(FRAME_SIZE_ERROR, "PRIORITY is five bytes");
    if (readUint31(bytes, payload) === id)
      throw new ConnectionError(PROTOCOL_ERROR, "a stream that depends on itself");
    this.#spend(this.#idleFrameBudget); // CVE-2019-9513
  }

  #onRstStream(bytes: Uint8Array, payload: number, end: number, id: number): void {
    if (end - payload !== 4) throw new ConnectionError(FRAME_SIZE_ERROR, "RST_STREAM is four bytes");
    if (this.#isIdle(id)) throw new ConnectionError(PROTOCOL_ERROR, "RST_STREAM of an idle stream");
    if (this.#options.isServer) this.#spend(this.#resetBudget);
    const stream = this.#streams.find(id);
    if (stream === undefined || stream.local === HALF_RESET) return;
    stream.remote = HALF_ENDED; // the peer has promised to send no more
    this.#cutOff(stream, readUint32(bytes, payload));
  }

  #onSettings(bytes: Uint8Array, payload: number, end: number, flags: number, id: number): void {
    if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, "SETTINGS on a stream");
    if ((flags & FLAG_ACK) !== 0) {
      if (payload !== end) throw new ConnectionError(FRAME_SIZE_ERROR, "an acknowledgement with settings");
      return this.#spend(this.#idleFrameBudget);
    }
    this.#hasSettings = true;
    this.#handshakeDeadlineMs = Infinity;
    this.#spend(this.#idleFrameBudget); // CVE-2019-9515
    const windowBefore = this.peer.initialWindowBytes;
    this.peer.apply(bytes, payload, end);
    this.encoder.limitTable(this.peer.headerTableSizeBytes);
    const change = this.peer.initialWindowBytes - windowBefore;
    if (change !== 0) this.#changeWindows(change);
    writeFrameHeader(this.out, 0, FRAME_SETTINGS, FLAG_ACK, 0);
  }

  // RFC 9113 6.9.2: the change applies to all streams, and may make their windows negative.
  #changeWindows(change: number): void {
    for (const stream of this.#streams.all()) {
      if (stream.sendWindowBytes + change > WINDOW_SIZE_MAX) {
        throw new ConnectionError(FLOW_CONTROL_ERROR, "SETTINGS overflow a stream's window");
      }
      stream.sendWindowBytes += change;
      this.#schedule(stream);
    }
  }

  #onPing(bytes: Uint8Array, payload: number, end: number, flags: number, id: number): void {
    if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, "PING on a stream");
    if (end - payload !== 8) throw new ConnectionError(FRAME_SIZE_ERROR, "PING is eight bytes");
    if ((flags & FLAG_ACK) !== 0) {
      this.#keepalive.acknowledged();
      if (this.#drain === 1) this.#finishDrain();
      return;
    }
    if (this.#options.isServer && this.#keepalive.isAbusive(this.nowMs, this.#streams.count)) {
      throw new ConnectionError(ENHANCE_YOUR_CALM, "too_many_pings");
    }
    this.#spend(this.#idleFrameBudget); // CVE-2019-9512
    writeFrameHeader(this.out, 8, FRAME_PING, FLAG_ACK, 0);
    this.out.raw(bytes, payload, end);
  }

  #onGoaway(bytes: Uint8Array, payload: number, end: number, id: number): void {
    if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, "GOAWAY on a stream");
    if (end - payload < 8) throw new ConnectionError(FRAME_SIZE_ERROR, "GOAWAY is eight bytes at least");
    this.#spend(this.#idleFrameBudget);
    this.#isGoawayReceived = true;
    const streamIdLast = readUint31(bytes, payload);
    let text = "";
    for (let i = payload + 8; i < end && i < payload + 264; i++) text += String.fromCharCode(bytes[i]!);
    this.#events.onGoaway(streamIdLast, readUint32(bytes, payload + 4), text);
    if (!this.#options.isServer) {
      for (const stream of this.#streams.all())
        if (stream.id > streamIdLast) this.#cutOff(stream, REFUSED_STREAM);
    }
    this.#closeWhenIdle();
  }

  #onWindowUpdate(bytes: Uint8Array, payload: number, end: number, id: number): void {
    if (end - payload !== 4) throw new ConnectionError(FRAME_SIZE_ERROR, "WINDOW_UPDATE is four bytes");
    this.#spend(this.#windowUpdateBudget);
    const increment = readUint31(bytes, payload);
    if (id === 0) {
      if (increment === 0) throw new ConnectionError(PROTOCOL_ERROR, "WINDOW_UPDATE by nothing");
      this.#sendWindowBytes += increment; // far below 2^53, so the sum is exact (CVE-2026-21714)
      if (this.#sendWindowBytes > WINDOW_SIZE_MAX)
        throw new ConnectionError(FLOW_CONTROL_ERROR, "window overflow");
      return;
    }
    const stream = this.#streams.find(id);
    if (stream === undefined) {
      if (this.#isIdle(id)) throw new ConnectionError(PROTOCOL_ERROR, "WINDOW_UPDATE of an idle stream");
      return; // closed: RFC 9113 5.1
    }
    if (stream.local !== HALF_OPEN) return;
    if (increment === 0) return this.resetStream(stream, PROTOCOL_ERROR);
    stream.sendWindowBytes += increment;
    if (stream.sendWindowBytes > WINDOW_SIZE_MAX) return this.resetStream(stream, FLOW_CONTROL_ERROR);
    this.#schedule(stream);
  }

  // ---- Streams -----------------------------------------------------------------------------------------------------

  /** Client: another stream may be opened now. */
  get canOpen(): boolean {
    if (this.closed || this.#isGoawayReceived || this.#drain !== 0) return false;
    return this.#streams.count < this.peer.streamCountMax && this.#streamIdNext <= STREAM_ID_MAX;
  }

  /** Client: no stream will ever be opened on this connection again. */
  get isSpent(): boolean {
    return this.closed || this.#isGoawayReceived || this.#drain !== 0 || this.#streamIdNext > STREAM_ID_MAX;
  }

  openStream(): Http2Stream {
    assert(!this.#options.isServer, "servers open no streams");
    assert(this.canOpen, "openStream() only when canOpen");
    const stream = this.#newStream(this.#streamIdNext);
    this.#streamIdNext += 2;
    return stream;
  }

  #newStream(id: number): Http2Stream {
    let stream = this.#pool;
    if (stream === undefined) {
      stream = new Http2Stream();
      this.#events.attach(stream);
    } else {
      this.#pool = stream.next;
      this.#poolCount--;
    }
    stream.reset(id);
    stream.sendWindowBytes = this.peer.initialWindowBytes;
    stream.receiveWindowBytes = this.#limits.streamWindowBytes;
    this.#streams.add(stream);
    return stream;
  }

  /** The owner will not touch the stream again. Call `endStream` or `resetStream` before. */
  releaseStream(stream: Http2Stream): void {
    assert(!stream.isOwnerDone, "a stream is released once");
    stream.isOwnerDone = true;
    this.#settle(stream);
  }

  #settle(stream: Http2Stream): void {
    if (!stream.isOwnerDone) return;
    if (stream.local === HALF_OPEN) {
      // Our queue still has something to say, and the peer wants to hear it.
      if (stream.endMode !== END_NONE && (stream.remote === HALF_OPEN || this.#options.isServer)) return;
      this.dropOutput(stream);
      writeRstStream(this.out, stream.id, CANCEL);
      stream.local = HALF_RESET;
      stream.remote = HALF_RESET;
    }
    // RFC 9113 8.1: the answer is complete, the rest of the request is not wanted.
    if (stream.remote === HALF_OPEN) {
      writeRstStream(this.out, stream.id, NO_ERROR);
      stream.remote = HALF_RESET;
      stream.local = HALF_RESET;
    }
    this.#closedStreams.add(stream.id, stream.remote === HALF_RESET);
    this.#streams.remove(stream);
    this.#recycle(stream);
    if (this.#drain === 2 || this.#isGoawayReceived) this.#closeWhenIdle();
  }

  #recycle(stream: Http2Stream): void {
    if (this.#poolCount >= this.#limits.poolCountMax) return;
    this.#poolCount++;
    stream.next = this.#pool;
    this.#pool = stream;
  }

  /** Cuts a stream off: RST_STREAM to the peer, `onReset` to the owner. For what the peer did wrong. */
  resetStream(stream: Http2Stream, code: number): void {
    if (stream.local === HALF_RESET) return;
    writeRstStream(this.out, stream.id, code);
    // A client that makes us reset streams is as costly as one that resets them itself (CVE-2025-8671).
    if (this.#options.isServer) this.#spend(this.#faultBudget);
    this.#cutOff(stream, code);
  }

  /** The owner gives a stream up; no event. `releaseStream` still follows. */
  cancelStream(stream: Http2Stream, code: number): void {
    if (stream.local === HALF_RESET) return;
    if (stream.local === HALF_OPEN || stream.remote === HALF_OPEN) writeRstStream(this.out, stream.id, code);
    this.dropOutput(stream);
    stream.local = HALF_RESET;
    stream.remote = HALF_RESET;
  }

  #cutOff(stream: Http2Stream, code: number): void {
    this.dropOutput(stream);
    stream.local = HALF_RESET;
    if (stream.remote === HALF_OPEN) stream.remote = HALF_RESET;
    if (stream.isOwnerDone) this.#settle(stream);
    else this.#events.onReset(stream, code);
  }

  /** Forgets what waits in a stream's queue. */
  dropOutput(stream: Http2Stream): void {
    this.#sendQueue.remove(stream);
    this.#queuedBytes -= stream.queuedBytes();
    stream.queueStart = 0;
    stream.queue?.reset();
    const producer = stream.producer;
    stream.producer = undefined;
    producer?.abandon();
  }

  /** Refuses a stream that never came to be. */
  #refuse(id: number, code: number): void {
    writeRstStream(this.out, id, code);
    this.#closedStreams.add(id, true);
    if (this.#options.isServer) this.#spend(this.#faultBudget);
  }

  // ---- Output ------------------------------------------------------------------------------------------------------

  /** Starts a HEADERS frame; write the block into `out` with `encoder`, then `endHeaders`. */
  beginHeaders(): void {
    assert(this.#messageStream === undefined, "no header block inside of a message");
    this.messageStart = this.out.position + FRAME_HEADER_SIZE_BYTES;
    this.out.ensure(FRAME_HEADER_SIZE_BYTES);
    this.out.position = this.messageStart;
    this.encoder.beginBlock(this.out);
  }

  endHeaders(stream: Http2Stream, isEnd: boolean): void {
    const sizeBytes = this.out.position - this.messageStart;
    const endFlag = isEnd ? FLAG_END_STREAM : 0;
    const at = this.messageStart - FRAME_HEADER_SIZE_BYTES;
    this.#keepalive.sent();
    stream.headersSent = true;
    if (isEnd) stream.local = HALF_ENDED;
    if (sizeBytes <= FRAME_PAYLOAD_SIZE_BYTES_MAX) {
      patchFrameHeader(this.out.bytes, at, sizeBytes, FRAME_HEADERS, FLAG_END_HEADERS | endFlag, stream.id);
      return;
    }
    const block = this.out.bytes.slice(this.messageStart, this.out.position);
    this.out.position = at;
    this.#writeLongBlock(stream.id, block, endFlag);
  }

  #writeLongBlock(id: number, block: Uint8Array, endFlag: number): void {
    for (let start = 0; start < block.length; start += FRAME_PAYLOAD_SIZE_BYTES_MAX) {
      const end = Math.min(block.length, start + FRAME_PAYLOAD_SIZE_BYTES_MAX);
      const flags = (start === 0 ? endFlag : 0) | (end === block.length ? FLAG_END_HEADERS : 0);
      writeFrameHeader(this.out, end - start, start === 0 ? FRAME_HEADERS : FRAME_CONTINUATION, flags, id);
      this.out.raw(block, start, end);
    }
  }

  /** Whether the stream should write more; false asks for `onRoom`. */
  isWritable(stream: Http2Stream): boolean {
    if (stream.queuedBytes() < this.#limits.streamOutputBytesMax && stream.producer === undefined) {
      if (this.unsentBytes < this.#options.connectionOutputBytesMax) return true;
    }
    // A cut-off stream takes everything, into nowhere.
    if (stream.local !== HALF_OPEN) return true;
    if (!stream.isAwaitingRoom) this.#awaitingRoom.push(stream);
    stream.isAwaitingRoom = true;
    return false;
  }

  /** Starts message bytes of a stream. Write them into what comes back, then `endMessage`; nothing else in between. */
  beginMessage(stream: Http2Stream): ByteWriter {
    assert(this.#messageStream === undefined, "one message at a time");
    this.#messageStream = stream;
    const writer = this.#writerFor(stream);
    this.messageWriter = writer;
    if (writer === this.out) {
      writer.ensure(FRAME_HEADER_SIZE_BYTES);
      writer.position += FRAME_HEADER_SIZE_BYTES;
    }
    this.messageStart = writer.position;
    return writer;
  }

  #writerFor(stream: Http2Stream): ByteWriter {
    if (stream.local !== HALF_OPEN || stream.endMode !== END_NONE) {
      this.#scrap.reset();
      return this.#scrap;
    }
    assert(stream.producer === undefined, "nothing is written behind a large message before it is complete");
    // While others wait their turn, direct writers get half of the slice at most, so that none starves.
    const slice =
      this.#sendQueue.count === 0 ? this.#limits.outputSliceBytes : this.#limits.outputSliceBytes / 2;
    const hasWindow = stream.sendWindowBytes > 0 && this.#sendWindowBytes > 0;
    if (hasWindow && stream.queuedBytes() === 0 && this.out.position < slice) return this.out;
    return this.#queueOf(stream);
  }

  /** The stream's queue, its sent part removed when that is most of it. */
  #queueOf(stream: Http2Stream): ByteWriter {
    if (stream.queue === undefined) stream.queue = new ByteWriter(1024);
    const queue = stream.queue;
    if (stream.queueStart > 4096 && stream.queueStart > queue.position / 2) {
      queue.bytes.copyWithin(0, stream.queueStart, queue.position);
      queue.position -= stream.queueStart;
      stream.queueStart = 0;
    }
    return queue;
  }

  endMessage(stream: Http2Stream): void {
    assert(this.#messageStream === stream, "the message that ends is the one that began");
    const writer = this.messageWriter;
    this.#messageStream = undefined;
    if (writer === this.#scrap) return;
    const sizeBytes = writer.position - this.messageStart;
    if (writer !== this.out) {
      this.#queuedBytes += sizeBytes;
      return this.#schedule(stream);
    }
    const isFitting = sizeBytes <= FRAME_PAYLOAD_SIZE_BYTES_MAX && sizeBytes <= stream.sendWindowBytes;
    if (!isFitting || sizeBytes > this.#sendWindowBytes) return this.#moveToQueue(stream, sizeBytes);
    const at = this.messageStart - FRAME_HEADER_SIZE_BYTES;
    patchFrameHeader(writer.bytes, at, sizeBytes, FRAME_DATA, 0, stream.id);
    this.#countData(stream, sizeBytes);
  }

  #countData(stream: Http2Stream, sizeBytes: number): void {
    stream.sendWindowBytes -= sizeBytes;
    this.#sendWindowBytes -= sizeBytes;
    this.#windowUpdateBudget.credit(2);
    this.#keepalive.sent();
  }

  #moveToQueue(stream: Http2Stream, sizeBytes: number): void {
    const queue = this.#queueOf(stream);
    queue.raw(this.out.bytes, this.messageStart, this.out.position);
    this.out.position = this.messageStart - FRAME_HEADER_SIZE_BYTES;
    this.#queuedBytes += sizeBytes;
    this.#schedule(stream);
  }

  /** Hands over bytes that are pulled while the peer takes them. Nothing but `endStream` may follow before they are. */
  sendLarge(stream: Http2Stream, producer: Producer): void {
    assert(stream.producer === undefined, "one large message at a time");
    if (stream.local !== HALF_OPEN) return producer.abandon();
    stream.producer = producer;
    this.#schedule(stream);
  }

  /** Ends our direction once everything before is out. */
  endStream(stream: Http2Stream, mode: EndMode): void {
    if (stream.local !== HALF_OPEN) return;
    assert(stream.endMode === END_NONE, "a stream ends once");
    stream.endMode = mode;
    if (stream.queuedBytes() === 0 && stream.producer === undefined) this.#writeEnd(stream);
  }

  #writeEnd(stream: Http2Stream): void {
    if (stream.endMode === END_TRAILERS) this.#events.writeTrailers(stream);
    else writeFrameHeader(this.out, 0, FRAME_DATA, FLAG_END_STREAM, stream.id);
    stream.local = HALF_ENDED;
  }

  /** Client: ends our direction with the DATA frame that was written last, if it is still at the end of the output. */
  endStreamWithLastFrame(stream: Http2Stream): void {
    if (stream.local !== HALF_OPEN) return;
    const at = this.messageStart - FRAME_HEADER_SIZE_BYTES;
    let isLast = this.messageWriter === this.out && at >= 0 && this.messageStart <= this.out.position;
    if (isLast)
      isLast = this.out.bytes[at + 3] === FRAME_DATA && readUint31(this.out.bytes, at + 5) === stream.id;
    if (!isLast || stream.queuedBytes() > 0 || stream.producer !== undefined)
      return this.endStream(stream, END_DATA);
    this.out.bytes[at + 4] = FLAG_END_STREAM;
    stream.local = HALF_ENDED;
  }

  #schedule(stream: Http2Stream): void {
    if (stream.isScheduled || stream.local !== HALF_OPEN || stream.sendWindowBytes <= 0) return;
    if (stream.queuedBytes() > 0 || stream.producer !== undefined) this.#sendQueue.push(stream);
  }

  /** All output that may go out now, as one view that is valid until the next call; empty when there is none. */
  takeOutput(): Uint8Array {
    assert(this.#messageStream === undefined, "no output in the middle of a message");
    this.messageWriter = this.#scrap;
    this.#frameQueued();
    if (this.#awaitingRoom.length > 0 && this.unsentBytes < this.#options.connectionOutputBytesMax) {
      this.#tellAllRoom();
      this.#frameQueued();
    }
    this.#watchForStall();
    const taken = this.out;
    if (taken.position === 0) return EMPTY;
    const isOversized = this.#spare.bytes.length > 4 * this.#limits.outputSliceBytes;
    this.out = isOversized ? new ByteWriter(OUTPUT_SIZE_BYTES_FIRST) : this.#spare;
    this.out.reset();
    this.#spare = taken;
    return taken.written();
  }

  #frameQueued(): void {
    while (this.#sendQueue.count > 0 && this.#sendWindowBytes > 0) {
      if (this.out.position >= this.#limits.outputSliceBytes) return;
      this.#sendNext(this.#sendQueue.shift());
    }
  }

  /** Streams that wait for the connection rather than for their own queue. */
  #tellAllRoom(): void {
    const waiting = this.#awaitingRoom;
    this.#awaitingRoom = [];
    for (const stream of waiting) {
      this.#tellRoom(stream);
      if (stream.isAwaitingRoom) this.#awaitingRoom.push(stream);
    }
  }

  /** One DATA frame of a stream whose turn it is. */
  #sendNext(stream: Http2Stream): void {
    if (stream.producer !== undefined && stream.queuedBytes() === 0) this.#pull(stream, stream.producer);
    const queuedBytes = stream.queuedBytes();
    const windowBytes = Math.min(stream.sendWindowBytes, this.#sendWindowBytes, FRAME_PAYLOAD_SIZE_BYTES_MAX);
    const sizeBytes = Math.min(queuedBytes, windowBytes);
    assert(sizeBytes > 0, "a stream in the send queue has bytes and window");
    const isLast = sizeBytes === queuedBytes && stream.producer === undefined;
    const isEnd = isLast && stream.endMode === END_DATA;
    writeFrameHeader(this.out, sizeBytes, FRAME_DATA, isEnd ? FLAG_END_STREAM : 0, stream.id);
    this.out.raw(stream.queue!.bytes, stream.queueStart, stream.queueStart + sizeBytes);
    stream.queueStart += sizeBytes;
    this.#queuedBytes -= sizeBytes;
    this.#stalledSinceMs = Infinity;
    this.#countData(stream, sizeBytes);
    if (sizeBytes === queuedBytes) {
      stream.queue!.reset();
      stream.queueStart = 0;
    }
    if (isEnd) stream.local = HALF_ENDED;
    else if (isLast && stream.endMode === END_TRAILERS) this.#writeEnd(stream);
    if (stream.local !== HALF_OPEN) return this.#settle(stream);
    this.#schedule(stream);
  }

  #tellRoom(stream: Http2Stream): void {
    if (!stream.isAwaitingRoom || stream.producer !== undefined) return;
    if (stream.queuedBytes() > this.#limits.streamOutputBytesMax / 2) return;
    if (this.unsentBytes >= this.#options.connectionOutputBytesMax) return;
    stream.isAwaitingRoom = false;
    this.#events.onRoom(stream);
  }

  #pull(stream: Http2Stream, producer: Producer): void {
    const queue = this.#queueOf(stream);
    const before = queue.position;
    const windowBytes = Math.min(stream.sendWindowBytes, this.#sendWindowBytes);
    const roomBytes = Math.max(1024, Math.min(windowBytes, 4 * FRAME_PAYLOAD_SIZE_BYTES_MAX));
    const isDone = producer.pull(queue, roomBytes);
    assert(queue.position > before, "a producer writes something each time");
    this.#queuedBytes += queue.position - before;
    if (isDone) stream.producer = undefined;
  }

  // ---- The connection as a whole -----------------------------------------------------------------------------------

  /** Ends in order: no new streams, those that run are finished (RFC 9113 6.8). */
  drain(): void {
    if (this.closed || this.#drain !== 0) return;
    this.#drain = 1;
    if (!this.#options.isServer) return this.#finishDrain();
    writeGoaway(this.out, STREAM_ID_MAX, NO_ERROR, "");
    this.#keepalive.ping(this.out, this.#options.clock.now());
  }

  #finishDrain(): void {
    this.#drain = 2;
    writeGoaway(this.out, this.#peerStreamIdLast, NO_ERROR, "");
    this.#closeWhenIdle();
  }

  #closeWhenIdle(): void {
    if (this.#streams.count > 0 || this.closed) return;
    if (this.#drain === 2) this.#end("drained");
    else if (this.#isGoawayReceived && !this.#options.isServer) this.#end("the server ended the connection");
  }

  /** Ends with GOAWAY, at once. */
  fail(code: number, text: string): void {
    if (this.closed) return;
    writeGoaway(this.out, this.#peerStreamIdLast, code, text);
    this.#end(text);
  }

  /** The transport is gone. */
  close(reason: string): void {
    if (!this.closed) this.#end(reason);
  }

  #end(reason: string): void {
    this.closed = true;
    this.closeReason = reason;
    // What was framed goes out; what waits does not.
    for (const stream of this.#streams.all()) {
      if (stream.local !== HALF_RESET) this.#cutOff(stream, stream.isOwnerDone ? NO_ERROR : INTERNAL_ERROR);
    }
    this.#events.onClosed(reason);
  }

  /** Client: asks whether the server is still there. */
  ping(): void {
    if (!this.closed) this.#keepalive.ping(this.out, this.#options.clock.now());
  }

  // A peer that grants no window while more than the limit waits, or that lets output pile up beyond all bounds.
  #watchForStall(): void {
    if (this.#queuedBytes > this.#limits.outputBytesKill)
      return this.fail(ENHANCE_YOUR_CALM, "too much unread output");
    if (this.#queuedBytes <= this.#options.connectionOutputBytesMax) this.#stalledSinceMs = Infinity;
    else if (this.#stalledSinceMs === Infinity) this.#stalledSinceMs = this.#options.clock.now();
  }

  nextDeadlineMs(): number {
    if (this.closed) return Infinity;
    const hasStreams = this.#streams.count > 0 || this.#options.pingsWithoutStreams;
    return Math.min(
      this.#handshakeDeadlineMs,
      this.#frameDeadlineMs,
      this.#stalledSinceMs + this.#options.stalledReaderMs,
      this.#keepalive.nextDeadlineMs(hasStreams),
    );
  }

  onDeadline(nowMs: number): void {
    if (this.closed) return;
    this.nowMs = nowMs;
    if (nowMs >= this.#handshakeDeadlineMs) return this.fail(SETTINGS_TIMEOUT, "no SETTINGS in time");
    if (nowMs >= this.#frameDeadlineMs)
      return this.fail(ENHANCE_YOUR_CALM, "a frame was not finished in time");
    if (nowMs >= this.#stalledSinceMs + this.#options.stalledReaderMs) {
      return this.fail(ENHANCE_YOUR_CALM, "output is not read");
    }
    const hasStreams = this.#streams.count > 0 || this.#options.pingsWithoutStreams;
    if (nowMs < this.#keepalive.nextDeadlineMs(hasStreams)) return;
    if (!this.#keepalive.isWaiting) return this.#keepalive.ping(this.out, nowMs);
    // The peer did not see the first GOAWAY of a drain, or does not answer at all.
    this.close("a ping was not answered in time");
  }
}

/** Of a frame's header; more than we take is an error before anything is kept (RFC 9113 4.2). */
function frameLength(bytes: Uint8Array, at: number): number {
  const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (length > FRAME_PAYLOAD_SIZE_BYTES_MAX)
    throw new ConnectionError(FRAME_SIZE_ERROR, "a frame above 16384 bytes");
  return length;
}

/** Where the payload of a padded frame ends (RFC 9113 6.1). */
function unpadded(bytes: Uint8Array, payload: number, end: number): number {
  if (payload === end) throw new ConnectionError(FRAME_SIZE_ERROR, "a padded frame without its length");
  const padding = bytes[payload]!;
  if (payload + 1 + padding > end) throw new ConnectionError(PROTOCOL_ERROR, "more padding than payload");
  return end - padding;
}

/** Counts a body down against its content-length; false when they differ (RFC 9113 8.1.1). */
function takeContent(stream: Http2Stream, sizeBytes: number, isEnd: boolean): boolean {
  stream.contentBytesLeft -= sizeBytes;
  if (stream.contentBytesLeft < 0) return false;
  return !isEnd || stream.contentBytesLeft === 0;
}

function tooLargeBlock(): never {
  throw new ConnectionError(ENHANCE_YOUR_CALM, "a header block above the limit");
}
