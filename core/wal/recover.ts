// Recovery: reads every segment, keeps the entries that are wanted, repairs nothing but a torn tail, and refuses
// everything else with the file, the offset and what to do. It writes nothing: `Wal.resume` makes the repair durable.
//
// Order of proofs: the mark names the segments that must be there; their names, or the heads of those without one (unnamed.ts), must be consecutive; each must have its
// size and a good head; every segment but the last must be good up to where the next one's chain takes over; the last
// one ends in a torn tail or in damage (tail.ts), and not before the mark, nor before the caller's checkpoint.
// docs/internals/wal.md lists what is detected and what cannot be.

import { assert } from "../base/assert.ts";
import type { Disk, DiskFile } from "../base/ports.ts";
import { RaftLog } from "../raft/log.ts";
import { type DurableMark, NO_SEGMENT, readMark } from "./durable-mark.ts";
import { EntryLocator } from "./locator.ts";
import type { HardState, LogMetadata, SnapshotMarker } from "./payload.ts";
import { RecoveredEntries } from "./recovered-entries.ts";
import { Replay, type SegmentBytes } from "./replay.ts";
import { isSpareName, isTemporaryName, MARK_NAME, parseSegmentName, type Segment } from "./segment.ts";
import { beginsRecord, FRAME_HEAD_BYTES } from "./record.ts";
import { findLaterBatch, hasFlippedBit } from "./tail.ts";
import { findUnnamed, refuseHeadless } from "./unnamed.ts";
import { damaged, type WalError } from "./wal-error.ts";

export interface RecoverOptions {
  readonly disk: Disk;
  /** Of the log's files, relative to the data directory, as `member/wal`. */
  readonly directory: string;
  /** The index of the checkpoint that the member starts from: entries up to it are checked but not kept. */
  readonly checkpointIndex: number;
  /** What they go to, empty behind that index; a log of its own without. */
  readonly log?: RaftLog;
  /** What to name when the log begins behind the checkpoint: a newer one had been there when it was cut. */
  readonly checkpointFile?: string;
  /** The checkpoint came from another member and the log may not know of it yet. */
  readonly mayEndBefore?: boolean;
}

export interface Recovery {
  readonly metadata: LogMetadata;
  readonly hardState: HardState;
  /** The entries behind the checkpoint. */
  readonly entries: RecoveredEntries;
  /** The newest snapshot markers, oldest first. */
  readonly markers: readonly SnapshotMarker[];
  /** Index and term of the last entry, or of a newer snapshot marker; 0 for an empty log. */
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** What was cut off, for the start's log line; `undefined` after a clean end. */
  readonly tornTail: { readonly file: string; readonly offset: number } | undefined;
  /** For `Wal.resume`. */
  readonly tail: RecoveredTail;
}

export interface RecoveredTail {
  /** The last ones may have a spare's name still. */
  readonly segments: Segment[];
  readonly mark: DurableMark;
  readonly locator: EntryLocator;
  readonly replay: Replay;
  /** Files to be removed: given up segments and half made spares. */
  readonly leftovers: readonly string[];
  readonly spares: readonly string[];
  /** The last whole or part block before the end of the log, for writers of whole blocks. */
  readonly lastBytes: Uint8Array;
}

/** Bytes before the log's end that `RecoveredTail.lastBytes` keeps: no block is larger. */
const LAST_BYTES_MAX = 65536;
/** A segment is loaded in pieces of this size. */
const LOAD_BYTES = 1024 * 1024;
const NO_BYTES = new Uint8Array(0);

