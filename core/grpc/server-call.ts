// One call, as its handler sees it. Pooled: it belongs to the handler from `onUnary` or `onStreamOpen` until the one
// `finish`, `fail` or `failWith`; what is written to it after the client went away vanishes silently.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import {
  type Http2Stream,
  POOLED_SIZE_BYTES_MAX,
  PRIORITY_LARGE,
  PRIORITY_UNARY,
  PRIORITY_WATCH,
  type Producer,
} from "../http2/stream.ts";
import type { Method } from "../wire/service.ts";
import { CODE, type Status } from "../wire/status.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { MessageReader, type MessageSink, TOO_MANY_BYTES } from "./message-reader.ts";
import { METHOD_NONE } from "./method-none.ts";
import type { CallHead } from "./request-head.ts";

/**
 * What answers calls: the member, the health service, a test. Bytes are valid during the call only. Every method may
 * finish the call.
 */
export interface ServerHandler {
  /** A complete unary request. The handler answers now or later, exactly once, with finish/fail. */
  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void;
  /** A streaming call was opened (client, server or bidi). */
  onStreamOpen(call: ServerCall): void;
  onStreamMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number): void;
  /** The client will send no more. */
  onStreamHalfClose(call: ServerCall): void;
  /** The client cancelled, its deadline passed, or its connection is gone; the handler still owes one finish(). */
  onCancel(call: ServerCall): void;
  /** After `writable` was false: there is room again. */
  onWritable(call: ServerCall): void;
}

/** What a call needs of its connection. */
export interface CallHost {
  readonly peerAddress: string;
  readonly peerCommonName: string;
  beginMessage(call: ServerCall): ByteWriter;
  endMessage(call: ServerCall): void;
  sendLarge(call: ServerCall, sizeBytes: number, producer: Producer): void;
  flush(): void;
  isWritable(call: ServerCall): boolean;
  dropOutput(call: ServerCall): void;
  /** The handler is done with the call, whose `code` and `text` are set. */
  finishCall(call: ServerCall): void;
  keepBytes(change: number): boolean;
  /** Five parameters: once per request. */
  onMessage(call: ServerCall, bytes: Uint8Array, start: number, end: number, isLast: boolean): void;
}

/** Who has the call: nobody, the transport (a unary request is not complete), or the handler. */
export type CallOwner = 0 | 1 | 2;
export const OWNER_NONE = 0;
export const OWNER_TRANSPORT = 1;
export const OWNER_HANDLER = 2;

export class ServerCall implements MessageSink {
  method: Method = METHOD_NONE;
  /** Two slots for the handler's own use, reset by the pool. */
  slot = -1;
  state: unknown = undefined;
  /** Nothing that is written reaches anybody any more. */
  cancelled = false;
  /** Absolute, on the clock; Infinity without one. */
  deadlineMs = Infinity;
  /** When its headers came, on the clock. */
  startedMs = 0;

  // The transport's own; handlers leave these alone.
  readonly stream: Http2Stream;
  readonly reader: MessageReader;
  handler: ServerHandler | undefined = undefined;
  head: CallHead | undefined = undefined;
  owner: CallOwner = OWNER_NONE;
  /** A unary call's message when it came apart from the end of the stream. */
  request: ByteWriter | undefined = undefined;
  requestCount = 0;
  /** The chunk at hand is the last. */
  isLastChunk = false;
  /** How the call ends, once that is known. */
  code = 0;
  text = "";
  /** Further response fields, names and values in turn; undefined without any. */
  headers: string[] | undefined = undefined;
  trailers: string[] | undefined = undefined;
  /** Set while the stream carries plain HTTP and no call. */
  exchange: HttpExchange | undefined = undefined;
  readonly #host: CallHost;

  constructor(host: CallHost, stream: Http2Stream, messageSizeBytesMax: number) {
    this.#host = host;
    this.stream = stream;
    this.reader = new MessageReader(this, {
      sizeBytesMax: messageSizeBytesMax,
      isTrusted: false,
      keptSizeBytesMax: POOLED_SIZE_BYTES_MAX,
    });
  }

  get peerAddress(): string {
    return this.#host.peerAddress;
  }

  /** The common name of the client's certificate; empty without one. */
  get peerCommonName(): string {
    return this.#host.peerCommonName;
  }

  /** Somebody has the call, and somebody waits for what it says. */
  get isLive(): boolean {
    return this.owner !== OWNER_NONE && !this.cancelled;
  }

  /** The handler has the call, and somebody waits for what it says. */
  get isWanted(): boolean {
    return this.owner === OWNER_HANDLER && !this.cancelled;
  }

