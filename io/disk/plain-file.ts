// An open file whose writes go through the page cache: what both lanes of the disk are made of.

import * as fs from "node:fs";
import { asSmall } from "../../core/base/small-integer.ts";
import { diskError } from "./disk-error.ts";

export class PlainFile {
  readonly path: string;
  readonly handle: number;
  /** Something was written since the last sync; at first perhaps by an earlier process. */
  isDirty = true;

  constructor(path: string, handle: number) {
    this.path = path;
    this.handle = handle;
  }

  sizeBytes(): number {
    // Node reads it from doubles.
    return asSmall(attempt(this.path, () => fs.fstatSync(this.handle).size));
  }

  read(target: Uint8Array, start: number, end: number, offset: number): number {
    return attempt(this.path, () => {
      let at = start;
      while (at < end) {
        const count = fs.readSync(this.handle, target, at, end - at, offset + at - start);
        if (count === 0) break;
        at += count;
      }
      return at - start;
    });
  }

  write(source: Uint8Array, start: number, end: number, offset: number): void {
    this.isDirty = true;
    attempt(this.path, () => writeAll(this.handle, source, { start, end, offset }));
  }

  sync(): void {
    if (!this.isDirty) return;
    attempt(this.path, () => fs.fdatasyncSync(this.handle));
    this.isDirty = false;
  }

  truncate(sizeBytes: number): void {
    this.isDirty = true;
    attempt(this.path, () => fs.ftruncateSync(this.handle, sizeBytes));
  }
}

export function attempt<T>(name: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw diskError(error, name);
  }
}

export function writeAll(
  handle: number,
  source: Uint8Array,
  range: { start: number; end: number; offset: number },
): void {
  let { start, offset } = range;
  while (start < range.end) {
    const count = fs.writeSync(handle, source, start, range.end - start, offset);
    start += count;
    offset += count;
  }
}
