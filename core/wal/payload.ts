// What is inside the records: the messages of walpb and raftpb, read as strictly as they are written.
//
//   metadata  08 NodeID 10 ClusterID
//   entry     08 Type 10 Term 18 Index [22 length Data]
//   state     08 term 10 vote 18 commit, then our own field 50000: a stamp of 44 bytes
//   snapshot  08 index 10 term [1a length ConfState]
//
// The stamp (etcd's readers skip the unknown field) is what etcd's format lacks: it says where and when a state record was
// written, so that recovery can tell a torn tail from a hole, and our records from the old ones of a recycled segment.
//
//   0 version 1 | 1 kind | 2 segment is filled (head, else 0) | 3 zero | 4 batch offset u32 | 8 segment sequence u32 | 12 segment size u32 (head, else 0)
//   16 batch sequence u64 | 24 last durable index u64 | 32 log id 2 x u32 | 40 checksum of the state before    (little-endian)
//
// Its own checksum makes it proof where the chain cannot be followed: behind a record that is bad.
//
// Batch sequences only ever grow, over segments and restarts. The log id is chance, drawn when the log is created: no
// client can place bytes in a value that pass for a batch.

import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Id64 } from "../base/ids.ts";
import {
  readUint32,
  readUint53,
  readVarint,
  readVarint64,
  Varint,
  writeUint32,
  writeUint53,
  writeVarint,
  writeVarint64,
} from "./record.ts";

export interface LogMetadata {
  readonly memberId: Id64;
  readonly clusterId: Id64;
}

/** Raft's hard state, as `core/raft` hands it over. */
export interface HardState {
  readonly term: number;
  readonly vote: Id64;
  readonly commit: number;
}

/** Opens a batch: everything up to the next one was written and synced with it. */
export const STAMP_BATCH = 1;
/** A state within a batch. */
export const STAMP_STATE = 2;
/** The state at the head of a segment. */
export const STAMP_HEAD = 3;

export const STAMP_BYTES = 44;
const STAMP_VERSION = 1;
// Field 50000, length-delimited: 50000 * 8 + 2 as a varint, then the length.
const STAMP_TAG_0 = 0x82;
const STAMP_TAG_1 = 0xb5;
const STAMP_TAG_2 = 0x18;

/** A state record's content. Reused: readers fill it, writers are given it. */
export class StateFields {
  term = 0;
  voteHi = 0;
  voteLo = 0;
  commit = 0;
  kind = STAMP_BATCH;
  batchOffset = 0;
  segmentSequence = 0;
  segmentSizeBytes = 0;
  /** In a head: 1 when all blocks of the segment were written before, so that nothing has to be allocated. */
  segmentIsFilled = 0;
  batchSequence = 0;
  durableIndex = 0;
  logIdHi = 0;
  logIdLo = 0;

  /** Raft's part of a state, and the log's id. */
  keep(from: StateFields): void {
    this.term = from.term;
    this.voteHi = from.voteHi;
    this.voteLo = from.voteLo;
    this.commit = from.commit;
    this.logIdHi = from.logIdHi;
    this.logIdLo = from.logIdLo;
  }
}

/** Upper bound of an encoded state. */
export const STATE_BYTES_MAX = 11 + 11 + 11 + 4 + STAMP_BYTES;

