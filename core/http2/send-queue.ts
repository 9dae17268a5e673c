// Whose turn it is to send: streams that have bytes waiting, by urgency.
//
// Three classes: watch events before unary replies before large ranges, round robin within a class. After a quota of
// turns a class lets the next one have one, so that none starves: of 13 frames under full load 8 are the first
// class's, 4 the second's, 1 the third's. Control frames never wait here; they go straight to the output.

import { assert } from "../base/assert.ts";
import type { Http2Stream } from "./stream.ts";

const CLASS_COUNT = 3;
const TURNS: readonly number[] = [8, 4, 1];

export class SendQueue {
  readonly #classes: readonly StreamLine[] = [new StreamLine(), new StreamLine(), new StreamLine()];
  readonly #turnsLeft: number[] = [...TURNS];
  count = 0;

  push(stream: Http2Stream): void {
    assert(!stream.isScheduled, "a stream is queued once");
    assert(stream.priority >= 0 && stream.priority < CLASS_COUNT, "a priority is 0, 1 or 2");
    stream.isScheduled = true;
    // Its priority may change while it waits; its place does not.
    stream.scheduledPriority = stream.priority;
    this.count++;
    this.#classes[stream.priority]!.push(stream);
  }

  /** The next stream; it is no longer queued. Only when `count` > 0. */
  shift(): Http2Stream {
    const stream = this.#pick().shift();
    stream.isScheduled = false;
    this.count--;
    return stream;
  }

  remove(stream: Http2Stream): void {
    if (!stream.isScheduled) return;
    stream.isScheduled = false;
    this.count--;
    this.#classes[stream.scheduledPriority]!.remove(stream);
  }

  #pick(): StreamLine {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < CLASS_COUNT; i++) {
        if (this.#classes[i]!.isEmpty || this.#turnsLeft[i] === 0) continue;
        this.#turnsLeft[i]!--;
        return this.#classes[i]!;
      }
      // Everyone who waits has had its turns: a new round.
      for (let i = 0; i < CLASS_COUNT; i++) this.#turnsLeft[i] = TURNS[i]!;
    }
    assert(false, "shift() needs a stream that waits");
  }
}

/**
 * First in, first out, linked through the streams: no garbage, and one that leaves from the middle costs no walk. A client
 * that gives up leaves thousands at once, and a peer that resets what it asked for would have us walk (CVE-2023-44487).
 */
class StreamLine {
  #first: Http2Stream | undefined = undefined;
  #last: Http2Stream | undefined = undefined;

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  push(stream: Http2Stream): void {
    stream.sendPrevious = this.#last;
    if (this.#last === undefined) this.#first = stream;
    else this.#last.sendNext = stream;
    this.#last = stream;
  }

  shift(): Http2Stream {
    const stream = this.#first;
    assert(stream !== undefined, "a line that is not empty has a first");
    this.remove(stream);
    return stream;
  }

  remove(stream: Http2Stream): void {
    const { sendPrevious, sendNext } = stream;
    if (sendPrevious === undefined) this.#first = sendNext;
    else sendPrevious.sendNext = sendNext;
    if (sendNext === undefined) this.#last = sendPrevious;
    else sendNext.sendPrevious = sendPrevious;
    stream.sendPrevious = undefined;
    stream.sendNext = undefined;
  }
}
