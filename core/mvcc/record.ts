// A record: one version of one key, or the tombstone of its deletion. Immutable once written, except for the link to
// the previous version and the mark "dead", which are rebuilt at every start and mean nothing on disk.
//
//   word 0   key id
//   word 1   location of the previous version of the key, 0 none        (memory only)
//   word 2   key size << 8 | flags
//   word 3   value size
//   word 4   mod revision, low 32 bits
//   word 5   mod revision, bits 32-47 | create revision, bits 32-47, << 16
//   HISTORY: create revision low, version low      absent: created by this record, version 1
//   LEASE:   lease high, lease low                 absent: no lease
//   WIDE:    sub revision, version high            absent: both 0
//   key bytes, value bytes, zeros up to a multiple of 8
//
// Words are little-endian. A header is 24 bytes for a fresh key, 32 for a changed one; a lease or a sub revision adds 8.

import { assert } from "../base/assert.ts";

export const FLAG_TOMBSTONE = 1;
export const FLAG_HISTORY = 2;
export const FLAG_LEASE = 4;
export const FLAG_WIDE = 8;
/** No read at or above the compacted revision can need this record. */
export const FLAG_DEAD = 16;
/** A copy of a record whose segment is cold; its link leads to the record itself. In memory only, see cooling.ts. */
export const FLAG_COPY = 32;

export const WORD_KEY_ID = 0;
export const WORD_PREVIOUS = 1;
export const WORD_KEY_SIZE = 2;
export const WORD_VALUE_SIZE = 3;
export const WORD_MOD_LOW = 4;
export const WORD_MOD_HIGH = 5;
export const BASE_WORD_COUNT = 6;

/** Keys share a word with the flags. Requests are refused long before, but an operator may raise that limit. */
export const KEY_SIZE_BYTES_MAX = (1 << 24) - 1;

const TWO_32 = 4294967296;

/** Where a record is, (segment, offset) in one number; 0 is none. See `slabs.ts`. */
export type RecordRef = number;

/** Words of the header, by the flags HISTORY, LEASE and WIDE. */
export function headerWordCount(flags: number): number {
  return (
    BASE_WORD_COUNT + (flags & FLAG_HISTORY) + ((flags & FLAG_LEASE) >>> 1) + ((flags & FLAG_WIDE) >>> 2)
  );
}

/** Bytes of a record, padding included. */
export function recordSizeBytes(flags: number, keySizeBytes: number, valueSizeBytes: number): number {
  // Not by bit masks: a value may have any size.
  return headerWordCount(flags) * 4 + Math.ceil((keySizeBytes + valueSizeBytes) / 8) * 8;
}

/** Bytes of the record whose header starts at word `at`. */
export function recordSizeBytesAt(words: Uint32Array, at: number): number {
  const keyWord = words[at + WORD_KEY_SIZE]!;
  return recordSizeBytes(keyWord & 0xff, keyWord >>> 8, words[at + WORD_VALUE_SIZE]!);
}

export function modRevisionAt(words: Uint32Array, at: number): number {
  return (words[at + WORD_MOD_HIGH]! & 0xffff) * TWO_32 + words[at + WORD_MOD_LOW]!;
}

export function createRevisionAt(words: Uint32Array, at: number): number {
  const flags = words[at + WORD_KEY_SIZE]!;
  const low = flags & FLAG_HISTORY ? words[at + BASE_WORD_COUNT]! : words[at + WORD_MOD_LOW]!;
  if (flags & FLAG_TOMBSTONE) return 0;
  return (words[at + WORD_MOD_HIGH]! >>> 16) * TWO_32 + low;
}

export function versionAt(words: Uint32Array, at: number): number {
  const flags = words[at + WORD_KEY_SIZE]!;
  if (flags & FLAG_TOMBSTONE) return 0;
  if ((flags & FLAG_HISTORY) === 0) return 1;
  const low = words[at + BASE_WORD_COUNT + 1]!;
  return flags & FLAG_WIDE ? words[at + headerWordCount(flags) - 1]! * TWO_32 + low : low;
}

export function subRevisionAt(words: Uint32Array, at: number): number {
  const flags = words[at + WORD_KEY_SIZE]!;
  return flags & FLAG_WIDE ? words[at + headerWordCount(flags) - 2]! : 0;
}

/** The word of the lease's upper half; the lower one follows. Only with FLAG_LEASE. */
export function leaseWordAt(words: Uint32Array, at: number): number {
  return at + BASE_WORD_COUNT + (words[at + WORD_KEY_SIZE]! & FLAG_HISTORY);
}

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);

