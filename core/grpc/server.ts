// The server's side of gRPC on one connection: a machine on top of `Http2Connection`. Read server-call.ts and
// server-call.ts first; plain HTTP requests are handed to `onHttp`.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import type { Limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { Http2Connection } from "../http2/connection.ts";
import type { Http2Events } from "../http2/events.ts";
import type { HeaderBlock } from "../http2/header-block.ts";
import type { TransportLimits } from "../http2/limits.ts";
import {
  END_DATA,
  END_TRAILERS,
  HALF_ENDED,
  type Http2Stream,
  PRIORITY_LARGE,
  PRIORITY_UNARY,
  type Producer,
} from "../http2/stream.ts";
import { CODE, type Status } from "../wire/status.ts";
import type { CallCounters } from "./call-counters.ts";
import { HeaderCache } from "./header-cache.ts";
import { HttpExchange, type HttpFields, type HttpHandler } from "./http-exchange.ts";
import { MESSAGE_PREFIX_SIZE_BYTES, patchPrefix } from "./message-reader.ts";
import { encodePercent } from "./percent.ts";
import { type CallHead, requestHeadOf } from "./request-head.ts";
import {
  type CallHost,
  OWNER_HANDLER,
  OWNER_NONE,
  OWNER_TRANSPORT,
  ServerCall,
  type ServerHandler,
} from "./server-call.ts";

export interface GrpcServerOptions {
  readonly handler: ServerHandler;
  /** Answers `grpc.health.v1.Health`; without one it goes to `handler`. */
  readonly health?: ServerHandler;
  /** Plain HTTP requests; without one they are answered 404. */
  readonly onHttp?: HttpHandler;
  readonly limits: Limits;
  readonly transportLimits: TransportLimits;
  readonly clock: Clock;
  readonly peerAddress: string;
  /** Common name of the client's certificate. */
  readonly peerCommonName?: string;
  /** Calls of `handler` and `health` are counted here. */
  readonly counters?: CallCounters;
  /** There is output where there was none: have `takeOutput` called in this turn. */
  readonly onOutput: (connection: GrpcServerConnection) => void;
  /** A call wants its output to leave before the turn ends: `takeOutput` may be called now. Nothing happens without. */
  readonly onFlush?: (connection: GrpcServerConnection) => void;
}

/** How often call deadlines are looked at, at most, milliseconds. */
const DEADLINE_GRAIN_MS = 5;

const DEADLINE_EXCEEDED: Status = { code: CODE.deadlineExceeded, text: "context deadline exceeded" };
const NO_REQUEST: Status = {
  code: CODE.internal,
  text: "cardinality violation: received no request message from non-client-streaming RPC",
};
const MANY_REQUESTS: Status = {
  code: CODE.internal,
  text: "cardinality violation: received multiple request messages for non-client-streaming RPC",
};
const CUT_MESSAGE: Status = { code: CODE.internal, text: "unexpected EOF" };

export class GrpcServerConnection implements Http2Events, CallHost {
  readonly peerAddress: string;
  readonly peerCommonName: string;
  /** For the caller: which socket this is. */
  owner: unknown = undefined;
  readonly #options: GrpcServerOptions;
  readonly #counters: CallCounters | undefined;
  readonly #http2: Http2Connection;
  readonly #messageSizeBytesMax: number;
  #hasTold = false;
  #keptBytes = 0;
  /** No call's deadline is before this; it may be too early, never too late. */
  #callDeadlineMs = Infinity;
  readonly #responseHead = new HeaderCache();
  readonly #okTrailers = new HeaderCache();

