// A checkpoint on disk: the store at one revision.
//
//   <directory>/<number, 16 hexadecimal digits>.seg   a segment, byte for byte as in memory (slabs.ts); only grows
//   <directory>/manifest                              everything else; replaced by rename
//
// manifest := block*    block := kind u32, size u32, checksum u32, payload   the checksum over kind, size, block number, payload
//
// The payloads are one stream of varints, cut anywhere; the last block has kind LAST, and the file ends with it:
//
//   magic, version
//   revision, compacted revision + 1, base, unit shift, id count, next segment number, main slot + 1, old slot + 1
//   size of extra, extra                                           what the caller keeps with it
//   count of segments, and of each: slot, number, capacity, used bytes, is old, last revision, next slot + 1,
//                                   count of pieces, and of each: end, checksum       (pieces: the file, in order)
//   count of survivors, their locations                            as differences from the one before, zigzag
//   the location of the first record that is not below base, 0 without
//   the ids of the keys, in key order, up to the end                                                 likewise
//
// Checksums are the platform's CRC-32 (Disk.checksum), because a start sums all that is stored. Version 1 had CRC-32C, as the
// log's records have.
//
// The links between records, the marks of dead ones and where revisions begin are not trusted from files, but made again: a record
// is alive if it is a survivor or its revision is not below base.

import type { Checksum } from "../base/ports.ts";

/** "HFCK" */
export const MANIFEST_MAGIC = 0x4b434648;
export const MANIFEST_VERSION = 2;
export const BLOCK_HEAD_BYTES = 12;
export const BLOCK_MORE = 1;
export const BLOCK_LAST = 2;
/** Large enough for a sync to be worth it, small enough to be checked and written within a slice. */
export const BLOCK_SIZE_BYTES = 256 * 1024;
/** As much of a segment as is written at once, and read at a start. */
export const WRITE_SIZE_BYTES = 1024 * 1024;
/** A piece has a checksum of its own: as much as is read at least when one record of a cold segment is wanted. */
export const PIECE_SIZE_BYTES = 16 * 1024;

export const MANIFEST_NAME = "manifest";
export const MANIFEST_NEW_NAME = "manifest.new";

export function segmentName(number: number): string {
  return `${number.toString(16).padStart(16, "0")}.seg`;
}

/** The number of a segment's file, -1 of any other file. */
export function segmentNumber(name: string): number {
  return /^[0-9a-f]{16}\.seg$/.test(name) ? Number.parseInt(name.slice(0, 16), 16) : -1;
}

/** A file of ours that no checkpoint names is left over from one that was not finished. */
export function isOurName(name: string): boolean {
  return segmentNumber(name) >= 0 || name === MANIFEST_NEW_NAME;
}

/** The checksum of a block, over its head as well: a block in another place is no valid block. */
export function blockSum(
  checksum: Checksum,
  block: { readonly kind: number; readonly number: number },
  payload: Uint8Array,
): number {
  const head = new Uint8Array(Uint32Array.of(block.kind, payload.length, block.number).buffer);
  return checksum(payload, 0, payload.length, checksum(head, 0, head.length));
}

/** What is on disk is not a checkpoint of ours, or not the one that was written. The member does not start. */
export class CheckpointError extends Error {
  override readonly name = "CheckpointError";
  /** `damaged`: acknowledged data was lost or changed. `unusable`: written by a version that we cannot read. */
  readonly code: "damaged" | "unusable";
  /** Relative to the data directory. */
  readonly file: string;
  readonly offset: number;

  constructor(code: "damaged" | "unusable", where: { file: string; offset: number }, text: string) {
    super(`${text} (file ${where.file}, offset ${where.offset})`);
    this.code = code;
    this.file = where.file;
    this.offset = where.offset;
  }
}

export const REMEDY =
  "In a cluster of several members, remove this member and add it again with an empty data directory; " +
  "a single member has to be restored from a snapshot or from a copy of its data directory";

export function damagedCheckpoint(file: string, offset: number, what: string): CheckpointError {
  const where = { file, offset };
  return new CheckpointError(
    "damaged",
    where,
    `Cannot load checkpoint: ${what}, so stored keys are lost or changed. ${REMEDY}`,
  );
}
