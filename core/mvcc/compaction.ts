// Drops what no read at or above the compacted revision C needs, in slices, after the compaction itself (one number) has
// been applied. A record of revision r <= C is needed if it is the newest one <= C of its key and no tombstone; a
// tombstone exactly at C stays, too, until the next compaction (as in etcd 3.6).
//
//   mark      every record in (C before, C]: what it replaced is dead
//   collect   every record in [C before, C) that is left: tombstones are dead, and their keys are forgotten; versions
//             become "survivors"
//   filter    dead ones leave the list of survivors
//   clean     segments below C: wholly dead ones are given back, of sparse ones the survivors move to the old stream
//
// Nothing walks the keys. Readers in between are not disturbed: they stop at the newest record that is not above their
// revision, and no such record is touched. Whoever reads survivors (hash, checkpoint) excludes compaction meanwhile.

import { assert } from "../base/assert.ts";
import { COLD_READ_UNITS } from "./cold-reader.ts";
import { NumberList } from "./column.ts";
import type { RecordRef } from "./record.ts";
import { FLAG_DEAD, WORD_KEY_ID, WORD_KEY_SIZE, modRevisionAt, subRevisionAt } from "./record.ts";
import type { Segment } from "./slabs.ts";
import { SEGMENT_HEAD_BYTES } from "./slabs.ts";
import type { Store } from "./store.ts";

type Phase = "idle" | "mark" | "collect" | "filter" | "clean";

/** Below this part of live bytes a segment is cleaned; a copy of what lives costs less than keeping what does not. */
const CLEAN_BELOW = 0.5;
/** So many bytes (4 KiB) that are copied take as long as looking at a record. */
const BYTES_PER_UNIT_SHIFT = 12;
/** A record that moves is looked for among the survivors, and what leads to it is found. */
const MOVE_UNITS = 6;
/** When an operator asks for it, a little gain is worth the work. */
const DEFRAGMENT_BELOW = 0.95;

export class Compaction {
  readonly #store: Store;
  #phase: Phase = "idle";
  /** The revision that this run compacts to. */
  #goal = 0;
  /** The record to go on with, in mark and collect. */
  #ref: RecordRef = 0;
  /** In filter: the next survivor to look at, and the list that takes its place. */
  #index = 0;
  #filtered = new NumberList();
  /** In clean: segments to do, the last one first, and where in it to go on. */
  #segments: Segment[] = [];
  #offset = 0;
  #cleanBelow = CLEAN_BELOW;
  /** Records that compactions have dropped so far. */
  droppedCount = 0;

  constructor(store: Store) {
    this.#store = store;
  }

  get isRunning(): boolean {
    return this.#phase !== "idle";
  }

  /** Whether a compaction that was applied is not carried out yet. */
  get isDue(): boolean {
    return this.#store.compactedRevision > this.#store.revisions.base;
  }

  /** Everything below it is dropped. */
  get finishedRevision(): number {
    return this.#store.revisions.base;
  }

  /** Starts a run to the store's compacted revision. */
  begin(): void {
    assert(this.#phase === "idle", "one run at a time");
    this.#goal = this.#store.compactedRevision;
    this.#cleanBelow = CLEAN_BELOW;
    this.#phase = "mark";
    this.#ref = this.#firstInWindow();
  }

  /** Starts a run that only cleans, thoroughly. */
  beginDefragment(): void {
    assert(this.#phase === "idle", "one run at a time");
    this.#cleanBelow = DEFRAGMENT_BELOW;
    this.#chooseSegments();
  }

  /** Looks at about so many records; true while there is more to do. */
  slice(recordCount: number): boolean {
    let left = recordCount;
    while (left > 0 && this.#phase !== "idle") left = this.#step(left);
    return this.#phase !== "idle";
  }

  #step(budget: number): number {
    switch (this.#phase) {
      case "mark":
        return this.#mark(budget);
      case "collect":
        return this.#collect(budget);
      case "filter":
        return this.#filter(budget);
      case "clean":
        return this.#clean(budget);
      case "idle":
        return budget;
    }
  }

  #firstInWindow(): RecordRef {
    const { revisions } = this.#store;
    for (let revision = revisions.base; revision < revisions.next; revision++) {
      const ref = revisions.first(revision);
      if (ref !== 0) return ref;
    }
    return 0;
  }

  #mark(budget: number): number {
    const store = this.#store;
    const { revisions } = store;
    let left = budget;
    while (this.#ref !== 0 && left-- > 0) {
      const ref = this.#ref;
      if (store.modRevisionOf(ref) > this.#goal) {
        this.#ref = 0;
        break;
      }
      const previous = store.previousOf(ref);
      if (previous !== 0) {
        const isSurvivor = store.modRevisionOf(previous) < revisions.base;
        if (store.kill(previous)) {
          this.droppedCount++;
          if (isSurvivor) revisions.survivorsDead++;
        }
        store.setPrevious(ref, 0);
      }
      this.#ref = store.following(ref);
    }
    if (this.#ref === 0) {
      this.#phase = "collect";
      this.#ref = this.#firstInWindow();
    }
    return left;
  }

