// The multi-version store: every change of a key is a record under a new revision, until compaction drops the old ones.
//
//   key bytes ── KeyTable ──> key id ── Keys.newest ──> newest record ── previous ──> older record ── … ──> 0
//   key order ── KeyTree ───> key id
//   revision ── RevisionIndex ──> its first record; its others follow it in the segment
//
// One writer: beginRevision(), changes, endRevision(). All changes between share one revision, and readers in between
// see them. Reading next: record.ts for a record's form, compaction.ts for what is dropped when, checkpoint.ts for disk.

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import { compareBytes } from "../base/bytes.ts";
import { KeyTable } from "./key-table.ts";
import { DELETED_BIT, KeyTree } from "./key-tree.ts";
import { Keys } from "./keys.ts";
import type { LeaseHooks } from "./lease-hooks.ts";
import { NO_LEASES } from "./lease-hooks.ts";
import { ColdReader } from "./cold-reader.ts";
import type { ColdSegment } from "./cold-segment.ts";
import type { Disk } from "../base/ports.ts";
import type { NumberList } from "./column.ts";
import type { RecordRef, RecordView } from "./record.ts";
import {
  FLAG_COPY,
  FLAG_DEAD,
  FLAG_LEASE,
  FLAG_TOMBSTONE,
  WORD_KEY_SIZE,
  WORD_PREVIOUS,
  RecordPlace,
  createRevisionAt,
  leaseWordAt,
  modRevisionAt,
  recordSizeBytesAt,
  versionAt,
} from "./record.ts";
import { RevisionIndex } from "./revision-index.ts";
import { assertLayout, Slabs } from "./slabs.ts";

const NO_BYTES = new Uint8Array(0);

export interface StoreOptions {
  readonly segmentSizeBytes: number;
  /** Unknown to clients, so that they cannot choose keys that collide in the table. It changes nothing that is seen. */
  readonly hashSeed: number;
  /** Where its checkpoints are; without it everything stays in memory. */
  readonly files?: { readonly disk: Disk; readonly directory: string };
}

export class Store {
  readonly slabs: Slabs;
  readonly keys: Keys;
  readonly table: KeyTable;
  readonly tree: KeyTree;
  readonly revisions: RevisionIndex;
  leases: LeaseHooks = NO_LEASES;
  /** Of the last change; a fresh store is at 1, with nothing stored. */
  revision = 1;
  /** Reads below it are refused; -1 before the first compaction. */
  compactedRevision = -1;
  /** How many changes the open revision has; -1 when none is open. */
  #changeCount = -1;
  readonly #place = new RecordPlace();

  constructor(options: StoreOptions) {
    assertLayout();
    this.slabs = new Slabs(options.segmentSizeBytes);
    if (options.files !== undefined) {
      this.slabs.reader = new ColdReader({ ...options.files, keptBytesMax: this.slabs.segmentSizeBytes });
    }
    this.keys = new Keys(this.slabs, options.hashSeed);
    this.table = new KeyTable(this.keys);
    this.tree = new KeyTree(this.keys);
    this.revisions = new RevisionIndex();
  }

  /** Keys that exist at the current revision. */
  get keyCount(): number {
    return this.tree.liveCount;
  }

  /** Bytes in segments, and those of them that a read may still need. */
  get sizeBytes(): number {
    return this.slabs.sizeBytes;
  }

  get sizeInUseBytes(): number {
    return this.slabs.liveBytes;
  }

  /** Whether the open revision has changes; false when none is open. */
  get hasChanges(): boolean {
    return this.#changeCount > 0;
  }

  /** Reads from disk, ever. A slice counts each as COLD_READ_UNITS records. */
  get coldReadCount(): number {
    return this.slabs.reader?.readCount ?? 0;
  }

  // ---- writing

