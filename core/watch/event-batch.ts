// The events of some revisions and the watchers they go to. Each event is encoded once (once more with the previous
// value, where a watcher wants it) into one buffer, and copied from there into every watcher's message.
//
//   group = a watcher with events in this batch        hit = one event of a group, linked to the group's next
//
// An encoded event is the whole field 11 of a WatchResponse: 5a <length> { 08 type, 12 kv, 1a prev_kv }. All columns are
// reused from batch to batch.

import { assert } from "../base/assert.ts";
import { ByteWriter, varintSizeBytes } from "../base/byte-writer.ts";
import {
  keyValueFieldSizeBytes,
  keyValueSizeBytes,
  writeKeyValue,
  writeKeyValueField,
} from "../mvcc/key-value.ts";
import { RecordView } from "../mvcc/record.ts";
import type { WatchSource } from "./watch-call.ts";
import { WATCH_PREV_KV, type Watchers } from "./watchers.ts";

const TAG_EVENTS = 0x5a;
const GROUP_FIELDS = 5;
/** Kept from batch to batch; larger buffers and columns (a range of a million keys was deleted) are given back. */
const KEPT_BYTES = 4 * 1024 * 1024;

export class EventBatch {
  /** The record that hits refer to; set by the hub before note(). */
  readonly view = new RecordView();
  readonly #source: () => WatchSource;
  readonly #watchers: Watchers;
  readonly #previous = new RecordView();
  #events = new ByteWriter(64 * 1024);
  /** Per record that anybody wants: its revision, and where its event is, without and with the previous value. */
  #revisions = new Float64Array(256);
  #places = new Int32Array(256 * 4);
  #recordCount = 0;
  /** Whether the record in `view` is the last of those. */
  #isNoted = false;
  /** Per hit: record * 2 + (1 with the previous value), next hit of the group or -1. */
  #hits = new Int32Array(1024 * 2);
  hitCount = 0;
  /** Per group: watcher, first hit, last hit, bytes of events, next group of the same stream or -1. */
  #groups = new Int32Array(256 * GROUP_FIELDS);
  groupCount = 0;

  constructor(source: () => WatchSource, watchers: Watchers) {
    this.#source = source;
    this.#watchers = watchers;
  }

  get sizeBytes(): number {
    return this.#events.position;
  }

