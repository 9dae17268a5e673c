// The worker of the bulk lane. Handles are the process's, so it writes to files that the main thread has opened.

import * as fs from "node:fs";
import * as os from "node:os";
import { parentPort } from "node:worker_threads";

export interface BulkRequest {
  readonly handle: number;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly sync: boolean;
}

/** `code` is empty when all went well. */
export interface BulkReply {
  readonly code: string;
  readonly message: string;
}

/** A sync every so often keeps the device's queue short for the log beside it. */
const SYNC_DISTANCE_BYTES = 1024 * 1024;

/**
 * On a machine with few cores this thread, copying into the page cache, would take the loop's core for whole time slices of some
 * milliseconds. Linux gives each thread a priority of its own, by its number.
 */
function yieldToTheLoop(): void {
  try {
    const [, thread] = /\/task\/(\d+)$/.exec(fs.readlinkSync("/proc/thread-self"))!;
    os.setPriority(Number(thread), os.constants.priority.PRIORITY_LOW);
  } catch {
    // No such link, or not allowed: as any other thread then.
  }
}

function write(request: BulkRequest): void {
  const { handle, bytes, offset, sync } = request;
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + SYNC_DISTANCE_BYTES);
    while (at < end) at += fs.writeSync(handle, bytes, at, end - at, offset + at);
    if (sync) fs.fdatasyncSync(handle);
  }
}

yieldToTheLoop();
parentPort!.on("message", (request: BulkRequest) => {
  let reply: BulkReply = { code: "", message: "" };
  try {
    write(request);
  } catch (error) {
    const fault = error as NodeJS.ErrnoException;
    reply = { code: fault.code ?? "EIO", message: fault.message };
  }
  parentPort!.postMessage(reply);
});
