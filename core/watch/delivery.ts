// Who is told what, when: the live pass, catch-up passes, and the watchers' way between the two. See hub.ts.

import { COLD_READ_UNITS } from "../mvcc/cold-reader.ts";
import { EventBatch } from "./event-batch.ts";
import { FIRST_LAGGING, FIRST_SYNCED } from "./interests.ts";
import type { WatchSource } from "./watch-call.ts";
import type { WatchLimits } from "./watch-limits.ts";
import type { WatchMessages } from "./watch-messages.ts";
import type { WatchStream } from "./watch-stream.ts";
import { StreamQueue } from "./watch-stream.ts";
import type { Watchers } from "./watchers.ts";
import {
  WATCH_FRAGMENT,
  WATCH_LAGGING,
  WATCH_NO_DELETE,
  WATCH_NO_PUT,
  WATCH_QUIET,
  WATCH_SELECTED,
} from "./watchers.ts";

/**
 * A stream that is sent more than this gets it at once, while the next stream's messages are being written: the first clients then
 * read beside the writing for the last, and not after it. Less than a system call's worth is not worth it.
 */
const FLUSH_SIZE_BYTES = 16 * 1024;

export interface DeliveryOptions {
  readonly store: WatchSource;
  readonly watchers: Watchers;
  readonly messages: WatchMessages;
  readonly limits: WatchLimits;
  /** By stream index; kept by the hub. */
  readonly streams: readonly (WatchStream | undefined)[];
}

export class Delivery {
  readonly #limits: WatchLimits;
  readonly #watchers: Watchers;
  readonly #messages: WatchMessages;
  readonly #streams: readonly (WatchStream | undefined)[];
  readonly #batch: EventBatch;
  #store: WatchSource;
  /** Streams with lagging watchers that take messages. */
  readonly #ready = new StreamQueue();
  /** Watchers of the catch-up pass at hand. */
  readonly #selected: number[] = [];
  readonly #id = { hi: 0, lo: 0 };
  /** Streams with groups in the batch that is being delivered. */
  readonly #due: WatchStream[] = [];
  /** In the middle of a batch: a stream that ends meanwhile keeps its watchers until the end of it. */
  isDelivering = false;
  /** Watchers that are up to date have been told of every revision up to it. */
  #live: number;
  eventCount = 0;
  messageCount = 0;

  constructor(options: DeliveryOptions) {
    this.#limits = options.limits;
    this.#watchers = options.watchers;
    this.#messages = options.messages;
    this.#streams = options.streams;
    this.#store = options.store;
    this.#live = options.store.revision;
    this.#batch = new EventBatch(() => this.#store, options.watchers);
  }

  get live(): number {
    return this.#live;
  }

  get isLive(): boolean {
    return this.#live === this.#store.revision;
  }

  get hasWork(): boolean {
    return !this.isLive || this.#ready.first !== undefined;
  }

