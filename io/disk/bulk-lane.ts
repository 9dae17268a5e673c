// The bulk lane: a worker thread that writes checkpoints, snapshots and zeros, so that neither the loop nor the thread
// pool, which is the log's, waits for them. Started with the first write; it keeps the process alive only while it works.

import { Worker } from "node:worker_threads";
import { DiskError, type DiskDone } from "../../core/base/ports.ts";
import { workerUrl } from "../worker-url.ts";
import type { BulkReply, BulkRequest } from "./bulk.worker.ts";
import { IdleActions } from "./idle-actions.ts";

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

export class BulkLane {
  #worker: Worker | undefined = undefined;
  readonly #pending: BulkWrite[] = [];
  readonly #idle = new IdleActions();

  get pendingCount(): number {
    return this.#pending.length;
  }

  write(operation: BulkWrite): void {
    const worker = (this.#worker ??= this.#start());
    this.#pending.push(operation);
    worker.ref();
    const request: BulkRequest = {
      handle: operation.handle,
      bytes: operation.bytes,
      offset: operation.offset,
      sync: operation.sync,
    };
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
