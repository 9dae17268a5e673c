// The replicated part of all leases as bytes, for checkpoints and snapshots. The keys are not in it: each key's record
// names its lease, and loading the records attaches them again.
//
//   image := version (1 byte: 1) lease*
//   lease := id (8 bytes, most significant first) ttl (varint, seconds) remainder (varint, seconds, 0: none)
//
// An image shows the moment of begin(), though it is written in slices while entries go on being applied: a lease that
// is about to change is written before, one that is granted meanwhile is left out. Whether a row is in the image already
// is one bit in it, whose meaning turns with every image, so that no pass is needed to reset it.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import type { LeaseTable } from "./lease-table.ts";
import { FLAG_IMAGE } from "./lease-table.ts";

const VERSION = 1;

/** The bytes are not an image of leases of a version that is understood: damage, or a newer program's. */
export class LeaseImageError extends Error {
  override readonly name = "LeaseImageError";
  readonly code = "LEASE_IMAGE_INVALID";
}

export class LeaseImage {
  readonly #table: LeaseTable;
  readonly #writer = new ByteWriter(256);
  /** The value of FLAG_IMAGE in rows that are written (or need not be). */
  #markOfWritten = false;
  /** The next row to look at; 0 when no image is being written. */
  #slot = 0;

  constructor(table: LeaseTable) {
    this.#table = table;
  }

  get isRunning(): boolean {
    return this.#slot !== 0;
  }

  begin(): void {
    assert(!this.isRunning, "one image at a time");
    this.#markOfWritten = !this.#markOfWritten;
    this.#slot = 1;
    this.#writer.reset();
    this.#writer.byte(VERSION);
  }

  /** Writes up to `rowCount` rows; the finished image, a copy of its own, when that was the last of it. */
  slice(rowCount: number): Uint8Array | undefined {
    assert(this.isRunning, "an image was begun");
    const end = this.#table.rows.end;
    for (; this.#slot < end; this.#slot++) {
      if (rowCount-- === 0) return undefined;
      if (this.#table.isLive(this.#slot)) this.#writeOnce(this.#slot);
    }
    this.#slot = 0;
    return this.#writer.copy();
  }

  /** All at once: about 10 ms for 100,000 leases. */
  take(): Uint8Array {
    this.begin();
    const bytes = this.slice(Infinity);
    assert(bytes !== undefined, "a slice without bound finishes the image");
    return bytes;
  }

  /** A lease is about to change or to go. */
  beforeChange(slot: number): void {
    if (this.isRunning) this.#writeOnce(slot);
  }

  /** A new lease: not in the image that is being written. */
  skip(slot: number): void {
    this.#mark(slot);
  }

  /** Reads an image into an empty table. */
  restore(bytes: Uint8Array, start: number, end: number): void {
    assert(this.#table.count === 0, "an image is restored into an empty table");
    if (start >= end || bytes[start] !== VERSION)
      throw new LeaseImageError(`Cannot restore leases: version ${bytes[start]} is not ${VERSION}`);
    let position = start + 1;
    const varint = (): number => {
      let value = 0;
      for (let scale = 1; scale < 2 ** 56; scale *= 128) {
        const byte = position < end ? bytes[position++]! : 0x100;
        if (byte > 0xff) break;
        value += (byte & 0x7f) * scale;
        if (byte < 0x80) return value;
      }
      throw new LeaseImageError("Cannot restore leases: the image is cut off or damaged");
    };
    while (position < end) {
      if (end - position < 10) throw new LeaseImageError("Cannot restore leases: the image is cut off");
      const hi = uint32Be(bytes, position);
      const lo = uint32Be(bytes, position + 4);
      position += 8;
      const ttlSeconds = varint();
      const remainder = varint();
      if ((hi | lo) === 0 || this.#table.find(hi, lo) >= 0 || ttlSeconds === 0)
        throw new LeaseImageError(
          "Cannot restore leases: the image holds a lease twice, or one without id or TTL",
        );
      const slot = this.#table.add(hi, lo, ttlSeconds);
      this.#table.setRemainder(slot, remainder);
      this.#mark(slot);
    }
  }

  #writeOnce(slot: number): void {
    const table = this.#table;
    if (table.has(slot, FLAG_IMAGE) === this.#markOfWritten) return;
    this.#mark(slot);
    const writer = this.#writer;
    writer.uint32Be(table.idHi(slot));
    writer.uint32Be(table.idLo(slot));
    writer.varint(table.ttlSeconds(slot));
    writer.varint(table.remainderSeconds(slot));
  }

  #mark(slot: number): void {
    if (this.#markOfWritten) this.#table.flag(slot, FLAG_IMAGE);
    else this.#table.unflag(slot, FLAG_IMAGE);
  }
}

function uint32Be(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
