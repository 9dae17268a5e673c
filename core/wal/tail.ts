// Telling a torn tail from damage. Reading stops at the first frame that is not good; what lies there is one of:
//
//   the end          nothing was ever written here: zeros, or the old content of a recycled segment behind a zero length word
//   a torn tail      the last write, never acknowledged, is there in part
//   damage           something acknowledged was lost or changed
//
// One write is in flight at a time, and a batch is written only after the one before it is durable. So a good batch with
// a higher sequence anywhere behind the first bad frame proves that what is bad had been durable. Where no batch
// follows, one changed bit is still told from a tear: the frame becomes good when that bit is turned back, which
// chance does once in four billion.

import { crc32c } from "../base/crc32c.ts";
import type { DiskFile } from "../base/ports.ts";
import { decodeState, STAMP_HEAD, StateFields } from "./payload.ts";
import { FRAME_HEAD_BYTES, readUint32, RECORD_CRC, RECORD_STATE, RecordReader } from "./record.ts";
import type { Replay } from "./replay.ts";

/** The smallest unit that a device writes whole. */
const TEAR_BYTES = 512;

const WINDOW_BYTES = 1024 * 1024;
/** How the record of a state begins, as half a word: field 1, and its type. */
const STATE_BEGIN = 0x08 | (RECORD_STATE << 8);
/** More than a state record takes with its frame: windows overlap by it. */
const STATE_FRAME_BYTES_MAX = 256;

/** Offset of a batch that can only have been written after what is bad at `replay.offset`; -1 when there is none. */
export function findLaterBatch(file: DiskFile, replay: Replay, sequence: number): number {
  const size = file.sizeBytes();
  const window = new Window();
  for (let base = replay.offset; base < size; base += WINDOW_BYTES) {
    const at = window.find(file, base, (stamp, offset) => isLater(stamp, replay, sequence, offset));
    if (at !== -1) return at;
  }
  return -1;
}

/** Offset, in the first MiB, of a batch of this log and of this segment or a later one; -1 when there is none. */
export function findBatchFrom(
  file: DiskFile,
  wanted: { logIdHi: number; logIdLo: number; sequence: number },
): number {
  return new Window().find(file, 0, (stamp) => {
    if (stamp.kind === STAMP_HEAD || stamp.segmentSequence < wanted.sequence) return false;
    return stamp.logIdHi === wanted.logIdHi && stamp.logIdLo === wanted.logIdLo;
  });
}

/** A part of a file in which stamped states are looked for, wherever frames may start. */
class Window {
  readonly #halves = new Uint16Array((WINDOW_BYTES + STATE_FRAME_BYTES_MAX) / 2);
  readonly #bytes = new Uint8Array(this.#halves.buffer);
  readonly #stamp = new StateFields();
  readonly #reader = new RecordReader();

