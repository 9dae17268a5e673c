// A slow network before a member: what others open to it, and what it answers there, arrives later. The order stays.

import * as net from "node:net";

export class DelayProxy {
  readonly #targetPort: number;
  readonly #delayMs: number;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  constructor(targetPort: number, delayMs: number) {
    this.#targetPort = targetPort;
    this.#delayMs = delayMs;
    this.#server = net.createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(0, "127.0.0.1", resolve);
    });
    return (this.#server.address() as net.AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #accept(from: net.Socket): void {
    const to = net.connect({ port: this.#targetPort, host: "127.0.0.1", noDelay: true });
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#sockets.add(one);
      one.on("data", (chunk) => {
        // Timers of one length fire in the order in which they were set.
        setTimeout(() => other.write(chunk), this.#delayMs);
      });
      one.on("error", () => {}); // "close" follows
      one.on("close", () => {
        this.#sockets.delete(one);
        // Not before its last bytes.
        setTimeout(() => other.destroy(), this.#delayMs);
      });
    }
  }
}
