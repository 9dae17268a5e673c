// A group: the records of one write, encoded where they will be written from. Memory is the disk's (aligned where that
// is faster); it starts with the part of a block that is on disk already, so that whole blocks, or sectors of them, can be
// written again.
//
//   file:   | block ........ | block: old records|new records ....... | zeros |
//   bytes:                   | 0        start                     end |       | multiple of the alignment
//
// The zeros behind the end are the end mark that etcd's readers look for; the next group overwrites them.

import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Disk } from "../base/ports.ts";
import {
  ENTRY_HEAD_BYTES_MAX,
  encodeEntryHead,
  encodeState,
  STATE_BYTES_MAX,
  StateFields,
} from "./payload.ts";
import {
  beginFrame,
  endFrame,
  FRAME_OVERHEAD_BYTES_MAX,
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_STATE,
} from "./record.ts";

const SIZE_BYTES_MIN = 64 * 1024;
/** A buffer that one great batch made larger than this is given back. */
const SIZE_BYTES_KEPT = 4 * 1024 * 1024;
/** The end mark. */
export const END_MARK_BYTES = 8;

const headScratch = new Uint8Array(ENTRY_HEAD_BYTES_MAX);
const stateScratch = new Uint8Array(STATE_BYTES_MAX);

export class Group {
  bytes: Uint8Array;
  /** Offset in the segment of `bytes[0]`: a multiple of the block's size. */
  base = 0;
  /** Where the group's own records start and end, positions in `bytes`. */
  start = 0;
  end = 0;
  /** The chain's value after the last record. */
  crc = 0;
  recordCount = 0;
  batchSequence = 0;
  /** Index of the last entry before this group, and with it. */
  lastIndexBefore = 0;
  lastIndex = 0;
  /** The last state that it records. */
  readonly lastState = new StateFields();
  readonly #disk: Disk;
  readonly #alignment: number;
  readonly #blockBytes: number;

  constructor(disk: Disk) {
    this.#disk = disk;
    this.#alignment = Math.max(8, disk.alignmentBytes);
    this.#blockBytes = Math.max(8, disk.blockSizeBytes);
    this.bytes = disk.allocate(SIZE_BYTES_MIN);
  }

  get isEmpty(): boolean {
    return this.recordCount === 0;
  }

  /** Offset in the segment behind the last record. */
  get endOffset(): number {
    return this.base + this.end;
  }

  /** Starts at `offset` of a segment; `block` holds what is before it in its block. */
  open(offset: number, block: Uint8Array, crc: number): void {
    assert(offset % 8 === 0, "a frame starts at a multiple of 8");
    this.base = offset - (offset % this.#blockBytes);
    this.start = offset - this.base;
    this.end = this.start;
    this.crc = crc;
    this.recordCount = 0;
    if (this.bytes.length > SIZE_BYTES_KEPT) this.bytes = this.#disk.allocate(SIZE_BYTES_MIN);
    this.bytes.set(block.subarray(0, this.start));
  }

  /** Where the bytes to be written start, a position in `bytes`: at the block, or at the first sector that changes. */
  writeStart(isWholeBlock: boolean): number {
    return isWholeBlock ? 0 : this.start - (this.start % this.#alignment);
  }

  /** Forgets the records, so that `isEmpty` again. */
  clear(): void {
    this.recordCount = 0;
  }

  state(fields: StateFields): void {
    this.data(RECORD_STATE, stateScratch, encodeState(stateScratch, 0, fields));
  }

  /** A record whose data are the first `count` bytes of `source`. */
  data(type: number, source: Uint8Array, count: number): void {
    this.#ensure(count);
    this.crc = crc32c(source, 0, count, this.crc);
    const at = beginFrame(this.bytes, this.end, type, this.crc, count);
    this.#copy(at, source, 0, count);
    this.end = endFrame(this.bytes, at + count);
    this.recordCount++;
  }

  /** Opens a segment: the chain's value so far. */
  chain(): void {
    this.#ensure(0);
    this.end = endFrame(this.bytes, beginFrame(this.bytes, this.end, RECORD_CRC, this.crc, 0));
    this.recordCount++;
  }

  /** An entry. Parameters, not an object: this runs once per entry. */
  // oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
  entry(type: number, term: number, index: number, source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    const headCount = encodeEntryHead(headScratch, type, term, index, count);
    this.#ensure(headCount + count);
    this.crc = crc32c(source, start, end, crc32c(headScratch, 0, headCount, this.crc));
    const at = beginFrame(this.bytes, this.end, RECORD_ENTRY, this.crc, headCount + count);
    this.#copy(at, headScratch, 0, headCount);
    this.#copy(at + headCount, source, start, end);
    this.end = endFrame(this.bytes, at + headCount + count);
    this.recordCount++;
  }

  /** Adds the end mark, and returns where the bytes to be written end: a multiple of the alignment when that is > 8. */
  seal(): number {
    const marked = this.end + END_MARK_BYTES;
    const sealed = Math.ceil(marked / this.#alignment) * this.#alignment;
    this.#ensure(0);
    this.bytes.fill(0, this.end, sealed);
    return sealed;
  }

  /** Zeros from where `seal` ended to the end of that block in the segment, or the segment's; returns where they end. */
  fillBlock(sealed: number, segmentSizeBytes: number): number {
    const blockEnd = Math.ceil((this.base + sealed) / this.#blockBytes) * this.#blockBytes;
    const end = Math.min(blockEnd, segmentSizeBytes) - this.base;
    this.bytes.fill(0, sealed, end);
    return end;
  }

  /** Copies the last, incomplete block into `block`, for the next group. */
  copyLastBlock(block: Uint8Array): void {
    const blockStart = this.end - (this.end % this.#blockBytes);
    block.set(this.bytes.subarray(blockStart, this.end));
  }

  #copy(at: number, source: Uint8Array, start: number, end: number): void {
    const bytes = this.bytes;
    if (end - start <= 48) for (let i = start; i < end; i++) bytes[at + i - start] = source[i]!;
    else bytes.set(source.subarray(start, end), at);
  }

  /** Room for a record with so much data, and for the end mark and the rest of the block behind it. */
  #ensure(count: number): void {
    const wanted =
      this.end + count + FRAME_OVERHEAD_BYTES_MAX + END_MARK_BYTES + this.#alignment + this.#blockBytes;
    if (wanted <= this.bytes.length) return;
    let size = this.bytes.length * 2;
    while (size < wanted) size *= 2;
    const grown = this.#disk.allocate(size);
    grown.set(this.bytes.subarray(0, this.end));
    this.bytes = grown;
  }
}
