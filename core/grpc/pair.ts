// A client and a server machine joined back to back, in memory and virtual time: for tests.

import { DEFAULT_LIMITS, type Limits } from "../base/limits.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "../http2/limits.ts";
import type { CallCounters } from "./call-counters.ts";
import { ClientConnection } from "./client.ts";
import { GrpcServerConnection } from "./server.ts";
import type { ServerHandler } from "./server-call.ts";

export interface PairOptions {
  readonly handler: ServerHandler;
  readonly limits?: Partial<Limits>;
  readonly serverLimits?: Partial<TransportLimits>;
  readonly clientLimits?: Partial<TransportLimits>;
  readonly counters?: CallCounters;
  /** Of the client; see `GrpcClientOptions`. */
  readonly messageKeptBytesMax?: number;
}

const nothing = (): void => undefined;

export class Pair {
  nowMs = 0;
  readonly server: GrpcServerConnection;
  readonly client: ClientConnection;
  /** Why the client takes no more calls; empty while it does. */
  spentReason = "";
  /** Chunks are cut to this size on their way. */
  chunkSizeBytes = 65536;

  constructor(options: PairOptions) {
    const clock = { now: (): number => this.nowMs, unixSeconds: (): number => 0 };
    this.server = new GrpcServerConnection({
      handler: options.handler,
      ...(options.counters === undefined ? {} : { counters: options.counters }),
      limits: { ...DEFAULT_LIMITS, ...options.limits },
      transportLimits: { ...DEFAULT_TRANSPORT_LIMITS, ...options.serverLimits },
      clock,
      peerAddress: "test",
      onOutput: nothing,
    });
    this.client = new ClientConnection({
      clock,
      transportLimits: {
        ...DEFAULT_TRANSPORT_LIMITS,
        keepaliveIntervalMs: Infinity,
        ...options.clientLimits,
      },
      scheme: "http",
      authority: "test",
      userAgent: "test",
      messageSizeBytesMax: 0x7fffffff,
      ...(options.messageKeptBytesMax === undefined
        ? {}
        : { messageKeptBytesMax: options.messageKeptBytesMax }),
      waitingCountMax: 100,
      pingsWithoutCalls: false,
      onOutput: nothing,
      onReady: nothing,
      onSpent: (_, reason) => (this.spentReason = reason),
    });
  }

  /** Moves bytes both ways until nobody has any more to say. */
  run(): void {
    for (let isBusy = true; isBusy;) {
      isBusy = this.toServer();
      isBusy = this.toClient() || isBusy;
    }
  }

  toServer(): boolean {
    const bytes = this.client.takeOutput();
    for (let at = 0; at < bytes.length; at += this.chunkSizeBytes) {
      this.server.receive(bytes, at, Math.min(bytes.length, at + this.chunkSizeBytes));
    }
    return bytes.length > 0;
  }

  toClient(): boolean {
    const bytes = this.server.takeOutput();
    for (let at = 0; at < bytes.length; at += this.chunkSizeBytes) {
      this.client.receive(bytes, at, Math.min(bytes.length, at + this.chunkSizeBytes));
    }
    return bytes.length > 0;
  }

  /** Lets time pass for both. */
  advance(ms: number): void {
    this.nowMs += ms;
    if (this.server.nextDeadlineMs() <= this.nowMs) this.server.onDeadline(this.nowMs);
    if (this.client.nextDeadlineMs() <= this.nowMs) this.client.onDeadline(this.nowMs);
    this.run();
  }
}
