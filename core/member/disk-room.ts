// Whether the disk has room for what a proposal adds. The log refuses nothing: what was proposed is written, or waits until there
// is room, and what would make room then waits behind it. So what grows is refused while there is still some.

import type { Disk } from "../base/ports.ts";

/** So old is what the disk said at most; checkpoints and other programs take room as well. */
const ASK_MS = 100;
/** Of a segment of the log: for what frees room, and for what is taken between two questions. */
const MARGIN_FRACTION = 1 / 2;

export class DiskRoom {
  readonly #disk: Pick<Disk, "freeBytes">;
  readonly #marginBytes: number;
  #freeBytes = Infinity;
  #askedMs = -Infinity;
  /** Of proposals since then, and of those of this turn, which may not have come to the log yet. */
  #takenBytes = 0;
  #turnBytes = 0;
  #turnMs = -Infinity;

  constructor(disk: Pick<Disk, "freeBytes">, segmentSizeBytes: number) {
    this.#disk = disk;
    this.#marginBytes = segmentSizeBytes * MARGIN_FRACTION;
  }

  /** Takes room for so much; false when there is none. `pendingBytes` are on their way to the disk: the log's. */
  take(costBytes: number, pendingBytes: number, nowMs: number): boolean {
    if (nowMs !== this.#turnMs) {
      this.#turnMs = nowMs;
      this.#turnBytes = 0;
    }
    if (nowMs - this.#askedMs >= ASK_MS || !this.#fits(costBytes)) {
      this.#askedMs = nowMs;
      this.#freeBytes = this.#disk.freeBytes() - pendingBytes;
      this.#takenBytes = this.#turnBytes;
    }
    if (!this.#fits(costBytes)) return false;
    this.#takenBytes += costBytes;
    this.#turnBytes += costBytes;
    return true;
  }

  #fits(costBytes: number): boolean {
    return this.#takenBytes + costBytes + this.#marginBytes <= this.#freeBytes;
  }
}
