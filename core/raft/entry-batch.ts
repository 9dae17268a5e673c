// A run of entries outside the log, in the form in which they travel (drawn in arena.ts): what a message carried, what
// storage read for a peer that lags behind the memory tail, what a follower forwards.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { ENTRY_HEADER_BYTES, entrySizeAt, entryTermAt, entryTypeAt, writeEntryHeader } from "./arena.ts";

const NO_BYTES = new Uint8Array(0);

export class EntryBatch {
  /** Entries lie in bytes[start, end), one behind the other. */
  bytes: Uint8Array = NO_BYTES;
  start = 0;
  end = 0;
  count = 0;
  #writer: ByteWriter | undefined = undefined;

  /** Points at entries that lie somewhere else, and must stay there while this is used. */
  set(bytes: Uint8Array, start: number, end: number, count: number): void {
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.count = count;
  }

  clear(): void {
    this.set(NO_BYTES, 0, 0, 0);
    this.#writer?.reset();
  }

  get sizeBytes(): number {
    return this.end - this.start;
  }

  /** Copies an entry to the end. */
  // Five parameters, as everywhere on the way of an entry: no object per entry.
  add(type: number, term: number, bytes: Uint8Array, start: number, end: number): void {
    assert(this.#writer !== undefined || this.count === 0, "a batch that points elsewhere is not added to");
    const writer = (this.#writer ??= new ByteWriter(4096));
    const size = end - start;
    writer.ensure(ENTRY_HEADER_BYTES + size);
    writeEntryHeader(writer.bytes, writer.position, size, type, term);
    writer.position += ENTRY_HEADER_BYTES;
    writer.raw(bytes, start, end);
    this.bytes = writer.bytes;
    this.end = writer.position;
    this.count++;
  }
}

/** Walks over a batch: `while (cursor.next())` look at the fields. */
export class EntryCursor {
  bytes: Uint8Array = NO_BYTES;
  type = 0;
  term = 0;
  /** The payload is bytes[start, end). */
  start = 0;
  end = 0;
  #at = 0;
  #left = 0;

  reset(batch: EntryBatch): void {
    this.bytes = batch.bytes;
    this.#at = batch.start;
    this.#left = batch.count;
  }

  next(): boolean {
    if (this.#left === 0) return false;
    this.#left--;
    const at = this.#at;
    this.type = entryTypeAt(this.bytes, at);
    this.term = entryTermAt(this.bytes, at);
    this.start = at + ENTRY_HEADER_BYTES;
    this.end = this.start + entrySizeAt(this.bytes, at);
    assert(this.end <= this.bytes.length, "the decoder checked the sizes");
    this.#at = this.end;
    return true;
  }
}
