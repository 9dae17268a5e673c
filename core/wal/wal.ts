// The write-ahead log: appends batches, makes them durable, gives up what checkpoints have made superfluous. Formats:
// record.ts, payload.ts; what recovery makes of them: recover.ts; the whole story: docs/internals/wal.md.
//
// One write is in flight at a time. Batches that arrive meanwhile become one group and go out together:
//
//   commitBatch --> [open group] --launch--> [in flight] --durable--> done callbacks, in order
//
// An error of the disk ends it: nothing is retried, nothing that follows is written (fsyncgate: after a failed sync the
// kernel may have dropped the pages and report success the next time).

import { assert } from "../base/assert.ts";
import type { Id64 } from "../base/ids.ts";
import type { Clock, Disk, DiskDone, DiskError, DiskFile } from "../base/ports.ts";
import { type DurableMark, emptyMark, type MarkChange, MarkWriter, NO_SEGMENT } from "./durable-mark.ts";
import { Ahead } from "./ahead.ts";
import { Group } from "./group.ts";
import { EntryLocator } from "./locator.ts";
import {
  encodeMetadata,
  encodeSnapshotMarker,
  type HardState,
  type LogMetadata,
  METADATA_BYTES_MAX,
  type SnapshotMarker,
  STAMP_BATCH,
  STAMP_HEAD,
  STAMP_STATE,
  StateFields,
} from "./payload.ts";
import { type EntrySink, readEntries } from "./read-entries.ts";
import { moveGroup } from "./move-group.ts";
import { RECORD_METADATA, RECORD_SNAPSHOT } from "./record.ts";
import type { Recovery } from "./recover.ts";
import { HEAD_BYTES_MAX, MARK_NAME } from "./segment.ts";
import { type LiveSegment, Segments } from "./segments.ts";
import { shareOfSpare, Spares } from "./spares.ts";
import { SyncPacer } from "./sync-pacer.ts";
import { WARM_AT_REST_MS, WarmBlocks } from "./warm-blocks.ts";
import { asDiskError, noRoom } from "./wal-error.ts";

/** A quiet log marks its end as durable after this long: what is damaged later is noticed. */
const MARK_DELAY_MS = 50;
/** Between two slices of a spare that is being filled. */
const FILL_DELAY_MS = 10;
/** What `#prepareGroup` says when the disk is full: the group waits. */
const NO_ROOM = -1;
/** Between two attempts on a full disk. */
const FULL_DELAY_MS = 1000;
/** After spares were given up for other files. */
const GIVEN_UP_DELAY_MS = 10_000;
/**
 * The first segment of a log is small and filled at once, because blocks that are allocated while callers wait cost a commit of the
 * file system's journal, which on a busy disk takes hundreds of milliseconds (Linux 6.18, ext4). Until it is full there is a spare.
 */
const FIRST_SEGMENT_BYTES_MAX = 1024 * 1024;

export interface WalOptions {
  readonly disk: Disk;
  /** Of the log's files, relative to the data directory. */
  readonly directory: string;
  readonly segmentSizeBytes: number;
  readonly clock: Clock;
}

export interface LogIdentity {
  readonly metadata: LogMetadata;
  /** 64 bits of chance: no client can write what recovery would take for a batch. */
  readonly logId: Id64;
}

/** Counters for metrics; read only. */
export interface WalStats {
  /** What went to the disk: whole blocks, where it wants these, and so the last block again with every small group. */
  writtenBytes: number;
  /** How far the log grew: what a restart has to read. */
  recordBytes: number;
  inlineSyncCount: number;
  backgroundSyncCount: number;
  rotationCount: number;
  lastSyncMs: number;
}

/** What a log is made of when it starts. */
interface WalStart {
  readonly locator: EntryLocator;
  readonly markFile: DiskFile;
  readonly mark: DurableMark;
  readonly state: StateFields;
  readonly metadata: Uint8Array;
  readonly lastIndex: number;
}

