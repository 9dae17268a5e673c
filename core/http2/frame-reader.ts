// Cuts a connection's bytes into frames. A frame that lies whole in a chunk is handed on where it is; one that the
// chunk's end cuts is collected, 16 KiB at most, because the length is checked as soon as it is known.

import { ByteWriter } from "../base/byte-writer.ts";
import {
  ConnectionError,
  FRAME_HEADER_SIZE_BYTES,
  FRAME_PAYLOAD_SIZE_BYTES_MAX,
  FRAME_SIZE_ERROR,
  PREFACE,
  PROTOCOL_ERROR,
} from "./frames.ts";

export interface FrameSink {
  /** A whole frame, its header at `start`. */
  onFrame(bytes: Uint8Array, start: number, end: number): void;
  /** No further frames are wanted. */
  readonly closed: boolean;
}

export class FrameReader {
  /** Frames that were completed from several chunks; tells whether the one under way is still the same. */
  completedCount = 0;
  readonly #sink: FrameSink;
  /** A frame whose end has not arrived. */
  readonly #partial = new ByteWriter(64);
  #prefaceLeft: number;

  constructor(sink: FrameSink, expectsPreface: boolean) {
    this.#sink = sink;
    this.#prefaceLeft = expectsPreface ? PREFACE.length : 0;
  }

  /** A frame has begun and is not complete. */
  get isPartial(): boolean {
    return this.#partial.position > 0;
  }

  /** Throws `ConnectionError`; keeps nothing of `bytes`. */
  read(bytes: Uint8Array, start: number, end: number): void {
    let position = start;
    if (this.#prefaceLeft > 0) position = this.#takePreface(bytes, position, end);
    if (this.#partial.position > 0) position = this.#complete(bytes, position, end);
    while (end - position >= FRAME_HEADER_SIZE_BYTES && !this.#sink.closed) {
      const next = position + FRAME_HEADER_SIZE_BYTES + frameLength(bytes, position);
      if (next > end) break;
      this.#sink.onFrame(bytes, position, next);
      position = next;
    }
    if (position < end && !this.#sink.closed) this.#partial.raw(bytes, position, end);
  }

  #takePreface(bytes: Uint8Array, start: number, end: number): number {
    let position = start;
    while (position < end && this.#prefaceLeft > 0) {
      if (bytes[position++] !== PREFACE[PREFACE.length - this.#prefaceLeft--]) {
        throw new ConnectionError(PROTOCOL_ERROR, "not an HTTP/2 preface");
      }
    }
    return position;
  }

  /** Adds to the frame that began in an earlier chunk, and hands it on once it is whole. */
  #complete(bytes: Uint8Array, start: number, end: number): number {
    const partial = this.#partial;
    let position = start;
    while (partial.position < FRAME_HEADER_SIZE_BYTES && position < end) partial.byte(bytes[position++]!);
    if (partial.position < FRAME_HEADER_SIZE_BYTES) return position;
    const size = FRAME_HEADER_SIZE_BYTES + frameLength(partial.bytes, 0);
    const taken = Math.min(size - partial.position, end - position);
    partial.raw(bytes, position, position + taken);
    position += taken;
    if (partial.position < size) return position;
    partial.reset();
    this.completedCount++;
    this.#sink.onFrame(partial.bytes, 0, size);
    return position;
  }
}

/** Of a frame's header; more than we take is an error before anything is kept (RFC 9113 4.2). */
function frameLength(bytes: Uint8Array, at: number): number {
  const length = (bytes[at]! << 16) | (bytes[at + 1]! << 8) | bytes[at + 2]!;
  if (length > FRAME_PAYLOAD_SIZE_BYTES_MAX) {
    throw new ConnectionError(FRAME_SIZE_ERROR, "a frame above 16384 bytes");
  }
  return length;
}
