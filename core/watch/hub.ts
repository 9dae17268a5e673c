// All watchers of this member. Rules: facts on etcd's Watch API ("Control", "Events and ordering", "Progress") and W1-W10
// of the reliability catalogue; each has its test in hub.test.ts.
//
//   Store ── new revisions ──> live pass ──> watchers that are up to date
//     └───── old revisions ──> catch-up passes ──> lagging watchers whose stream takes messages
//
// Nothing is queued for a watcher. The hub remembers one number, `live`: watchers that are up to date have been told of
// every revision up to it. A watcher whose stream is full when an event is due leaves the lists that the live pass
// walks, with the revision as its cursor, and costs writers nothing from then on. When its stream takes messages
// again it joins a catch-up pass, together with others whose cursors lie in the same stretch of revisions, and returns
// to the live lists once its cursor has passed `live`.
//
// A message holds whole revisions (W8). Of a single revision the header says that revision, as etcd's live messages do;
// of several, or after catching up, a revision up to which the watcher has been told everything.
//
// All work is in turn(), in slices. settle() must be called before the store compacts (W5): watchers that are up to date
// are then told everything, and only lagging ones can lose what is compacted.

import { assert } from "../base/assert.ts";
import { compareBytes } from "../base/bytes.ts";
import type { HeaderSource } from "../wire/header.ts";
import {
  WATCH_CANCEL,
  WATCH_CREATE,
  WATCH_PROGRESS,
  WatchCreateFields,
  WatchRequestFields,
} from "../wire/hot.ts";
import { WireError } from "../wire/reader.ts";
import type { Status } from "../wire/status.ts";
import { malformedRequest, STATUS, WATCH_CANCEL_REASON } from "../wire/status.ts";
import { Delivery } from "./delivery.ts";
import { KeyRange } from "./interests.ts";
import { ProgressTimers } from "./progress-timers.ts";
import type { WatchCall, WatchSource } from "./watch-call.ts";
import type { WatchLimits } from "./watch-limits.ts";
import { WatchMessages } from "./watch-messages.ts";
import { WatchStream } from "./watch-stream.ts";
import {
  STREAM_COUNT_MAX,
  WATCH_FRAGMENT,
  WATCH_FUTURE,
  WATCH_NO_DELETE,
  WATCH_NO_PUT,
  WATCH_PREV_KV,
  WATCH_PROGRESS_NOTIFY,
  WATCH_QUIET,
  Watchers,
} from "./watchers.ts";

export interface WatchHubOptions {
  readonly store: WatchSource;
  readonly header: HeaderSource;
  readonly limits: WatchLimits;
  /** Between periodic progress notifications; etcd's 10 minutes. */
  readonly progressMs: number;
  /** Secret, so that clients cannot choose keys or ids that collide. */
  readonly seed?: number;
  /** Whether the caller may watch the range: undefined, or the exact cancel_reason. */
  readonly authorize?: (call: WatchCall, range: KeyRange) => string | undefined;
}

const NUL = Uint8Array.of(0);

export class WatchHub {
  readonly #options: WatchHubOptions;
  readonly #limits: WatchLimits;
  #store: WatchSource;
  readonly watchers: Watchers;
  readonly #messages: WatchMessages;
  readonly #delivery: Delivery;
  readonly #streams: (WatchStream | undefined)[] = [];
  readonly #freeStreams: number[] = [];
  /** Streams whose calls have ended and that still have watchers. */
  readonly #closing: WatchStream[] = [];
  readonly #progressRequested: WatchStream[] = [];
  readonly #timers: ProgressTimers;
  readonly #request = new WatchRequestFields();
  readonly #create = new WatchCreateFields();
  readonly #range = new KeyRange();
  readonly #id = { hi: 0, lo: 0 };
  /** Streams whose first watcher that wants periodic progress was just created. */
  readonly #timersWanted: WatchStream[] = [];
  #streamCount = 0;

