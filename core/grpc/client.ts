// The client's side of gRPC on one connection: a machine on top of `Http2Connection`. Read client-call.ts first.
//
// Calls may be made at once: what they send waits in the output until the socket is connected, and calls beyond the
// server's stream limit wait for a stream, up to a bound.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import type { Clock } from "../base/ports.ts";
import { Http2Connection } from "../http2/connection.ts";
import type { Http2Events } from "../http2/events.ts";
import { CANCEL, ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, REFUSED_STREAM } from "../http2/frames.ts";
import type { HeaderBlock } from "../http2/header-block.ts";
import type { TransportLimits } from "../http2/limits.ts";
import { type Http2Stream, POOLED_SIZE_BYTES_MAX } from "../http2/stream.ts";
import { type Method, METHODS } from "../wire/service.ts";
import { CODE } from "../wire/status.ts";
import {
  CALL_FREE,
  CALL_OPEN,
  CALL_WAITING,
  type CallOptions,
  ClientCall,
  type ClientCallHost,
  type ClientHandler,
} from "./client-call.ts";
import { HeaderCache } from "./header-cache.ts";
import { MESSAGE_PREFIX_SIZE_BYTES, patchPrefix } from "./message-reader.ts";
import { responseHeadOf } from "./response-head.ts";
import { formatTimeout } from "./timeout.ts";

export interface GrpcClientOptions {
  readonly clock: Clock;
  readonly transportLimits: TransportLimits;
  readonly scheme: "http" | "https";
  /** `host:port` */
  readonly authority: string;
  readonly userAgent: string;
  /** Largest response message; etcd's clients take 2^31-1. */
  readonly messageSizeBytesMax: number;
  /** Up to this size a call's buffer for messages that come in pieces stays for the next call; by default 16 KiB. */
  readonly messageKeptBytesMax?: number;
  /** Calls that wait for a stream; above it they end with RESOURCE_EXHAUSTED. */
  readonly waitingCountMax: number;
  /** Ping also while no call runs (etcd's servers do not permit it). */
  readonly pingsWithoutCalls: boolean;
  /** There is output where there was none: have `takeOutput` called in this turn. */
  readonly onOutput: (connection: ClientConnection) => void;
  /** The server's SETTINGS have arrived. */
  readonly onReady: (connection: ClientConnection) => void;
  /** No new calls: GOAWAY, ids used up or closed. Those that run go on unless `closed`. Called once. */
  readonly onSpent: (connection: ClientConnection, reason: string) => void;
}

const DEADLINE_GRAIN_MS = 1;
const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;
const STALLED_READER_MS = 60_000;

export class ClientConnection implements Http2Events, ClientCallHost {
  /** For the caller: which socket this is. */
  owner: unknown = undefined;
  readonly #options: GrpcClientOptions;
  readonly #http2: Http2Connection;
  readonly #pool: ClientCall[] = [];
  #waiting: ClientCall[] = [];
  #doomed: { readonly call: ClientCall; readonly code: number; readonly text: string }[] = [];
  #hasTold = false;
  #spentReason = "";
  #wasReady = false;
  #wasSpent = false;
  #callDeadlineMs = Infinity;
  /** Fields sent with every call, such as a token. */
  #metadata: Readonly<Record<string, string>> = {};
  readonly #heads: HeaderCache[] = METHODS.map(() => new HeaderCache());

