// Watch latency, counted from the start of the put (etcd's own tool counts from its acknowledgement, and so hides the
// put). An operation is a put; it ends when the last of the watchers has its event.
//
// The value's first eight bytes are the slot and a sequence number in hexadecimal, by which events find their put.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { EMPTY_BYTES } from "../../core/base/bytes.ts";
import { WatchRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import { Cursor, readWatchResponse, writePut } from "./etcd-requests.ts";
import { Histogram } from "./histogram.ts";
import { prefixEnd } from "./range-workload.ts";
import type { Rpc, RpcStream, UnarySink } from "./rpc.ts";
import { clockUs } from "./ticker.ts";
import type { Material, Workload } from "./workload.ts";

export interface WatchWorkloadOptions {
  readonly watchers: number;
  /** Streams that the watchers share. */
  readonly streams: number;
  /** All watch one key (and puts go to it), or all watch all keys. */
  readonly oneKey: boolean;
  /** Each watcher one key, in turns, of all there are; `oneKey` is false then. */
  readonly keyEach?: boolean;
  readonly prevKv?: boolean;
  /** Takes what etcd's tool reports apart. At 300,000 events a second reading the clock for each would show. */
  readonly detail?: WatchDetail;
}

/** From a request to its answer, and from a put's start to each of its events. */
export class WatchDetail {
  readonly created = new Histogram();
  readonly puts = new Histogram();
  readonly events = new Histogram();
  /** Until all watches were created. */
  createdSeconds = 0;
}

/** Hexadecimal digits of a mark: 5 of the slot, 5 of the sequence. */
const MARK_SIZE = 10;
const HALF = 0x100000;
const READY_TIMEOUT_MS = 30_000;

export class WatchWorkload implements Workload, UnarySink {
  readonly kinds = ["put to last event"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #options: WatchWorkloadOptions;
  readonly #message = new ByteWriter(4096);
  readonly #key = new Cursor();
  readonly #value = new Cursor();
  #valueBytes: Uint8Array;
  readonly #streams: RpcStream[] = [];
  // By slot.
  readonly #index: number[] = [];
  readonly #sequence: number[] = [];
  readonly #left: number[] = [];
  readonly #expected: number[] = [];
  readonly #startedUs: number[] = [];
  /** By watcher: when it was asked for. */
  readonly #createdAtUs: number[] = [];
  #next = 0;
  #created = 0;
  #events = 0;
  #foreignEvents = 0;
  readonly #firstEvent = new Histogram();
  #firstEventAtUs = 0;
  #lastEventAtUs = 0;
  #ready: (() => void) | undefined;
  #failed: ((error: Error) => void) | undefined;
  #finished = false;
  #broken: string | undefined;

  constructor(rpc: Rpc, material: Material, options: WatchWorkloadOptions) {
    this.#rpc = rpc;
    this.#material = material;
    this.#options = options;
    this.#valueBytes = new Uint8Array(Math.max(MARK_SIZE, material.valueSizes.max));
    rpc.sink = this;
  }

  async prepare(): Promise<void> {
    const ready = new Promise<void>((resolve, reject) => {
      this.#ready = resolve;
      this.#failed = reject;
    });
    const timer = setTimeout(
      () =>
        this.#failed!(new Error(`Watches: ${this.#created} of ${this.#options.watchers} created in time`)),
      READY_TIMEOUT_MS,
    );
    for (let i = 0; i < this.#options.streams; i++) {
      this.#streams.push(
        this.#rpc.stream(i, METHOD.watch, {
          onMessage: (bytes, start, end) => this.#take(bytes, start, end),
          onEnd: (text) => {
            if (!this.#finished) this.#failed!(new Error(`Watch ended: ${text}`));
          },
        }),
      );
    }
    const { watchers, keyEach, detail } = this.#options;
    const message = this.#createRequest(0);
    for (let i = 0; i < watchers; i++) {
      this.#createdAtUs.push(clockUs());
      this.#streams[i % this.#streams.length]!.send(keyEach ? this.#createRequest(i) : message);
    }
    await ready;
    if (detail) detail.createdSeconds = (clockUs() - this.#createdAtUs[0]!) / 1e6;
    clearTimeout(timer);
    // From now on a watch that ends takes with it all operations that wait for its events.
    this.#failed = (error) => {
      this.#broken ??= error.message;
      for (let slot = 0; slot < this.#left.length; slot++) {
        if ((this.#left[slot] ?? 0) === 0) continue;
        this.#left[slot] = 0;
        this.#material.done(slot, this.#broken);
      }
    };
  }

  async finish(): Promise<void> {
    this.#finished = true;
    for (const stream of this.#streams) stream.cancel();
  }

  beginMeasuring(): void {
    this.#events = 0;
    this.#foreignEvents = 0;
    this.#firstEvent.reset();
    this.#firstEventAtUs = 0;
  }

  extras(): Record<string, number> {
    const seconds = (this.#lastEventAtUs - this.#firstEventAtUs) / 1e6;
    return {
      watchers: this.#options.watchers,
      events: this.#events,
      eventsPerSecond: seconds > 0 ? Math.round(this.#events / seconds) : 0,
      firstEventP50Us: this.#firstEvent.quantile(0.5),
      firstEventP99Us: this.#firstEvent.quantile(0.99),
      foreignEvents: this.#foreignEvents,
    };
  }

  start(slot: number): number {
    const { keys, chooser, values, valueSizes } = this.#material;
    const index = this.#options.oneKey ? 0 : chooser.next();
    this.#index[slot] = index;
    keys.write(index);
    const sequence = this.#next++ % HALF;
    this.#sequence[slot] = sequence;
    this.#left[slot] = this.#watchersOf(index);
    this.#expected[slot] = this.#left[slot];
    this.#startedUs[slot] = clockUs();
    const from = values.nextStart();
    const size = Math.max(MARK_SIZE, valueSizes.at(from));
    for (let i = MARK_SIZE; i < size; i++) this.#valueBytes[i] = values.bytes[from + i]!;
    writeHex(this.#valueBytes, 0, slot);
    writeHex(this.#valueBytes, 5, sequence);
    this.#message.reset();
    writePut(
      this.#message,
      this.#key.set(keys.bytes, 0, keys.size),
      this.#value.set(this.#valueBytes, 0, size),
      0n,
    );
    this.#rpc.unary(slot, METHOD.put, this.#message);
    return 0;
  }

  abandon(slot: number): void {
    this.#left[slot] = 0;
    this.#rpc.abandon(slot);
  }

  /** The put's own reply ends nothing: the events do, unless a watch is gone. */
  onReply(slot: number): void {
    this.#material.wrote(slot, this.#index[slot]!);
    this.#options.detail?.puts.record(clockUs() - this.#startedUs[slot]!);
    if (this.#expected[slot] === 0) this.#material.done(slot, undefined);
    else if (this.#broken !== undefined && this.#left[slot]! > 0) this.onFailure(slot, this.#broken);
  }

  onFailure(slot: number, text: string): void {
    this.#left[slot] = 0;
    this.#material.done(slot, text);
  }

  #take(bytes: Uint8Array, start: number, end: number): void {
    const special = readWatchResponse(bytes, start, end, this.#onValue);
    if (special.canceled) this.#failed!(new Error("Watch was cancelled by the store"));
    else if (special.created) {
      // Answers come in the order of requests on a stream, and about so over all of them.
      this.#options.detail?.created.record(clockUs() - this.#createdAtUs[this.#created]!);
      if (++this.#created === this.#options.watchers) this.#ready!();
    }
  }

  readonly #onValue = (bytes: Uint8Array, start: number, end: number): void => {
    this.#events++;
    const slot = end - start >= MARK_SIZE ? readHex(bytes, start) : -1;
    const left = slot < 0 ? 0 : (this.#left[slot] ?? 0);
    if (left === 0 || readHex(bytes, start + 5) !== this.#sequence[slot]) {
      this.#foreignEvents++;
      return;
    }
    this.#left[slot] = left - 1;
    // The clock is read for the first and the last event only: at 300,000 a second it would show.
    this.#options.detail?.events.record(clockUs() - this.#startedUs[slot]!);
    if (left === this.#expected[slot]) {
      const nowUs = clockUs();
      if (this.#firstEventAtUs === 0) this.#firstEventAtUs = nowUs;
      this.#firstEvent.record(nowUs - this.#startedUs[slot]!);
    }
    if (left !== 1) return;
    this.#lastEventAtUs = clockUs();
    // Its reply may come later, when the slot has its next put.
    this.#material.wrote(slot, this.#index[slot]!);
    this.#material.done(slot, undefined);
  };

  /** Watchers go round the keys: the first ones may have one more. */
  #watchersOf(index: number): number {
    const { watchers, keyEach } = this.#options;
    if (!keyEach) return watchers;
    const { count } = this.#material.keys;
    return Math.floor(watchers / count) + (index < watchers % count ? 1 : 0);
  }

  #createRequest(watcher: number): ByteWriter {
    const { keys } = this.#material;
    keys.write(watcher % keys.count);
    const single = this.#options.oneKey || this.#options.keyEach;
    const key = single
      ? keys.bytes.slice(0, keys.size)
      : keys.prefix.length > 0
        ? keys.prefix
        : new Uint8Array(1);
    const rangeEnd = single ? EMPTY_BYTES : prefixEnd(keys.prefix);
    const message = new ByteWriter();
    encode(
      WatchRequest,
      { create_request: { key, range_end: rangeEnd, prev_kv: this.#options.prevKv ?? false } },
      message,
    );
    return message;
  }
}

function writeHex(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 4; i >= 0; i--) {
    const digit = value & 15;
    bytes[at + i] = digit < 10 ? 48 + digit : 87 + digit;
    value >>>= 4;
  }
}

/** -1 when it is no number of ours. */
function readHex(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[at + i]!;
    const digit = byte >= 48 && byte <= 57 ? byte - 48 : byte >= 97 && byte <= 102 ? byte - 87 : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}
