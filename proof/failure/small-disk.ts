// A file system of its own for one member, in memory, so that it can be full while the machine's disk is not. Only in the
// sandbox, with which it vanishes.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";

/** Room is taken only for what is written. */
const SIZE_BYTES = 1024 * 1024 * 1024;
/** Left to a full disk, so that the member cannot grow by more than a few blocks. */
const LEFT_BYTES = 64 * 1024;
const ATTEMPTS = 20;

export function makeSmallDisk(folder: string): void {
  fs.mkdirSync(folder);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${SIZE_BYTES}`, "tmpfs", folder]);
}

/** No room any more: the file system shrinks to what is used. */
export function fillDisk(folder: string): void {
  for (let attempt = 1; ; attempt++) {
    const { bsize, blocks, bfree } = fs.statfsSync(folder);
    try {
      remount(folder, (blocks - bfree) * bsize + LEFT_BYTES);
      return;
    } catch (error) {
      // The member has written more meanwhile.
      if (attempt === ATTEMPTS) throw error;
    }
  }
}

export function freeDisk(folder: string): void {
  remount(folder, SIZE_BYTES);
}

function remount(folder: string, sizeBytes: number): void {
  execFileSync("mount", ["-o", `remount,size=${sizeBytes}`, folder], { stdio: "pipe" });
}
