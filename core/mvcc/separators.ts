// Bytes of separators, the short keys that part the children of an inner node. One per 45 keys or so, bump-allocated in
// chunks; a chunk is given back when nothing in it is used any more.
//
//   SeparatorRef = chunk << 16 | offset in units of 4 bytes; at that offset: size (4 bytes), then the bytes

import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";

const CHUNK_UNIT_SHIFT = 16;
const CHUNK_UNIT_MASK = (1 << CHUNK_UNIT_SHIFT) - 1;
const CHUNK_BYTES = 4 << CHUNK_UNIT_SHIFT;

/** 0 is none. */
export type SeparatorRef = number;

const NONE = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);

export class Separators {
  readonly #bytes: Uint8Array[] = [];
  readonly #words: Uint32Array[] = [];
  /** Separators in use, by chunk. */
  readonly #counts: number[] = [];
  readonly #freeChunks: number[] = [];
  #current = -1;
  #used = 0;

  add(bytes: Uint8Array, start: number, end: number): SeparatorRef {
    const size = 4 + (((end - start + 3) >>> 2) << 2);
    if (this.#current < 0 || this.#used + size > this.#bytes[this.#current]!.length) this.#open(size);
    const chunk = this.#current;
    const offset = this.#used;
    this.#words[chunk]![offset >>> 2] = end - start;
    const target = this.#bytes[chunk]!;
    for (let i = start, at = offset + 4; i < end; i++) target[at++] = bytes[i]!;
    this.#used = offset + size;
    this.#counts[chunk]!++;
    return ((chunk << CHUNK_UNIT_SHIFT) | (offset >>> 2)) >>> 0;
  }

  release(ref: SeparatorRef): void {
    const chunk = ref >>> CHUNK_UNIT_SHIFT;
    assert(this.#counts[chunk]! > 0, "a separator is released once");
    if (--this.#counts[chunk]! > 0 || chunk === this.#current) return;
    this.#bytes[chunk] = NONE;
    this.#words[chunk] = NO_WORDS;
    this.#freeChunks.push(chunk);
  }

  bytesOf(ref: SeparatorRef): Uint8Array {
    return this.#bytes[ref >>> CHUNK_UNIT_SHIFT]!;
  }

  startOf(ref: SeparatorRef): number {
    return ((ref & CHUNK_UNIT_MASK) << 2) + 4;
  }

  sizeOf(ref: SeparatorRef): number {
    return this.#words[ref >>> CHUNK_UNIT_SHIFT]![ref & CHUNK_UNIT_MASK]!;
  }

  /** Order of the separator against `bytes[start, end)`, both without their first `skip` bytes. */
  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  compare(ref: SeparatorRef, bytes: Uint8Array, start: number, end: number, skip: number): number {
    const from = this.startOf(ref);
    return compareBytes(this.bytesOf(ref), from + skip, from + this.sizeOf(ref), bytes, start + skip, end);
  }

  #open(sizeBytes: number): void {
    const chunk = this.#freeChunks.pop() ?? this.#bytes.length;
    // The first unit of a chunk stays empty, so that no separator has the number 0.
    const buffer = new ArrayBuffer(Math.max(CHUNK_BYTES, sizeBytes + 4));
    this.#bytes[chunk] = new Uint8Array(buffer);
    this.#words[chunk] = new Uint32Array(buffer);
    this.#counts[chunk] = 0;
    const left = this.#current;
    this.#current = chunk;
    this.#used = 4;
    if (left >= 0 && this.#counts[left] === 0) {
      this.#bytes[left] = NONE;
      this.#words[left] = NO_WORDS;
      this.#freeChunks.push(left);
    }
  }
}
