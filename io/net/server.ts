// The listeners of the client port. Moves bytes between sockets and `GrpcServerConnection`s and decides nothing but
// which protocol a connection speaks (sniff.ts).
//
// One write per connection and turn: what the machine puts out is collected until `flush()`. One write is in flight
// at a time, so that the machine's two output buffers can take turns: the kernel reads one while the other fills.

import type http from "node:http";
import net from "node:net";

import type { Limits } from "../../core/base/limits.ts";
import type { Clock, Waker } from "../../core/base/ports.ts";
import type { CallCounters } from "../../core/grpc/call-counters.ts";
import { HealthService } from "../../core/grpc/health.ts";
import type { HttpHandler } from "../../core/grpc/http-exchange.ts";
import type { ServerHandler } from "../../core/grpc/server-call.ts";
import { GrpcServerConnection } from "../../core/grpc/server.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "../../core/http2/limits.ts";
import { createHttp1Server } from "./http1.ts";
import { ListenError, type Listener, listenOn } from "./listen.ts";
import { ServerSocket } from "./server-socket.ts";
import { sniffProtocol } from "./sniff.ts";
import { createTlsServer, type ServerTls } from "./tls.ts";

export interface ServeOptions {
  /** `http://host:port`, `https://…`, `unix://path`, `unixs://…`. The scheme decides whether TLS is spoken. */
  readonly urls: readonly string[];
  /** Required by any https or unixs URL. */
  readonly tls?: ServerTls;
  readonly handler: ServerHandler;
  readonly counters?: CallCounters;
  /** Plain HTTP, whichever version it comes in. */
  readonly onHttp?: HttpHandler;
  /** Takes HTTP/1.1 requests itself and returns true, or leaves them to `onHttp`. */
  readonly onHttp1?: (request: http.IncomingMessage, response: http.ServerResponse) => boolean;
  readonly limits: Limits;
  readonly transportLimits?: TransportLimits;
  readonly clock: Clock;
  /** Told when output waits; its owner then calls `flush()`. Without one the server flushes by itself. */
  readonly waker?: Waker;
  /** Connections at once, over all listeners. */
  readonly connectionCountMax?: number;
}

/** A descriptor each; etcd has no bound, the operating system's is usually above this. */
const CONNECTION_COUNT_MAX = 20_000;

/** Opens all listeners, or none and throws. */
export async function serve(options: ServeOptions): Promise<NetServer> {
  const server = new NetServer(options);
  try {
    await server.listen();
  } catch (error) {
    server.close();
    throw error;
  }
  return server;
}