/** Reads the log in `directory`; `undefined` when none was ever completely created there. */
export function recoverWal(options: RecoverOptions): Recovery | undefined {
  const { disk, directory, checkpointIndex } = options;
  const files = listFiles(disk, directory);
  const mark = loadMark(disk, directory, files.segments);
  if (mark === undefined) return undefined;
  const named = files.segments.filter((segment) => segment.sequence >= mark.firstSegment);
  const givenUp = files.segments.filter((segment) => segment.sequence < mark.firstSegment);
  const unnamed = findUnnamed(disk, files.spares, { mark, named });
  const kept = [...named, ...unnamed.segments].sort((a, b) => a.sequence - b.sequence);
  if (kept.length === 0 && mark.lastSegment === NO_SEGMENT) return undefined;
  const following = checkSequence(directory, kept, mark);
  refuseHeadless(disk, unnamed.spares, { mark, sequence: following });
  const locator = new EntryLocator();
  const entries = new RecoveredEntries(options.log ?? logBehind(checkpointIndex));
  assert(entries.base === checkpointIndex, "entries are kept from the checkpoint on");
  const replay = new Replay(entries, locator);
  const end = readSegments({ disk, segments: kept, mark, replay });
  if (options.mayEndBefore !== true || replay.lastIndex >= checkpointIndex)
    checkCheckpoint(kept, replay, entries, options);
  assert(replay.metadata !== undefined, "a log that was read has metadata");
  const { term, voteHi, voteLo, commit } = replay.state;
  return {
    metadata: replay.metadata,
    hardState: { term, vote: { hi: voteHi, lo: voteLo }, commit },
    entries,
    markers: replay.markers,
    lastIndex: replay.lastIndex,
    lastTerm: replay.lastTerm,
    tornTail: end.torn ? { file: kept[kept.length - 1]!.path, offset: replay.offset } : undefined,
    tail: {
      segments: kept,
      mark,
      locator,
      replay,
      leftovers: [...givenUp.map((segment) => segment.path), ...files.leftovers],
      spares: unnamed.spares,
      lastBytes: end.lastBytes,
    },
  };
}

function logBehind(index: number): RaftLog {
  return new RaftLog({ arenaBytes: LOAD_BYTES, compactedIndex: index, compactedTerm: 0 });
}

interface Files {
  readonly segments: Segment[];
  readonly spares: string[];
  readonly leftovers: string[];
}

function listFiles(disk: Disk, directory: string): Files {
  const files: Files = { segments: [], spares: [], leftovers: [] };
  for (const name of disk.list(directory)) {
    const segment = parseSegmentName(directory, name);
    if (segment !== undefined) files.segments.push(segment);
    else if (isSpareName(name)) files.spares.push(`${directory}/${name}`);
    else if (isTemporaryName(name)) files.leftovers.push(`${directory}/${name}`);
  }
  files.segments.sort((a, b) => a.sequence - b.sequence);
  return files;
}

function loadMark(disk: Disk, directory: string, segments: readonly Segment[]): DurableMark | undefined {
  const path = `${directory}/${MARK_NAME}`;
  let mark: DurableMark | undefined;
  if (disk.exists(path)) {
    const file = disk.open(path, "log");
    mark = readMark(file);
    file.close();
    // Creation writes the mark before any segment has a name: without a segment an unreadable one is a creation cut short.
    if (mark === undefined && segments.length > 0) throw damaged(path, 0, "the durable mark cannot be read");
  } else if (segments.length > 0) throw damaged(path, 0, "the durable mark is missing");
  return mark;
}

/** Returns the sequence that the log does not have any more. */
function checkSequence(directory: string, segments: readonly Segment[], mark: DurableMark): number {
  let expected = mark.firstSegment;
  for (const segment of segments) {
    if (segment.sequence !== expected) throw missing(directory, expected);
    expected++;
  }
  if (mark.lastSegment !== NO_SEGMENT && expected <= mark.lastSegment) throw missing(directory, expected);
  return expected;
}

function missing(directory: string, sequence: number): WalError {
  const file = `${directory}/${sequence.toString(16).padStart(16, "0")}-*.wal`;
  return damaged(file, 0, `log segment ${sequence} is missing`);
}

interface ReadOptions {
  readonly disk: Disk;
  readonly segments: readonly Segment[];
  readonly mark: DurableMark;
  readonly replay: Replay;
}

