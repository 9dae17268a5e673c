// Records that somebody reads over several turns of the loop. Their locations, 4 bytes each, and the segments they lie in
// (no others), so that neither writes nor compaction nor cleaning changes or frees what they lead to.

import type { NumberList } from "./column.ts";
import type { RecordView } from "./record.ts";
import type { Slabs } from "./slabs.ts";

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);

export class PinnedRecords {
  readonly #refs: NumberList;
  // By slot, as the slots are now: a slot may get another segment later.
  readonly #bytes: Uint8Array[] = [];
  readonly #words: Uint32Array[] = [];
  readonly #unitShift: number;
  readonly #unitMask: number;

  constructor(slabs: Slabs, refs: NumberList) {
    this.#refs = refs;
    this.#unitShift = slabs.unitShift;
    this.#unitMask = slabs.unitMask;
    for (let slot = 0; slot < slabs.segments.length; slot++) {
      this.#bytes.push(NO_BYTES);
      this.#words.push(NO_WORDS);
    }
    for (let i = 0; i < refs.length; i++) {
      const slot = refs.get(i) >>> slabs.unitShift;
      this.#bytes[slot] = slabs.bytes[slot]!;
      this.#words[slot] = slabs.words[slot]!;
    }
  }

  get length(): number {
    return this.#refs.length;
  }

  load(index: number, view: RecordView): void {
    const ref = this.#refs.get(index);
    const slot = ref >>> this.#unitShift;
    view.ref = ref;
    view.read(this.#bytes[slot]!, this.#words[slot]!, (ref & this.#unitMask) << 1);
  }

  /** Lets go of everything. */
  release(): void {
    this.#refs.clear();
    this.#bytes.length = 0;
    this.#words.length = 0;
  }
}
