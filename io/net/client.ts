// A client of one endpoint: sockets, TLS and reconnection around `ClientConnection`. Callbacks only; product/client
// puts promises on top, the load generator uses it as it is.
//
//   idle --call--> connecting --SETTINGS--> ready --GOAWAY, error--> idle (with a back-off after failures)
//
// A connection is made when a call needs one. Calls made while it is being made wait in its output. After a failed
// attempt calls end at once with UNAVAILABLE until the back-off has passed, unless they ask to wait.

import net from "node:net";
import tls from "node:tls";

import type { Clock } from "../../core/base/ports.ts";
import type { CallOptions, ClientCall, ClientHandler } from "../../core/grpc/client-call.ts";
import { ClientConnection } from "../../core/grpc/client.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "../../core/http2/limits.ts";
import type { Method } from "../../core/wire/service.ts";
import { CODE } from "../../core/wire/status.ts";
import { systemClock } from "../clock.ts";
import { ClientSocket } from "./client-socket.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { type ClientTls, clientTlsOptions } from "./tls.ts";

export interface NetClientOptions {
  /** `http://host:port`, `https://…`, `host:port` (https when `tls` is given), `unix://path`, `unixs://path`. */
  readonly endpoint: string;
  readonly tls?: ClientTls;
  readonly clock?: Clock;
  readonly transportLimits?: TransportLimits;
  readonly userAgent?: string;
  /** Largest response, bytes; 2^31-1 by default, as etcd's own client. */
  readonly messageSizeBytesMax?: number;
  /** Up to this size, bytes, the memory of a response is used again for later ones; 16 KiB by default. */
  readonly messageKeptBytesMax?: number;
  /** For TCP, TLS and the server's SETTINGS together. */
  readonly dialTimeoutMs?: number;
  /** Ping after so much silence while calls run; Infinity by default. */
  readonly keepaliveIntervalMs?: number;
  readonly keepaliveTimeoutMs?: number;
  readonly pingsWithoutCalls?: boolean;
  readonly backoffMsMin?: number;
  readonly backoffMsMax?: number;
}

export interface NetCallOptions extends CallOptions {
  /** Wait for a connection instead of failing while one cannot be had. */
  readonly waitForReady?: boolean;
}

const DIAL_TIMEOUT_MS = 5_000;
const BACKOFF_MS_MIN = 100;
const BACKOFF_MS_MAX = 10_000;
const BACKOFF_FACTOR = 1.6;
const BACKOFF_JITTER = 0.2;
const WAITING_COUNT_MAX = 10_000;
/** Messages are handed on as they come, so a large window costs nothing and keeps a large range flowing. */
const STREAM_WINDOW_BYTES = 8 * 1024 * 1024;

export class NetClient {
  readonly endpoint: Endpoint;
  readonly #options: NetClientOptions;
  readonly #limits: TransportLimits;
  readonly #clock: Clock;
  /** The connection that takes new calls; others may still be finishing theirs. */
  #current: ClientSocket | undefined = undefined;
  readonly #sockets = new Set<ClientSocket>();
  #metadata: Readonly<Record<string, string>> = {};
  #isClosed = false;
  /** Attempts that failed since the last success. */
  #failureCount = 0;
  #retryAtMs = 0;
  #lastError = "";
  #readyWaiters: { resolve: () => void; reject: (error: Error) => void }[] = [];

