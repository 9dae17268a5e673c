// Reads a manifest's stream of varints. Its checksums hold, so what does not fit was written by a program with a mistake, or
// by somebody who made the checksums fit; it is refused like any other damage.

import { damagedCheckpoint } from "./checkpoint-format.ts";
import { NumberList } from "./column.ts";

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

  differences(count: number): NumberList {
    const list = new NumberList();
    let value = 0;
    for (let left = count; left > 0; left--) {
      const code = this.varint();
      value += code % 2 === 1 ? -(code + 1) / 2 : code / 2;
      if (value < 0 || value >= 2 ** 32)
        throw damagedCheckpoint(this.#file, 0, "a number of the manifest is out of bounds");
      list.push(value);
    }
    return list;
  }

  /** How many varints are left. */
  rest(): number {
    let count = 0;
    for (let i = this.#position; i < this.#bytes.length; i++) if (this.#bytes[i]! < 0x80) count++;
    return count;
  }
}
