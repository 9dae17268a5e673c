// The Disk port over node:fs. Files of the log are written past the page cache (O_DIRECT) where that works and is not
// slower, and always with O_DSYNC, so that one system call writes and makes durable; bulk files are written by a worker
// thread (bulk-lane.ts), so that the pool is the log's alone.

import * as fs from "node:fs";
import * as path from "node:path";
import { assert } from "../../core/base/assert.ts";
import type { Disk, DiskDone, DiskFile, DiskLane } from "../../core/base/ports.ts";
import { AlignedMemory } from "./aligned-memory.ts";
import { BulkLane } from "./bulk-lane.ts";
import { diskError } from "./disk-error.ts";
import { attempt, PlainFile, writeAll } from "./plain-file.ts";

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export interface NodeDiskOptions {
  /** False: never O_DIRECT. Default: a probe decides. */
  readonly direct?: boolean;
}

export class NodeDisk implements Disk {
  readonly sectorSizeBytes = 512;
  readonly alignmentBytes: number;
  readonly #root: string;
  readonly #memory: AlignedMemory | undefined;
  readonly #bulk: BulkLane;
  readonly #logLane: LogLane;

  constructor(root: string, options: NodeDiskOptions = {}) {
    this.#root = root;
    this.makeDirectory("");
    this.#memory = options.direct === false ? undefined : AlignedMemory.probe(root);
    this.alignmentBytes = this.#memory?.alignmentBytes ?? 1;
    this.#bulk = new BulkLane();
    this.#logLane = new LogLane();
  }

  get bulkPendingCount(): number {
    return this.#bulk.pendingCount;
  }

  allocate(sizeBytes: number): Uint8Array {
    return this.#memory?.allocate(sizeBytes) ?? new Uint8Array(sizeBytes);
  }

