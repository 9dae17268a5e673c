// Which keys hang on which lease: a doubly linked list per lease, the links in columns indexed by key id, outside the
// heap. A key hangs on at most one lease, and the store keeps which, so that detaching needs no search.
//
//   link = key id + 1, 0 for none; two numbers a key, in chunks of 4,096 keys that exist once a key in them had a lease

import { assert } from "../base/assert.ts";

const CHUNK_BITS = 12;
const CHUNK_MASK = (1 << CHUNK_BITS) - 1;

export class LeaseKeys {
  readonly #chunks: (Int32Array | undefined)[] = [];
  #count = 0;

  /** Keys that hang on any lease. */
  get count(): number {
    return this.#count;
  }

  /** Puts a key before `first` (a link) and returns the list's new first link. */
  insert(first: number, keyId: number): number {
    const chunk = this.#chunkOf(keyId);
    const at = (keyId & CHUNK_MASK) * 2;
    chunk[at] = first;
    chunk[at + 1] = 0;
    const link = keyId + 1;
    if (first !== 0) this.#chunkOf(first - 1)[((first - 1) & CHUNK_MASK) * 2 + 1] = link;
    this.#count++;
    return link;
  }

  /** Takes a key out of the list that starts at link `first` and returns the list's new first link. */
  remove(first: number, keyId: number): number {
    const chunk = this.#chunkOf(keyId);
    const at = (keyId & CHUNK_MASK) * 2;
    const next = chunk[at]!;
    const previous = chunk[at + 1]!;
    assert(previous !== 0 || first === keyId + 1, "a key is taken from the list it is in");
    if (next !== 0) this.#chunkOf(next - 1)[((next - 1) & CHUNK_MASK) * 2 + 1] = previous;
    if (previous !== 0) this.#chunkOf(previous - 1)[((previous - 1) & CHUNK_MASK) * 2] = next;
    chunk[at] = 0;
    chunk[at + 1] = 0;
    this.#count--;
    return previous === 0 ? next : first;
  }

  /** The link behind this one; 0 at the end. The key of a link is `link - 1`. */
  next(link: number): number {
    return this.#chunkOf(link - 1)[((link - 1) & CHUNK_MASK) * 2]!;
  }

  #chunkOf(keyId: number): Int32Array {
    const index = keyId >>> CHUNK_BITS;
    const chunk = this.#chunks[index];
    if (chunk !== undefined) return chunk;
    while (this.#chunks.length <= index) this.#chunks.push(undefined);
    return (this.#chunks[index] = new Int32Array((CHUNK_MASK + 1) * 2));
  }
}
