// Segments that still have a spare's name. A rotation writes the head of the new segment into a spare, and batches behind it,
// while the rename is on its way to the disk; a power loss may leave the old name. What the file is, its head says: nothing else
// of this log can look like the segment that follows the last one named.
//
//   a spare, filled      zeros
//   a spare, recycled    a head with a sequence below the mark's first segment: the mark was durable before the file became a spare
//   a rotation cut short a torn head: nothing was written behind it, because the head is durable before anything follows
//   a segment            a whole head with this log's id and a sequence that was not given up
//
// A sequence has a whole head once at most: a restart that finds one goes on with it.

import type { Disk } from "../base/ports.ts";
import type { DurableMark } from "./durable-mark.ts";
import { decodeState, STAMP_HEAD, StateFields } from "./payload.ts";
import { RECORD_CRC, RECORD_STATE, RecordReader } from "./record.ts";
import { HEAD_BYTES_MAX, type Segment } from "./segment.ts";
import { findBatchFrom } from "./tail.ts";
import { damaged } from "./wal-error.ts";

export interface Unnamed {
  /** With the paths that they have now. */
  readonly segments: Segment[];
  readonly spares: string[];
}

/** Tells segments from spares. What has a segment's name is not looked for again. */
export function findUnnamed(
  disk: Disk,
  paths: readonly string[],
  known: { mark: DurableMark; named: readonly Segment[] },
): Unnamed {
  const found: Unnamed = { segments: [], spares: [] };
  const taken = new Set(known.named.map((segment) => segment.sequence));
  for (const path of paths) {
    const segment = readHead(disk, path, known.mark);
    const isKept = segment !== undefined && segment.sequence >= known.mark.firstSegment;
    if (isKept && !taken.has(segment.sequence)) found.segments.push(segment);
    else found.spares.push(path);
  }
  return found;
}

/**
 * Refuses a spare with batches of a segment that the log does not have: its head had been durable. Looks at the beginning, where the
 * first batches are; it is a witness only until the mark names the segment.
 */
export function refuseHeadless(
  disk: Disk,
  paths: readonly string[],
  missing: { mark: DurableMark; sequence: number },
): void {
  const { mark, sequence } = missing;
  for (const path of paths) {
    const file = disk.open(path, "log");
    const at = findBatchFrom(file, { logIdHi: mark.logIdHi, logIdLo: mark.logIdLo, sequence });
    file.close();
    if (at !== -1)
      throw damaged(
        path,
        0,
        `the head of log segment ${sequence} is damaged: a batch at ${at} shows that it had been durable`,
      );
  }
}

/** The segment that the file's head opens; `undefined` when there is no whole head of this log. */
function readHead(disk: Disk, path: string, mark: DurableMark): Segment | undefined {
  const bytes = new Uint8Array(HEAD_BYTES_MAX);
  const file = disk.open(path, "log");
  const count = file.read(bytes, 0, bytes.length, 0);
  file.close();
  const reader = new RecordReader();
  const stamp = new StateFields();
  let crc = 0;
  for (let at = 0; reader.read(bytes, at, count) === "record"; at = reader.next) {
    // The chain opens with the value so far; whether that is the end of the segment before is looked at when that is read.
    if ((at === 0) !== (reader.type === RECORD_CRC)) return undefined;
    if (at === 0) {
      crc = reader.crc;
      continue;
    }
    crc = reader.chain(bytes, crc);
    if (crc !== reader.crc) return undefined;
    if (reader.type !== RECORD_STATE) continue;
    if (!decodeState(bytes, reader.dataStart, reader.dataEnd, stamp)) return undefined;
    if (stamp.kind !== STAMP_HEAD || stamp.batchOffset !== at) return undefined;
    if (stamp.logIdHi !== mark.logIdHi || stamp.logIdLo !== mark.logIdLo) return undefined;
    return { sequence: stamp.segmentSequence, firstIndex: stamp.durableIndex + 1, path };
  }
  return undefined;
}
