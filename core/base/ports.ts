// The ports: what `core` needs of a machine. `io` implements them for a real one, `proof/simulator` for a world of
// faults. Nothing in `core` asks the machine in any other way.

import type { ByteWriter } from "./byte-writer.ts";
import type { Id64 } from "./ids.ts";

/** Monotonic and calendar time. */
export interface Clock {
  /** Milliseconds of a monotonic clock, fractions included. Only differences mean anything. */
  now(): number;
  /** Seconds since 1970, whole; for ids of added members only, never for decisions. */
  unixSeconds(): number;
}

/** Asks to be called again: the driver calls the machine's `turn()` once all input of this turn of the loop is in. */
export interface Waker {
  wake(): void;
}

/** A fault of the disk. The log's owner stops the member on any; nothing is retried (an fsync error least of all). */
export class DiskError extends Error {
  override readonly name = "DiskError";
  /** The operating system's code, `EIO`, `ENOSPC`, `ENOENT`, … */
  readonly code: string;
  readonly path: string;
  constructor(message: string, code: string, path: string) {
    super(message);
    this.code = code;
    this.path = path;
  }
}

/** Of `bytes[start, end)`, continued from `seed`, the checksum of what came before (0 at the start): an unsigned 32-bit integer. */
export type Checksum = (bytes: Uint8Array, start: number, end: number, seed?: number) => number;

/** Called when an asynchronous disk operation ended; `error` is undefined when all of it is durable. */
export type DiskDone = (error: DiskError | undefined) => void;

/**
 * A file system, seen from one data directory; paths are relative to it and use `/`.
 *
 * Calls without a callback act at once and throw `DiskError`. Written bytes are in the page cache until `sync`:
 * a power loss may drop any subset of unsynced sectors. A created, renamed or removed name is durable only after
 * `syncDirectory` of its directory.
 */
export interface Disk {
  /** What one write may tear at, in bytes (512 or 4096). */
  readonly sectorSizeBytes: number;
  /**
   * Writes of the `log` lane whose offset and length are multiples of this, from memory of `allocate`, go past the page
   * cache and are the fastest; others work too. 1 when it makes no difference.
   */
  readonly alignmentBytes: number;
  /**
   * A multiple of `alignmentBytes`; 1 when that is 1. A block that no cache holds any more is best written whole: before it writes
   * a part, the device, or the host of a virtual one, has to read the rest, behind everybody else's reads. A part of one that was
   * written a moment ago costs no more than its bytes.
   */
  readonly blockSizeBytes: number;
  /** Zeroed memory of this size that aligned writes may come from (its start counts as aligned). */
  allocate(sizeBytes: number): Uint8Array;
  /** Zeroed memory, at the start of its buffer, that goes back to the system when it is given up and leaves no hole behind. */
  allocateBriefly(sizeBytes: number): Uint8Array;
  /**
   * CRC-32 (polynomial 0x04C11DB7, as in zlib, gzip and Ethernet) of `bytes[start, end)`, for files that only we read. The platform's
   * own is three times as fast as the CRC-32C that the log's format asks for and that we have to compute ourselves.
   */
  readonly checksum: Checksum;
  /** Operations of the `bulk` lane that have not ended: while there are any, a sync may take long. */
  readonly bulkPendingCount: number;
  /** What may still be written to new blocks; Infinity when nobody can tell. */
  freeBytes(): number;
  /** Creates the directory and its parents, mode 0700; existing ones are fine. */
  makeDirectory(path: string): void;
  /** Names in a directory, sorted; empty when the directory is missing. */
  list(path: string): string[];
  exists(path: string): boolean;
  /** Creates (fails with EEXIST) or opens a file for reading and writing. */
  create(path: string, lane: DiskLane): DiskFile;
  open(path: string, lane: DiskLane): DiskFile;
  rename(from: string, to: string): void;
  remove(path: string): void;
  syncDirectory(path: string): void;
  /**
   * Changes names of one directory in the background, in this order, and makes them durable; `done` is called later, never
   * within this call. Until then nobody can tell which of the names are there. Such operations end in order.
   */
  changeNames(directory: string, changes: readonly NameChange[], done: DiskDone): void;
  /** Says that many files will be read ahead in a moment: what takes its time to get ready may begin. */
  prepareReadAhead(): void;
  /**
   * Begins to read files, from their starts and in this order, beside whatever the caller does; `undefined` when it would gain
   * nothing. It is an offer: what cannot be read as asked is left to the caller, who reads the file itself and finds out why.
   */
  readAhead(files: readonly FileAhead[]): ReadAhead | undefined;
}