  reset(): void {
    if (this.#events.bytes.length > KEPT_BYTES) this.#events = new ByteWriter(64 * 1024);
    if (this.#hits.byteLength > KEPT_BYTES) this.#hits = new Int32Array(1024 * 2);
    if (this.#groups.byteLength > KEPT_BYTES) this.#groups = new Int32Array(256 * GROUP_FIELDS);
    if (this.#places.byteLength > KEPT_BYTES) {
      this.#revisions = new Float64Array(256);
      this.#places = new Int32Array(256 * 4);
    }
    this.#events.reset();
    this.#recordCount = this.hitCount = this.groupCount = 0;
    this.#isNoted = false;
  }

  /** Another record is in `view`. */
  recordChanged(): void {
    this.#isNoted = false;
  }

  /** The record in `view` goes to this watcher. */
  note(watcher: number): void {
    if (!this.#isNoted) this.#noteRecord();
    const record = this.#recordCount - 1;
    const withPrevious = this.#watchers.has(watcher, WATCH_PREV_KV) ? 1 : 0;
    const at = record * 4 + withPrevious * 2;
    if (this.#places[at + 1] === 0) this.#encode(at, withPrevious === 1);
    const hit = this.hitCount++;
    if (hit * 2 === this.#hits.length) this.#hits = grownInts(this.#hits);
    this.#hits[hit * 2] = record * 2 + withPrevious;
    this.#hits[hit * 2 + 1] = -1;
    const size = this.#places[at + 1]! - this.#places[at]!;
    const group = this.#watchers.group(watcher);
    if (group < 0) this.#addGroup(watcher, hit, size);
    else {
      this.#hits[this.#groups[group * GROUP_FIELDS + 2]! * 2 + 1] = hit;
      this.#groups[group * GROUP_FIELDS + 2] = hit;
      this.#groups[group * GROUP_FIELDS + 3]! += size;
    }
  }

  watcherOf(group: number): number {
    return this.#groups[group * GROUP_FIELDS]!;
  }

  /** Bytes of all events of a group. */
  sizeOf(group: number): number {
    return this.#groups[group * GROUP_FIELDS + 3]!;
  }

  /** The group that was linked behind this one; -1 at the end. */
  nextGroup(group: number): number {
    return this.#groups[group * GROUP_FIELDS + 4]!;
  }

  /** Links a group behind another one. */
  linkGroup(group: number, next: number): void {
    this.#groups[group * GROUP_FIELDS + 4] = next;
  }

  firstHit(group: number): number {
    return this.#groups[group * GROUP_FIELDS + 1]!;
  }

  lastHit(group: number): number {
    return this.#groups[group * GROUP_FIELDS + 2]!;
  }

  /** The next hit of the same group, -1 at the end. */
  nextHit(hit: number): number {
    return this.#hits[hit * 2 + 1]!;
  }

  revisionOf(hit: number): number {
    return this.#revisions[this.#hits[hit * 2]! >>> 1]!;
  }

  sizeOfHit(hit: number): number {
    const at = this.#hits[hit * 2]! * 2;
    return this.#places[at + 1]! - this.#places[at]!;
  }

  /** Copies the events of the hits from `hit` up to, not including, `end` (-1: all that follow). */
  write(out: ByteWriter, hit: number, end: number): void {
    // Runs of events that lie behind each other are copied in one go: the usual case for watchers of a range.
    let start = 0;
    let stop = 0;
    for (; hit !== end; hit = this.#hits[hit * 2 + 1]!) {
      const at = this.#hits[hit * 2]! * 2;
      if (this.#places[at] !== stop) {
        if (stop > start) out.raw(this.#events.bytes, start, stop);
        start = this.#places[at]!;
      }
      stop = this.#places[at + 1]!;
    }
    if (stop > start) out.raw(this.#events.bytes, start, stop);
  }

  #noteRecord(): void {
    const record = this.#recordCount++;
    if (record === this.#revisions.length) {
      const grown = new Float64Array(record * 2);
      grown.set(this.#revisions);
      this.#revisions = grown;
      this.#places = grownInts(this.#places);
    }
    this.#revisions[record] = this.view.modRevision;
    this.#places.fill(0, record * 4, record * 4 + 4);
    this.#isNoted = true;
  }

  #addGroup(watcher: number, hit: number, size: number): void {
    const group = this.groupCount++;
    if (group * GROUP_FIELDS === this.#groups.length) this.#groups = grownInts(this.#groups);
    this.#groups[group * GROUP_FIELDS] = watcher;
    this.#groups[group * GROUP_FIELDS + 1] = hit;
    this.#groups[group * GROUP_FIELDS + 2] = hit;
    this.#groups[group * GROUP_FIELDS + 3] = size;
    this.#groups[group * GROUP_FIELDS + 4] = -1;
    this.#watchers.setGroup(watcher, group);
  }

  #encode(at: number, withPrevious: boolean): void {
    const { view } = this;
    const out = this.#events;
    // A key that its revision created has no previous value (facts: etcd API "Events and ordering").
    const isCreation = !view.isTombstone && view.createRevision === view.modRevision;
    const hasPrevious = withPrevious && !isCreation && this.#source().previousVersion(view, this.#previous);
    if (withPrevious && !hasPrevious) {
      // Both forms are the same bytes.
      if (this.#places[at - 1] === 0) this.#encode(at - 2, false);
      this.#places[at] = this.#places[at - 2]!;
      this.#places[at + 1] = this.#places[at - 1]!;
      return;
    }
    this.#places[at] = out.position;
    writeEvent(out, view, hasPrevious ? this.#previous : undefined);
    this.#places[at + 1] = out.position;
    assert(out.position < 2 ** 31, "positions in a batch fit their columns");
  }
}

function writeEvent(out: ByteWriter, view: RecordView, previous: RecordView | undefined): void {
  const keySize = view.keyEnd - view.keyStart;
  const kvSize = view.isTombstone
    ? 2 + varintSizeBytes(keySize) + keySize + varintSizeBytes(view.modRevision)
    : keyValueSizeBytes(view, false);
  let size = 1 + varintSizeBytes(kvSize) + kvSize;
  if (view.isTombstone) size += 2;
  if (previous !== undefined) size += keyValueFieldSizeBytes(previous, false);
  out.byte(TAG_EVENTS);
  out.varint(size);
  if (view.isTombstone) {
    out.byte(0x08); // type: DELETE
    out.byte(1);
  }
  out.byte(0x12);
  out.varint(kvSize);
  writeKeyValue(out, view, false);
  if (view.isTombstone) {
    // Unlike a stored tombstone, the event says when the key went.
    out.byte(0x18);
    out.varint(view.modRevision);
  }
  if (previous !== undefined) writeKeyValueField(out, 0x1a, previous, false);
}

function grownInts(column: Int32Array): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(column.length * 2);
  grown.set(column);
  return grown;
}
