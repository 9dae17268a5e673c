// One call of a client. Pooled: it belongs to the caller from `ClientConnection.call` until its `onEnd` has returned.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import type { HeaderBlock } from "../http2/header-block.ts";
import type { Http2Stream } from "../http2/stream.ts";
import type { Method } from "../wire/service.ts";
import { CODE, type Status } from "../wire/status.ts";
import { MESSAGE_PREFIX_SIZE_BYTES, MessageReader, type MessageSink, patchPrefix } from "./message-reader.ts";
import { METHOD_NONE } from "./method-none.ts";

/** What a caller is told. One object may serve any number of calls. */
export interface ClientHandler {
  /** A response message, valid during the call. */
  onMessage(call: ClientCall, bytes: Uint8Array, start: number, end: number): void;
  /** More of a message that comes in pieces: it begins with `bytes[start, end)`, valid during the call. `onMessage` follows with all. */
  onPart?(call: ClientCall, bytes: Uint8Array, start: number, end: number): void;
  /** The last word about a call: 0 is OK. The call object is used again after this returns. */
  onEnd(call: ClientCall, code: number, text: string): void;
  /** After `writable` was false: there is room again. */
  onWritable?(call: ClientCall): void;
}

export interface CallOptions {
  /** Ends the call with DEADLINE_EXCEEDED; sent to the server, too. Infinity without one. */
  readonly timeoutMs?: number;
  /** Further request fields; names in lower case, values of one character per byte. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What a call needs of its connection. */
export interface ClientCallHost {
  beginMessage(call: ClientCall): ByteWriter;
  endMessage(call: ClientCall): void;
  halfClose(call: ClientCall): void;
  cancel(call: ClientCall): void;
  isWritable(call: ClientCall): boolean;
  endCall(call: ClientCall, code: number, text: string): void;
}

export type ClientCallState = 0 | 1 | 2;
/** In the pool, waiting for a free stream of the connection, or open. */
export const CALL_FREE = 0;
export const CALL_WAITING = 1;
export const CALL_OPEN = 2;

export class ClientCall implements MessageSink {
  method: Method = METHOD_NONE;
  /** Two slots for the caller's own use, reset by the pool. */
  slot = -1;
  state: unknown = undefined;
  /** Valid in `onEnd`: the server did not even look at the call, so it may be repeated whatever it does. */
  isRefused = false;

  // The transport's own; callers leave these alone.
  stream: Http2Stream | undefined = undefined;
  handler: ClientHandler | undefined = undefined;
  phase: ClientCallState = CALL_FREE;
  deadlineMs = Infinity;
  options: CallOptions | undefined = undefined;
  messageCount = 0;
  /** What came ahead of the first message, and behind the last. */
  headers: HeaderBlock | undefined = undefined;
  trailers: HeaderBlock | undefined = undefined;
  /** While waiting: messages to be sent, with prefixes, and whether the end follows them. */
  waiting: ByteWriter | undefined = undefined;
  waitingStart = 0;
  isHalfClosed = false;
  /** In the middle of `read`. */
  isReading = false;
  readonly reader: MessageReader;
  readonly #host: ClientCallHost;
  #badStatus: Status | undefined = undefined;

  constructor(
    host: ClientCallHost,
    sizes: { readonly sizeBytesMax: number; readonly keptSizeBytesMax: number },
  ) {
    this.#host = host;
    this.reader = new MessageReader(this, { ...sizes, isTrusted: true });
  }

  /** Sends a message; the bytes are copied. */
  send(bytes: Uint8Array, start: number, end: number): void {
    this.beginMessage().raw(bytes, start, end);
    this.endMessage();
  }

  /** Starts a message: encode into the writer that comes back, then `endMessage`. Nothing else in between. */
  beginMessage(): ByteWriter {
    assert(this.phase !== CALL_FREE, "only a call that runs sends");
    assert(!this.isHalfClosed, "nothing is sent after halfClose()");
    if (this.phase === CALL_OPEN) return this.#host.beginMessage(this);
    const waiting = (this.waiting ??= new ByteWriter(256));
    this.waitingStart = waiting.position;
    waiting.ensure(MESSAGE_PREFIX_SIZE_BYTES);
    waiting.position += MESSAGE_PREFIX_SIZE_BYTES;
    return waiting;
  }

  endMessage(): void {
    if (this.phase === CALL_OPEN) return this.#host.endMessage(this);
    const waiting = this.waiting!;
    const start = this.waitingStart;
    patchPrefix(waiting.bytes, start, waiting.position - start - MESSAGE_PREFIX_SIZE_BYTES);
  }

  /** No message will follow. A unary request is `send` and `halfClose`. */
  halfClose(): void {
    if (this.phase === CALL_FREE || this.isHalfClosed) return;
    this.isHalfClosed = true;
    if (this.phase === CALL_OPEN) this.#host.halfClose(this);
  }

  /** Gives the call up; `onEnd` follows at once with CANCELLED. */
  cancel(): void {
    if (this.phase !== CALL_FREE) this.#host.cancel(this);
  }

  /** A response field: of the trailers once they are there (in `onEnd`), else of the headers; one character per byte. */
  metadata(name: string): string | undefined {
    return this.trailers?.get(name) ?? this.headers?.get(name);
  }

  /** False while too many bytes wait; `onWritable` follows. */
  get writable(): boolean {
    return this.phase === CALL_OPEN && this.#host.isWritable(this);
  }

  begin(method: Method, handler: ClientHandler, deadlineMs: number): void {
    assert(this.phase === CALL_FREE, "a call that begins is free");
    this.phase = CALL_WAITING;
    this.method = method;
    this.handler = handler;
    this.deadlineMs = deadlineMs;
    this.slot = -1;
    this.state = undefined;
    this.isRefused = false;
    this.messageCount = 0;
    this.headers = undefined;
    this.trailers = undefined;
    this.isHalfClosed = false;
    this.#badStatus = undefined;
    this.reader.reset();
  }

  release(): void {
    this.phase = CALL_FREE;
    this.stream = undefined;
    this.handler = undefined;
    this.options = undefined;
    this.state = undefined;
    this.waiting = undefined;
    this.reader.reset();
    this.reader.stop();
  }

  /** Takes response bytes; what is wrong with them ends the call. */
  read(bytes: Uint8Array, start: number, end: number): void {
    this.isReading = true;
    this.reader.read(bytes, start, end);
    this.isReading = false;
    if (this.phase === CALL_OPEN && this.#badStatus !== undefined) {
      this.#host.endCall(this, this.#badStatus.code, this.#badStatus.text);
    }
  }

  onMessage(bytes: Uint8Array, start: number, end: number): void {
    this.messageCount++;
    const isSingle = this.method.kind === "unary" || this.method.kind === "client";
    if (isSingle && this.messageCount > 1) {
      this.reader.stop();
      return this.onBadMessage({
        code: CODE.internal,
        text: "more than one message in answer to a unary call",
      });
    }
    this.handler!.onMessage(this, bytes, start, end);
  }

  onPart(bytes: Uint8Array, start: number, end: number): void {
    this.handler!.onPart?.(this, bytes, start, end);
  }

  onBadMessage(status: Status): void {
    this.#badStatus = status;
  }

  keepBytes(): boolean {
    return true; // bounded by the size limit of a message; servers are trusted further than clients
  }
}
