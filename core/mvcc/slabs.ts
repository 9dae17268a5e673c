// Segments of records in memory. Each is an array buffer of `dataSegmentSizeBytes`, off the JavaScript heap; a record that
// does not fit gets a segment of its own. Records are appended and never move within a segment.
//
//   location (a RecordRef) = slot << unitShift | offset in units of 8 bytes        slot: index into `segments`
//
// With segments of 8 MiB that is 12 bits of slot: 32 GiB of data. Location 0 is "none": the first 16 bytes of every
// segment are its mark on disk (magic, format version, file number).
//
// A cold segment has given its memory up (cooling.ts): its records are read from its file, what leads through them is in
// its `ColdSegment`. `bytes` and `words` are empty then.
//
// A freed segment's slot is used again, its memory belongs to whoever still holds the bytes: a reader that outlives a
// turn of the loop keeps the `Segment` objects it needs, and the garbage collector does the counting.

import { assert } from "../base/assert.ts";
import type { ColdReader } from "./cold-reader.ts";
import type { ColdSegment } from "./cold-segment.ts";
import type { RecordRef } from "./record.ts";
import {
  FLAG_COPY,
  RecordFields,
  WORD_KEY_SIZE,
  WORD_PREVIOUS,
  headerWordCount,
  recordSizeBytes,
  recordSizeBytesAt,
} from "./record.ts";

/** "HFDS", and the version of this layout. */
export const SEGMENT_MAGIC = 0x53444648;
export const SEGMENT_VERSION = 1;
export const SEGMENT_HEAD_BYTES = 16;

const UNIT_BYTES = 8;

/** Of new records; of survivors of cleaned segments, whose revisions are in no order; of copies, which have no file. */
export type SegmentKind = "main" | "old" | "copies";

export class Segment {
  readonly slot: number;
  /** Name of its file; never used twice. */
  readonly number: number;
  readonly kind: SegmentKind;
  readonly capacityBytes: number;
  /** Empty while it is cold. */
  bytes: Uint8Array;
  words: Uint32Array;
  cold: ColdSegment | undefined = undefined;
  usedBytes: number = SEGMENT_HEAD_BYTES;
  /** Bytes of records that are not dead. */
  liveBytes = 0;
  /** The newest revision in it: below the compacted one it may be cleaned. */
  lastRevision = 0;
  /** The segment in which the records go on when this one is full, -1 none yet. */
  nextSlot = -1;
  /** Bytes of records that are their key's newest and are read here: no copy stands in for them. */
  newestBytes = 0;
  /** What is in the file and durable there. */
  persistedBytes = 0;
  /** What the last durable checkpoint has of it. */
  coveredBytes = 0;
  /** Ends and checksums of the pieces in which the file was written, in pairs. */
  readonly pieces: number[] = [];
  /** Readers that hold its memory, and how much that is once it is only theirs. */
  pinCount = 0;
  strayBytes = 0;

  /** A segment in this memory, which is as it was read from its file, or empty: `begin()` it then. */
  constructor(slot: number, number: number, kind: SegmentKind, buffer: ArrayBuffer) {
    this.slot = slot;
    this.number = number;
    this.bytes = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.kind = kind;
    this.capacityBytes = buffer.byteLength;
  }

  /** Writes its mark. */
  begin(): void {
    this.words[0] = SEGMENT_MAGIC;
    this.words[1] = SEGMENT_VERSION;
    this.words[2] = this.number >>> 0;
    this.words[3] = Math.floor(this.number / 4294967296);
  }

