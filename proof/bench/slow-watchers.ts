// Watch streams whose client grants no window, and then reads no byte: what a stuck consumer looks like to a store. Our
// client transport always reads, so these are written frame by frame, and know of the answers only how many came.

import * as net from "node:net";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { FrameReader } from "../../core/http2/frame-reader.ts";
import {
  FLAG_ACK,
  FLAG_END_HEADERS,
  FRAME_DATA,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_SETTINGS,
  FRAME_HEADER_SIZE_BYTES,
  PREFACE,
  readUint31,
  writeFrameHeader,
} from "../../core/http2/frames.ts";
import { HpackEncoder } from "../../core/http2/hpack-encode.ts";
import { WatchRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import { sleep } from "./contenders.ts";
import { prefixEnd } from "./range-workload.ts";

/** A connection's window is 64 KiB, whatever its streams': so much is sent to these before they stand. */
const STREAMS_PER_CONNECTION = 100;
const READY_TIMEOUT_MS = 60_000;

export class SlowWatchers {
  readonly #connections: SlowConnection[] = [];

  /** Resolves when the store has answered all of them. */
  static async open(endpoint: string, streams: number, prefix: string): Promise<SlowWatchers> {
    const watchers = new SlowWatchers();
    for (let left = streams; left > 0; left -= STREAMS_PER_CONNECTION)
      watchers.#connections.push(
        new SlowConnection(endpoint, Math.min(left, STREAMS_PER_CONNECTION), encodeUtf8(prefix)),
      );
    for (let waitedMs = 0; watchers.#answered < streams; waitedMs += 20) {
      if (watchers.lost > 0 || waitedMs > READY_TIMEOUT_MS) {
        watchers.close();
        throw new Error(`${watchers.#answered} of ${streams} watch streams were opened`);
      }
      await sleep(20);
    }
    return watchers;
  }

  get #answered(): number {
    return this.#connections.reduce((sum, one) => sum + one.answered, 0);
  }

  /** Streams whose connection the store has ended. */
  get lost(): number {
    return this.#connections.reduce((sum, one) => sum + (one.isLost ? one.streams : 0), 0);
  }

  stopReading(): void {
    for (const connection of this.#connections) connection.stopReading();
  }

  close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

class SlowConnection {
  readonly streams: number;
  answered = 0;
  isLost = false;
  readonly #socket: net.Socket;
  readonly #seen: Uint8Array;

  constructor(endpoint: string, streams: number, prefix: Uint8Array) {
    this.streams = streams;
    this.#seen = new Uint8Array(streams);
    const [host, port] = endpoint.split(":");
    this.#socket = net.connect({ host: host!, port: Number(port), noDelay: true });
    const reader = new FrameReader(this, false);
    this.#socket.on("data", (chunk) => reader.read(chunk, 0, chunk.length));
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => (this.isLost = true));
    this.#socket.write(openingOf(endpoint, streams, prefix));
  }

  get closed(): boolean {
    return this.isLost;
  }

  onFrame(bytes: Uint8Array, start: number, end: number): void {
    const type = bytes[start + 3]!;
    const isAck = (bytes[start + 4]! & FLAG_ACK) !== 0;
    if (type === FRAME_SETTINGS && !isAck) this.#answer(FRAME_SETTINGS, new Uint8Array(0));
    if (type === FRAME_PING && !isAck)
      this.#answer(FRAME_PING, bytes.slice(start + FRAME_HEADER_SIZE_BYTES, end));
    if (type !== FRAME_DATA || end - start === FRAME_HEADER_SIZE_BYTES) return;
    // The first message on a stream says that the watch was created.
    const index = (readUint31(bytes, start + 5) - 1) / 2;
    if (this.#seen[index] === 1) return;
    this.#seen[index] = 1;
    this.answered++;
  }

  #answer(type: number, payload: Uint8Array): void {
    const writer = new ByteWriter(32);
    writeFrameHeader(writer, payload.length, type, FLAG_ACK, 0);
    writer.raw(payload, 0, payload.length);
    this.#socket.write(writer.copy());
  }

  stopReading(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#socket.removeAllListeners("close");
    this.#socket.destroy();
  }
}

/** Preface, empty SETTINGS, and for each stream its headers and one message that creates a watcher on the prefix. */
function openingOf(authority: string, streams: number, prefix: Uint8Array): Uint8Array {
  const out = new ByteWriter(64 * 1024);
  out.raw(PREFACE, 0, PREFACE.length);
  writeFrameHeader(out, 0, FRAME_SETTINGS, 0, 0);
  const encoder = new HpackEncoder();
  const block = new ByteWriter(256);
  const message = new ByteWriter(256);
  encode(WatchRequest, { create_request: { key: prefix, range_end: prefixEnd(prefix) } }, message);
  for (let i = 0; i < streams; i++) {
    block.reset();
    encoder.repeated(block, ":method", "POST");
    encoder.repeated(block, ":scheme", "http");
    encoder.repeated(block, ":path", METHOD.watch.path);
    encoder.repeated(block, ":authority", authority);
    encoder.repeated(block, "content-type", "application/grpc");
    encoder.repeated(block, "te", "trailers");
    writeFrameHeader(out, block.position, FRAME_HEADERS, FLAG_END_HEADERS, 2 * i + 1);
    out.raw(block.bytes, 0, block.position);
    writeFrameHeader(out, message.position + 5, FRAME_DATA, 0, 2 * i + 1);
    out.byte(0);
    out.uint32Be(message.position);
    out.raw(message.bytes, 0, message.position);
  }
  return out.copy();
}
