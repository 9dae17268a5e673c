// Segments of records in memory. Each is an array buffer of `dataSegmentSizeBytes`, off the JavaScript heap; a record that
// does not fit gets a segment of its own. Records are appended and never move within a segment.
//
//   location (a RecordRef) = slot << unitShift | offset in units of 8 bytes        slot: index into `segments`
//
// With segments of 8 MiB that is 12 bits of slot: 32 GiB of data. Location 0 is "none": the first 16 bytes of every
// segment are its mark on disk (magic, format version, file number).
//
// A freed segment's slot is used again, its memory belongs to whoever still holds the bytes: a reader that outlives a
// turn of the loop keeps the `Segment` objects it needs, and the garbage collector does the counting.

import { assert } from "../base/assert.ts";
import type { RecordRef } from "./record.ts";
import { RecordFields, headerWordCount, recordSizeBytes } from "./record.ts";

/** "HFDS", and the version of this layout. */
export const SEGMENT_MAGIC = 0x53444648;
export const SEGMENT_VERSION = 1;
export const SEGMENT_HEAD_BYTES = 16;

const UNIT_BYTES = 8;

export class Segment {
  readonly slot: number;
  /** Name of its file; never used twice. */
  readonly number: number;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  usedBytes: number = SEGMENT_HEAD_BYTES;
  /** Bytes of records that are not dead. */
  liveBytes = 0;
  /** The newest revision in it: below the compacted one it may be cleaned. */
  lastRevision = 0;
  /** The segment in which the records go on when this one is full, -1 none yet. */
  nextSlot = -1;
  /** It takes survivors of cleaned segments; their revisions are in no order. */
  readonly isOld: boolean;
  /** What is in the file and durable there. */
  persistedBytes = 0;
  /** Ends and checksums of the pieces in which the file was written, in pairs. */
  readonly pieces: number[] = [];

  constructor(slot: number, number: number, sizeBytes: number, isOld: boolean) {
    // Not shared: copies from and to shared memory go byte by byte when source and target are not aligned alike
    // (measured: 256 bytes take 170 ns instead of 76). This line is all there is to change when workers read segments.
    const buffer = new ArrayBuffer(sizeBytes);
    this.slot = slot;
    this.number = number;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.isOld = isOld;
    this.words[0] = SEGMENT_MAGIC;
    this.words[1] = SEGMENT_VERSION;
    this.words[2] = number >>> 0;
    this.words[3] = Math.floor(number / 4294967296);
  }
}

export class Slabs {
  readonly segmentSizeBytes: number;
  readonly unitShift: number;
  readonly unitMask: number;
  /** By slot; `undefined` is free. `bytes` and `words` are the same segments' views, one load nearer. */
  readonly segments: (Segment | undefined)[] = [];
  readonly bytes: Uint8Array[] = [];
  readonly words: Uint32Array[] = [];
  /** Bytes in segments, and those of records that are not dead. */
  sizeBytes = 0;
  liveBytes = 0;
  /** Number of the next segment's file. */
  nextNumber = 1;
  readonly fields: RecordFields = new RecordFields();
  readonly #freeSlots: number[] = [];
  #main: Segment | undefined;
  #old: Segment | undefined;

  constructor(segmentSizeBytes: number) {
    assert(segmentSizeBytes >= 1024, "a segment has room for more than its head");
    let shift = 7;
    while (UNIT_BYTES << (shift + 1) <= segmentSizeBytes) shift++;
    this.segmentSizeBytes = UNIT_BYTES << shift;
    this.unitShift = shift;
    this.unitMask = (1 << shift) - 1;
  }

  /** The segment that takes new records. */
  get main(): Segment | undefined {
    return this.#main;
  }

  get old(): Segment | undefined {
    return this.#old;
  }

  slotOf(ref: RecordRef): number {
    return ref >>> this.unitShift;
  }

  /** The first word of a record in its segment. */
  wordOf(ref: RecordRef): number {
    return (ref & this.unitMask) << 1;
  }

  /** The record at the start of a segment. */
  firstOf(slot: number): RecordRef {
    return this.refAt(slot, SEGMENT_HEAD_BYTES);
  }

  /** The record at a byte offset of a segment. */
  refAt(slot: number, offset: number): RecordRef {
    return ((slot << this.unitShift) | (offset >>> 3)) >>> 0;
  }

  /** Appends a record of `this.fields` with this key and value; six numbers and arrays rather than views, as everywhere. */
  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  append(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): RecordRef {
    const fields = this.fields;
    const keySize = keyEnd - keyStart;
    const valueSize = valueEnd - valueStart;
    const size = recordSizeBytes(fields.flags(), keySize, valueSize);
    let segment = this.#main;
    if (segment === undefined || segment.usedBytes + size > segment.bytes.length) segment = this.#roll(size);
    const offset = segment.usedBytes;
    const at = fields.write(segment.words, offset >>> 2, keySize, valueSize);
    const target = segment.bytes;
    copy(target, at, keyBytes, keyStart, keyEnd);
    copy(target, at + keySize, valueBytes, valueStart, valueEnd);
    segment.usedBytes = offset + size;
    segment.liveBytes += size;
    segment.lastRevision = fields.modRevision;
    this.sizeBytes += size;
    this.liveBytes += size;
    return this.refAt(segment.slot, offset);
  }

