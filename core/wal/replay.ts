// Reading a log in order: the chain, the batches and their stamps, the entries. It knows nothing of files; recover.ts
// hands it one segment after the other and judges what it could not read.

import { equalBytes } from "../base/bytes.ts";
import { crc32cFrom } from "../base/crc32c-words.ts";
import type { EntryLocator } from "./locator.ts";
import type { LogMetadata, SnapshotMarker } from "./payload.ts";
import {
  decodeEntry,
  decodeMetadata,
  decodeSnapshotMarker,
  decodeState,
  EntryFields,
  STAMP_BATCH,
  STAMP_HEAD,
  StateFields,
} from "./payload.ts";
import type { RecoveredEntries } from "./recovered-entries.ts";
import {
  RECORD_CRC,
  RECORD_ENTRY,
  RECORD_METADATA,
  RECORD_SNAPSHOT,
  RECORD_STATE,
  RecordReader,
} from "./record.ts";
import type { Segment } from "./segment.ts";

/** A segment's content, loaded as far as it is needed: most of a young segment is zeros. */
export interface SegmentBytes {
  readonly bytes: Uint8Array;
  /** The same memory, as far as it is whole words. */
  readonly words: Uint32Array;
  readonly size: number;
  readonly loaded: number;
  loadMore(): void;
}

/** Markers kept, newest last: a member looks for the newest that it still has a checkpoint of. */
const MARKER_COUNT_MAX = 16;

export class Replay {
  /** The chain's value after the last good record; -1 before the first crc record. */
  crc = -1;
  /** Where the last good record of the current segment ends. */
  offset = 0;
  /** Sequence of the last batch whose opening record is good. */
  batchSequence = 0;
  batchOffset = 0;
  /** The last state, as recorded. */
  readonly state = new StateFields();
  lastIndex = 0;
  lastTerm = 0;
  /** The first index that the log still has an entry of. */
  firstIndex = 0;
  metadata: LogMetadata | undefined = undefined;
  segmentSizeBytes = 0;
  segmentIsFilled = false;
  readonly markers: SnapshotMarker[] = [];
  readonly #entries: RecoveredEntries;
  readonly #locator: EntryLocator;
  readonly #reader = new RecordReader();
  readonly #stamp = new StateFields();
  readonly #entry = new EntryFields();
  #metadataBytes: Uint8Array | undefined = undefined;
  #segment: Segment | undefined = undefined;
  #headDone = false;
  #logIdKnown = false;

  constructor(entries: RecoveredEntries, locator: EntryLocator) {
    this.#entries = entries;
    this.#locator = locator;
  }

  /** Head records and at least one stamp were good: the segment is one of this log. */
  get headDone(): boolean {
    return this.#headDone;
  }

  /** Reads a segment from its start. "end": all of it up to a zero length word; "bad": `offset` is where it went wrong. */
  readSegment(segment: Segment, source: SegmentBytes): "end" | "bad" {
    this.#segment = segment;
    this.#headDone = false;
    this.offset = 0;
    const reader = this.#reader;
    const { bytes } = source;
    for (;;) {
      let kind = reader.read(bytes, this.offset, source.loaded);
      // Perhaps only the rest of the frame is not loaded; a zero length word ends the log however much follows.
      while (kind !== "record" && source.loaded < source.size && !isZeroWord(source, this.offset)) {
        source.loadMore();
        kind = reader.read(bytes, this.offset, source.loaded);
      }
      if (kind !== "record") return kind;
      if (!this.#accept(source)) return "bad";
      this.offset = reader.next;
    }
  }

  #accept({ bytes, words }: SegmentBytes): boolean {
    const reader = this.#reader;
    if (reader.type === RECORD_CRC) {
      // Opens a segment: the value so far, which a log whose start was removed does not know.
      if (this.offset !== 0 || (this.crc !== -1 && this.crc !== reader.crc)) return false;
      this.crc = reader.crc;
      return true;
    }
    if (this.offset === 0) return false;
    const crc = crc32cFrom(bytes, words, reader.dataStart, reader.dataEnd, this.crc);
    if (crc !== reader.crc) return false;
    if (!this.#apply(bytes, reader.type)) return false;
    this.crc = crc;
    return true;
  }

  #apply(bytes: Uint8Array, type: number): boolean {
    if (type === RECORD_METADATA) return this.#applyMetadata(bytes);
    if (this.#metadataBytes === undefined) return false;
    if (type === RECORD_STATE) return this.#applyState(bytes);
    if (type === RECORD_SNAPSHOT) return this.#applyMarker(bytes);
    return type === RECORD_ENTRY && this.#headDone && this.#applyEntry(bytes);
  }

  #applyMetadata(bytes: Uint8Array): boolean {
    const { dataStart, dataEnd } = this.#reader;
    if (this.#metadataBytes !== undefined) {
      const known = this.#metadataBytes;
      return equalBytes(known, 0, known.length, bytes, dataStart, dataEnd);
    }
    this.metadata = decodeMetadata(bytes, dataStart, dataEnd);
    if (this.metadata === undefined) return false;
    this.#metadataBytes = bytes.slice(dataStart, dataEnd);
    return true;
  }

