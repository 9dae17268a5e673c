// What waits for a leader: proposals that were handed to nobody yet, so that they can be proposed once there is one
// without any risk of happening twice, and questions for the leader.

import { ByteWriter } from "../base/byte-writer.ts";
import type { ForwardDone } from "./forwarding.ts";
import { STATUS } from "../wire/status.ts";

const NO_BYTES = new Uint8Array(0);

interface Question {
  readonly ask: () => void;
  readonly done: ForwardDone;
  readonly deadlineMs: number;
}

export class Parking {
  readonly #bytesMax: number;
  readonly #countMax: number;
  readonly #entries = new ByteWriter(1024);
  readonly #ends: number[] = [];
  #questions: Question[] = [];

  constructor(bytesMax: number, countMax: number) {
    this.#bytesMax = bytesMax;
    this.#countMax = countMax;
  }

  get isEmpty(): boolean {
    return this.#ends.length === 0 && this.#questions.length === 0;
  }

  /** Keeps a copy of a proposal; false when there is no room. */
  park(bytes: Uint8Array, sizeBytes: number): boolean {
    if (this.#ends.length >= this.#countMax || this.#entries.position + sizeBytes > this.#bytesMax)
      return false;
    this.#entries.raw(bytes, 0, sizeBytes);
    this.#ends.push(this.#entries.position);
    return true;
  }

  ask(question: Question): void {
    if (this.#questions.length >= this.#countMax) question.done(STATUS.tooManyRequests, NO_BYTES, 0, 0);
    else this.#questions.push(question);
  }

  /** Hands out everything that waits; what cannot be placed after all is parked again by the caller. */
  release(propose: (bytes: Uint8Array, start: number, end: number) => void): void {
    const bytes = this.#entries.copy();
    const ends = this.#ends.splice(0);
    this.#entries.reset();
    let start = 0;
    for (const end of ends) {
      propose(bytes, start, end);
      start = end;
    }
    const questions = this.#questions;
    this.#questions = [];
    for (const question of questions) question.ask();
  }

  expire(nowMs: number): void {
    if (this.#questions.length === 0) return;
    const late = this.#questions.filter((question) => question.deadlineMs <= nowMs);
    this.#questions = this.#questions.filter((question) => question.deadlineMs > nowMs);
    for (const question of late) question.done(STATUS.noLeader, NO_BYTES, 0, 0);
  }

  nextDeadlineMs(): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (const question of this.#questions) deadline = Math.min(deadline, question.deadlineMs);
    return deadline;
  }
}
