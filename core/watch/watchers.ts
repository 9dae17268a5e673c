// Every watcher: one row of twelve numbers outside the heap (48 bytes; P14 of the goals), found by stream and id, and a
// member of two lists at any time:
//
//   up to date   synced list of its interest    synced list of its stream
//   lagging      lagging list of its interest   lagging list of its stream
//
// The same links serve both states. The cursor is the first revision that a lagging watcher has not been told of; of a
// watcher that is up to date it means only that nothing below is wanted (it may lie in the future).

import { assert } from "../base/assert.ts";
import { ChainIndex, hashId } from "../base/chain-index.ts";
import { Rows } from "../base/rows.ts";
import type { KeyRange } from "./interests.ts";
import { FIRST_LAGGING, FIRST_SYNCED, Interests } from "./interests.ts";
import type { WatchStream } from "./watch-stream.ts";

/** Stream index << 10 | flags. */
const STREAM_FLAGS = 0;
const CURSOR = 1; // two fields
const ID_HI = 3;
const ID_LO = 4;
const INTEREST = 5;
const INTEREST_NEXT = 6;
const INTEREST_PREVIOUS = 7;
const STREAM_NEXT = 8;
const STREAM_PREVIOUS = 9;
const ID_NEXT = 10;
/** Number + 1 of its group in the batch of events being built; 0 outside. */
const PENDING = 11;
const FIELD_COUNT = 12;

const FLAG_BITS = 10;
const FLAG_MASK = (1 << FLAG_BITS) - 1;
export const STREAM_COUNT_MAX = 2 ** (32 - FLAG_BITS);

export const WATCH_NO_PUT = 1;
export const WATCH_NO_DELETE = 2;
export const WATCH_PREV_KV = 4;
export const WATCH_FRAGMENT = 8;
export const WATCH_PROGRESS_NOTIFY = 16;
/** No events since the last progress notification was due. */
export const WATCH_QUIET = 32;
export const WATCH_LAGGING = 64;
/** Takes part in the catch-up pass at hand. */
export const WATCH_SELECTED = 128;
/** Asked for a start behind the revisions of its time; progress waits for it. */
export const WATCH_FUTURE = 256;

