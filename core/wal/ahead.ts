// The blocks of the last segment ahead of the log: allocated and zero before the log needs them, so that a group's write takes
// no commit of the file system's journal. A full disk is a state while what is filled has room for the group at hand.

import type { Disk, DiskFile } from "../base/ports.ts";
import { asDiskError } from "./wal-error.ts";

/** So far ahead of the log blocks are filled; it is also what a full disk leaves to be used. */
const AHEAD_BYTES_MIN = 512 * 1024;
/** Small, because a caller waits for it: 64 KiB take 0.1 ms longer than a block, 1 MiB takes milliseconds. */
const AHEAD_SLICE_BYTES = 64 * 1024;

export class Ahead {
  readonly #disk: Disk;
  readonly #unitBytes: number;
  #file: DiskFile | undefined = undefined;
  #segmentSizeBytes = 0;
  /** Blocks before this offset are allocated. */
  #filledEnd = 0;
  #zeros: Uint8Array | undefined = undefined;
  /** The disk was full at the last attempt. */
  isFull = false;

  /** Whole units are filled. */
  constructor(disk: Disk, unitBytes: number) {
    this.#disk = disk;
    this.#unitBytes = unitBytes;
  }

  get segmentSizeBytes(): number {
    return this.#segmentSizeBytes;
  }

  /** The log goes on in this file, of which blocks before `filledEnd` are allocated. */
  open(file: DiskFile, segmentSizeBytes: number, filledEnd: number): void {
    this.#file = file;
    this.#segmentSizeBytes = segmentSizeBytes;
    this.#filledEnd = filledEnd;
    this.isFull = false;
  }

  /** Whether a group that ends there can be written; on a disk that is not full the write itself allocates. */
  isAllocated(end: number): boolean {
    return !this.isFull || this.#filledEnd >= end;
  }

  /** Keeps blocks behind `end` filled, the end of the log or of the group at hand; a full disk is noted. */
  keep(end: number): void {
    if (this.#filledEnd >= this.#segmentSizeBytes) return;
    if (this.#filledEnd - end < AHEAD_BYTES_MIN)
      this.#fill(Math.max(this.#filledEnd, end), AHEAD_SLICE_BYTES);
  }

  /** Fills up to `end` at least, with what the disk has left. */
  reach(end: number): void {
    this.#fill(this.#filledEnd, Math.max(end - this.#filledEnd, AHEAD_SLICE_BYTES));
  }

  /** Fills the segment from `from` on, at once. */
  fillRest(from: number): void {
    this.#fill(from, this.#segmentSizeBytes);
  }

  /** Writes at most so many zeros from the next whole unit on. */
  #fill(from: number, sizeBytes: number): void {
    const start = Math.ceil(from / this.#unitBytes) * this.#unitBytes;
    const count = Math.min(sizeBytes, this.#segmentSizeBytes - start);
    if (count <= 0) return;
    try {
      // Kept until the segment is filled: finding aligned memory takes many attempts.
      if (this.#zeros === undefined || this.#zeros.length < count)
        this.#zeros = this.#disk.allocate(sizeBytes);
      this.#file!.write(this.#zeros, 0, count, start);
      this.#file!.sync();
      this.#filledEnd = start + count;
      if (this.#filledEnd >= this.#segmentSizeBytes) this.#zeros = undefined;
      this.isFull = false;
    } catch (error) {
      if (asDiskError(error).code !== "ENOSPC") throw error;
      this.isFull = true;
    }
  }
}