export class Wal {
  /** Index of the last entry that was handed in. */
  #lastIndex: number;
  /** Index of the last entry that is durable. */
  #durableIndex: number;
  readonly stats: WalStats = {
    writtenBytes: 0,
    recordBytes: 0,
    inlineSyncCount: 0,
    backgroundSyncCount: 0,
    rotationCount: 0,
    lastSyncMs: 0,
  };
  /**
   * Called with the duration of each sync of the log, writing included, and with that of writing alone: -1 when the
   * two were one operation.
   */
  onSync: ((durationMs: number, writeMs: number) => void) | undefined = undefined;
  readonly #options: WalOptions;
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #segments: Segments;
  readonly #locator: EntryLocator;
  readonly #spares: Spares;
  readonly #mark: MarkWriter;
  readonly #metadata: Uint8Array;
  readonly #pacer = new SyncPacer();
  /** The state last handed in, and the stamp of the next record. */
  readonly #state: StateFields;
  /** The state as far as it is durable: what opens a segment must not run ahead of the entries before it. */
  readonly #durableState = new StateFields();
  #file: DiskFile | undefined = undefined;
  readonly #ahead: Ahead;
  readonly #warmBlocks: WarmBlocks;
  /** The group at hand is written from the start of its first block on. */
  #startsBlock = false;
  /** End of the durable log, and the chain's value there. */
  #tailOffset = 0;
  #tailCrc = 0;
  /** What precedes the next group in its block. */
  readonly #tailBlock: Uint8Array;
  /** Of the newest group, and of the last durable one. */
  #batchSequence = 0;
  #durableSequence = 0;
  #open: Group;
  #spareGroup: Group;
  #inFlight: Group | undefined = undefined;
  #inBatch = false;
  /** Callers waiting for the group in flight, and for the open one. */
  #flying: DiskDone[] = [];
  #waiting: DiskDone[] = [];
  #error: DiskError | undefined = undefined;
  #closed = false;
  /** The open group found no room; it is tried again from time to time, not with each batch that joins it. */
  #waitsForRoom = false;
  #lastActivityMs = 0;
  #markDueMs = Infinity;
  #fillDueMs = Infinity;
  /** Until then no spares are made but the reserve. */
  #heldUntilMs = 0;
  readonly #onDone: DiskDone;
  #launchedMs = 0;

  /** Use `Wal.create` or `Wal.resume`. */
  private constructor(options: WalOptions, start: WalStart) {
    this.#options = options;
    this.#disk = options.disk;
    this.#clock = options.clock;
    const { disk, directory } = options;
    const onError = (error: DiskError): void => this.#fail(error);
    const alignmentBytes = alignmentOf(disk);
    const sizeBytes = standardSizeBytes(options);
    this.#spares = new Spares({ disk, directory, sizeBytes, alignmentBytes, onError });
    this.#segments = new Segments({ disk, directory, spares: this.#spares, onError });
    this.#locator = start.locator;
    this.#mark = new MarkWriter({ disk, file: start.markFile, mark: start.mark, onError });
    this.#state = start.state;
    this.#durableState.keep(start.state);
    this.#metadata = start.metadata;
    this.#lastIndex = start.lastIndex;
    this.#durableIndex = start.lastIndex;
    this.#tailBlock = new Uint8Array(blockSizeOf(disk));
    this.#ahead = new Ahead(disk, this.#tailBlock.length);
    this.#warmBlocks = new WarmBlocks(disk);
    this.#open = new Group(options.disk);
    this.#spareGroup = new Group(options.disk);
    this.#onDone = (error) => this.#onWritten(error);
  }