  /** Offset in the file of the first state that `accepts`; -1 when none of the MiB from `base` on is. */
  find(file: DiskFile, base: number, accepts: (stamp: StateFields, offset: number) => boolean): number {
    const bytes = this.#bytes;
    const halves = this.#halves;
    const count = file.read(bytes, 0, bytes.length, base);
    const end = Math.min(WINDOW_BYTES, count - FRAME_HEAD_BYTES - 2);
    const reader = this.#reader;
    // A search of the engine's: a start is over before a loop over each position is compiled. What else has these two bytes
    // at a frame's place is rare, and the rest is strict. (Words are little-endian, as in segments of data.)
    for (let half = 0; (half = halves.indexOf(STATE_BEGIN, half)) !== -1; half++) {
      const at = half * 2 - FRAME_HEAD_BYTES;
      if (at >= end) break;
      if (at < 0 || at % 8 !== 0 || reader.read(bytes, at, count) !== "record") continue;
      if (!decodeState(bytes, reader.dataStart, reader.dataEnd, this.#stamp)) continue;
      if (accepts(this.#stamp, base + at)) return base + at;
    }
    return -1;
  }
}

function isLater(stamp: StateFields, replay: Replay, sequence: number, at: number): boolean {
  if (stamp.segmentSequence !== sequence || stamp.kind === STAMP_HEAD) return false;
  if (stamp.logIdHi !== replay.state.logIdHi || stamp.logIdLo !== replay.state.logIdLo) return false;
  if (stamp.batchSequence <= replay.batchSequence) return false;
  // Of the batch that is bad itself: it opens where reading stopped, and it may be torn.
  return stamp.batchOffset !== replay.offset && stamp.batchOffset <= at;
}

/** True when the frame at `offset` becomes good by turning one bit back, and a tear cannot have made it bad. */
export function hasFlippedBit(bytes: Uint8Array, offset: number, limit: number, crcBefore: number): boolean {
  const reader = new RecordReader();
  if (reader.read(bytes, offset, limit) === "record") {
    const computed = reader.chain(bytes, crcBefore);
    // Good by its checksum and yet refused: its type or its place is wrong, which no tear does.
    if (computed === reader.crc) return true;
    const flipped = findFlipInData(reader, (computed ^ reader.crc) >>> 0);
    if (flipped !== -1) return isProof(bytes, flipped, { end: reader.next, limit, crc: reader.crc });
  }
  return hasFlipInFrame(bytes, offset, limit, crcBefore);
}

/**
 * The byte of the data in which one changed bit explains the difference between two checksums; -1 when none does. CRC is
 * linear: a bit changed n bytes before the end changes the checksum by the same amount whatever the data are.
 */
function findFlipInData(reader: RecordReader, difference: number): number {
  const effects = new Int32Array(8);
  const one = new Uint8Array(1);
  const quiet = crc32c(one, 0, 1);
  for (let bit = 0; bit < 8; bit++) {
    one[0] = 1 << bit;
    effects[bit] = crc32c(one, 0, 1) ^ quiet;
  }
  for (let at = reader.dataEnd - 1; at >= reader.dataStart; at--) {
    for (let bit = 0; bit < 8; bit++) {
      if (effects[bit]! >>> 0 === difference) return at;
      effects[bit] = advance(effects[bit]!);
    }
  }
  return -1;
}

const STEP = makeStepTable();

/** What a change of the checksum becomes one zero byte later. */
function advance(change: number): number {
  return STEP[change & 0xff]! ^ (change >>> 8);
}

function makeStepTable(): Int32Array {
  const table = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0x82f63b78 : 0);
    table[byte] = value;
  }
  return table;
}

/** Tries the bits that are not data: length word, type, crc, data length, padding. */
function hasFlipInFrame(bytes: Uint8Array, offset: number, limit: number, crcBefore: number): boolean {
  const headEnd = Math.min(limit, offset + 24);
  for (let at = offset; at < headEnd; at++) if (tryByte(bytes, at, offset, limit, crcBefore)) return true;
  if (offset + FRAME_HEAD_BYTES > limit) return false;
  const recordEnd = offset + FRAME_HEAD_BYTES + readUint32(bytes, offset);
  const paddingEnd = Math.min(limit, recordEnd + 7);
  for (let at = Math.max(headEnd, recordEnd); at < paddingEnd; at++) {
    if (tryByte(bytes, at, offset, limit, crcBefore)) return true;
  }
  return false;
}

// oxlint-disable-next-line max-params -- a place in a range of bytes
function tryByte(bytes: Uint8Array, at: number, offset: number, limit: number, crcBefore: number): boolean {
  const reader = new RecordReader();
  const found = bytes[at]!;
  for (let bit = 0; bit < 8; bit++) {
    bytes[at] = found ^ (1 << bit);
    const good =
      reader.read(bytes, offset, limit) === "record" &&
      reader.type !== RECORD_CRC &&
      reader.chain(bytes, crcBefore) === reader.crc;
    bytes[at] = found;
    if (good) return isProof(bytes, at, { end: reader.next, limit, crc: reader.crc });
  }
  return false;
}

/**
 * A tear within a sector leaves old bytes from some place to the sector's end. Where a byte behind the changed one was
 * written, or the changed one itself, the sector is not torn there; `record.end` is a good record's, once repaired.
 */
function isProof(
  bytes: Uint8Array,
  at: number,
  record: { end: number; limit: number; crc: number },
): boolean {
  if (bytes[at] !== 0) return true;
  const sectorEnd = (Math.floor(at / TEAR_BYTES) + 1) * TEAR_BYTES;
  for (let i = at + 1; i < Math.min(sectorEnd, record.end); i++) if (bytes[i] !== 0) return true;
  if (record.end >= sectorEnd) return false;
  const next = new RecordReader();
  return (
    next.read(bytes, record.end, record.limit) === "record" && next.chain(bytes, record.crc) === next.crc
  );
}
