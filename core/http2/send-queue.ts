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
  readonly #classes: readonly StreamRing[] = [new StreamRing(), new StreamRing(), new StreamRing()];
  readonly #turnsLeft: number[] = [...TURNS];
  count = 0;

  push(stream: Http2Stream): void {
    assert(!stream.isScheduled, "a stream is queued once");
    assert(stream.priority >= 0 && stream.priority < CLASS_COUNT, "a priority is 0, 1 or 2");
    stream.isScheduled = true;
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
    for (const ring of this.#classes) if (ring.remove(stream)) return;
    assert(false, "a scheduled stream is in a ring");
  }

  #pick(): StreamRing {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < CLASS_COUNT; i++) {
        if (this.#classes[i]!.count === 0 || this.#turnsLeft[i] === 0) continue;
        this.#turnsLeft[i]!--;
        return this.#classes[i]!;
      }
      // Everyone who waits has had its turns: a new round.
      for (let i = 0; i < CLASS_COUNT; i++) this.#turnsLeft[i] = TURNS[i]!;
    }
    assert(false, "shift() needs a stream that waits");
  }
}

/** First in, first out, without garbage. */
class StreamRing {
  #streams: (Http2Stream | undefined)[] = new Array<Http2Stream | undefined>(8).fill(undefined);
  #head = 0;
  count = 0;

  push(stream: Http2Stream): void {
    if (this.count === this.#streams.length) this.#grow();
    this.#streams[(this.#head + this.count) & (this.#streams.length - 1)] = stream;
    this.count++;
  }

  shift(): Http2Stream {
    const stream = this.#streams[this.#head];
    assert(stream !== undefined, "a ring that is not empty has a head");
    this.#streams[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#streams.length - 1);
    this.count--;
    return stream;
  }

  // Only when a stream with waiting bytes is reset: rare enough for a walk.
  remove(stream: Http2Stream): boolean {
    const mask = this.#streams.length - 1;
    let kept = 0;
    for (let i = 0; i < this.count; i++) {
      const current = this.#streams[(this.#head + i) & mask];
      if (current !== stream) this.#streams[(this.#head + kept++) & mask] = current;
    }
    if (kept === this.count) return false;
    this.#streams[(this.#head + kept) & mask] = undefined;
    this.count = kept;
    return true;
  }

  #grow(): void {
    const grown = new Array<Http2Stream | undefined>(this.#streams.length * 2).fill(undefined);
    for (let i = 0; i < this.count; i++)
      grown[i] = this.#streams[(this.#head + i) & (this.#streams.length - 1)];
    this.#streams = grown;
    this.#head = 0;
  }
}
