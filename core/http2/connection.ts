// One HTTP/2 connection as a machine (RFC 9113): bytes in, events and bytes out. Server and client side.
//
//   receive --> FrameReader --> frames --> events.onHeaders / onData / onReset     (events.ts)
//   output.beginMessage / endMessage / endStream --> takeOutput                     (output.ts)
//
// A stream leaves the table when both directions have ended and its owner is done, whichever is last: a peer that
// resets streams quickly still occupies their slots until the work has ended (CVE-2023-44487, CVE-2025-8671).

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { ClosedStreams } from "./closed-streams.ts";
import type { Http2Events, Http2Options } from "./events.ts";
import { FrameReader, type FrameSink } from "./frame-reader.ts";
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
import { Keepalive } from "./keepalive.ts";
import type { TransportLimits } from "./limits.ts";
import { Http2Output, type OutputHost } from "./output.ts";
import { PeerSettings, writeOwnSettings } from "./settings.ts";
import { END_NONE, HALF_ENDED, HALF_OPEN, HALF_RESET, Http2Stream, StreamTable } from "./stream.ts";
import { TokenBucket } from "./token-bucket.ts";

const EMPTY = new Uint8Array(0);
/** So many streams that ended in order may still be reset by a client that gave up: as many as are ever open at once. */
const CROSSINGS_MAX = 100_000;
/** What SETTINGS cost of the budget: they may touch every stream. */
const SETTINGS_COST = 10;
/** Of the limit, what a slow reader has to take in the time it is given: 0.5 MiB in 30 s by default. */
const STALL_PROGRESS_PART = 1 / 8;

export class Http2Connection implements FrameSink, OutputHost {
  readonly output: Http2Output;
  readonly peer = new PeerSettings();
  /** Time as of the last call of `receive`, `onDeadline`. */
  nowMs: number;
  /** Write what is left, then close the socket. */
  closed = false;
  closeReason = "";
  readonly #options: Http2Options;
  readonly #limits: TransportLimits;
  readonly #events: Http2Events;

  // Input.
  readonly #reader: FrameReader;
  #hasSettings = false;
  /** The peer has applied our SETTINGS. */
  #isAcknowledged = false;
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