  /** One slice of both kinds of passes. */
  turn(units: number): void {
    let left = units;
    while (!this.isLive && left > 0) left -= this.#livePass(left, left * 2);
    // Those that catch up get a share also while new revisions come without end.
    left = Math.max(left, units >> 2, 1);
    while (this.#ready.first !== undefined && left > 0) left -= this.#catchUpPass(left);
  }

  settle(): void {
    while (!this.isLive) this.#livePass(this.#limits.watchSliceUnits, Infinity);
  }

  restored(store: WatchSource): void {
    const untold = this.#live + 1;
    this.#store = store;
    this.#live = store.revision;
    for (const stream of this.#streams) {
      if (stream === undefined) continue;
      let next = 0;
      for (let slot = stream.firstSynced; slot !== 0; slot = next) {
        next = this.#watchers.nextOfStream(slot);
        const cursor = Math.max(this.#watchers.cursor(slot), untold);
        if (cursor <= this.#live) this.demote(stream, slot, cursor);
      }
    }
  }

  demote(stream: WatchStream, slot: number, cursor: number): void {
    this.#watchers.demote(stream, slot, cursor);
    if (!stream.isBlocked) this.#ready.add(stream);
  }

  remove(stream: WatchStream, slot: number): void {
    this.#watchers.remove(stream, slot);
    if (stream.firstLagging === 0) this.#ready.remove(stream);
  }

  /** What the watcher lacks next was compacted: it ends, and the client must start over. */
  cancelCompacted(stream: WatchStream, slot: number): void {
    const idHi = this.#watchers.idHi(slot);
    const idLo = this.#watchers.idLo(slot);
    this.remove(stream, slot);
    stream.noteEnded(idHi, idLo);
    this.#messages.compacted(stream.call!, idHi, idLo, this.#store.compactedRevision);
  }

  /** The stream takes messages again. */
  unblock(stream: WatchStream): void {
    stream.isBlocked = false;
    if (stream.firstLagging !== 0) this.#ready.add(stream);
  }

  /** The stream takes no messages: its watchers cost nothing until unblock(). */
  block(stream: WatchStream): void {
    stream.isBlocked = true;
    this.#ready.remove(stream);
  }

  // Live pass: new revisions to watchers that are up to date.

  /**
   * Hands out whole revisions until the units are used up; returns the units used, at least one. Within a revision,
   * watchers beyond `hitCountMax` are left to catch-up passes, which are slices as well.
   */
  #livePass(units: number, hitCountMax: number): number {
    const batch = this.#batch;
    const last = this.#store.revision;
    if (this.#watchers.count === 0) this.#live = last;
    batch.reset();
    let used = 0;
    while (this.#live < last && used < units && batch.sizeBytes < this.#limits.watchBatchBytes) {
      const hitCount = batch.hitCount;
      const readCount = this.#store.coldReadCount;
      used += this.#liveRevision(this.#live + 1, hitCountMax) + batch.hitCount - hitCount;
      used += (this.#store.coldReadCount - readCount) * COLD_READ_UNITS;
      this.#live++;
    }
    this.#deliver(0);
    return Math.max(used, 1);
  }

  #liveRevision(revision: number, hitCountMax: number): number {
    const store = this.#store;
    const { view } = this.#batch;
    const { interests } = this.#watchers;
    let recordCount = 0;
    for (let ref = store.firstRecordOf(revision); ref !== 0; ref = store.nextRecord(ref)) {
      store.load(ref, view);
      if (view.modRevision !== revision) break;
      recordCount++;
      this.#batch.recordChanged();
      interests.match(view.bytes, view.keyStart, view.keyEnd);
      for (const interest of interests.matched) this.#noteSynced(interest, revision, hitCountMax);
    }
    return recordCount;
  }

  #noteSynced(interest: number, revision: number, hitCountMax: number): void {
    const watchers = this.#watchers;
    const batch = this.#batch;
    let next = 0;
    for (let slot = watchers.interests.rows.get(interest, FIRST_SYNCED); slot !== 0; slot = next) {
      next = watchers.nextOfInterest(slot);
      if (!this.#wants(slot, revision)) continue;
      const stream = this.#streams[watchers.streamIndex(slot)]!;
      const isPending = watchers.group(slot) >= 0;
      if (!isPending && (stream.isBlocked || batch.hitCount >= hitCountMax))
        this.demote(stream, slot, revision);
      else batch.note(slot);
    }
  }

  /** Whether the watcher wants the record in the batch's view. */
  #wants(slot: number, revision: number): boolean {
    const filter = this.#batch.view.isTombstone ? WATCH_NO_DELETE : WATCH_NO_PUT;
    return !this.#watchers.has(slot, filter) && this.#watchers.cursor(slot) <= revision;
  }

  // Catch-up: old revisions to lagging watchers whose streams take messages.

  /** One stretch of revisions for the watcher that waited longest and others that need the same; returns the units used. */
  #catchUpPass(units: number): number {
    const stream = this.#ready.first!;
    const anchor = stream.firstLagging;
    const first = this.#watchers.cursor(anchor);
    if (first < this.#store.compactedRevision) {
      this.cancelCompacted(stream, anchor);
      return 1;
    }
    const last = Math.min(this.#live, first + this.#limits.watchPassRevisionCount - 1);
    let used = this.#select(first, last, Math.min(units, this.#limits.watchGroupCount));
    const batch = this.#batch;
    batch.reset();
    let told = first - 1;
    while (told < last && used < units && batch.sizeBytes < this.#limits.watchBatchBytes) {
      const hitCount = batch.hitCount;
      const readCount = this.#store.coldReadCount;
      used += this.#pastRevision(++told) + batch.hitCount - hitCount;
      used += (this.#store.coldReadCount - readCount) * COLD_READ_UNITS;
    }
    if (told < first) this.#pastRevision(++told); // selecting used all units; some progress is made in any case
    this.#deliver(told);
    this.#releaseSelected(told);
    if (this.#watchers.has(anchor, WATCH_LAGGING)) this.#watchers.rotate(stream, anchor);
    if (stream.isQueued) {
      this.#ready.remove(stream);
      this.#ready.add(stream);
    }
    return Math.max(used, 1);
  }

  /** Looks at waiting watchers and marks those whose cursors lie in the stretch; returns how many it looked at. */
  #select(first: number, last: number, countMax: number): number {
    const watchers = this.#watchers;
    this.#selected.length = 0;
    let left = countMax;
    for (let stream = this.#ready.first; stream !== undefined && left > 0; stream = stream.queueNext) {
      for (let slot = stream.firstLagging; slot !== 0 && left > 0; slot = watchers.nextOfStream(slot)) {
        left--;
        const cursor = watchers.cursor(slot);
        if (cursor < first || cursor > last) continue;
        watchers.select(slot);
        this.#selected.push(slot);
      }
    }
    return countMax - left;
  }

  #pastRevision(revision: number): number {
    const store = this.#store;
    const { view } = this.#batch;
    const watchers = this.#watchers;
    let recordCount = 0;
    for (let ref = store.firstRecordOf(revision); ref !== 0; ref = store.nextRecord(ref)) {
      store.load(ref, view);
      if (view.modRevision !== revision) break;
      recordCount++;
      this.#batch.recordChanged();
      watchers.interests.match(view.bytes, view.keyStart, view.keyEnd);
      for (const interest of watchers.interests.matched) {
        let slot = watchers.interests.rows.get(interest, FIRST_LAGGING);
        // Those selected stand in front; blocked ones, however many, are not looked at.
        for (; slot !== 0 && watchers.has(slot, WATCH_SELECTED); slot = watchers.nextOfInterest(slot))
          if (this.#wants(slot, revision)) this.#batch.note(slot);
      }
    }
    return recordCount;
  }

  #releaseSelected(told: number): void {
    const watchers = this.#watchers;
    for (const slot of this.#selected) {
      const wasDelivered = watchers.has(slot, WATCH_SELECTED);
      watchers.clearFlag(slot, WATCH_SELECTED);
      if (!wasDelivered) continue; // its stream became full: the cursor is set
      const stream = this.#streams[watchers.streamIndex(slot)]!;
      if (watchers.cursor(slot) <= told) watchers.setCursor(slot, told + 1);
      if (watchers.cursor(slot) > this.#live) this.#promote(stream, slot);
    }
    this.#selected.length = 0;
  }

  // Delivery of a batch.

  /** Sends every group's events, stream by stream; `told` is the header's revision, 0 for that of the group's last event. */
  #deliver(told: number): void {
    const due = this.#due;
    this.#sortByStream();
    this.isDelivering = true;
    for (let i = 0; i < due.length; i++) {
      const stream = due[i]!;
      const sizeBytes = this.#deliverTo(stream, told);
      if (sizeBytes >= FLUSH_SIZE_BYTES && i < due.length - 1) stream.call?.flush();
    }
    this.isDelivering = false;
    due.length = 0;
    this.eventCount += this.#batch.hitCount;
  }

  /** Links each stream's groups, in their order, and notes the streams in the order of their first ones. */
  #sortByStream(): void {
    const batch = this.#batch;
    for (let group = 0; group < batch.groupCount; group++) {
      const slot = batch.watcherOf(group);
      this.#watchers.setGroup(slot, -1);
      const stream = this.#streams[this.#watchers.streamIndex(slot)]!;
      if (stream.firstGroup >= 0) batch.linkGroup(stream.lastGroup, group);
      else {
        stream.firstGroup = group;
        this.#due.push(stream);
      }
      stream.lastGroup = group;
    }
  }

  /** Sends the groups of one stream; returns the bytes of their events. */
  #deliverTo(stream: WatchStream, told: number): number {
    const batch = this.#batch;
    let sizeBytes = 0;
    for (let group = stream.firstGroup; group >= 0; group = batch.nextGroup(group)) {
      const slot = batch.watcherOf(group);
      if (!this.#takesEvents(stream)) {
        this.#postpone(stream, slot, batch.revisionOf(batch.firstHit(group)));
        for (let hit = batch.firstHit(group); hit !== -1; hit = batch.nextHit(hit)) this.eventCount--;
        continue;
      }
      const revision = told === 0 ? batch.revisionOf(batch.lastHit(group)) : told;
      this.#id.hi = this.#watchers.idHi(slot);
      this.#id.lo = this.#watchers.idLo(slot);
      if (this.#watchers.has(slot, WATCH_FRAGMENT))
        this.#messages.fragments(stream.call!, revision, this.#id, batch, group);
      else this.#messages.events(stream.call!, revision, this.#id, batch, group);
      this.#watchers.clearFlag(slot, WATCH_QUIET);
      this.messageCount++;
      sizeBytes += batch.sizeOf(group);
    }
    stream.firstGroup = stream.lastGroup = -1;
    return sizeBytes;
  }

  #takesEvents(stream: WatchStream): boolean {
    if (stream.isBlocked) return false;
    if (stream.call!.writable) return true;
    this.block(stream);
    return false;
  }

  /** The stream is full: the watcher stays behind, at the first revision of which it was not told. */
  #postpone(stream: WatchStream, slot: number, revision: number): void {
    if (!this.#watchers.has(slot, WATCH_LAGGING)) return this.demote(stream, slot, revision);
    this.#watchers.clearFlag(slot, WATCH_SELECTED);
    this.#watchers.setCursor(slot, revision);
  }

  #promote(stream: WatchStream, slot: number): void {
    this.#watchers.promote(stream, slot);
    if (stream.firstLagging === 0) this.#ready.remove(stream);
  }
}