  /** Makes a new log in an empty or half created directory; durable when it returns. */
  static create(options: WalOptions, identity: LogIdentity): Wal {
    const { disk, directory } = options;
    disk.makeDirectory(directory);
    // What a creation that was cut short has left; a log with anything in it would have been recovered.
    for (const name of disk.list(directory)) disk.remove(`${directory}/${name}`);
    const metadata = new Uint8Array(METADATA_BYTES_MAX);
    const state = new StateFields();
    state.logIdHi = identity.logId.hi;
    state.logIdLo = identity.logId.lo;
    const wal = new Wal(options, {
      locator: new EntryLocator(),
      markFile: MarkWriter.createFile(disk, `${directory}/${MARK_NAME}`),
      mark: emptyMark(identity.logId),
      state,
      metadata: metadata.slice(0, encodeMetadata(metadata, 0, identity.metadata)),
      lastIndex: 0,
    });
    // First the mark, then the segment: a segment without a mark is damage.
    wal.#mark.write(wal.#markNow({ lastSegment: NO_SEGMENT, endOffset: 0 }));
    disk.syncDirectory(directory);
    wal.#syncParents(directory);
    if (!wal.#addSegment(0, 0)) throw noRoom(directory);
    wal.#mark.write(wal.#markNow({ lastSegment: 0, endOffset: wal.#tailOffset }));
    return wal;
  }

  /** Continues a log that was recovered: cuts off a torn tail for good, removes what is left over. */
  static resume(options: WalOptions, recovery: Recovery): Wal {
    const { disk, directory } = options;
    const { tail } = recovery;
    const { replay } = tail;
    for (const path of tail.leftovers) disk.remove(path);
    const metadata = new Uint8Array(METADATA_BYTES_MAX);
    const wal = new Wal(options, {
      locator: tail.locator,
      markFile: disk.open(`${directory}/${MARK_NAME}`, "side"),
      mark: tail.mark,
      state: replay.state,
      metadata: metadata.slice(0, encodeMetadata(metadata, 0, recovery.metadata)),
      lastIndex: recovery.lastIndex,
    });
    wal.#spares.adopt(tail.spares);
    wal.#segments.adopt(tail.segments);
    const file = wal.#lastSegment().file!;
    wal.#file = file;
    // How far a segment was filled is not recorded; filling is done again, ahead of the log only.
    const filledEnd = replay.segmentIsFilled ? replay.segmentSizeBytes : replay.offset;
    wal.#ahead.open(file, replay.segmentSizeBytes, filledEnd);
    wal.#tailOffset = replay.offset;
    wal.#tailCrc = replay.crc;
    // One number is left out: what remains of a torn batch has the one after the last good batch.
    wal.#batchSequence = replay.batchSequence + 1;
    wal.#durableSequence = replay.batchSequence;
    wal.#restoreTailBlock(tail.lastBytes);
    wal.#cutTail();
    disk.syncDirectory(directory);
    wal.#openLife();
    return wal;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** Bytes handed in that are not durable: for back-pressure. */
  get pendingBytes(): number {
    const flying = this.#inFlight === undefined ? 0 : this.#inFlight.end - this.#inFlight.start;
    return flying + (this.#open.isEmpty ? 0 : this.#open.end - this.#open.start);
  }

  /** The disk is full: what is left is for deletes and compactions (the NOSPACE alarm). */
  get spaceIsLow(): boolean {
    return this.#ahead.isFull || this.#spares.full;
  }

  /**
   * The disk is full, and a checkpoint would free more than the spares hold: gives them up, but for what deletes and
   * compactions need. False when there is nothing to give.
   */
  giveUpSpares(): boolean {
    this.#heldUntilMs = this.#clock.now() + GIVEN_UP_DELAY_MS;
    return this.#spares.giveUp();
  }

  /** Somebody has made room, or believes so: it counts as there, and is looked for at once. */
  lookForRoom(): void {
    this.#ahead.isFull = false;
    this.#spares.full = false;
    this.#heldUntilMs = 0;
    this.#fillDueMs = this.#clock.now();
  }

  /** Starts a batch; `hardState` when it changed. The log itself notes how far it is durable (design D4). */
  beginBatch(hardState: HardState | undefined): void {
    this.#assertUsable();
    assert(!this.#inBatch, "one batch is written at a time");
    this.#inBatch = true;
    if (hardState !== undefined) this.#keepState(hardState);
    if (this.#open.isEmpty) this.#openGroup();
    else if (hardState !== undefined) this.#stateRecord(this.#open);
  }

  /** Adds an entry: after the last one, or in place of one above the commit index. Copies the data. */
  // oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
  entry(type: number, term: number, index: number, bytes: Uint8Array, start: number, end: number): void {
    assert(this.#inBatch, "an entry belongs to a batch");
    assert(index <= this.#lastIndex + 1, "entries follow each other");
    assert(index > this.#state.commit, "a committed entry is not overwritten");
    const group = this.#open;
    const offset = group.endOffset;
    const segment = this.#lastSegment().sequence;
    if (index === this.#lastIndex + 1 && !this.#locator.isEmpty)
      this.#locator.note(index, segment, offset, group.crc);
    else this.#locator.rewind(index, segment, offset, group.crc);
    group.entry(type, term, index, bytes, start, end);
    group.lastIndex = index;
    this.#lastIndex = index;
  }

  /**
   * Ends the batch. True: it is durable now, `done` is not called. False: `done` is called later, in order. Throws the
   * disk's error when syncing at once failed; nothing may be asked of the log after any error.
   */
  commitBatch(done: DiskDone): boolean {
    assert(this.#inBatch, "a batch is ended once");
    this.#inBatch = false;
    if (this.#inFlight !== undefined || this.#waitsForRoom) {
      this.#waiting.push(done);
      return false;
    }
    try {
      // Earlier batches of the same group wait for their callbacks; they are called from the loop only.
      if (this.#waiting.length === 0 && this.#pacer.chooseInline(this.#disk.bulkPendingCount)) {
        if (this.#writeInline()) return true;
        this.#waiting.push(done);
        return false;
      }
      this.#waiting.push(done);
      this.#launch();
    } catch (error) {
      this.#error = asDiskError(error);
      throw error;
    }
    return false;
  }

  /** Notes a durable snapshot or checkpoint, as etcd's tools look for it. Syncs at once, behind what is in flight. */
  saveSnapshotMarker(marker: SnapshotMarker, done: DiskDone): boolean {
    this.#assertUsable();
    this.beginBatch(undefined);
    const scratch = new Uint8Array(32 + (marker.confState?.length ?? 0));
    this.#open.data(RECORD_SNAPSHOT, scratch, encodeSnapshotMarker(scratch, 0, marker));
    if (marker.index > this.#lastIndex) {
      // A snapshot from the leader takes the log's place; the next entry follows it.
      this.#locator.clear();
      this.#lastIndex = marker.index;
      this.#open.lastIndex = marker.index;
    }
    return this.commitBatch(done);
  }

  /** Gives up the segments whose entries all lie before `index`; returns how many. Their files go in the background. */
  truncateBefore(index: number): number {
    this.#assertUsable();
    assert(index <= this.#durableIndex + 1, "only durable entries are given up");
    const count = this.#segments.countBefore(index);
    if (count === 0) return 0;
    const first = this.#segments.list[count]!.sequence;
    const paths = this.#segments.drop(count);
    // The mark first: from then on recovery does not miss them.
    this.#mark.writeLater(this.#markNow({ firstSegment: first }), () => this.#spares.recycle(paths));
    this.#locator.dropSegmentsBelow(first);
    return count;
  }

  /** Hands durable entries to `sink`, from the files; returns the index after the last one handed over, 0 when `first` is gone. */
  readEntries(first: number, last: number, sink: EntrySink): number {
    assert(last <= this.#durableIndex, "only durable entries are read");
    return readEntries(
      { disk: this.#disk, segments: this.#segments.list, locator: this.#locator, first, last },
      sink,
    );
  }

  nextDeadlineMs(): number {
    return Math.min(this.#markDueMs, this.#fillDueMs);
  }

  /** Work that is best done when nothing else is: the mark of a quiet log, the next slice of a spare. */
  onDeadline(nowMs: number): void {
    if (this.#closed || this.#error !== undefined) return;
    if (nowMs >= this.#markDueMs) this.#maybeMark(nowMs);
    if (nowMs >= this.#fillDueMs) this.#maybeFill(nowMs);
  }

  /**
   * Ends cleanly: everything handed in is durable, and marked so when what runs in the background has ended. Nothing may be
   * in flight.
   */
  close(): void {
    assert(!this.#inBatch, "a batch is ended before the log");
    if (this.#closed) return;
    this.#closed = true;
    const isMarked = this.#error === undefined && this.#inFlight === undefined;
    this.#mark.close(isMarked ? this.#markNow({ endOffset: this.#tailOffset }) : undefined);
    this.#spares.close();
    if (this.#inFlight === undefined) this.#segments.close();
  }

  // Batches and groups.

  #openGroup(): void {
    const group = this.#open;
    const before = this.#inFlight;
    group.open(before?.endOffset ?? this.#tailOffset, this.#tailBlock, before?.crc ?? this.#tailCrc);
    group.lastIndexBefore = this.#lastIndex;
    group.lastIndex = this.#lastIndex;
    group.batchSequence = ++this.#batchSequence;
    this.#stamp(STAMP_BATCH, group, this.#state);
    group.state(this.#state);
    group.lastState.keep(this.#state);
  }

  #stateRecord(group: Group): void {
    this.#stamp(STAMP_STATE, group, this.#state);
    group.state(this.#state);
    group.lastState.keep(this.#state);
  }

  #stamp(kind: number, group: Group, state: StateFields): void {
    state.kind = kind;
    state.batchOffset = group.base + group.start;
    state.segmentSequence = this.#lastSegment().sequence;
    state.segmentSizeBytes = kind === STAMP_HEAD ? this.#ahead.segmentSizeBytes : 0;
    state.batchSequence = group.batchSequence;
    state.durableIndex = group.lastIndexBefore;
  }

  #keepState(hardState: HardState): void {
    const state = this.#state;
    assert(hardState.term >= state.term, "the term never goes back");
    state.term = hardState.term;
    state.voteHi = hardState.vote.hi;
    state.voteLo = hardState.vote.lo;
    // Never beyond what is durable when the batch is: a restart must find every entry that it believes committed.
    const durable = this.#open.isEmpty ? this.#lastIndex : this.#open.lastIndexBefore;
    state.commit = Math.max(state.commit, Math.min(hardState.commit, durable));
  }

  /**
   * Finds room for the group and adds the end mark; returns where its bytes end. NO_ROOM: the disk is full, and what was allocated
   * is too little. The group waits then, until there is room; nobody has been told anything.
   */
  #prepareGroup(): number {
    const end = this.#open.base + this.#open.seal();
    const ahead = this.#ahead;
    if (end <= ahead.segmentSizeBytes) {
      ahead.keep(end);
      if (ahead.isAllocated(end)) return this.#seal(this.#open);
    }
    if (this.#rotate()) {
      ahead.keep(this.#open.base + this.#open.seal());
      return this.#seal(this.#open);
    }
    // There is no other file, but what the disk has left may do.
    if (end <= ahead.segmentSizeBytes) {
      ahead.reach(end);
      if (ahead.isAllocated(end)) return this.#seal(this.#open);
    }
    ahead.isFull = true;
    this.#waitsForRoom = true;
    this.#fillDueMs = this.#clock.now() + FULL_DELAY_MS;
    return NO_ROOM;
  }

  /** Adds the end mark; returns where the bytes to be written end. The last block is written whole the first time. */
  #seal(group: Group): number {
    const sealed = group.seal();
    if (this.#disk.blockSizeBytes === 1) return sealed;
    const warm = this.#warmBlocks;
    if (this.#clock.now() - this.#lastActivityMs > WARM_AT_REST_MS) warm.forget();
    this.#startsBlock = warm.end === 0;
    if (group.base + sealed <= warm.end) return sealed;
    const end = group.fillBlock(sealed, this.#ahead.segmentSizeBytes);
    warm.noteWritten(group.base + end);
    return end;
  }

  /** False: there is no room. */
  #writeInline(): boolean {
    const sealed = this.#prepareGroup();
    if (sealed === NO_ROOM) return false;
    const group = this.#open;
    const start = this.#writeStart(group);
    const startMs = this.#clock.now();
    this.#file!.write(group.bytes, start, sealed, group.base + start);
    const writeMs = this.#clock.now() - startMs;
    this.#file!.sync();
    const nowMs = this.#clock.now();
    this.stats.writtenBytes += sealed - start;
    this.stats.inlineSyncCount++;
    this.#pacer.noteInline(nowMs - startMs);
    group.copyLastBlock(this.#tailBlock);
    this.#finishGroup(group, nowMs, { syncMs: nowMs - startMs, writeMs });
    return true;
  }

  /** Everybody who waits waits for this group, or for room. */
  #launch(): void {
    const sealed = this.#prepareGroup();
    if (sealed === NO_ROOM) return;
    const group = this.#open;
    this.#open = this.#spareGroup;
    this.#spareGroup = group;
    this.#open.clear();
    this.#inFlight = group;
    group.copyLastBlock(this.#tailBlock);
    const flying = this.#flying;
    this.#flying = this.#waiting;
    this.#waiting = flying;
    this.#launchedMs = this.#clock.now();
    const start = this.#writeStart(group);
    this.stats.writtenBytes += sealed - start;
    this.#file!.writeAndSync(group.bytes, start, sealed, group.base + start, this.#onDone);
  }

  #maybeLaunch(): void {
    if (this.#open.isEmpty || this.#inBatch) return;
    try {
      this.#launch();
    } catch (error) {
      this.#fail(asDiskError(error));
    }
  }

  #onWritten(error: DiskError | undefined): void {
    const group = this.#inFlight!;
    this.#inFlight = undefined;
    if (error !== undefined || this.#error !== undefined) {
      this.#fail(error ?? this.#error!);
      return;
    }
    const nowMs = this.#clock.now();
    const durationMs = nowMs - this.#launchedMs;
    this.stats.backgroundSyncCount++;
    this.#pacer.noteBackground(durationMs, this.#disk.bulkPendingCount);
    this.#finishGroup(group, nowMs, { syncMs: durationMs, writeMs: -1 });
    if (this.#closed) {
      this.#segments.close();
      return;
    }
    const callers = this.#flying;
    this.#flying = [];
    // First the disk gets its next work, then the callers hear: they have much to do.
    this.#maybeLaunch();
    for (let i = 0; i < callers.length; i++) callers[i]!(undefined);
  }

  #finishGroup(group: Group, nowMs: number, took: { syncMs: number; writeMs: number }): void {
    this.stats.recordBytes += group.end - group.start;
    this.#tailOffset = group.endOffset;
    this.#tailCrc = group.crc;
    this.#durableIndex = group.lastIndex;
    this.#durableSequence = group.batchSequence;
    this.#durableState.keep(group.lastState);
    this.stats.lastSyncMs = took.syncMs;
    this.onSync?.(took.syncMs, took.writeMs);
    if (group.end - group.start <= this.#tailBlock.length)
      this.#warmBlocks.readAhead(this.#file!, this.#tailOffset, this.#ahead.segmentSizeBytes, nowMs);
    group.clear();
    this.#lastActivityMs = nowMs;
    if (this.#markDueMs === Infinity) this.#markDueMs = nowMs + MARK_DELAY_MS;
    if (this.#fillDueMs === Infinity && (this.#ahead.isFull || this.#spareIsWanted()))
      this.#fillDueMs = nowMs + FILL_DELAY_MS;
  }

  #fail(error: DiskError): void {
    this.#error ??= error;
    const callers = [...this.#flying, ...this.#waiting];
    this.#flying = [];
    this.#waiting = [];
    for (const done of callers) done(error);
  }

  /** With an alignment whole sectors are written, or blocks; otherwise nothing is written twice. */
  #writeStart(group: Group): number {
    return this.#disk.alignmentBytes > 1 ? group.writeStart(this.#startsBlock) : group.start;
  }

  // Segments.

  /**
   * Moves the open group to a new segment. Everything before it is durable: a named segment proves that of the one before. False,
   * and nothing has changed: the disk is full.
   */
  #rotate(): boolean {
    assert(this.#inFlight === undefined, "a segment is opened when the one before is durable");
    const group = this.#open;
    // Checksums are varints: a record may grow by one padding unit when it is chained anew.
    const neededBytes = group.end - group.start + 8 * group.recordCount;
    if (!this.#addSegment(neededBytes, group.lastIndexBefore + 1)) return false;
    // Not waited for: until it is durable the segment before and this one's head say as much.
    this.#mark.writeLater(
      this.#markNow({ lastSegment: this.#lastSegment().sequence, endOffset: this.#tailOffset }),
    );
    this.stats.rotationCount++;
    const moved = this.#spareGroup;
    moved.open(this.#tailOffset, this.#tailBlock, this.#tailCrc);
    moved.batchSequence = group.batchSequence;
    moved.lastIndexBefore = group.lastIndexBefore;
    moved.lastState.keep(group.lastState);
    moveGroup(group, moved, { segmentSequence: this.#lastSegment().sequence, locator: this.#locator });
    this.#open = moved;
    this.#spareGroup = group;
    group.clear();
    return true;
  }

  /** Opens a segment with room for `neededBytes` behind its head; false when the disk is full. */
  #addSegment(neededBytes: number, firstIndex: number): boolean {
    const isFirst = this.#segments.last === undefined;
    const unit = blockSizeOf(this.#disk);
    const wanted = Math.ceil((HEAD_BYTES_MAX + neededBytes + unit) / unit) * unit;
    const standard = standardSizeBytes(this.#options);
    const size = Math.max(isFirst ? Math.min(standard, FIRST_SEGMENT_BYTES_MAX) : standard, wanted);
    const file = this.#segments.open(size, wanted, firstIndex);
    if (file === undefined) return false;
    const isFilled = this.#segments.isFromSpare;
    const sizeBytes = file.sizeBytes();
    this.#ahead.open(file, sizeBytes, isFilled ? sizeBytes : wanted);
    this.#warmBlocks.forget();
    this.#durableState.segmentIsFilled = isFilled ? 1 : 0;
    const head = this.#spareGroup;
    this.#writeHead(file, head, isFirst);
    this.#segments.name();
    this.#file = file;
    this.#tailOffset = head.endOffset;
    this.#tailCrc = head.crc;
    head.copyLastBlock(this.#tailBlock);
    head.clear();
    if (isFirst) this.#ahead.fillRest(wanted);
    return true;
  }

  #writeHead(file: DiskFile, head: Group, isFirst: boolean): void {
    head.open(0, this.#tailBlock, this.#tailCrc);
    head.chain();
    head.data(RECORD_METADATA, this.#metadata, this.#metadata.length);
    if (isFirst) {
      const marker = new Uint8Array(8);
      head.data(
        RECORD_SNAPSHOT,
        marker,
        encodeSnapshotMarker(marker, 0, { index: 0, term: 0, confState: undefined }),
      );
    }
    head.batchSequence = this.#durableSequence;
    head.lastIndexBefore = this.#durableIndex;
    const state = this.#durableState;
    this.#stamp(STAMP_HEAD, head, state);
    state.batchOffset = head.endOffset;
    head.state(state);
    file.write(head.bytes, 0, this.#seal(head), 0);
    file.sync();
  }

  /** Whether there is room again; until then nobody may write what would find out. */
  #tryToFillAhead(): void {
    try {
      this.#ahead.keep(this.#tailOffset);
    } catch (error) {
      this.#fail(asDiskError(error));
    }
  }

  // Recovery's repair, the mark, the background.

  #restoreTailBlock(lastBytes: Uint8Array): void {
    const count = this.#tailOffset % this.#tailBlock.length;
    assert(count <= lastBytes.length, "recovery kept the last block");
    this.#tailBlock.set(lastBytes.subarray(lastBytes.length - count), 0);
  }

  /** Puts the end mark behind the last good record, so that what is torn is never read again, by etcd's tools neither. */
  #cutTail(): void {
    const group = this.#open;
    group.open(this.#tailOffset, this.#tailBlock, this.#tailCrc);
    const sealed = Math.min(this.#seal(group), this.#ahead.segmentSizeBytes - group.base);
    const start = this.#writeStart(group);
    if (sealed > start) this.#file!.write(group.bytes, start, sealed, group.base + start);
    // Everything that was read, too: a process that was killed may have left it in the page cache.
    this.#file!.sync();
  }

  /**
   * A batch without entries: the chain goes another way from here, so that nothing of a torn batch can become good again,
   * whatever a later tear puts before it.
   */
  #openLife(): void {
    this.#openGroup();
    if (!this.#writeInline()) throw noRoom(this.#options.directory);
    // Later, because that batch may have opened a segment, with a mark of its own on the way.
    this.#mark.writeLater(
      this.#markNow({ lastSegment: this.#lastSegment().sequence, endOffset: this.#tailOffset }),
    );
  }

  #syncParents(directory: string): void {
    for (let end = directory.lastIndexOf("/"); end > 0; end = directory.lastIndexOf("/", end - 1)) {
      this.#disk.syncDirectory(directory.slice(0, end));
    }
    this.#disk.syncDirectory("");
  }

  #markNow(change: MarkChange): MarkChange {
    return { ...change, batchSequence: this.#durableSequence, lastIndex: this.#durableIndex };
  }

  #maybeMark(nowMs: number): void {
    if (nowMs < this.#lastActivityMs + MARK_DELAY_MS || this.#inFlight !== undefined) {
      this.#markDueMs = Math.max(this.#lastActivityMs, nowMs) + MARK_DELAY_MS;
      return;
    }
    this.#markDueMs = Infinity;
    if (this.#mark.endOffset !== this.#tailOffset)
      this.#mark.writeLater(this.#markNow({ endOffset: this.#tailOffset }));
  }

  #spareShare(): number {
    return shareOfSpare(this.#tailOffset, this.#ahead.segmentSizeBytes, standardSizeBytes(this.#options));
  }

  #spareIsWanted(): boolean {
    const share = this.#spareShare();
    return share > 0 && this.#spares.wantsSlice(share);
  }

  #maybeFill(nowMs: number): void {
    this.#fillDueMs = Infinity;
    this.#spares.isHeld = nowMs < this.#heldUntilMs;
    if (this.#ahead.isFull && this.#inFlight === undefined) this.#tryToFillAhead();
    if (this.#waitsForRoom) {
      this.#waitsForRoom = false;
      this.#maybeLaunch();
    }
    if (this.#spareIsWanted()) this.#spares.fillSlice();
    if (!this.#spares.isShort(this.#spareShare()) && !this.#ahead.isFull) return;
    const waits = this.spaceIsLow || this.#spares.isHeld;
    this.#fillDueMs = nowMs + (waits ? FULL_DELAY_MS : FILL_DELAY_MS);
  }

  #lastSegment(): LiveSegment {
    return this.#segments.last!;
  }

  #assertUsable(): void {
    // Nobody may have been waiting when it came: a spare's, or the mark's.
    if (this.#error !== undefined) throw this.#error;
    assert(!this.#closed, "nothing is asked of a closed log");
  }
}

/** What begins a group's write begins at a multiple of this. */
function alignmentOf(disk: Disk): number {
  return Math.max(8, disk.alignmentBytes);
}

function blockSizeOf(disk: Disk): number {
  return Math.max(8, disk.blockSizeBytes);
}

/** So that a whole block always fits; 64,000,000 is a multiple of 4096. */
function standardSizeBytes(options: WalOptions): number {
  const unit = blockSizeOf(options.disk);
  return Math.ceil(options.segmentSizeBytes / unit) * unit;
}
