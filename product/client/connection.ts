// A connection to one member, on the project's own gRPC (io/net/client.ts).

import type { ClientCall, ClientHandler } from "../../core/grpc/client-call.ts";
import type { Method } from "../../core/wire/service.ts";
import { CODE } from "../../core/wire/status.ts";
import { NetClient } from "../../io/net/client.ts";
import type { CallHeaders, CallSink, Connection, ConnectOptions, OpenCall } from "./channel.ts";

export async function connect(endpoint: string, options: ConnectOptions): Promise<Connection> {
  const net = new NetClient({
    endpoint,
    ...(options.tls === undefined ? undefined : { tls: options.tls }),
    dialTimeoutMs: options.timeoutMs,
    keepaliveIntervalMs: options.keepAliveTimeMs === 0 ? Infinity : options.keepAliveTimeMs,
    keepaliveTimeoutMs: options.keepAliveTimeoutMs,
    userAgent: "holdfast-client/0.1",
    ...(options.receiveSizeBytesMax === undefined
      ? {}
      : { messageSizeBytesMax: options.receiveSizeBytesMax }),
  });
  try {
    await net.ready();
  } catch (error) {
    net.close();
    throw error;
  }
  return new NetConnection(net, options.sendSizeBytesMax ?? Infinity);
}

class NetConnection implements Connection {
  readonly #net: NetClient;
  readonly #sendSizeBytesMax: number;
  #isClosed = false;

  constructor(net: NetClient, sendSizeBytesMax: number) {
    this.#net = net;
    this.#sendSizeBytesMax = sendSizeBytesMax;
  }

  /** Reconnecting is the pool's business: it may know a member that is up. */
  get isOpen(): boolean {
    return !this.#isClosed && this.#net.isReady;
  }

  call(method: Method, headers: CallHeaders, sink: CallSink): OpenCall {
    if (!this.isOpen) {
      queueMicrotask(() => sink.onEnd(CODE.unavailable, "there is no connection available", true));
      return ENDED_CALL;
    }
    const call = new NetCall(sink, this.#sendSizeBytesMax);
    const { metadata, timeoutMs } = headers;
    const options = timeoutMs === undefined ? { metadata } : { metadata, timeoutMs };
    call.started(this.#net.call(method, call, options));
    return call;
  }

  close(): void {
    this.#isClosed = true;
    this.#net.close();
  }
}

const ENDED_CALL: OpenCall = { send: () => {}, halfClose: () => {}, cancel: () => {} };

/** The call objects below are used again after their end; this one is the user's alone. */
class NetCall implements OpenCall, ClientHandler {
  readonly #sink: CallSink;
  readonly #sendSizeBytesMax: number;
  #call: ClientCall | undefined;
  #hasEnded = false;

  constructor(sink: CallSink, sendSizeBytesMax: number) {
    this.#sink = sink;
    this.#sendSizeBytesMax = sendSizeBytesMax;
  }

  started(call: ClientCall): void {
    if (!this.#hasEnded) this.#call = call;
  }

  send(bytes: Uint8Array): void {
    if (bytes.length > this.#sendSizeBytesMax) this.#refuse(bytes.length);
    else this.#call?.send(bytes, 0, bytes.length);
  }

  #refuse(sizeBytes: number): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#hasEnded = true;
    this.#call = undefined;
    call.cancel();
    const text = `trying to send message larger than max (${sizeBytes} vs. ${this.#sendSizeBytesMax})`;
    queueMicrotask(() => this.#sink.onEnd(CODE.resourceExhausted, text, true));
  }

  halfClose(): void {
    this.#call?.halfClose();
  }

  cancel(): void {
    this.#call?.cancel();
  }

  onMessage(_call: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    this.#sink.onMessage(bytes, start, end);
  }

  onEnd(call: ClientCall, code: number, text: string): void {
    if (this.#hasEnded) return; // refused above
    const isUnsent = call.isRefused;
    this.#hasEnded = true;
    const hasStarted = this.#call !== undefined;
    this.#call = undefined;
    // A call that ends before it was handed out: whoever made it is not ready to hear of it.
    if (hasStarted) this.#sink.onEnd(code, text, isUnsent);
    else queueMicrotask(() => this.#sink.onEnd(code, text, isUnsent));
  }
}