export class Watchers {
  readonly rows = new Rows(FIELD_COUNT);
  readonly interests: Interests;
  readonly #ids: ChainIndex;
  readonly #seed: number;
  #laggingCount = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.interests = new Interests(seed);
    this.#ids = new ChainIndex(this.rows, ID_NEXT, (slot) =>
      this.#hashOf(this.streamIndex(slot), this.idHi(slot), this.idLo(slot)),
    );
  }

  get count(): number {
    return this.rows.count;
  }

  get laggingCount(): number {
    return this.#laggingCount;
  }

  get sizeBytes(): number {
    return this.rows.sizeBytes + this.#ids.sizeBytes + this.interests.sizeBytes;
  }

  find(stream: WatchStream, idHi: number, idLo: number): number {
    const { rows } = this;
    let slot = this.#ids.first(this.#hashOf(stream.index, idHi, idLo));
    for (; slot !== 0; slot = this.#ids.next(slot)) {
      if (rows.get(slot, ID_LO) !== (idLo | 0) || rows.get(slot, ID_HI) !== (idHi | 0)) continue;
      if (this.streamIndex(slot) === stream.index) return slot;
    }
    return 0;
  }

  /** Adds a watcher that is up to date; `demote` follows when it starts in the past. */
  add(stream: WatchStream, idHi: number, idLo: number, range: KeyRange): number {
    assert(this.find(stream, idHi, idLo) === 0, "an id is used once in a stream");
    const { rows } = this;
    const slot = rows.allocate();
    rows.set(slot, STREAM_FLAGS, stream.index << FLAG_BITS);
    rows.set(slot, ID_HI, idHi);
    rows.set(slot, ID_LO, idLo);
    rows.set(slot, INTEREST, this.interests.find(range));
    this.#ids.add(this.#hashOf(stream.index, idHi, idLo), slot);
    this.#linkSynced(stream, slot);
    stream.watcherCount++;
    return slot;
  }

  remove(stream: WatchStream, slot: number): void {
    assert(this.streamIndex(slot) === stream.index, "a watcher is removed from its own stream");
    assert(this.rows.get(slot, PENDING) === 0, "a watcher with pending events is not removed");
    this.#unlink(stream, slot);
    if (this.has(slot, WATCH_LAGGING)) {
      this.#laggingCount--;
      stream.laggingCount--;
    }
    const interest = this.rows.get(slot, INTEREST);
    const rowsOfInterests = this.interests.rows;
    if (
      rowsOfInterests.get(interest, FIRST_SYNCED) === 0 &&
      rowsOfInterests.get(interest, FIRST_LAGGING) === 0
    )
      this.interests.remove(interest);
    this.#ids.remove(this.#hashOf(stream.index, this.idHi(slot), this.idLo(slot)), slot);
    this.rows.release(slot);
    stream.watcherCount--;
  }

  /** It no longer has everything: the first revision it lacks is `cursor`. */
  demote(stream: WatchStream, slot: number, cursor: number): void {
    assert(!this.has(slot, WATCH_LAGGING), "only a watcher that is up to date falls behind");
    this.#unlink(stream, slot);
    this.setFlag(slot, WATCH_LAGGING);
    this.setCursor(slot, cursor);
    this.#linkLagging(stream, slot);
    this.#laggingCount++;
    stream.laggingCount++;
  }

  /** It has everything again. */
  promote(stream: WatchStream, slot: number): void {
    assert(this.has(slot, WATCH_LAGGING), "only a lagging watcher catches up");
    this.#unlink(stream, slot);
    this.clearFlag(slot, WATCH_LAGGING);
    this.#linkSynced(stream, slot);
    this.#laggingCount--;
    stream.laggingCount--;
  }

  /** Makes a lagging watcher the first of its interest's list, so that a pass finds those selected in front. */
  select(slot: number): void {
    this.setFlag(slot, WATCH_SELECTED);
    const interest = this.rows.get(slot, INTEREST);
    if (this.interests.rows.get(interest, FIRST_LAGGING) === slot) return;
    this.#unlinkFromInterest(slot);
    this.#linkToInterest(slot, FIRST_LAGGING);
  }

  /** Makes a lagging watcher the last of its stream's list, so that others get their turn. */
  rotate(stream: WatchStream, slot: number): void {
    if (stream.lastLagging === slot) return;
    this.#unlinkFromStream(stream, slot);
    this.#appendLagging(stream, slot);
  }

  nextOfInterest(slot: number): number {
    return this.rows.get(slot, INTEREST_NEXT);
  }

  nextOfStream(slot: number): number {
    return this.rows.get(slot, STREAM_NEXT);
  }

  streamIndex(slot: number): number {
    return this.rows.get(slot, STREAM_FLAGS) >>> FLAG_BITS;
  }

  flags(slot: number): number {
    return this.rows.get(slot, STREAM_FLAGS) & FLAG_MASK;
  }

  has(slot: number, flag: number): boolean {
    return (this.rows.get(slot, STREAM_FLAGS) & flag) !== 0;
  }

  setFlag(slot: number, flag: number): void {
    this.rows.set(slot, STREAM_FLAGS, this.rows.get(slot, STREAM_FLAGS) | flag);
  }

  clearFlag(slot: number, flag: number): void {
    this.rows.set(slot, STREAM_FLAGS, this.rows.get(slot, STREAM_FLAGS) & ~flag);
  }

  idHi(slot: number): number {
    return this.rows.get(slot, ID_HI) >>> 0;
  }

  idLo(slot: number): number {
    return this.rows.get(slot, ID_LO) >>> 0;
  }

  cursor(slot: number): number {
    return this.rows.wide(slot, CURSOR);
  }

  setCursor(slot: number, revision: number): void {
    this.rows.setWide(slot, CURSOR, revision);
  }

  /** Its group in the batch at hand, -1 for none. */
  group(slot: number): number {
    return this.rows.get(slot, PENDING) - 1;
  }

  setGroup(slot: number, group: number): void {
    this.rows.set(slot, PENDING, group + 1);
  }

  #hashOf(streamIndex: number, idHi: number, idLo: number): number {
    return hashId(Math.imul(streamIndex + 1, 0x9e3779b1) ^ idHi, idLo, this.#seed);
  }

  #linkSynced(stream: WatchStream, slot: number): void {
    this.#linkToInterest(slot, FIRST_SYNCED);
    const head = stream.firstSynced;
    this.rows.set(slot, STREAM_NEXT, head);
    this.rows.set(slot, STREAM_PREVIOUS, 0);
    if (head !== 0) this.rows.set(head, STREAM_PREVIOUS, slot);
    stream.firstSynced = slot;
  }

  #linkLagging(stream: WatchStream, slot: number): void {
    this.#linkToInterest(slot, FIRST_LAGGING);
    this.#appendLagging(stream, slot);
  }

  #appendLagging(stream: WatchStream, slot: number): void {
    const last = stream.lastLagging;
    this.rows.set(slot, STREAM_NEXT, 0);
    this.rows.set(slot, STREAM_PREVIOUS, last);
    if (last === 0) stream.firstLagging = slot;
    else this.rows.set(last, STREAM_NEXT, slot);
    stream.lastLagging = slot;
  }

  #linkToInterest(slot: number, list: number): void {
    const { rows } = this;
    const rowsOfInterests = this.interests.rows;
    const interest = rows.get(slot, INTEREST);
    const head = rowsOfInterests.get(interest, list);
    rows.set(slot, INTEREST_NEXT, head);
    rows.set(slot, INTEREST_PREVIOUS, 0);
    if (head !== 0) rows.set(head, INTEREST_PREVIOUS, slot);
    rowsOfInterests.set(interest, list, slot);
  }

  #unlink(stream: WatchStream, slot: number): void {
    this.#unlinkFromInterest(slot);
    this.#unlinkFromStream(stream, slot);
  }

  #unlinkFromInterest(slot: number): void {
    const { rows } = this;
    const next = rows.get(slot, INTEREST_NEXT);
    const previous = rows.get(slot, INTEREST_PREVIOUS);
    const list = this.has(slot, WATCH_LAGGING) ? FIRST_LAGGING : FIRST_SYNCED;
    if (previous !== 0) rows.set(previous, INTEREST_NEXT, next);
    else this.interests.rows.set(rows.get(slot, INTEREST), list, next);
    if (next !== 0) rows.set(next, INTEREST_PREVIOUS, previous);
  }

  #unlinkFromStream(stream: WatchStream, slot: number): void {
    const { rows } = this;
    const next = rows.get(slot, STREAM_NEXT);
    const previous = rows.get(slot, STREAM_PREVIOUS);
    const isLagging = this.has(slot, WATCH_LAGGING);
    if (previous !== 0) rows.set(previous, STREAM_NEXT, next);
    else if (isLagging) stream.firstLagging = next;
    else stream.firstSynced = next;
    if (next !== 0) rows.set(next, STREAM_PREVIOUS, previous);
    else if (isLagging) stream.lastLagging = previous;
  }
}
