// The segments of a checkpoint, read from their files and verified, in the order in which a start walks over them. Most were
// read and summed beside the walk (Disk.readAhead); one that does not fit its checksums, or could not be read there, is read
// here once more, and refused with the place of the damage. So what is refused, and how, does not depend on who read it.

import type { ContentAhead, Disk, FileAhead, ReadAhead } from "../base/ports.ts";
import { damagedCheckpoint, segmentName } from "./checkpoint-format.ts";
import { readSummed } from "./read-pieces.ts";
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
    this.#ahead = this.#disk.readAhead(entries.map((entry) => this.#fileOf(entry)));
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
    const wanted = this.#fileOf(entry);
    const { path, ends } = wanted;
    const { checksum } = this.#disk;
    if (!this.#disk.exists(path)) throw damagedCheckpoint(path, 0, "a segment's file is missing");
    const file = this.#disk.open(path, "bulk");
    try {
      // Before memory is taken for it.
      const isLongEnough = file.sizeBytes() >= entry.usedBytes;
      const content = isLongEnough
        ? readSummed(wanted, checksum, (target, start, end) => file.read(target, start, end, start))
        : undefined;
      if (content === undefined)
        throw damagedCheckpoint(path, file.sizeBytes(), "a segment's file is too short");
      const bad = firstBadPiece(entry, content);
      if (bad >= 0) {
        const start = bad === 0 ? 0 : ends[bad - 1]!;
        throw damagedCheckpoint(
          path,
          start,
          `bytes ${start} to ${ends[bad]} of a segment do not match their checksum`,
        );
      }
      const segment = segmentOf(entry, content.buffer);
      if (ends.at(-1) !== entry.usedBytes || !segment.isMarked)
        throw damagedCheckpoint(path, 0, "a segment's file is not the one that the manifest names");
      return segment;
    } finally {
      file.close();
    }
  }

  #fileOf(entry: SegmentEntry): FileAhead {
    return {
      path: `${this.#directory}/${segmentName(entry.number)}`,
      capacityBytes: entry.capacityBytes,
      ends: entry.pieces.filter((_, i) => i % 2 === 0),
    };
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

/** Which piece does not match its checksum; -1 when all do. */
function firstBadPiece({ pieces }: SegmentEntry, { sums }: ContentAhead): number {
  return sums.findIndex((sum, i) => sum !== pieces[2 * i + 1]);
}

/** A segment of what was read ahead; `undefined` when it does not match. */
function verified(entry: SegmentEntry, content: ContentAhead): Segment | undefined {
  const { buffer, sums } = content;
  const isWhole = sums.length * 2 === entry.pieces.length && buffer.byteLength === entry.capacityBytes;
  const segment = isWhole && firstBadPiece(entry, content) < 0 ? segmentOf(entry, buffer) : undefined;
  return segment?.isMarked === true ? segment : undefined;
}
