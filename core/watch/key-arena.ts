// Memory for the keys of watchers: blocks of bytes outside the heap, freed one by one, in chunks of 64 KiB.
//
//   address = chunk << 13 | offset in units of 8 bytes
//
// Blocks of up to 1 KiB have a free list per size in units; larger ones are rounded up to a power of two, and what is
// larger than a chunk gets one of its own. The first four bytes of a free block lead to the next of its list.

import { assert } from "../base/assert.ts";

const UNIT_BITS = 3;
const CHUNK_UNIT_BITS = 13;
const CHUNK_UNITS = 1 << CHUNK_UNIT_BITS;
const CHUNK_MASK = CHUNK_UNITS - 1;
/** Blocks of up to so many units have a list each; the lists behind are for 256, 512, … 8192 units. */
const EXACT_UNITS = 128;
const CLASS_COUNT = EXACT_UNITS + 7;
const NOTHING = new Uint8Array(0);

export class KeyArena {
  readonly #chunks: Uint8Array[] = [];
  /** Per class the address + 1 of its first free block. */
  readonly #free = new Int32Array(CLASS_COUNT);
  /** Chunk numbers of large blocks that were freed. */
  readonly #freeChunks: number[] = [];
  /** The chunk that new blocks are cut from, and how many of its units are used. */
  #chunk = -1;
  #used = CHUNK_UNITS;
  #sizeBytes = 0;
  #usedBytes = 0;

  /** Memory held. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Bytes in blocks that are not free, rounding included. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  allocate(sizeBytes: number): number {
    const units = unitsOf(sizeBytes);
    this.#usedBytes += units << UNIT_BITS;
    if (units > CHUNK_UNITS) return this.#allocateLarge(units);
    const at = classOf(units);
    const free = this.#free[at]!;
    if (free === 0) return this.#cut(units);
    const address = free - 1;
    const bytes = this.bytesOf(address);
    const start = this.startOf(address);
    this.#free[at] =
      bytes[start]! | (bytes[start + 1]! << 8) | (bytes[start + 2]! << 16) | (bytes[start + 3]! << 24);
    return address;
  }

  release(address: number, sizeBytes: number): void {
    const units = unitsOf(sizeBytes);
    this.#usedBytes -= units << UNIT_BITS;
    assert(this.#usedBytes >= 0, "no more is released than was allocated");
    if (units > CHUNK_UNITS) return this.#releaseLarge(address);
    const at = classOf(units);
    const bytes = this.bytesOf(address);
    const start = this.startOf(address);
    const next = this.#free[at]!;
    bytes[start] = next;
    bytes[start + 1] = next >>> 8;
    bytes[start + 2] = next >>> 16;
    bytes[start + 3] = next >>> 24;
    this.#free[at] = address + 1;
  }

  bytesOf(address: number): Uint8Array {
    return this.#chunks[address >>> CHUNK_UNIT_BITS]!;
  }

  startOf(address: number): number {
    return (address & CHUNK_MASK) << UNIT_BITS;
  }

  #cut(units: number): number {
    // What is left of the old chunk is lost when it is too short: 1 KiB of 64 for keys of usual size.
    if (this.#used + units > CHUNK_UNITS) {
      this.#chunk = this.#addChunk(CHUNK_UNITS);
      this.#used = 0;
    }
    const address = (this.#chunk << CHUNK_UNIT_BITS) | this.#used;
    this.#used += units;
    return address;
  }

  #addChunk(units: number): number {
    const bytes = new Uint8Array(units << UNIT_BITS);
    this.#sizeBytes += bytes.length;
    const free = this.#freeChunks.pop();
    if (free === undefined) return this.#chunks.push(bytes) - 1;
    this.#chunks[free] = bytes;
    return free;
  }

  #allocateLarge(units: number): number {
    return this.#addChunk(units) << CHUNK_UNIT_BITS;
  }

  #releaseLarge(address: number): void {
    const chunk = address >>> CHUNK_UNIT_BITS;
    this.#sizeBytes -= this.#chunks[chunk]!.length;
    this.#chunks[chunk] = NOTHING;
    this.#freeChunks.push(chunk);
  }
}

function unitsOf(sizeBytes: number): number {
  const units = Math.max(1, Math.ceil(sizeBytes / 8));
  return units <= EXACT_UNITS || units > CHUNK_UNITS ? units : 2 ** Math.ceil(Math.log2(units));
}

function classOf(units: number): number {
  return units <= EXACT_UNITS ? units - 1 : EXACT_UNITS - 1 + Math.log2(units / EXACT_UNITS);
}
