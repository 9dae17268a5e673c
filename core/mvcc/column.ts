// Growable columns and lists of 32-bit numbers outside the JavaScript heap. They grow by chunks that never move, so
// that growing costs one allocation and no copy: a doubling copy of a million entries would hold the loop for 2 ms.

import { assert } from "../base/assert.ts";

const CHUNK_SHIFT = 14;
const CHUNK_LENGTH = 1 << CHUNK_SHIFT;
const CHUNK_MASK = CHUNK_LENGTH - 1;

/** An array of unsigned 32-bit numbers with room for any index below `length`; new entries are 0. */
export class Column {
  readonly #chunks: Uint32Array[] = [];

  /** Makes indexes below `length` usable. */
  reserve(length: number): void {
    while (this.#chunks.length << CHUNK_SHIFT < length) this.#chunks.push(new Uint32Array(CHUNK_LENGTH));
  }

  get(index: number): number {
    return this.#chunks[index >>> CHUNK_SHIFT]![index & CHUNK_MASK]!;
  }

  set(index: number, value: number): void {
    this.#chunks[index >>> CHUNK_SHIFT]![index & CHUNK_MASK] = value;
  }
}

/** A column that is 0 almost everywhere: where it is, there is no memory. */
export class SparseColumn {
  readonly #chunks: (Uint32Array | undefined)[] = [];

  get(index: number): number {
    const chunk = this.#chunks[index >>> CHUNK_SHIFT];
    return chunk === undefined ? 0 : chunk[index & CHUNK_MASK]!;
  }

  set(index: number, value: number): void {
    const number = index >>> CHUNK_SHIFT;
    while (this.#chunks.length <= number) this.#chunks.push(undefined);
    const chunk = (this.#chunks[number] ??= new Uint32Array(CHUNK_LENGTH));
    chunk[index & CHUNK_MASK] = value;
  }
}

/** A list of unsigned 32-bit numbers that is appended to at its end and may lose entries at its front. */
export class NumberList {
  #chunks: Uint32Array[] = [];
  /** Entries of the first chunk that are gone. */
  #offset = 0;
  length = 0;

  push(value: number): void {
    const at = this.#offset + this.length;
    if (at >>> CHUNK_SHIFT === this.#chunks.length) this.#chunks.push(new Uint32Array(CHUNK_LENGTH));
    this.#chunks[at >>> CHUNK_SHIFT]![at & CHUNK_MASK] = value;
    this.length++;
  }

  /** Appends the first `count` of these values, chunk by chunk. */
  pushAll(values: Uint32Array, count: number): void {
    for (let done = 0; done < count;) {
      const at = this.#offset + this.length;
      if (at >>> CHUNK_SHIFT === this.#chunks.length) this.#chunks.push(new Uint32Array(CHUNK_LENGTH));
      const room = Math.min(count - done, CHUNK_LENGTH - (at & CHUNK_MASK));
      this.#chunks[at >>> CHUNK_SHIFT]!.set(values.subarray(done, done + room), at & CHUNK_MASK);
      this.length += room;
      done += room;
    }
  }

  get(index: number): number {
    const at = this.#offset + index;
    return this.#chunks[at >>> CHUNK_SHIFT]![at & CHUNK_MASK]!;
  }

  set(index: number, value: number): void {
    const at = this.#offset + index;
    this.#chunks[at >>> CHUNK_SHIFT]![at & CHUNK_MASK] = value;
  }

  pop(): number {
    assert(this.length > 0, "only a list with entries is popped");
    return this.get(--this.length);
  }

  /** Forgets the first `count` entries. */
  dropFirst(count: number): void {
    assert(count <= this.length, "a list cannot lose more than it has");
    this.#offset += count;
    this.length -= count;
    const chunkCount = this.#offset >>> CHUNK_SHIFT;
    if (chunkCount === 0) return;
    this.#chunks.splice(0, chunkCount);
    this.#offset &= CHUNK_MASK;
  }

  /** Forgets what lies behind the first `count` entries. */
  truncate(count: number): void {
    assert(count <= this.length, "a list is only made shorter");
    this.length = count;
    // One spare chunk stays, so that a list that is filled and emptied again does not allocate each time.
    const used = ((this.#offset + count + CHUNK_MASK) >>> CHUNK_SHIFT) + 1;
    if (this.#chunks.length > used) this.#chunks.length = used;
  }

  clear(): void {
    this.#offset = 0;
    this.length = 0;
    if (this.#chunks.length > 1) this.#chunks.length = 1;
  }
}
