// Virtual time: a heap of events, ordered by time and, at the same time, by when they were scheduled. Nothing here
// sleeps; time jumps from event to event.
//
// Time is whole microseconds since the simulation's start, so that no rounding depends on how a sum was made.

import type { Trace } from "./trace.ts";

export type Action = () => void;

/** What a thing is called in the trace. */
export interface EventTag {
  /** The member it happens at; -1 for clients and the world. */
  readonly node: number;
  readonly kind: string;
}

interface Event {
  readonly timeUs: number;
  readonly order: number;
  readonly node: number;
  readonly kind: string;
  readonly digest: number;
  /** Undefined once cancelled. */
  action: Action | undefined;
}

/** A way to take an event back. */
export interface Scheduled {
  cancel(): void;
}

const NOT_SCHEDULED: Scheduled = { cancel: () => undefined };

export class Scheduler {
  nowUs = 0;
  /** Events that have run. */
  count = 0;
  /** What ran last; to be named when something spins. */
  lastKind = "";
  readonly #heap: Event[] = [];
  readonly #trace: Trace;
  #order = 0;

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  /** `digest` stands for the event's payload in the trace. */
  after(delayUs: number, tag: EventTag, action: Action, digest = 0): Scheduled {
    if (delayUs === Number.POSITIVE_INFINITY) return NOT_SCHEDULED;
    const timeUs = this.nowUs + Math.max(0, Math.ceil(delayUs));
    const event: Event = { timeUs, order: this.#order++, node: tag.node, kind: tag.kind, digest, action };
    this.#push(event);
    return { cancel: () => void (event.action = undefined) };
  }

  at(timeUs: number, tag: EventTag, action: Action, digest = 0): Scheduled {
    return this.after(timeUs - this.nowUs, tag, action, digest);
  }

  /** Runs the next event that is due until `limitUs`; false when there is none (time is at the limit then). */
  step(limitUs: number): boolean {
    for (;;) {
      const event = this.#heap[0];
      if (event === undefined || event.timeUs > limitUs) {
        this.nowUs = Math.max(this.nowUs, limitUs);
        return false;
      }
      this.#pop();
      const { action } = event;
      if (action === undefined) continue;
      this.nowUs = event.timeUs;
      this.count++;
      this.lastKind = `${event.kind} at ${event.node}`;
      this.#fold(event);
      action();
      return true;
    }
  }

  #fold(event: Event): void {
    const trace = this.#trace;
    trace.fold(event.timeUs);
    trace.fold(event.node);
    trace.text(event.kind);
    trace.fold(event.digest);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.timeUs < b.timeUs || (a.timeUs === b.timeUs && a.order < b.order);
}
