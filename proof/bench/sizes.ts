// Sizes of keys and values, fixed or drawn:
//
//   256                 always 256 bytes
//   64..1024            uniform, both ends included
//   64:70,256:25,4096:5 a mix; the second number is the share, any total
//   lognormal:256,1     median 256, sigma 1 of the natural logarithm; what object stores measure

import { assert } from "../../core/base/assert.ts";
import type { Prng } from "../../core/base/prng.ts";

export type SizeDistribution =
  | { readonly kind: "fixed"; readonly bytes: number }
  | { readonly kind: "uniform"; readonly first: number; readonly last: number }
  | { readonly kind: "mix"; readonly parts: readonly { bytes: number; share: number }[] }
  | { readonly kind: "lognormal"; readonly median: number; readonly sigma: number };

/** No value above this is drawn: etcd's default request limit is 1.5 MiB. */
const SIZE_BYTES_MAX = 16 * 1024 * 1024;

/** Parses the forms above; throws with the text to show. */
export function parseSizes(text: string): SizeDistribution {
  const fixed = /^(\d+)$/.exec(text);
  if (fixed) return { kind: "fixed", bytes: checked(Number(fixed[1]), text) };
  const range = /^(\d+)\.\.(\d+)$/.exec(text);
  if (range) {
    const first = checked(Number(range[1]), text);
    const last = checked(Number(range[2]), text);
    if (first > last) throw new Error(`Size ${text} ends below where it starts`);
    return { kind: "uniform", first, last };
  }
  const curve = /^lognormal:(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$/.exec(text);
  if (curve) return { kind: "lognormal", median: checked(Number(curve[1]), text), sigma: Number(curve[2]) };
  const parts = text.split(",").map((part) => /^(\d+):(\d+(?:\.\d+)?)$/.exec(part));
  if (parts.every((part) => part !== null)) {
    return {
      kind: "mix",
      parts: parts.map((part) => ({ bytes: checked(Number(part[1]), text), share: Number(part[2]) })),
    };
  }
  throw new Error(`Size ${text} is none of 256, 64..1024, 64:70,4096:30, lognormal:256,1`);
}

function checked(bytes: number, text: string): number {
  if (bytes > SIZE_BYTES_MAX) throw new Error(`Size ${text} is above ${SIZE_BYTES_MAX} bytes`);
  return bytes;
}

export function drawSize(sizes: SizeDistribution, prng: Prng): number {
  switch (sizes.kind) {
    case "fixed":
      return sizes.bytes;
    case "uniform":
      return prng.between(sizes.first, sizes.last);
    case "mix":
      return drawPart(sizes.parts, prng);
    case "lognormal":
      return Math.min(
        SIZE_BYTES_MAX,
        Math.max(1, Math.round(sizes.median * Math.exp(sizes.sigma * normal(prng)))),
      );
  }
}

function drawPart(parts: readonly { bytes: number; share: number }[], prng: Prng): number {
  let total = 0;
  for (const part of parts) total += part.share;
  let place = prng.float() * total;
  for (const part of parts) {
    place -= part.share;
    if (place < 0) return part.bytes;
  }
  return parts[parts.length - 1]!.bytes;
}

// Box and Muller.
function normal(prng: Prng): number {
  return Math.sqrt(-2 * Math.log(1 - prng.float())) * Math.cos(2 * Math.PI * prng.float());
}

/** Draws are costly beside a put's encoding, so sizes come from a table that was drawn once. */
const TABLE_COUNT = 4096;

export class SizeTable {
  readonly #sizes: Int32Array;
  readonly max: number;
  readonly min: number;

  constructor(sizes: SizeDistribution, prng: Prng) {
    this.#sizes = new Int32Array(sizes.kind === "fixed" ? 1 : TABLE_COUNT);
    let max = 0;
    let min = SIZE_BYTES_MAX;
    for (let i = 0; i < this.#sizes.length; i++) {
      const size = drawSize(sizes, prng);
      this.#sizes[i] = size;
      max = Math.max(max, size);
      min = Math.min(min, size);
    }
    this.max = max;
    this.min = min;
    assert(this.#sizes.length > 0, "a table of sizes is not empty");
  }

  /** The size of item `index`: the same for the same index. */
  at(index: number): number {
    return this.#sizes[index % this.#sizes.length]!;
  }
}

/** Bytes that values are cut from: printable, and random so that no store compresses them away. */
export class ValuePool {
  readonly bytes: Uint8Array;
  readonly #room: number;
  #next = 0;

  constructor(sizeBytesMax: number, prng: Prng) {
    this.#room = 64 * 1024;
    this.bytes = new Uint8Array(this.#room + sizeBytesMax);
    for (let i = 0; i < this.bytes.length; i++) this.bytes[i] = 33 + prng.below(94);
  }

  /** Where the next value starts; another place each time. */
  nextStart(): number {
    this.#next = (this.#next + 4099) % this.#room; // a prime step, so that all starts come up
    return this.#next;
  }
}
