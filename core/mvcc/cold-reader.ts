// Reads records of cold segments from their files. What is read at once is a piece as the checkpoint wrote and summed it
// (16 KiB, or less at the end of one); it is believed only when its checksum holds. The last pieces are kept, up to the
// size of a segment, so that reading one from its start to its end reads each piece once.

import { assert } from "../base/assert.ts";
import type { Disk } from "../base/ports.ts";
import { CheckpointError, REMEDY, segmentName } from "./checkpoint-format.ts";
import type { ColdSegment } from "./cold-segment.ts";
import type { RecordPlace } from "./record.ts";

/** A piece that is read and summed takes about as long as looking at so many records (20 us of 0.5 us each). */
export const COLD_READ_UNITS = 40;
/** More pieces than any segment has. */
const PIECE_COUNT_MAX = 2 ** 20;

/** A piece in memory. It belongs to whoever holds it, also when it is not kept any more. */
interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

export interface ColdReaderOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly keptBytesMax: number;
}

export class ColdReader {
  readonly #options: ColdReaderOptions;
  /** By number of the segment and of the piece; the one that was used longest ago first. */
  readonly #kept = new Map<number, Piece>();
  #keptBytes = 0;
  /** Pieces that were read from disk: work that is not done in memory. */
  readCount = 0;

  constructor(options: ColdReaderOptions) {
    this.#options = options;
  }

  /** Finds the record with this index. */
  locate(cold: ColdSegment, index: number, place: RecordPlace): void {
    const start = cold.offsetBytes(index);
    const end = start + cold.sizeBytes(index);
    const first = pieceAt(cold.pieces, start);
    let piece = this.#piece(cold, first);
    if (end > piece.start + piece.bytes.length) piece = this.#joined(cold, first, end);
    place.bytes = piece.bytes;
    place.words = piece.words;
    place.at = (start - piece.start) >>> 2;
  }

  /** The segment was given back: its file may go, but for those who still read. */
  retire(cold: ColdSegment): void {
    if (cold.pinCount > 0) cold.file ??= this.#options.disk.open(this.#pathOf(cold), "bulk");
  }

  /** Keeps nothing of what was read. */
  forget(): void {
    this.#kept.clear();
    this.#keptBytes = 0;
  }

  pin(cold: ColdSegment): void {
    assert(cold.file === undefined, "a segment is pinned while it is there");
    cold.pinCount++;
  }

  unpin(cold: ColdSegment): void {
    assert(cold.pinCount > 0, "what is let go of was pinned");
    if (--cold.pinCount > 0 || cold.file === undefined) return;
    cold.file.close();
    cold.file = undefined;
  }

  /** A record over several pieces: too large to be kept. */
  #joined(cold: ColdSegment, first: number, end: number): Piece {
    const { start } = this.#piece(cold, first);
    const bytes = new Uint8Array(end - start);
    for (let number = first, at = start; at < end; number++) {
      const piece = this.#piece(cold, number);
      bytes.set(piece.bytes.subarray(0, Math.min(piece.bytes.length, end - at)), at - start);
      at += piece.bytes.length;
    }
    return { start, bytes, words: new Uint32Array(bytes.buffer) };
  }

  #piece(cold: ColdSegment, number: number): Piece {
    const key = cold.number * PIECE_COUNT_MAX + number;
    let piece = this.#kept.get(key);
    if (piece !== undefined) {
      this.#kept.delete(key);
      this.#kept.set(key, piece);
      return piece;
    }
    piece = this.#read(cold, number);
    this.#kept.set(key, piece);
    this.#keptBytes += piece.bytes.length;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#keptBytes <= this.#options.keptBytesMax || oldest === key) break;
      this.#kept.delete(oldest);
      this.#keptBytes -= bytes.length;
    }
    return piece;
  }

  #read(cold: ColdSegment, number: number): Piece {
    const { pieces } = cold;
    const start = number === 0 ? 0 : pieces[number * 2 - 2]!;
    const size = pieces[number * 2]! - start;
    const bytes = new Uint8Array(size);
    const words = new Uint32Array(bytes.buffer);
    this.readCount++;
    const path = this.#pathOf(cold);
    const file = cold.file ?? this.#options.disk.open(path, "bulk");
    try {
      const count = file.read(bytes, 0, size, start);
      if (count !== size || this.#options.disk.checksum(bytes, 0, size) !== pieces[number * 2 + 1])
        throw damagedRecords(path, start, start + size);
    } finally {
      if (file !== cold.file) file.close();
    }
    return { start, bytes, words };
  }

  #pathOf(cold: ColdSegment): string {
    return `${this.#options.directory}/${segmentName(cold.number)}`;
  }
}

/** The piece that an offset lies in. */
function pieceAt(pieces: readonly number[], offset: number): number {
  let low = 0;
  let high = pieces.length / 2 - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (pieces[middle * 2]! <= offset) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Acknowledged data is lost: nothing is served from here on, the member stops. */
function damagedRecords(path: string, start: number, end: number): CheckpointError {
  return new CheckpointError(
    "damaged",
    { file: path, offset: start },
    `Cannot read stored keys: bytes ${start} to ${end} of a segment do not match their checksum. ${REMEDY}`,
  );
}
