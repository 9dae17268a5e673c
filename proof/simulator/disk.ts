// A disk of faults: page cache and device apart, names durable apart from contents, every call counted, so that a test
// can stop before any of them and look at what a power loss leaves.
//
//   const disk = new SimulatedDisk({ clock, prng });
//   disk.crashBefore = 17;                      // the 17th call throws PowerLossError and changes nothing
//   try { scenario(disk) } catch (PowerLossError) {}
//   const after = disk.afterPowerLoss({ prng, survivors: "random", tear: "byte" });

import { assert } from "../../core/base/assert.ts";
import type {
  ContentAhead,
  Disk,
  DiskDone,
  DiskFile,
  DiskLane,
  FileAhead,
  NameChange,
  ReadAhead,
} from "../../core/base/ports.ts";
import { DiskError } from "../../core/base/ports.ts";
import { Prng } from "../../core/base/prng.ts";
import { readSummed } from "../../core/mvcc/read-pieces.ts";
import { checksum } from "../../io/disk/checksum.ts";
import { Directory, type Entry } from "./directory.ts";
import { BLOCK_BYTES, Inode, type PowerLoss } from "./inode.ts";
import type { Trace } from "./trace.ts";

export type { PowerLoss } from "./inode.ts";

/** The power is gone: thrown by the call that a test chose, and by every call after it. */
export class PowerLossError extends Error {
  override readonly name = "PowerLossError";
}

/** What the disk needs of virtual time; SimulatedClock has it, and so does a member of a simulated cluster. */
export interface DiskClock {
  now(): number;
  at(timeMs: number, action: () => void): unknown;
  /** Lets the time of a call pass that waits for the device; without it such calls take no time. */
  advance?(delayMs: number): void;
}

export interface SimulatedDiskOptions {
  readonly clock: DiskClock;
  readonly prng: Prng;
  readonly sectorSizeBytes?: number;
  readonly alignmentBytes?: number;
  /** What the device holds; Infinity by default. */
  readonly capacityBytes?: number;
  /** How long a sync takes, milliseconds. */
  readonly syncMs?: () => number;
  readonly trace?: Trace;
}

export class SimulatedDisk implements Disk {
  readonly sectorSizeBytes: number;
  readonly alignmentBytes: number;
  readonly blockSizeBytes: number;
  readonly checksum = checksum;
  /** Calls that change something, so far. */
  callCount = 0;
  /** The call, counted from 1, before which power is lost. */
  crashBefore = Infinity;
  /** The sync, counted from 1, that fails with EIO and drops what was not durable. */
  failSyncAt = Infinity;
  syncCount = 0;
  capacityBytes: number;
  readonly #options: SimulatedDiskOptions;
  readonly #directories = new Map<string, Directory>();
  #isDead = false;
  readonly #pendingCount = { log: 0, side: 0, bulk: 0 };
  /** When the last operation of a lane ends: they end in order. */
  readonly #laneEndMs = { log: 0, side: 0, bulk: 0 };
  /** When the last change of names ends. */
  #namesEndMs = 0;
  /** Being changed in the background: a real disk may have either. */
  readonly #unsettledNames = new Set<string>();

  constructor(options: SimulatedDiskOptions) {
    this.#options = options;
    this.sectorSizeBytes = options.sectorSizeBytes ?? 512;
    this.alignmentBytes = options.alignmentBytes ?? 1;
    this.blockSizeBytes = this.alignmentBytes === 1 ? 1 : BLOCK_BYTES;
    this.capacityBytes = options.capacityBytes ?? Infinity;
    this.#directories.set("", new Directory());
  }

  get bulkPendingCount(): number {
    return this.#pendingCount.bulk;
  }

  allocate(sizeBytes: number): Uint8Array {
    return new Uint8Array(sizeBytes);
  }

  allocateBriefly(sizeBytes: number): Uint8Array {
    return new Uint8Array(sizeBytes);
  }

