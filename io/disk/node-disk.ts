// The Disk port over node:fs. Files of the log are written past the page cache (O_DIRECT) where that works and is not
// slower, and always with O_DSYNC, so that one system call writes and makes durable; bulk files are written by a worker
// thread (bulk-lane.ts), so that the pool is the log's alone (pool-lane.ts).

import * as fs from "node:fs";
import * as path from "node:path";
import type { Worker } from "node:worker_threads";
import { assert } from "../../core/base/assert.ts";
import type {
  Disk,
  DiskDone,
  DiskFile,
  DiskLane,
  FileAhead,
  NameChange,
  ReadAhead,
} from "../../core/base/ports.ts";
import { AlignedMemory, BLOCK_BYTES } from "./aligned-memory.ts";
import { BulkLane } from "./bulk-lane.ts";
import { checksum } from "./checksum.ts";
import { diskError } from "./disk-error.ts";
import { attempt, PlainFile, writeAll } from "./plain-file.ts";
import { NameLane, PoolLane } from "./pool-lane.ts";
import { startReadAhead, startReader } from "./read-ahead.ts";

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** More is not filled at once: a device that is busy with one piece lets the log wait. */
const FILL_BYTES_MAX = 256 * 1024;
const NOTHING = new Uint8Array(0);
/**
 * glibc learns from what is freed: after a block of up to 32 MiB it takes blocks of that size from its heap, and keeps twice as much
 * unused memory there. A log segment freed at the start left 8 MB of holes between the store's. Pages that nobody touches cost nothing.
 */
const BRIEF_BYTES_MIN = 33 * 1024 * 1024;

export interface NodeDiskOptions {
  /** False: never O_DIRECT. Default: a probe decides. */
  readonly direct?: boolean;
}

export class NodeDisk implements Disk {
  readonly sectorSizeBytes = 512;
  readonly alignmentBytes: number;
  readonly blockSizeBytes: number;
  readonly checksum = checksum;
  readonly #root: string;
  readonly #memory: AlignedMemory | undefined;
  readonly #bulk: BulkLane;
  readonly #lanes = { log: new PoolLane(), side: new PoolLane() };
  readonly #warmer: Warmer;
  readonly #names: NameLane;
  /** Started, and not in use yet. */
  #reader: Worker | undefined = undefined;
  /** What files are filled from, in memory that the worker shares. */
  #zeros: Uint8Array | undefined = undefined;

  constructor(root: string, options: NodeDiskOptions = {}) {
    this.#root = root;
    this.makeDirectory("");
    this.#memory = options.direct === false ? undefined : AlignedMemory.probe(root);
    this.alignmentBytes = this.#memory?.alignmentBytes ?? 1;
    this.blockSizeBytes = this.#memory === undefined ? 1 : BLOCK_BYTES;
    this.#bulk = new BulkLane();
    this.#names = new NameLane();
    this.#warmer = new Warmer((sizeBytes) => this.allocate(sizeBytes));
  }

  get bulkPendingCount(): number {
    return this.#bulk.pendingCount;
  }

  allocate(sizeBytes: number): Uint8Array {
    return this.#memory?.allocate(sizeBytes) ?? new Uint8Array(sizeBytes);
  }

  allocateBriefly(sizeBytes: number): Uint8Array {
    return new Uint8Array(new ArrayBuffer(Math.max(sizeBytes, BRIEF_BYTES_MIN)), 0, sizeBytes);
  }

