// A client's connection to one member: the real gRPC machines of both sides over a simulated stream of bytes, cut
// anywhere, delayed, and broken when a process ends.

import { hashBytes } from "../../core/base/bytes.ts";
import type { Clock } from "../../core/base/ports.ts";
import { ClientConnection } from "../../core/grpc/client.ts";
import type { ClientCall, ClientHandler } from "../../core/grpc/client-call.ts";
import { GrpcServerConnection } from "../../core/grpc/server.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "../../core/http2/limits.ts";
import type { Limits } from "../../core/base/limits.ts";
import type { Prng } from "../../core/base/prng.ts";
import type { Method } from "../../core/wire/service.ts";
import { type Network, Pipe } from "./network.ts";
import type { NodeSocket, SimulatedNode } from "./node.ts";
import type { Scheduled } from "./scheduler.ts";

/** How long a client takes to notice that a member is gone which it cannot reach. */
const HALF_OPEN_US = 3_000_000;
const NOTHING: Scheduled = { cancel: () => undefined };

/** The least windows that HTTP/2 knows, so that a client that reads nothing soon stops its streams. */
const CLIENT_LIMITS: TransportLimits = {
  ...DEFAULT_TRANSPORT_LIMITS,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 65_535,
};

export interface ClientLinkOptions {
  readonly network: Network;
  readonly node: SimulatedNode;
  /** The client's place in the network. */
  readonly place: number;
  readonly limits: Limits;
  readonly transportLimits: TransportLimits;
  readonly prng: Prng;
  /** The connection is over; all its calls have ended. */
  readonly onLost: () => void;
}

export class ClientLink {
  readonly node: SimulatedNode;
  readonly #options: ClientLinkOptions;
  readonly #connection: ClientConnection;
  readonly #up: Pipe<Uint8Array>;
  readonly #down: Pipe<Uint8Array>;
  readonly #incarnation: number;
  #server: ServerSocket | undefined;
  #deadline = NOTHING;
  #deadlineMs = Number.POSITIVE_INFINITY;
  #isFlushing = false;
  /** What has arrived and is not read; undefined while the client reads. */
  #unread: Uint8Array[] | undefined;
  #isLost = false;

  /** Connects to a member that is up and reachable. */
  constructor(options: ClientLinkOptions) {
    const { network, node, place } = options;
    this.node = node;
    this.#options = options;
    this.#incarnation = node.incarnation;
    this.#connection = new ClientConnection({
      clock: this.#clock,
      transportLimits: CLIENT_LIMITS,
      scheme: "http",
      authority: `${node.name}:2379`,
      userAgent: "holdfast-simulator",
      messageSizeBytesMax: 64 * 1024 * 1024,
      waitingCountMax: 1000,
      pingsWithoutCalls: false,
      onOutput: () => this.#flushLater(),
      onReady: () => undefined,
      onSpent: () => undefined,
    });
    this.#up = new Pipe(network, { from: place, to: node.place, kind: "request" }, (chunk) =>
      this.#arrivedAtServer(chunk),
    );
    this.#down = new Pipe(network, { from: node.place, to: place, kind: "answer" }, (chunk) =>
      this.#arrivedAtClient(chunk),
    );
  }

  get isLost(): boolean {
    return this.#isLost || this.#connection.closed;
  }

  call(method: Method, handler: ClientHandler, timeoutMs: number): ClientCall {
    return this.#connection.call(method, handler, { timeoutMs });
  }

  /** The client goes away. */
  close(): void {
    if (this.#isLost) return;
    this.#lost();
    const { network, place, node } = this.#options;
    const delayUs = network.isOpen(place, node.place) ? network.delayUs(place, node.place) : HALF_OPEN_US;
    network.scheduler.after(delayUs, { node: node.place, kind: "client-gone" }, () => {
      if (this.#isServerAlive) node.input(() => this.#server?.closed());
    });
  }

  /** The client reads nothing for so long. */
  stall(lastsUs: number): void {
    if (this.#unread !== undefined) return;
    this.#unread = [];
    this.#options.network.scheduler.after(lastsUs, { node: -1, kind: "client-reads" }, () => {
      const unread = this.#unread ?? [];
      this.#unread = undefined;
      for (const chunk of unread) this.#arrivedAtClient(chunk);
    });
  }

  readonly #clock: Clock = {
    now: () => this.#options.network.scheduler.nowUs / 1000,
    unixSeconds: () => 1_700_000_000,
  };

  get #isServerAlive(): boolean {
    return this.node.isUp && this.node.incarnation === this.#incarnation;
  }

  #arrivedAtServer(chunk: Uint8Array): void {
    if (!this.#isServerAlive) return;
    this.node.input(() => {
      const { limits, transportLimits, prng } = this.#options;
      this.#server ??= new ServerSocket({
        node: this.node,
        pipe: this.#down,
        limits,
        transportLimits,
        prng,
        onReset: () => this.#serverGone(),
      });
      this.#server.receive(chunk);
    });
  }

  #arrivedAtClient(chunk: Uint8Array): void {
    if (this.#isLost) return;
    if (this.#unread !== undefined) return void this.#unread.push(chunk);
    this.#connection.receive(chunk, 0, chunk.length);
    this.#flush();
  }

  #serverGone(): void {
    const { network, node, place } = this.#options;
    const delayUs = network.isOpen(node.place, place) ? network.delayUs(node.place, place) : HALF_OPEN_US;
    network.scheduler.after(delayUs, { node: -1, kind: "connection-lost" }, () => this.#lost());
  }

  #lost(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#up.abandon();
    this.#down.close();
    this.#deadline.cancel();
    this.#connection.close("the connection was closed");
    this.#options.onLost();
  }

  // Output is sent in an event of its own, because the machine tells of it from within its calls.
  #flushLater(): void {
    if (this.#isFlushing || this.#isLost) return;
    this.#isFlushing = true;
    this.#options.network.scheduler.after(5, { node: -1, kind: "client-flush" }, () => {
      this.#isFlushing = false;
      if (!this.#isLost) this.#flush();
    });
  }

  #flush(): void {
    if (this.#connection.closed) return this.#lost();
    sendOutput(this.#connection, this.#up, this.#options.prng, 0);
    this.#arm();
  }

  #arm(): void {
    const deadlineMs = this.#connection.nextDeadlineMs();
    if (deadlineMs >= this.#deadlineMs) return;
    this.#deadline.cancel();
    this.#deadlineMs = deadlineMs;
    const { scheduler } = this.#options.network;
    this.#deadline = scheduler.at(
      Math.ceil(deadlineMs * 1000) + 1,
      { node: -1, kind: "client-deadline" },
      () => {
        this.#deadlineMs = Number.POSITIVE_INFINITY;
        this.#connection.onDeadline(scheduler.nowUs / 1000);
        if (!this.#isLost) this.#flush();
      },
    );
  }
}

