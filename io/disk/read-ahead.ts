// Files that a start wants, read by two threads at once: a worker takes them from the front of the list, and the main thread,
// which cannot do anything else while it waits for one, takes the next that nobody has. So nobody waits for the worker to
// start, and should it never start, all is read as without it.
//
//   file     0       1       2       3       4       5
//            taken   ready   worker  main    free    free  …        a file's word of `state`; main waits for 2 and reads 3
//
// Contents are handed over with their memory, not copied. The worker stays a few files ahead: a start does not take
// memory for what it may not keep.

import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from "node:worker_threads";
import type { ContentAhead, FileAhead, ReadAhead } from "../../core/base/ports.ts";
import { readSummed } from "../../core/mvcc/read-pieces.ts";
import { workerUrl } from "../worker-url.ts";
import { checksum } from "./checksum.ts";

/** Words of the shared state: the file that is wanted next, then one for each file. */
export const WANTED = 0;
export const FIRST_FILE = 1;
/** Of a file: nobody has it yet; somebody reads it; it was read. */
export const FREE = 0;
export const CLAIMED = 1;
export const READY = 2;
/** Of WANTED: nothing more is. */
export const CLOSED = -1;

/**
 * What the worker reads while the main thread reads the log behind a checkpoint, so that it never rests and the main thread has
 * less to read later; with segments of 8 MiB 192 MiB of memory.
 */
export const FILES_AHEAD = 24;
/** A thread costs more than it gains for less. */
const FILE_COUNT_MIN = 3;
/** A disk that takes so long for a file has other problems; then the file is read by the caller, who will see. */
const WAIT_MS_MAX = 10_000;

export interface ReadAheadTask {
  readonly root: string;
  readonly files: readonly FileAhead[];
  readonly state: Int32Array;
  readonly port: MessagePort;
}

export interface ReadAheadReply {
  readonly index: number;
  /** Undefined when it could not be read. */
  readonly content: ContentAhead | undefined;
}

/** A worker that waits for its task. It takes some 50 ms until it can begin. */
export function startReader(): Worker | undefined {
  if (os.availableParallelism() < 2) return undefined;
  const worker = new Worker(workerUrl("io/disk/read-ahead.worker.ts"));
  worker.unref();
  // What it has not claimed is read by the main thread, and what it has claimed is waited for only so long.
  worker.on("error", () => {});
  return worker;
}

/** `prepared` is a reader that was started before; it is used, or ended. */
export function startReadAhead(
  root: string,
  files: readonly FileAhead[],
  prepared?: Worker,
): ReadAhead | undefined {
  const isWorthIt = files.length >= FILE_COUNT_MIN;
  const worker = isWorthIt ? (prepared ?? startReader()) : undefined;
  // It may have ended by itself.
  if (worker === undefined) prepared?.terminate().catch(() => {});
  return worker === undefined ? undefined : new SharedReading(root, files, worker);
}

/** A file's content, read with calls of the system that block; `undefined` when anything is not as it should be. */
export function readAheadFile(root: string, file: FileAhead): ContentAhead | undefined {
  let handle = -1;
  try {
    handle = fs.openSync(path.join(root, file.path), fs.constants.O_RDONLY);
    // Before memory is taken for it.
    if (fs.fstatSync(handle).size < (file.ends.at(-1) ?? 0)) return undefined;
    return readSummed(file, checksum, (target, start, end) =>
      fs.readSync(handle, target, start, end - start, start),
    );
  } catch {
    // Whoever reads it again finds out what is wrong.
    return undefined;
  } finally {
    if (handle >= 0) fs.closeSync(handle);
  }
}

export class SharedReading implements ReadAhead {
  readonly #root: string;
  readonly #files: readonly FileAhead[];
  /** A word for each file, behind that which says what is wanted. */
  readonly state: Int32Array;
  readonly #port: MessagePort;
  /** By index: what was read and is not taken yet. */
  readonly #contents = new Map<number, ContentAhead | undefined>();

  constructor(root: string, files: readonly FileAhead[], worker: Worker) {
    this.#root = root;
    this.#files = files;
    this.state = new Int32Array(new SharedArrayBuffer((FIRST_FILE + files.length) * 4));
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const task: ReadAheadTask = { root, files, state: this.state, port: port2 };
    worker.postMessage(task, [port2]);
  }

  take(index: number): ContentAhead | undefined {
    this.#want(index);
    while (!this.#contents.has(index)) {
      if (this.#receive()) continue;
      const next = this.#claim(index);
      if (next >= 0) this.#contents.set(next, readAheadFile(this.#root, this.#files[next]!));
      else if (!this.#waitFor(index)) return undefined;
    }
    const content = this.#contents.get(index);
    this.#contents.delete(index);
    return content;
  }

  close(): void {
    this.#want(CLOSED);
    this.#port.close();
    this.#contents.clear();
  }

  #want(index: number): void {
    Atomics.store(this.state, WANTED, index);
    Atomics.notify(this.state, WANTED);
  }

  /** The first file from `index` on that nobody has, now ours; -1 when there is none that may be read ahead. */
  #claim(index: number): number {
    const end = Math.min(this.#files.length, index + FILES_AHEAD);
    for (let next = index; next < end; next++)
      if (Atomics.compareExchange(this.state, FIRST_FILE + next, FREE, CLAIMED) === FREE) return next;
    return -1;
  }

  #receive(): boolean {
    const reply = receiveMessageOnPort(this.#port) as { message: ReadAheadReply } | undefined;
    if (reply === undefined) return false;
    this.#contents.set(reply.message.index, reply.message.content);
    return true;
  }

  /** Waits for a file that the worker reads; false when it takes too long. */
  #waitFor(index: number): boolean {
    const result = Atomics.wait(this.state, FIRST_FILE + index, CLAIMED, WAIT_MS_MAX);
    // It says so after the content is on its way.
    return this.#receive() || result === "ok";
  }
}