  constructor(options: NetClientOptions) {
    this.#options = options;
    this.endpoint = parseEndpoint(options.endpoint, options.tls !== undefined);
    this.#clock = options.clock ?? systemClock;
    this.#limits = {
      ...(options.transportLimits ?? DEFAULT_TRANSPORT_LIMITS),
      handshakeMs: options.dialTimeoutMs ?? DIAL_TIMEOUT_MS,
      keepaliveIntervalMs: options.keepaliveIntervalMs ?? Infinity,
      keepaliveTimeoutMs: options.keepaliveTimeoutMs ?? DEFAULT_TRANSPORT_LIMITS.keepaliveTimeoutMs,
      assemblyBytesMax: Infinity,
      streamWindowBytes: STREAM_WINDOW_BYTES,
      connectionWindowBytes: 8 * STREAM_WINDOW_BYTES,
    };
  }

  /** The connection is up. */
  get isReady(): boolean {
    return this.#current?.connection.isReady ?? false;
  }

  /** Calls that run or wait. */
  get callCount(): number {
    return this.#current?.connection.callCount ?? 0;
  }

  /** Why the last attempt to connect failed or the last connection ended. */
  get lastError(): string {
    return this.#lastError;
  }

  /** Fields to be sent with every call, such as `token`. */
  setMetadata(metadata: Readonly<Record<string, string>>): void {
    this.#metadata = metadata;
    this.#current?.connection.setMetadata(metadata);
  }

  /** Starts a call; `handler.onEnd` follows exactly once, and never before this has returned. */
  call(method: Method, handler: ClientHandler, options?: NetCallOptions): ClientCall {
    return this.#connection(options?.waitForReady ?? false).call(method, handler, options);
  }

  /** Connects if need be; rejects when that attempt fails. */
  ready(): Promise<void> {
    if (this.isReady) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#readyWaiters.push({ resolve, reject });
      this.#connection(true);
    });
  }

  /** Ends all connections at once; running calls end with UNAVAILABLE. */
  close(): void {
    this.#isClosed = true;
    this.#current = undefined;
    for (const socket of this.#sockets) socket.destroy("the client was closed");
  }

  /** Lets running calls end, takes no new ones. */
  drain(): void {
    this.#isClosed = true;
    this.#current = undefined;
    for (const socket of this.#sockets) socket.connection.drain();
  }

  #connection(waitsForReady: boolean): ClientConnection {
    const current = this.#current;
    if (current !== undefined && !current.connection.isSpent) return current.connection;
    if (this.#isClosed) return this.#deadConnection("the client was closed");
    const delayMs = this.#retryAtMs - this.#clock.now();
    if (delayMs > 0 && !waitsForReady) return this.#deadConnection(this.#lastError);
    return this.#connect(Math.max(0, delayMs)).connection;
  }

  /** A connection on which every call ends with UNAVAILABLE and this text. */
  #deadConnection(reason: string): ClientConnection {
    const connection = this.#newConnection();
    connection.close(reason);
    // Not with nextTick: callers that try again at once would keep the loop from everything else.
    setImmediate(() => connection.endDoomedCalls());
    return connection;
  }

  #newConnection(): ClientConnection {
    const options = this.#options;
    const connection = new ClientConnection({
      clock: this.#clock,
      transportLimits: this.#limits,
      scheme: this.endpoint.isTls ? "https" : "http",
      authority: this.endpoint.authority,
      userAgent: options.userAgent ?? "holdfast",
      messageSizeBytesMax: options.messageSizeBytesMax ?? 0x7fffffff,
      ...(options.messageKeptBytesMax === undefined
        ? {}
        : { messageKeptBytesMax: options.messageKeptBytesMax }),
      waitingCountMax: WAITING_COUNT_MAX,
      pingsWithoutCalls: options.pingsWithoutCalls ?? false,
      onOutput: (it) => (it.owner as ClientSocket | undefined)?.markDirty(),
      onReady: () => this.#ready(),
      onSpent: (it, reason) => this.#spent(it, reason),
    });
    connection.setMetadata(this.#metadata);
    return connection;
  }

  #connect(delayMs: number): ClientSocket {
    const connection = this.#newConnection();
    const socket = new ClientSocket(connection, this.#clock, () => this.#sockets.delete(socket));
    connection.owner = socket;
    this.#current = socket;
    this.#sockets.add(socket);
    socket.connect(() => this.#openSocket(), { delayMs, timeoutMs: this.#limits.handshakeMs });
    return socket;
  }

  #openSocket(): net.Socket {
    const { isTls, target, host } = this.endpoint;
    if (!isTls) return net.connect({ ...target, noDelay: true });
    return tls.connect({ ...target, ...clientTlsOptions(this.#options.tls ?? {}, host) });
  }

  #ready(): void {
    this.#failureCount = 0;
    this.#retryAtMs = 0;
    const waiters = this.#readyWaiters;
    this.#readyWaiters = [];
    for (const waiter of waiters) waiter.resolve();
  }

  #spent(connection: ClientConnection, reason: string): void {
    if (this.#current?.connection !== connection) return;
    const wasReady = connection.isReady || this.#current.wasReady;
    this.#current = undefined;
    this.#lastError = reason;
    if (!wasReady) this.#backOff();
    const waiters = this.#readyWaiters;
    this.#readyWaiters = [];
    for (const waiter of waiters) waiter.reject(new ConnectError(this.endpoint.text, reason));
  }

  #backOff(): void {
    const { backoffMsMin = BACKOFF_MS_MIN, backoffMsMax = BACKOFF_MS_MAX } = this.#options;
    const delayMs = Math.min(backoffMsMax, backoffMsMin * BACKOFF_FACTOR ** this.#failureCount++);
    const jitter = 1 + BACKOFF_JITTER * (2 * Math.random() - 1);
    this.#retryAtMs = this.#clock.now() + delayMs * jitter;
  }
}

/** The endpoint could not be reached; what a call would have ended with. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly code = CODE.unavailable;
  readonly endpoint: string;
  constructor(endpoint: string, reason: string) {
    super(`Cannot connect to ${endpoint}: ${reason}`);
    this.endpoint = endpoint;
  }
}
