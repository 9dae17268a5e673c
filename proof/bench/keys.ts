// Which key an operation uses, and how many distinct ones were used.
//
// A key is a number in [0, keys) written at the end of a fixed-size text: prefix, zeros, digits. Digits are decimal
// where they fit, else base 62, else bytes: `--key-size 3 --keys 1000000` still gives a million distinct keys. etcd's own
// benchmark overwrites one key unless told otherwise; here the number of distinct keys is counted and printed.

import { assert } from "../../core/base/assert.ts";
import type { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import type { SizeTable } from "./sizes.ts";

export type KeyOrder = "sequential" | "random" | "uniform" | "zipfian";

export const KEY_ORDERS: readonly KeyOrder[] = ["sequential", "random", "uniform", "zipfian"];

const DIGITS = encodeUtf8("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");

export interface KeySpaceOptions {
  readonly count: number;
  readonly prefix: string;
  readonly sizes: SizeTable;
}

/** The keys by number. `write` fills `bytes` and `size`, which are valid until the next call. */
export class KeySpace {
  readonly count: number;
  readonly prefix: Uint8Array;
  readonly bytes: Uint8Array;
  size = 0;
  readonly #sizes: SizeTable;
  readonly #radix: number;
  readonly #digits: number;

  constructor(options: KeySpaceOptions) {
    assert(options.count >= 1, "a key space has a key");
    this.count = options.count;
    this.prefix = encodeUtf8(options.prefix);
    this.#sizes = options.sizes;
    const room = options.sizes.min - this.prefix.length;
    const radix = [10, 62, 256].find((base) => digitsFor(options.count, base) <= room);
    if (radix === undefined) {
      throw new Error(
        `Keys of ${options.sizes.min} bytes with the prefix "${options.prefix}" cannot be ${options.count} distinct ones`,
      );
    }
    this.#radix = radix;
    this.#digits = digitsFor(options.count, radix);
    this.bytes = new Uint8Array(options.sizes.max);
  }

  /** Key number `index`, into `bytes[0, size)`. */
  write(index: number): void {
    const size = this.#sizes.at(index);
    const bytes = this.bytes;
    const prefix = this.prefix;
    for (let i = 0; i < prefix.length; i++) bytes[i] = prefix[i]!;
    const filler = this.#radix === 256 ? 0 : 48;
    let rest = index;
    let at = size - 1;
    for (const first = size - this.#digits; at >= first; at--) {
      const digit = rest % this.#radix;
      bytes[at] = this.#radix === 256 ? digit : DIGITS[digit]!;
      rest = (rest - digit) / this.#radix;
    }
    for (; at >= prefix.length; at--) bytes[at] = filler;
    this.size = size;
  }
}

function digitsFor(count: number, radix: number): number {
  let digits = 1;
  for (let reach = radix; reach < count; reach *= radix) digits++;
  return digits;
}

/** Chooses key numbers. One class with a switch, so that the call site stays monomorphic. */
export class KeyChooser {
  readonly #order: KeyOrder;
  readonly #count: number;
  readonly #prng: Prng;
  readonly #zipf: Zipf | undefined;
  #next = 0;
  readonly #stride: number;

  constructor(order: KeyOrder, count: number, prng: Prng) {
    this.#order = order;
    this.#count = count;
    this.#prng = prng;
    this.#zipf = order === "zipfian" ? new Zipf(count) : undefined;
    this.#stride = order === "random" ? coprimeNear(count) : 1;
  }

  next(): number {
    switch (this.#order) {
      case "sequential":
      case "random": {
        // `random` walks all keys, each once a round, in an order that jumps about: start times a stride without a
        // common factor. Not a random permutation, but no two neighbours in time are neighbours in the index.
        const index = this.#next;
        this.#next = (index + this.#stride) % this.#count;
        return index;
      }
      case "uniform":
        return this.#prng.below(this.#count);
      case "zipfian":
        return this.#zipf!.draw(this.#prng.float());
    }
  }
}

function coprimeNear(count: number): number {
  let stride = Math.max(1, Math.round(count * 0.6180339887));
  while (greatestCommonDivisor(stride, count) !== 1) stride++;
  return stride;
}

function greatestCommonDivisor(a: number, b: number): number {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

/** The exponent of YCSB's default. */
const ZIPF_THETA = 0.99;

/** Zipfian numbers after Gray et al., "Quickly generating billion-record synthetic databases"; the hot ones scattered. */
export class Zipf {
  readonly #count: number;
  readonly #zeta: number;
  readonly #eta: number;
  readonly #alpha = 1 / (1 - ZIPF_THETA);
  readonly #half: number;
  readonly #stride: number;

  constructor(count: number) {
    this.#count = count;
    let zeta = 0;
    for (let i = 1; i <= count; i++) zeta += 1 / i ** ZIPF_THETA;
    this.#zeta = zeta;
    this.#half = 1 + 0.5 ** ZIPF_THETA;
    this.#eta = (1 - (2 / count) ** (1 - ZIPF_THETA)) / (1 - this.#half / zeta);
    this.#stride = coprimeNear(count);
  }

  draw(share: number): number {
    return (this.rank(share) * this.#stride) % this.#count;
  }

  /** How hot: 0 is the hottest. */
  rank(share: number): number {
    const scaled = share * this.#zeta;
    if (scaled < 1) return 0;
    if (scaled < this.#half) return Math.min(1, this.#count - 1);
    const rank = Math.floor(this.#count * (this.#eta * share - this.#eta + 1) ** this.#alpha);
    return Math.min(this.#count - 1, Math.max(0, rank));
  }
}

/** Counts distinct numbers in [0, count): a bit each. */
export class DistinctCounter {
  readonly #bits: Uint32Array;
  count = 0;

  constructor(count: number) {
    this.#bits = new Uint32Array(Math.ceil(count / 32));
  }

  add(index: number): void {
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    const bits = this.#bits[word]!;
    if ((bits & bit) !== 0) return;
    this.#bits[word] = bits | bit;
    this.count++;
  }
}
