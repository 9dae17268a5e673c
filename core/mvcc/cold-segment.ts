// What stays in memory of a segment whose records are on disk only: where each record is, and what leads through it.
//
//   units      offset in units of 8 bytes << 2 | dead << 1 | tombstone          4 bytes a record, sorted
//   previous   the version before                                              4
//   mods       mod revision, less the lowest one of the segment                2, or more where they lie far apart
//
// With the revision's entry in RevisionIndex a superseded version takes 14 bytes. Walks over versions and revisions, also
// those of compaction, stay in memory; key and value are read from the file when they are wanted (cold-reader.ts).

import { assert } from "../base/assert.ts";
import type { DiskFile } from "../base/ports.ts";
import type { RecordRef } from "./record.ts";
import { FLAG_DEAD, FLAG_TOMBSTONE, WORD_KEY_SIZE, WORD_PREVIOUS, modRevisionAt } from "./record.ts";

const TOMBSTONE = 1;
const DEAD = 2;
const UNIT_SHIFT = 2;

/** What is read of a segment when its memory is given up. */
export interface CoolingSegment {
  readonly number: number;
  readonly pieces: readonly number[];
  readonly usedBytes: number;
}

export class ColdSegment {
  /** Names its file. */
  readonly number: number;
  /** Ends and checksums of what is read at once, in pairs. */
  readonly pieces: readonly number[];
  readonly recordCount: number;
  readonly #units: Uint32Array;
  readonly #previous: Uint32Array;
  readonly #mods: Uint16Array | Uint32Array | Float64Array;
  readonly #firstRevision: number;
  readonly #endUnit: number;
  /** The record that was asked for last: the next one asked for is often the next one. */
  #last = 0;
  /** Readers that outlive a turn of the loop; the file must be there for them. */
  pinCount = 0;
  /** Open only for readers that outlive the segment: its name may be gone. */
  file: DiskFile | undefined = undefined;

  constructor(segment: CoolingSegment, builder: ColdBuilder) {
    this.number = segment.number;
    this.pieces = segment.pieces;
    this.recordCount = builder.count;
    this.#endUnit = segment.usedBytes / 8;
    this.#units = builder.units.slice(0, builder.count);
    this.#previous = builder.previous.slice(0, builder.count);
    this.#firstRevision = builder.firstRevision;
    this.#mods = columnFor(builder.lastRevision - builder.firstRevision, builder.count);
    for (let i = 0; i < builder.count; i++) this.#mods[i] = builder.mods[i]! - builder.firstRevision;
  }

  /** The index of the record at an offset, in units. */
  indexOf(unit: number): number {
    const units = this.#units;
    const next = this.#last + 1;
    if (next < units.length && units[next]! >>> UNIT_SHIFT === unit) return (this.#last = next);
    let low = 0;
    let high = units.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (units[middle]! >>> UNIT_SHIFT < unit) low = middle + 1;
      else high = middle;
    }
    assert(units[low]! >>> UNIT_SHIFT === unit, "a location leads to a record");
    return (this.#last = low);
  }

  offsetBytes(index: number): number {
    return (this.#units[index]! >>> UNIT_SHIFT) * 8;
  }

  sizeBytes(index: number): number {
    const end = index + 1 < this.recordCount ? this.#units[index + 1]! >>> UNIT_SHIFT : this.#endUnit;
    return (end - (this.#units[index]! >>> UNIT_SHIFT)) * 8;
  }

  modRevision(index: number): number {
    return this.#firstRevision + this.#mods[index]!;
  }

  previous(index: number): RecordRef {
    return this.#previous[index]!;
  }

  setPrevious(index: number, ref: RecordRef): void {
    this.#previous[index] = ref;
  }

  isTombstone(index: number): boolean {
    return (this.#units[index]! & TOMBSTONE) !== 0;
  }

  isDead(index: number): boolean {
    return (this.#units[index]! & DEAD) !== 0;
  }

  kill(index: number): void {
    this.#units[index]! |= DEAD;
  }
}

function columnFor(largest: number, length: number): Uint16Array | Uint32Array | Float64Array {
  if (largest < 2 ** 16) return new Uint16Array(length);
  return largest < 2 ** 32 ? new Uint32Array(length) : new Float64Array(length);
}

/** Gathers a segment's records; reused from segment to segment. */
export class ColdBuilder {
  units: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  previous: Uint32Array<ArrayBuffer> = new Uint32Array(0);
  mods: Float64Array<ArrayBuffer> = new Float64Array(0);
  count = 0;
  firstRevision = 0;
  lastRevision = 0;

  reset(): void {
    this.count = 0;
    this.firstRevision = Number.MAX_SAFE_INTEGER;
    this.lastRevision = 0;
  }

  /** Notes the record at this offset of a segment with these words; they come in their order. */
  add(words: Uint32Array, offset: number): void {
    if (this.count === this.units.length) this.#grow();
    const at = offset >>> 2;
    const flags = words[at + WORD_KEY_SIZE]!;
    const mod = modRevisionAt(words, at);
    let unit = (offset >>> 3) << UNIT_SHIFT;
    if ((flags & FLAG_TOMBSTONE) !== 0) unit |= TOMBSTONE;
    if ((flags & FLAG_DEAD) !== 0) unit |= DEAD;
    this.units[this.count] = unit;
    this.previous[this.count] = words[at + WORD_PREVIOUS]!;
    this.mods[this.count++] = mod;
    if (mod < this.firstRevision) this.firstRevision = mod;
    if (mod > this.lastRevision) this.lastRevision = mod;
  }

  /** Gives its memory back. */
  clear(): void {
    this.reset();
    this.units = this.previous = new Uint32Array(0);
    this.mods = new Float64Array(0);
  }

  #grow(): void {
    const length = Math.max(1024, this.units.length * 2);
    const units = new Uint32Array(length);
    const previous = new Uint32Array(length);
    const mods = new Float64Array(length);
    units.set(this.units);
    previous.set(this.previous);
    mods.set(this.mods);
    Object.assign(this, { units, previous, mods });
  }
}
