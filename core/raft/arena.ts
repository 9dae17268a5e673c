// The memory that holds entries: chunks that are only appended to, and freed from the front.
//
// An entry is stored exactly as it travels to peers, so that a run of entries is encoded once, here, and copied as one
// piece into each message:
//
//   0        4      5     6              12
//   | size   | type |  0  | term (u48)   | payload: `size` bytes |          little endian
//
// Chunks are numbered from 0 for ever; an entry is known by (chunk number, offset of its payload).

import { assert } from "../base/assert.ts";

export const ENTRY_HEADER_BYTES = 12;
const TERM_MAX = 2 ** 48 - 1;

export class EntryArena {
  readonly #chunkSizeBytes: number;
  /** Chunks #firstChunk, #firstChunk + 1, …; the last one is being written. */
  readonly #chunks: Uint8Array[] = [];
  #firstChunk = 0;
  /** Where the next entry's header goes in the last chunk. */
  #position = 0;
  /** A freed chunk of the usual size, kept so that steady traffic allocates nothing. */
  #spare: Uint8Array | undefined = undefined;

  constructor(chunkSizeBytes: number) {
    assert(chunkSizeBytes >= ENTRY_HEADER_BYTES, "a chunk holds at least a header");
    this.#chunkSizeBytes = chunkSizeBytes;
  }

  /** Number of the chunk that is being written. */
  get lastChunk(): number {
    return this.#firstChunk + this.#chunks.length - 1;
  }

  /** Where the next entry's header goes: one past the last byte written. */
  get position(): number {
    return this.#position;
  }

  get chunkCount(): number {
    return this.#chunks.length;
  }

  chunk(number: number): Uint8Array {
    const chunk = this.#chunks[number - this.#firstChunk];
    assert(chunk !== undefined, "a chunk is used only while it is held");
    return chunk;
  }

  /** Copies an entry in; returns the offset of its payload in `lastChunk`. */
  // Five parameters: an object per proposal would cost more than the copy.
  write(type: number, term: number, bytes: Uint8Array, start: number, end: number): number {
    const size = end - start;
    assert(size >= 0, "an entry's payload ends where it starts or later");
    assert(term <= TERM_MAX, "terms fit into 48 bits");
    const chunk = this.#room(ENTRY_HEADER_BYTES + size);
    let at = this.#position;
    writeEntryHeader(chunk, at, size, type, term);
    at += ENTRY_HEADER_BYTES;
    if (size <= 48) for (let i = 0; i < size; i++) chunk[at + i] = bytes[start + i]!;
    else chunk.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), at);
    this.#position = at + size;
    return at;
  }

  /** Frees every chunk before `number`; the bytes in them may be overwritten from now on. */
  freeBefore(number: number): void {
    while (this.#firstChunk < number && this.#chunks.length > 1) {
      const freed = this.#chunks.shift()!;
      this.#firstChunk++;
      if (freed.length === this.#chunkSizeBytes) this.#spare = freed;
    }
  }

  #room(sizeBytes: number): Uint8Array {
    const last = this.#chunks.length - 1;
    if (last >= 0 && this.#position + sizeBytes <= this.#chunks[last]!.length) return this.#chunks[last]!;
    return this.#open(sizeBytes);
  }

  #open(sizeBytes: number): Uint8Array {
    let chunk: Uint8Array;
    if (sizeBytes > this.#chunkSizeBytes) chunk = new Uint8Array(sizeBytes);
    else if (this.#spare !== undefined) {
      chunk = this.#spare;
      this.#spare = undefined;
    } else chunk = new Uint8Array(this.#chunkSizeBytes);
    this.#chunks.push(chunk);
    this.#position = 0;
    return chunk;
  }
}

/** Writes the 12 bytes that stand before an entry's payload. */
// oxlint-disable-next-line max-params -- once per entry, where an object would cost
export function writeEntryHeader(
  bytes: Uint8Array,
  at: number,
  size: number,
  type: number,
  term: number,
): void {
  bytes[at] = size;
  bytes[at + 1] = size >>> 8;
  bytes[at + 2] = size >>> 16;
  bytes[at + 3] = size >>> 24;
  bytes[at + 4] = type;
  bytes[at + 5] = 0;
  bytes[at + 6] = term;
  bytes[at + 7] = term >>> 8;
  bytes[at + 8] = term >>> 16;
  bytes[at + 9] = term >>> 24;
  const high = Math.floor(term / 4294967296);
  bytes[at + 10] = high;
  bytes[at + 11] = high >>> 8;
}

/** Payload size of the entry whose header is at `at`. */
export function entrySizeAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
}

export function entryTypeAt(bytes: Uint8Array, at: number): number {
  return bytes[at + 4]!;
}

export function entryTermAt(bytes: Uint8Array, at: number): number {
  const low =
    (bytes[at + 6]! | (bytes[at + 7]! << 8) | (bytes[at + 8]! << 16) | (bytes[at + 9]! << 24)) >>> 0;
  return (bytes[at + 10]! | (bytes[at + 11]! << 8)) * 4294967296 + low;
}
