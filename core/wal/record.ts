// Records and their frames, byte for byte etcd's (facts: the WAL of etcd 3.5 and 3.6).
//
//   frame   | length word, 8 bytes LE | walpb.Record | zero padding to a multiple of 8 |
//           length word: low 56 bits = record length; top byte = 0x80 + padding count when padded, else 0
//   Record  | 08 type | 10 crc | 1a length data |        (crc = CRC-32C over the data of all records so far)
//
// A frame starts at a multiple of 8, so that its length word never tears within a sector. A zero length word is the end
// of what was written. The CRC covers the data only, so everything else is read strictly: the fields in this order, the
// padding zero; a flipped bit anywhere in a frame makes it unreadable or breaks the chain.

import { asSmall } from "../base/small-integer.ts";
import { crc32c } from "../base/crc32c.ts";

export const RECORD_METADATA = 1;
export const RECORD_ENTRY = 2;
export const RECORD_STATE = 3;
export const RECORD_CRC = 4;
export const RECORD_SNAPSHOT = 5;

export const FRAME_HEAD_BYTES = 8;

/** Bytes that a frame takes beyond its data, at most: length word, type, crc, data length, padding. */
export const FRAME_OVERHEAD_BYTES_MAX = FRAME_HEAD_BYTES + 2 + 6 + 9 + 7;

const TWO_32 = 4294967296;

/** A varint read with its end; `end` is -1 when there was none. One per reader, reused. */
export class Varint {
  value = 0;
  /** The upper half when the value was read by `readVarint64`. */
  hi = 0;
  lo = 0;
  end = 0;
}

/** The number of these two halves. */
function joined(hi: number, lo: number): number {
  return hi === 0 ? asSmall(lo) : hi * TWO_32 + lo;
}

/** Reads a varint of at most 2^53; shorter encodings only (a padded varint is not what we or etcd wrote). */
export function readVarint(bytes: Uint8Array, position: number, limit: number, out: Varint): boolean {
  if (!readVarint64(bytes, position, limit, out)) return false;
  if (out.hi >= 0x200000) return false;
  out.value = joined(out.hi, out.lo);
  return true;
}

export function readVarint64(bytes: Uint8Array, position: number, limit: number, out: Varint): boolean {
  let lo = 0;
  let hi = 0;
  for (let shift = 0; shift < 70; shift += 7) {
    if (position >= limit) return false;
    const byte = bytes[position++]!;
    const bits = byte & 0x7f;
    if (shift < 28) lo |= bits << shift;
    else if (shift === 28) {
      lo |= (bits & 0xf) << 28;
      hi = bits >>> 4;
    } else if (shift === 63) {
      if (bits > 1) return false;
      hi |= bits << 31;
    } else hi |= bits << (shift - 32);
    if (byte < 0x80) {
      if (byte === 0 && shift > 0) return false;
      out.lo = lo >>> 0;
      out.hi = hi >>> 0;
      out.end = position;
      return true;
    }
  }
  return false;
}

export type FrameKind = "record" | "end" | "bad";

/** One frame at a time, over a buffer that holds a segment. Reused. */
export class RecordReader {
  type = 0;
  crc = 0;
  dataStart = 0;
  dataEnd = 0;
  /** Where the next frame starts. */
  next = 0;
  readonly #varint = new Varint();

  /** Reads the frame at `position`; "end" at a zero length word or the buffer's end, "bad" when it is none. */
  read(bytes: Uint8Array, position: number, limit: number): FrameKind {
    if (position === limit) return "end";
    if (position + FRAME_HEAD_BYTES > limit) return "bad";
    const low = readUint32(bytes, position);
    const high = readUint32(bytes, position + 4);
    if (low === 0 && high === 0) return "end";
    const mark = high >>> 24;
    const padCount = mark & 7;
    if (mark !== 0 && mark !== (0x80 | padCount)) return "bad";
    if (mark === 0x80) return "bad";
    const length = joined(high & 0xffffff, low);
    const recordEnd = position + FRAME_HEAD_BYTES + length;
    const next = recordEnd + padCount;
    if (next > limit || next % 8 !== 0) return "bad";
    for (let i = recordEnd; i < next; i++) if (bytes[i] !== 0) return "bad";
    this.next = next;
    return this.#readRecord(bytes, position + FRAME_HEAD_BYTES, recordEnd) ? "record" : "bad";
  }