  #applyState(bytes: Uint8Array): boolean {
    const stamp = this.#stamp;
    if (!decodeState(bytes, this.#reader.dataStart, this.#reader.dataEnd, stamp)) return false;
    if (stamp.segmentSequence !== this.#segment!.sequence) return false;
    if (!this.#sameLog(stamp)) return false;
    if (stamp.kind === STAMP_HEAD) {
      if (this.#headDone || stamp.batchOffset !== this.offset) return false;
      this.#headDone = true;
      if (this.segmentSizeBytes === 0) this.lastIndex = stamp.durableIndex;
      else if (this.lastIndex !== stamp.durableIndex) return false;
      this.segmentSizeBytes = stamp.segmentSizeBytes;
      this.segmentIsFilled = stamp.segmentIsFilled === 1;
      this.batchSequence = Math.max(this.batchSequence, stamp.batchSequence);
    } else if (!this.#headDone) return false;
    else if (stamp.kind === STAMP_BATCH) {
      // The place is part of the record: a write that went astray is not accepted where it landed.
      if (stamp.batchOffset !== this.offset || stamp.batchSequence <= this.batchSequence) return false;
      if (stamp.durableIndex !== this.lastIndex) return false;
      this.batchSequence = stamp.batchSequence;
      this.batchOffset = this.offset;
    } else if (stamp.batchSequence !== this.batchSequence || stamp.batchOffset !== this.batchOffset)
      return false;
    this.#keepState(stamp);
    return true;
  }

  #sameLog(stamp: StateFields): boolean {
    if (!this.#logIdKnown) {
      this.state.logIdHi = stamp.logIdHi;
      this.state.logIdLo = stamp.logIdLo;
      this.#logIdKnown = true;
    }
    return this.state.logIdHi === stamp.logIdHi && this.state.logIdLo === stamp.logIdLo;
  }

  #keepState(stamp: StateFields): void {
    this.state.term = stamp.term;
    this.state.voteHi = stamp.voteHi;
    this.state.voteLo = stamp.voteLo;
    this.state.commit = stamp.commit;
  }

  #applyMarker(bytes: Uint8Array): boolean {
    const marker = decodeSnapshotMarker(bytes, this.#reader.dataStart, this.#reader.dataEnd);
    if (marker === undefined) return false;
    this.markers.push(marker);
    if (this.markers.length > MARKER_COUNT_MAX) this.markers.shift();
    // A snapshot ahead of the log takes its place: what follows continues from there.
    if (marker.index > this.lastIndex) {
      this.lastIndex = marker.index;
      this.lastTerm = marker.term;
      this.firstIndex = 0;
      this.#locator.clear();
      this.#entries.reset(Math.max(this.#entries.base, marker.index));
    }
    return true;
  }

  #applyEntry(bytes: Uint8Array): boolean {
    const entry = this.#entry;
    if (!decodeEntry(bytes, this.#reader.dataStart, this.#reader.dataEnd, entry)) return false;
    if (entry.index > this.lastIndex + 1) return false;
    if (entry.index <= this.lastIndex || this.firstIndex === 0) {
      this.#locator.rewind(entry.index, this.#segment!.sequence, this.offset, this.crc);
      if (this.firstIndex === 0 || entry.index < this.firstIndex) this.firstIndex = entry.index;
    } else this.#locator.note(entry.index, this.#segment!.sequence, this.offset, this.crc);
    this.lastIndex = entry.index;
    this.lastTerm = entry.term;
    const entries = this.#entries;
    if (entry.index > entries.base) {
      if (entry.index > entries.lastIndex + 1) return true; // before the wanted part begins; recover.ts checks
      entries.put(entry.index, entry.type, entry.term, bytes, entry.dataStart, entry.dataEnd);
    } else entries.truncate(entry.index);
    return true;
  }
}

function isZeroWord(source: SegmentBytes, offset: number): boolean {
  if (offset + 8 > source.loaded) return false;
  for (let i = offset; i < offset + 8; i++) if (source.bytes[i] !== 0) return false;
  return true;
}