  makeDirectory(name: string): void {
    attempt(name, () => fs.mkdirSync(this.#full(name), { recursive: true, mode: DIRECTORY_MODE }));
  }

  list(name: string): string[] {
    try {
      return fs.readdirSync(this.#full(name)).sort();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw diskError(error, name);
    }
  }

  exists(name: string): boolean {
    return fs.existsSync(this.#full(name));
  }

  create(name: string, lane: DiskLane): DiskFile {
    return this.#openFile(name, lane, fs.constants.O_CREAT | fs.constants.O_EXCL);
  }

  open(name: string, lane: DiskLane): DiskFile {
    return this.#openFile(name, lane, 0);
  }

  rename(from: string, to: string): void {
    attempt(from, () => fs.renameSync(this.#full(from), this.#full(to)));
  }

  remove(name: string): void {
    attempt(name, () => fs.unlinkSync(this.#full(name)));
  }

  syncDirectory(name: string): void {
    attempt(name, () => {
      const handle = fs.openSync(this.#full(name), fs.constants.O_RDONLY);
      try {
        fs.fsyncSync(handle);
      } finally {
        fs.closeSync(handle);
      }
    });
  }

  /** Ends the worker and gives the probe file back. Files must be closed. */
  async close(): Promise<void> {
    this.#memory?.close();
    await this.#bulk.close();
  }

  #openFile(name: string, lane: DiskLane, flags: number): DiskFile {
    const full = this.#full(name);
    const handle = attempt(name, () => fs.openSync(full, fs.constants.O_RDWR | flags, FILE_MODE));
    if (lane === "bulk") return new BulkFile(name, handle, this.#bulk);
    return new LogFile({ path: name, full, handle, memory: this.#memory, lane: this.#logLane });
  }

  #full(name: string): string {
    assert(!name.includes(".."), "a path stays below the data directory");
    return path.join(this.#root, name);
  }
}

interface LogFileOptions {
  readonly path: string;
  readonly full: string;
  readonly handle: number;
  readonly memory: AlignedMemory | undefined;
  readonly lane: LogLane;
}

class LogFile implements DiskFile {
  readonly path: string;
  readonly #plain: PlainFile;
  /** Writes through it are durable when they return. */
  readonly #durableHandle: number;
  readonly #memory: AlignedMemory | undefined;
  readonly #lane: LogLane;

  constructor(options: LogFileOptions) {
    this.path = options.path;
    this.#plain = new PlainFile(options.path, options.handle);
    this.#memory = options.memory;
    this.#lane = options.lane;
    const direct = options.memory === undefined ? 0 : fs.constants.O_DIRECT;
    const flags = fs.constants.O_RDWR | fs.constants.O_DSYNC | direct;
    this.#durableHandle = attempt(options.path, () => fs.openSync(options.full, flags));
  }

  sizeBytes(): number {
    return this.#plain.sizeBytes();
  }

  read(target: Uint8Array, start: number, end: number, offset: number): number {
    return this.#plain.read(target, start, end, offset);
  }

  write(source: Uint8Array, start: number, end: number, offset: number): void {
    if (this.#isDurable(source, start, end, offset)) {
      attempt(this.path, () => writeAll(this.#durableHandle, source, { start, end, offset }));
    } else this.#plain.write(source, start, end, offset);
  }

  sync(): void {
    this.#plain.sync();
  }

  // oxlint-disable-next-line max-params -- the port has it so
  writeAndSync(source: Uint8Array, start: number, end: number, offset: number, done: DiskDone): void {
    const isDurable = this.#isDurable(source, start, end, offset) && !this.#plain.isDirty;
    const handle = isDurable ? this.#durableHandle : this.#plain.handle;
    // What was written before is synced with it, and on the thread pool as well.
    if (!isDurable) this.#plain.isDirty = false;
    this.#lane.write({ path: this.path, handle, source, start, end, offset, sync: !isDurable, done });
  }

  truncate(sizeBytes: number): void {
    this.#plain.truncate(sizeBytes);
  }

  close(): void {
    this.#lane.whenIdle(() => {
      fs.closeSync(this.#plain.handle);
      fs.closeSync(this.#durableHandle);
    });
  }

  /** O_DIRECT wants whole blocks and aligned memory; without it everything may go through the durable handle. */
  #isDurable(source: Uint8Array, start: number, end: number, offset: number): boolean {
    if (this.#memory === undefined) return true;
    const alignment = this.#memory.alignmentBytes;
    if (start % alignment !== 0 || end % alignment !== 0 || offset % alignment !== 0) return false;
    return this.#memory.owns(source);
  }
}

class BulkFile implements DiskFile {
  readonly path: string;
  readonly #plain: PlainFile;
  readonly #lane: BulkLane;

  constructor(name: string, handle: number, lane: BulkLane) {
    this.path = name;
    this.#plain = new PlainFile(name, handle);
    this.#lane = lane;
  }

  sizeBytes(): number {
    return this.#plain.sizeBytes();
  }

  read(target: Uint8Array, start: number, end: number, offset: number): number {
    return this.#plain.read(target, start, end, offset);
  }

  write(source: Uint8Array, start: number, end: number, offset: number): void {
    this.#plain.write(source, start, end, offset);
  }

  sync(): void {
    this.#plain.sync();
  }

  // oxlint-disable-next-line max-params -- the port has it so
  writeAndSync(source: Uint8Array, start: number, end: number, offset: number, done: DiskDone): void {
    this.#lane.write({
      path: this.path,
      handle: this.#plain.handle,
      bytes: source.subarray(start, end),
      offset,
      done,
    });
  }

  truncate(sizeBytes: number): void {
    this.#plain.truncate(sizeBytes);
  }

  close(): void {
    this.#lane.whenIdle(() => fs.closeSync(this.#plain.handle));
  }
}

interface LogWrite {
  readonly path: string;
  readonly handle: number;
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly offset: number;
  readonly sync: boolean;
  readonly done: DiskDone;
}

/** The log's operations in the thread pool, one after the other. */
class LogLane {
  readonly #queue: LogWrite[] = [];
  #closing: (() => void)[] = [];

  write(operation: LogWrite): void {
    this.#queue.push(operation);
    if (this.#queue.length === 1) this.#start(operation.start);
  }

  /** Calls when nothing is under way: at once, or after the last operation. */
  whenIdle(action: () => void): void {
    if (this.#queue.length === 0) action();
    else this.#closing.push(action);
  }

  #start(from: number): void {
    const { handle, source, start, end, offset, sync } = this.#queue[0]!;
    fs.write(handle, source, from, end - from, offset + from - start, (error, count) => {
      if (error !== null) this.#end(error);
      else if (from + count < end) this.#start(from + count);
      else if (sync) fs.fdatasync(handle, (fault) => this.#end(fault));
      else this.#end(null);
    });
  }

  #end(error: NodeJS.ErrnoException | null): void {
    const operation = this.#queue.shift()!;
    if (this.#queue.length > 0) this.#start(this.#queue[0]!.start);
    operation.done(error === null ? undefined : diskError(error, operation.path));
    if (this.#queue.length > 0) return;
    const closing = this.#closing;
    this.#closing = [];
    for (const action of closing) action();
  }
}
