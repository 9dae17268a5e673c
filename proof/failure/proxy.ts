// A link between two members that can be cut: each member advertises a proxy's address to the others. Cut means that
// bytes are held back, as a network without a route does; connections stay open, so that nobody is told.

import net from "node:net";

interface Pipe {
  readonly from: net.Socket;
  readonly to: net.Socket;
}

export class PeerProxy {
  readonly #target: number;
  readonly #server: net.Server;
  readonly #pipes = new Set<Pipe>();
  /** Towards the member, and back from it. */
  #inCut = false;
  #outCut = false;
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

  /** Holds back what goes in, what comes out, or both. */
  cut(direction: { readonly inward: boolean; readonly outward: boolean }): void {
    this.#inCut = direction.inward;
    this.#outCut = direction.outward;
    for (const pipe of this.#pipes) this.#apply(pipe);
  }

  heal(): void {
    // Connections that were cut for long are of no use to either side: closed, they are made anew at once.
    const wasCut = this.#inCut || this.#outCut;
    this.cut({ inward: false, outward: false });
    if (wasCut) for (const pipe of this.#pipes) pipe.from.destroy();
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
    if (this.#inCut) pipe.from.pause();
    else pipe.from.resume();
    if (this.#outCut) pipe.to.pause();
    else pipe.to.resume();
  }
}
