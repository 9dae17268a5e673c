// The duplicate-key rule of transactions (facts §1.6): within one branch no key may be put twice, nor put and deleted.
// The order in which nested transactions are looked at is part of the rule, as etcd has it:
//
//   1. this level's deletions          2. each nested transaction in turn: its puts against what is known so far, then
//   3. this level's puts                  its deletions are added (so "put, then delete" by siblings passes)
//
// then/else of one nested transaction may put the same key. A deletion from a key on (range_end "\0") is not translated,
// hence an empty interval, hence never in conflict.

import { compareBytes, equalBytes } from "../base/bytes.ts";

/** A key as a text of one character per byte: texts of this form compare as the bytes do. */
export function keyText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  // In pieces, because the number of arguments of a call is limited.
  for (let from = start; from < end; from += 4096) {
    text += String.fromCharCode(...bytes.subarray(from, Math.min(end, from + 4096)));
  }
  return text;
}

/** Half-open intervals of keys, merged where they touch, so that looking one up takes a binary search. */
export class KeyIntervals {
  readonly #firsts: string[] = [];
  readonly #ends: string[] = [];

  get count(): number {
    return this.#firsts.length;
  }

  add(first: string, end: string): void {
    if (first >= end) return;
    const from = this.#countBelow(this.#ends, first);
    let to = from;
    let low = first;
    let high = end;
    while (to < this.#firsts.length && this.#firsts[to]! <= end) {
      if (this.#firsts[to]! < low) low = this.#firsts[to]!;
      if (this.#ends[to]! > high) high = this.#ends[to]!;
      to++;
    }
    this.#firsts.splice(from, to - from, low);
    this.#ends.splice(from, to - from, high);
  }

  addAll(other: KeyIntervals): void {
    for (let i = 0; i < other.count; i++) this.add(other.#firsts[i]!, other.#ends[i]!);
  }

  includes(key: string): boolean {
    let index = this.#countBelow(this.#ends, key);
    if (index < this.#ends.length && this.#ends[index] === key) index++;
    return index < this.#firsts.length && this.#firsts[index]! <= key;
  }

  /** How many of the sorted texts are below this one. */
  #countBelow(texts: readonly string[], text: string): number {
    let low = 0;
    let high = texts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (texts[middle]! < text) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Up to so many puts each is compared with each: half a thousand looks at two bytes, where a set of texts makes the texts. */
const FEW_COUNT_MAX = 32;
/** Longer keys that differ in their first bytes only would make a comparison long. */
const FEW_SIZE_BYTES_MAX = 256;

/** The keys of a branch that does nothing but put a few: compared where they stand. */
export class FewPuts {
  readonly #starts = new Int32Array(FEW_COUNT_MAX);
  readonly #ends = new Int32Array(FEW_COUNT_MAX);
  #count = 0;

  reset(): void {
    this.#count = 0;
  }

  /** False when it is one too many, or too long; then `BranchKeys` has to look at the branch. */
  add(start: number, end: number): boolean {
    if (this.#count === FEW_COUNT_MAX || end - start > FEW_SIZE_BYTES_MAX) return false;
    this.#starts[this.#count] = start;
    this.#ends[this.#count++] = end;
    return true;
  }

  hasDuplicate(bytes: Uint8Array): boolean {
    const starts = this.#starts;
    const ends = this.#ends;
    for (let i = 1; i < this.#count; i++) {
      for (let j = 0; j < i; j++)
        if (equalBytes(bytes, starts[i]!, ends[i]!, bytes, starts[j]!, ends[j]!)) return true;
    }
    return false;
  }
}

/** What one branch puts and deletes, its nested transactions included. */
export class BranchKeys {
  readonly puts: Set<string> = new Set();
  readonly deletions: KeyIntervals = new KeyIntervals();

  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  addDeletion(
    bytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    rangeEndStart: number,
    rangeEndEnd: number,
  ): void {
    const key = keyText(bytes, keyStart, keyEnd);
    if (rangeEndStart === rangeEndEnd) this.deletions.add(key, `${key}\0`);
    else if (compareBytes(bytes, keyStart, keyEnd, bytes, rangeEndStart, rangeEndEnd) < 0) {
      this.deletions.add(key, keyText(bytes, rangeEndStart, rangeEndEnd));
    }
  }

  /** False for a duplicate. */
  addPut(key: string): boolean {
    if (this.puts.has(key) || this.deletions.includes(key)) return false;
    this.puts.add(key);
    return true;
  }

  /** Takes over what a nested transaction's two branches do; false for a duplicate. */
  addNested(success: BranchKeys, failure: BranchKeys): boolean {
    for (const key of success.puts) if (!this.addPut(key)) return false;
    for (const key of failure.puts) {
      // Only one of the two branches runs.
      if (this.puts.has(key) && !success.puts.has(key)) return false;
      if (this.deletions.includes(key)) return false;
      this.puts.add(key);
    }
    this.deletions.addAll(success.deletions);
    this.deletions.addAll(failure.deletions);
    return true;
  }
}
