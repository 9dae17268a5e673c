// A growable output buffer. Everything that leaves the program is written once, into one of these, in place:
// a reply goes straight into its connection's buffer, an entry straight into the log's.
//
// `bytes` changes identity when the buffer grows, so nobody may keep it over a call that writes.

import { assert } from "./assert.ts";

const TWO_32 = 4294967296;

export class ByteWriter {
  bytes: Uint8Array;
  /** Where the next byte goes; everything before it is written. */
  position = 0;

  constructor(sizeBytes = 1024) {
    assert(sizeBytes > 0, "a writer starts with some room");
    this.bytes = new Uint8Array(sizeBytes);
  }

  /** Makes room for `count` further bytes. */
  ensure(count: number): void {
    if (this.position + count > this.bytes.length) this.#grow(count);
  }

  byte(value: number): void {
    if (this.position === this.bytes.length) this.#grow(1);
    this.bytes[this.position++] = value;
  }

  /** An unsigned varint of a non-negative safe integer. */
  varint(value: number): void {
    assert(value >= 0, "varint() takes non-negative numbers; signed ones go through int64()");
    this.ensure(10);
    const bytes = this.bytes;
    let position = this.position;
    while (value >= 0x80) {
      // Below 2^31 shifts are exact and quick; above it only division is right.
      if (value < 0x80000000) {
        bytes[position++] = (value & 0x7f) | 0x80;
        value >>>= 7;
      } else {
        bytes[position++] = (value % 128) | 0x80;
        value = Math.floor(value / 128);
      }
    }
    bytes[position++] = value;
    this.position = position;
  }

  /** A varint of 64 bits given as unsigned halves. */
  varint64(hi: number, lo: number): void {
    this.ensure(10);
    const bytes = this.bytes;
    let position = this.position;
    // Groups of four times seven bits, each a small integer of the engine.
    let rest = lo & 0xfffffff;
    const middle = ((lo >>> 28) | (hi << 4)) & 0xfffffff;
    const high = hi >>> 24;
    if ((middle | high) !== 0) {
      position = putGroup(bytes, position, rest);
      rest = middle;
    }
    if (high !== 0) {
      position = putGroup(bytes, position, rest);
      rest = high;
    }
    while (rest >= 0x80) {
      bytes[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[position++] = rest;
    this.position = position;
  }

  /** A varint of a signed safe integer in two's complement, as protobuf's int64. */
  int64(value: number): void {
    if (value >= 0) this.varint(value);
    else this.varint64(Math.floor(value / TWO_32), value - Math.floor(value / TWO_32) * TWO_32);
  }

  /** Four bytes, most significant first. */
  uint32Be(value: number): void {
    this.ensure(4);
    const bytes = this.bytes;
    const position = this.position;
    bytes[position] = value >>> 24;
    bytes[position + 1] = value >>> 16;
    bytes[position + 2] = value >>> 8;
    bytes[position + 3] = value;
    this.position = position + 4;
  }

  /** Copies `source[start, end)`. */
  raw(source: Uint8Array, start: number, end: number): void {
    const count = end - start;
    assert(count >= 0, "a range ends where it starts or later");
    this.ensure(count);
    const bytes = this.bytes;
    const position = this.position;
    // Below this size a loop beats the call and the temporary view (measured: level at about 48 bytes).
    if (count <= 48) for (let i = 0; i < count; i++) bytes[position + i] = source[start + i]!;
    else bytes.set(source.subarray(start, end), position);
    this.position = position + count;
  }

  /** A text's UTF-8 bytes, without a length. */
  utf8(text: string): void {
    this.ensure(text.length * 3);
    this.position = writeUtf8(this.bytes, this.position, text);
  }

  /** What was written, as a view that is valid until the next write. */
  written(): Uint8Array {
    return this.bytes.subarray(0, this.position);
  }

  /** What was written, as a copy of its own. */
  copy(): Uint8Array {
    return this.bytes.slice(0, this.position);
  }

  reset(): void {
    this.position = 0;
  }

  #grow(count: number): void {
    const grown = new Uint8Array(Math.max(this.bytes.length * 2, this.position + count));
    grown.set(this.bytes.subarray(0, this.position));
    this.bytes = grown;
  }
}

/** Bytes that a varint of this non-negative safe integer takes. */
export function varintSizeBytes(value: number): number {
  let size = 1;
  while (value >= 0x80) {
    value = value < 0x80000000 ? value >>> 7 : Math.floor(value / 128);
    size++;
  }
  return size;
}

/** Bytes that a varint of these unsigned halves takes. */
export function varint64SizeBytes(hi: number, lo: number): number {
  if (hi >>> 0 === 0) return varintSizeBytes(lo >>> 0);
  return Math.ceil((64 - Math.clz32(hi)) / 7);
}

/** Four bytes of a varint that goes on behind them. */
function putGroup(bytes: Uint8Array, position: number, bits: number): number {
  bytes[position] = (bits & 0x7f) | 0x80;
  bytes[position + 1] = ((bits >>> 7) & 0x7f) | 0x80;
  bytes[position + 2] = ((bits >>> 14) & 0x7f) | 0x80;
  bytes[position + 3] = (bits >>> 21) | 0x80;
  return position + 4;
}

/** Writes `text` as UTF-8 at `position` and returns the position after it; unpaired surrogates become U+FFFD. */
export function writeUtf8(bytes: Uint8Array, position: number, text: string): number {
  for (let i = 0; i < text.length; i++) {
    let code = text.charCodeAt(i);
    if (code < 0x80) {
      bytes[position++] = code;
      continue;
    }
    if (code >= 0xd800 && code < 0xe000) {
      const next = i + 1 < text.length ? text.charCodeAt(i + 1) : 0;
      if (code < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (next - 0xdc00);
        i++;
      } else code = 0xfffd;
    }
    if (code < 0x800) bytes[position++] = 0xc0 | (code >> 6);
    else {
      if (code < 0x10000) bytes[position++] = 0xe0 | (code >> 12);
      else {
        bytes[position++] = 0xf0 | (code >> 18);
        bytes[position++] = 0x80 | ((code >> 12) & 0x3f);
      }
      bytes[position++] = 0x80 | ((code >> 6) & 0x3f);
    }
    bytes[position++] = 0x80 | (code & 0x3f);
  }
  return position;
}