export class NetServer {
  /** What each listener is bound to, in the order of the URLs: `http://127.0.0.1:2379`. */
  readonly addresses: string[] = [];
  /** Answers grpc.health.v1.Health; SERVING from the start. */
  readonly health = new HealthService();
  readonly #options: ServeOptions;
  readonly #limits: TransportLimits;
  readonly #http1: http.Server;
  readonly #listeners: Listener[] = [];
  readonly #sockets = new Set<ServerSocket>();
  /** Connections of any protocol. */
  readonly #raw = new Set<net.Socket>();
  #dirty: ServerSocket[] = [];
  #isFlushPlanned = false;
  #isDraining = false;
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;
  readonly #onImmediate = (): void => {
    this.#isFlushPlanned = false;
    this.flush();
  };
  readonly #onTimer = (): void => this.#sweep();
  readonly #onOutput = (connection: GrpcServerConnection): void =>
    this.markDirty(connection.owner as ServerSocket);
  readonly #onFlush = (connection: GrpcServerConnection): void => (connection.owner as ServerSocket).flush();

  constructor(options: ServeOptions) {
    this.#options = options;
    this.#limits = options.transportLimits ?? DEFAULT_TRANSPORT_LIMITS;
    this.#http1 = createHttp1Server({ ...options, headersTimeoutMs: this.#limits.handshakeMs });
  }

  async listen(): Promise<void> {
    for (const url of this.#options.urls) {
      const listener = await listenOn(url, (isTls) => this.#createServer(isTls, url));
      this.#listeners.push(listener);
      this.addresses.push(listener.address);
    }
  }

  #createServer(isTls: boolean, url: string): net.Server {
    if (!isTls) return net.createServer({ noDelay: true }, (socket) => this.#onConnection(socket));
    const tls = this.#options.tls;
    if (tls === undefined)
      throw new ListenError(`Cannot listen on ${url}: TLS needs a certificate and a key`);
    return createTlsServer(tls, this.#limits.handshakeMs, {
      onConnection: (socket) => this.#accept(socket),
      onSecure: (socket, protocol, commonName) => this.#onSecure(socket, protocol, commonName),
    });
  }

  get connectionCount(): number {
    return this.#raw.size;
  }

  #onConnection(socket: net.Socket): void {
    if (!this.#accept(socket)) return;
    sniffProtocol(socket, this.#limits.handshakeMs, (protocol, first) => {
      if (protocol === "http2") this.#serveHttp2(socket, "", first);
      else this.#serveHttp1(socket, first);
    });
  }

  /** Counts a connection in; false when there are too many. */
  #accept(socket: net.Socket): boolean {
    socket.on("error", ignore); // the close that follows is what matters
    if (this.#isDraining || this.#raw.size >= (this.#options.connectionCountMax ?? CONNECTION_COUNT_MAX)) {
      socket.destroy();
      return false;
    }
    this.#raw.add(socket);
    socket.once("close", () => this.#raw.delete(socket));
    return true;
  }

  #onSecure(socket: net.Socket, protocol: string, commonName: string): void {
    if (protocol === "h2") this.#serveHttp2(socket, commonName, new Uint8Array(0));
    else this.#serveHttp1(socket, new Uint8Array(0));
  }

  #serveHttp2(socket: net.Socket, peerCommonName: string, first: Uint8Array): void {
    const { handler, limits, clock, onHttp, counters } = this.#options;
    const connection = new GrpcServerConnection({
      handler,
      health: this.health,
      ...(onHttp === undefined ? {} : { onHttp }),
      ...(counters === undefined ? {} : { counters }),
      limits,
      transportLimits: this.#limits,
      clock,
      peerAddress: addressOf(socket),
      peerCommonName,
      onOutput: this.#onOutput,
      onFlush: this.#onFlush,
    });
    const served = new ServerSocket(socket, connection, this.#options);
    connection.owner = served;
    this.#sockets.add(served);
    socket.once("close", () => this.#sockets.delete(served));
    served.start(first);
    this.markDirty(served); // our SETTINGS
    if (this.#isDraining) connection.drain();
  }

  #serveHttp1(socket: net.Socket, first: Uint8Array): void {
    if (first.length > 0) socket.unshift(first);
    this.#http1.emit("connection", socket);
    socket.resume();
  }

  /** A connection has something to write. */
  markDirty(socket: ServerSocket): void {
    if (socket.isDirty) return;
    socket.isDirty = true;
    this.#dirty.push(socket);
    if (this.#options.waker !== undefined) return this.#options.waker.wake();
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    setImmediate(this.#onImmediate);
  }

  /** Writes every connection that has output, once. */
  flush(): void {
    if (this.#dirty.length === 0) return;
    const dirty = this.#dirty;
    this.#dirty = [];
    let deadlineMs = Infinity;
    for (const socket of dirty) {
      socket.isDirty = false;
      socket.flush();
      deadlineMs = Math.min(deadlineMs, socket.nextDeadlineMs());
    }
    this.#arm(deadlineMs);
  }

  // A timer that is too early only looks again; re-arming it for every call that ended would cost more.
  #arm(deadlineMs: number): void {
    if (deadlineMs >= this.#timerAtMs) return;
    clearTimeout(this.#timer);
    this.#timerAtMs = deadlineMs;
    this.#timer = setTimeout(this.#onTimer, Math.max(1, Math.ceil(deadlineMs - this.#options.clock.now())));
    this.#timer.unref();
  }

  #sweep(): void {
    this.#timer = undefined;
    this.#timerAtMs = Infinity;
    const nowMs = this.#options.clock.now();
    let deadlineMs = Infinity;
    for (const socket of this.#sockets) {
      if (socket.nextDeadlineMs() <= nowMs) socket.onDeadline(nowMs);
      deadlineMs = Math.min(deadlineMs, socket.nextDeadlineMs());
    }
    this.#arm(deadlineMs);
  }

  /** Takes no new connections and calls; resolves when those that run have ended, or after `timeoutMs`. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    for (const listener of this.#listeners) listener.server.close();
    this.#http1.closeIdleConnections();
    for (const socket of this.#sockets) socket.connection.drain();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      const check = (): void => {
        if (this.#raw.size > 0) return;
        clearTimeout(timer);
        resolve();
      };
      for (const socket of this.#raw) socket.once("close", () => setImmediate(check));
      check();
    });
    this.close();
  }

  /** Ends everything at once. */
  close(): void {
    this.#isDraining = true;
    clearTimeout(this.#timer);
    for (const listener of this.#listeners) listener.server.close();
    this.#http1.close();
    for (const socket of this.#raw) socket.destroy();
  }
}

function addressOf(socket: net.Socket): string {
  return socket.remoteAddress === undefined ? "" : `${socket.remoteAddress}:${socket.remotePort}`;
}

function ignore(): void {
  // 'close' follows
}
