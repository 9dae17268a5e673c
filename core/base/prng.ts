// Splittable pseudo-random numbers (xoshiro128**, seeded by splitmix32). One stream per purpose, so that removing one
// use does not shift the draws of another: that is what lets a failing seed shrink. Not for secrets.

export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #d: number;
  readonly #seed: number;
  /** Draws so far; part of the simulator's trace. */
  drawCount = 0;

  constructor(seed: number) {
    let state = (seed ^ Math.floor(seed / 4294967296)) >>> 0;
    this.#seed = state;
    const next = (): number => {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next() | 1; // never all zero
  }

  /** An unsigned 32-bit integer. */
  uint32(): number {
    this.drawCount++;
    const b5 = Math.imul(this.#b, 5);
    const result = Math.imul((b5 << 7) | (b5 >>> 25), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  /** A whole number in [0, bound); bound at most 2^32. */
  below(bound: number): number {
    return Math.floor((this.uint32() / 4294967296) * bound);
  }

  /** A whole number in [first, last]. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  /** A number in [0, 1). */
  float(): number {
    return this.uint32() / 4294967296;
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.float() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }

  /** A stream of its own, for one purpose; the same name always gives the same stream. */
  split(name: string): Prng {
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    // Made from the seed, not from a draw, so that neither the order of splits nor earlier draws matter.
    return new Prng(Math.imul(this.#seed ^ hash, 0x9e3779b1) >>> 0);
  }
}