  beginRevision(): void {
    assert(this.#changeCount < 0, "one revision is open at a time");
    this.#changeCount = 0;
  }

  /** Returns the current revision, which is a new one if there were changes. */
  endRevision(): number {
    assert(this.#changeCount >= 0, "a revision that ends was begun");
    if (this.#changeCount > 0) this.revision++;
    this.#changeCount = -1;
    return this.revision;
  }

  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  put(
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
    leaseHi: number,
    leaseLo: number,
  ): void {
    assert(keyEnd > keyStart, "a key has at least one byte");
    const keys = this.keys;
    const hash = keys.hash(keyBytes, keyStart, keyEnd);
    let id = this.table.find(hash, keyBytes, keyStart, keyEnd);
    const isNew = id < 0;
    if (isNew) id = keys.allocate();
    const previous = isNew ? 0 : keys.newest.get(id);
    const fields = this.slabs.fields;
    fields.createRevision = this.revision + 1;
    fields.version = 1;
    let isRevived = false;
    if (previous !== 0) {
      const words = this.wordsOf(previous);
      const at = this.slabs.wordOf(previous);
      isRevived = (words[at + WORD_KEY_SIZE]! & FLAG_TOMBSTONE) !== 0;
      if (!isRevived) {
        fields.createRevision = createRevisionAt(words, at);
        fields.version = versionAt(words, at) + 1;
      }
    }
    fields.leaseHi = leaseHi;
    fields.leaseLo = leaseLo;
    fields.isTombstone = false;
    this.#append(id, previous, keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd);
    if (isNew) {
      this.table.insert(hash, id);
      this.tree.insert(id, keyBytes, keyStart, keyEnd);
    } else if (isRevived) this.tree.setLive(true, keyBytes, keyStart, keyEnd);
    this.#attach(id, (leaseHi | leaseLo) === 0 ? -1 : this.leases.find(leaseHi, leaseLo));
  }

  /** Deletes a key that exists. */
  deleteKey(id: number): void {
    const start = this.#appendTombstone(id);
    const ref = this.keys.newest.get(id);
    this.tree.setLive(false, this.keys.bytesOf(ref), start, start + this.keys.keySizeOf(ref));
  }

  /** Deletes the keys of a range, in their order; returns how many there were. An `endBytes` of undefined: no upper end. */
  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  deleteRange(
    bytes: Uint8Array,
    start: number,
    end: number,
    endBytes: Uint8Array | undefined,
    rangeEndStart: number,
    rangeEndEnd: number,
  ): number {
    const { tree } = this;
    if (endBytes !== undefined && compareBytes(bytes, start, end, endBytes, rangeEndStart, rangeEndEnd) >= 0)
      return 0;
    if (endBytes === undefined) tree.seekEnd();
    else tree.seek(endBytes, rangeEndStart, rangeEndEnd);
    const lastLeaf = tree.leaf;
    const lastPosition = tree.position;
    tree.seek(bytes, start, end);
    let { leaf, position } = tree;
    let count = 0;
    for (;;) {
      const isLast = leaf === lastLeaf;
      const words = tree.leafWords(leaf);
      const base = tree.leafBase(leaf);
      const to = isLast ? lastPosition : tree.countOf(leaf);
      let deletedHere = 0;
      for (; position < to; position++) {
        const entry = words[base + position]!;
        if ((entry & DELETED_BIT) !== 0) continue;
        this.#appendTombstone(entry);
        deletedHere++;
        words[base + position] = (entry | DELETED_BIT) >>> 0;
      }
      if (deletedHere > 0) tree.countDeleted(leaf, deletedHere);
      count += deletedHere;
      if (isLast) return count;
      leaf = tree.nextOf(leaf);
      position = 0;
    }
  }

  /** Writes the tombstone of a live key and returns where its key starts. */
  #appendTombstone(id: number): number {
    const previous = this.keys.newest.get(id);
    const words = this.wordsOf(previous);
    assert(
      (words[this.slabs.wordOf(previous) + WORD_KEY_SIZE]! & FLAG_TOMBSTONE) === 0,
      "a key is deleted once",
    );
    const start = this.keys.keyStartOf(previous);
    const fields = this.slabs.fields;
    fields.createRevision = fields.version = 0;
    fields.leaseHi = fields.leaseLo = 0;
    fields.isTombstone = true;
    this.#append(
      id,
      previous,
      this.keys.bytesOf(previous),
      start,
      start + this.keys.keySizeOf(previous),
      NO_BYTES,
      0,
      0,
    );
    this.#attach(id, -1);
    return this.keys.keyStartOf(this.keys.newest.get(id));
  }

  // oxlint-disable-next-line max-params -- bytes with their bounds; an object a call would cost on this path
  #append(
    id: number,
    previous: RecordRef,
    keyBytes: Uint8Array,
    keyStart: number,
    keyEnd: number,
    valueBytes: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    assert(this.#changeCount >= 0, "changes are made in an open revision");
    const fields = this.slabs.fields;
    fields.keyId = id;
    fields.previous = previous === 0 ? 0 : this.slabs.supersede(previous);
    fields.modRevision = this.revision + 1;
    fields.subRevision = this.#changeCount;
    const ref = this.slabs.append(keyBytes, keyStart, keyEnd, valueBytes, valueStart, valueEnd);
    if (this.#changeCount++ === 0) this.revisions.add(this.revision + 1, ref);
    this.keys.newest.set(id, ref);
  }

  /** Moves a key to the lease in `slot`, -1 for none. */
  #attach(id: number, slot: number): void {
    const { leaseSlot } = this.keys;
    const before = leaseSlot.get(id) - 1;
    if (before === slot) return;
    if (before >= 0) this.leases.detach(before, id);
    if (slot >= 0) this.leases.attach(slot, id);
    leaseSlot.set(id, slot + 1);
  }

  /** After a load, and once the leases are restored: attaches every live key to the lease that its record names. */
  attachLeases(): void {
    for (let id = 0; id < this.keys.idCount; id++) {
      const ref = this.keys.newest.get(id);
      if (ref === 0) continue;
      const words = this.wordsOf(ref);
      const at = this.slabs.wordOf(ref);
      if ((words[at + WORD_KEY_SIZE]! & FLAG_LEASE) === 0) continue;
      const lease = leaseWordAt(words, at);
      this.#attach(id, this.leases.find(words[lease]!, words[lease + 1]!));
    }
  }

  // ---- reading

  /** The id of a key that has any record, -1 without. */
  findKey(bytes: Uint8Array, start: number, end: number): number {
    return this.table.find(this.keys.hash(bytes, start, end), bytes, start, end);
  }

  /** The newest version of a key, 0 when it does not exist. */
  findLive(bytes: Uint8Array, start: number, end: number): RecordRef {
    const id = this.findKey(bytes, start, end);
    if (id < 0) return 0;
    const ref = this.keys.newest.get(id);
    return this.isTombstone(ref) ? 0 : ref;
  }

  /** The version of a key at a revision, 0 when it did not exist then. */
  findAt(bytes: Uint8Array, start: number, end: number, revision: number): RecordRef {
    const id = this.findKey(bytes, start, end);
    return id < 0 ? 0 : this.versionAt(id, revision);
  }

  /** The version of key `id` at a revision that is not compacted, 0 when it did not exist then. */
  versionAt(id: number, revision: number): RecordRef {
    const ref = this.recordAt(id, revision);
    return ref === 0 || this.isTombstone(ref) ? 0 : ref;
  }

  /** The newest record of key `id`, tombstones included, that is not above `revision`; 0 without. */
  recordAt(id: number, revision: number): RecordRef {
    let ref = this.keys.newest.get(id);
    while (ref !== 0) {
      const cold = this.coldOf(ref);
      if (cold === undefined) {
        const words = this.wordsOf(ref);
        const at = this.slabs.wordOf(ref);
        if (modRevisionAt(words, at) <= revision) return ref;
        ref = words[at + WORD_PREVIOUS]!;
      } else {
        const index = this.#coldIndex(cold, ref);
        if (cold.modRevision(index) <= revision) return ref;
        ref = cold.previous(index);
      }
    }
    return 0;
  }

  isTombstone(ref: RecordRef): boolean {
    const cold = this.coldOf(ref);
    if (cold !== undefined) return cold.isTombstone(this.#coldIndex(cold, ref));
    return (this.wordsOf(ref)[this.slabs.wordOf(ref) + WORD_KEY_SIZE]! & FLAG_TOMBSTONE) !== 0;
  }

  /** The version before this one, tombstones included, 0 without; of a copy, the record itself. */
  previousOf(ref: RecordRef): RecordRef {
    const cold = this.coldOf(ref);
    if (cold !== undefined) return cold.previous(this.#coldIndex(cold, ref));
    return this.wordsOf(ref)[this.slabs.wordOf(ref) + WORD_PREVIOUS]!;
  }

  setPrevious(ref: RecordRef, previous: RecordRef): void {
    const cold = this.coldOf(ref);
    if (cold !== undefined) cold.setPrevious(this.#coldIndex(cold, ref), previous);
    else this.wordsOf(ref)[this.slabs.wordOf(ref) + WORD_PREVIOUS] = previous;
  }

  /** The record that a copy stands in for; any other is itself. */
  originalOf(ref: RecordRef): RecordRef {
    if (ref === 0 || this.coldOf(ref) !== undefined) return ref;
    const words = this.wordsOf(ref);
    const at = this.slabs.wordOf(ref);
    return (words[at + WORD_KEY_SIZE]! & FLAG_COPY) === 0 ? ref : words[at + WORD_PREVIOUS]!;
  }

  /** May read from disk. */
  keyIdOf(ref: RecordRef): number {
    const { words, at } = this.locate(ref);
    return words[at]!;
  }

  modRevisionOf(ref: RecordRef): number {
    const cold = this.coldOf(ref);
    if (cold !== undefined) return cold.modRevision(this.#coldIndex(cold, ref));
    return modRevisionAt(this.wordsOf(ref), this.slabs.wordOf(ref));
  }

  recordSizeBytes(ref: RecordRef): number {
    const cold = this.coldOf(ref);
    if (cold !== undefined) return cold.sizeBytes(this.#coldIndex(cold, ref));
    return recordSizeBytesAt(this.wordsOf(ref), this.slabs.wordOf(ref));
  }

  /** The words of the segment that a record lies in; its header starts at `slabs.wordOf(ref)`. Empty when it is cold. */
  wordsOf(ref: RecordRef): Uint32Array {
    return this.slabs.words[ref >>> this.slabs.unitShift]!;
  }

  /** What stays in memory of a record's segment when that is cold. */
  coldOf(ref: RecordRef): ColdSegment | undefined {
    const slot = ref >>> this.slabs.unitShift;
    return this.slabs.words[slot]!.length === 0 ? this.slabs.segments[slot]!.cold : undefined;
  }

  #coldIndex(cold: ColdSegment, ref: RecordRef): number {
    return cold.indexOf(ref & this.slabs.unitMask);
  }

  /** Where a record's bytes are, until the next call; links and marks of a cold one are those of its `ColdSegment`. */
  locate(ref: RecordRef): RecordPlace {
    const { slabs } = this;
    const place = this.#place;
    const cold = this.coldOf(ref);
    if (cold !== undefined) {
      slabs.reader!.locate(cold, this.#coldIndex(cold, ref), place);
      return place;
    }
    place.bytes = slabs.bytes[ref >>> slabs.unitShift]!;
    place.words = this.wordsOf(ref);
    place.at = slabs.wordOf(ref);
    return place;
  }

  /** Reads a record, if need be from disk. */
  load(ref: RecordRef, view: RecordView): void {
    const { slabs } = this;
    const slot = ref >>> slabs.unitShift;
    const words = slabs.words[slot]!;
    view.ref = ref;
    if (words.length > 0) return view.read(slabs.bytes[slot]!, words, slabs.wordOf(ref));
    const { bytes, words: read, at } = this.locate(ref);
    view.read(bytes, read, at);
  }

  /**
   * Calls `visit` with each record of a list and its index: in the list's order, but when some are cold those of one
   * segment after the other, so that each piece of a file is read once.
   */
  visitAll(refs: NumberList, view: RecordView, visit: (index: number) => void): void {
    let isAnyCold = false;
    for (let i = 0; i < refs.length && !isAnyCold; i++) isAnyCold = this.coldOf(refs.get(i)) !== undefined;
    const order = isAnyCold ? this.#bySegment(refs) : undefined;
    for (let i = 0; i < refs.length; i++) {
      const index = order === undefined ? i : order[i]!;
      this.load(refs.get(index), view);
      visit(index);
    }
  }

  #bySegment(refs: NumberList): Uint32Array {
    const { unitShift, segments } = this.slabs;
    const starts = new Uint32Array(segments.length + 1);
    for (let i = 0; i < refs.length; i++) starts[(refs.get(i) >>> unitShift) + 1]!++;
    for (let slot = 1; slot < starts.length; slot++) starts[slot]! += starts[slot - 1]!;
    const order = new Uint32Array(refs.length);
    for (let i = 0; i < refs.length; i++) order[starts[refs.get(i) >>> unitShift]!++] = i;
    return order;
  }

  /** The first record of a revision at or above the compacted one; 0 when it has none (or is not there yet). */
  firstRecordOf(revision: number): RecordRef {
    assert(revision >= this.compactedRevision, "compacted revisions are not read");
    const ref = this.revisions.first(revision);
    return ref !== 0 && this.isDead(ref) ? this.nextRecord(ref) : ref;
  }

  /** The record behind this one, in its revision or the next one that has any; 0 when there is none yet. */
  nextRecord(ref: RecordRef): RecordRef {
    let next = ref;
    do {
      next = this.following(next);
    } while (next !== 0 && this.isDead(next));
    return next;
  }

  /** The record that was written after this one, dead or not; 0 when there is none yet. */
  following(ref: RecordRef): RecordRef {
    return this.slabs.following(ref, this.recordSizeBytes(ref));
  }

  /** The version that the record in `view` replaced, into `out`; false without, or when it is compacted. */
  previousVersion(view: RecordView, out: RecordView): boolean {
    // etcd reads it at the revision before, which must not be compacted.
    if (view.modRevision - 1 < this.compactedRevision) return false;
    let { ref } = view;
    do {
      ref = this.previousOf(ref);
      if (ref === 0) return false;
      // Within a transaction the version before the transaction counts.
    } while (this.modRevisionOf(ref) === view.modRevision);
    if (this.isTombstone(ref)) return false;
    this.load(ref, out);
    return true;
  }

  // ---- keys by id

  compareKeys(a: number, b: number): number {
    const ref = this.keys.newest.get(b);
    const start = this.keys.keyStartOf(ref);
    return this.keys.compare(a, this.keys.bytesOf(ref), start, start + this.keys.keySizeOf(ref), 0);
  }

  keySizeBytes(id: number): number {
    return this.keys.keySizeOf(this.keys.newest.get(id));
  }

  writeKey(writer: ByteWriter, id: number): void {
    const ref = this.keys.newest.get(id);
    const start = this.keys.keyStartOf(ref);
    writer.raw(this.keys.bytesOf(ref), start, start + this.keys.keySizeOf(ref));
  }

  /** Marks a record that no read needs any more; false when it was marked already. */
  kill(ref: RecordRef): boolean {
    const { slabs } = this;
    const cold = this.coldOf(ref);
    if (this.isDead(ref)) return false;
    if (cold !== undefined) cold.kill(this.#coldIndex(cold, ref));
    else this.wordsOf(ref)[slabs.wordOf(ref) + WORD_KEY_SIZE]! |= FLAG_DEAD;
    const size = this.recordSizeBytes(ref);
    slabs.segments[ref >>> slabs.unitShift]!.liveBytes -= size;
    slabs.liveBytes -= size;
    return true;
  }

  /** Makes whatever leads to a record of key `id` lead to another one, or nowhere (0). */
  redirect(id: number, from: RecordRef, to: RecordRef): void {
    const { newest } = this.keys;
    const first = newest.get(id);
    if (this.originalOf(first) === from) {
      assert(to !== 0, "a key's newest record is not taken away");
      this.slabs.supersede(first); // a copy is not needed any more: `to` is in memory
      this.slabs.makeNewest(to);
      newest.set(id, to);
      return;
    }
    for (let ref = first; ref !== 0;) {
      const previous = this.previousOf(ref);
      if (previous === from) return this.setPrevious(ref, to);
      ref = previous;
    }
  }

  isDead(ref: RecordRef): boolean {
    const cold = this.coldOf(ref);
    if (cold !== undefined) return cold.isDead(this.#coldIndex(cold, ref));
    return (this.wordsOf(ref)[this.slabs.wordOf(ref) + WORD_KEY_SIZE]! & FLAG_DEAD) !== 0;
  }

  /** Takes a key that is deleted and compacted out of the indexes; its id will be used again. */
  forgetKey(id: number): void {
    const ref = this.keys.newest.get(id);
    const bytes = this.keys.bytesOf(ref);
    const start = this.keys.keyStartOf(ref);
    const end = start + this.keys.keySizeOf(ref);
    this.tree.remove(bytes, start, end);
    this.table.remove(this.keys.hash(bytes, start, end), id);
    this.slabs.supersede(ref);
    this.keys.release(id);
  }
}
