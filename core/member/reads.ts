// Linearizable reads that wait for a confirmation that the leader still leads. All reads that arrive within a turn share
// one question (`readIndex`); each question has a number of its own that is never used again, so that an answer
// to an older one cannot confirm a younger one (R3, etcd #20418).

import { ByteWriter } from "../base/byte-writer.ts";
import type { Call } from "./call.ts";
import type { Status } from "../wire/status.ts";

/** Asked again after this long without an answer, as etcd does; under a new number. */
const RETRY_MS = 500;
/** After an abort: soon, but not in the same turn, since there may be no leader for a while. */
const ABORT_RETRY_MS = 20;

/** Called with undefined when the read may be served from this member now. */
export type ReadProbe = (failure: Status | undefined) => void;

/** The reads of one turn. */
export class ReadGroup {
  context = 0;
  /** May be served once this index is applied; -1 while unknown. */
  index = -1;
  startedMs = 0;
  askedMs = 0;
  /** The requests' bytes, copied because the input buffer is reused. */
  readonly requests = new ByteWriter(4096);
  readonly calls: Call[] = [];
  readonly starts: number[] = [];
  readonly probes: ReadProbe[] = [];

  reset(): void {
    this.index = -1;
    this.requests.reset();
    this.calls.length = 0;
    this.starts.length = 0;
    this.probes.length = 0;
  }

  get isEmpty(): boolean {
    return this.calls.length === 0 && this.probes.length === 0;
  }
}

/** Answers one read from the applied state. */
export type ServeRead = (call: Call, bytes: Uint8Array, start: number, end: number) => void;

export class ReadQueue {
  readonly #free: ReadGroup[] = [];
  readonly #waiting: ReadGroup[] = [];
  readonly #countMax: number;
  #arriving: ReadGroup;
  #nextContext = 1;
  #count = 0;

  constructor(countMax: number) {
    this.#countMax = countMax;
    this.#arriving = new ReadGroup();
  }

  get hasRoom(): boolean {
    return this.#count < this.#countMax;
  }

  /** Whether anything waits that has not been asked for. */
  get hasArrivals(): boolean {
    return !this.#arriving.isEmpty;
  }

  add(call: Call, bytes: Uint8Array, start: number, end: number): void {
    const group = this.#arriving;
    group.calls.push(call);
    group.starts.push(group.requests.position);
    group.requests.raw(bytes, start, end);
    this.#count++;
  }

  addProbe(probe: ReadProbe): void {
    this.#arriving.probes.push(probe);
    this.#count++;
  }

  /** Closes the group of this turn; returns the number to ask with. */
  closeArrivals(nowMs: number): number {
    const group = this.#arriving;
    group.context = this.#nextContext++;
    group.startedMs = nowMs;
    group.askedMs = nowMs;
    this.#waiting.push(group);
    this.#arriving = this.#free.pop() ?? new ReadGroup();
    return group.context;
  }

  /** The answer to a question; unknown numbers are answers to questions that were asked again. */
  confirm(context: number, index: number): void {
    for (const group of this.#waiting) if (group.context === context) group.index = index;
  }

  /** Serves every group whose index is applied. */
  serve(appliedIndex: number, serveRead: ServeRead): void {
    for (let i = 0; i < this.#waiting.length;) {
      const group = this.#waiting[i]!;
      if (group.index < 0 || group.index > appliedIndex) {
        i++;
        continue;
      }
      this.#waiting.splice(i, 1);
      for (let j = 0; j < group.calls.length; j++) {
        const end = j + 1 < group.starts.length ? group.starts[j + 1]! : group.requests.position;
        serveRead(group.calls[j]!, group.requests.bytes, group.starts[j]!, end);
      }
      for (const probe of group.probes) probe(undefined);
      this.#release(group);
    }
  }

  /** Numbers to ask again with, for groups that got no answer. */
  retries(nowMs: number): number[] {
    const contexts: number[] = [];
    for (const group of this.#waiting) {
      if (group.index >= 0 || nowMs - group.askedMs < RETRY_MS) continue;
      group.context = this.#nextContext++;
      group.askedMs = nowMs;
      contexts.push(group.context);
    }
    return contexts;
  }

  /** Fails what has waited for `limitMs`, with 0 all of it, also what came this turn; returns how many groups. */
  fail(nowMs: number, limitMs: number, status: Status): number {
    let count = 0;
    if (limitMs === 0 && this.hasArrivals) this.closeArrivals(nowMs);
    for (let i = 0; i < this.#waiting.length;) {
      const group = this.#waiting[i]!;
      if (nowMs - group.startedMs < limitMs) {
        i++;
        continue;
      }
      this.#waiting.splice(i, 1);
      for (const call of group.calls) call.fail(status);
      for (const probe of group.probes) probe(status);
      this.#release(group);
      count++;
    }
    return count;
  }

  /** The question cannot be answered (the leader changed): it is asked again soon, under a new number. */
  abort(context: number, nowMs: number): void {
    for (const group of this.#waiting) {
      if (group.context === context)
        group.askedMs = Math.min(group.askedMs, nowMs - RETRY_MS + ABORT_RETRY_MS);
    }
  }

  nextDeadlineMs(limitMs: number): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (const group of this.#waiting) {
      deadline = Math.min(
        deadline,
        group.startedMs + limitMs,
        group.index < 0 ? group.askedMs + RETRY_MS : deadline,
      );
    }
    return deadline;
  }

  #release(group: ReadGroup): void {
    this.#count -= group.calls.length + group.probes.length;
    group.reset();
    if (this.#free.length < 8) this.#free.push(group);
  }
}
