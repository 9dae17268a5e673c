// The records of a checkpoint, read from its segments, and what is not trusted from disk but made again in one walk over
// them, oldest first: which live, their links, the newest of each key, the sums; and the table, because a key's bytes are
// at hand at its first record.
//
// A segment is read when the walk comes to it, and when superseded versions take more than their budget the segments behind
// are cooled (cooling.ts). So a start does not need memory for what the running member keeps on disk.

import type { Disk } from "../base/ports.ts";
import { damagedCheckpoint, segmentName } from "./checkpoint-format.ts";
import { Cooling } from "./cooling.ts";
import { DELETED_BIT } from "./key-tree.ts";
import type { RecordRef } from "./record.ts";
import {
  BASE_WORD_COUNT,
  FLAG_DEAD,
  FLAG_TOMBSTONE,
  WORD_KEY_ID,
  WORD_KEY_SIZE,
  WORD_PREVIOUS,
  modRevisionAt,
  recordSizeBytesAt,
  subRevisionAt,
} from "./record.ts";
import { type SegmentEntry, SegmentFiles } from "./segment-files.ts";
import type { Segment } from "./slabs.ts";
import { SEGMENT_HEAD_BYTES } from "./slabs.ts";
import type { Store } from "./store.ts";
import type { StreamReader } from "./stream-reader.ts";

/** A key's state, 0 while it is not met: exists, deleted. */
const KEY_LIVE = 1;
const KEY_DELETED = 2;
/** In the order of keys as well. */
const KEY_ORDERED = 4;

/**
 * A load in steps of a few milliseconds. What it yields is the name of the file that the next step reads, which must be there
 * as a whole by then; undefined when it needs none.
 */
export type LoadSteps<Result> = Generator<string | undefined, Result, void>;

/** Of one step, of the records that compaction left and of all others. */
const STEP_RECORD_COUNT = 4096;
const STEP_BYTES = 1024 * 1024;

