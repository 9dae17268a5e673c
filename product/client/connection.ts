// A connection to one member: gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

import * as http2 from "node:http2";
import { CODE } from "../../core/wire/status.ts";
import type { CallHeaders, CallSink, Connection, ConnectOptions, Endpoint, OpenCall } from "./channel.ts";

/** Windows of ours: enough for a fast network; large answers do not stall on 64 KiB. */
const WINDOW_SIZE_BYTES = 8 * 1024 * 1024;

/** What one message may be; etcd's client takes up to 2^31 - 1. */
const MESSAGE_SIZE_BYTES_MAX = 0x7fffffff;

const EMPTY = new Uint8Array(0);

export async function connect(endpoint: Endpoint, options: ConnectOptions): Promise<Connection> {
  const scheme = endpoint.isTls ? "https" : "http";
  const host = endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host;
  const session = http2.connect(`${scheme}://${host}:${endpoint.port}`, {
    ...(endpoint.isTls ? options.tls : undefined),
    ...(endpoint.socketPath === undefined ? undefined : { path: endpoint.socketPath }),
    settings: { initialWindowSize: WINDOW_SIZE_BYTES, enablePush: false },
  });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      session.destroy();
      reject(new Error(`Cannot connect to ${endpoint.text}: no answer within ${options.timeoutMs} ms`));
    }, options.timeoutMs);
    session.once("connect", () => {
      clearTimeout(timer);
      session.setLocalWindowSize(WINDOW_SIZE_BYTES);
      resolve();
    });
    session.once("error", (error: Error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
  return new Http2Connection(session, options);
}

class Http2Connection implements Connection {
  readonly #session: http2.ClientHttp2Session;
  readonly #probe: NodeJS.Timeout | undefined;
  isOpen = true;

  constructor(session: http2.ClientHttp2Session, options: ConnectOptions) {
    this.#session = session;
    const end = (): void => {
      this.isOpen = false;
      clearInterval(this.#probe);
    };
    session.on("error", end);
    session.on("goaway", end);
    session.on("close", end);
    // An idle connection alone does not keep the process alive.
    session.unref();
    if (options.keepAliveTimeMs > 0) {
      this.#probe = setInterval(() => this.#ping(options.keepAliveTimeoutMs), options.keepAliveTimeMs);
      this.#probe.unref();
    }
  }

  #callCount = 0;

  #ping(timeoutMs: number): void {
    // etcd closes connections that are pinged without a call.
    if (this.#callCount === 0 || this.#session.destroyed) return;
    const timer = setTimeout(() => this.#session.destroy(), timeoutMs);
    timer.unref();
    this.#session.ping(() => clearTimeout(timer));
  }

  call(path: string, headers: CallHeaders, sink: CallSink): OpenCall {
    if (!this.isOpen || this.#session.destroyed) {
      this.isOpen = false;
      queueMicrotask(() => sink.onEnd(CODE.unavailable, "there is no connection available", true));
      return { send: () => {}, halfClose: () => {}, cancel: () => {} };
    }
    const stream = this.#session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      "user-agent": "holdfast/0.1",
      ...headers.metadata,
      ...(headers.timeoutMs === undefined ? undefined : { "grpc-timeout": timeoutText(headers.timeoutMs) }),
    });
    this.#begin();
    return new Http2Call(stream, sink, () => this.#done());
  }

  #begin(): void {
    if (this.#callCount++ === 0) this.#session.ref();
  }

  #done(): void {
    if (--this.#callCount === 0 && !this.#session.destroyed) this.#session.unref();
  }

  close(): void {
    this.isOpen = false;
    clearInterval(this.#probe);
    this.#session.destroy();
  }
}

/** At most eight digits and a unit (PROTOCOL-HTTP2, "Timeout"). */
function timeoutText(timeoutMs: number): string {
  const whole = Math.max(1, Math.ceil(timeoutMs));
  return whole < 1e8 ? `${whole}m` : `${Math.min(99_999_999, Math.ceil(whole / 1000))}S`;
}

class Http2Call implements OpenCall {
  readonly #stream: http2.ClientHttp2Stream;
  readonly #sink: CallSink;
  readonly #done: () => void;
  /** Received bytes that are not a whole message yet. */
  #rest: Uint8Array = EMPTY;
  #restParts: Uint8Array[] = [];
  #restSizeBytes = 0;
  #hasEnded = false;

  constructor(stream: http2.ClientHttp2Stream, sink: CallSink, done: () => void) {
    this.#stream = stream;
    this.#sink = sink;
    this.#done = done;
    stream.on("response", (headers) => {
      const httpStatus = headers[":status"];
      if (httpStatus !== 200)
        this.#end(CODE.unknown, `unexpected HTTP status code received from server: ${httpStatus}`);
      else if (headers["grpc-status"] !== undefined) this.#endWith(headers);
    });
    stream.on("trailers", (headers: http2.IncomingHttpHeaders) => this.#endWith(headers));
    stream.on("data", (chunk: Uint8Array) => this.#receive(chunk));
    stream.on("error", () => {});
    stream.on("close", () => {
      const isRefused = stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM;
      this.#end(CODE.unavailable, "error reading from server: EOF", isRefused);
    });
  }

  send(bytes: Uint8Array): void {
    if (this.#hasEnded) return;
    const frame = new Uint8Array(5 + bytes.length);
    new DataView(frame.buffer).setUint32(1, bytes.length);
    frame.set(bytes, 5);
    this.#stream.write(frame);
  }

  halfClose(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.close(http2.constants.NGHTTP2_CANCEL);
    this.#end(CODE.canceled, "context canceled");
  }

  /** Messages may begin and end anywhere in a chunk: flag, four bytes of length, message. */
  #receive(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#restSizeBytes > 0) {
      this.#restParts.push(chunk);
      this.#restSizeBytes += chunk.length;
      if (this.#restSizeBytes < this.#wantedSizeBytes()) return;
      bytes = Buffer.concat(this.#restParts, this.#restSizeBytes);
    }
    const position = this.#deliver(bytes);
    this.#rest = position === bytes.length ? EMPTY : bytes.subarray(position);
    this.#restParts = this.#rest.length === 0 ? [] : [this.#rest];
    this.#restSizeBytes = this.#rest.length;
  }

  /** How much the first message of the rest needs; joining the parts earlier would copy large ones many times. */
  #wantedSizeBytes(): number {
    if (this.#rest.length < 5) return 5;
    return 5 + messageSizeBytes(this.#rest, 0);
  }

  #deliver(bytes: Uint8Array): number {
    let position = 0;
    while (bytes.length - position >= 5 && !this.#hasEnded) {
      const size = messageSizeBytes(bytes, position);
      if (bytes[position] !== 0 || size > MESSAGE_SIZE_BYTES_MAX) {
        this.#stream.close(http2.constants.NGHTTP2_CANCEL);
        this.#end(CODE.internal, "received a message that is compressed or too large");
        break;
      }
      if (bytes.length - position - 5 < size) break;
      this.#sink.onMessage(bytes, position + 5, position + 5 + size);
      position += 5 + size;
    }
    return position;
  }

  #endWith(headers: http2.IncomingHttpHeaders): void {
    const code = Number(headers["grpc-status"] ?? CODE.unknown);
    const raw = headers["grpc-message"];
    this.#end(
      Number.isInteger(code) ? code : CODE.unknown,
      typeof raw === "string" ? percentDecoded(raw) : "",
    );
  }

  #end(code: number, text: string, isUnsent = false): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#restParts = [];
    this.#done();
    this.#sink.onEnd(code, text, isUnsent);
  }
}

function messageSizeBytes(bytes: Uint8Array, position: number): number {
  return (
    bytes[position + 1]! * 0x1000000 +
    ((bytes[position + 2]! << 16) | (bytes[position + 3]! << 8) | bytes[position + 4]!)
  );
}

function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
