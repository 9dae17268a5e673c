// A hash index over the slots of a Rows table, by linear hashing (Litwin 1980): each row links to the next of its
// bucket in one of its own fields, and an insertion splits at most one bucket. There is no moment in which all of a
// million entries move, as there is in a table that doubles.
//
//   buckets 0 … mask + split;  bucket of a hash = hash & mask, or hash & (2 mask + 1) when that is below `split`
//
// The index does not compare keys: walk first(hash), next(slot), … and compare. `hashOf` gives a row's hash again when
// its bucket is split.

import { assert } from "./assert.ts";
import type { Rows } from "./rows.ts";

const PAGE_BITS = 10;
const PAGE_SIZE = 1 << PAGE_BITS;
const PAGE_MASK = PAGE_SIZE - 1;

export class ChainIndex {
  readonly #rows: Rows;
  readonly #linkField: number;
  readonly #hashOf: (slot: number) => number;
  /** The first slot of each bucket. */
  readonly #pages: Int32Array[] = [new Int32Array(PAGE_SIZE)];
  /** Buckets of the current round, less one. */
  #mask = 63;
  /** The next bucket to be split; those before it already are. */
  #split = 0;
  #count = 0;

  constructor(rows: Rows, linkField: number, hashOf: (slot: number) => number) {
    this.#rows = rows;
    this.#linkField = linkField;
    this.#hashOf = hashOf;
  }

  get count(): number {
    return this.#count;
  }

  get sizeBytes(): number {
    return this.#pages.length * PAGE_SIZE * 4;
  }

  /** The first row in the bucket of this hash; 0 when it is empty. Others than the one looked for may be in it. */
  first(hash: number): number {
    const bucket = this.#bucketOf(hash);
    return this.#pages[bucket >>> PAGE_BITS]![bucket & PAGE_MASK]!;
  }

  next(slot: number): number {
    return this.#rows.get(slot, this.#linkField);
  }

  add(hash: number, slot: number): void {
    assert(slot > 0, "slot 0 is none");
    if (this.#count > this.#mask + this.#split) this.#splitOne();
    const bucket = this.#bucketOf(hash);
    const page = this.#pages[bucket >>> PAGE_BITS]!;
    this.#rows.set(slot, this.#linkField, page[bucket & PAGE_MASK]!);
    page[bucket & PAGE_MASK] = slot;
    this.#count++;
  }

  remove(hash: number, slot: number): void {
    const bucket = this.#bucketOf(hash);
    const page = this.#pages[bucket >>> PAGE_BITS]!;
    const after = this.#rows.get(slot, this.#linkField);
    let at = page[bucket & PAGE_MASK]!;
    if (at === slot) page[bucket & PAGE_MASK] = after;
    else {
      while (at !== 0) {
        const next = this.#rows.get(at, this.#linkField);
        if (next === slot) break;
        at = next;
      }
      assert(at !== 0, "only what is in the index is removed from it");
      this.#rows.set(at, this.#linkField, after);
    }
    this.#rows.set(slot, this.#linkField, 0);
    this.#count--;
  }

  #bucketOf(hash: number): number {
    const bucket = (hash & this.#mask) >>> 0;
    return bucket < this.#split ? (hash & (this.#mask * 2 + 1)) >>> 0 : bucket;
  }

  #splitOne(): void {
    const source = this.#split;
    const target = source + this.#mask + 1;
    if (target >>> PAGE_BITS >= this.#pages.length) this.#pages.push(new Int32Array(PAGE_SIZE));
    const sourcePage = this.#pages[source >>> PAGE_BITS]!;
    let slot = sourcePage[source & PAGE_MASK]!;
    sourcePage[source & PAGE_MASK] = 0;
    this.#split++;
    while (slot !== 0) {
      const after = this.#rows.get(slot, this.#linkField);
      const bucket = this.#bucketOf(this.#hashOf(slot));
      assert(bucket === source || bucket === target, "a split moves rows to the new bucket only");
      const page = this.#pages[bucket >>> PAGE_BITS]!;
      this.#rows.set(slot, this.#linkField, page[bucket & PAGE_MASK]!);
      page[bucket & PAGE_MASK] = slot;
      slot = after;
    }
    if (this.#split <= this.#mask) return;
    this.#mask = this.#mask * 2 + 1;
    this.#split = 0;
  }
}

/** A well mixed hash of a 64-bit id; with a secret `seed`, clients cannot choose ids that collide. */
export function hashId(hi: number, lo: number, seed: number): number {
  let hash = Math.imul(lo ^ seed, 0xcc9e2d51);
  hash = (hash << 15) | (hash >>> 17);
  hash = Math.imul(hash, 0x1b873593) ^ Math.imul(hi ^ (seed >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}