  #collect(budget: number): number {
    const store = this.#store;
    const { revisions, keys } = store;
    let left = budget;
    while (this.#ref !== 0 && left-- > 0) {
      const ref = this.#ref;
      if (store.modRevisionOf(ref) >= this.#goal) {
        this.#ref = 0;
        break;
      }
      if (!store.isDead(ref)) {
        if (!store.isTombstone(ref)) revisions.survivors.push(ref);
        else {
          const readCount = store.coldReadCount;
          const id = store.keyIdOf(ref);
          left -= (store.coldReadCount - readCount) * COLD_READ_UNITS;
          if (store.originalOf(keys.newest.get(id)) === ref) store.forgetKey(id);
          else store.redirect(id, ref, 0); // its successor lies above the goal
          store.kill(ref);
          this.droppedCount++;
        }
      }
      this.#ref = store.following(ref);
    }
    if (this.#ref === 0) {
      revisions.advance(this.#goal);
      this.#chooseSegments();
    }
    return left;
  }

  /** Which segments to clean; the list of survivors must not lead to what they lose. */
  #chooseSegments(): void {
    const { slabs, revisions } = this.#store;
    this.#segments = [];
    for (const segment of slabs.segments) {
      if (segment === undefined || segment === slabs.main || segment.kind === "copies") continue;
      if (segment.lastRevision >= revisions.base) continue;
      const isSparse = segment.liveBytes < (segment.usedBytes - SEGMENT_HEAD_BYTES) * this.#cleanBelow;
      if (segment.liveBytes === 0 || (isSparse && segment !== slabs.old)) this.#segments.push(segment);
    }
    this.#index = 0;
    this.#offset = SEGMENT_HEAD_BYTES;
    this.#filtered = new NumberList();
    const manyDead = revisions.survivorsDead * 4 > revisions.survivors.length;
    if (revisions.survivorsDead > 0 && (this.#segments.length > 0 || manyDead)) this.#phase = "filter";
    else this.#phase = this.#segments.length > 0 ? "clean" : "idle";
  }

  #filter(budget: number): number {
    const store = this.#store;
    const { revisions } = store;
    let left = budget;
    while (this.#index < revisions.survivors.length && left-- > 0) {
      const ref = revisions.survivors.get(this.#index++);
      if (!store.isDead(ref)) this.#filtered.push(ref);
    }
    if (this.#index < revisions.survivors.length) return left;
    revisions.survivors = this.#filtered;
    revisions.survivorsDead = 0;
    this.#filtered = new NumberList();
    this.#phase = this.#segments.length > 0 ? "clean" : "idle";
    return left;
  }

  #clean(budget: number): number {
    const { slabs } = this.#store;
    const segment = this.#segments.at(-1);
    if (segment === undefined) {
      this.#phase = "idle";
      return budget;
    }
    let left = budget;
    if (segment.liveBytes > 0) {
      while (this.#offset < segment.usedBytes && left > 0) {
        const store = this.#store;
        const { coldReadCount } = store;
        const isAlive = !store.isDead(slabs.refAt(segment.slot, this.#offset));
        const size = this.#moveRecord(segment, this.#offset);
        this.#offset += size;
        left -= isAlive ? MOVE_UNITS + (size >>> BYTES_PER_UNIT_SHIFT) : 1;
        left -= (store.coldReadCount - coldReadCount) * COLD_READ_UNITS;
      }
      if (this.#offset < segment.usedBytes) return left;
    }
    slabs.free(segment);
    this.#segments.pop();
    this.#offset = SEGMENT_HEAD_BYTES;
    return left;
  }

  /** Moves the record at this offset if it lives; returns its size. */
  #moveRecord(segment: Segment, offset: number): number {
    const store = this.#store;
    const { slabs } = store;
    const from = slabs.refAt(segment.slot, offset);
    const size = store.recordSizeBytes(from);
    if (store.isDead(from)) return size;
    const previous = store.previousOf(from);
    const { bytes, words, at } = store.locate(from);
    const mod = modRevisionAt(words, at);
    const id = words[at + WORD_KEY_ID]!;
    const sub = subRevisionAt(words, at);
    const to = slabs.copyToOld(bytes, at * 4, size, mod);
    // What its file says of these was true when it was written.
    store.wordsOf(to)[slabs.wordOf(to) + WORD_KEY_SIZE]! &= ~FLAG_DEAD;
    store.setPrevious(to, previous);
    const index = this.#survivorIndex(mod, sub);
    assert(store.revisions.survivors.get(index) === from, "a living record below the base is a survivor");
    store.revisions.survivors.set(index, to);
    store.redirect(id, from, to);
    store.kill(from);
    return size;
  }

  /** The place of a revision in the list of survivors, which is sorted by it. */
  #survivorIndex(mod: number, sub: number): number {
    const store = this.#store;
    const { survivors } = store.revisions;
    let low = 0;
    let high = survivors.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const ref = survivors.get(middle);
      let order = store.modRevisionOf(ref) - mod;
      if (order === 0) {
        const { words, at } = store.locate(ref);
        order = subRevisionAt(words, at) - sub;
      }
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
