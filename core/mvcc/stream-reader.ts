// Reads a manifest's stream of varints. Its checksums hold, so what does not fit was written by a program with a mistake, or
// by somebody who made the checksums fit; it is refused like any other damage.

import { damagedCheckpoint } from "./checkpoint-format.ts";
import type { NumberList } from "./column.ts";

/** Numbers that are decoded at once. */
const PART_COUNT = 4096;

export class StreamReader {
  readonly #bytes: Uint8Array;
  readonly #file: string;
  #position = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#file = file;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 53; scale *= 128) {
      if (this.#position === this.#bytes.length) break;
      const byte = this.#bytes[this.#position++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw damagedCheckpoint(this.#file, 0, "the manifest's contents end too early");
  }

  bytes(size: number): Uint8Array {
    if (size > this.#bytes.length - this.#position)
      throw damagedCheckpoint(this.#file, 0, "the manifest's contents end too early");
    this.#position += size;
    return this.#bytes.slice(this.#position - size, this.#position);
  }

  /** Appends so many numbers, each read as its difference from the one before. */
  differences(count: number, list: NumberList): void {
    const part = new Uint32Array(Math.min(count, PART_COUNT));
    let value = 0;
    for (let left = count; left > 0;) {
      const partCount = Math.min(left, part.length);
      value = this.#decode(part, partCount, value);
      list.pushAll(part, partCount);
      left -= partCount;
    }
  }

  /** What is left, all of it numbers. */
  lastDifferences(): Uint32Array {
    const bytes = this.#bytes;
    let count = 0;
    for (let i = this.#position; i < bytes.length; i++) if (bytes[i]! < 0x80) count++;
    const numbers = new Uint32Array(count);
    this.#decode(numbers, count, 0);
    return numbers;
  }

  /** Decodes `count` numbers that follow `before`; returns the last one. There are millions: no call for a short one. */
  #decode(target: Uint32Array, count: number, before: number): number {
    const bytes = this.#bytes;
    const lastByte = bytes.length - 1;
    let position = this.#position;
    let value = before;
    for (let i = 0; i < count; i++) {
      const byte = position <= lastByte ? bytes[position]! : 0x80;
      if (byte < 0x80) {
        value += (byte >>> 1) ^ -(byte & 1);
        position++;
      } else if (position < lastByte && bytes[position + 1]! < 0x80) {
        const code = (byte & 0x7f) | (bytes[position + 1]! << 7);
        value += (code >>> 1) ^ -(code & 1);
        position += 2;
      } else {
        this.#position = position;
        const code = this.varint();
        position = this.#position;
        value += code % 2 === 1 ? -(code + 1) / 2 : code / 2;
      }
      if (value < 0 || value >= 2 ** 32)
        throw damagedCheckpoint(this.#file, 0, "a number of the manifest is out of bounds");
      target[i] = value;
    }
    this.#position = position;
    return value;
  }
}
