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
import type { RecordRef, RecordView } from "./record.ts";
import {
  FLAG_DEAD,
  FLAG_LEASE,
  FLAG_TOMBSTONE,
  WORD_KEY_SIZE,
  WORD_PREVIOUS,
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

  constructor(options: StoreOptions) {
    assertLayout();
    this.slabs = new Slabs(options.segmentSizeBytes);
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
    fields.previous = previous;
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
      const words = this.wordsOf(ref);
      const at = this.slabs.wordOf(ref);
      if (modRevisionAt(words, at) <= revision) return ref;
      ref = words[at + WORD_PREVIOUS]!;
    }
    return 0;
  }

  isTombstone(ref: RecordRef): boolean {
    return (this.wordsOf(ref)[this.slabs.wordOf(ref) + WORD_KEY_SIZE]! & FLAG_TOMBSTONE) !== 0;
  }

  /** The version before this one, tombstones included, 0 without. */
  previousOf(ref: RecordRef): RecordRef {
    return this.wordsOf(ref)[this.slabs.wordOf(ref) + WORD_PREVIOUS]!;
  }

  keyIdOf(ref: RecordRef): number {
    return this.wordsOf(ref)[this.slabs.wordOf(ref)]!;
  }

  modRevisionOf(ref: RecordRef): number {
    return modRevisionAt(this.wordsOf(ref), this.slabs.wordOf(ref));
  }

  /** The words of the segment that a record lies in; its header starts at `slabs.wordOf(ref)`. */
  wordsOf(ref: RecordRef): Uint32Array {
    return this.slabs.words[ref >>> this.slabs.unitShift]!;
  }

  load(ref: RecordRef, view: RecordView): void {
    const { slabs } = this;
    const slot = ref >>> slabs.unitShift;
    view.ref = ref;
    view.read(slabs.bytes[slot]!, slabs.words[slot]!, slabs.wordOf(ref));
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
      next = this.slabs.following(next, recordSizeBytesAt(this.wordsOf(next), this.slabs.wordOf(next)));
    } while (next !== 0 && this.isDead(next));
    return next;
  }

  /** The version that the record in `view` replaced, into `out`; false without, or when it is compacted. */
  previousVersion(view: RecordView, out: RecordView): boolean {
    // etcd reads it at the revision before, which must not be compacted.
    if (view.modRevision - 1 < this.compactedRevision) return false;
    let ref = view.ref;
    do {
      ref = this.wordsOf(ref)[this.slabs.wordOf(ref) + WORD_PREVIOUS]!;
      if (ref === 0) return false;
      // Within a transaction the version before the transaction counts.
    } while (modRevisionAt(this.wordsOf(ref), this.slabs.wordOf(ref)) === view.modRevision);
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
    const words = this.wordsOf(ref);
    const at = slabs.wordOf(ref);
    if ((words[at + WORD_KEY_SIZE]! & FLAG_DEAD) !== 0) return false;
    words[at + WORD_KEY_SIZE]! |= FLAG_DEAD;
    const size = recordSizeBytesAt(words, at);
    slabs.segments[ref >>> slabs.unitShift]!.liveBytes -= size;
    slabs.liveBytes -= size;
    return true;
  }

  /** Makes whatever leads to a record of key `id` lead to another one, or nowhere (0). */
  redirect(id: number, from: RecordRef, to: RecordRef): void {
    const { newest } = this.keys;
    if (newest.get(id) === from) {
      assert(to !== 0, "a key's newest record is not taken away");
      newest.set(id, to);
      return;
    }
    for (let ref = newest.get(id); ref !== 0;) {
      const words = this.wordsOf(ref);
      const at = this.slabs.wordOf(ref) + WORD_PREVIOUS;
      if (words[at] === from) {
        words[at] = to;
        return;
      }
      ref = words[at]!;
    }
  }

  isDead(ref: RecordRef): boolean {
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
    this.keys.release(id);
  }
}