  /** A request field such as `token`, `authorization`, `hasleader`; one character per byte. */
  metadata(name: string): string | undefined {
    return this.head?.block.get(name);
  }

  /** A response field ahead of the first message; the name in lower case, one character per byte, `-bin` ones in base64. */
  addHeader(name: string, value: string): void {
    assert(!this.stream.headersSent, "headers go out before the first message");
    (this.headers ??= []).push(name, value);
  }

  /** The same behind the last message. */
  addTrailer(name: string, value: string): void {
    (this.trailers ??= []).push(name, value);
  }

  /** 0 control and watch, 1 unary, 2 large: whose bytes go first when not all fit. */
  get priority(): number {
    return this.stream.priority;
  }

  set priority(priority: number) {
    assert(priority >= PRIORITY_WATCH && priority <= PRIORITY_LARGE, "a priority is 0, 1 or 2");
    this.stream.priority = priority;
  }

  /** False while too many bytes wait; `onWritable` follows. */
  get writable(): boolean {
    return this.#host.isWritable(this);
  }

  /** Starts a response message: encode into the writer that comes back, then `endMessage`. Nothing else in between. */
  beginMessage(): ByteWriter {
    assert(this.owner === OWNER_HANDLER, "only the owner of a call writes");
    return this.#host.beginMessage(this);
  }

  endMessage(): void {
    this.#host.endMessage(this);
  }

  /** What was written so far leaves at once, not at the end of the turn, if the connection is not writing. */
  flush(): void {
    if (!this.cancelled) this.#host.flush();
  }

  /**
   * A message of `sizeBytes` whose bytes are pulled while the peer takes them. Only `finish` may follow, at once or
   * later; the producer is abandoned if the client goes away. Goes out with priority 2 unless that was changed.
   */
  sendLarge(sizeBytes: number, producer: Producer): void {
    assert(this.owner === OWNER_HANDLER, "only the owner of a call writes");
    this.#host.sendLarge(this, sizeBytes, producer);
  }

  /** Trailers with OK; the call is not the handler's any more. */
  finish(): void {
    this.failWith(CODE.ok, "");
  }

  fail(status: Status): void {
    this.failWith(status.code, status.text);
  }

  /** The same, but what the client has not taken is dropped: a client that takes nothing would never see the end. */
  abort(status: Status): void {
    this.#host.dropOutput(this);
    this.fail(status);
  }

  failWith(code: number, text: string): void {
    assert(this.owner === OWNER_HANDLER, "a call is finished once, by its owner");
    if (!this.cancelled) {
      this.code = code;
      this.text = text;
    }
    this.#host.finishCall(this);
  }

  /** The transport begins a call. */
  begin(head: CallHead, handler: ServerHandler, nowMs: number): void {
    assert(this.owner === OWNER_NONE, "a call that begins is free");
    this.method = head.method;
    this.head = head;
    this.handler = handler;
    this.owner = OWNER_TRANSPORT;
    this.slot = -1;
    this.state = undefined;
    this.cancelled = false;
    this.deadlineMs = nowMs + head.timeoutMs;
    this.startedMs = nowMs;
    this.requestCount = 0;
    this.code = CODE.ok;
    this.text = "";
    this.headers = undefined;
    this.trailers = undefined;
    this.reader.reset();
    this.stream.priority = head.method.kind === "bidi" ? PRIORITY_WATCH : PRIORITY_UNARY;
  }

  /** The transport takes the call back. */
  release(): void {
    this.owner = OWNER_NONE;
    this.state = undefined;
    this.head = undefined;
    this.reader.reset();
    this.reader.stop();
    const request = this.request;
    if (request === undefined) return;
    if (request.position > 0) this.keepBytes(-request.position);
    request.reset();
    if (request.bytes.length > POOLED_SIZE_BYTES_MAX) this.request = undefined;
  }

  /** Keeps a unary message whose stream has not ended yet. */
  keepRequest(bytes: Uint8Array, start: number, end: number): void {
    if (!this.keepBytes(end - start)) {
      this.reader.stop();
      return this.onBadMessage(TOO_MANY_BYTES);
    }
    if (this.request === undefined) this.request = new ByteWriter(Math.max(256, end - start));
    this.request.raw(bytes, start, end);
  }

  onMessage(bytes: Uint8Array, start: number, end: number, isLast: boolean): void {
    this.#host.onMessage(this, bytes, start, end, isLast && this.isLastChunk);
  }

  onBadMessage(status: Status): void {
    this.code = status.code;
    this.text = status.text;
  }

  keepBytes(change: number): boolean {
    return this.#host.keepBytes(change);
  }
}
