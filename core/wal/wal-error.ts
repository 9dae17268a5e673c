// What the log says when it cannot be trusted. The member does not start, or stops; nothing is repaired by guessing.

import { DiskError } from "../base/ports.ts";

/** `damaged`: an acknowledged region was lost or changed. `unusable`: the directory is not a log that we can read. */
export type WalErrorCode = "damaged" | "unusable";

export class WalError extends Error {
  override readonly name = "WalError";
  readonly code: WalErrorCode;
  /** The file, relative to the data directory. */
  readonly file: string;
  /** Where in the file, bytes. */
  readonly offset: number;

  constructor(code: WalErrorCode, file: string, offset: number, text: string) {
    super(`${text} (file ${file}, offset ${offset})`);
    this.code = code;
    this.file = file;
    this.offset = offset;
  }
}

/** What an operator can do about a log that lost something it had acknowledged. */
const REMEDY =
  "In a cluster of several members, remove this member and add it again with an empty data directory; " +
  "a single member has to be restored from a snapshot or from a copy of its data directory";

export function damaged(file: string, offset: number, what: string): WalError {
  return new WalError(
    "damaged",
    file,
    offset,
    `Cannot start: ${what}, so acknowledged writes are lost or changed. ${REMEDY}`,
  );
}

/** What was caught, if it is a fault of the disk; anything else is a bug and goes on. */
export function asDiskError(error: unknown): DiskError {
  if (error instanceof DiskError) return error;
  throw error;
}

/** The disk is full, and nothing was allocated before. */
export function noRoom(directory: string): DiskError {
  return new DiskError("no space left on device, and no spare segment", "ENOSPC", directory);
}
