// Files of a line or two, replaced as a whole.

import { type Disk, DiskError } from "../base/ports.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";

const SIZE_BYTES_MAX = 4096;

export function readSmallFile(disk: Disk, path: string): string {
  const file = disk.open(path, "bulk");
  const bytes = new Uint8Array(SIZE_BYTES_MAX);
  const size = file.read(bytes, 0, bytes.length, 0);
  file.close();
  return decodeUtf8(bytes, 0, size);
}

/** Has room ready for the next text, so that it can be written on a full disk. Nothing is lost when there is no room. */
export function reserveSmallFile(disk: Disk, path: string): void {
  const temporary = `${path}.tmp`;
  const file = disk.create(temporary, "bulk");
  try {
    file.write(new Uint8Array(SIZE_BYTES_MAX), 0, SIZE_BYTES_MAX, 0);
  } catch (error) {
    if (!(error instanceof DiskError) || error.code !== "ENOSPC") throw error;
  } finally {
    file.close();
  }
}

// Written under another name, synced and renamed: whoever reads it finds the old text or the new one.
export function writeSmallFile(disk: Disk, path: string, text: string): void {
  const bytes = encodeUtf8(text);
  const temporary = `${path}.tmp`;
  // What is there may have been reserved.
  const file = disk.exists(temporary) ? disk.open(temporary, "bulk") : disk.create(temporary, "bulk");
  file.write(bytes, 0, bytes.length, 0);
  file.truncate(bytes.length);
  file.sync();
  file.close();
  disk.rename(temporary, path);
  disk.syncDirectory("member");
}