  /** Whether the memory has the mark of this segment. */
  get isMarked(): boolean {
    const { words } = this;
    return words[0] === SEGMENT_MAGIC && words[1] === SEGMENT_VERSION && words[2] === this.number >>> 0;
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
  /** No durable checkpoint names a file with this number or a higher one. */
  uncoveredNumber = 1;
  /** Bytes of files that the newest checkpoint names though their segments are gone: they stay until the next one. */
  abandonedBytes = 0;
  /** Bytes in segments that are not cold, copies included, and of these the newest versions of keys. */
  memoryBytes = 0;
  newestBytes = 0;
  /** Memory that is there only because somebody still reads it. */
  pinnedBytes = 0;
  /** Reads cold segments; without it there are none. */
  reader: ColdReader | undefined = undefined;
  readonly fields: RecordFields = new RecordFields();
  readonly #freeSlots: number[] = [];
  #main: Segment | undefined;
  #old: Segment | undefined;
  #copies: Segment | undefined;

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

  /** Memory that holds no newest version. */
  get supersededBytes(): number {
    return this.memoryBytes - this.newestBytes;
  }

  /** Whether records are still appended to it. */
  isOpen(segment: Segment): boolean {
    return segment === this.#main || segment === this.#old || segment === this.#copies;
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
    if (segment === undefined || segment.usedBytes + size > segment.capacityBytes) segment = this.#roll(size);
    const offset = segment.usedBytes;
    const at = fields.write(segment.words, offset >>> 2, keySize, valueSize);
    const target = segment.bytes;
    copy(target, at, keyBytes, keyStart, keyEnd);
    copy(target, at + keySize, valueBytes, valueStart, valueEnd);
    segment.usedBytes = offset + size;
    segment.liveBytes += size;
    segment.newestBytes += size;
    segment.lastRevision = fields.modRevision;
    this.sizeBytes += size;
    this.liveBytes += size;
    this.memoryBytes += size;
    this.newestBytes += size;
    return this.refAt(segment.slot, offset);
  }

  /** A newer record takes the place of this one, its key's newest; returns the record itself when it is a copy. */
  supersede(ref: RecordRef): RecordRef {
    const slot = ref >>> this.unitShift;
    const words = this.words[slot]!;
    const at = (ref & this.unitMask) << 1;
    const size = recordSizeBytesAt(words, at);
    this.segments[slot]!.newestBytes -= size;
    this.newestBytes -= size;
    return (words[at + WORD_KEY_SIZE]! & FLAG_COPY) === 0 ? ref : words[at + WORD_PREVIOUS]!;
  }

  /** A record that is in memory becomes the newest of its key. */
  makeNewest(ref: RecordRef): void {
    const slot = ref >>> this.unitShift;
    const size = recordSizeBytesAt(this.words[slot]!, (ref & this.unitMask) << 1);
    this.segments[slot]!.newestBytes += size;
    this.newestBytes += size;
  }

  /** Copies a record, header and all, to the stream of survivors. */
  copyToOld(source: Uint8Array, from: number, sizeBytes: number, revision: number): RecordRef {
    let segment = this.#old;
    if (segment === undefined || segment.usedBytes + sizeBytes > segment.capacityBytes) {
      segment = this.#old = this.#open(sizeBytes, "old");
    }
    if (revision > segment.lastRevision) segment.lastRevision = revision;
    segment.liveBytes += sizeBytes;
    this.sizeBytes += sizeBytes;
    this.liveBytes += sizeBytes;
    return this.#copyTo(segment, source, from, sizeBytes);
  }

  /** Copies a record to where copies stand in for the newest versions in cold segments. */
  copyToCopies(source: Uint8Array, from: number, sizeBytes: number): RecordRef {
    let segment = this.#copies;
    if (segment === undefined || segment.usedBytes + sizeBytes > segment.capacityBytes) {
      segment = this.#copies = this.#open(sizeBytes, "copies");
    }
    return this.#copyTo(segment, source, from, sizeBytes);
  }

  #copyTo(segment: Segment, source: Uint8Array, from: number, sizeBytes: number): RecordRef {
    const offset = segment.usedBytes;
    segment.bytes.set(source.subarray(from, from + sizeBytes), offset);
    segment.usedBytes = offset + sizeBytes;
    this.memoryBytes += sizeBytes;
    return this.refAt(segment.slot, offset);
  }

  /** Gives the memory of a segment up; all of it is in its file. */
  cool(segment: Segment, cold: ColdSegment): void {
    assert(segment.kind !== "copies", "a copy has no file");
    assert(!this.isOpen(segment), "a segment that is written stays in memory");
    assert(segment.coveredBytes === segment.usedBytes, "a cold segment is durable as a whole");
    assert(segment.newestBytes === 0, "the newest versions of keys stay in memory");
    this.memoryBytes -= segment.usedBytes;
    this.#stray(segment);
    segment.cold = cold;
    segment.bytes = this.bytes[segment.slot] = NO_BYTES;
    segment.words = this.words[segment.slot] = NO_WORDS;
  }

  /** The record that was appended after this one, of this size; 0 when there is none yet. */
  following(ref: RecordRef, sizeBytes: number): RecordRef {
    const segment = this.segments[this.slotOf(ref)]!;
    const offset = (ref & this.unitMask) * UNIT_BYTES + sizeBytes;
    if (offset < segment.usedBytes) return this.refAt(segment.slot, offset);
    return segment.nextSlot < 0 ? 0 : this.firstOf(segment.nextSlot);
  }

