// The entries that recovery found, in columns; their data stay where they were read. Filled in the order of the log, where an
// entry takes the place of what stood at its index and drops everything behind it (as etcd's ReadAll).

import { assert } from "../base/assert.ts";

export class RecoveredEntries {
  /** The index before the first entry. */
  base: number;
  readonly #types: number[] = [];
  readonly #terms: number[] = [];
  readonly #sources: Uint8Array[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];

  constructor(base: number) {
    this.base = base;
  }

  get count(): number {
    return this.#types.length;
  }

  /** The index of the last entry, `base` when there is none. */
  get lastIndex(): number {
    return this.base + this.#types.length;
  }

  type(index: number): number {
    return this.#types[this.#slot(index)]!;
  }

  term(index: number): number {
    return this.#terms[this.#slot(index)]!;
  }

  /** The data are `bytes(index)[start(index), end(index))`. */
  bytes(index: number): Uint8Array {
    return this.#sources[this.#slot(index)]!;
  }

  start(index: number): number {
    return this.#starts[this.#slot(index)]!;
  }

  end(index: number): number {
    return this.#ends[this.#slot(index)]!;
  }

  /** Whether an entry lies in these bytes, which were read last: they must not change then. */
  areIn(bytes: Uint8Array): boolean {
    return this.#sources.at(-1) === bytes;
  }

  /** Notes `source[start, end)`. Parameters, not an object: this runs once per entry of the log. */
  // oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
  put(index: number, type: number, term: number, source: Uint8Array, start: number, end: number): void {
    assert(index > this.base, "an entry lies above the base");
    assert(index <= this.lastIndex + 1, "an entry follows the one before");
    this.truncate(index);
    this.#types.push(type);
    this.#terms.push(term);
    this.#sources.push(source);
    this.#starts.push(start);
    this.#ends.push(end);
  }

  /** Drops the entries from this index on. */
  truncate(index: number): void {
    const count = Math.max(0, index - this.base - 1);
    if (count >= this.#types.length) return;
    this.#types.length = count;
    this.#terms.length = count;
    this.#sources.length = count;
    this.#starts.length = count;
    this.#ends.length = count;
  }

  /** Starts over after a snapshot: nothing before `base` is wanted any more. */
  reset(base: number): void {
    this.truncate(this.base);
    this.base = base;
  }

  #slot(index: number): number {
    assert(index > this.base, "the entry lies above the base");
    assert(index <= this.lastIndex, "the entry was found");
    return index - this.base - 1;
  }
}
