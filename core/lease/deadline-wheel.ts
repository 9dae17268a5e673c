// When leases end: a hierarchical timing wheel (Varghese and Lauck 1987) over rows that live elsewhere.
//
//   level 0: 64 places of one tick (64 ms) · level 1: 64 places of 64 ticks · … · level 6: 64^7 ticks, 8,900 years
//
// A row hangs in a doubly linked list at one place, so insertion and removal cost the same whatever the count. A
// deadline that moves to later is not touched at all: the row is asked again (`deadlineOf`) when its place comes up, and
// put where it belongs now. So a renewal writes one number.
//
// All work is done by take(), one unit a row moved or handed out, and stops when `work` is used up: 100,000 rows at one
// place are taken, or moved down a level, over as many calls as the caller likes. Nothing is handed out early; late by
// less than a tick, and by the caller's own delay.

import { assert } from "../base/assert.ts";
import type { Rows } from "../base/rows.ts";

export const TICK_MS = 64;
const LEVEL_COUNT = 7;
const PLACES = 64;
/** 64^level. */
const SPAN = [1, 64, 4096, 262_144, 16_777_216, 1_073_741_824, 68_719_476_736, 4_398_046_511_104];

export class DeadlineWheel {
  readonly #rows: Rows;
  /** Three fields of the row: next, previous, place + 1 (0: not in the wheel). */
  readonly #next: number;
  readonly #previous: number;
  readonly #place: number;
  readonly #deadlineOf: (slot: number) => number;
  /** First row of each place. */
  readonly #heads = new Int32Array(LEVEL_COUNT * PLACES);
  /** The tick up to which all is done; never goes back. */
  #tick = 0;
  #count = 0;
  /** The earliest place in use and the tick at which it starts; -1: not known, or the wheel is empty. */
  #firstPlace = -1;
  #firstTick = 0;
  /** The tick at which the place last given by #placeFor starts. */
  #startTick = 0;
  /** Units that take() may still use; set by the caller. */
  work = 0;

  constructor(rows: Rows, firstField: number, deadlineOf: (slot: number) => number) {
    this.#rows = rows;
    this.#next = firstField;
    this.#previous = firstField + 1;
    this.#place = firstField + 2;
    this.#deadlineOf = deadlineOf;
  }

  get count(): number {
    return this.#count;
  }

  has(slot: number): boolean {
    return this.#rows.get(slot, this.#place) !== 0;
  }

  insert(slot: number): void {
    assert(!this.has(slot), "a row is in the wheel once");
    const place = this.#placeFor(Math.ceil(this.#deadlineOf(slot) / TICK_MS));
    if (this.#startTick < this.#firstTick) this.#firstPlace = -1;
    const head = this.#heads[place]!;
    this.#rows.set(slot, this.#next, head);
    this.#rows.set(slot, this.#previous, 0);
    this.#rows.set(slot, this.#place, place + 1);
    if (head !== 0) this.#rows.set(head, this.#previous, slot);
    this.#heads[place] = slot;
    this.#count++;
  }

  remove(slot: number): void {
    const place = this.#rows.get(slot, this.#place) - 1;
    assert(place >= 0, "only a row in the wheel is removed from it");
    const next = this.#rows.get(slot, this.#next);
    const previous = this.#rows.get(slot, this.#previous);
    if (previous === 0) this.#heads[place] = next;
    else this.#rows.set(previous, this.#next, next);
    if (next !== 0) this.#rows.set(next, this.#previous, previous);
    this.#rows.set(slot, this.#next, 0);
    this.#rows.set(slot, this.#previous, 0);
    this.#rows.set(slot, this.#place, 0);
    this.#count--;
  }

  /** Before this time take() gives nothing; Infinity when the wheel is empty. */
  nextMs(): number {
    this.#findFirst();
    return this.#firstPlace < 0 ? Infinity : this.#firstTick * TICK_MS;
  }

  /** Removes and returns one row whose deadline has come; 0 when there is none, or when `work` is used up. */
  take(nowMs: number): number {
    while (this.work > 0) {
      this.#findFirst();
      if (this.#firstPlace < 0 || this.#firstTick * TICK_MS > nowMs) {
        this.#tick = Math.max(this.#tick, Math.floor(nowMs / TICK_MS));
        return 0;
      }
      this.work--;
      this.#tick = Math.max(this.#tick, this.#firstTick);
      const slot = this.#heads[this.#firstPlace]!;
      this.remove(slot);
      if (this.#deadlineOf(slot) <= nowMs) return slot;
      this.insert(slot);
    }
    return 0;
  }

  /** The place of a tick: on the lowest level whose block holds both that tick and the present one. */
  #placeFor(tickOfDeadline: number): number {
    const tick = Math.max(tickOfDeadline, this.#tick);
    let level = 0;
    while (
      level < LEVEL_COUNT - 1 &&
      Math.floor(tick / SPAN[level + 1]!) !== Math.floor(this.#tick / SPAN[level + 1]!)
    )
      level++;
    const span = SPAN[level]!;
    const number = Math.floor(tick / span);
    this.#startTick = number * span;
    return level * PLACES + (number % PLACES);
  }

  /**
   * From the top level down, a lower one winning only when it starts earlier: what is left of a place that is being
   * moved down, part done, comes before all that was moved.
   */
  #findFirst(): void {
    if (this.#firstPlace >= 0 && this.#heads[this.#firstPlace] !== 0) return;
    this.#firstPlace = -1;
    if (this.#count === 0) return;
    for (let level = LEVEL_COUNT - 1; level >= 0; level--) {
      const span = SPAN[level]!;
      const block = Math.floor(this.#tick / SPAN[level + 1]!) * SPAN[level + 1]!;
      for (let digit = Math.floor(this.#tick / span) % PLACES; digit < PLACES; digit++) {
        if (this.#heads[level * PLACES + digit] === 0) continue;
        const start = block + digit * span;
        if (this.#firstPlace < 0 || start < this.#firstTick) {
          this.#firstPlace = level * PLACES + digit;
          this.#firstTick = start;
        }
        break;
      }
    }
    assert(this.#firstPlace >= 0, "every row of the wheel is ahead of the present tick");
  }
}
