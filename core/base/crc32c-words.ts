// CRC-32C of whole words, for segments: the same checksum as base/crc32c.ts, half as much time a byte (measured: 1.8
// against 1.2 GB/s). Slicing by sixteen instead of eight, and a word is one load where bytes would be four.

import { assert } from "./assert.ts";
import { crc32c } from "./crc32c.ts";

/** TABLE[k * 256 + b] is the checksum of byte b followed by k zero bytes, without the inversions. */
const TABLE = makeTable();

/** The checksum of `bytes[start, end)`, whose start is a multiple of 4, continued from `seed`; `words` are the same memory. */
// oxlint-disable-next-line max-params -- once per record of a log, where an object would cost
export function crc32cWords(
  bytes: Uint8Array,
  words: Uint32Array,
  start: number,
  end: number,
  seed = 0,
): number {
  assert((start & 3) === 0, "words start at a multiple of four");
  const t = TABLE;
  const last = (end >>> 2) - 3;
  let crc = ~seed;
  let at = start >>> 2;
  for (; at < last; at += 4) {
    const a = words[at]! ^ crc;
    const b = words[at + 1]!;
    const c = words[at + 2]!;
    const d = words[at + 3]!;
    crc =
      t[3840 + (a & 255)]! ^
      t[3584 + ((a >>> 8) & 255)]! ^
      t[3328 + ((a >>> 16) & 255)]! ^
      t[3072 + (a >>> 24)]! ^
      t[2816 + (b & 255)]! ^
      t[2560 + ((b >>> 8) & 255)]! ^
      t[2304 + ((b >>> 16) & 255)]! ^
      t[2048 + (b >>> 24)]! ^
      t[1792 + (c & 255)]! ^
      t[1536 + ((c >>> 8) & 255)]! ^
      t[1280 + ((c >>> 16) & 255)]! ^
      t[1024 + (c >>> 24)]! ^
      t[768 + (d & 255)]! ^
      t[512 + ((d >>> 8) & 255)]! ^
      t[256 + ((d >>> 16) & 255)]! ^
      t[d >>> 24]!;
  }
  return crc32c(bytes, at << 2, end, ~crc >>> 0);
}

/** The same from any start: the bytes before the first whole word are taken one by one. */
// oxlint-disable-next-line max-params -- once per record of a log, where an object would cost
export function crc32cFrom(
  bytes: Uint8Array,
  words: Uint32Array,
  start: number,
  end: number,
  seed: number,
): number {
  const first = Math.min((start + 3) & ~3, end);
  const before = first === start ? seed : crc32c(bytes, start, first, seed);
  return first === end ? before : crc32cWords(bytes, words, first, end, before);
}

function makeTable(): Int32Array {
  const table = new Int32Array(16 * 256);
  const one = new Uint8Array(1);
  for (let byte = 0; byte < 256; byte++) {
    one[0] = byte;
    // The inversions before and after, and the start value's share, cancel out.
    table[byte] = crc32c(one, 0, 1, 0xffffffff) ^ -1;
  }
  for (let index = 256; index < table.length; index++) {
    const previous = table[index - 256]!;
    table[index] = table[previous & 0xff]! ^ (previous >>> 8);
  }
  return table;
}
