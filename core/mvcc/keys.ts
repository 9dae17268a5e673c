// Key ids: small integers for keys, used again when a key is compacted away. A key's bytes are read from its newest
// record, so that there is no second copy of them.

import { compareBytes, equalBytes, hashBytes, hashWords } from "../base/bytes.ts";
import { assert } from "../base/assert.ts";
import { Column, NumberList, SparseColumn } from "./column.ts";
import type { RecordRef } from "./record.ts";
import { WORD_KEY_SIZE, headerWordCount } from "./record.ts";
import type { Slabs } from "./slabs.ts";

const NO_BITS = new Uint8Array(0);

export class Keys {
  readonly slabs: Slabs;
  /** The newest record of each key: a version or a tombstone; 0 for an id that is free. */
  readonly newest: Column = new Column();
  /** The lessor's slot of the key's lease plus 1, 0 without one. */
  readonly leaseSlot: SparseColumn = new SparseColumn();
  /** Ids below it have been given out. */
  idCount = 0;
  readonly #freeIds: NumberList = new NumberList();
  /** Ids below it had been given out at `remember`; -1 after `forget`. */
  #rememberedCount = -1;
  /** A bit for each that was given out again since; none when there was none to give out again. */
  #reused: Uint8Array = NO_BITS;
  readonly #hashSeed: number;

  constructor(slabs: Slabs, hashSeed: number) {
    this.slabs = slabs;
    this.#hashSeed = hashSeed;
  }

  allocate(): number {
    if (this.#freeIds.length > 0) {
      const id = this.#freeIds.pop();
      if (this.#reused.length > 0) this.#reused[id >>> 3]! |= 1 << (id & 7);
      return id;
    }
    const id = this.idCount++;
    this.newest.reserve(this.idCount);
    return id;
  }

  /** Begins to tell keys that are there now from those that come later. No id may be given up until `forget`. */
  remember(): void {
    this.#rememberedCount = this.idCount;
    if (this.#freeIds.length > 0) this.#reused = new Uint8Array((this.idCount + 7) >>> 3);
  }

  forget(): void {
    this.#rememberedCount = -1;
    this.#reused = NO_BITS;
  }

  /** Whether the key of this id was there at `remember`: a bit to look at instead of a record far away. */
  wasThere(id: number): boolean {
    if (id >= this.#rememberedCount) return false;
    return this.#reused.length === 0 || (this.#reused[id >>> 3]! & (1 << (id & 7))) === 0;
  }

  release(id: number): void {
    assert(this.#rememberedCount < 0, "no key goes while those of a moment are told from later ones");
    this.newest.set(id, 0);
    if (this.leaseSlot.get(id) !== 0) this.leaseSlot.set(id, 0);
    this.#freeIds.push(id);
  }

  /** After loading: ids without a record below `idCount` are free. */
  restoreIds(idCount: number): void {
    this.idCount = idCount;
    for (let id = idCount - 1; id >= 0; id--) if (this.newest.get(id) === 0) this.#freeIds.push(id);
  }

  hash(bytes: Uint8Array, start: number, end: number): number {
    return hashBytes(bytes, start, end, this.#hashSeed);
  }

  /** The hash of the key of the record whose header starts at word `at`: its bytes are read as words. */
  hashAt(words: Uint32Array, at: number): number {
    const keyWord = words[at + WORD_KEY_SIZE]!;
    return hashWords(words, at + headerWordCount(keyWord), keyWord >>> 8, this.#hashSeed);
  }

  equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const ref = this.newest.get(id);
    const slabs = this.slabs;
    const words = slabs.words[ref >>> slabs.unitShift]!;
    const at = (ref & slabs.unitMask) << 1;
    const keyWord = words[at + WORD_KEY_SIZE]!;
    const keyStart = (at + headerWordCount(keyWord)) << 2;
    return equalBytes(
      slabs.bytes[ref >>> slabs.unitShift]!,
      keyStart,
      keyStart + (keyWord >>> 8),
      bytes,
      start,
      end,
    );
  }

  /** Order of the key against `bytes[start, end)`, both without their first `skip` bytes. */
  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  compare(id: number, bytes: Uint8Array, start: number, end: number, skip: number): number {
    const ref = this.newest.get(id);
    const keyStart = this.keyStartOf(ref);
    const keyEnd = keyStart + this.keySizeOf(ref);
    return compareBytes(this.bytesOf(ref), keyStart + skip, keyEnd, bytes, start + skip, end);
  }

  bytesOf(ref: RecordRef): Uint8Array {
    return this.slabs.bytes[ref >>> this.slabs.unitShift]!;
  }

  keyStartOf(ref: RecordRef): number {
    const slabs = this.slabs;
    const at = (ref & slabs.unitMask) << 1;
    return (at + headerWordCount(slabs.words[ref >>> slabs.unitShift]![at + WORD_KEY_SIZE]!)) << 2;
  }

  keySizeOf(ref: RecordRef): number {
    const slabs = this.slabs;
    return slabs.words[ref >>> slabs.unitShift]![((ref & slabs.unitMask) << 1) + WORD_KEY_SIZE]! >>> 8;
  }
}