/** A file that will be wanted soon. */
export interface FileAhead {
  readonly path: string;
  /** Size of the memory that it is read into, at least the last of `ends`. */
  readonly capacityBytes: number;
  /** Where the pieces end that have a checksum each: multiples of 8, ascending. All up to the last one is read. */
  readonly ends: readonly number[];
}

/** What was read of a file: the memory is the caller's from now on. */
export interface ContentAhead {
  readonly buffer: ArrayBuffer;
  /** The checksum (`Disk.checksum`) of each piece, for the caller to compare: whoever reads does not know what it should be. */
  readonly sums: Uint32Array;
}

export interface ReadAhead {
  /** The content of file `index`, each once and in order; `undefined` when the caller has to read it itself. Waits for it. */
  take(index: number): ContentAhead | undefined;
  /** No more is wanted. */
  close(): void;
}

/** Paths, not names. */
export type NameChange =
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "remove"; readonly path: string };

/**
 * Which queue asynchronous operations of a file use. `log` is the log's alone, so that nothing delays it; `side` is for
 * what the log has written beside its entries, while they are written; `bulk` is for checkpoints and snapshots.
 */
export type DiskLane = "log" | "side" | "bulk";

export interface DiskFile {
  readonly path: string;
  sizeBytes(): number;
  /** Reads into `target[start, end)` from `offset`; returns how many bytes there were. */
  read(target: Uint8Array, start: number, end: number, offset: number): number;
  /** Writes `source[start, end)` at `offset`, all of it or throws. */
  write(source: Uint8Array, start: number, end: number, offset: number): void;
  /** Makes data and size durable (fdatasync). */
  sync(): void;
  /**
   * Writes and makes durable in the background; `done` is called later, never within this call. Operations of one
   * lane end in the order in which they were started. `source` must not change until then.
   */
  writeAndSync(source: Uint8Array, start: number, end: number, offset: number, done: DiskDone): void;
  /**
   * Writes zeros in the background, so that blocks are allocated, and in such a way that the log beside it waits as little
   * as possible. Durable after a sync only. Of the `bulk` lane.
   */
  fill(offset: number, count: number, done: DiskDone): void;
  /**
   * Reads in the background, in no lane's queue, so that a cache holds these blocks and a part of one is cheap to write
   * (`Disk.blockSizeBytes`). Of the `log` lane. `done` is called later; when it says false nothing was gained.
   */
  warm(offset: number, count: number, done: (isWarm: boolean) => void): void;
  /** Makes data and size durable in the background, in no lane's queue. Nothing is written meanwhile. */
  syncLater(done: DiskDone): void;
  truncate(sizeBytes: number): void;
  close(): void;
}

/** The way to the other members; `io/net/peers.ts` and the simulated network implement it. */
export interface PeerLinks {
  /**
   * Where to write frames for this member on this lane; what was written is sent at the end of the turn. `undefined` while
   * there is no connection or too much is unsent: the frame is dropped then, and Raft repeats what matters.
   */
  writer(to: Id64, lane: number): ByteWriter | undefined;
  /** Sends what was written now, before the end of the turn: the peers write to their disks while this member does. */
  flush(): void;
  /**
   * Who is to be connected from now on, this member excluded. Whoever was removed from the cluster is refused from now on, and
   * what it had opened is closed: so it learns of it.
   */
  setPeers(peers: readonly PeerAddress[], isRemoved: (id: Id64) => boolean): void;
}

export interface PeerAddress {
  readonly id: Id64;
  readonly urls: readonly string[];
}