function readSegments(options: ReadOptions): { torn: boolean; lastBytes: Uint8Array } {
  const { disk, segments, replay } = options;
  let loader = new SegmentLoader(disk, undefined, NO_BYTES);
  let torn = false;
  for (const segment of segments) {
    loader = new SegmentLoader(disk, disk.open(segment.path, "log"), loader.bytes);
    const { file, size } = loader;
    const kind = replay.readSegment(segment, loader);
    if (!replay.headDone)
      throw damaged(
        segment.path,
        replay.offset,
        "the head of a log segment is damaged, or the end of the segment before it",
      );
    if (size < replay.segmentSizeBytes) {
      throw damaged(segment.path, size, `the file was cut to ${size} of ${replay.segmentSizeBytes} bytes`);
    }
    const last = segment === segments[segments.length - 1];
    if (!last && kind === "bad") throw damaged(segment.path, replay.offset, "a record is damaged");
    if (last) torn = judgeTail(options, segment, loader, kind);
    file!.close();
  }
  const start = Math.max(0, replay.offset - LAST_BYTES_MAX);
  return { torn, lastBytes: loader.bytes.slice(start, replay.offset) };
}

/** Loads a segment in pieces. Its memory serves the next one again. */
class SegmentLoader implements SegmentBytes {
  readonly file: DiskFile | undefined;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly size: number;
  loaded = 0;

  constructor(disk: Disk, file: DiskFile | undefined, memory: Uint8Array) {
    this.file = file;
    this.size = file?.sizeBytes() ?? 0;
    this.bytes = this.size > memory.length ? disk.allocateBriefly(this.size) : memory;
    this.words = new Uint32Array(this.bytes.buffer, 0, this.bytes.length >>> 2);
  }

  loadMore(): void {
    const end = Math.min(this.size, this.loaded + LOAD_BYTES);
    const count = this.file!.read(this.bytes, this.loaded, end, this.loaded);
    if (count < end - this.loaded)
      throw damaged(this.file!.path, this.loaded + count, "the file is shorter than its size");
    this.loaded = end;
  }
}

/** Refuses damage in the last segment; true when there is a torn tail. */
function judgeTail(
  options: ReadOptions,
  segment: Segment,
  loader: SegmentLoader,
  kind: "end" | "bad",
): boolean {
  const { replay, mark } = options;
  const offset = replay.offset;
  const later = findLaterBatch(loader.file!, replay, segment.sequence);
  if (later !== -1)
    throw damaged(
      segment.path,
      offset,
      `a record is damaged, and a later one at ${later} shows that it had been durable`,
    );
  if (mark.lastSegment === segment.sequence && mark.endOffset > offset) {
    throw damaged(
      segment.path,
      offset,
      `the log ends here, but it had been durable up to offset ${mark.endOffset}`,
    );
  }
  // A zero length word ends the reading; where it was not always zero, the rest of its frame may not be loaded yet.
  if (kind === "end" && beginsRecord(loader.bytes, offset + FRAME_HEAD_BYTES, loader.loaded))
    while (loader.loaded < loader.size) loader.loadMore();
  if (hasFlippedBit(loader.bytes, offset, loader.loaded, replay.crc)) {
    throw damaged(segment.path, offset, "a bit of the last record has changed");
  }
  return kind === "bad";
}

function checkCheckpoint(
  segments: readonly Segment[],
  replay: Replay,
  entries: RecoveredEntries,
  { checkpointIndex, checkpointFile }: RecoverOptions,
): void {
  const last = segments[segments.length - 1]!;
  if (replay.lastIndex < checkpointIndex) {
    throw damaged(
      last.path,
      replay.offset,
      `the log ends at index ${replay.lastIndex}, before the checkpoint at ${checkpointIndex}`,
    );
  }
  const wanted = checkpointIndex + 1;
  if (
    replay.lastIndex >= wanted &&
    (entries.base !== checkpointIndex || entries.lastIndex !== replay.lastIndex)
  ) {
    const file = checkpointFile ?? segments[0]!.path;
    throw damaged(file, 0, `the log lacks entries from index ${wanted} on, which the checkpoint needs`);
  }
}
