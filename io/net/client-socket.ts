// One connection of a client: its socket, once there is one, and its machine.

import type net from "node:net";
import tls from "node:tls";

import type { Clock } from "../../core/base/ports.ts";
import type { ClientConnection } from "../../core/grpc/client.ts";
import { readBytes } from "./read-bytes.ts";

/** A write that the peer does not take for so long ends the connection, milliseconds. */
const STALLED_WRITE_MS = 60_000;

export class ClientSocket {
  readonly connection: ClientConnection;
  wasReady = false;
  readonly #clock: Clock;
  readonly #onGone: () => void;
  #socket: net.Socket | undefined = undefined;
  #isConnected = false;
  #isDirty = false;
  #isGone = false;
  #writingSinceMs = Infinity;
  #error = "";
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Infinity;
  #connectTimer: NodeJS.Timeout | undefined;
  readonly #onWritten = (): void => this.#written();
  readonly #onTick = (): void => this.#flush();

  constructor(connection: ClientConnection, clock: Clock, onGone: () => void) {
    this.connection = connection;
    this.#clock = clock;
    this.#onGone = onGone;
  }

  /** Opens the socket after a delay; gives up when it is not connected in time. */
  connect(open: () => net.Socket, times: { delayMs: number; timeoutMs: number }): void {
    const start = (): void => {
      this.#connectTimer = setTimeout(() => this.destroy("connecting took too long"), times.timeoutMs);
      this.#attach(open);
    };
    if (times.delayMs <= 0) start();
    else this.#connectTimer = setTimeout(start, times.delayMs);
    this.#arm();
  }

  #attach(open: () => net.Socket): void {
    let socket: net.Socket;
    try {
      socket = open();
    } catch (error) {
      return this.destroy((error as Error).message); // a bad certificate file, an invalid port
    }
    this.#socket = socket;
    socket.on("error", (error: Error) => (this.#error ||= describe(error)));
    socket.on("close", () => this.#gone(this.#error || "the connection was closed"));
    socket.on("end", () => socket.destroy());
    if (socket instanceof tls.TLSSocket) socket.once("secureConnect", () => this.#secured(socket));
    else socket.once("connect", () => this.#connected());
  }

  #secured(socket: tls.TLSSocket): void {
    if (socket.alpnProtocol === "h2") return this.#connected();
    this.destroy("the server does not speak HTTP/2 over TLS");
  }

  #connected(): void {
    clearTimeout(this.#connectTimer);
    this.#isConnected = true;
    readBytes(this.#socket!, (bytes, end) => this.#received(bytes, end));
    this.#flush();
  }

  #received(bytes: Uint8Array, end: number): void {
    const { connection } = this;
    connection.receive(bytes, 0, end);
    if (!this.wasReady && connection.isReady) this.wasReady = true;
  }

  /** Output waits: it is written when the callback that made it has returned. */
  markDirty(): void {
    if (this.#isDirty) return;
    this.#isDirty = true;
    process.nextTick(this.#onTick);
  }

  #flush(): void {
    this.#isDirty = false;
    const { connection } = this;
    connection.endDoomedCalls();
    if (connection.nextDeadlineMs() < this.#timerAtMs) this.#arm();
    if (!this.#isConnected || this.#isGone || this.#writingSinceMs !== Infinity) return;
    const output = connection.takeOutput();
    if (output.length > 0) {
      this.#writingSinceMs = this.#clock.now();
      this.#socket!.write(output, this.#onWritten);
    } else if (connection.closed) this.#socket!.destroySoon();
  }

  #written(): void {
    this.#writingSinceMs = Infinity;
    if (this.connection.hasOutput || this.connection.closed) this.#flush();
  }

  #arm(): void {
    const deadlineMs = Math.min(this.connection.nextDeadlineMs(), this.#writingSinceMs + STALLED_WRITE_MS);
    clearTimeout(this.#timer);
    this.#timerAtMs = deadlineMs;
    if (deadlineMs === Infinity || this.#isGone) return;
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(0, Math.ceil(deadlineMs - this.#clock.now())));
  }

  #onTimer(): void {
    this.#timerAtMs = Infinity;
    const nowMs = this.#clock.now();
    if (nowMs >= this.#writingSinceMs + STALLED_WRITE_MS) return this.destroy("the server takes no more");
    if (this.connection.nextDeadlineMs() <= nowMs) this.connection.onDeadline(nowMs);
    this.#arm();
  }

  /** Ends the connection at once; calls end with this reason. */
  destroy(reason: string): void {
    this.#error ||= reason;
    this.#socket?.destroy();
    this.#gone(reason);
  }

  #gone(reason: string): void {
    if (this.#isGone) return;
    this.#isGone = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#connectTimer);
    this.connection.close(reason);
    this.#onGone();
  }
}

function describe(error: Error): string {
  // Several addresses were tried: name the first failure.
  if (error instanceof AggregateError && error.errors.length > 0) return describe(error.errors[0] as Error);
  return error.message;
}
