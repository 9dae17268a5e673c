// Keeps superseded versions out of memory (design D3): beyond a budget, segments that the last durable checkpoint covers
// give their memory up and are read from their files (cold-segment.ts, cold-reader.ts). What each key's newest version is
// read for, over and over, is answered from memory all the same: a copy stands in for it.
//
//   Keys.newest ──> copy, in a segment of copies ── previous ──> the record, cold ── previous ──> older record ── … ──> 0
//
// A record keeps its place in the order of revisions, and its file is not written again. The next change of the key leads
// to the record, and the copy is garbage; segments of copies are cooled like others, except that nothing is left of them.
//
// Worked example, budget 0: rev 2 put a · 3 put b · 4 put a, all in one segment, full and covered
//   copies     of 3 (b) and 4 (a); the segment is cold, and newest leads to the copies
//   5 put b    its previous version is record 3, which is read from the file if anybody asks
//
// Compaction changes links and marks, hashes and checkpoints walk records: none of them runs beside this.

import { assert } from "../base/assert.ts";
import { ColdBuilder, ColdSegment } from "./cold-segment.ts";
import { FLAG_COPY, WORD_KEY_ID, WORD_KEY_SIZE, WORD_PREVIOUS, recordSizeBytesAt } from "./record.ts";
import type { Segment } from "./slabs.ts";
import { SEGMENT_HEAD_BYTES } from "./slabs.ts";
import type { Store } from "./store.ts";

/** Below this part of superseded bytes a segment stays: copying the rest would cost more than it gains. */
const SUPERSEDED_PART_MIN = 0.25;
/** So many bytes (4 KiB) that are copied take as long as looking at a record. */
const BYTES_PER_UNIT_SHIFT = 12;

export class Cooling {
  readonly #store: Store;
  readonly #supersededBytesMax: number;
  #segment: Segment | undefined;
  /** The record of the segment to go on with. */
  #offset = 0;
  readonly #builder = new ColdBuilder();
  /** Nothing is looked for until there is so much: the last search found no segment that was worth it. */
  #searchAboveBytes = 0;

  constructor(store: Store, supersededBytesMax: number) {
    this.#store = store;
    this.#supersededBytesMax = supersededBytesMax;
  }

  get isRunning(): boolean {
    return this.#segment !== undefined;
  }

  /** A checkpoint has ended: more segments are covered. */
  coverageChanged(): void {
    this.#searchAboveBytes = 0;
  }

  /** Starts with the segment that is worth it most, if too much is in memory; false when there is nothing to do. */
  begin(): boolean {
    assert(this.#segment === undefined, "one segment is cooled at a time");
    const { slabs } = this.#store;
    const bytes = slabs.supersededBytes;
    if (slabs.reader === undefined || bytes <= this.#supersededBytesMax || bytes < this.#searchAboveBytes)
      return false;
    this.#segment = this.#choose();
    this.#offset = SEGMENT_HEAD_BYTES;
    this.#builder.reset();
    if (this.#segment === undefined) this.#searchAboveBytes = bytes + slabs.segmentSizeBytes / 4;
    return this.#segment !== undefined;
  }

  /** Looks at about so many records; true while there is more to do. */
  slice(recordCount: number): boolean {
    const segment = this.#segment;
    if (segment === undefined) return false;
    for (let left = recordCount; left > 0 && this.#offset < segment.usedBytes;) {
      const size = recordSizeBytesAt(segment.words, this.#offset >>> 2);
      left -= 1;
      if (this.#visit(segment, this.#offset, size)) left -= size >>> BYTES_PER_UNIT_SHIFT;
      this.#offset += size;
    }
    if (this.#offset < segment.usedBytes) return true;
    const { slabs } = this.#store;
    if (segment.kind === "copies") slabs.free(segment);
    else slabs.cool(segment, new ColdSegment(segment, this.#builder));
    this.#segment = undefined;
    this.#builder.clear();
    return false;
  }

  #choose(): Segment | undefined {
    const { slabs } = this.#store;
    let chosen: Segment | undefined;
    let chosenPart = SUPERSEDED_PART_MIN;
    for (const segment of slabs.segments) {
      if (segment === undefined || segment.cold !== undefined || slabs.isOpen(segment)) continue;
      if (segment.kind !== "copies" && segment.coveredBytes !== segment.usedBytes) continue;
      const part = 1 - segment.newestBytes / segment.usedBytes;
      if (part < chosenPart) continue;
      chosen = segment;
      chosenPart = part;
    }
    return chosen;
  }

  /** Notes a record, and copies it when it is the newest of its key; true when it was copied. */
  #visit(segment: Segment, offset: number, sizeBytes: number): boolean {
    const { slabs, keys } = this.#store;
    if (segment.kind !== "copies") this.#builder.add(segment.words, offset);
    const id = segment.words[(offset >>> 2) + WORD_KEY_ID]!;
    const ref = slabs.refAt(segment.slot, offset);
    if (id >= keys.idCount || keys.newest.get(id) !== ref) return false;
    const copy = slabs.copyToCopies(segment.bytes, offset, sizeBytes);
    if (segment.kind !== "copies") {
      const words = slabs.words[slabs.slotOf(copy)]!;
      const at = slabs.wordOf(copy);
      words[at + WORD_KEY_SIZE]! |= FLAG_COPY;
      words[at + WORD_PREVIOUS] = ref;
    }
    slabs.supersede(ref);
    slabs.makeNewest(copy);
    keys.newest.set(id, copy);
    return true;
  }
}
