// The HPACK encoder: static table, literals without Huffman, and a dynamic table of few entries that are never evicted.
//
// What repeats on every call (content type, status 0, a method's path) is inserted once per connection and is one byte
// from then on: cheaper to send, and cheaper to decode for the peer. Entries are only ever added, up to a bound far
// below the table's 4096 bytes, so no eviction has to be tracked. If the peer asks for a smaller table, we stop using it.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import { STATIC_COUNT, STATIC_NAMES, STATIC_VALUES } from "./hpack-tables.ts";

const ENTRY_OVERHEAD_BYTES = 32;
/** All our entries together; the protocol's default table has 4096 bytes. */
const TABLE_SIZE_BYTES_MAX = 3500;

export class HpackEncoder {
  /** Entries inserted so far. A block written earlier is valid as long as this number is the same. */
  insertCount = 0;
  #sizeBytes = 0;
  #isDynamic = true;
  #mustResize = false;
  /** From "name\0value" to the entry's number, counted from 0. */
  readonly #entries = new Map<string, number>();

  /** The peer's SETTINGS_HEADER_TABLE_SIZE. Below the default we give the table up (RFC 7541 4.2). */
  limitTable(sizeBytes: number): void {
    if (sizeBytes >= 4096 || !this.#isDynamic) return;
    this.#isDynamic = false;
    this.#mustResize = true;
    this.#entries.clear();
    this.insertCount++;
  }

  /** To be called before the first field of every block. */
  beginBlock(writer: ByteWriter): void {
    if (!this.#mustResize) return;
    this.#mustResize = false;
    writer.byte(0x20);
  }

  /** A field that will come again: one or two bytes from the second time on. */
  repeated(writer: ByteWriter, name: string, value: string): void {
    const full = staticIndex(name, value);
    if (full > 0) return this.#integer(writer, 0x80, 7, full);
    const key = `${name}\0${value}`;
    const entry = this.#entries.get(key);
    if (entry !== undefined) {
      return this.#integer(writer, 0x80, 7, STATIC_COUNT + this.insertCount - entry);
    }
    const sizeBytes = name.length + value.length + ENTRY_OVERHEAD_BYTES;
    if (!this.#isDynamic || this.#sizeBytes + sizeBytes > TABLE_SIZE_BYTES_MAX)
      return this.once(writer, name, value);
    this.#sizeBytes += sizeBytes;
    this.#entries.set(key, this.insertCount++);
    this.#nameAndValue(writer, { pattern: 0x40, prefixBits: 6 }, name, value);
  }

  /** A field that differs from block to block, or is secret and rare: never indexed in any table. */
  once(writer: ByteWriter, name: string, value: string): void {
    this.#nameAndValue(writer, PATTERN_ONCE, name, value);
  }

  #nameAndValue(writer: ByteWriter, pattern: Pattern, name: string, value: string): void {
    const index = STATIC_NAME_INDEX.get(name) ?? 0;
    this.#integer(writer, pattern.pattern, pattern.prefixBits, index);
    if (index === 0) this.#text(writer, name);
    this.#text(writer, value);
  }

  /** A text of one character per byte (RFC 7541 5.2). */
  #text(writer: ByteWriter, text: string): void {
    this.#integer(writer, 0, 7, text.length);
    writer.ensure(text.length);
    for (let i = 0; i < text.length; i++) {
      assert(text.charCodeAt(i) < 256, "header values are bytes");
      writer.byte(text.charCodeAt(i));
    }
  }

  #integer(writer: ByteWriter, pattern: number, prefixBits: number, value: number): void {
    const mask = (1 << prefixBits) - 1;
    if (value < mask) return writer.byte(pattern | value);
    writer.byte(pattern | mask);
    writer.varint(value - mask);
  }
}

interface Pattern {
  readonly pattern: number;
  readonly prefixBits: number;
}

const PATTERN_ONCE: Pattern = { pattern: 0x00, prefixBits: 4 };

const STATIC_NAME_INDEX = new Map<string, number>();
const STATIC_FIELD_INDEX = new Map<string, number>();
for (let index = STATIC_COUNT; index >= 1; index--) {
  const name = STATIC_NAMES[index]!;
  STATIC_NAME_INDEX.set(name, index);
  if (STATIC_VALUES[index] !== "") STATIC_FIELD_INDEX.set(`${name}\0${STATIC_VALUES[index]}`, index);
}

function staticIndex(name: string, value: string): number {
  return STATIC_FIELD_INDEX.get(`${name}\0${value}`) ?? 0;
}
