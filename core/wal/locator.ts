// Where entries lie in the files, sparsely: a sample every so many bytes, at the head of each segment and wherever the
// log went back to a lower index. Between two samples entries follow each other; an entry at or above a later sample's
// index that lies before it was overwritten.
//
//   indexes:  1 ........ 900 ....... 1400 | 1200 (the log went back) .... 1600
//   samples:  1          900       (1300 is dropped)  1200               1600

import { assert } from "../base/assert.ts";

/** Bytes between samples: what a reader may have to pass over before the entry it wants. */
const SAMPLE_DISTANCE_BYTES = 256 * 1024;

export class EntryLocator {
  readonly index: number[] = [];
  readonly segment: number[] = [];
  readonly offset: number[] = [];
  /** The chain's value before the record at `offset`. */
  readonly crcBefore: number[] = [];

  get isEmpty(): boolean {
    return this.index.length === 0;
  }

  /** An entry starts at `offset` of `segment`. Takes a sample when one is due. */
  note(index: number, segment: number, offset: number, crcBefore: number): void {
    const last = this.index.length - 1;
    if (last >= 0) {
      const near = this.segment[last] === segment && offset - this.offset[last]! < SAMPLE_DISTANCE_BYTES;
      if (index > this.index[last]! && near) return;
      this.dropFrom(index);
    }
    this.index.push(index);
    this.segment.push(segment);
    this.offset.push(offset);
    this.crcBefore.push(crcBefore);
  }

  /** The log goes back: the next entry has an index that was already written, wherever it lies. */
  rewind(index: number, segment: number, offset: number, crcBefore: number): void {
    this.dropFrom(index);
    this.index.push(index);
    this.segment.push(segment);
    this.offset.push(offset);
    this.crcBefore.push(crcBefore);
  }

  /** The sample at or before an index; -1 when it lies before them all. */
  find(index: number): number {
    let low = 0;
    let high = this.index.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.index[middle]! <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  /** Forgets the samples in segments below this one. */
  dropSegmentsBelow(segment: number): void {
    let count = 0;
    while (count < this.segment.length && this.segment[count]! < segment) count++;
    this.index.splice(0, count);
    this.segment.splice(0, count);
    this.offset.splice(0, count);
    this.crcBefore.splice(0, count);
  }

  clear(): void {
    this.dropFrom(0);
  }

  dropFrom(index: number): void {
    const keep = this.find(index - 1) + 1;
    this.index.length = keep;
    this.segment.length = keep;
    this.offset.length = keep;
    this.crcBefore.length = keep;
    assert(keep === 0 || this.index[keep - 1]! < index, "samples ascend");
  }
}
