// A table of fixed rows of 32-bit integers outside the JavaScript heap, for what exists by the hundred thousand
// (watchers, leases): nothing for the garbage collector to walk, and growth that never copies, so that it never stalls.
//
//   slot 1, 2, 3, …      0 is "none", so that fresh fields, all zero, link nowhere
//   chunk = slot >>> 11  an Int32Array of 2,048 rows, allocated when its first row is
//
// A released row is zeroed and its slot handed out again, newest first. Example: `const rows = new Rows(3)`,
// `const slot = rows.allocate()`, `rows.set(slot, 2, 7)`, `rows.get(slot, 2) === 7`, `rows.release(slot)`.

import { assert } from "./assert.ts";

const CHUNK_BITS = 11;
const CHUNK_ROWS = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK_ROWS - 1;
const TWO_32 = 4294967296;

export class Rows {
  readonly fieldCount: number;
  readonly #chunks: Int32Array[] = [];
  /** The newest released slot; released rows are linked through field 0. */
  #free = 0;
  /** Every slot below it was handed out at least once. */
  #end = 1;
  #count = 0;

  constructor(fieldCount: number) {
    assert(fieldCount > 0, "a row has fields");
    this.fieldCount = fieldCount;
  }

  /** Rows in use. */
  get count(): number {
    return this.#count;
  }

  /** Slots in use are below it; some below it may be free. */
  get end(): number {
    return this.#end;
  }

  get sizeBytes(): number {
    return this.#chunks.length * CHUNK_ROWS * this.fieldCount * 4;
  }

  /** A row of zeros. */
  allocate(): number {
    this.#count++;
    const free = this.#free;
    if (free !== 0) {
      this.#free = this.get(free, 0);
      this.set(free, 0, 0);
      return free;
    }
    const slot = this.#end++;
    if (slot >>> CHUNK_BITS >= this.#chunks.length)
      this.#chunks.push(new Int32Array(CHUNK_ROWS * this.fieldCount));
    return slot;
  }

  release(slot: number): void {
    assert(slot > 0 && slot < this.#end, "only a row that was handed out is released");
    assert(this.#count > 0, "no more rows are released than were allocated");
    const chunk = this.#chunks[slot >>> CHUNK_BITS]!;
    const first = (slot & CHUNK_MASK) * this.fieldCount;
    chunk.fill(0, first, first + this.fieldCount);
    chunk[first] = this.#free;
    this.#free = slot;
    this.#count--;
  }

  get(slot: number, field: number): number {
    return this.#chunks[slot >>> CHUNK_BITS]![(slot & CHUNK_MASK) * this.fieldCount + field]!;
  }

  set(slot: number, field: number, value: number): void {
    this.#chunks[slot >>> CHUNK_BITS]![(slot & CHUNK_MASK) * this.fieldCount + field] = value;
  }

  /** A non-negative safe integer kept in two fields, `field` and the one behind it. */
  wide(slot: number, field: number): number {
    const chunk = this.#chunks[slot >>> CHUNK_BITS]!;
    const at = (slot & CHUNK_MASK) * this.fieldCount + field;
    return chunk[at + 1]! * TWO_32 + (chunk[at]! >>> 0);
  }

  setWide(slot: number, field: number, value: number): void {
    const chunk = this.#chunks[slot >>> CHUNK_BITS]!;
    const at = (slot & CHUNK_MASK) * this.fieldCount + field;
    chunk[at] = value | 0;
    chunk[at + 1] = value < TWO_32 ? 0 : Math.floor(value / TWO_32);
  }
}
