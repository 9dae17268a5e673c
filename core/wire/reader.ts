// Protobuf's wire format, read in place: no object per field, no copy. Specification:
// https://protobuf.dev/programming-guides/encoding (called "encoding" below).
//
//   message := (tag value)*     tag := varint(field_number << 3 | wire_type)
//   wire type 0 varint · 1 eight bytes · 2 varint length, then bytes · 3/4 start and end of a group · 5 four bytes
//
// Use: reset(), then next() until it returns 0; after each next() exactly one of the value methods or skip().
// Whatever the bytes are, reads stay within [start, end) and end in a WireError at worst.

import { assert } from "../base/assert.ts";
import { int64Saturated } from "../base/ids.ts";

/** The peer's bytes are not what the schema says. Its radius is the message: the request fails, nothing else. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly code = "WIRE_MALFORMED";
}

export const WIRE_VARINT = 0;
export const WIRE_FIXED64 = 1;
export const WIRE_BYTES = 2;
export const WIRE_GROUP_START = 3;
export const WIRE_GROUP_END = 4;
export const WIRE_FIXED32 = 5;

/** Unknown groups inside each other that are skipped; nobody has sent any for a decade, so little is enough. */
const GROUP_DEPTH_MAX = 32;

/** No message is as long. */
const LENGTH_MAX = 2 ** 31 - 1;

const NO_BYTES = new Uint8Array(0);

export class ProtoReader {
  bytes: Uint8Array = NO_BYTES;
  /** The next byte to read. */
  position = 0;
  end = 0;
  /** Of the field that next() returned. */
  wireType = 0;
  /** The value of the last chunk(): `bytes[chunkStart, chunkEnd)`. */
  chunkStart = 0;
  chunkEnd = 0;
  /** Unsigned halves of the last varint64(). */
  hi = 0;
  lo = 0;

  reset(bytes: Uint8Array, start: number, end: number): void {
    assert(start <= end && end <= bytes.length, "a message lies within its bytes");
    this.bytes = bytes;
    this.position = start;
    this.end = end;
  }

  /** The number of the next field, 0 at the end. */
  next(): number {
    const position = this.position;
    if (position === this.end) return 0;
    const tag = this.bytes[position]!;
    if (tag >= 0x80 || tag < 8) return this.#nextSlow();
    this.position = position + 1;
    this.wireType = tag & 7;
    return tag >>> 3;
  }

  /** A varint as an int64, saturated at +-(2^53 - 1). */
  int64(): number {
    this.#expect(WIRE_VARINT);
    const position = this.position;
    if (position < this.end) {
      const byte = this.bytes[position]!;
      if (byte < 0x80) {
        this.position = position + 1;
        return byte;
      }
    }
    this.#varint();
    return this.hi === 0 ? this.lo : int64Saturated(this.hi, this.lo);
  }

  /** A varint as a uint64, saturated at 2^53 - 1. */
  uint64(): number {
    this.varint64();
    if (this.hi >= 0x200000) return Number.MAX_SAFE_INTEGER;
    return this.hi * 4294967296 + this.lo;
  }

  /** A varint as a uint32: its lower 32 bits, as every protobuf library has it. */
  uint32(): number {
    this.varint64();
    return this.lo;
  }

  /** A varint as an int32 or an enumeration. */
  int32(): number {
    this.varint64();
    return this.lo | 0;
  }

  bool(): boolean {
    this.varint64();
    return (this.hi | this.lo) !== 0;
  }

  /** A varint into `hi` and `lo`. */
  varint64(): void {
    this.#expect(WIRE_VARINT);
    this.#varint();
  }

  /** Bytes, a text or a message: sets chunkStart and chunkEnd. */
  chunk(): void {
    this.#expect(WIRE_BYTES);
    let position = this.position;
    let length: number;
    if (position < this.end && this.bytes[position]! < 0x80) {
      length = this.bytes[position]!;
      position++;
    } else {
      this.#varint();
      if (this.hi !== 0) fail("a length of 2^32 or more");
      // `lo` is a double to V8, and a position must not become one (core/base/small-integer.ts).
      length = Math.min(this.lo, LENGTH_MAX) | 0;
      position = this.position;
    }
    if (length > this.end - position) fail("a length beyond the end of the message");
    this.chunkStart = position;
    this.chunkEnd = this.position = position + length;
  }

  /** Passes over the value of a field that nobody asked for. */
  skip(): void {
    this.#skip(0);
  }

  /** A bare varint without tag or wire type (packed repeated fields), into `hi` and `lo`. */
  bareVarint64(): void {
    this.#varint();
  }

  #expect(wireType: number): void {
    if (this.wireType !== wireType) fail("a known field with another wire type");
  }

  #nextSlow(): number {
    this.#varint();
    if (this.hi !== 0) fail("a field number of more than 29 bits");
    this.wireType = this.lo & 7;
    const number = this.lo >>> 3;
    if (number === 0) fail("a field of number 0");
    return number;
  }

  /** At most ten bytes, of which the last may only be 0 or 1. */
  #varint(): void {
    // The end is checked once, afterwards: what lies behind it is looked at and thrown away, and behind the array there
    // is `undefined`, which ends a varint. (A put with an id of nine bytes: 68 ns with a check per byte, 60 without.)
    const bytes = this.bytes;
    let position = this.position;
    let byte = bytes[position++]!;
    let lo = byte & 0x7f;
    let hi = 0;
    if (byte >= 0x80) {
      byte = bytes[position++]!;
      lo |= (byte & 0x7f) << 7;
      if (byte >= 0x80) {
        byte = bytes[position++]!;
        lo |= (byte & 0x7f) << 14;
        if (byte >= 0x80) {
          byte = bytes[position++]!;
          lo |= (byte & 0x7f) << 21;
          if (byte >= 0x80) {
            byte = bytes[position++]!;
            lo |= (byte & 0x0f) << 28;
            hi = (byte & 0x7f) >> 4;
            for (let shift = 3; byte >= 0x80 && shift < 32; shift += 7) {
              byte = bytes[position++]!;
              hi |= (byte & 0x7f) << shift;
              if (shift === 31 && byte > 1) fail("a varint of more than 64 bits");
            }
          }
        }
      }
    }
    if (position > this.end) fail("a varint that is cut off");
    this.position = position;
    this.lo = lo >>> 0;
    this.hi = hi >>> 0;
  }

  #skip(depth: number): void {
    switch (this.wireType) {
      case WIRE_VARINT:
        return this.#varint();
      case WIRE_FIXED64:
        return this.#advance(8);
      case WIRE_FIXED32:
        return this.#advance(4);
      case WIRE_BYTES:
        return this.chunk();
      case WIRE_GROUP_START:
        return this.#skipGroup(depth + 1);
      default:
        fail("a wire type that does not exist here");
    }
  }

  #advance(count: number): void {
    if (count > this.end - this.position) fail("a fixed value that is cut off");
    this.position += count;
  }

  #skipGroup(depth: number): void {
    if (depth > GROUP_DEPTH_MAX) fail("groups nested too deeply");
    for (;;) {
      if (this.next() === 0) fail("a group that does not end");
      if (this.wireType === WIRE_GROUP_END) return;
      this.#skip(depth);
    }
  }
}

/** Throws; apart, so that callers stay small. */
export function fail(text: string): never {
  throw new WireError(`Cannot decode message: it holds ${text}`);
}
