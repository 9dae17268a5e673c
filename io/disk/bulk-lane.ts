// The bulk lane: a worker thread that writes checkpoints, snapshots and zeros, so that neither the loop nor the thread
// pool, which is the log's, waits for them. Started with the first write; it keeps the process alive only while it works.

import { Worker } from "node:worker_threads";
import { DiskError, type DiskDone } from "../../core/base/ports.ts";
import { workerUrl } from "../worker-url.ts";
import type { BulkReply, BulkRequest } from "./bulk.worker.ts";
import { IdleActions } from "./idle-actions.ts";

/** What checkpoints write at once, and the size of a buffer that is kept. */
const KEPT_BYTES = 1024 * 1024;

export interface BulkWrite {
  readonly path: string;
  readonly handle: number;
  /** Copied, unless it lies in shared memory. */
  readonly bytes: Uint8Array;
  readonly offset: number;
  /** False: somebody else makes it durable. */
  readonly sync: boolean;
  readonly done: DiskDone;
}

interface PendingWrite {
  readonly path: string;
  readonly done: DiskDone;
  /** Our copy of the bytes; undefined when they were in shared memory. */
  readonly copy: Uint8Array | undefined;
}

export class BulkLane {
  #worker: Worker | undefined = undefined;
  readonly #pending: PendingWrite[] = [];
  /**
   * Shared with the worker, and used again. A message that carries bytes is a copy in the worker's memory, which stays there until its
   * heap, where next to nothing is allocated, is collected: 30 MiB of dead copies after a million puts.
   */
  #spare: Uint8Array | undefined = undefined;
  readonly #idle = new IdleActions();

  get pendingCount(): number {
    return this.#pending.length;
  }

  write(operation: BulkWrite): void {
    const worker = (this.#worker ??= this.#start());
    const { handle, bytes, offset, sync, path, done } = operation;
    const copy = bytes.buffer instanceof SharedArrayBuffer ? undefined : this.#copyOf(bytes);
    this.#pending.push({ path, done, copy });
    worker.ref();
    const shared = copy === undefined ? bytes : copy.subarray(0, bytes.length);
    const request: BulkRequest = { handle, bytes: shared, offset, sync };
    worker.postMessage(request);
  }

  /** Calls when nothing is under way: at once, or after the last operation. */
  whenIdle(action: () => void): void {
    if (this.#pending.length === 0) action();
    else this.#idle.add(action);
  }

  /** Lets what is under way end first. */
  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.whenIdle(resolve));
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #copyOf(bytes: Uint8Array): Uint8Array {
    let copy = this.#spare;
    if (copy === undefined || copy.length < bytes.length)
      copy = new Uint8Array(new SharedArrayBuffer(Math.max(KEPT_BYTES, bytes.length)));
    else this.#spare = undefined;
    copy.set(bytes);
    return copy;
  }

  #start(): Worker {
    const worker = new Worker(workerUrl("io/disk/bulk.worker.ts"));
    worker.unref();
    worker.on("message", (reply: BulkReply) => this.#end(reply));
    worker.on("error", (error) => this.#failAll(error));
    return worker;
  }

  /** The worker does one thing after the other, so replies come in the order of the requests. */
  #end(reply: BulkReply): void {
    const operation = this.#pending.shift()!;
    if (operation.copy?.length === KEPT_BYTES) this.#spare = operation.copy;
    if (this.#pending.length === 0) this.#worker?.unref();
    const error = reply.code === "" ? undefined : new DiskError(reply.message, reply.code, operation.path);
    operation.done(error);
    if (this.#pending.length === 0) this.#idle.run();
  }

  #failAll(error: Error): void {
    this.#worker = undefined;
    for (const operation of this.#pending.splice(0))
      operation.done(new DiskError(error.message, "EIO", operation.path));
    if (this.#pending.length === 0) this.#idle.run();
  }
}
