// What is watched: every distinct key or range once, however many watchers share it, and which of them a changed key
// belongs to. A row of eight numbers outside the heap, its bytes (key, then range end) in the arena.
//
//   single keys   a hash index by key
//   ranges        a hash index by both ends, to share them; an interval tree, to find those that hold a key
//
// So watchers elsewhere cost a change nothing: one hash and, where ranges exist, one descent.

import { assert } from "../base/assert.ts";
import { compareBytes, equalBytes, hashBytes } from "../base/bytes.ts";
import { ChainIndex } from "../base/chain-index.ts";
import { Rows } from "../base/rows.ts";
import { IntervalTree } from "./interval-tree.ts";
import { KeyArena } from "./key-arena.ts";

const ADDRESS = 0;
const KEY_SIZE = 1;
/** Bytes of the range end; 0 for a single key, TO_INFINITY for "from the key on". */
const END_SIZE = 2;
const HASH = 3;
const NEXT = 4;
/** First of the watchers that are up to date, and of those that lag: lists kept by watchers.ts. */
export const FIRST_SYNCED = 5;
export const FIRST_LAGGING = 6;
/** Node of the interval tree; 0 for a single key. */
const NODE = 7;
const FIELD_COUNT = 8;

const TO_INFINITY = -1;

/** A range of keys in a request's bytes; `isSingle` and `isFromKey` say what the end means. */
export class KeyRange {
  bytes: Uint8Array = new Uint8Array(0);
  keyStart = 0;
  keyEnd = 0;
  endStart = 0;
  endEnd = 0;
  kind: "single" | "range" | "from-key" = "single";
}

export class Interests {
  readonly rows = new Rows(FIELD_COUNT);
  readonly #arena = new KeyArena();
  readonly #singles: ChainIndex;
  readonly #ranges: ChainIndex;
  readonly #tree: IntervalTree;
  readonly #seed: number;
  /** Result of match(): interests that hold the key. */
  readonly matched: number[] = [];

  constructor(seed: number) {
    this.#seed = seed;
    const hashOf = (slot: number): number => this.rows.get(slot, HASH);
    this.#singles = new ChainIndex(this.rows, NEXT, hashOf);
    this.#ranges = new ChainIndex(this.rows, NEXT, hashOf);
    this.#tree = new IntervalTree(this);
  }

  get count(): number {
    return this.rows.count;
  }

  get sizeBytes(): number {
    const indexes = this.#singles.sizeBytes + this.#ranges.sizeBytes;
    return this.rows.sizeBytes + this.#arena.sizeBytes + indexes + this.#tree.sizeBytes;
  }

  /** Bytes of keys in use; 0 again when no watcher is left. */
  get keyBytes(): number {
    return this.#arena.usedBytes;
  }

  /** The interest in this range, made when it is new. */
  find(range: KeyRange): number {
    const hash = this.#hashOf(range);
    const index = range.kind === "single" ? this.#singles : this.#ranges;
    for (let slot = index.first(hash); slot !== 0; slot = index.next(slot))
      if (this.rows.get(slot, HASH) === hash && this.#equals(slot, range)) return slot;
    return this.#add(range, hash);
  }

  /** Frees an interest that nobody has any more. */
  remove(slot: number): void {
    const { rows } = this;
    assert(rows.get(slot, FIRST_SYNCED) === 0, "an interest is removed after its watchers");
    assert(rows.get(slot, FIRST_LAGGING) === 0, "an interest is removed after its lagging watchers");
    const index = rows.get(slot, END_SIZE) === 0 ? this.#singles : this.#ranges;
    index.remove(rows.get(slot, HASH), slot);
    if (rows.get(slot, NODE) !== 0) this.#tree.remove(rows.get(slot, NODE));
    this.#arena.release(
      rows.get(slot, ADDRESS),
      rows.get(slot, KEY_SIZE) + Math.max(0, rows.get(slot, END_SIZE)),
    );
    rows.release(slot);
  }

