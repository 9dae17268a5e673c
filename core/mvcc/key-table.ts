// From key bytes to key id in one step, for everything that names one key. Open addressing with linear probing; a slot
// is (hash, id + 1), so that a foreign key is passed over without a look at its record, and growing looks at no key.
//
// Growing moves a few slots with every insertion, so that no single one pays for all: until it is through, a key is in
// `#slots` or, if its slot there is not moved yet, in `#oldSlots`. Worked example: 8 slots, 6 keys. The seventh
// insertion opens 16 slots and moves old slots 0..15 (there are only 8): done at once. With 2^20 slots it takes 2^16
// insertions, while the new table has room for 2^19.

import { assert } from "../base/assert.ts";
import type { Keys } from "./keys.ts";

const SLOT_COUNT_MIN = 1024;
const MOVED_PER_INSERT = 16;
/** 64 parts: as many places are written to at once as a cache of the first level bears. */
const FILL_PART_BITS = 6;
/** In `#oldSlots`: was here, is gone; probing goes on. Ids stay below 2^31. */
const GONE = 0xffffffff;

export class KeyTable {
  readonly #keys: Keys;
  #slots = new Uint32Array(SLOT_COUNT_MIN * 2);
  #mask = SLOT_COUNT_MIN - 1;
  #oldSlots: Uint32Array | undefined = undefined;
  #oldMask = 0;
  /** Slots of the old table below it are moved. */
  #movedCount = 0;
  /** Keys in both tables. */
  count = 0;
  /** Entries in `#slots` alone: what its load is made of. */
  #slotsUsed = 0;

  constructor(keys: Keys) {
    this.#keys = keys;
  }

  /**
   * Fills an empty table with these ids, whose hashes are `hashes[id]`. Part of the table by part of it: each stays in the cache
   * while it is filled, where keys in their own order would miss it with every one.
   */
  fill(ids: Uint32Array, hashes: Uint32Array): void {
    assert(this.count === 0, "only an empty table is filled");
    let slotCount = SLOT_COUNT_MIN;
    while (ids.length * 3 > slotCount * 2) slotCount *= 2;
    this.#slots = new Uint32Array(slotCount * 2);
    const mask = (this.#mask = slotCount - 1);
    const shift = 31 - Math.clz32(slotCount) - FILL_PART_BITS;
    const ends = new Uint32Array(1 << FILL_PART_BITS);
    for (let i = 0; i < ids.length; i++) ends[(hashes[ids[i]!]! & mask) >>> shift]!++;
    for (let part = 0, end = 0; part < ends.length; part++) {
      const count = ends[part]!;
      ends[part] = end;
      end += count;
    }
    const pairs = new Uint32Array(ids.length * 2);
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      const hash = hashes[id]!;
      const to = ends[(hash & mask) >>> shift]!++ * 2;
      pairs[to] = hash;
      pairs[to + 1] = id + 1;
    }
    for (let at = 0; at < pairs.length; at += 2) this.#place(pairs[at]!, pairs[at + 1]!);
    this.count = ids.length;
  }

  /** The id of a key, -1 when it is not known. `hash` is `Keys.hash` of it. */
  find(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const mask = this.#mask;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = slots[slot * 2 + 1]!;
      if (entry === 0) break;
      if (slots[slot * 2] === hash && this.#keys.equals(entry - 1, bytes, start, end)) return entry - 1;
    }
    return this.#oldSlots === undefined ? -1 : this.#findOld(hash, bytes, start, end);
  }

  /** Adds a key that is not in the table. */
  insert(hash: number, id: number): void {
    if (this.#oldSlots !== undefined) this.#move(MOVED_PER_INSERT);
    else if (this.#slotsUsed * 3 >= (this.#mask + 1) * 2) this.#grow();
    this.#place(hash, id + 1);
    this.count++;
  }

  remove(hash: number, id: number): void {
    const found = this.#removeFromSlots(hash, id + 1) || this.#removeFromOld(hash, id + 1);
    assert(found, "a key that is removed is in the table");
    this.count--;
  }

  #place(hash: number, entry: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let slot = hash & mask;
    while (slots[slot * 2 + 1] !== 0) slot = (slot + 1) & mask;
    slots[slot * 2] = hash;
    slots[slot * 2 + 1] = entry;
    this.#slotsUsed++;
  }

  #grow(): void {
    this.#oldSlots = this.#slots;
    this.#oldMask = this.#mask;
    this.#movedCount = 0;
    this.#mask = this.#mask * 2 + 1;
    this.#slots = new Uint32Array((this.#mask + 1) * 2);
    this.#slotsUsed = 0;
    this.#move(MOVED_PER_INSERT);
  }

  #move(slotCount: number): void {
    const old = this.#oldSlots!;
    const last = Math.min(this.#movedCount + slotCount, this.#oldMask + 1);
    for (let slot = this.#movedCount; slot < last; slot++) {
      const entry = old[slot * 2 + 1]!;
      if (entry === 0 || entry === GONE) continue;
      this.#place(old[slot * 2]!, entry);
      // Probing of the old table must still pass over it.
      old[slot * 2 + 1] = GONE;
    }
    this.#movedCount = last;
    if (last > this.#oldMask) this.#oldSlots = undefined;
  }

  #findOld(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const old = this.#oldSlots!;
    const mask = this.#oldMask;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const entry = old[slot * 2 + 1]!;
      if (entry === 0) return -1;
      if (entry === GONE || old[slot * 2] !== hash) continue;
      if (this.#keys.equals(entry - 1, bytes, start, end)) return entry - 1;
    }
  }

  #removeFromOld(hash: number, entry: number): boolean {
    const old = this.#oldSlots;
    if (old === undefined) return false;
    const mask = this.#oldMask;
    for (let slot = hash & mask; old[slot * 2 + 1] !== 0; slot = (slot + 1) & mask) {
      if (old[slot * 2 + 1] !== entry) continue;
      old[slot * 2 + 1] = GONE;
      return true;
    }
    return false;
  }

  #removeFromSlots(hash: number, entry: number): boolean {
    const slots = this.#slots;
    const mask = this.#mask;
    let slot = hash & mask;
    while (slots[slot * 2 + 1] !== entry) {
      if (slots[slot * 2 + 1] === 0) return false;
      slot = (slot + 1) & mask;
    }
    // Backward shift (Knuth 6.4 R): close the hole so that no probe sequence is cut and no marks pile up.
    for (let next = (slot + 1) & mask; slots[next * 2 + 1] !== 0; next = (next + 1) & mask) {
      const home = slots[next * 2]! & mask;
      if (((next - home) & mask) < ((next - slot) & mask)) continue;
      slots[slot * 2] = slots[next * 2]!;
      slots[slot * 2 + 1] = slots[next * 2 + 1]!;
      slot = next;
    }
    slots[slot * 2 + 1] = 0;
    this.#slotsUsed--;
    return true;
  }
}
