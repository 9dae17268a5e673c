// The records of a checkpoint, read from its segments, and what is not trusted from disk but made again in one walk over
// them, oldest first: which live, their links, the newest of each key, the sums; and the table, because a key's bytes are
// at hand at its first record.
//
// A segment is read when the walk comes to it, and when superseded versions take more than their budget the segments behind
// are cooled (cooling.ts). So a start does not need memory for what the running member keeps on disk.

import type { Disk, DiskFile } from "../base/ports.ts";
import { WRITE_SIZE_BYTES, damagedCheckpoint, segmentName } from "./checkpoint-format.ts";
import type { NumberList } from "./column.ts";
import { Cooling } from "./cooling.ts";
import { crc32cWords } from "./crc32c-words.ts";
import { DELETED_BIT } from "./key-tree.ts";
import type { Head } from "./load-checkpoint.ts";
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
import { SEGMENT_HEAD_BYTES, SEGMENT_MAGIC, SEGMENT_VERSION, Segment } from "./slabs.ts";
import type { Store } from "./store.ts";
import type { StreamReader } from "./stream-reader.ts";

/** A key's state: not met yet, exists, deleted. */
const KEY_UNKNOWN = 0;
const KEY_LIVE = 1;
const KEY_DELETED = 2;

interface Manifest {
  readonly head: Head;
  readonly reader: StreamReader;
  readonly path: string;
}

/** What the manifest says of a segment. */
interface Entry {
  readonly slot: number;
  readonly number: number;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly isOld: boolean;
  readonly lastRevision: number;
  readonly nextSlot: number;
  readonly pieces: readonly number[];
}

export class RecordLoader {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #store: Store;
  readonly #manifest: Manifest;
  readonly #cooling: Cooling;
  /** By slot, until it is read. */
  readonly #entries = new Map<number, Entry>();
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
  #keyCount = 0;
  /** Of the record before, in the order of the walk. */
  #lastMod = 0;
  #lastSub = -1;

  constructor(
    options: { readonly disk: Disk; readonly directory: string; readonly supersededBytesMax: number },
    store: Store,
    manifest: Manifest,
  ) {
    this.#disk = options.disk;
    this.#directory = options.directory;
    this.#store = store;
    this.#manifest = manifest;
    this.#cooling = new Cooling(store, options.supersededBytesMax);
  }