  constructor(options: GrpcServerOptions) {
    const limits = options.limits;
    this.#options = options;
    this.#counters = options.counters;
    this.peerAddress = options.peerAddress;
    this.peerCommonName = options.peerCommonName ?? "";
    this.#messageSizeBytesMax = limits.requestSizeBytesMax + limits.grpcOverheadBytes;
    this.#http2 = new Http2Connection(
      {
        isServer: true,
        clock: options.clock,
        limits: options.transportLimits,
        streamCountMax: limits.streamCountMax,
        connectionOutputBytesMax: limits.connectionOutputBytesMax,
        stalledReaderMs: limits.stalledReaderMs,
        pingsWithoutStreams: true,
      },
      this,
    );
  }

  /** Takes bytes as they came; keeps none of them. */
  receive(bytes: Uint8Array, start: number, end: number): void {
    this.#http2.receive(bytes, start, end);
    if (this.#http2.output.hasOutput || this.#http2.closed) this.#tell();
  }

  /** All output that may go out now, as one view valid until the next call; empty when none. */
  takeOutput(): Uint8Array {
    const output = this.#http2.takeOutput();
    // Afterwards: a call that ended while its answer was pulled has told of trailers that are taken already.
    this.#hasTold = false;
    return output;
  }

  /** What `takeOutput` gave last has been written, and nothing waits. */
  releaseOutput(): void {
    this.#http2.output.trim();
  }

  /** Write what is left, then close the socket. */
  get closed(): boolean {
    return this.#http2.closed;
  }

  get closeReason(): string {
    return this.#http2.closeReason;
  }

  /** Calls that are open. */
  get callCount(): number {
    return this.#http2.streamCount;
  }

  /** Another `takeOutput` would bring more. */
  get hasOutput(): boolean {
    return this.#http2.output.hasOutput;
  }

  /** Read no more until output has been taken. */
  get isReadPaused(): boolean {
    return this.#http2.isReadPaused;
  }

  /** GOAWAY; what runs is finished, then `closed`. */
  drain(): void {
    this.#http2.drain();
    this.#tell();
  }

  /** The socket is gone: every open call gets its `onCancel`. */
  close(reason: string): void {
    this.#http2.close(reason);
  }

  nextDeadlineMs(): number {
    return Math.min(this.#callDeadlineMs, this.#http2.nextDeadlineMs());
  }

  onDeadline(nowMs: number): void {
    if (nowMs >= this.#callDeadlineMs) this.#expireCalls(nowMs);
    this.#http2.onDeadline(nowMs);
    if (this.#http2.output.hasOutput || this.#http2.closed) this.#tell();
  }

  // Deadlines are many and hardly ever pass, so they are kept nowhere but in the calls: a walk when the earliest one
  // that was ever seen is due, which brings out the next.
  #expireCalls(nowMs: number): void {
    let nextMs = Infinity;
    for (const stream of this.#http2.streams()) {
      const call = stream.context as ServerCall;
      if (call.owner === OWNER_NONE || call.cancelled) continue;
      if (call.deadlineMs <= nowMs) this.#expire(call);
      else if (call.deadlineMs < nextMs) nextMs = call.deadlineMs;
    }
    this.#callDeadlineMs = Math.max(nextMs, nowMs + DEADLINE_GRAIN_MS);
  }

  #expire(call: ServerCall): void {
    this.#http2.output.drop(call.stream);
    this.#refuse(call, DEADLINE_EXCEEDED);
  }

  /** Ends a call for the transport's own reasons, whoever has it. */
  #refuse(call: ServerCall, status: Status): void {
    call.code = status.code;
    call.text = status.text;
    call.reader.stop();
    this.#http2.output.endStream(call.stream, END_TRAILERS);
    this.#cancel(call);
    this.#tell();
  }

  #cancel(call: ServerCall): void {
    if (call.cancelled) return;
    call.cancelled = true;
    if (call.owner === OWNER_HANDLER) call.handler!.onCancel(call);
    else if (call.owner === OWNER_TRANSPORT) this.#release(call);
  }

  #release(call: ServerCall): void {
    call.release();
    this.#http2.releaseStream(call.stream);
  }

  #tell(): void {
    if (this.#hasTold) return;
    this.#hasTold = true;
    this.#options.onOutput(this);
  }

  // ---- Of the HTTP/2 machine ---------------------------------------------------------------------------------------

  attach(stream: Http2Stream): void {
    stream.context = new ServerCall(this, stream, this.#messageSizeBytesMax);
  }

  onHeaders(stream: Http2Stream, block: HeaderBlock, isEnd: boolean): void {
    const call = stream.context as ServerCall;
    const head = requestHeadOf(block);
    if (head.kind === "call") return this.#onCall(call, head, isEnd);
    if (head.kind === "refused") {
      call.code = head.status.code;
      call.text = head.status.text;
      this.#http2.output.endStream(stream, END_TRAILERS);
      return this.#http2.releaseStream(stream);
    }
    call.exchange = new HttpExchange(block);
    if (isEnd) this.#onHttpRequest(call, call.exchange);
  }

  #onCall(call: ServerCall, head: CallHead, isEnd: boolean): void {
    const health = this.#options.health;
    const isHealth = health !== undefined && head.method.service === "grpc.health.v1.Health";
    call.begin(head, isHealth ? health : this.#options.handler, this.#http2.nowMs);
    if (call.deadlineMs < this.#callDeadlineMs) this.#callDeadlineMs = call.deadlineMs;
    if (head.method.kind === "unary") {
      if (isEnd) this.#refuse(call, NO_REQUEST);
      return;
    }
    this.#handOver(call);
    call.handler!.onStreamOpen(call);
    if (isEnd && call.isWanted) call.handler!.onStreamHalfClose(call);
  }

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
  onData(stream: Http2Stream, bytes: Uint8Array, start: number, end: number, isEnd: boolean): void {
    const call = stream.context as ServerCall;
    if (call.exchange !== undefined) return this.#onHttpBody(call, bytes, start, end);
    if (!call.isLive) return;
    call.isLastChunk = isEnd;
    call.reader.read(bytes, start, end);
    if (!call.isLive) return;
    if (call.reader.isStopped) return this.#refuse(call, { code: call.code, text: call.text });
    if (isEnd) this.#onHalfClose(call);
  }

  #onHalfClose(call: ServerCall): void {
    if (call.reader.isPartial) return this.#refuse(call, CUT_MESSAGE);
    if (call.method.kind !== "unary") return call.handler!.onStreamHalfClose(call);
    if (call.owner === OWNER_HANDLER) return;
    if (call.requestCount === 0) return this.#refuse(call, NO_REQUEST);
    const request = call.request!;
    this.#handOver(call);
    this.#counters?.received(call.method.id, request.position);
    call.handler!.onUnary(call, request.bytes, 0, request.position);
  }

  #handOver(call: ServerCall): void {
    call.owner = OWNER_HANDLER;
    this.#counters?.started(call.head!);
  }

  onReset(stream: Http2Stream): void {
    const call = stream.context as ServerCall;
    if (call.exchange !== undefined) return this.#endExchange(call);
    this.#cancel(call);
  }

  onRoom(stream: Http2Stream): void {
    const call = stream.context as ServerCall;
    if (call.isWanted) call.handler!.onWritable(call);
  }

  writeTrailers(stream: Http2Stream): void {
    const call = stream.context as ServerCall;
    const http2 = this.#http2;
    const isOnly = !stream.headersSent;
    http2.output.beginHeaders();
    if (isOnly) {
      this.#writeCached(this.#responseHead, writeResponseHead);
      this.#writeFields(call.headers);
    }
    if (call.code === CODE.ok) this.#writeCached(this.#okTrailers, writeOkTrailers);
    else {
      http2.output.encoder.repeated(http2.output.out, "grpc-status", String(call.code));
      if (call.text !== "")
        http2.output.encoder.once(http2.output.out, "grpc-message", encodePercent(call.text));
    }
    this.#writeFields(call.trailers);
    http2.output.endHeaders(stream, true);
  }

  onGoaway(): void {
    // The client opens no more; what runs is finished, and the client closes.
  }

  onClosed(): void {
    this.#tell();
  }

  // ---- Of the calls ------------------------------------------------------------------------------------------------

  beginMessage(call: ServerCall): ByteWriter {
    const stream = call.stream;
    if (!stream.headersSent && !call.cancelled) this.#writeResponseHead(call);
    const writer = this.#http2.output.beginMessage(stream);
    writer.ensure(MESSAGE_PREFIX_SIZE_BYTES);
    writer.position += MESSAGE_PREFIX_SIZE_BYTES;
    return writer;
  }

  endMessage(call: ServerCall): void {
    const writer = this.#http2.output.messageWriter;
    const start = this.#http2.output.messageStart;
    const sizeBytes = writer.position - start - MESSAGE_PREFIX_SIZE_BYTES;
    patchPrefix(writer.bytes, start, sizeBytes);
    if (!call.cancelled) this.#counters?.sent(call.method.id, sizeBytes);
    this.#http2.output.endMessage(call.stream);
    this.#tell();
  }

  sendLarge(call: ServerCall, sizeBytes: number, producer: Producer): void {
    if (call.cancelled) return producer.abandon();
    if (call.stream.priority === PRIORITY_UNARY) call.stream.priority = PRIORITY_LARGE;
    const writer = this.beginMessage(call);
    patchPrefix(writer.bytes, this.#http2.output.messageStart, sizeBytes);
    this.#counters?.sent(call.method.id, sizeBytes);
    this.#http2.output.endMessage(call.stream);
    if (sizeBytes > 0) this.#http2.output.sendLarge(call.stream, new CountedProducer(sizeBytes, producer));
    else producer.abandon();
    this.#tell();
  }

  flush(): void {
    this.#options.onFlush?.(this);
  }

  isWritable(call: ServerCall): boolean {
    return this.#http2.output.isWritable(call.stream);
  }

  dropOutput(call: ServerCall): void {
    this.#http2.output.drop(call.stream);
  }

  finishCall(call: ServerCall): void {
    if (this.#counters !== undefined) this.#countEnd(call, this.#counters);
    if (!call.cancelled) {
      this.#http2.output.endStream(call.stream, END_TRAILERS);
      this.#tell();
    }
    this.#release(call);
  }

  #countEnd(call: ServerCall, counters: CallCounters): void {
    // A call whose time was over has its own code by then; one that was reset has none.
    const code = call.cancelled && call.code === CODE.ok ? CODE.canceled : call.code;
    const durationMs = counters.wantsDurations ? this.#options.clock.now() - call.startedMs : 0;
    counters.ended(call.method.id, code, durationMs);
  }

  keepBytes(change: number): boolean {
    if (change > 0 && this.#keptBytes + change > this.#options.transportLimits.assemblyBytesMax) return false;
    this.#keptBytes += change;
    assert(this.#keptBytes >= 0, "what is let go was kept");
    return true;
  }

  // oxlint-disable-next-line max-params -- once per frame, where an object would cost
  onMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number, isLast: boolean): void {
    if (call.method.kind !== "unary") {
      this.#counters?.received(call.method.id, end - start);
      return call.handler!.onStreamMessage(call, bytes, start, end);
    }
    if (++call.requestCount === 1 && isLast) {
      this.#handOver(call);
      this.#counters?.received(call.method.id, end - start);
      return call.handler!.onUnary(call, bytes, start, end);
    }
    if (call.requestCount > 1) {
      call.reader.stop();
      call.code = MANY_REQUESTS.code;
      call.text = MANY_REQUESTS.text;
      return;
    }
    call.keepRequest(bytes, start, end);
  }

  // ---- Response heads ----------------------------------------------------------------------------------------------

  #writeResponseHead(call: ServerCall): void {
    this.#http2.output.beginHeaders();
    this.#writeCached(this.#responseHead, writeResponseHead);
    this.#writeFields(call.headers);
    this.#http2.output.endHeaders(call.stream, false);
  }

  #writeFields(fields: readonly string[] | undefined): void {
    if (fields === undefined) return;
    const { out, encoder } = this.#http2.output;
    for (let i = 0; i < fields.length; i += 2) encoder.once(out, fields[i]!, fields[i + 1]!);
  }

  #writeCached(cache: HeaderCache, write: (http2: Http2Connection) => void): void {
    const { out, encoder } = this.#http2.output;
    if (cache.copyTo(out, encoder)) return;
    const start = out.position;
    const insertCount = encoder.insertCount;
    write(this.#http2);
    cache.encoded(out, start, encoder, insertCount);
  }

  // ---- Plain HTTP --------------------------------------------------------------------------------------------------

  #onHttpBody(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const exchange = call.exchange!;
    if (exchange.isResponded) return;
    if (exchange.body.position + end - start > this.#messageSizeBytesMax) {
      return this.#respond(call, exchange, { status: 413, fields: {}, body: "" });
    }
    exchange.body.raw(bytes, start, end);
    if (call.stream.remote === HALF_ENDED) this.#onHttpRequest(call, exchange);
  }

  #onHttpRequest(call: ServerCall, exchange: HttpExchange): void {
    const onHttp = this.#options.onHttp;
    if (onHttp === undefined) return this.#respond(call, exchange, { status: 404, fields: {}, body: "" });
    onHttp(exchange.request(), (status, fields, body) =>
      this.#respond(call, exchange, { status, fields, body }),
    );
  }

  #respond(call: ServerCall, exchange: HttpExchange, response: HttpResponse): void {
    if (exchange.isResponded || call.exchange !== exchange) return; // answered, or the client is gone
    exchange.isResponded = true;
    const http2 = this.#http2;
    const body = typeof response.body === "string" ? encodeUtf8(response.body) : response.body;
    const isBodyless = body.length === 0 || exchange.block.method === "HEAD";
    http2.output.beginHeaders();
    http2.output.encoder.once(http2.output.out, ":status", String(response.status));
    for (const [name, value] of Object.entries(response.fields))
      http2.output.encoder.once(http2.output.out, name, value);
    http2.output.encoder.once(http2.output.out, "content-length", String(body.length));
    http2.output.endHeaders(call.stream, isBodyless);
    if (!isBodyless) {
      const writer = http2.output.beginMessage(call.stream);
      writer.raw(body, 0, body.length);
      http2.output.endMessage(call.stream);
      http2.output.endStream(call.stream, END_DATA);
    }
    this.#endExchange(call);
    this.#tell();
  }

  #endExchange(call: ServerCall): void {
    call.exchange = undefined;
    this.#http2.releaseStream(call.stream);
  }
}

interface HttpResponse {
  readonly status: number;
  readonly fields: HttpFields;
  readonly body: string | Uint8Array;
}

function writeResponseHead(http2: Http2Connection): void {
  http2.output.encoder.repeated(http2.output.out, ":status", "200");
  http2.output.encoder.repeated(http2.output.out, "content-type", "application/grpc");
}

function writeOkTrailers(http2: Http2Connection): void {
  http2.output.encoder.repeated(http2.output.out, "grpc-status", "0");
}

/** Holds a producer to its word: the length went out before the bytes. */
class CountedProducer implements Producer {
  #bytesLeft: number;
  readonly #producer: Producer;

  constructor(sizeBytes: number, producer: Producer) {
    this.#bytesLeft = sizeBytes;
    this.#producer = producer;
  }

  pull(writer: ByteWriter, roomBytes: number): boolean {
    const start = writer.position;
    const isDone = this.#producer.pull(writer, roomBytes);
    this.#bytesLeft -= writer.position - start;
    assert(this.#bytesLeft >= 0, "a large message is not longer than it said");
    assert(!isDone || this.#bytesLeft === 0, "a large message is not shorter than it said");
    return isDone;
  }

  abandon(): void {
    this.#producer.abandon();
  }
}
