// Answers that go out while their readers take them. They hold records, so that a reader who takes nothing would hold
// memory for ever: an answer is ended when it is too old, or when too much is held and it is the oldest. Until its last
// byte is on its way the call stays open, so that its deadline ends it as well.

import type { ByteWriter } from "../base/byte-writer.ts";
import type { Limits } from "../base/limits.ts";
import type { RangeStream } from "../mvcc/range-stream.ts";
import type { Slabs } from "../mvcc/slabs.ts";
import { STATUS, type Status } from "../wire/status.ts";
import type { Call, Producer } from "./call.ts";

interface LargeAnswer {
  readonly startedMs: number;
  /** Fails its call. */
  end(status: Status): void;
}

export class LargeAnswers {
  readonly #limits: Limits;
  readonly #slabs: () => Slabs;
  /** The oldest first. */
  readonly #open = new Set<LargeAnswer>();

  constructor(limits: Limits, slabs: () => Slabs) {
    this.#limits = limits;
    this.#slabs = slabs;
  }

  get count(): number {
    return this.#open.size;
  }

  add(answer: LargeAnswer): void {
    this.#open.add(answer);
  }

  remove(answer: LargeAnswer): void {
    this.#open.delete(answer);
  }

  /** Ends those that are too old, and the oldest ones while all of them hold too much. */
  turn(nowMs: number): void {
    const { largeAnswerMsMax, pinnedBytesMax } = this.#limits;
    for (const answer of this.#open) {
      if (answer.startedMs + largeAnswerMsMax <= nowMs) answer.end(STATUS.timeout);
      else if (this.#slabs().pinnedBytes > pinnedBytesMax) answer.end(STATUS.tooManyRequests);
      else return;
    }
  }

  nextDeadlineMs(): number {
    for (const answer of this.#open) return answer.startedMs + this.#limits.largeAnswerMsMax;
    return Number.POSITIVE_INFINITY;
  }

  /** The store that they read is replaced. */
  endAll(status: Status): void {
    for (const answer of this.#open) answer.end(status);
  }
}

/** What holds the records of an answer. */
interface Held {
  abandon(): void;
}

/** An answer from its first byte to its end, of which there is one. */
class OpenAnswer implements LargeAnswer {
  readonly #call: Call;
  readonly #held: Held;
  readonly #all: LargeAnswers;
  startedMs = 0;
  isOver = false;

  constructor(call: Call, held: Held, all: LargeAnswers) {
    this.#call = call;
    this.#held = held;
    this.#all = all;
  }

  begin(nowMs: number): void {
    this.startedMs = nowMs;
    this.#all.add(this);
  }

  /** All is on its way, or the reader is gone. */
  finish(): void {
    if (this.#leave()) this.#call.finish();
  }

  end(status: Status): void {
    if (this.#leave()) this.#call.abort(status);
  }

  /** False when it has ended before. */
  #leave(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.#held.abandon();
    this.#all.remove(this);
    return true;
  }
}

/** The answer of a Range, one message that the transport pulls. */
export class PulledRange implements Producer {
  readonly #call: Call;
  readonly #producer: Producer;
  readonly #open: OpenAnswer;

  constructor(call: Call, producer: Producer, all: LargeAnswers) {
    this.#call = call;
    this.#producer = producer;
    this.#open = new OpenAnswer(call, producer, all);
  }

  start(sizeBytes: number, nowMs: number): void {
    this.#open.begin(nowMs);
    this.#call.state = this;
    this.#call.sendLarge(sizeBytes, this);
    if (this.#call.cancelled) this.cancel();
  }

  pull(writer: ByteWriter, roomBytes: number): boolean {
    if (!this.#producer.pull(writer, roomBytes)) return false;
    this.#open.finish();
    return true;
  }

  /** The transport wants no more; whoever caused it ends the call. */
  abandon(): void {
    this.#producer.abandon();
  }

  /** The reader is gone. */
  cancel(): void {
    this.#open.finish();
  }
}

/** The answer of a RangeStream, several messages that are written while the call has room. */
export class StreamedRange {
  readonly #call: Call;
  readonly #stream: RangeStream;
  readonly #open: OpenAnswer;

  constructor(call: Call, stream: RangeStream, all: LargeAnswers, nowMs: number) {
    this.#call = call;
    this.#stream = stream;
    this.#open = new OpenAnswer(call, stream, all);
    this.#open.begin(nowMs);
  }

  /** Sends what the reader takes now. */
  go(): void {
    while (!this.#open.isOver && this.#call.writable) {
      const isLast = this.#stream.next(this.#call.beginMessage());
      this.#call.endMessage();
      if (isLast) this.#open.finish();
    }
  }

  /** The reader is gone. */
  cancel(): void {
    this.#open.finish();
  }
}