  /** Copies a record, header and all, to the stream of survivors. */
  copyToOld(ref: RecordRef, sizeBytes: number, revision: number): RecordRef {
    let segment = this.#old;
    if (segment === undefined || segment.usedBytes + sizeBytes > segment.bytes.length) {
      segment = this.#old = this.#open(sizeBytes, true);
    }
    const source = this.bytes[this.slotOf(ref)]!;
    const from = (ref & this.unitMask) * UNIT_BYTES;
    const offset = segment.usedBytes;
    segment.bytes.set(source.subarray(from, from + sizeBytes), offset);
    segment.usedBytes = offset + sizeBytes;
    segment.liveBytes += sizeBytes;
    if (revision > segment.lastRevision) segment.lastRevision = revision;
    this.sizeBytes += sizeBytes;
    this.liveBytes += sizeBytes;
    return this.refAt(segment.slot, offset);
  }

  /** The record that was appended after this one, 0 when there is none yet. */
  following(ref: RecordRef, sizeBytes: number): RecordRef {
    const segment = this.segments[this.slotOf(ref)]!;
    const offset = (ref & this.unitMask) * UNIT_BYTES + sizeBytes;
    if (offset < segment.usedBytes) return this.refAt(segment.slot, offset);
    return segment.nextSlot < 0 ? 0 : this.firstOf(segment.nextSlot);
  }

  /** Gives a segment back. Its file, if any, goes when no checkpoint names it any more. */
  free(segment: Segment): void {
    assert(this.segments[segment.slot] === segment, "a segment is freed once");
    assert(segment !== this.#main, "the segment that is written is not freed");
    this.sizeBytes -= segment.usedBytes;
    this.liveBytes -= segment.liveBytes;
    if (segment === this.#old) this.#old = undefined;
    this.segments[segment.slot] = undefined;
    this.bytes[segment.slot] = NO_BYTES;
    this.words[segment.slot] = NO_WORDS;
    this.#freeSlots.push(segment.slot);
  }

  /** Puts a segment that was read from disk into its place; `seal()` once all are there. */
  restore(segment: Segment): void {
    assert(this.segments[segment.slot] === undefined, "a slot holds one segment");
    while (this.segments.length <= segment.slot) {
      this.segments.push(undefined);
      this.bytes.push(NO_BYTES);
      this.words.push(NO_WORDS);
    }
    this.#place(segment);
    if (segment.number >= this.nextNumber) this.nextNumber = segment.number + 1;
  }

  /** After the last `restore`: which segments go on being written. */
  resume(mainSlot: number, oldSlot: number): void {
    for (let slot = 0; slot < this.segments.length; slot++) {
      if (this.segments[slot] === undefined) this.#freeSlots.push(slot);
    }
    if (mainSlot >= 0) this.#main = this.segments[mainSlot];
    if (oldSlot >= 0) this.#old = this.segments[oldSlot];
  }

  #roll(sizeBytes: number): Segment {
    const segment = this.#open(sizeBytes, false);
    if (this.#main !== undefined) this.#main.nextSlot = segment.slot;
    this.#main = segment;
    return segment;
  }

  #open(recordBytes: number, isOld: boolean): Segment {
    const slot = this.#freeSlots.pop() ?? this.segments.length;
    assert(slot < 2 ** (32 - this.unitShift), "locations have room for the segment");
    const sizeBytes = Math.max(this.segmentSizeBytes, SEGMENT_HEAD_BYTES + recordBytes);
    const segment = new Segment(slot, this.nextNumber++, sizeBytes, isOld);
    this.#place(segment);
    return segment;
  }

  #place(segment: Segment): void {
    this.segments[segment.slot] = segment;
    this.bytes[segment.slot] = segment.bytes;
    this.words[segment.slot] = segment.words;
    this.sizeBytes += segment.usedBytes;
    this.liveBytes += segment.liveBytes;
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);

// oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
function copy(target: Uint8Array, at: number, source: Uint8Array, start: number, end: number): void {
  // A short loop beats the call and its temporary view.
  if (end - start <= 64) for (let i = start; i < end; i++) target[at++] = source[i]!;
  else target.set(source.subarray(start, end), at);
}

/** Words of a header are what the file says, too. */
export function assertLayout(): void {
  assert(
    new Uint8Array(Uint32Array.of(1).buffer)[0] === 1,
    "this machine is little-endian, as the files are",
  );
  assert(headerWordCount(0) === 6, "the shortest header is 24 bytes");
}
