// A proxy before a member, for machines where nothing better is allowed: what the other members open to it can be
// stalled, in both directions. Stalled means that bytes are held back, as a network without a route does; connections
// stay open, so that nobody is told. What the member itself opens to others goes on.

import net from "node:net";

interface Pipe {
  readonly from: net.Socket;
  readonly to: net.Socket;
}

export class PeerProxy {
  readonly #target: number;
  readonly #server: net.Server;
  readonly #pipes = new Set<Pipe>();
  #isStalled = false;
  port = 0;

  constructor(targetPort: number) {
    this.#target = targetPort;
    this.#server = net.createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", () => {
        this.port = (this.#server.address() as net.AddressInfo).port;
        resolve();
      });
    });
  }

  stall(): void {
    this.#isStalled = true;
    for (const pipe of this.#pipes) this.#apply(pipe);
  }

  heal(): void {
    if (!this.#isStalled) return;
    this.#isStalled = false;
    // Connections that were stalled for long are of no use to either side: closed, they are made anew at once.
    for (const pipe of this.#pipes) pipe.from.destroy();
  }

  close(): void {
    this.#server.close();
    for (const pipe of this.#pipes) pipe.from.destroy();
  }

  #accept(from: net.Socket): void {
    const to = net.connect({ port: this.#target, host: "127.0.0.1", noDelay: true });
    const pipe: Pipe = { from, to };
    this.#pipes.add(pipe);
    from.on("data", (chunk) => to.write(chunk));
    to.on("data", (chunk) => from.write(chunk));
    const end = (): void => {
      this.#pipes.delete(pipe);
      from.destroy();
      to.destroy();
    };
    for (const socket of [from, to]) {
      socket.on("error", end);
      socket.on("close", end);
    }
    this.#apply(pipe);
  }

  #apply(pipe: Pipe): void {
    for (const socket of [pipe.from, pipe.to]) {
      if (this.#isStalled) socket.pause();
      else socket.resume();
    }
  }
}
