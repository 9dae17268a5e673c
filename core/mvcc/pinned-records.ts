// Records that somebody reads over several turns of the loop. Their locations, 4 bytes each, and the segments they lie in
// (no others), so that neither writes nor compaction nor cleaning changes or frees what they lead to. Of a cold segment
// they hold the file.

import type { ColdReader } from "./cold-reader.ts";
import type { ColdSegment } from "./cold-segment.ts";
import type { NumberList } from "./column.ts";
import type { RecordView } from "./record.ts";
import { RecordPlace } from "./record.ts";
import type { Slabs } from "./slabs.ts";

const NO_BYTES = new Uint8Array(0);
const NO_WORDS = new Uint32Array(0);

export class PinnedRecords {
  readonly #refs: NumberList;
  // By slot, as the slots are now: a slot may get another segment later.
  readonly #bytes: Uint8Array[] = [];
  readonly #words: Uint32Array[] = [];
  readonly #cold: (ColdSegment | undefined)[] = [];
  readonly #reader: ColdReader | undefined;
  readonly #place = new RecordPlace();
  readonly #unitShift: number;
  readonly #unitMask: number;
  /** Bytes of the segments that it holds in memory. */
  sizeBytes = 0;

  constructor(slabs: Slabs, refs: NumberList) {
    this.#refs = refs;
    this.#reader = slabs.reader;
    this.#unitShift = slabs.unitShift;
    this.#unitMask = slabs.unitMask;
    for (let slot = 0; slot < slabs.segments.length; slot++) {
      this.#bytes.push(NO_BYTES);
      this.#words.push(NO_WORDS);
      this.#cold.push(undefined);
    }
    for (let i = 0; i < refs.length; i++) {
      const slot = refs.get(i) >>> slabs.unitShift;
      if (this.#words[slot]!.length > 0 || this.#cold[slot] !== undefined) continue;
      const { cold } = slabs.segments[slot]!;
      this.#cold[slot] = cold;
      if (cold !== undefined) slabs.reader!.pin(cold);
      this.#bytes[slot] = slabs.bytes[slot]!;
      this.#words[slot] = slabs.words[slot]!;
      this.sizeBytes += this.#bytes[slot]!.length;
    }
  }

  get length(): number {
    return this.#refs.length;
  }

  load(index: number, view: RecordView): void {
    const ref = this.#refs.get(index);
    const slot = ref >>> this.#unitShift;
    const cold = this.#cold[slot];
    view.ref = ref;
    if (cold === undefined)
      return view.read(this.#bytes[slot]!, this.#words[slot]!, (ref & this.#unitMask) << 1);
    const place = this.#place;
    this.#reader!.locate(cold, cold.indexOf(ref & this.#unitMask), place);
    view.read(place.bytes, place.words, place.at);
  }

  /** Lets go of everything. */
  release(): void {
    this.#refs.clear();
    this.#bytes.length = 0;
    this.#words.length = 0;
    for (const cold of this.#cold) if (cold !== undefined) this.#reader!.unpin(cold);
    this.#cold.length = 0;
    this.sizeBytes = 0;
  }
}
