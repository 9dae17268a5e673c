// Records that somebody reads over several turns of the loop. Their locations, 4 bytes each, and the segments they lie in
// (no others), so that neither writes nor compaction nor cleaning changes or frees what they lead to. Of a cold segment
// they hold the file.

import type { ColdSegment } from "./cold-segment.ts";
import type { RecordView } from "./record.ts";
import { RecordPlace } from "./record.ts";
import type { Segment, Slabs } from "./slabs.ts";

/** A segment as it was when it was pinned: what the store does with it later changes nothing here. */
interface Pin {
  readonly segment: Segment;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly cold: ColdSegment | undefined;
}

export class PinnedRecords {
  #refs: Uint32Array;
  readonly #slabs: Slabs;
  /** By slot, as the slots are now: a slot may get another segment later. */
  readonly #pins: (Pin | undefined)[] = [];
  readonly #place = new RecordPlace();

  constructor(slabs: Slabs, refs: Uint32Array) {
    this.#refs = refs;
    this.#slabs = slabs;
    slabs.pinnedBytes += refs.byteLength;
    for (let slot = 0; slot < slabs.segments.length; slot++) this.#pins.push(undefined);
    for (let i = 0; i < refs.length; i++) {
      const slot = refs[i]! >>> slabs.unitShift;
      this.#pins[slot] ??= pinOf(slabs, slabs.segments[slot]!);
    }
  }

  get length(): number {
    return this.#refs.length;
  }

  /** Reads from disk, ever. */
  get readCount(): number {
    return this.#slabs.reader?.readCount ?? 0;
  }

  load(index: number, view: RecordView): void {
    const slabs = this.#slabs;
    const ref = this.#refs[index]!;
    const pin = this.#pins[ref >>> slabs.unitShift]!;
    view.ref = ref;
    if (pin.cold === undefined) return view.read(pin.bytes, pin.words, slabs.wordOf(ref));
    const place = this.#place;
    slabs.reader!.locate(pin.cold, pin.cold.indexOf(ref & slabs.unitMask), place);
    view.read(place.bytes, place.words, place.at);
  }

  /** Lets go of everything; again changes nothing. */
  release(): void {
    const slabs = this.#slabs;
    slabs.pinnedBytes -= this.#refs.byteLength;
    this.#refs = NO_REFS;
    for (const pin of this.#pins) {
      if (pin === undefined) continue;
      if (pin.cold === undefined) slabs.unpin(pin.segment);
      else slabs.reader!.unpin(pin.cold);
    }
    this.#pins.length = 0;
  }
}

const NO_REFS = new Uint32Array(0);

function pinOf(slabs: Slabs, segment: Segment): Pin {
  const { bytes, words, cold } = segment;
  if (cold === undefined) slabs.pin(segment);
  else slabs.reader!.pin(cold);
  return { segment, bytes, words, cold };
}
