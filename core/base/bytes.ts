// Byte ranges: order, equality, hashing, and etcd's notion of a prefix. Ranges are half open. Functions on ranges take
// six numbers rather than views, because a view costs more than the comparison of two keys.

const EMPTY = new Uint8Array(0);

/** The empty byte sequence; shared, since nothing in it can change. */
export const EMPTY_BYTES: Uint8Array = EMPTY;

/** Lexicographic order of unsigned bytes: negative, 0 or positive. A proper prefix is smaller. */
// oxlint-disable-next-line max-params -- ranges by position: a view costs more than the work
export function compareBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): number {
  const aLength = aEnd - aStart;
  const bLength = bEnd - bStart;
  const length = aLength < bLength ? aLength : bLength;
  for (let i = 0; i < length; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  return aLength - bLength;
}

// oxlint-disable-next-line max-params -- ranges by position: a view costs more than the work
export function equalBytes(
  a: Uint8Array,
  aStart: number,
  aEnd: number,
  b: Uint8Array,
  bStart: number,
  bEnd: number,
): boolean {
  const length = aEnd - aStart;
  if (length !== bEnd - bStart) return false;
  // From the end: keys of one collection differ in their last bytes.
  for (let i = length - 1; i >= 0; i--) if (a[aStart + i] !== b[bStart + i]) return false;
  return true;
}

/**
 * A well mixed 32-bit hash (MurmurHash3's rounds), unsigned. With a `seed` that clients cannot know, they cannot
 * choose keys that collide.
 */
export function hashBytes(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  let hash = seed | 0;
  let position = start;
  for (const last = end - 3; position < last; position += 4) {
    let word =
      bytes[position]! |
      (bytes[position + 1]! << 8) |
      (bytes[position + 2]! << 16) |
      (bytes[position + 3]! << 24);
    word = Math.imul(word, 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  let word = 0;
  for (let shift = 0; position < end; position++, shift += 8) word |= bytes[position]! << shift;
  return finishedHash(hash, word, end - start);
}

/** `hashBytes` of the first `sizeBytes` bytes from a word on, in a quarter of the loads. Words are little-endian. */
export function hashWords(words: Uint32Array, start: number, sizeBytes: number, seed = 0): number {
  let hash = seed | 0;
  let position = start;
  for (const last = start + (sizeBytes >>> 2); position < last; position++) {
    let word = Math.imul(words[position]!, 0xcc9e2d51);
    word = (word << 15) | (word >>> 17);
    hash ^= Math.imul(word, 0x1b873593);
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  const restBits = (sizeBytes & 3) * 8;
  return finishedHash(hash, restBits === 0 ? 0 : words[position]! & ((1 << restBits) - 1), sizeBytes);
}

/** `rest` are the bytes behind the last whole word. */
function finishedHash(before: number, rest: number, sizeBytes: number): number {
  let word = Math.imul(rest, 0xcc9e2d51);
  word = (word << 15) | (word >>> 17);
  let hash = before ^ Math.imul(word, 0x1b873593) ^ sizeBytes;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/**
 * A copy of `bytes[start, end)`. Use it instead of `slice`: what comes from a socket or a file is Node's Buffer, whose
 * `slice` does not copy.
 */
export function copyBytes(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const copy = new Uint8Array(end - start);
  if (copy.length <= 48) for (let i = 0; i < copy.length; i++) copy[i] = bytes[start + i]!;
  else copy.set(bytes.subarray(start, end));
  return copy;
}

/** All parts, one after the other, in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let position = 0;
  for (const part of parts) {
    joined.set(part, position);
    position += part.length;
  }
  return joined;
}

/**
 * The end of the range of all keys with this prefix: the last byte that is not 0xFF, incremented, and what follows cut.
 * A prefix of nothing but 0xFF (also the empty one) has no such end; etcd then says `"\0"`, "from the key on".
 */
export function prefixEnd(prefix: Uint8Array): Uint8Array {
  for (let i = prefix.length - 1; i >= 0; i--) {
    if (prefix[i] === 0xff) continue;
    const end = copyBytes(prefix, 0, i + 1);
    end[i]!++;
    return end;
  }
  return Uint8Array.of(0);
}