  /** The chain's value after this record, given the one before; a crc record starts it anew. */
  chain(bytes: Uint8Array, before: number): number {
    return crc32c(bytes, this.dataStart, this.dataEnd, before);
  }

  #readRecord(bytes: Uint8Array, position: number, end: number): boolean {
    const varint = this.#varint;
    if (end - position < 4 || bytes[position] !== 0x08) return false;
    this.type = bytes[position + 1]!;
    if (this.type < RECORD_METADATA || this.type > RECORD_SNAPSHOT) return false;
    if (bytes[position + 2] !== 0x10) return false;
    if (!readVarint64(bytes, position + 3, end, varint) || varint.hi !== 0) return false;
    this.crc = varint.lo;
    if (varint.end === end) {
      this.dataStart = end;
      this.dataEnd = end;
      // etcd writes no data in crc records only; an absent data field elsewhere is not what was written.
      return this.type === RECORD_CRC;
    }
    if (bytes[varint.end] !== 0x1a || this.type === RECORD_CRC) return false;
    if (!readVarint(bytes, varint.end + 1, end, varint)) return false;
    this.dataStart = varint.end;
    this.dataEnd = end;
    return varint.end + varint.value === end;
  }
}

/** Whether a record may begin here, whatever its length word says. */
export function beginsRecord(bytes: Uint8Array, position: number, limit: number): boolean {
  return position + 2 < limit && bytes[position] === 0x08 && bytes[position + 2] === 0x10;
}

export function readUint32(bytes: Uint8Array, position: number): number {
  return (
    (bytes[position]! |
      (bytes[position + 1]! << 8) |
      (bytes[position + 2]! << 16) |
      (bytes[position + 3]! << 24)) >>>
    0
  );
}

export function writeUint32(bytes: Uint8Array, position: number, value: number): void {
  bytes[position] = value;
  bytes[position + 1] = value >>> 8;
  bytes[position + 2] = value >>> 16;
  bytes[position + 3] = value >>> 24;
}

/** Eight bytes LE of a non-negative safe integer. */
export function writeUint53(bytes: Uint8Array, position: number, value: number): void {
  writeUint32(bytes, position, value >>> 0);
  writeUint32(bytes, position + 4, Math.floor(value / TWO_32));
}

export function readUint53(bytes: Uint8Array, position: number): number {
  return joined(readUint32(bytes, position + 4), readUint32(bytes, position));
}

/** Writes a varint and returns the position after it. */
export function writeVarint(bytes: Uint8Array, position: number, value: number): number {
  while (value >= 0x80) {
    if (value < 0x80000000) {
      bytes[position++] = (value & 0x7f) | 0x80;
      value >>>= 7;
    } else {
      bytes[position++] = (value % 128) | 0x80;
      value = Math.floor(value / 128);
    }
  }
  bytes[position++] = value;
  return position;
}

export function writeVarint64(bytes: Uint8Array, position: number, hi: number, lo: number): number {
  hi >>>= 0;
  lo >>>= 0;
  while (hi !== 0 || lo >= 0x80) {
    bytes[position++] = (lo & 0x7f) | 0x80;
    lo = ((lo >>> 7) | (hi << 25)) >>> 0;
    hi >>>= 7;
  }
  bytes[position++] = lo;
  return position;
}

/**
 * Writes a frame up to where its data starts and returns that position; `endFrame` adds the padding. The crc is the
 * chain's value with the data included, which is why it is computed before anything is written.
 */
// oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
export function beginFrame(
  bytes: Uint8Array,
  position: number,
  type: number,
  crc: number,
  dataBytes: number,
): number {
  let at = position + FRAME_HEAD_BYTES;
  bytes[at++] = 0x08;
  bytes[at++] = type;
  bytes[at++] = 0x10;
  at = writeVarint(bytes, at, crc);
  if (type !== RECORD_CRC) {
    bytes[at++] = 0x1a;
    at = writeVarint(bytes, at, dataBytes);
  }
  const length = at + dataBytes - position - FRAME_HEAD_BYTES;
  const padCount = -length & 7;
  writeUint53(bytes, position, length);
  if (padCount !== 0) bytes[position + 7] = 0x80 | padCount;
  return at;
}

/** Pads the frame whose data ends at `position` and returns where the next one starts. */
export function endFrame(bytes: Uint8Array, position: number): number {
  while ((position & 7) !== 0) bytes[position++] = 0;
  return position;
}
