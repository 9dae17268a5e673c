// CRC-32C (Castagnoli polynomial 0x1EDC6F41, reflected 0x82F63B78), the checksum of etcd's log records, of HashKV and
// of our own files. `zlib.crc32` is another polynomial (IEEE), so the tables are ours.
//
// Slicing by eight (Kounavis and Berry 2005): eight tables of 256 entries stand for eight bytes at a time, so that
// eight table loads do not wait for each other. TABLE[k * 256 + b] is the CRC of byte b followed by k zero bytes.

const POLYNOMIAL_REFLECTED = 0x82f63b78;

const TABLE = makeTable();

/**
 * The checksum of `bytes[start, end)` continued from `seed`, the checksum of what came before (0 at the start), as an
 * unsigned 32-bit integer: Go's `crc32.Update(seed, castagnoli, bytes)`.
 */
export function crc32c(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  const table = TABLE;
  let crc = ~seed;
  let position = start;
  // Everything is signed 32-bit arithmetic here: `>>> 0` only once, at the end.
  for (const last = end - 7; position < last; position += 8) {
    const low =
      crc ^
      (bytes[position]! |
        (bytes[position + 1]! << 8) |
        (bytes[position + 2]! << 16) |
        (bytes[position + 3]! << 24));
    crc =
      table[1792 + (low & 0xff)]! ^
      table[1536 + ((low >>> 8) & 0xff)]! ^
      table[1280 + ((low >>> 16) & 0xff)]! ^
      table[1024 + (low >>> 24)]! ^
      table[768 + bytes[position + 4]!]! ^
      table[512 + bytes[position + 5]!]! ^
      table[256 + bytes[position + 6]!]! ^
      table[bytes[position + 7]!]!;
  }
  for (; position < end; position++) crc = table[(crc ^ bytes[position]!) & 0xff]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

/** A running checksum: the chain of a log file, a hash over many rows. */
export class Crc32c {
  /** The checksum of everything so far; assign to continue from a stored one. */
  value = 0;

  update(bytes: Uint8Array, start: number, end: number): void {
    this.value = crc32c(bytes, start, end, this.value);
  }

  reset(): void {
    this.value = 0;
  }
}

function makeTable(): Int32Array {
  const table = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? POLYNOMIAL_REFLECTED : 0);
    table[byte] = crc;
  }
  for (let index = 256; index < table.length; index++) {
    const previous = table[index - 256]!;
    table[index] = table[previous & 0xff]! ^ (previous >>> 8);
  }
  return table;
}