/** Where a record's bytes are: in its segment, or in what was read of its file. Reused, so valid until the next one. */
export class RecordPlace {
  bytes: Uint8Array = NO_BYTES;
  words: Uint32Array = NO_WORDS;
  /** Word at which its header starts. */
  at = 0;
}

/** A record, read. Reused: `Store.load` fills it. Key and value stay where they are, in the segment. */
export class RecordView {
  /** Where the record is; the other fields hold what was there. */
  ref: RecordRef = 0;
  bytes: Uint8Array = NO_BYTES;
  keyStart = 0;
  keyEnd = 0;
  valueStart = 0;
  valueEnd = 0;
  modRevision = 0;
  subRevision = 0;
  createRevision = 0;
  version = 0;
  leaseHi = 0;
  leaseLo = 0;
  isTombstone = false;
  keyId = 0;

  /** Reads the header at word `at` of the segment with these bytes. */
  read(bytes: Uint8Array, words: Uint32Array, at: number): void {
    const keyWord = words[at + WORD_KEY_SIZE]!;
    const highs = words[at + WORD_MOD_HIGH]!;
    const modLow = words[at + WORD_MOD_LOW]!;
    let createLow = modLow;
    let version = 1;
    let next = at + BASE_WORD_COUNT;
    if (keyWord & FLAG_HISTORY) {
      createLow = words[next]!;
      version = words[next + 1]!;
      next += 2;
    }
    this.leaseHi = 0;
    this.leaseLo = 0;
    if (keyWord & FLAG_LEASE) {
      this.leaseHi = words[next]!;
      this.leaseLo = words[next + 1]!;
      next += 2;
    }
    this.subRevision = 0;
    if (keyWord & FLAG_WIDE) {
      this.subRevision = words[next]!;
      version += words[next + 1]! * TWO_32;
      next += 2;
    }
    this.bytes = bytes;
    this.keyId = words[at]!;
    this.modRevision = (highs & 0xffff) * TWO_32 + modLow;
    this.isTombstone = (keyWord & FLAG_TOMBSTONE) !== 0;
    this.createRevision = this.isTombstone ? 0 : (highs >>> 16) * TWO_32 + createLow;
    this.version = this.isTombstone ? 0 : version;
    this.keyStart = next * 4;
    this.keyEnd = this.valueStart = this.keyStart + (keyWord >>> 8);
    this.valueEnd = this.valueStart + words[at + WORD_VALUE_SIZE]!;
  }
}

/** What a new record says besides its key and value; reused by the store. */
export class RecordFields {
  keyId = 0;
  previous: RecordRef = 0;
  modRevision = 0;
  subRevision = 0;
  createRevision = 0;
  version = 0;
  leaseHi = 0;
  leaseLo = 0;
  isTombstone = false;

  flags(): number {
    let flags = this.isTombstone ? FLAG_TOMBSTONE : 0;
    if (this.version > 1) flags |= FLAG_HISTORY;
    if ((this.leaseHi | this.leaseLo) !== 0) flags |= FLAG_LEASE;
    if (this.subRevision !== 0 || this.version >= TWO_32) flags |= FLAG_WIDE;
    return flags;
  }

  /** Writes the header at word `at` and returns the byte at which the key starts. */
  write(words: Uint32Array, at: number, keySizeBytes: number, valueSizeBytes: number): number {
    assert(keySizeBytes <= KEY_SIZE_BYTES_MAX, "a key's size fits beside the flags");
    const flags = this.flags();
    const create = this.isTombstone ? this.modRevision : this.createRevision;
    words[at] = this.keyId;
    words[at + WORD_PREVIOUS] = this.previous;
    words[at + WORD_KEY_SIZE] = (keySizeBytes << 8) | flags;
    words[at + WORD_VALUE_SIZE] = valueSizeBytes;
    words[at + WORD_MOD_LOW] = this.modRevision % TWO_32;
    words[at + WORD_MOD_HIGH] = Math.floor(this.modRevision / TWO_32) | (Math.floor(create / TWO_32) << 16);
    let next = at + BASE_WORD_COUNT;
    if (flags & FLAG_HISTORY) {
      words[next] = create % TWO_32;
      words[next + 1] = this.version % TWO_32;
      next += 2;
    }
    if (flags & FLAG_LEASE) {
      words[next] = this.leaseHi;
      words[next + 1] = this.leaseLo;
      next += 2;
    }
    if (flags & FLAG_WIDE) {
      words[next] = this.subRevision;
      words[next + 1] = Math.floor(this.version / TWO_32);
      next += 2;
    }
    return next * 4;
  }
}