  /** Fills `matched` with the interests that hold this key. */
  match(bytes: Uint8Array, start: number, end: number): void {
    const { matched, rows } = this;
    matched.length = 0;
    if (this.#singles.count > 0) {
      const hash = hashBytes(bytes, start, end, this.#seed) | 0;
      for (let slot = this.#singles.first(hash); slot !== 0; slot = this.#singles.next(slot)) {
        if (rows.get(slot, HASH) !== hash || !this.#isKey(slot, bytes, start, end)) continue;
        matched.push(slot);
        break;
      }
    }
    if (this.#ranges.count > 0) this.#tree.stab(bytes, start, end, matched);
  }

  /** Order of a slot's key to these bytes. */
  compareKey(slot: number, bytes: Uint8Array, start: number, end: number): number {
    const address = this.rows.get(slot, ADDRESS);
    const at = this.#arena.startOf(address);
    return compareBytes(
      this.#arena.bytesOf(address),
      at,
      at + this.rows.get(slot, KEY_SIZE),
      bytes,
      start,
      end,
    );
  }

  /** Whether the slot's range ends behind this key. */
  endsAfter(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const endSize = this.rows.get(slot, END_SIZE);
    if (endSize === TO_INFINITY) return true;
    const address = this.rows.get(slot, ADDRESS);
    const at = this.#arena.startOf(address) + this.rows.get(slot, KEY_SIZE);
    return compareBytes(this.#arena.bytesOf(address), at, at + endSize, bytes, start, end) > 0;
  }

  /** Order of two ranges by their keys, then by their ends. */
  compare(a: number, b: number): number {
    const address = this.rows.get(b, ADDRESS);
    const at = this.#arena.startOf(address);
    const byKey = this.compareKey(a, this.#arena.bytesOf(address), at, at + this.rows.get(b, KEY_SIZE));
    return byKey !== 0 ? byKey : this.compareEnds(a, b);
  }

  compareEnds(a: number, b: number): number {
    const aSize = this.rows.get(a, END_SIZE);
    const bSize = this.rows.get(b, END_SIZE);
    if (aSize === TO_INFINITY || bSize === TO_INFINITY)
      return (aSize === TO_INFINITY ? 1 : 0) - (bSize === TO_INFINITY ? 1 : 0);
    const aAddress = this.rows.get(a, ADDRESS);
    const bAddress = this.rows.get(b, ADDRESS);
    const aAt = this.#arena.startOf(aAddress) + this.rows.get(a, KEY_SIZE);
    const bAt = this.#arena.startOf(bAddress) + this.rows.get(b, KEY_SIZE);
    return compareBytes(
      this.#arena.bytesOf(aAddress),
      aAt,
      aAt + aSize,
      this.#arena.bytesOf(bAddress),
      bAt,
      bAt + bSize,
    );
  }

  #hashOf(range: KeyRange): number {
    const hash = hashBytes(range.bytes, range.keyStart, range.keyEnd, this.#seed);
    if (range.kind === "single") return hash | 0;
    if (range.kind === "from-key") return (hash ^ 0x5bd1e995) | 0;
    return hashBytes(range.bytes, range.endStart, range.endEnd, hash) | 0;
  }

  #equals(slot: number, range: KeyRange): boolean {
    if (!this.#isKey(slot, range.bytes, range.keyStart, range.keyEnd)) return false;
    const endSize = this.rows.get(slot, END_SIZE);
    if (range.kind === "single") return endSize === 0;
    if (range.kind === "from-key") return endSize === TO_INFINITY;
    if (endSize <= 0) return false;
    const address = this.rows.get(slot, ADDRESS);
    const at = this.#arena.startOf(address) + this.rows.get(slot, KEY_SIZE);
    return equalBytes(
      this.#arena.bytesOf(address),
      at,
      at + endSize,
      range.bytes,
      range.endStart,
      range.endEnd,
    );
  }

  #isKey(slot: number, bytes: Uint8Array, start: number, end: number): boolean {
    const address = this.rows.get(slot, ADDRESS);
    const at = this.#arena.startOf(address);
    return equalBytes(
      this.#arena.bytesOf(address),
      at,
      at + this.rows.get(slot, KEY_SIZE),
      bytes,
      start,
      end,
    );
  }

  #add(range: KeyRange, hash: number): number {
    const { rows } = this;
    const keySize = range.keyEnd - range.keyStart;
    const endSize = range.kind === "range" ? range.endEnd - range.endStart : 0;
    const address = this.#arena.allocate(keySize + endSize);
    const bytes = this.#arena.bytesOf(address);
    const at = this.#arena.startOf(address);
    bytes.set(range.bytes.subarray(range.keyStart, range.keyEnd), at);
    if (endSize > 0) bytes.set(range.bytes.subarray(range.endStart, range.endEnd), at + keySize);
    const slot = rows.allocate();
    rows.set(slot, ADDRESS, address);
    rows.set(slot, KEY_SIZE, keySize);
    rows.set(slot, END_SIZE, range.kind === "from-key" ? TO_INFINITY : endSize);
    rows.set(slot, HASH, hash);
    if (range.kind === "single") this.#singles.add(hash, slot);
    else {
      this.#ranges.add(hash, slot);
      rows.set(slot, NODE, this.#tree.insert(slot));
    }
    return slot;
  }
}
