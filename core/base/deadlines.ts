// Many deadlines, one timer: a binary heap in typed arrays. An entry is a deadline and the caller's tag (a slot, an
// index); a handle names it until it is popped or cancelled, and is then used again for another. Equal deadlines come
// out in the order in which they were added, so that a run depends on nothing but its inputs.
//
//   const handle = heap.add(nowMs + 500, slot);       heap.move(handle, nowMs + 900);      heap.cancel(handle);
//   for (let tag = heap.pop(nowMs); tag >= 0; tag = heap.pop(nowMs)) …
//   sleep until heap.nextMs

import { assert } from "./assert.ts";

const UNUSED = -1;

export class DeadlineHeap {
  /** By place in the heap (a parent is never later than its children): the handle. */
  #handleAt: Int32Array;
  /** By handle: its place, or UNUSED. */
  #placeOf: Int32Array;
  #deadlineOf: Float64Array;
  #tagOf: Int32Array;
  /** By handle: when it was added, as a count; decides between equal deadlines. */
  #sequenceOf: Float64Array;
  /** Handles below `#handleCount` that are free, as a stack. */
  #freeHandles: Int32Array;
  #freeCount = 0;
  #handleCount = 0;
  #count = 0;
  #sequence = 0;

  constructor(capacity = 64) {
    assert(capacity > 0, "a heap starts with some room");
    this.#handleAt = new Int32Array(capacity);
    this.#placeOf = new Int32Array(capacity).fill(UNUSED);
    this.#deadlineOf = new Float64Array(capacity);
    this.#tagOf = new Int32Array(capacity);
    this.#sequenceOf = new Float64Array(capacity);
    this.#freeHandles = new Int32Array(capacity);
  }

  get count(): number {
    return this.#count;
  }

  /** The earliest deadline, Infinity without any. */
  get nextMs(): number {
    return this.#count === 0 ? Infinity : this.#deadlineOf[this.#handleAt[0]!]!;
  }

  /** `tag` is the caller's, at least 0. Returns the handle. */
  add(deadlineMs: number, tag: number): number {
    assert(!Number.isNaN(deadlineMs), "a deadline is a number");
    assert(tag >= 0, "a tag is at least 0");
    if (this.#count === this.#handleAt.length) this.#grow();
    const handle = this.#freeCount > 0 ? this.#freeHandles[--this.#freeCount]! : this.#handleCount++;
    this.#deadlineOf[handle] = deadlineMs;
    this.#tagOf[handle] = tag;
    this.#sequenceOf[handle] = this.#sequence++;
    this.#rise(this.#count++, handle);
    return handle;
  }

  /** Gives an entry another deadline; among equals it is then the last. */
  move(handle: number, deadlineMs: number): void {
    assert(!Number.isNaN(deadlineMs), "a deadline is a number");
    const place = this.#place(handle);
    const before = this.#deadlineOf[handle]!;
    this.#deadlineOf[handle] = deadlineMs;
    this.#sequenceOf[handle] = this.#sequence++;
    if (deadlineMs < before) this.#rise(place, handle);
    else this.#sink(place, handle);
  }

  cancel(handle: number): void {
    this.#remove(this.#place(handle));
  }

  deadlineMs(handle: number): number {
    this.#place(handle);
    return this.#deadlineOf[handle]!;
  }

  /** Removes the earliest entry if its deadline has come, and returns its tag; else -1. */
  pop(nowMs: number): number {
    if (this.#count === 0) return -1;
    const handle = this.#handleAt[0]!;
    if (this.#deadlineOf[handle]! > nowMs) return -1;
    this.#remove(0);
    return this.#tagOf[handle]!;
  }

  clear(): void {
    this.#placeOf.fill(UNUSED);
    this.#count = this.#handleCount = this.#freeCount = 0;
  }

  #place(handle: number): number {
    const place = handle >= 0 && handle < this.#handleCount ? this.#placeOf[handle]! : UNUSED;
    assert(place !== UNUSED, "a handle is used between add() and pop() or cancel() only");
    return place;
  }

  #isEarlier(a: number, b: number): boolean {
    const aMs = this.#deadlineOf[a]!;
    const bMs = this.#deadlineOf[b]!;
    if (aMs !== bMs) return aMs < bMs;
    return this.#sequenceOf[a]! < this.#sequenceOf[b]!;
  }

  #remove(place: number): void {
    const handle = this.#handleAt[place]!;
    const moved = this.#handleAt[--this.#count]!;
    this.#placeOf[handle] = UNUSED;
    this.#freeHandles[this.#freeCount++] = handle;
    if (place === this.#count) return;
    if (this.#isEarlier(moved, handle)) this.#rise(place, moved);
    else this.#sink(place, moved);
  }

  #rise(place: number, handle: number): void {
    while (place > 0) {
      const parentPlace = (place - 1) >> 1;
      const parent = this.#handleAt[parentPlace]!;
      if (!this.#isEarlier(handle, parent)) break;
      this.#set(place, parent);
      place = parentPlace;
    }
    this.#set(place, handle);
  }

  #sink(place: number, handle: number): void {
    for (;;) {
      let childPlace = place * 2 + 1;
      if (childPlace >= this.#count) break;
      const right = childPlace + 1;
      if (right < this.#count && this.#isEarlier(this.#handleAt[right]!, this.#handleAt[childPlace]!))
        childPlace = right;
      const child = this.#handleAt[childPlace]!;
      if (!this.#isEarlier(child, handle)) break;
      this.#set(place, child);
      place = childPlace;
    }
    this.#set(place, handle);
  }

  #set(place: number, handle: number): void {
    this.#handleAt[place] = handle;
    this.#placeOf[handle] = place;
  }

  #grow(): void {
    const capacity = this.#handleAt.length * 2;
    this.#handleAt = grownInt32(this.#handleAt, capacity);
    this.#tagOf = grownInt32(this.#tagOf, capacity);
    this.#freeHandles = grownInt32(this.#freeHandles, capacity);
    const length = this.#placeOf.length;
    this.#placeOf = grownInt32(this.#placeOf, capacity).fill(UNUSED, length);
    this.#deadlineOf = grownFloat64(this.#deadlineOf, capacity);
    this.#sequenceOf = grownFloat64(this.#sequenceOf, capacity);
  }
}

function grownInt32(source: Int32Array, capacity: number): Int32Array {
  const grown = new Int32Array(capacity);
  grown.set(source);
  return grown;
}

function grownFloat64(source: Float64Array, capacity: number): Float64Array {
  const grown = new Float64Array(capacity);
  grown.set(source);
  return grown;
}
