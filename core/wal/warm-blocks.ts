// Which blocks of the last segment a cache of the device, or of its host, holds: only a part of such a block is cheap to write
// (`Disk.blockSizeBytes`). Those that were written a moment ago, and, while groups are small, some that are read ahead of the
// log; large groups write whole blocks anyway.

import type { Disk, DiskFile } from "../base/ports.ts";

/** After such a pause no cache may hold the log's last block any more (seen after two minutes). */
export const WARM_AT_REST_MS = 1000;
/** So much is read when less is left; larger reads let the log's writes wait for 0.1 ms and more. */
const READ_BYTES = 64 * 1024;
/** What was read so long ago, and was not written to since, is read again. */
const READ_AGAIN_MS = 5000;

export class WarmBlocks {
  readonly #blockBytes: number;
  /** Reading works, and pays: parts of blocks can be written. */
  #reads: boolean;
  #isReading = false;
  #startedMs = 0;
  /** What a read brings counts while this stays. */
  #era = 0;
  #end = 0;

  constructor(disk: Disk) {
    this.#blockBytes = disk.blockSizeBytes;
    this.#reads = disk.blockSizeBytes > disk.alignmentBytes;
  }

  /** From the last block of the log up to this offset of its segment blocks are warm, that block included; 0: none is. */
  get end(): number {
    return this.#end;
  }

  forget(): void {
    this.#end = 0;
    this.#era++;
  }

  /** Whole blocks were written, up to this offset. */
  noteWritten(end: number): void {
    this.#end = end;
  }

  /** Behind a small group, the log's end at `tail` of the segment: keeps blocks behind it warm. Nobody waits for that. */
  // oxlint-disable-next-line max-params -- once a group
  readAhead(file: DiskFile, tail: number, segmentSizeBytes: number, nowMs: number): void {
    if (!this.#reads || this.#isReading) return;
    const tailBlockEnd = Math.ceil(tail / this.#blockBytes) * this.#blockBytes;
    if (nowMs - this.#startedMs > READ_AGAIN_MS) this.#end = Math.min(this.#end, tailBlockEnd);
    if (this.#end - tail > READ_BYTES) return;
    const from = Math.max(this.#end, tailBlockEnd);
    const end = Math.min(from + READ_BYTES, segmentSizeBytes);
    if (end <= from) return;
    const era = this.#era;
    this.#isReading = true;
    this.#startedMs = nowMs;
    file.warm(from, end - from, (isWarm) => {
      this.#isReading = false;
      // What cannot be read is no fault of the log, which only writes there.
      if (!isWarm) this.#reads = false;
      else if (era === this.#era) this.#end = Math.max(this.#end, end);
    });
  }
}