interface Outputs {
  readonly hasOutput: boolean;
  takeOutput(): Uint8Array;
}

/** Hands all output to the pipe, sometimes in pieces: a reader of a stream may not count on anything. */
function sendOutput(connection: Outputs, pipe: Pipe<Uint8Array>, prng: Prng, laterUs: number): void {
  for (;;) {
    const output = connection.takeOutput();
    if (output.length === 0) return;
    const chunk = output.slice();
    const cut = prng.chance(0.05) ? prng.below(chunk.length) : 0;
    if (cut > 0) pipe.send(chunk.subarray(0, cut), hashBytes(chunk, 0, cut), laterUs);
    pipe.send(chunk.subarray(cut), hashBytes(chunk, cut, chunk.length), laterUs);
  }
}

interface ServerSocketOptions {
  readonly node: SimulatedNode;
  readonly pipe: Pipe<Uint8Array>;
  readonly limits: Limits;
  readonly transportLimits: TransportLimits;
  readonly prng: Prng;
  readonly onReset: () => void;
}

/** The member's end. */
class ServerSocket implements NodeSocket {
  readonly #options: ServerSocketOptions;
  readonly #connection: GrpcServerConnection;

  constructor(options: ServerSocketOptions) {
    const { node, limits, transportLimits } = options;
    this.#options = options;
    this.#connection = new GrpcServerConnection({
      handler: node.member!,
      limits,
      transportLimits,
      clock: node.clock,
      peerAddress: "client",
      onOutput: () => node.wake(),
    });
    node.sockets.add(this);
  }

  receive(chunk: Uint8Array): void {
    if (!this.#connection.closed) this.#connection.receive(chunk, 0, chunk.length);
  }

  flush(): void {
    const { pipe, prng, node, onReset } = this.#options;
    sendOutput(this.#connection, pipe, prng, node.outputLaterUs);
    if (!this.#connection.closed) return;
    node.sockets.delete(this);
    onReset();
  }

  nextDeadlineMs(): number {
    return this.#connection.nextDeadlineMs();
  }

  onDeadline(nowMs: number): void {
    this.#connection.onDeadline(nowMs);
  }

  /** The client is gone. */
  closed(): void {
    this.#options.node.sockets.delete(this);
    this.#connection.close("the connection was closed");
    this.#options.node.wake();
  }

  /** The process is gone; the connection's machine with it. */
  reset(): void {
    this.#options.onReset();
  }
}