  /** Since when queued bytes above the limit have made no progress worth the name, and what had left queues then. */
  #stalledSinceMs = Infinity;
  #stalledAtBytes = 0;

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
  /** Streams that ended in order and for which no reset has come since: each can be given up by its client once. */
  #crossingsLeft = 0;
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
    this.#reader = new FrameReader(this, options.isServer);
    this.output = new Http2Output(this, limits, options.connectionOutputBytesMax);
    this.#handshakeDeadlineMs = nowMs + limits.handshakeMs;
    this.#keepalive = new Keepalive(limits, nowMs);
    this.#resetBudget = new TokenBucket(limits.resetBurst, limits.resetPerSecond, nowMs);
    this.#faultBudget = new TokenBucket(limits.faultBurst, limits.faultPerSecond, nowMs);
    this.#idleFrameBudget = new TokenBucket(limits.idleFrameBurst, limits.idleFramePerSecond, nowMs);
    this.#windowUpdateBudget = new TokenBucket(limits.windowUpdateBurst, limits.windowUpdatePerSecond, nowMs);
    if (!options.isServer) this.output.out.raw(PREFACE, 0, PREFACE.length);
    writeOwnSettings(this.output.out, options);
    const increment = limits.connectionWindowBytes - WINDOW_SIZE_DEFAULT;
    if (increment > 0) writeWindowUpdate(this.output.out, 0, increment);
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
    return this.output.isBlockedBySocket;
  }

  /** All output that may go out now, as one view that is valid until the next call; empty when there is none. */
  takeOutput(): Uint8Array {
    const output = this.output.take();
    this.#watchForStall();
    return output;
  }

  // ---- Input -------------------------------------------------------------------------------------------------------

  /** Takes bytes as they came from the peer; keeps none of them. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    if (this.closed) return;
    this.nowMs = this.#options.clock.now();
    this.#keepalive.heard(this.nowMs);
    try {
      const completedCount = this.#reader.completedCount;
      this.#reader.read(bytes, start, end);
      this.#watchFrames(completedCount);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      this.fail(error.code, error.message);
    }
  }

  /** A frame or header block that stays incomplete for long holds memory for nothing (slow loris). */
  #watchFrames(completedCountBefore: number): void {
    if (!this.#reader.isPartial && this.#headersStreamId === 0) this.#frameDeadlineMs = Infinity;
    else if (this.#frameDeadlineMs === Infinity || this.#reader.completedCount !== completedCountBefore) {
      this.#frameDeadlineMs = this.nowMs + this.#limits.frameMs;
    }
  }

  onFrame(bytes: Uint8Array, start: number, end: number): void {
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

  #spend(budget: TokenBucket, count = 1): void {
    if (budget.take(this.nowMs, count)) return;
    throw new ConnectionError(ENHANCE_YOUR_CALM, "too many frames that ask for nothing");
  }

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
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
    writeWindowUpdate(this.output.out, 0, full - this.#receiveWindowBytes);
    this.#receiveWindowBytes = full;
  }

  #refillStream(stream: Http2Stream): void {
    const full = this.#limits.streamWindowBytes;
    if (stream.receiveWindowBytes > full / 2) return;
    writeWindowUpdate(this.output.out, stream.id, full - stream.receiveWindowBytes);
    stream.receiveWindowBytes = full;
  }

  /** DATA or HEADERS behind the end of a stream that is still in the table. */
  #onStrayFrame(stream: Http2Stream): void {
    if (stream.remote === HALF_RESET) return; // it was on its way: RFC 9113 5.1
    if (stream.local !== HALF_RESET) return this.resetStream(stream, STREAM_CLOSED);
    writeRstStream(this.output.out, stream.id, STREAM_CLOSED);
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

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
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

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
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

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
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
    const stream = this.#streams.find(id);
    // A caller whose time is over gives up; only a client that asks and takes back at once makes work for nothing.
    const isLate = stream !== undefined && this.nowMs - stream.openedMs >= this.#limits.resetFreeMs;
    // One that crossed the answer: the client gave up while it was on its way.
    const isCrossing = stream === undefined && this.#crossingsLeft > 0;
    if (isCrossing) this.#crossingsLeft--;
    else if (this.#options.isServer && !isLate) this.#spend(this.#resetBudget);
    if (stream === undefined || stream.local === HALF_RESET) return;
    stream.remote = HALF_ENDED; // the peer has promised to send no more
    this.#cutOff(stream, readUint32(bytes, payload));
  }

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
  #onSettings(bytes: Uint8Array, payload: number, end: number, flags: number, id: number): void {
    if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, "SETTINGS on a stream");
    if ((flags & FLAG_ACK) !== 0) {
      if (payload !== end) throw new ConnectionError(FRAME_SIZE_ERROR, "an acknowledgement with settings");
      this.#spend(this.#idleFrameBudget);
      return this.#onSettingsAcknowledged();
    }
    this.#hasSettings = true;
    this.#handshakeDeadlineMs = Infinity;
    this.#spend(this.#idleFrameBudget, SETTINGS_COST); // CVE-2019-9515
    const windowBefore = this.peer.initialWindowBytes;
    this.peer.apply(bytes, payload, end);
    this.output.encoder.limitTable(this.peer.headerTableSizeBytes);
    const change = this.peer.initialWindowBytes - windowBefore;
    if (change !== 0) this.#changeWindows(change);
    writeFrameHeader(this.output.out, 0, FRAME_SETTINGS, FLAG_ACK, 0);
  }

  // Until then the peer may count on the default window, should ours be smaller (RFC 9113 6.9.2).
  #onSettingsAcknowledged(): void {
    if (this.#isAcknowledged) return;
    this.#isAcknowledged = true;
    const change = this.#limits.streamWindowBytes - WINDOW_SIZE_DEFAULT;
    if (change >= 0) return;
    for (const stream of this.#streams.all()) {
      stream.receiveWindowBytes += change;
      if (stream.remote === HALF_OPEN) this.#refillStream(stream);
    }
  }

  // RFC 9113 6.9.2: the change applies to all streams, and may make their windows negative.
  #changeWindows(change: number): void {
    for (const stream of this.#streams.all()) {
      if (stream.sendWindowBytes + change > WINDOW_SIZE_MAX) {
        throw new ConnectionError(FLOW_CONTROL_ERROR, "SETTINGS overflow a stream's window");
      }
      stream.sendWindowBytes += change;
      this.output.schedule(stream);
    }
  }

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
  #onPing(bytes: Uint8Array, payload: number, end: number, flags: number, id: number): void {
    if (id !== 0) throw new ConnectionError(PROTOCOL_ERROR, "PING on a stream");
    if (end - payload !== 8) throw new ConnectionError(FRAME_SIZE_ERROR, "PING is eight bytes");
    if ((flags & FLAG_ACK) !== 0) {
      this.#keepalive.acknowledged();
      if (this.#drain === 1) this.#finishDrain();
      return;
    }
    const isAbusive = this.#keepalive.isAbusive(this.nowMs, this.#streams.count);
    if (this.#options.isServer && isAbusive) throw new ConnectionError(ENHANCE_YOUR_CALM, "too_many_pings");
    if (!this.#keepalive.wasFree) this.#spend(this.#idleFrameBudget); // CVE-2019-9512
    writeFrameHeader(this.output.out, 8, FRAME_PING, FLAG_ACK, 0);
    this.output.out.raw(bytes, payload, end);
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
      for (const stream of this.#streams.all()) {
        if (stream.id > streamIdLast) this.#cutOff(stream, REFUSED_STREAM);
      }
    }
    this.#closeWhenIdle();
  }

  #onWindowUpdate(bytes: Uint8Array, payload: number, end: number, id: number): void {
    if (end - payload !== 4) throw new ConnectionError(FRAME_SIZE_ERROR, "WINDOW_UPDATE is four bytes");
    this.#spend(this.#windowUpdateBudget);
    const increment = readUint31(bytes, payload);
    if (id === 0) {
      if (increment === 0) throw new ConnectionError(PROTOCOL_ERROR, "WINDOW_UPDATE by nothing");
      this.output.windowBytes += increment; // far below 2^53, so the sum is exact (CVE-2026-21714)
      if (this.output.windowBytes > WINDOW_SIZE_MAX)
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
    this.output.schedule(stream);
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
    stream.openedMs = this.nowMs;
    stream.sendWindowBytes = this.peer.initialWindowBytes;
    const windowBytes = this.#limits.streamWindowBytes;
    stream.receiveWindowBytes = this.#isAcknowledged
      ? windowBytes
      : Math.max(windowBytes, WINDOW_SIZE_DEFAULT);
    this.#streams.add(stream);
    return stream;
  }

  /** The owner will not touch the stream again. Call `endStream` or `resetStream` before. */
  releaseStream(stream: Http2Stream): void {
    assert(!stream.isOwnerDone, "a stream is released once");
    stream.isOwnerDone = true;
    this.settle(stream);
  }

  /** Takes a stream out of the table once both directions have ended and its owner is done. */
  settle(stream: Http2Stream): void {
    if (!stream.isOwnerDone) return;
    if (stream.local === HALF_OPEN) {
      // Our queue still has something to say, and the peer wants to hear it.
      if (stream.endMode !== END_NONE && (stream.remote === HALF_OPEN || this.#options.isServer)) return;
      this.output.drop(stream);
      writeRstStream(this.output.out, stream.id, CANCEL);
      stream.local = HALF_RESET;
      stream.remote = HALF_RESET;
    }
    // RFC 9113 8.1: the answer is complete, the rest of the request is not wanted.
    if (stream.remote === HALF_OPEN) {
      writeRstStream(this.output.out, stream.id, NO_ERROR);
      stream.remote = HALF_RESET;
      stream.local = HALF_RESET;
    }
    if (stream.local === HALF_ENDED && stream.remote === HALF_ENDED) {
      this.#resetBudget.credit(1);
      this.#crossingsLeft = Math.min(this.#crossingsLeft + 1, CROSSINGS_MAX);
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
    writeRstStream(this.output.out, stream.id, code);
    // A client that makes us reset streams is as costly as one that resets them itself (CVE-2025-8671).
    if (this.#options.isServer) this.#spend(this.#faultBudget);
    this.#cutOff(stream, code);
  }

  /** The owner gives a stream up; no event. `releaseStream` still follows. */
  cancelStream(stream: Http2Stream, code: number): void {
    if (stream.local === HALF_RESET) return;
    if (stream.local === HALF_OPEN || stream.remote === HALF_OPEN)
      writeRstStream(this.output.out, stream.id, code);
    this.output.drop(stream);
    stream.local = HALF_RESET;
    stream.remote = HALF_RESET;
  }

  #cutOff(stream: Http2Stream, code: number): void {
    this.output.drop(stream);
    stream.local = HALF_RESET;
    if (stream.remote === HALF_OPEN) stream.remote = HALF_RESET;
    if (stream.isOwnerDone) this.settle(stream);
    else this.#events.onReset(stream, code);
  }

  /** Refuses a stream that never came to be. */
  #refuse(id: number, code: number): void {
    writeRstStream(this.output.out, id, code);
    this.#closedStreams.add(id, true);
    if (this.#options.isServer) this.#spend(this.#faultBudget);
  }

  // ---- The connection as a whole -----------------------------------------------------------------------------------

  /** Ends in order: no new streams, those that run are finished (RFC 9113 6.8). */
  drain(): void {
    if (this.closed || this.#drain !== 0) return;
    this.#drain = 1;
    if (!this.#options.isServer) return this.#finishDrain();
    writeGoaway(this.output.out, STREAM_ID_MAX, NO_ERROR, "");
    this.#keepalive.ping(this.output.out, this.#options.clock.now());
  }

  #finishDrain(): void {
    this.#drain = 2;
    writeGoaway(this.output.out, this.#peerStreamIdLast, NO_ERROR, "");
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
    writeGoaway(this.output.out, this.#peerStreamIdLast, code, text);
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
    if (!this.closed) this.#keepalive.ping(this.output.out, this.#options.clock.now());
  }

  // A peer that takes next to nothing while more than the limit waits, or that lets output pile up beyond all bounds. A
  // frame now and then is no progress: it would keep all of the rest in memory.
  #watchForStall(): void {
    const { queuedBytes, dequeuedBytes } = this.output;
    if (queuedBytes > this.#limits.outputBytesKill)
      return this.fail(ENHANCE_YOUR_CALM, "too much unread output");
    const limitBytes = this.#options.connectionOutputBytesMax;
    if (queuedBytes <= limitBytes) this.#stalledSinceMs = Infinity;
    else if (
      this.#stalledSinceMs === Infinity ||
      dequeuedBytes - this.#stalledAtBytes >= limitBytes * STALL_PROGRESS_PART
    ) {
      this.#stalledSinceMs = this.#options.clock.now();
      this.#stalledAtBytes = dequeuedBytes;
    }
  }

  onRoom(stream: Http2Stream): void {
    this.#events.onRoom(stream);
  }

  writeTrailers(stream: Http2Stream): void {
    this.#events.writeTrailers(stream);
  }

  sentHeaders(): void {
    this.#keepalive.sent();
  }

  sentData(isWorthy: boolean): void {
    this.#keepalive.sent();
    if (isWorthy) this.#windowUpdateBudget.credit(2);
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
    if (!this.#keepalive.isWaiting) return this.#keepalive.ping(this.output.out, nowMs);
    // The peer did not see the first GOAWAY of a drain, or does not answer at all.
    this.close("a ping was not answered in time");
  }
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
