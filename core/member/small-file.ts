// Files of a line or two, replaced as a whole.

import type { Disk } from "../base/ports.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";

const SIZE_BYTES_MAX = 4096;

export function readSmallFile(disk: Disk, path: string): string {
  const file = disk.open(path, "bulk");
  const bytes = new Uint8Array(SIZE_BYTES_MAX);
  const size = file.read(bytes, 0, bytes.length, 0);
  file.close();
  return decodeUtf8(bytes, 0, size);
}

// Written under another name, synced and renamed: whoever reads it finds the old text or the new one.
export function writeSmallFile(disk: Disk, path: string, text: string): void {
  const bytes = encodeUtf8(text);
  const temporary = `${path}.tmp`;
  if (disk.exists(temporary)) disk.remove(temporary);
  const file = disk.create(temporary, "bulk");
  file.write(bytes, 0, bytes.length, 0);
  file.sync();
  file.close();
  disk.rename(temporary, path);
  disk.syncDirectory("member");
}
