// The little of WebSocket (RFC 6455) that Node's inspector needs: text frames, client to server masked. Node 20 has no
// client of its own. Loopback only, one peer that we started ourselves: no fragments from it, no extensions.

import { randomBytes } from "node:crypto";
import * as net from "node:net";

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

export class WebSocketClient {
  readonly #socket: net.Socket;
  readonly #onText: (text: string) => void;
  #rest: Buffer = Buffer.alloc(0);
  #parts: Buffer[] = [];

  private constructor(socket: net.Socket, onText: (text: string) => void) {
    this.#socket = socket;
    this.#onText = onText;
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", () => {});
  }

  /** Connects to `ws://host:port/path`. */
  static async open(url: string, onText: (text: string) => void): Promise<WebSocketClient> {
    const { hostname, port, pathname } = new URL(url);
    const socket = net.connect({ host: hostname, port: Number(port), noDelay: true });
    await new Promise<void>((resolve, reject) => {
      let head = "";
      const take = (chunk: Buffer): void => {
        head += chunk.toString("latin1");
        const end = head.indexOf("\r\n\r\n");
        if (end < 0) return;
        socket.off("data", take);
        // The inspector says nothing before it is asked, so nothing follows the head.
        if (head.startsWith("HTTP/1.1 101")) resolve();
        else reject(new Error(`The inspector refused the connection: ${head.split("\r\n")[0]}`));
      };
      socket.on("data", take);
      socket.once("error", reject);
      const key = randomBytes(16).toString("base64");
      socket.write(
        `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
      );
    });
    return new WebSocketClient(socket, onText);
  }

  send(text: string): void {
    this.#frame(TEXT, Buffer.from(text));
  }

  close(): void {
    this.#frame(CLOSE, Buffer.alloc(0));
    this.#socket.end();
    this.#socket.unref();
  }

  #frame(opcode: number, payload: Buffer): void {
    const mask = randomBytes(4);
    const size = payload.length;
    const head =
      size < 126
        ? Buffer.from([0x80 | opcode, 0x80 | size])
        : size < 65_536
          ? Buffer.alloc(4)
          : Buffer.alloc(10);
    if (size >= 126) {
      head[0] = 0x80 | opcode;
      head[1] = 0x80 | (size < 65_536 ? 126 : 127);
      if (size < 65_536) head.writeUInt16BE(size, 2);
      else head.writeBigUInt64BE(BigInt(size), 2);
    }
    const masked = Buffer.alloc(size);
    for (let i = 0; i < size; i++) masked[i] = payload[i]! ^ mask[i & 3]!;
    this.#socket.write(Buffer.concat([head, mask, masked]));
  }

  #receive(chunk: Buffer): void {
    this.#parts.push(chunk);
    const known = this.#rest.length + this.#parts.reduce((sum, part) => sum + part.length, 0);
    // A profile is one frame of megabytes in many chunks: joined once, when all of it is there.
    if (this.#needed > known) return;
    let bytes = Buffer.concat([this.#rest, ...this.#parts]);
    this.#parts = [];
    for (;;) {
      const frame = parseFrame(bytes);
      if (typeof frame === "number") {
        this.#needed = frame;
        break;
      }
      bytes = bytes.subarray(frame.end);
      if (frame.opcode === PING) this.#frame(PONG, frame.payload);
      else if (frame.opcode === TEXT) this.#onText(frame.payload.toString("utf8"));
    }
    this.#rest = bytes;
  }

  #needed = 0;
}

interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  readonly end: number;
}

/** A frame, or how many bytes are needed at least before there is one. */
function parseFrame(bytes: Buffer): Frame | number {
  if (bytes.length < 2) return 2;
  const short = bytes[1]! & 0x7f;
  const start = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < start) return start;
  const size =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (bytes.length < start + size) return start + size;
  return { opcode: bytes[0]! & 0x0f, payload: bytes.subarray(start, start + size), end: start + size };
}
