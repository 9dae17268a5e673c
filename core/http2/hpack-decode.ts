// The HPACK decoder, complete (RFC 7541): dynamic table, Huffman, size updates.
//
// Every fault is a COMPRESSION_ERROR of the whole connection, because the table would be out of step afterwards.
// A list that exceeds the limit is decoded to its end, for the table's sake, but its further fields are dropped.
// Integers take at most five octets, so that zero-padded ones cost nothing (CVE-2023-33953).

import { COMPRESSION_ERROR, ConnectionError } from "./frames.ts";
import { HeaderBlock } from "./header-block.ts";
import {
  HUFFMAN_ACCEPTS,
  HUFFMAN_EMITS,
  HUFFMAN_FAILS,
  HUFFMAN_STEPS,
  KIND_INVALID,
  kindOfName,
  STATIC_COUNT,
  STATIC_KINDS,
  STATIC_NAMES,
  STATIC_VALUES,
} from "./hpack-tables.ts";

/** Added to each entry's bytes (RFC 7541 4.1). */
const ENTRY_OVERHEAD_BYTES = 32;

/** What we advertise, and the protocol's default (RFC 9113 6.5.2). */
export const HEADER_TABLE_SIZE_BYTES = 4096;
const RING_MASK = HEADER_TABLE_SIZE_BYTES / ENTRY_OVERHEAD_BYTES - 1;

/** One text per byte, so that texts are built without a call. */
const CHARACTERS: readonly string[] = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code));

/** What a character may be: bit 0 in names (RFC 9113 8.2.1: no upper case, no controls), bit 1 in values. */
const IN_NAME = 1;
const IN_VALUE = 2;
const CHARACTER_USE = Uint8Array.from({ length: 256 }, (_, code) => {
  const inName = code > 0x20 && code < 0x7f && !(code >= 0x41 && code <= 0x5a);
  const inValue = code !== 0 && code !== 0x0a && code !== 0x0d;
  return (inName ? IN_NAME : 0) | (inValue ? IN_VALUE : 0);
});

export class HpackDecoder {
  /** Changes whenever the dynamic table does: a block's meaning is a function of its bytes and this number. */
  version = 0;
  readonly #listSizeBytesMax: number;

  // The dynamic table, a ring: the newest entry is at #head - 1.
  readonly #names: string[] = new Array<string>(RING_MASK + 1).fill("");
  readonly #values: string[] = new Array<string>(RING_MASK + 1).fill("");
  readonly #kinds = new Int8Array(RING_MASK + 1);
  readonly #sizes = new Int32Array(RING_MASK + 1);
  #head = 0;
  #count = 0;
  #sizeBytes = 0;
  #sizeBytesMax = HEADER_TABLE_SIZE_BYTES;

  // Of the decoding that is under way.
  #bytes: Uint8Array = new Uint8Array(0);
  #position = 0;
  #end = 0;
  #block = new HeaderBlock();
  #listSizeBytes = 0;
  #textValid = true;
  /** Bytes of the text read last, for the table's accounting. */
  #textSizeBytes = 0;

  constructor(listSizeBytesMax: number) {
    this.#listSizeBytesMax = listSizeBytesMax;
  }

  /** Decodes a complete block. Throws `ConnectionError`; keeps nothing of `bytes`. */
  decode(bytes: Uint8Array, start: number, end: number): HeaderBlock {
    this.#bytes = bytes;
    this.#position = start;
    this.#end = end;
    this.#block = new HeaderBlock();
    this.#listSizeBytes = 0;
    this.#sizeUpdates();
    while (this.#position < end) this.#field();
    return this.#block;
  }

  // RFC 7541 4.2: at most two, and only before the first field.
  #sizeUpdates(): void {
    for (let count = 0; this.#position < this.#end; count++) {
      if ((this.#bytes[this.#position]! & 0xe0) !== 0x20) return;
      const size = this.#integer(5);
      if (count === 2)
        throw new ConnectionError(COMPRESSION_ERROR, "more than two table size updates in a block");
      if (size > HEADER_TABLE_SIZE_BYTES)
        throw new ConnectionError(COMPRESSION_ERROR, "table size above the limit");
      this.#sizeBytesMax = size;
      this.#evict(0);
      this.version++;
    }
  }

  #field(): void {
    const first = this.#bytes[this.#position]!;
    if (first >= 0x80) return this.#indexed(this.#integer(7));
    if (first >= 0x40) return this.#literal(this.#integer(6), true);
    if (first >= 0x20) throw new ConnectionError(COMPRESSION_ERROR, "table size update after a field");
    this.#literal(this.#integer(4), false);
  }

  #indexed(index: number): void {
    if (index > STATIC_COUNT) {
      const slot = this.#slot(index);
      this.#add(this.#kinds[slot]!, this.#names[slot]!, this.#values[slot]!, this.#sizes[slot]!);
      return;
    }
    if (index === 0) throw new ConnectionError(COMPRESSION_ERROR, "index 0");
    const name = STATIC_NAMES[index]!;
    const value = STATIC_VALUES[index]!;
    this.#add(STATIC_KINDS[index]!, name, value, name.length + value.length + ENTRY_OVERHEAD_BYTES);
  }

