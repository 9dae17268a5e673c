// From revision to its first record. From `base` on, at or below the compacted revision, an entry per revision; the
// records below it that compaction left, "survivors", are a list in the order of revision and sub revision, and are
// found by walking it.

import { assert } from "../base/assert.ts";
import { NumberList } from "./column.ts";
import type { RecordRef } from "./record.ts";

export class RevisionIndex {
  /** Revision of the first entry of `firsts`. */
  base = 2;
  /** By revision less `base`: its first record. */
  readonly firsts: NumberList = new NumberList();
  /** Records below `base`, oldest first; some may be dead, see `survivorsDead`. */
  survivors: NumberList = new NumberList();
  survivorsDead = 0;

  /** The first revision that has no entry yet. */
  get next(): number {
    return this.base + this.firsts.length;
  }

  /** Notes the first record of the next revision. */
  add(revision: number, ref: RecordRef): void {
    // A start counts on it: it finds where revisions begin by what follows what.
    assert(revision === this.next, "revisions come in order, and each has a record");
    this.firsts.push(ref);
  }

  /** 0 for a revision below `base`, or one that is not there yet. */
  first(revision: number): RecordRef {
    const index = revision - this.base;
    return index >= 0 && index < this.firsts.length ? this.firsts.get(index) : 0;
  }

  /** Moves the border: revisions below `base` are in `survivors` now. */
  advance(base: number): void {
    assert(base >= this.base, "the border moves up");
    this.firsts.dropFirst(Math.min(base - this.base, this.firsts.length));
    this.base = base;
  }
}
