// The calls that wait for their proposal to be applied: a ring indexed by the request's sequence number, so that nothing
// is allocated or hashed per request. All calls have the same time limit, so the oldest expires first.

import { assert } from "../base/assert.ts";
import type { Call } from "./call.ts";

export class PendingCalls {
  readonly #mask: number;
  readonly #calls: (Call | undefined)[];
  readonly #startedMs: Float64Array;
  /**
   * Where its proposal is: n > 0 in the message n to the leader, n < 0 in this member's own log, which it led in term -n; 0 nowhere
   * yet; NaN where nobody can tell.
   */
  readonly #handed: Float64Array;
  /** The sequence number of the next request, a 32-bit counter that wraps past 0, which stands for nobody. */
  #next: number;
  /** No waiting call has a sequence number before this one. */
  #oldest: number;
  #count = 0;

  /** `first`: where to begin; two that begin at random places hardly ever give out the same numbers at the same time. */
  constructor(countMax: number, first = 1) {
    this.#next = first >>> 0 || 1;
    this.#oldest = this.#next;
    const size = 2 ** Math.ceil(Math.log2(countMax + 1));
    this.#mask = size - 1;
    this.#calls = new Array<Call | undefined>(size).fill(undefined);
    this.#startedMs = new Float64Array(size);
    this.#handed = new Float64Array(size);
  }

  get count(): number {
    return this.#count;
  }

  /** Whether one more fits: the oldest may be in the way even when few are waiting. */
  get hasRoom(): boolean {
    return this.#calls[this.#next & this.#mask] === undefined;
  }

  /** Registers a call and returns its sequence number. `call.slot` holds it until the call ends. */
  add(call: Call, nowMs: number): number {
    assert(this.hasRoom, "room was checked before a call is registered");
    const sequence = this.#next;
    this.#next = after(sequence);
    const at = sequence & this.#mask;
    this.#calls[at] = call;
    this.#startedMs[at] = nowMs;
    this.#handed[at] = 0;
    call.slot = sequence;
    this.#count++;
    return sequence;
  }

  /** The call with this number, which no longer waits; undefined when it gave up before. */
  take(sequence: number): Call | undefined {
    const call = this.peek(sequence);
    if (call === undefined) return undefined;
    this.#calls[sequence & this.#mask] = undefined;
    this.#count--;
    return call;
  }

  /** Notes that this call's proposal travels in message `number`; 0: in none any more. */
  noteForwarded(sequence: number, number: number): void {
    this.#handed[sequence & this.#mask] = number;
  }

  /** Notes that this call's proposal is in this member's own log, as an entry of `term`. */
  noteAppended(sequence: number, term: number): void {
    this.#handed[sequence & this.#mask] = -term;
  }

  /** The state has moved on by entries that nobody saw here: of what waits nobody can tell whether it was among them. */
  noteUnknown(): void {
    for (let sequence = this.#oldest; sequence !== this.#next; sequence = after(sequence))
      this.#handed[sequence & this.#mask] = Number.NaN;
  }

  /** Takes a call whose proposal was in message `number`; to be called until it gives none. Rare, so it searches. */
  takeForwarded(number: number): Call | undefined {
    for (let sequence = this.#oldest; sequence !== this.#next; sequence = after(sequence)) {
      const at = sequence & this.#mask;
      if (this.#handed[at] === number && this.#calls[at] !== undefined) return this.take(sequence);
    }
    return undefined;
  }

  /**
   * Takes the calls whose proposals were handed on before: in messages up to `numberMax`, or appended here in terms before `term`. In one
   * pass, because there may be thousands.
   */
  takeHandedBefore(numberMax: number, term: number, taken: (call: Call) => void): void {
    for (let sequence = this.#oldest; sequence !== this.#next; sequence = after(sequence)) {
      const at = sequence & this.#mask;
      const handed = this.#handed[at]!;
      const isBefore = handed > 0 ? handed <= numberMax : handed < 0 && -handed < term;
      if (!isBefore || this.#calls[at] === undefined) continue;
      taken(this.take(sequence)!);
    }
  }

  /** The call with this number, which goes on waiting. */
  peek(sequence: number): Call | undefined {
    const call = this.#calls[sequence & this.#mask];
    return call?.slot === sequence ? call : undefined;
  }

  /** Takes the oldest call when it has waited for `limitMs`; to be called until it gives none. */
  takeExpired(nowMs: number, limitMs: number): Call | undefined {
    this.#advanceOldest();
    if (this.#count === 0) return undefined;
    const at = this.#oldest & this.#mask;
    if (nowMs - this.#startedMs[at]! < limitMs) return undefined;
    return this.take(this.#oldest);
  }

  /** Takes any call; for the end, when all have to be answered. */
  takeAny(): Call | undefined {
    this.#advanceOldest();
    return this.#count === 0 ? undefined : this.take(this.#oldest);
  }

  /** When the oldest call expires; Infinity when none waits. */
  nextDeadlineMs(limitMs: number): number {
    this.#advanceOldest();
    return this.#count === 0
      ? Number.POSITIVE_INFINITY
      : this.#startedMs[this.#oldest & this.#mask]! + limitMs;
  }

  /** Since when the oldest call has been waiting; Infinity when none waits. */
  oldestStartedMs(): number {
    return this.nextDeadlineMs(0);
  }

  #advanceOldest(): void {
    while (this.#oldest !== this.#next && this.#calls[this.#oldest & this.#mask] === undefined) {
      this.#oldest = after(this.#oldest);
    }
  }
}

function after(sequence: number): number {
  return (sequence + 1) >>> 0 || 1;
}