  #literal(index: number, isKept: boolean): void {
    let name: string;
    let kind: number;
    let sizeBytes: number;
    if (index === 0) {
      name = this.#text(IN_NAME);
      kind = this.#textValid && name.length > 0 ? kindOfName(name) : KIND_INVALID;
      sizeBytes = this.#textSizeBytes;
    } else if (index <= STATIC_COUNT) {
      name = STATIC_NAMES[index]!;
      kind = STATIC_KINDS[index]!;
      sizeBytes = name.length;
    } else {
      const slot = this.#slot(index);
      name = this.#names[slot]!;
      kind = this.#kinds[slot]!;
      sizeBytes = name.length;
    }
    const value = this.#text(IN_VALUE);
    if (!this.#textValid) kind = KIND_INVALID;
    sizeBytes += this.#textSizeBytes + ENTRY_OVERHEAD_BYTES;
    if (isKept) this.#insert(kind, name, value, sizeBytes);
    this.#add(kind, name, value, sizeBytes);
  }

  #add(kind: number, name: string, value: string, sizeBytes: number): void {
    this.#listSizeBytes += sizeBytes;
    if (this.#listSizeBytes > this.#listSizeBytesMax) this.#block.tooLarge = true;
    else this.#block.add(kind, name, value);
  }

  #slot(index: number): number {
    const distance = index - STATIC_COUNT;
    if (distance > this.#count) throw new ConnectionError(COMPRESSION_ERROR, "index beyond the table");
    return (this.#head - distance) & RING_MASK;
  }

  // RFC 7541 4.4: what is larger than the table empties it, and that is no error.
  #insert(kind: number, name: string, value: string, sizeBytes: number): void {
    this.version++;
    this.#evict(sizeBytes);
    if (sizeBytes > this.#sizeBytesMax) return;
    const slot = this.#head & RING_MASK;
    this.#names[slot] = name;
    this.#values[slot] = value;
    this.#kinds[slot] = kind;
    this.#sizes[slot] = sizeBytes;
    this.#head++;
    this.#count++;
    this.#sizeBytes += sizeBytes;
  }

  #evict(roomBytes: number): void {
    while (this.#count > 0 && this.#sizeBytes + roomBytes > this.#sizeBytesMax) {
      const slot = (this.#head - this.#count) & RING_MASK;
      this.#sizeBytes -= this.#sizes[slot]!;
      this.#names[slot] = "";
      this.#values[slot] = "";
      this.#count--;
    }
  }

  /** An integer with a prefix of so many bits (RFC 7541 5.1). */
  #integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.#bytes[this.#position++]! & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#position >= this.#end)
        throw new ConnectionError(COMPRESSION_ERROR, "the block ends in an integer");
      const byte = this.#bytes[this.#position++]!;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new ConnectionError(COMPRESSION_ERROR, "an integer of more than five octets");
  }

  /** A string literal (RFC 7541 5.2); `use` says which characters are valid. */
  #text(use: number): string {
    if (this.#position >= this.#end)
      throw new ConnectionError(COMPRESSION_ERROR, "the block ends before a text");
    const isHuffman = this.#bytes[this.#position]! >= 0x80;
    const length = this.#integer(7);
    const end = this.#position + length;
    if (end > this.#end) throw new ConnectionError(COMPRESSION_ERROR, "a text longer than its block");
    const text = isHuffman ? this.#huffmanText(end, use) : this.#plainText(end, use);
    this.#position = end;
    if (use === IN_VALUE && text.length > 0 && this.#textValid) this.#textValid = !hasOuterSpace(text);
    return text;
  }

  #plainText(end: number, use: number): string {
    const bytes = this.#bytes;
    let text = "";
    let valid = use;
    for (let position = this.#position; position < end; position++) {
      const byte = bytes[position]!;
      valid &= CHARACTER_USE[byte]!;
      // A colon may only open a name.
      if (byte === 0x3a && use === IN_NAME && position > this.#position) valid = 0;
      text += CHARACTERS[byte]!;
    }
    this.#textValid = valid !== 0;
    this.#textSizeBytes = end - this.#position;
    return text;
  }

  #huffmanText(end: number, use: number): string {
    const bytes = this.#bytes;
    let text = "";
    let valid = use;
    let state = 0;
    for (let position = this.#position; position < end; position++) {
      const byte = bytes[position]!;
      for (let shift = 4; shift >= 0; shift -= 4) {
        const step = HUFFMAN_STEPS[(state << 4) | ((byte >> shift) & 15)]!;
        if ((step & (HUFFMAN_EMITS | HUFFMAN_FAILS)) !== 0) {
          if ((step & HUFFMAN_FAILS) !== 0)
            throw new ConnectionError(COMPRESSION_ERROR, "end of string in a text");
          const symbol = (step >> 9) & 0xff;
          valid &= CHARACTER_USE[symbol]!;
          if (symbol === 0x3a && use === IN_NAME && text.length > 0) valid = 0;
          text += CHARACTERS[symbol]!;
        }
        state = step & 0x1ff;
      }
    }
    if (HUFFMAN_ACCEPTS[state] === 0)
      throw new ConnectionError(COMPRESSION_ERROR, "bad padding of a Huffman text");
    this.#textValid = valid !== 0;
    this.#textSizeBytes = text.length;
    return text;
  }
}

// RFC 9113 8.2.1: a value neither starts nor ends with a space or tab.
function hasOuterSpace(text: string): boolean {
  const first = text.charCodeAt(0);
  const last = text.charCodeAt(text.length - 1);
  return first === 0x20 || first === 0x09 || last === 0x20 || last === 0x09;
}