/** All steps of a load of files that are there. */
export function loadAtOnce<Result>(steps: LoadSteps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** What a manifest begins with (checkpoint-format.ts). */
export interface Head {
  readonly revision: number;
  readonly compactedRevision: number;
  readonly base: number;
  readonly unitShift: number;
  readonly idCount: number;
  readonly nextNumber: number;
  readonly mainSlot: number;
  readonly oldSlot: number;
  readonly extra: Uint8Array;
}

interface Manifest {
  readonly head: Head;
  readonly reader: StreamReader;
  readonly path: string;
}

export class RecordLoader {
  readonly #files: SegmentFiles;
  readonly #store: Store;
  readonly #manifest: Manifest;
  readonly #cooling: Cooling;
  readonly #isArriving: boolean;
  readonly #whileReading: ((extra: Uint8Array) => void) | undefined;
  /** By slot, until it is read. */
  readonly #entries = new Map<number, SegmentEntry>();
  /** Of all segments. */
  readonly names: Set<string> = new Set();
  /** Those that are read and wholly below the base. */
  readonly #below: Segment[] = [];
  /** By slot, a bit for each unit of 8 bytes at which a record below the base begins. */
  readonly #starts = new Map<number, Uint8Array>();
  /** The first record that is not below the base, 0 without. */
  #firstRef: RecordRef = 0;
  /** By key id. */
  #states = new Uint8Array(0);
  /** By key id, of keys that were met. The table is filled with them at once, which is kinder to the cache. */
  #hashes = new Uint32Array(0);
  #keyCount = 0;
  /** Of the record before, in the order of the walk. */
  #lastMod = 0;
  #lastSub = -1;

  constructor(
    options: {
      readonly disk: Disk;
      readonly directory: string;
      readonly supersededBytesMax: number;
      readonly isArriving?: boolean;
      readonly whileReading?: (extra: Uint8Array) => void;
    },
    store: Store,
    manifest: Manifest,
  ) {
    this.#files = new SegmentFiles(options.disk, options.directory);
    this.#store = store;
    this.#manifest = manifest;
    this.#cooling = new Cooling(store, options.supersededBytesMax);
    this.#isArriving = options.isArriving ?? false;
    this.#whileReading = options.whileReading;
  }

  *load(): LoadSteps<void> {
    try {
      yield* this.#load();
    } finally {
      this.#files.close();
    }
  }

  *#load(): LoadSteps<void> {
    const { head, reader } = this.#manifest;
    const { revisions, slabs, keys, table, tree } = this.#store;
    for (let left = reader.varint(); left > 0; left--) this.#readEntry();
    revisions.base = head.base;
    reader.differences(reader.varint(), revisions.survivors);
    this.#firstRef = reader.varint();
    const isEmpty = head.base > head.revision;
    if ((this.#firstRef === 0) !== isEmpty || this.#firstRef >= 2 ** 32)
      this.#contradicts("revisions and their records");
    // What has not arrived cannot be read ahead.
    if (!this.#isArriving) this.#files.expect(this.#inOrderOfWalks());
    this.#whileReading?.(head.extra);
    const ids = reader.lastDifferences();
    this.#checkIds(ids);
    keys.idCount = head.idCount;
    keys.newest.reserve(head.idCount);
    yield* this.#walkSurvivors();
    yield* this.#walkRevisions();
    if (revisions.next !== head.revision + 1) this.#contradicts("revisions and their number");
    // What the walk did not come to holds nothing that lives, but must be there like the rest.
    for (const slot of [...this.#entries.keys()]) yield* this.#segment(slot);
    for (const segment of slabs.segments) if (segment !== undefined) segment.coveredBytes = segment.usedBytes;
    this.#resume();
    this.#checkOrder(ids);
    yield undefined;
    table.fill(ids, this.#hashes);
    const states = this.#states;
    yield undefined;
    tree.build(ids.length, (index) => {
      const id = ids[index]!;
      return states[id] === (KEY_DELETED | KEY_ORDERED) ? (id | DELETED_BIT) >>> 0 : id;
    });
    keys.restoreIds(head.idCount);
    this.#cool();
    slabs.nextNumber = Math.max(slabs.nextNumber, head.nextNumber);
  }

  // ---- segments

  #readEntry(): void {
    const { head, reader } = this.#manifest;
    const { slabs } = this.#store;
    const entry = {
      slot: reader.varint(),
      number: reader.varint(),
      capacityBytes: reader.varint(),
      usedBytes: reader.varint(),
      isOld: reader.varint() === 1,
      lastRevision: reader.varint(),
      nextSlot: reader.varint() - 1,
      pieces: this.#readPieces(),
    };
    const { slot, number, capacityBytes, usedBytes, pieces } = entry;
    const slotCount = 2 ** (32 - slabs.unitShift);
    if (slot >= slotCount || number >= head.nextNumber || this.#entries.has(slot))
      this.#contradicts("segments and their numbers");
    // A record that is larger than a segment has one to itself.
    const isWhole = capacityBytes === slabs.segmentSizeBytes || capacityBytes === usedBytes;
    if (!isWhole || usedBytes > capacityBytes || usedBytes % 8 !== 0 || usedBytes < SEGMENT_HEAD_BYTES)
      this.#contradicts("a segment's sizes");
    if (pieces.at(-2) !== usedBytes) this.#contradicts("a segment's size and its pieces");
    const name = segmentName(number);
    if (this.names.has(name)) this.#contradicts("segments and their numbers");
    this.names.add(name);
    slabs.reserve(slot);
    this.#entries.set(slot, entry);
  }

  #readPieces(): number[] {
    const { reader } = this.#manifest;
    const pieces: number[] = [];
    let end = 0;
    for (let left = reader.varint(); left > 0; left--) {
      const next = reader.varint();
      if (next <= end || next % 8 !== 0) this.#contradicts("the pieces of a segment");
      pieces.push((end = next), reader.varint());
    }
    return pieces;
  }

  /** In the order in which the walks come to them; what they do not come to is last. */
  #inOrderOfWalks(): SegmentEntry[] {
    const { slabs, revisions } = this.#store;
    const slots = new Set<number>();
    let before = -1;
    for (let i = 0; i < revisions.survivors.length; i++) {
      const slot = slabs.slotOf(revisions.survivors.get(i));
      if (slot !== before) slots.add((before = slot));
    }
    let slot = this.#firstRef === 0 ? -1 : slabs.slotOf(this.#firstRef);
    const chain = new Set<number>();
    for (; slot >= 0 && !chain.has(slot); slot = this.#entries.get(slot)?.nextSlot ?? -1) chain.add(slot);
    const all = new Set([...slots, ...chain, ...this.#entries.keys()]);
    return [...all].map((each) => this.#entries.get(each)).filter((entry) => entry !== undefined);
  }

  /** The segment in a slot, when it was read. */
  #readSegment(slot: number): Segment | undefined {
    return this.#entries.has(slot) ? undefined : this.#store.slabs.segments[slot];
  }

  /** The segment in a slot; read now when this is the first time. */
  *#segment(slot: number): LoadSteps<Segment> {
    const entry = this.#entries.get(slot);
    if (entry === undefined) return this.#store.slabs.segments[slot] ?? this.#contradicts("a location");
    yield segmentName(entry.number);
    const segment = this.#files.read(entry);
    // One that is wholly below the base can be cooled when the survivors are linked, others when the walk is over.
    if (this.#markDead(segment)) this.#below.push(segment);
    this.#store.slabs.restore(segment);
    this.#entries.delete(slot);
    return segment;
  }

  /** Marks every record below the base; survivors are called back to life afterwards. True when that is all of them. */
  #markDead(segment: Segment): boolean {
    const { words } = segment;
    let starts: Uint8Array | undefined;
    for (let offset = SEGMENT_HEAD_BYTES; offset < segment.usedBytes;) {
      const at = offset >>> 2;
      const size = this.#checkedSize(segment, offset);
      if (modRevisionAt(words, at) >= this.#manifest.head.base) {
        if (segment.kind === "main" && this.#isPlaceOfBase(segment, offset)) return false;
        this.#contradicts("revisions and their segments");
      }
      if (starts === undefined) {
        starts = new Uint8Array(Math.ceil(segment.usedBytes / 64));
        this.#starts.set(segment.slot, starts);
      }
      starts[offset >>> 6]! |= 1 << ((offset >>> 3) & 7);
      words[at + WORD_KEY_SIZE]! |= FLAG_DEAD;
      offset += size;
    }
    return true;
  }

  /** Whether records from the base on may begin at this offset: at the first of them, or where a segment begins. */
  #isPlaceOfBase(segment: Segment, offset: number): boolean {
    return offset === SEGMENT_HEAD_BYTES || this.#store.slabs.refAt(segment.slot, offset) === this.#firstRef;
  }

  /** The size of the record at an offset, which lies in the segment as a whole. */
  #checkedSize(segment: Segment, offset: number): number {
    const { words, usedBytes } = segment;
    if (offset < SEGMENT_HEAD_BYTES || offset + BASE_WORD_COUNT * 4 > usedBytes)
      this.#contradicts("a location");
    const size = recordSizeBytesAt(words, offset >>> 2);
    if (offset + size > usedBytes) this.#contradicts("a record and its segment");
    if (words[(offset >>> 2) + WORD_KEY_ID]! >= this.#manifest.head.idCount)
      this.#contradicts("a record and the number of keys");
    return size;
  }

  /** Says which segments go on being written. */
  #resume(): void {
    const { slabs } = this.#store;
    const { mainSlot, oldSlot } = this.#manifest.head;
    const isMain = mainSlot < 0 || slabs.segments[mainSlot]?.kind === "main";
    const isOld = oldSlot < 0 || slabs.segments[oldSlot]?.kind === "old";
    if (!isMain || !isOld) this.#contradicts("the segments that are written");
    slabs.resume(mainSlot, oldSlot);
  }

  // ---- records

  *#walkSurvivors(): LoadSteps<void> {
    const { slabs, revisions } = this.#store;
    const { survivors } = revisions;
    for (let i = 0; i < survivors.length;) {
      const end = Math.min(survivors.length, i + STEP_RECORD_COUNT);
      let segment: Segment | undefined = yield* this.#segment(slabs.slotOf(survivors.get(i)));
      while (segment !== undefined) {
        this.#linkSurvivor(segment, survivors.get(i++));
        segment = i < end ? this.#readSegment(slabs.slotOf(survivors.get(i))) : undefined;
      }
      yield undefined;
    }
    this.#starts.clear();
    for (const segment of this.#below) this.#cover(segment);
    this.#cool();
  }

  #linkSurvivor(segment: Segment, ref: RecordRef): void {
    const { slabs, revisions } = this.#store;
    const unit = ref & slabs.unitMask;
    const starts = this.#starts.get(segment.slot);
    if (starts === undefined || (starts[unit >>> 3]! & (1 << (unit & 7))) === 0)
      this.#contradicts("a location");
    const at = slabs.wordOf(ref);
    const flags = segment.words[at + WORD_KEY_SIZE]!;
    if (!this.#isNext(segment.words, at) || this.#lastMod >= revisions.base || flags & FLAG_TOMBSTONE)
      this.#contradicts("the records that compaction left");
    this.#link(segment, ref, recordSizeBytesAt(segment.words, at));
  }

  *#walkRevisions(): LoadSteps<void> {
    const { slabs } = this.#store;
    if (this.#firstRef === 0) return;
    let slot = slabs.slotOf(this.#firstRef);
    let offset = (this.#firstRef & slabs.unitMask) * 8;
    for (;;) {
      const segment = yield* this.#segment(slot);
      do {
        offset = this.#walkSegment(segment, offset);
        yield undefined;
      } while (offset < segment.usedBytes);
      const { nextSlot } = segment;
      if (nextSlot < 0) return;
      if (nextSlot !== slot) {
        this.#cover(segment);
        this.#cool();
      }
      slot = nextSlot;
      offset = SEGMENT_HEAD_BYTES;
    }
  }

  /** Records of a segment from an offset on, at least one; returns where the next step begins. */
  #walkSegment(segment: Segment, from: number): number {
    const store = this.#store;
    const { slabs, revisions } = store;
    const { words, usedBytes } = segment;
    const end = Math.min(usedBytes, from + STEP_BYTES);
    let offset = from;
    do {
      const size = this.#checkedSize(segment, offset);
      const ref = slabs.refAt(segment.slot, offset);
      const mod = modRevisionAt(words, offset >>> 2);
      // Every revision has a record.
      const isNew = mod === revisions.next;
      const isKnown = isNew || (mod === this.#lastMod && mod >= revisions.base);
      const fits = segment.kind === "main" && mod <= store.revision && isKnown;
      if (!fits || !this.#isNext(words, offset >>> 2)) this.#contradicts("revisions and their records");
      if (isNew) revisions.add(mod, ref);
      const previous = this.#link(segment, ref, size);
      // At the base itself, what a later operation of the same transaction replaced is not needed any more.
      if (previous !== 0 && store.compactedRevision >= revisions.base && mod === revisions.base) {
        store.kill(previous);
        store.setPrevious(ref, 0);
      }
      offset += size;
    } while (offset < end);
    return offset;
  }

  /** Whether a record comes behind the one before; so no walk goes in a circle. */
  #isNext(words: Uint32Array, at: number): boolean {
    const mod = modRevisionAt(words, at);
    const sub = subRevisionAt(words, at);
    const isNext = mod > this.#lastMod || (mod === this.#lastMod && sub > this.#lastSub);
    this.#lastMod = mod;
    this.#lastSub = sub;
    return isNext;
  }

  /** Makes a record of this size the newest of its key; returns the one that was. */
  #link(segment: Segment, ref: RecordRef, sizeBytes: number): RecordRef {
    const { slabs, keys } = this.#store;
    const { words } = segment;
    const at = slabs.wordOf(ref);
    const id = words[at + WORD_KEY_ID]!;
    const newest = keys.newest.get(id);
    const previous = newest === 0 ? 0 : slabs.supersede(newest);
    const flags = words[at + WORD_KEY_SIZE]! & ~FLAG_DEAD;
    words[at + WORD_KEY_SIZE] = flags;
    words[at + WORD_PREVIOUS] = previous;
    keys.newest.set(id, ref);
    this.#states[id] = (flags & FLAG_TOMBSTONE) === 0 ? KEY_LIVE : KEY_DELETED;
    segment.liveBytes += sizeBytes;
    segment.newestBytes += sizeBytes;
    slabs.liveBytes += sizeBytes;
    slabs.newestBytes += sizeBytes;
    if (this.#lastMod > segment.lastRevision) segment.lastRevision = this.#lastMod;
    if (newest === 0) {
      this.#hashes[id] = keys.hashAt(words, at);
      this.#keyCount++;
    }
    return previous;
  }

  /** The walk is done with a segment: it may be cooled, unless records will be appended to it. */
  #cover(segment: Segment): void {
    const { mainSlot, oldSlot } = this.#manifest.head;
    if (segment.slot !== mainSlot && segment.slot !== oldSlot) segment.coveredBytes = segment.usedBytes;
  }

  /** Segments behind the walk, as the running member would. */
  #cool(): void {
    this.#cooling.coverageChanged();
    while (this.#cooling.begin()) while (this.#cooling.slice(Number.POSITIVE_INFINITY));
  }

  // ---- keys

  #checkIds(ids: Uint32Array): void {
    const { idCount } = this.#manifest.head;
    if (ids.length > idCount || idCount > DELETED_BIT) this.#contradicts("keys and their number");
    this.#states = new Uint8Array(idCount);
    this.#hashes = new Uint32Array(idCount);
    for (let i = 0; i < ids.length; i++)
      if (ids[i]! >= idCount) this.#contradicts("a key and the number of keys");
  }

  /** Every key that has a record is in the order once. */
  #checkOrder(ids: Uint32Array): void {
    if (this.#keyCount !== ids.length) this.#contradicts("keys and their order");
    const states = this.#states;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      const state = states[id]!;
      if (state !== KEY_LIVE && state !== KEY_DELETED) this.#contradicts("keys and their order");
      states[id] = state | KEY_ORDERED;
    }
  }

  #contradicts(what: string): never {
    throw damagedCheckpoint(
      this.#manifest.path,
      0,
      `the manifest and its files contradict each other (${what})`,
    );
  }
}