  load(): void {
    const { head, reader } = this.#manifest;
    const { revisions, slabs, keys, table, tree } = this.#store;
    for (let left = reader.varint(); left > 0; left--) this.#readEntry();
    revisions.base = head.base;
    revisions.survivors = reader.differences(reader.varint());
    const firsts = reader.differences(reader.varint());
    if (firsts.length !== head.revision + 1 - head.base) this.#contradicts("revisions and their number");
    for (let i = 0; i < firsts.length; i++) revisions.firsts.push(firsts.get(i));
    for (let revision = head.base; this.#firstRef === 0 && revision < revisions.next; revision++)
      this.#firstRef = revisions.first(revision);
    const ids = reader.differences(reader.rest());
    this.#checkIds(ids);
    keys.idCount = head.idCount;
    keys.newest.reserve(head.idCount);
    keys.leaseSlot.reserve(head.idCount);
    table.reserve(ids.length);
    this.#walkSurvivors();
    this.#walkRevisions();
    // What the walk did not come to holds nothing that lives, but must be there like the rest.
    for (const slot of [...this.#entries.keys()]) this.#segment(slot);
    for (const segment of slabs.segments) if (segment !== undefined) segment.coveredBytes = segment.usedBytes;
    this.#resume();
    this.#checkOrder(ids);
    tree.build(ids.length, (index) => {
      const id = ids.get(index);
      return this.#states[id] === KEY_DELETED ? (id | DELETED_BIT) >>> 0 : id;
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

  /** The segment in a slot; read now when this is the first time. */
  #segment(slot: number): Segment {
    const entry = this.#entries.get(slot);
    if (entry === undefined) return this.#store.slabs.segments[slot] ?? this.#contradicts("a location");
    const path = `${this.#directory}/${segmentName(entry.number)}`;
    if (!this.#disk.exists(path)) throw damagedCheckpoint(path, 0, "a segment's file is missing");
    const file = this.#disk.open(path, "bulk");
    try {
      // Before memory is taken for it.
      if (file.sizeBytes() < entry.usedBytes)
        throw damagedCheckpoint(path, file.sizeBytes(), "a segment's file is too short");
      const segment = new Segment(slot, entry.number, entry.capacityBytes, entry.isOld ? "old" : "main");
      segment.usedBytes = segment.persistedBytes = entry.usedBytes;
      segment.lastRevision = entry.lastRevision;
      segment.nextSlot = entry.nextSlot;
      for (const value of entry.pieces) segment.pieces.push(value);
      readPieces(file, segment, path);
      // One that is wholly below the base can be cooled when the survivors are linked, others when the walk is over.
      if (this.#markDead(segment)) this.#below.push(segment);
      this.#store.slabs.restore(segment);
      this.#entries.delete(slot);
      return segment;
    } finally {
      file.close();
    }
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

  #walkSurvivors(): void {
    const { slabs, revisions } = this.#store;
    const { survivors } = revisions;
    for (let i = 0; i < survivors.length; i++) {
      const ref = survivors.get(i);
      const segment = this.#segment(slabs.slotOf(ref));
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
    this.#starts.clear();
    for (const segment of this.#below) this.#cover(segment);
    this.#cool();
  }

  #walkRevisions(): void {
    const store = this.#store;
    const { slabs, revisions } = store;
    let ref = this.#firstRef;
    if (ref === 0) return;
    let segment = this.#segment(slabs.slotOf(ref));
    while (ref !== 0) {
      const size = this.#checkedSize(segment, (ref & slabs.unitMask) * 8);
      const at = slabs.wordOf(ref);
      const mod = modRevisionAt(segment.words, at);
      const isFirst = mod !== this.#lastMod;
      const isListed = mod <= store.revision && (!isFirst || revisions.first(mod) === ref);
      if (segment.kind !== "main" || !this.#isNext(segment.words, at) || !isListed)
        this.#contradicts("revisions and their records");
      const previous = this.#link(segment, ref, size);
      // At the base itself, what a later operation of the same transaction replaced is not needed any more.
      if (previous !== 0 && store.compactedRevision >= revisions.base && mod === revisions.base) {
        store.kill(previous);
        store.setPrevious(ref, 0);
      }
      ref = slabs.following(ref, size);
      if (ref === 0 || slabs.slotOf(ref) === segment.slot) continue;
      this.#cover(segment);
      this.#cool();
      segment = this.#segment(slabs.slotOf(ref));
    }
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
    const { slabs, keys, table } = this.#store;
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
      const start = keys.keyStartOf(ref);
      table.insert(keys.hash(segment.bytes, start, start + keys.keySizeOf(ref)), id);
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

  #checkIds(ids: NumberList): void {
    const { idCount } = this.#manifest.head;
    if (ids.length > idCount || idCount > DELETED_BIT) this.#contradicts("keys and their number");
    this.#states = new Uint8Array(idCount);
    for (let i = 0; i < ids.length; i++)
      if (ids.get(i) >= idCount) this.#contradicts("a key and the number of keys");
  }

  /** Every key that has a record is in the order once. */
  #checkOrder(ids: NumberList): void {
    if (this.#keyCount !== ids.length) this.#contradicts("keys and their order");
    const isOrdered = new Uint8Array(this.#states.length);
    for (let i = 0; i < ids.length; i++) {
      const id = ids.get(i);
      if (this.#states[id] === KEY_UNKNOWN || isOrdered[id] === 1) this.#contradicts("keys and their order");
      isOrdered[id] = 1;
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

/** Reads and verifies a segment's file. */
function readPieces(file: DiskFile, segment: Segment, path: string): void {
  const { bytes, words, pieces, usedBytes } = segment;
  let start = 0;
  for (let i = 0; i < pieces.length;) {
    // As many as are written at once, so that they are summed while they are in the cache.
    let next = i + 2;
    while (next < pieces.length && pieces[next]! - start <= WRITE_SIZE_BYTES) next += 2;
    const runEnd = pieces[next - 2]!;
    const count = file.read(bytes, start, runEnd, start);
    if (count !== runEnd - start)
      throw damagedCheckpoint(path, start + count, "a segment's file is too short");
    for (; i < next; i += 2) {
      const end = pieces[i]!;
      if (crc32cWords(bytes, words, start, end) !== pieces[i + 1]) {
        throw damagedCheckpoint(
          path,
          start,
          `bytes ${start} to ${end} of a segment do not match their checksum`,
        );
      }
      start = end;
    }
  }
  const isWhole = start === usedBytes && words[0] === SEGMENT_MAGIC && words[1] === SEGMENT_VERSION;
  if (!isWhole || words[2] !== segment.number >>> 0)
    throw damagedCheckpoint(path, 0, "a segment's file is not the one that the manifest names");
}
