// Reads a file of pieces, each under a checksum of its own, into fresh memory, and sums the pieces while they are in the
// cache. It judges nothing: a start reads most segments beside its walk over the records (`Disk.readAhead`), and whoever
// reads there does not know what the checksums should be.

import type { Checksum, ContentAhead, FileAhead } from "../base/ports.ts";

/** What is read at once: it stays in the cache of the second level until it is summed. */
const RUN_BYTES = 256 * 1024;

/** Reads into `target[start, end)` from offset `start`; returns how many bytes there were. */
export type ReadRange = (target: Uint8Array, start: number, end: number) => number;

/** `undefined` when the file ends before its last piece does. */
export function readSummed(file: FileAhead, checksum: Checksum, read: ReadRange): ContentAhead | undefined {
  const { ends } = file;
  const buffer = new ArrayBuffer(file.capacityBytes);
  const bytes = new Uint8Array(buffer);
  const sums = new Uint32Array(ends.length);
  let start = 0;
  for (let i = 0; i < ends.length;) {
    let next = i + 1;
    while (next < ends.length && ends[next]! - start <= RUN_BYTES) next++;
    const runEnd = ends[next - 1]!;
    if (read(bytes, start, runEnd) !== runEnd - start) return undefined;
    for (; i < next; i++) {
      sums[i] = checksum(bytes, start, ends[i]!);
      start = ends[i]!;
    }
  }
  return { buffer, sums };
}