  freeBytes(): number {
    try {
      const { blocks, bavail, bsize } = fs.statfsSync(this.#root);
      // Some file systems have no count.
      return blocks === 0 ? Infinity : bavail * bsize;
    } catch {
      return Infinity;
    }
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

  changeNames(directory: string, changes: readonly NameChange[], done: DiskDone): void {
    const full = changes.map((change): NameChange => {
      if (change.kind === "remove") return { kind: "remove", path: this.#full(change.path) };
      return { kind: "rename", from: this.#full(change.from), to: this.#full(change.to) };
    });
    this.#names.change({ path: directory, directory: this.#full(directory), changes: full, done });
  }

  /** Resolves when nothing is under way in the thread pool. */
  async settled(): Promise<void> {
    // What has ended may have started something of another lane.
    const lanes = [this.#lanes.log, this.#lanes.side, this.#names, this.#warmer.lane];
    while (!lanes.every((lane) => lane.isIdle)) {
      for (const lane of lanes) await new Promise<void>((resolve) => lane.whenIdle(resolve));
    }
  }

  prepareReadAhead(): void {
    this.#reader ??= startReader();
  }

  readAhead(files: readonly FileAhead[]): ReadAhead | undefined {
    const reader = this.#reader;
    this.#reader = undefined;
    return startReadAhead(this.#root, files, reader);
  }

  /** Lets what is under way end, ends the worker, and gives the probe file back. Files must be closed. */
  async close(): Promise<void> {
    await this.settled();
    this.#memory?.close();
    // Of a load that found damage before it came to the segments.
    await this.#reader?.terminate();
    await this.#bulk.close();
  }

  #openFile(name: string, lane: DiskLane, flags: number): DiskFile {
    const full = this.#full(name);
    const handle = attempt(name, () => fs.openSync(full, fs.constants.O_RDWR | flags, FILE_MODE));
    const { side } = this.#lanes;
    if (lane === "bulk") {
      const zeros = (): Zeros => this.#sharedZeros();
      return new BulkFile({ path: name, full, handle, lane: this.#bulk, side, zeros });
    }
    return new LogFile({
      path: name,
      full,
      handle,
      memory: this.#memory,
      lane: this.#lanes[lane],
      side,
      warmer: this.#warmer,
    });
  }

  #sharedZeros(): Zeros {
    this.#zeros ??= this.#memory?.allocateShared(FILL_BYTES_MAX) ?? sharedMemory(FILL_BYTES_MAX);
    return { bytes: this.#zeros, areAligned: this.#memory !== undefined };
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
  readonly lane: PoolLane;
  readonly side: PoolLane;
  readonly warmer: Warmer;
}

/** What is read for the caches' sake goes nowhere: into one piece of memory, one read after the other. */
class Warmer {
  readonly lane = new PoolLane();
  readonly #allocate: (sizeBytes: number) => Uint8Array;
  #memory: Uint8Array = NOTHING;

  constructor(allocate: (sizeBytes: number) => Uint8Array) {
    this.#allocate = allocate;
  }

  memory(sizeBytes: number): Uint8Array {
    if (this.#memory.length < sizeBytes) this.#memory = this.#allocate(sizeBytes);
    return this.#memory;
  }
}

class LogFile implements DiskFile {
  readonly path: string;
  readonly #plain: PlainFile;
  /** Writes through it are durable when they return. */
  readonly #durableHandle: number;
  readonly #memory: AlignedMemory | undefined;
  readonly #lane: PoolLane;
  readonly #side: PoolLane;
  readonly #warmer: Warmer;

  constructor(options: LogFileOptions) {
    this.path = options.path;
    this.#plain = new PlainFile(options.path, options.handle);
    this.#memory = options.memory;
    this.#lane = options.lane;
    this.#side = options.side;
    this.#warmer = options.warmer;
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
    const sync = !isDurable;
    this.#lane.add({ kind: "write", path: this.path, handle, bytes: source, start, end, offset, sync, done });
  }

  warm(offset: number, count: number, done: (isWarm: boolean) => void): void {
    const bytes = this.#warmer.memory(count);
    this.#warmer.lane.add({
      kind: "read",
      path: this.path,
      // Past the page cache, which the writes go past as well.
      handle: this.#durableHandle,
      bytes,
      start: 0,
      end: count,
      offset,
      sync: false,
      done: (error) => done(error === undefined),
    });
  }

  fill(): void {
    throw new Error("A file of the log is not filled in the background");
  }

  syncLater(done: DiskDone): void {
    syncInPool(this.#plain, this.#side, done);
  }

  truncate(sizeBytes: number): void {
    this.#plain.truncate(sizeBytes);
  }

  close(): void {
    const handles = [this.#plain.handle, this.#durableHandle];
    whenUnused([this.#lane, this.#side, this.#warmer.lane], handles, () => {
      for (const handle of handles) fs.closeSync(handle);
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

/** What files are filled from. */
interface Zeros {
  readonly bytes: Uint8Array;
  /** They may be written past the page cache. */
  readonly areAligned: boolean;
}

interface BulkFileOptions {
  readonly path: string;
  readonly full: string;
  readonly handle: number;
  readonly lane: BulkLane;
  readonly side: PoolLane;
  readonly zeros: () => Zeros;
}

class BulkFile implements DiskFile {
  readonly path: string;
  readonly #plain: PlainFile;
  readonly #lane: BulkLane;
  readonly #options: BulkFileOptions;
  /** Writes through it go past the page cache; opened for the first piece that is filled. */
  #directHandle = -1;

  constructor(options: BulkFileOptions) {
    this.path = options.path;
    this.#plain = new PlainFile(options.path, options.handle);
    this.#lane = options.lane;
    this.#options = options;
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
      sync: true,
      done,
    });
  }

  fill(offset: number, count: number, done: DiskDone): void {
    assert(count <= FILL_BYTES_MAX, "a file is filled in small pieces");
    const zeros = this.#options.zeros();
    // Through the page cache all of it would be written back at once by the sync at the end, and the log would wait.
    const sync = !zeros.areAligned;
    if (zeros.areAligned && this.#directHandle === -1) this.#openDirect();
    const handle = zeros.areAligned ? this.#directHandle : this.#plain.handle;
    this.#plain.isDirty = true;
    this.#lane.write({ path: this.path, handle, bytes: zeros.bytes.subarray(0, count), offset, sync, done });
  }

  warm(): void {
    throw new Error("What is written in the background is written whole");
  }

  syncLater(done: DiskDone): void {
    syncInPool(this.#plain, this.#options.side, done);
  }

  truncate(sizeBytes: number): void {
    this.#plain.truncate(sizeBytes);
  }

  close(): void {
    this.#lane.whenIdle(() => {
      this.#options.side.whenUnused([this.#plain.handle], () => this.#closeNow());
    });
  }

  #closeNow(): void {
    fs.closeSync(this.#plain.handle);
    if (this.#directHandle !== -1) fs.closeSync(this.#directHandle);
  }

  #openDirect(): void {
    const flags = fs.constants.O_RDWR | fs.constants.O_DIRECT;
    this.#directHandle = attempt(this.path, () => fs.openSync(this.#options.full, flags));
  }
}

/** Calls when none of these lanes uses any of the handles, and nobody asks for more: at once, or when the last one is done. */
function whenUnused(lanes: readonly PoolLane[], handles: readonly number[], action: () => void): void {
  const [first, ...rest] = lanes;
  if (first === undefined) action();
  else first.whenUnused(handles, () => whenUnused(rest, handles, action));
}

/** Clean from now on: after an error nothing is asked of the file. */
function syncInPool(file: PlainFile, lane: PoolLane, done: DiskDone): void {
  file.isDirty = false;
  const { path: name, handle } = file;
  const nothing = { bytes: NOTHING, start: 0, end: 0, offset: 0 };
  lane.add({ kind: "write", path: name, handle, ...nothing, sync: true, done });
}

function sharedMemory(sizeBytes: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(sizeBytes));
}