  /** Somebody reads the segment over several turns. */
  pin(segment: Segment): void {
    segment.pinCount++;
  }

  unpin(segment: Segment): void {
    assert(segment.pinCount > 0, "what is let go of was pinned");
    if (--segment.pinCount > 0) return;
    this.pinnedBytes -= segment.strayBytes;
    segment.strayBytes = 0;
  }

  /** The store lets a segment's memory go; readers may not have. */
  #stray(segment: Segment): void {
    if (segment.pinCount === 0) return;
    segment.strayBytes = segment.bytes.length;
    this.pinnedBytes += segment.strayBytes;
  }

  /** Gives a segment back. Its file, if any, goes when no checkpoint names it any more. */
  free(segment: Segment): void {
    assert(this.segments[segment.slot] === segment, "a segment is freed once");
    assert(segment !== this.#main, "the segment that is written is not freed");
    if (segment.kind !== "copies") this.sizeBytes -= segment.usedBytes;
    if (segment.number < this.uncoveredNumber) this.abandonedBytes += segment.coveredBytes;
    this.liveBytes -= segment.liveBytes;
    this.newestBytes -= segment.newestBytes;
    if (segment.cold === undefined) {
      this.memoryBytes -= segment.usedBytes;
      this.#stray(segment);
    } else this.reader!.retire(segment.cold);
    if (segment === this.#old) this.#old = undefined;
    if (segment === this.#copies) this.#copies = undefined;
    this.segments[segment.slot] = undefined;
    this.bytes[segment.slot] = NO_BYTES;
    this.words[segment.slot] = NO_WORDS;
    this.#freeSlots.push(segment.slot);
  }

  /** Keeps the slot free for a segment that will be read from disk. */
  reserve(slot: number): void {
    while (this.segments.length <= slot) {
      this.segments.push(undefined);
      this.bytes.push(NO_BYTES);
      this.words.push(NO_WORDS);
    }
  }

  /** Puts a segment that was read from disk into its place; `resume()` once all are there. */
  restore(segment: Segment): void {
    assert(this.segments[segment.slot] === undefined, "a slot holds one segment");
    assert(segment.slot < this.segments.length, "a slot that is restored was reserved");
    this.#place(segment);
    if (segment.number >= this.nextNumber) this.nextNumber = segment.number + 1;
  }

  /** After the last `restore`: which segments go on being written. */
  resume(mainSlot: number, oldSlot: number): void {
    this.#freeSlots.length = 0;
    for (let slot = 0; slot < this.segments.length; slot++) {
      if (this.segments[slot] === undefined) this.#freeSlots.push(slot);
    }
    if (mainSlot >= 0) this.#main = this.segments[mainSlot];
    if (oldSlot >= 0) this.#old = this.segments[oldSlot];
    assert(this.#main?.cold === undefined, "the segment that is written is in memory");
    assert(this.#old?.cold === undefined, "the segment that takes survivors is in memory");
  }

  #roll(sizeBytes: number): Segment {
    const segment = this.#open(sizeBytes, "main");
    if (this.#main !== undefined) this.#main.nextSlot = segment.slot;
    this.#main = segment;
    return segment;
  }

  #open(recordBytes: number, kind: SegmentKind): Segment {
    const slot = this.#freeSlots.pop() ?? this.segments.length;
    assert(slot < 2 ** (32 - this.unitShift), "locations have room for the segment");
    const sizeBytes = Math.max(this.segmentSizeBytes, SEGMENT_HEAD_BYTES + recordBytes);
    assert(this.segments[slot] === undefined, "a slot holds one segment");
    // Not shared: copies from and to shared memory go byte by byte when source and target are not aligned alike
    // (measured: 256 bytes take 170 ns instead of 76; docs/decisions/0002).
    const segment = new Segment(slot, this.nextNumber++, kind, new ArrayBuffer(sizeBytes));
    segment.begin();
    this.#place(segment);
    return segment;
  }

  #place(segment: Segment): void {
    this.segments[segment.slot] = segment;
    this.bytes[segment.slot] = segment.bytes;
    this.words[segment.slot] = segment.words;
    this.memoryBytes += segment.usedBytes;
    if (segment.kind === "copies") return;
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