export function encodeState(bytes: Uint8Array, position: number, state: StateFields): number {
  let at = position;
  bytes[at++] = 0x08;
  at = writeVarint(bytes, at, state.term);
  bytes[at++] = 0x10;
  at = writeVarint64(bytes, at, state.voteHi, state.voteLo);
  bytes[at++] = 0x18;
  at = writeVarint(bytes, at, state.commit);
  bytes[at] = STAMP_TAG_0;
  bytes[at + 1] = STAMP_TAG_1;
  bytes[at + 2] = STAMP_TAG_2;
  bytes[at + 3] = STAMP_BYTES;
  at += 4;
  bytes[at] = STAMP_VERSION;
  bytes[at + 1] = state.kind;
  bytes[at + 2] = state.kind === STAMP_HEAD ? state.segmentIsFilled : 0;
  bytes[at + 3] = 0;
  writeUint32(bytes, at + 4, state.batchOffset);
  writeUint32(bytes, at + 8, state.segmentSequence);
  writeUint32(bytes, at + 12, state.segmentSizeBytes);
  writeUint53(bytes, at + 16, state.batchSequence);
  writeUint53(bytes, at + 24, state.durableIndex);
  writeUint32(bytes, at + 32, state.logIdHi);
  writeUint32(bytes, at + 36, state.logIdLo);
  writeUint32(bytes, at + 40, stampChecksum(bytes, position, at + 40));
  return at + STAMP_BYTES;
}

/**
 * Not the CRC itself: the CRC over data and their own CRC is the same for all data, so that the chain would no longer
 * depend on what the state says. A product is not linear in the sense of the CRC, and loses nothing.
 */
function stampChecksum(bytes: Uint8Array, start: number, end: number): number {
  return Math.imul(crc32c(bytes, start, end), 0x9e3779b1) >>> 0;
}

const varint = new Varint();

export function decodeState(bytes: Uint8Array, start: number, end: number, into: StateFields): boolean {
  if (bytes[start] !== 0x08 || !readVarint(bytes, start + 1, end, varint)) return false;
  into.term = varint.value;
  if (bytes[varint.end] !== 0x10 || !readVarint64(bytes, varint.end + 1, end, varint)) return false;
  into.voteHi = varint.hi;
  into.voteLo = varint.lo;
  if (bytes[varint.end] !== 0x18 || !readVarint(bytes, varint.end + 1, end, varint)) return false;
  into.commit = varint.value;
  const at = varint.end;
  if (end - at !== 4 + STAMP_BYTES) return false;
  if (bytes[at] !== STAMP_TAG_0 || bytes[at + 1] !== STAMP_TAG_1) return false;
  if (bytes[at + 2] !== STAMP_TAG_2 || bytes[at + 3] !== STAMP_BYTES) return false;
  if (readUint32(bytes, end - 4) !== stampChecksum(bytes, start, end - 4)) return false;
  return decodeStamp(bytes, at + 4, into);
}

function decodeStamp(bytes: Uint8Array, at: number, into: StateFields): boolean {
  const kind = bytes[at + 1]!;
  if (bytes[at] !== STAMP_VERSION || kind < STAMP_BATCH || kind > STAMP_HEAD) return false;
  if (bytes[at + 2]! > (kind === STAMP_HEAD ? 1 : 0) || bytes[at + 3] !== 0) return false;
  into.segmentIsFilled = bytes[at + 2]!;
  into.kind = kind;
  into.batchOffset = readUint32(bytes, at + 4);
  into.segmentSequence = readUint32(bytes, at + 8);
  into.segmentSizeBytes = readUint32(bytes, at + 12);
  into.batchSequence = readUint53(bytes, at + 16);
  into.durableIndex = readUint53(bytes, at + 24);
  into.logIdHi = readUint32(bytes, at + 32);
  into.logIdLo = readUint32(bytes, at + 36);
  return true;
}

export const METADATA_BYTES_MAX = 22;

export function encodeMetadata(bytes: Uint8Array, position: number, metadata: LogMetadata): number {
  bytes[position] = 0x08;
  const at = writeVarint64(bytes, position + 1, metadata.memberId.hi, metadata.memberId.lo);
  bytes[at] = 0x10;
  return writeVarint64(bytes, at + 1, metadata.clusterId.hi, metadata.clusterId.lo);
}

