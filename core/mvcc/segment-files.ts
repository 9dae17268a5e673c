// The segments of a checkpoint, read from their files and verified, in the order in which a start walks over them. Most were
// read and summed beside the walk (Disk.readAhead); one that does not fit its checksums, or could not be read there, is read
// here once more, and refused with the place of the damage. So what is refused, and how, does not depend on who read it.

import type { ContentAhead, Disk, DiskFile, ReadAhead } from "../base/ports.ts";
import { WRITE_SIZE_BYTES, damagedCheckpoint, segmentName } from "./checkpoint-format.ts";
import { crc32cWords } from "./crc32c-words.ts";
import { Segment } from "./slabs.ts";

/** What the manifest says of a segment. */
export interface SegmentEntry {
  readonly slot: number;
  readonly number: number;
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly isOld: boolean;
  readonly lastRevision: number;
  readonly nextSlot: number;
  /** Ends and checksums, in pairs. */
  readonly pieces: readonly number[];
}

export class SegmentFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  #ahead: ReadAhead | undefined = undefined;
  readonly #placeAhead = new Map<SegmentEntry, number>();

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** The order in which they will be read, as far as it is known. */
  expect(entries: readonly SegmentEntry[]): void {
    for (const [place, entry] of entries.entries()) this.#placeAhead.set(entry, place);
    this.#ahead = this.#disk.readAhead(
      entries.map((entry) => ({
        path: this.#pathOf(entry),
        capacityBytes: entry.capacityBytes,
        ends: entry.pieces.filter((_, i) => i % 2 === 0),
      })),
    );
  }

  close(): void {
    this.#ahead?.close();
    this.#ahead = undefined;
  }

  /** Reads one; throws CheckpointError when it is not what the manifest says. */
  read(entry: SegmentEntry): Segment {
    const place = this.#placeAhead.get(entry);
    const content = place === undefined ? undefined : this.#ahead?.take(place);
    const segment = content === undefined ? undefined : verified(entry, content);
    return segment ?? this.#readHere(entry);
  }

  #readHere(entry: SegmentEntry): Segment {
    const path = this.#pathOf(entry);
    if (!this.#disk.exists(path)) throw damagedCheckpoint(path, 0, "a segment's file is missing");
    const file = this.#disk.open(path, "bulk");
    try {
      // Before memory is taken for it.
      if (file.sizeBytes() < entry.usedBytes)
        throw damagedCheckpoint(path, file.sizeBytes(), "a segment's file is too short");
      const segment = segmentOf(entry, new ArrayBuffer(entry.capacityBytes));
      readPieces(file, segment, path);
      return segment;
    } finally {
      file.close();
    }
  }

  #pathOf(entry: SegmentEntry): string {
    return `${this.#directory}/${segmentName(entry.number)}`;
  }
}

function segmentOf(entry: SegmentEntry, buffer: ArrayBuffer): Segment {
  const segment = new Segment(entry.slot, entry.number, entry.isOld ? "old" : "main", buffer);
  segment.usedBytes = segment.persistedBytes = entry.usedBytes;
  segment.lastRevision = entry.lastRevision;
  segment.nextSlot = entry.nextSlot;
  for (const value of entry.pieces) segment.pieces.push(value);
  return segment;
}

/** A segment of what was read ahead; `undefined` when it does not match. */
function verified(entry: SegmentEntry, { buffer, sums }: ContentAhead): Segment | undefined {
  const { pieces } = entry;
  for (let i = 0; i < sums.length; i++) if (sums[i] !== pieces[2 * i + 1]) return undefined;
  const isWhole = sums.length * 2 === pieces.length && buffer.byteLength === entry.capacityBytes;
  const segment = isWhole ? segmentOf(entry, buffer) : undefined;
  return segment?.isMarked === true ? segment : undefined;
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
  if (start !== usedBytes || !segment.isMarked)
    throw damagedCheckpoint(path, 0, "a segment's file is not the one that the manifest names");
}
