// Cuts a stream's bytes into gRPC messages.
//
//    0            1        5
//   +------------+--------+---------…
//   | compressed | length | message
//   +------------+--------+---------…
//        8 bit    32, most significant byte first
//
// A message that lies whole in one chunk is handed on where it is. Otherwise its bytes are collected; the length is
// checked as soon as it is known, before anything is kept for it.

import { ByteWriter } from "../base/byte-writer.ts";
import { readUint32 } from "../http2/frames.ts";
import { messageTooLarge, type Status, CODE } from "../wire/status.ts";

export const MESSAGE_PREFIX_SIZE_BYTES = 5;

export interface MessageSink {
  /** A message, valid during the call; `isLast` when nothing follows it in this chunk. */
  onMessage(bytes: Uint8Array, start: number, end: number, isLast: boolean): void;
  /** More of a message that comes in pieces: it begins with these bytes, valid during the call. */
  onPart?(bytes: Uint8Array, start: number, end: number): void;
  /** What came is no message we take. Reading is over. */
  onBadMessage(status: Status): void;
  /** So many bytes more (or, negative, less) are kept for an incomplete message; false refuses. */
  keepBytes(change: number): boolean;
}

const COMPRESSED: Status = {
  code: CODE.internal,
  text: "grpc: compressed flag set with identity or empty encoding",
};
export const TOO_MANY_BYTES: Status = {
  code: CODE.resourceExhausted,
  text: "grpc: too many incomplete messages on this connection",
};

export interface MessageReaderOptions {
  readonly sizeBytesMax: number;
  /** Room for a message is made as soon as its length is known; else as its bytes come. */
  readonly isTrusted: boolean;
  /** Larger buffers of messages that came in pieces do not stay for the next call, bytes. */
  readonly keptSizeBytesMax: number;
}

export class MessageReader {
  readonly #sink: MessageSink;
  readonly #options: MessageReaderOptions;
  #kept: ByteWriter | undefined = undefined;
  #isStopped = false;

  constructor(sink: MessageSink, options: MessageReaderOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  /** A message has begun and is not complete. */
  get isPartial(): boolean {
    return this.#kept !== undefined && this.#kept.position > 0;
  }

  get isStopped(): boolean {
    return this.#isStopped;
  }

  /** For the next call. */
  reset(): void {
    this.#isStopped = false;
    const kept = this.#kept;
    if (kept === undefined) return;
    if (kept.position > 0) this.#sink.keepBytes(-kept.position);
    kept.reset();
    if (kept.bytes.length > this.#options.keptSizeBytesMax) this.#kept = undefined;
  }

  /** Nothing that is still to come, in this chunk or later, is wanted. */
  stop(): void {
    this.#isStopped = true;
  }

  read(bytes: Uint8Array, start: number, end: number): void {
    let position = start;
    if (this.isPartial) position = this.#complete(bytes, position, end);
    while (position < end && !this.#isStopped) {
      if (end - position < MESSAGE_PREFIX_SIZE_BYTES) return this.#keep(bytes, position, end);
      const length = this.#checkedLength(bytes, position);
      if (length < 0) return;
      const next = position + MESSAGE_PREFIX_SIZE_BYTES + length;
      if (next > end) return this.#keep(bytes, position, end);
      this.#sink.onMessage(bytes, position + MESSAGE_PREFIX_SIZE_BYTES, next, next === end);
      position = next;
    }
  }

  /** Adds to the message that began earlier; returns where the next one starts. */
  #complete(bytes: Uint8Array, start: number, end: number): number {
    const kept = this.#kept!;
    const prefixEnd = Math.min(end, start + Math.max(0, MESSAGE_PREFIX_SIZE_BYTES - kept.position));
    if (prefixEnd > start) this.#keep(bytes, start, prefixEnd);
    if (kept.position < MESSAGE_PREFIX_SIZE_BYTES || this.#isStopped) return end;
    const length = this.#checkedLength(kept.bytes, 0);
    if (length < 0) return end;
    const size = MESSAGE_PREFIX_SIZE_BYTES + length;
    if (this.#options.isTrusted) kept.ensure(size - kept.position);
    const bodyEnd = Math.min(end, prefixEnd + size - kept.position);
    this.#keep(bytes, prefixEnd, bodyEnd);
    if (this.#isStopped) return end;
    if (kept.position < size) {
      this.#sink.onPart?.(kept.bytes, MESSAGE_PREFIX_SIZE_BYTES, kept.position);
      return end;
    }
    this.#sink.keepBytes(-size);
    kept.reset();
    this.#sink.onMessage(kept.bytes, MESSAGE_PREFIX_SIZE_BYTES, size, bodyEnd === end);
    return bodyEnd;
  }

  /** The length a prefix announces; -1 after the sink was told that it is wrong. */
  #checkedLength(bytes: Uint8Array, at: number): number {
    const flag = bytes[at]!;
    if (flag !== 0) return this.#refuse(flag === 1 ? COMPRESSED : unexpectedFormat(flag));
    const length = readUint32(bytes, at + 1);
    const { sizeBytesMax } = this.#options;
    if (length > sizeBytesMax) return this.#refuse(messageTooLarge(length, sizeBytesMax));
    return length;
  }

  #refuse(status: Status): number {
    this.#isStopped = true;
    this.#sink.onBadMessage(status);
    return -1;
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    if (start === end) return;
    if (!this.#sink.keepBytes(end - start)) {
      this.#refuse(TOO_MANY_BYTES);
      return;
    }
    if (this.#kept === undefined) this.#kept = new ByteWriter(256);
    this.#kept.raw(bytes, start, end);
  }
}

function unexpectedFormat(flag: number): Status {
  return { code: CODE.internal, text: `grpc: received unexpected payload format ${flag}` };
}

/** Writes a message's prefix once its length is known. */
export function patchPrefix(bytes: Uint8Array, at: number, length: number): void {
  bytes[at] = 0;
  bytes[at + 1] = length >>> 24;
  bytes[at + 2] = length >>> 16;
  bytes[at + 3] = length >>> 8;
  bytes[at + 4] = length;
}