  makeDirectory(path: string): void {
    this.#count("makeDirectory", path);
    const parts = path === "" ? [] : path.split("/");
    for (let depth = 1; depth <= parts.length; depth++) {
      const name = parts.slice(0, depth).join("/");
      if (this.#directories.has(name)) continue;
      this.#directoryOf(name).put(baseName(name), { kind: "directory" });
      this.#directories.set(name, new Directory());
    }
  }

  list(path: string): string[] {
    this.#alive();
    return this.#directories.get(path)?.names() ?? [];
  }

  exists(path: string): boolean {
    this.#alive();
    this.#settled(path);
    return path === "" || this.#directories.get(parentName(path))?.get(baseName(path)) !== undefined;
  }

  create(path: string, lane: DiskLane): DiskFile {
    this.#count("create", path);
    this.#settled(path);
    const directory = this.#directoryOf(path);
    if (directory.get(baseName(path)) !== undefined) throw new DiskError(`${path} exists`, "EEXIST", path);
    const inode = new Inode();
    directory.put(baseName(path), { kind: "file", inode });
    return new SimulatedFile(this, path, { inode, lane });
  }

  open(path: string, lane: DiskLane): DiskFile {
    this.#alive();
    this.#settled(path);
    return new SimulatedFile(this, path, { inode: this.#inode(path), lane });
  }

  rename(from: string, to: string): void {
    this.#settled(from);
    this.#settled(to);
    this.#count("rename", from);
    const directory = this.#directoryOf(from);
    assert(parentName(from) === parentName(to), "a rename stays within its directory");
    this.#inode(from);
    directory.rename(baseName(from), baseName(to));
  }

  remove(path: string): void {
    this.#settled(path);
    this.#count("remove", path);
    this.#inode(path);
    this.#directoryOf(path).remove(baseName(path));
  }

  syncDirectory(path: string): void {
    this.#count("syncDirectory", path);
    const directory = this.#directories.get(path);
    if (directory === undefined) throw new DiskError(`${path} does not exist`, "ENOENT", path);
    directory.sync();
  }

  changeNames(directory: string, changes: readonly NameChange[], done: DiskDone): void {
    const paths = changes.flatMap((change) =>
      change.kind === "rename" ? [change.from, change.to] : [change.path],
    );
    for (const path of paths) assert(parentName(path) === directory, "names of one directory are changed");
    for (const change of changes) {
      if (change.kind === "rename") this.rename(change.from, change.to);
      else this.remove(change.path);
    }
    for (const path of paths) this.#unsettledNames.add(path);
    const { clock } = this.#options;
    this.#namesEndMs = Math.max(clock.now(), this.#namesEndMs) + (this.#options.syncMs?.() ?? 0.2);
    clock.at(this.#namesEndMs, () => {
      if (this.#isDead) return;
      for (const path of paths) this.#unsettledNames.delete(path);
      this.syncDirectory(directory);
      done(undefined);
    });
  }

  /** Every second file is left to the caller, so that both ways are taken. */
  prepareReadAhead(): void {}

  readAhead(files: readonly FileAhead[]): ReadAhead {
    this.#alive();
    const take = (index: number): ContentAhead | undefined => {
      const file = files[index]!;
      if (index % 2 === 0 || !this.exists(file.path)) return undefined;
      const inode = this.#inode(file.path);
      return readSummed(file, checksum, (target, start, end) => inode.read(target, start, end, start));
    };
    return { take, close: () => {} };
  }

  /** The disk when power returns, in a later life on a clock of its own. This one is dead from now on, its callbacks never come. */
  afterPowerLoss(loss: PowerLoss, clock = this.#options.clock): SimulatedDisk {
    this.#isDead = true;
    const after = new SimulatedDisk({ ...this.#options, clock, capacityBytes: this.capacityBytes });
    const survivors = new Map<Inode, Inode>();
    const copy = (inode: Inode): Inode => {
      let survivor = survivors.get(inode);
      if (survivor === undefined) {
        survivor = inode.afterPowerLoss(loss, this.sectorSizeBytes);
        survivors.set(inode, survivor);
      }
      return survivor;
    };
    const visit = (path: string): void => {
      const entries = this.#directories.get(path)!.afterPowerLoss(loss);
      const kept = new Map<string, Entry>();
      for (const [name, entry] of entries) {
        kept.set(name, entry.kind === "file" ? { kind: "file", inode: copy(entry.inode) } : entry);
        if (entry.kind === "directory") visit(path === "" ? name : `${path}/${name}`);
      }
      after.#directories.set(path, new Directory(kept));
    };
    visit("");
    return after;
  }

  /** The same contents again, all of it durable: to try several damages on one log. */
  copy(clock = this.#options.clock): SimulatedDisk {
    const wasDead = this.#isDead;
    const after = this.afterPowerLoss({ prng: new Prng(0), survivors: "all", tear: "sector" }, clock);
    this.#isDead = wasDead;
    return after;
  }

  /** Kills the disk without a fault of its own: calls throw, callbacks do not come. */
  powerOff(): void {
    this.#isDead = true;
  }

  flipBit(path: string, offset: number, bit: number): void {
    this.#inode(path).damage((content) => {
      content[offset]! ^= 1 << bit;
      return content;
    });
  }

  zero(path: string, start: number, end: number): void {
    this.#inode(path).damage((content) => content.fill(0, start, end));
  }

  cut(path: string, sizeBytes: number): void {
    this.#inode(path).damage((content) => content.slice(0, sizeBytes));
  }

  lose(path: string): void {
    const directory = this.#directoryOf(path);
    directory.remove(baseName(path));
    directory.sync();
  }

  content(path: string): Uint8Array {
    return this.#inode(path).content();
  }

  freeBytes(): number {
    return this.capacityBytes === Infinity ? Infinity : Math.max(0, this.capacityBytes - this.usedBytes());
  }

  usedBytes(): number {
    const inodes = new Set<Inode>();
    for (const directory of this.#directories.values())
      for (const inode of directory.inodes()) inodes.add(inode);
    let blocks = 0;
    for (const inode of inodes) blocks += inode.blockCount;
    return blocks * BLOCK_BYTES;
  }

  // For SimulatedFile.

  write(file: { path: string; inode: Inode }, bytes: Uint8Array, offset: number): void {
    this.#count("write", file.path);
    this.#options.trace?.fold(offset);
    this.#options.trace?.bytes(bytes, 0, bytes.length);
    this.#reserve(file, bytes.length, offset);
    file.inode.write(bytes, offset);
  }

  truncate(file: { path: string; inode: Inode }, sizeBytes: number): void {
    this.#count("truncate", file.path);
    file.inode.truncate(sizeBytes);
  }

  sync(file: { path: string; inode: Inode }): void {
    this.#count("sync", file.path);
    // Only what was written has to be waited for.
    if (file.inode.isDirty) this.#options.clock.advance?.(this.#options.syncMs?.() ?? 0.2);
    const error = this.#syncNow(file);
    if (error !== undefined) throw error;
  }

  writeAndSync(
    file: { path: string; inode: Inode; lane: DiskLane },
    source: Uint8Array,
    range: { start: number; end: number; offset: number; done: DiskDone },
  ): void {
    const bytes = source.slice(range.start, range.end);
    let error: DiskError | undefined;
    try {
      this.write(file, bytes, range.offset);
    } catch (fault) {
      if (!(fault instanceof DiskError)) throw fault;
      error = fault;
    }
    this.#later(file.lane, file.path, () => {
      for (let i = 0; i < bytes.length; i++)
        assert(bytes[i] === source[range.start + i], "the source changed during a write");
      range.done(error ?? this.#syncNow(file));
    });
  }

  fill(file: { path: string; inode: Inode }, range: { offset: number; count: number; done: DiskDone }): void {
    let error: DiskError | undefined;
    try {
      this.write(file, new Uint8Array(range.count), range.offset);
    } catch (fault) {
      if (!(fault instanceof DiskError)) throw fault;
      error = fault;
    }
    this.#later("bulk", file.path, () => range.done(error));
  }

  /** In no lane's queue: a slow read delays nothing. */
  warm(path: string, done: (isWarm: boolean) => void): void {
    const { clock } = this.#options;
    clock.at(clock.now() + (this.#options.syncMs?.() ?? 0.2), () => {
      if (this.#isDead) return;
      this.#count("warm", path);
      done(true);
    });
  }

  syncLater(file: { path: string; inode: Inode }, done: DiskDone): void {
    const { clock } = this.#options;
    clock.at(clock.now() + (this.#options.syncMs?.() ?? 0.2), () => {
      if (this.#isDead) return;
      this.#count("sync", file.path);
      done(this.#syncNow(file));
    });
  }

  /** The end of an operation of a lane. */
  #later(lane: DiskLane, path: string, action: () => void): void {
    const { clock } = this.#options;
    this.#pendingCount[lane]++;
    const endMs = Math.max(clock.now(), this.#laneEndMs[lane]) + (this.#options.syncMs?.() ?? 0.2);
    this.#laneEndMs[lane] = endMs;
    clock.at(endMs, () => {
      if (this.#isDead) return;
      this.#count("done", path);
      this.#pendingCount[lane]--;
      action();
    });
  }

  #syncNow(file: { path: string; inode: Inode }): DiskError | undefined {
    this.syncCount++;
    if (this.syncCount !== this.failSyncAt) {
      file.inode.sync();
      return undefined;
    }
    file.inode.failSync(
      { prng: this.#options.prng, survivors: "random", tear: "sector" },
      this.sectorSizeBytes,
    );
    return new DiskError("input/output error", "EIO", file.path);
  }

  #reserve(file: { path: string; inode: Inode }, count: number, offset: number): void {
    if (this.capacityBytes === Infinity) return;
    const missing = file.inode.missingBlockCount(offset, count) * BLOCK_BYTES;
    if (missing > 0 && this.usedBytes() + missing > this.capacityBytes) {
      throw new DiskError("no space left on device", "ENOSPC", file.path);
    }
  }

  #count(kind: string, path: string): void {
    this.#alive();
    this.callCount++;
    const { trace, clock } = this.#options;
    if (trace !== undefined) {
      trace.text(kind);
      trace.text(path);
      trace.fold(clock.now() * 1000);
    }
    if (this.callCount < this.crashBefore) return;
    this.#isDead = true;
    throw new PowerLossError("power is lost");
  }

  #alive(): void {
    if (this.#isDead) throw new PowerLossError("power was lost");
  }

  #settled(path: string): void {
    assert(!this.#unsettledNames.has(path), "a name that is being changed is not used");
  }

  #inode(path: string): Inode {
    const entry = this.#directories.get(parentName(path))?.get(baseName(path));
    if (entry?.kind !== "file") throw new DiskError(`${path} does not exist`, "ENOENT", path);
    return entry.inode;
  }

  #directoryOf(path: string): Directory {
    const directory = this.#directories.get(parentName(path));
    if (directory === undefined) throw new DiskError(`${parentName(path)} does not exist`, "ENOENT", path);
    return directory;
  }
}

class SimulatedFile implements DiskFile {
  readonly path: string;
  readonly inode: Inode;
  readonly lane: DiskLane;
  readonly #disk: SimulatedDisk;
  #isClosed = false;

  constructor(disk: SimulatedDisk, path: string, file: { inode: Inode; lane: DiskLane }) {
    this.#disk = disk;
    this.path = path;
    this.inode = file.inode;
    this.lane = file.lane;
  }

  sizeBytes(): number {
    this.#open();
    return this.inode.sizeBytes;
  }

  read(target: Uint8Array, start: number, end: number, offset: number): number {
    this.#open();
    return this.inode.read(target, start, end, offset);
  }

  write(source: Uint8Array, start: number, end: number, offset: number): void {
    this.#open();
    this.#disk.write(this, source.slice(start, end), offset);
  }

  sync(): void {
    this.#open();
    this.#disk.sync(this);
  }

  // oxlint-disable-next-line max-params -- the port has it so
  writeAndSync(source: Uint8Array, start: number, end: number, offset: number, done: DiskDone): void {
    this.#open();
    this.#disk.writeAndSync(this, source, { start, end, offset, done });
  }

  fill(offset: number, count: number, done: DiskDone): void {
    this.#open();
    assert(this.lane === "bulk", "files are filled beside the log");
    this.#disk.fill(this, { offset, count, done });
  }

  warm(_offset: number, _count: number, done: (isWarm: boolean) => void): void {
    this.#open();
    assert(this.lane === "log", "what the log writes next is warmed");
    this.#disk.warm(this.path, done);
  }

  syncLater(done: DiskDone): void {
    this.#open();
    this.#disk.syncLater(this, done);
  }

  truncate(sizeBytes: number): void {
    this.#open();
    this.#disk.truncate(this, sizeBytes);
  }

  close(): void {
    this.#open();
    this.#isClosed = true;
  }

  #open(): void {
    assert(!this.#isClosed, "a closed file is not used");
  }
}

function parentName(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash === -1 ? "" : path.slice(0, slash);
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