  constructor(options: GrpcClientOptions) {
    this.#options = options;
    this.#http2 = new Http2Connection(
      {
        isServer: false,
        clock: options.clock,
        limits: options.transportLimits,
        streamCountMax: 0,
        connectionOutputBytesMax: OUTPUT_BYTES_MAX,
        stalledReaderMs: STALLED_READER_MS,
        pingsWithoutStreams: options.pingsWithoutCalls,
      },
      this,
    );
  }

  /** Fields to be sent with every call from now on. */
  setMetadata(metadata: Readonly<Record<string, string>>): void {
    this.#metadata = metadata;
    for (const head of this.#heads) head.forget();
  }

  /** The server has said its SETTINGS. */
  get isReady(): boolean {
    return this.#http2.isReady && !this.#http2.closed;
  }

  /** No new calls, for good. */
  get isSpent(): boolean {
    return this.#http2.isSpent;
  }

  get closed(): boolean {
    return this.#http2.closed;
  }

  get closeReason(): string {
    return this.#http2.closeReason;
  }

  /** Calls that run or wait. */
  get callCount(): number {
    return this.#http2.streamCount + this.#waiting.length + this.#doomed.length;
  }

  get hasOutput(): boolean {
    return this.#http2.output.hasOutput;
  }

  /**
   * Starts a call. `onEnd` of the handler is called exactly once, and never before this has returned. A unary call:
   * `call(...)`, `send`, `halfClose`.
   */
  call(method: Method, handler: ClientHandler, options?: CallOptions): ClientCall {
    const call = this.#pool.pop() ?? this.#newCall();
    const timeoutMs = options?.timeoutMs ?? Infinity;
    const deadlineMs = timeoutMs === Infinity ? Infinity : this.#options.clock.now() + timeoutMs;
    call.begin(method, handler, deadlineMs);
    call.options = options;
    if (deadlineMs < this.#callDeadlineMs) this.#callDeadlineMs = deadlineMs;
    if (this.#http2.canOpen && this.#waiting.length === 0) this.#open(call);
    else if (this.#http2.isSpent) this.#doom(call, CODE.unavailable, this.#spentReason);
    else if (this.#waiting.length >= this.#options.waitingCountMax) {
      this.#doom(call, CODE.resourceExhausted, "too many calls wait for the connection");
    } else this.#waiting.push(call);
    return call;
  }

  /** A call that cannot be made: it ends with the next `takeOutput`, so that its maker has it in hand by then. */
  #doom(call: ClientCall, code: number, text: string): void {
    this.#doomed.push({ call, code, text });
    this.#tell();
  }

  /** Ends calls that could not be made. Part of `takeOutput`; of use by itself while there is no socket. */
  endDoomedCalls(): void {
    const doomed = this.#doomed;
    this.#doomed = [];
    for (const { call, code, text } of doomed) {
      if (call.phase === CALL_WAITING) this.#endUnprocessed(call, code, text);
    }
  }

  #endUnprocessed(call: ClientCall, code: number, text: string): void {
    call.isRefused = true;
    this.endCall(call, code, text);
  }

  #open(call: ClientCall): void {
    const stream = this.#http2.openStream();
    stream.context = call;
    call.stream = stream;
    call.phase = CALL_OPEN;
    this.#writeHead(call, stream);
    this.#tell();
    const waiting = call.waiting;
    if (waiting !== undefined) {
      call.waiting = undefined;
      this.#http2.output.beginMessage(stream).raw(waiting.bytes, 0, waiting.position);
      this.#http2.output.endMessage(stream);
    }
    if (call.isHalfClosed) this.halfClose(call);
  }

  #newCall(): ClientCall {
    const { messageSizeBytesMax, messageKeptBytesMax } = this.#options;
    return new ClientCall(this, {
      sizeBytesMax: messageSizeBytesMax,
      keptSizeBytesMax: messageKeptBytesMax ?? POOLED_SIZE_BYTES_MAX,
    });
  }

  #openWaiting(): void {
    let count = 0;
    while (count < this.#waiting.length && this.#http2.canOpen) {
      const call = this.#waiting[count++]!;
      if (call.phase === CALL_WAITING) this.#open(call);
    }
    if (count > 0) this.#waiting = this.#waiting.slice(count);
  }

  #writeHead(call: ClientCall, stream: Http2Stream): void {
    const http2 = this.#http2;
    const { out, encoder } = http2.output;
    const { method } = call;
    http2.output.beginHeaders();
    const cache = this.#heads[method.id]!;
    if (!cache.copyTo(out, encoder)) {
      const start = out.position;
      const insertCount = encoder.insertCount;
      this.#writeCommonFields(method);
      cache.encoded(out, start, encoder, insertCount);
    }
    if (call.options !== undefined) this.#writeCallFields(call.options);
    http2.output.endHeaders(stream, false);
  }

  #writeCommonFields(method: Method): void {
    const { out, encoder } = this.#http2.output;
    encoder.repeated(out, ":method", "POST");
    encoder.repeated(out, ":scheme", this.#options.scheme);
    encoder.repeated(out, ":path", method.path);
    encoder.repeated(out, ":authority", this.#options.authority);
    encoder.repeated(out, "content-type", "application/grpc");
    encoder.repeated(out, "user-agent", this.#options.userAgent);
    encoder.repeated(out, "te", "trailers");
    for (const [name, value] of Object.entries(this.#metadata)) encoder.repeated(out, name, value);
  }

  #writeCallFields(options: CallOptions): void {
    const { out, encoder } = this.#http2.output;
    const { timeoutMs, metadata } = options;
    if (timeoutMs !== undefined && timeoutMs !== Infinity)
      encoder.once(out, "grpc-timeout", formatTimeout(timeoutMs));
    if (metadata === undefined) return;
    for (const [name, value] of Object.entries(metadata)) encoder.once(out, name, value);
  }

  // ---- Of the socket -----------------------------------------------------------------------------------------------

  receive(bytes: Uint8Array, start: number, end: number): void {
    this.#http2.receive(bytes, start, end);
    if (!this.#wasReady && this.isReady) {
      this.#wasReady = true;
      this.#options.onReady(this);
    }
    if (this.#waiting.length > 0) this.#openWaiting();
    if (this.#http2.output.hasOutput || this.#http2.closed) this.#tell();
  }

  takeOutput(): Uint8Array {
    this.#hasTold = false;
    if (this.#doomed.length > 0) this.endDoomedCalls();
    return this.#http2.takeOutput();
  }

  /** The socket is gone: every call ends with UNAVAILABLE and this text. */
  close(reason: string): void {
    this.#http2.close(reason);
    this.endDoomedCalls();
  }

  /** Takes no new calls; closes when those that run have ended. */
  drain(): void {
    this.#http2.drain();
    this.#spent("closed by the client");
    this.#tell();
  }

  nextDeadlineMs(): number {
    return Math.min(this.#callDeadlineMs, this.#http2.nextDeadlineMs());
  }

  onDeadline(nowMs: number): void {
    if (nowMs >= this.#callDeadlineMs) this.#expireCalls(nowMs);
    this.#http2.onDeadline(nowMs);
    if (this.#http2.output.hasOutput || this.#http2.closed) this.#tell();
  }

  #expireCalls(nowMs: number): void {
    this.#callDeadlineMs = Infinity;
    const calls = this.#waiting.filter((call) => call.phase === CALL_WAITING);
    for (const stream of this.#http2.streams()) calls.push(stream.context as ClientCall);
    let nextMs = Infinity;
    for (const call of calls) {
      if (call.deadlineMs <= nowMs) this.#giveUp(call, CODE.deadlineExceeded, "context deadline exceeded");
      else if (call.deadlineMs < nextMs) nextMs = call.deadlineMs;
    }
    // Calls that began meanwhile have lowered it themselves.
    this.#callDeadlineMs = Math.min(this.#callDeadlineMs, Math.max(nextMs, nowMs + DEADLINE_GRAIN_MS));
    this.#waiting = this.#waiting.filter((call) => call.phase === CALL_WAITING);
  }

  #tell(): void {
    if (this.#hasTold) return;
    this.#hasTold = true;
    this.#options.onOutput(this);
  }

  #spent(reason: string): void {
    if (this.#wasSpent) return;
    this.#wasSpent = true;
    this.#spentReason = reason;
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#options.onSpent(this, reason);
    for (const call of waiting)
      if (call.phase === CALL_WAITING) this.#endUnprocessed(call, CODE.unavailable, reason);
  }

  // ---- Of the calls ------------------------------------------------------------------------------------------------

  beginMessage(call: ClientCall): ByteWriter {
    const writer = this.#http2.output.beginMessage(call.stream!);
    writer.ensure(MESSAGE_PREFIX_SIZE_BYTES);
    writer.position += MESSAGE_PREFIX_SIZE_BYTES;
    return writer;
  }

  endMessage(call: ClientCall): void {
    const writer = this.#http2.output.messageWriter;
    const start = this.#http2.output.messageStart;
    patchPrefix(writer.bytes, start, writer.position - start - MESSAGE_PREFIX_SIZE_BYTES);
    this.#http2.output.endMessage(call.stream!);
    this.#tell();
  }

  halfClose(call: ClientCall): void {
    this.#http2.output.endStreamWithLastFrame(call.stream!);
    this.#tell();
  }

  cancel(call: ClientCall): void {
    this.#giveUp(call, CODE.canceled, "context canceled");
  }

  #giveUp(call: ClientCall, code: number, text: string): void {
    if (call.phase === CALL_OPEN) {
      this.#http2.cancelStream(call.stream!, CANCEL);
      this.#tell();
    }
    this.endCall(call, code, text);
  }

  isWritable(call: ClientCall): boolean {
    return this.#http2.output.isWritable(call.stream!);
  }

  endCall(call: ClientCall, code: number, text: string): void {
    assert(call.phase !== CALL_FREE, "a call ends once");
    const { stream, handler } = call;
    call.phase = CALL_FREE;
    if (stream !== undefined) {
      stream.context = undefined;
      this.#http2.releaseStream(stream);
    }
    handler!.onEnd(call, code, text);
    call.release();
    // A call that ends from within its own `onMessage` is still being read, and not used again.
    if (call.isReading || this.#pool.length >= this.#options.transportLimits.poolCountMax) return;
    this.#pool.push(call);
  }

  // ---- Of the HTTP/2 machine ---------------------------------------------------------------------------------------

  attach(): void {
    // Calls are hung on streams one by one, since some exist before their stream.
  }

  onHeaders(stream: Http2Stream, block: HeaderBlock, isEnd: boolean): void {
    const call = stream.context as ClientCall;
    const head = responseHeadOf(block);
    if (head.isInterim) {
      if (isEnd) this.endCall(call, CODE.internal, "an interim response ended the call");
      return;
    }
    if (isEnd) call.trailers = block;
    else call.headers = block;
    if (head.foreignCode >= 0) return this.endCall(call, head.foreignCode, head.foreignText);
    if (!isEnd) return;
    if (call.reader.isPartial) return this.endCall(call, CODE.internal, "the server ended within a message");
    if (head.code < 0) return this.endCall(call, CODE.internal, "the server ended the call without a status");
    const isSingle = call.method.kind === "unary" || call.method.kind === "client";
    if (head.code === CODE.ok && isSingle && call.messageCount === 0) {
      return this.endCall(call, CODE.internal, "the server sent no message");
    }
    this.endCall(call, head.code, head.text);
  }

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
  onData(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    const call = stream.context as ClientCall;
    call.read(bytes, start, end);
    if (isEnd && call.phase === CALL_OPEN && call.stream === stream) {
      this.endCall(call, CODE.internal, "the server ended the call without a status");
    }
  }

  onReset(stream: Http2Stream, code: number): void {
    const call = stream.context as ClientCall;
    if (this.#http2.closed) return this.endCall(call, CODE.unavailable, this.#http2.closeReason);
    if (code === REFUSED_STREAM) call.isRefused = true;
    this.endCall(call, codeOfReset(code), `stream terminated by RST_STREAM with error code: ${code}`);
  }

  onRoom(stream: Http2Stream): void {
    const call = stream.context as ClientCall;
    call.handler?.onWritable?.(call);
  }

  writeTrailers(): void {
    assert(false, "clients send no trailers");
  }

  onGoaway(_lastStreamId: number, code: number, text: string): void {
    this.#spent(`the server sent GOAWAY with code ${code}${text === "" ? "" : `: ${text}`}`);
  }

  onClosed(reason: string): void {
    this.#spent(reason);
    this.#tell();
  }
}

/** gRPC over HTTP/2, "Errors". */
function codeOfReset(code: number): number {
  switch (code) {
    case REFUSED_STREAM:
      return CODE.unavailable;
    case CANCEL:
      return CODE.canceled;
    case ENHANCE_YOUR_CALM:
      return CODE.resourceExhausted;
    case INADEQUATE_SECURITY:
      return CODE.permissionDenied;
    default:
      return CODE.internal;
  }
}
