// One accepted HTTP/2 connection: its socket and its machine.

import type net from "node:net";

import type { Limits } from "../../core/base/limits.ts";
import type { Clock } from "../../core/base/ports.ts";
import type { GrpcServerConnection } from "../../core/grpc/server.ts";
import { readBytes } from "./read-bytes.ts";

export class ServerSocket {
  readonly connection: GrpcServerConnection;
  /** It is in the server's list of connections to be written. */
  isDirty = false;
  readonly #socket: net.Socket;
  readonly #clock: Clock;
  readonly #limits: Limits;
  /** When the write that is in flight began; Infinity when none is. */
  #writingSinceMs = Infinity;
  #isPaused = false;
  #isEnding = false;
  readonly #onWritten = (): void => this.#written();

  constructor(
    socket: net.Socket,
    connection: GrpcServerConnection,
    options: { clock: Clock; limits: Limits },
  ) {
    this.#socket = socket;
    this.connection = connection;
    this.#clock = options.clock;
    this.#limits = options.limits;
  }

  /** Begins to read; `first` was read already. */
  start(first: Uint8Array): void {
    const { connection } = this;
    readBytes(this.#socket, (bytes, end) => this.#received(bytes, end));
    this.#socket.on("end", () => this.#socket.end());
    this.#socket.on("close", () => connection.close("the connection was closed"));
    if (first.length > 0) this.#received(first, first.length);
    if (!this.#isPaused) this.#socket.resume();
  }

  #received(bytes: Uint8Array, end: number): void {
    const { connection } = this;
    if (connection.closed) return;
    connection.receive(bytes, 0, end);
    if (!connection.isReadPaused || this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause();
  }

  /** Starts a write of what waits, unless one is in flight. */
  flush(): void {
    if (this.#writingSinceMs !== Infinity || this.#isEnding) return;
    const { connection } = this;
    const output = connection.takeOutput();
    if (output.length > 0) {
      this.#writingSinceMs = this.#clock.now();
      this.#socket.write(output, this.#onWritten);
    } else if (connection.closed) {
      this.#isEnding = true;
      this.#socket.destroySoon();
    }
  }

  #written(): void {
    this.#writingSinceMs = Infinity;
    const { connection } = this;
    if (connection.hasOutput || connection.closed) this.flush();
    else connection.releaseOutput();
    if (!this.#isPaused || connection.isReadPaused) return;
    this.#isPaused = false;
    this.#socket.resume();
  }

  nextDeadlineMs(): number {
    return Math.min(this.connection.nextDeadlineMs(), this.#writingSinceMs + this.#limits.stalledReaderMs);
  }

  onDeadline(nowMs: number): void {
    // The peer takes nothing: its kernel's buffer and ours are full.
    if (nowMs >= this.#writingSinceMs + this.#limits.stalledReaderMs) {
      this.#socket.destroy();
      return;
    }
    this.connection.onDeadline(nowMs);
  }
}