export function decodeMetadata(bytes: Uint8Array, start: number, end: number): LogMetadata | undefined {
  if (bytes[start] !== 0x08 || !readVarint64(bytes, start + 1, end, varint)) return undefined;
  const memberId = { hi: varint.hi, lo: varint.lo };
  if (bytes[varint.end] !== 0x10 || !readVarint64(bytes, varint.end + 1, end, varint)) return undefined;
  return varint.end === end ? { memberId, clusterId: { hi: varint.hi, lo: varint.lo } } : undefined;
}

/** A snapshot's place in the log; `confState` is an encoded raftpb.ConfState, absent only at index 0. */
export interface SnapshotMarker {
  readonly index: number;
  readonly term: number;
  readonly confState: Uint8Array | undefined;
}

export function encodeSnapshotMarker(bytes: Uint8Array, position: number, marker: SnapshotMarker): number {
  assert(marker.index === 0 || marker.confState !== undefined, "a snapshot marker carries the configuration");
  bytes[position] = 0x08;
  let at = writeVarint(bytes, position + 1, marker.index);
  bytes[at] = 0x10;
  at = writeVarint(bytes, at + 1, marker.term);
  if (marker.confState === undefined) return at;
  bytes[at] = 0x1a;
  at = writeVarint(bytes, at + 1, marker.confState.length);
  bytes.set(marker.confState, at);
  return at + marker.confState.length;
}

export function decodeSnapshotMarker(
  bytes: Uint8Array,
  start: number,
  end: number,
): SnapshotMarker | undefined {
  if (bytes[start] !== 0x08 || !readVarint(bytes, start + 1, end, varint)) return undefined;
  const index = varint.value;
  if (bytes[varint.end] !== 0x10 || !readVarint(bytes, varint.end + 1, end, varint)) return undefined;
  const term = varint.value;
  if (varint.end === end) return index === 0 ? { index, term, confState: undefined } : undefined;
  if (bytes[varint.end] !== 0x1a || !readVarint(bytes, varint.end + 1, end, varint)) return undefined;
  if (varint.end + varint.value !== end) return undefined;
  return { index, term, confState: bytes.slice(varint.end, end) };
}

/** An entry's fields; the data stays where it was read. Reused. */
export class EntryFields {
  type = 0;
  term = 0;
  index = 0;
  dataStart = 0;
  dataEnd = 0;
}

/** Bytes of an entry before its data, at most. */
export const ENTRY_HEAD_BYTES_MAX = 2 + 11 + 11 + 11;

/** Everything of an entry but its data, whose size it names. Parameters, not an object: this runs once per entry. */
// oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
export function encodeEntryHead(
  bytes: Uint8Array,
  type: number,
  term: number,
  index: number,
  dataBytes: number,
): number {
  bytes[0] = 0x08;
  bytes[1] = type;
  bytes[2] = 0x10;
  let at = writeVarint(bytes, 3, term);
  bytes[at] = 0x18;
  at = writeVarint(bytes, at + 1, index);
  if (dataBytes === 0) return at; // Go leaves out nil data
  bytes[at] = 0x22;
  return writeVarint(bytes, at + 1, dataBytes);
}

export function decodeEntry(bytes: Uint8Array, start: number, end: number, into: EntryFields): boolean {
  if (end - start < 6 || bytes[start] !== 0x08 || bytes[start + 1]! > 2 || bytes[start + 2] !== 0x10)
    return false;
  into.type = bytes[start + 1]!;
  if (!readVarint(bytes, start + 3, end, varint)) return false;
  into.term = varint.value;
  if (bytes[varint.end] !== 0x18 || !readVarint(bytes, varint.end + 1, end, varint)) return false;
  into.index = varint.value;
  into.dataStart = end;
  into.dataEnd = end;
  if (varint.end === end) return into.index > 0;
  if (bytes[varint.end] !== 0x22 || !readVarint(bytes, varint.end + 1, end, varint)) return false;
  into.dataStart = varint.end;
  return into.index > 0 && varint.end + varint.value === end;
}
