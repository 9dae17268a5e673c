// Virtual time: a heap of events, ordered by time and then by the order in which they were asked for. Nothing happens
// between events, so an hour takes as long as what happens in it.

import type { Clock } from "../../core/base/ports.ts";

interface Event {
  readonly timeMs: number;
  readonly sequence: number;
  /** `undefined` once it has happened or was cancelled. */
  action: (() => void) | undefined;
}

/** Names an event, to cancel it. */
export type EventHandle = Event;

export class SimulatedClock implements Clock {
  #nowMs = 0;
  #sequence = 0;
  readonly #heap: Event[] = [];
  readonly #unixSecondsAtStart: number;

  constructor(unixSecondsAtStart = 1_700_000_000) {
    this.#unixSecondsAtStart = unixSecondsAtStart;
  }

  now(): number {
    return this.#nowMs;
  }

  unixSeconds(): number {
    return this.#unixSecondsAtStart + Math.floor(this.#nowMs / 1000);
  }

  /** Calls `action` when the clock reaches `timeMs`; times gone by count as now. */
  at(timeMs: number, action: () => void): EventHandle {
    const event: Event = { timeMs: Math.max(timeMs, this.#nowMs), sequence: this.#sequence++, action };
    this.#heap.push(event);
    this.#up(this.#heap.length - 1);
    return event;
  }

  after(delayMs: number, action: () => void): EventHandle {
    return this.at(this.#nowMs + delayMs, action);
  }

  cancel(event: EventHandle): void {
    event.action = undefined;
  }

  /** When the next event is due; Infinity when there is none. */
  nextMs(): number {
    this.#dropCancelled();
    return this.#heap.length === 0 ? Infinity : this.#heap[0]!.timeMs;
  }

  /** Moves to the next event and runs it, late when work took longer than until then; false when there is none. */
  step(): boolean {
    this.#dropCancelled();
    const event = this.#heap[0];
    if (event === undefined) return false;
    this.#removeFirst();
    this.#nowMs = Math.max(this.#nowMs, event.timeMs);
    const action = event.action!;
    event.action = undefined;
    action();
    return true;
  }

  /** Runs everything that is due up to `timeMs`, and leaves the clock there. */
  runUntil(timeMs: number): void {
    while (this.nextMs() <= timeMs) this.step();
    this.#nowMs = Math.max(this.#nowMs, timeMs);
  }

  /** Lets time pass without an event, as work on the machine does. */
  advance(delayMs: number): void {
    this.#nowMs += delayMs;
  }

  #dropCancelled(): void {
    while (this.#heap.length > 0 && this.#heap[0]!.action === undefined) this.#removeFirst();
  }

  #removeFirst(): void {
    const last = this.#heap.pop()!;
    if (this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#down(0);
  }

  #before(a: Event, b: Event): boolean {
    return a.timeMs < b.timeMs || (a.timeMs === b.timeMs && a.sequence < b.sequence);
  }

  #up(at: number): void {
    const heap = this.#heap;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(heap[at]!, heap[parent]!)) return;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  #down(at: number): void {
    const heap = this.#heap;
    for (;;) {
      const left = 2 * at + 1;
      if (left >= heap.length) return;
      const right = left + 1;
      const child = right < heap.length && this.#before(heap[right]!, heap[left]!) ? right : left;
      if (!this.#before(heap[child]!, heap[at]!)) return;
      [heap[at], heap[child]] = [heap[child]!, heap[at]!];
      at = child;
    }
  }
}