  constructor(options: WatchHubOptions) {
    this.#options = options;
    this.#limits = options.limits;
    this.#store = options.store;
    this.watchers = new Watchers(options.seed ?? 0);
    this.#messages = new WatchMessages(
      options.header,
      options.limits.requestSizeBytesMax + options.limits.grpcOverheadBytes,
    );
    this.#delivery = new Delivery({
      store: options.store,
      watchers: this.watchers,
      messages: this.#messages,
      limits: options.limits,
      streams: this.#streams,
    });
    this.#timers = new ProgressTimers(options.progressMs);
  }

  get watcherCount(): number {
    return this.watchers.count;
  }

  /** Calls that are open. */
  get streamCount(): number {
    return this.#streamCount;
  }

  get laggingCount(): number {
    return this.watchers.laggingCount;
  }

  /** Events and messages sent so far. */
  get eventCount(): number {
    return this.#delivery.eventCount;
  }

  get messageCount(): number {
    return this.#delivery.messageCount;
  }

  /** Whether turn() has something to do. */
  get hasWork(): boolean {
    return (
      this.#delivery.hasWork ||
      this.#closing.length > 0 ||
      this.#progressRequested.length > 0 ||
      this.#timersWanted.length > 0
    );
  }

  // Calls.

  open(call: WatchCall): void {
    const index = this.#freeStreams.pop() ?? this.#streams.length;
    assert(index < STREAM_COUNT_MAX, "there are fewer streams than numbers for them");
    const stream = new WatchStream(call, index);
    this.#streams[index] = stream;
    this.#streamCount++;
    call.state = stream;
  }

  onMessage(call: WatchCall, bytes: Uint8Array, start: number, end: number): void {
    const stream = call.state;
    if (!(stream instanceof WatchStream) || stream.call !== call) return;
    try {
      this.#onRequest(stream, bytes, start, end);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#fail(stream, malformedRequest(error.message));
    }
    if (stream.controlBacklog > this.#limits.watchControlBacklogMax)
      this.#fail(stream, STATUS.tooManyRequests);
  }

  /** There is room again for this call's messages. */
  onWritable(call: WatchCall): void {
    const stream = call.state;
    if (!(stream instanceof WatchStream) || stream.call !== call) return;
    stream.controlBacklog = 0;
    this.#delivery.unblock(stream);
  }

  /** The client is gone, or has cancelled the call. */
  close(call: WatchCall): void {
    const stream = call.state;
    if (!(stream instanceof WatchStream) || stream.call !== call) return;
    this.#detach(stream);
    call.finish();
  }

  /** Ends one stream. */
  refuse(call: WatchCall, status: Status): void {
    const stream = call.state;
    if (stream instanceof WatchStream && stream.call === call) this.#fail(stream, status);
  }

  failAll(status: Status): void {
    for (const stream of this.#streams) if (stream?.call !== undefined) this.#fail(stream, status);
  }

  /** Ends the streams whose clients asked for a leader (metadata `hasleader`); the others stay open. */
  failThoseThatNeedALeader(status: Status): void {
    for (const stream of this.#streams)
      if (stream?.call !== undefined && stream.needsLeader) this.#fail(stream, status);
  }

  // The store.

  /** Entries were applied: turn() will find new revisions by itself. */
  advance(): void {
    assert(this.#store.revision >= this.#delivery.live, "a store that goes back is announced by restored()");
  }

  /** Before a compaction: tells watchers that are up to date of every revision there is. */
  settle(): void {
    this.#delivery.settle();
  }

  /**
   * The store was replaced by a snapshot's, which may have compacted what watchers have not been told (W2, W7): all that
   * want a revision of it lag, from the first revision that each was not told of.
   */
  restored(store: WatchSource): void {
    this.#store = store;
    this.#delivery.restored(store);
  }

  // Work.

  /** One slice; true when there is more to do at once. */
  turn(nowMs: number): boolean {
    const units = this.#limits.watchSliceUnits;
    if (this.#closing.length > 0) this.#removeClosing(units);
    this.#delivery.turn(units);
    if (this.#delivery.isLive) this.#answerProgressRequests();
    if (this.#timersWanted.length > 0) this.#armTimers(nowMs);
    for (let due = this.#timers.take(nowMs); due !== undefined; due = this.#timers.take(nowMs))
      this.#notify(due);
    return this.#delivery.hasWork || this.#closing.length > 0;
  }

  /** When turn() must be called at the latest though nothing happens. */
  nextDeadlineMs(): number {
    return this.#timers.nextMs();
  }

  /** Throws when anything was leaked (W9); for tests and the simulator. */
  assertConserved(): void {
    let watcherCount = 0;
    let laggingCount = 0;
    for (const stream of this.#streams) {
      if (stream === undefined) continue;
      watcherCount += this.#countOf(stream.firstSynced);
      const lagging = this.#countOf(stream.firstLagging);
      assert(lagging === stream.laggingCount, "a stream's lagging watchers are those in its list");
      watcherCount += lagging;
      laggingCount += lagging;
      assert(
        stream.isQueued === (lagging > 0 && !stream.isBlocked),
        "a stream waits to catch up when it can",
      );
    }
    assert(watcherCount === this.watchers.count, "every watcher belongs to a stream");
    assert(laggingCount === this.watchers.laggingCount, "every lagging watcher belongs to a stream");
    assert(watcherCount > 0 || this.watchers.interests.count === 0, "interests go with their last watcher");
    assert(watcherCount > 0 || this.watchers.interests.keyBytes === 0, "keys go with their interests");
  }

  // Requests.

  #onRequest(stream: WatchStream, bytes: Uint8Array, start: number, end: number): void {
    const request = this.#request;
    request.parse(bytes, start, end);
    switch (request.kind) {
      case WATCH_CREATE:
        return this.#onCreate(stream, bytes, request.payloadStart, request.payloadEnd);
      case WATCH_CANCEL:
        return this.#onCancel(stream, request.watchHi, request.watchLo);
      case WATCH_PROGRESS:
        return this.#onProgress(stream);
      default: // an empty union is ignored
    }
  }

  #onCreate(stream: WatchStream, bytes: Uint8Array, start: number, end: number): void {
    const fields = this.#create;
    fields.parse(bytes, start, end);
    this.#readRange(bytes);
    const refusal = this.#refusal(stream);
    const call = this.#control(stream);
    if (refusal !== undefined) return this.#messages.refused(call, this.#store.revision, refusal);
    const id = this.#id;
    if ((fields.watchHi | fields.watchLo) === 0) this.#assignId(stream);
    else {
      id.hi = fields.watchHi;
      id.lo = fields.watchLo;
    }
    const slot = this.watchers.add(stream, id.hi, id.lo, this.#range);
    this.#setFlags(slot);
    if (fields.progressNotify && !this.#timers.has(stream)) this.#timersWanted.push(stream);
    this.#messages.created(call, this.#store.revision, id.hi, id.lo);
    this.#start(stream, slot, fields.startRevision);
  }

  /** The exact cancel_reason, in etcd's order of checks; undefined when the watcher may be created. */
  #refusal(stream: WatchStream): string | undefined {
    const fields = this.#create;
    const range = this.#range;
    if (fields.startRevision < 0) return WATCH_CANCEL_REASON.compacted;
    const denied = stream.call === undefined ? undefined : this.#options.authorize?.(stream.call, range);
    if (denied !== undefined) return denied;
    if (range.kind === "range") {
      const { bytes, keyStart, keyEnd, endStart, endEnd } = range;
      if (compareBytes(bytes, keyStart, keyEnd, bytes, endStart, endEnd) >= 0)
        return WATCH_CANCEL_REASON.emptyRange;
    }
    const isGiven = (fields.watchHi | fields.watchLo) !== 0;
    if (isGiven && this.#isTaken(stream, fields.watchHi, fields.watchLo))
      return WATCH_CANCEL_REASON.duplicateId;
    if (this.watchers.count >= this.#limits.watcherCountMax) return STATUS.tooManyRequests.text;
    return undefined;
  }

  /** An empty key means "\0", the smallest; a range end of "\0" means no end. */
  #readRange(bytes: Uint8Array): void {
    const fields = this.#create;
    const range = this.#range;
    const endSize = fields.rangeEndEnd - fields.rangeEndStart;
    range.bytes = bytes;
    range.keyStart = fields.keyStart;
    range.keyEnd = fields.keyEnd;
    range.endStart = fields.rangeEndStart;
    range.endEnd = fields.rangeEndEnd;
    range.kind = endSize === 0 ? "single" : "range";
    if (endSize === 1 && bytes[range.endStart] === 0) range.kind = "from-key";
    if (range.keyEnd > range.keyStart) return;
    range.bytes = new Uint8Array(1 + endSize);
    range.bytes.set(NUL);
    range.bytes.set(bytes.subarray(range.endStart, range.endEnd), 1);
    range.keyStart = 0;
    range.keyEnd = range.endStart = 1;
    range.endEnd = 1 + endSize;
  }

  #assignId(stream: WatchStream): void {
    do {
      this.#id.hi = stream.nextIdHi;
      this.#id.lo = stream.nextIdLo;
      stream.nextIdLo = (stream.nextIdLo + 1) >>> 0;
      if (stream.nextIdLo === 0) stream.nextIdHi++;
    } while (this.#isTaken(stream, this.#id.hi, this.#id.lo));
  }

  #isTaken(stream: WatchStream, idHi: number, idLo: number): boolean {
    return this.watchers.find(stream, idHi, idLo) !== 0 || stream.isEnded(idHi, idLo);
  }

  #setFlags(slot: number): void {
    const fields = this.#create;
    let flags = WATCH_QUIET;
    if (fields.noPut) flags |= WATCH_NO_PUT;
    if (fields.noDelete) flags |= WATCH_NO_DELETE;
    if (fields.prevKv) flags |= WATCH_PREV_KV;
    if (fields.fragment) flags |= WATCH_FRAGMENT;
    if (fields.progressNotify) flags |= WATCH_PROGRESS_NOTIFY;
    this.watchers.setFlag(slot, flags);
  }

  #start(stream: WatchStream, slot: number, startRevision: number): void {
    if (startRevision === 0) return this.watchers.setCursor(slot, this.#store.revision + 1);
    this.watchers.setCursor(slot, startRevision);
    if (startRevision > stream.startRevisionMax) stream.startRevisionMax = startRevision;
    if (startRevision > this.#delivery.live) return this.watchers.setFlag(slot, WATCH_FUTURE);
    this.#delivery.demote(stream, slot, startRevision);
    if (startRevision < this.#store.compactedRevision) this.#delivery.cancelCompacted(stream, slot);
  }

  #onCancel(stream: WatchStream, idHi: number, idLo: number): void {
    const slot = this.watchers.find(stream, idHi, idLo);
    if (slot !== 0) this.#delivery.remove(stream, slot);
    else if (!stream.forgetEnded(idHi, idLo)) return; // no answer
    this.#messages.canceled(this.#control(stream), this.#store.revision, idHi, idLo);
  }

  #onProgress(stream: WatchStream): void {
    if (stream.progressRequestCount === 0) this.#progressRequested.push(stream);
    stream.progressRequestCount++;
  }

  /** The call, for a control message: written also when the stream takes no events, within a bound. */
  #control(stream: WatchStream): WatchCall {
    const { call } = stream;
    assert(call !== undefined, "only a call that is open makes requests");
    if (!call.writable) stream.controlBacklog++;
    return call;
  }

  // Progress.

  #answerProgressRequests(): void {
    for (const stream of this.#progressRequested) {
      const count = stream.progressRequestCount;
      stream.progressRequestCount = 0;
      if (stream.call === undefined || !this.#isAllTold(stream) || !stream.call.writable) continue;
      for (let i = 0; i < count; i++) this.#messages.progressOfAll(stream.call, this.#delivery.live);
    }
    this.#progressRequested.length = 0;
  }

  /** Whether every watcher was told of everything up to `live` (W1), and none starts behind it. */
  #isAllTold(stream: WatchStream): boolean {
    if (stream.watcherCount === 0 || stream.firstLagging !== 0) return false;
    if (stream.startRevisionMax <= this.#delivery.live) return true;
    let startRevisionMax = 0;
    for (let slot = stream.firstSynced; slot !== 0; slot = this.watchers.nextOfStream(slot))
      if (this.#startsLater(slot)) startRevisionMax = Math.max(startRevisionMax, this.watchers.cursor(slot));
    stream.startRevisionMax = startRevisionMax;
    return startRevisionMax === 0;
  }

  #startsLater(slot: number): boolean {
    return this.watchers.cursor(slot) > this.#delivery.live && this.watchers.has(slot, WATCH_FUTURE);
  }

  #armTimers(nowMs: number): void {
    for (const stream of this.#timersWanted)
      if (stream.call !== undefined && !this.#timers.has(stream)) this.#timers.add(stream, nowMs);
    this.#timersWanted.length = 0;
  }

  /** Periodic notifications of a stream: to those of its watchers that asked and got no event since the last time. */
  #notify(stream: WatchStream): void {
    const { watchers } = this;
    const { call } = stream;
    for (let slot = stream.firstSynced; slot !== 0; slot = watchers.nextOfStream(slot)) {
      if (!watchers.has(slot, WATCH_PROGRESS_NOTIFY)) continue;
      const isQuiet = watchers.has(slot, WATCH_QUIET);
      watchers.setFlag(slot, WATCH_QUIET);
      if (!isQuiet || this.#startsLater(slot) || call === undefined || !call.writable) continue;
      this.#messages.progress(call, this.#delivery.live, watchers.idHi(slot), watchers.idLo(slot));
    }
    for (let slot = stream.firstLagging; slot !== 0; slot = watchers.nextOfStream(slot))
      watchers.setFlag(slot, WATCH_QUIET);
  }

  // Ends.

  #fail(stream: WatchStream, status: Status): void {
    const { call } = stream;
    if (call === undefined) return;
    this.#detach(stream);
    call.fail(status);
  }

  /** Takes the call away from its stream; the watchers follow, a slice at a time when they are many. */
  #detach(stream: WatchStream): void {
    if (stream.call !== undefined) stream.call.state = undefined;
    stream.call = undefined;
    this.#streamCount--;
    this.#delivery.block(stream);
    this.#timers.remove(stream);
    this.#closing.push(stream);
    if (this.#closing.length > 1 || stream.watcherCount > 256 || this.#delivery.isDelivering) return;
    this.#removeClosing(256);
  }

  #removeClosing(units: number): void {
    while (this.#closing.length > 0) {
      const stream = this.#closing[this.#closing.length - 1]!;
      while (stream.watcherCount > 0) {
        if (units-- <= 0) return;
        this.#delivery.remove(stream, stream.firstLagging === 0 ? stream.firstSynced : stream.firstLagging);
      }
      this.#closing.pop();
      this.#streams[stream.index] = undefined;
      this.#freeStreams.push(stream.index);
    }
  }

  #countOf(first: number): number {
    let count = 0;
    for (let slot = first; slot !== 0; slot = this.watchers.nextOfStream(slot)) count++;
    return count;
  }
}
