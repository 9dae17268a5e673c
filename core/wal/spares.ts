// Spare segment files: recycled ones, whose blocks are all written already, or new ones filled with zeros in slices in the
// background. One is always kept, and a small one beside it, the reserve, which becomes a segment only when no file can be made:
// so that on a full disk deletes and compactions can still be logged, also where a checkpoint needs the room of the others.
//
//   filling-7.tmp --all slices written--> spare-7.tmp --taken--> 000...9-000...1234.wal --given up--> spare-8.tmp
//
// A spare counts when its blocks and its name are durable: a segment may be written to, and acknowledged, while it still has
// that name (unnamed.ts). All of it happens in the background; the log finds a spare open and clean.

import { assert } from "../base/assert.ts";
import type { Disk, DiskError, DiskFile, NameChange } from "../base/ports.ts";
import { asDiskError } from "./wal-error.ts";

/** A device that is busy with one slice lets the log wait: a quarter of a MiB is a fraction of a millisecond. */
const SLICE_BYTES = 256 * 1024;
/** Between two checkpoints of a large store lie eight segments: whatever is given up is used again, and nothing is filled anew. */
export const SPARE_COUNT_MAX = 10;

/** The reserve's part of a whole segment: room for what frees room, and for what was under way when the disk was full. */
const RESERVE_FRACTION = 1 / 8;

/** The part of the first segment after which a spare is made: a store that writes next to nothing needs none. */
const SPARE_AFTER_FRACTION = 1 / 16;
/**
 * A spare is filled by as much more than the log fills its segment: it is there when two thirds are used. Filled at once it would
 * be one that a checkpoint may make superfluous meanwhile, by what it gives back.
 */
const SPARE_PACE = 1.5;
/** The part of a spare that should be filled when the log ends at `tail` of its segment. */
export function shareOfSpare(tail: number, segmentSizeBytes: number, standardSizeBytes: number): number {
  const used = tail / segmentSizeBytes;
  // The first segment is small, and the spare is there before it is full.
  if (segmentSizeBytes < standardSizeBytes) return used > SPARE_AFTER_FRACTION ? 1 : 0;
  return Math.min(1, used * SPARE_PACE);
}

export interface Spare {
  readonly path: string;
  /** Nothing of it is unsynced: a write past the page cache is durable by itself. */
  readonly file: DiskFile;
}

export interface SparesOptions {
  readonly disk: Disk;
  readonly directory: string;
  /** Of a segment; a multiple of the alignment. */
  readonly sizeBytes: number;
  readonly alignmentBytes: number;
  /** Anything that went wrong in the background, but for a full disk. */
  readonly onError: (error: DiskError) => void;
}

export class Spares {
  readonly #options: SparesOptions;
  readonly #disk: Disk;
  readonly #ready: Spare[] = [];
  #reserve: Spare | undefined = undefined;
  readonly #reserveBytes: number;
  /** Files that are being synced and named, and whether one of them becomes the reserve. */
  #comingCount = 0;
  #reserveIsComing = false;
  #next = 1;
  #filling: DiskFile | undefined = undefined;
  /** Bytes of it that are written, and that will be. */
  #filled = 0;
  #wanted = 0;
  #sliceInFlight = false;
  #isClosed = false;
  /** Other files need the room: nothing but the reserve is made. */
  isHeld = false;
  /** The disk is full: a spare is wanted and cannot be made. */
  full = false;

  constructor(options: SparesOptions) {
    this.#options = options;
    this.#disk = options.disk;
    const { sizeBytes, alignmentBytes } = options;
    this.#reserveBytes = Math.ceil((sizeBytes * RESERVE_FRACTION) / alignmentBytes) * alignmentBytes;
    assert(this.#reserveBytes < sizeBytes, "spares are told from the reserve by their size");
  }

  /** Takes over what an earlier life has left; the caller syncs the directory before anything else. */
  adopt(paths: readonly string[]): void {
    for (const path of paths) {
      this.#next = Math.max(this.#next, Number(/(\d+)\.tmp$/.exec(path)![1]) + 1);
      const file = this.#disk.open(path, "log");
      if (this.#isWelcome(file)) {
        file.sync();
        this.#add({ path, file });
        continue;
      }
      file.close();
      this.#disk.remove(path);
    }
  }

  get isEmpty(): boolean {
    return this.#reserve === undefined && this.#ready.length === 0;
  }

  /** Something is missing that should be there when this part of a spare is wanted; it may be on its way. */
  isShort(share: number): boolean {
    if (this.#reserve === undefined) return true;
    return this.#ready.length === 0 && (this.#comingCount > 0 || this.#lacksPart(share));
  }

  /** There is something to do in the background so that this part of a spare is filled. */
  wantsSlice(share: number): boolean {
    if (this.#sliceInFlight) return false;
    if (this.#lacksReserve) return true;
    return !this.isHeld && this.#ready.length + this.#comingCount === 0 && this.#lacksPart(share);
  }

  #lacksPart(share: number): boolean {
    const { sizeBytes } = this.#options;
    const filled = this.#filling !== undefined && this.#wanted === sizeBytes ? this.#filled : 0;
    return filled < share * sizeBytes;
  }

  get #lacksReserve(): boolean {
    return this.#reserve === undefined && !this.#reserveIsComing;
  }

  get #hasRoomForSpare(): boolean {
    return this.#ready.length + this.#comingCount < SPARE_COUNT_MAX;
  }

  /** A spare of at least this size, which now belongs to the caller. */
  take(sizeBytes: number): Spare | undefined {
    return sizeBytes <= this.#options.sizeBytes ? this.#ready.shift() : undefined;
  }

  /**
   * For when nothing can be allocated; it belongs to the caller, and the disk counts as full until there is one again.
   * `undefined` without one, or when it is smaller than needed.
   */
  takeReserve(neededBytes: number): Spare | undefined {
    const reserve = this.#reserve;
    if (reserve === undefined || neededBytes > this.#reserveBytes) return undefined;
    this.#reserve = undefined;
    this.full = true;
    return reserve;
  }

  /**
   * The disk is full, and other files need the room more: gives up the spares, but for the reserve, or one when there is no
   * reserve. The disk counts as full until there are spares again. False when there was nothing to give.
   */
  giveUp(): boolean {
    const given = this.#ready.splice(this.#reserve === undefined ? 1 : 0);
    const gives = given.length > 0 || this.#filling !== undefined;
    this.#dropFilling();
    for (const { file } of given) file.close();
    if (given.length > 0) {
      this.full = true;
      this.#changeNames(given.map(({ path }) => ({ kind: "remove", path })));
    }
    return gives;
  }

  /** A name for a new file that is to become a segment at once. */
  freshPath(): string {
    return `${this.#options.directory}/filling-${this.#next++}.tmp`;
  }

  /**
   * Segments are given up, durably: keeps the files that are wanted as spares. After the end none is: the checkpoint before a
   * clean stop gives most of the log up, which should not lie there until the next start.
   */
  recycle(paths: readonly string[]): void {
    const removed: NameChange[] = [];
    try {
      for (const path of paths)
        if (this.#isClosed || !this.#maybeKeep(path)) removed.push({ kind: "remove", path });
    } catch (error) {
      this.#options.onError(asDiskError(error));
      return;
    }
    if (removed.length > 0) this.#changeNames(removed);
  }

  /** Writes the next slice of a new file, in the background: `wantsSlice` said so. */
  fillSlice(): void {
    assert(!this.#sliceInFlight, "one slice is written at a time");
    // The reserve first: what there is of a spare is of no use on a full disk.
    if (this.#lacksReserve && this.#wanted !== this.#reserveBytes) this.#dropFilling();
    try {
      if (this.#filling === undefined) this.#startFilling();
    } catch (error) {
      this.#onError(asDiskError(error));
      return;
    }
    const count = Math.min(SLICE_BYTES, this.#wanted - this.#filled);
    this.#sliceInFlight = true;
    const file = this.#filling!;
    file.fill(this.#filled, count, (error) => this.#onSlice(file, count, error));
  }

  close(): void {
    this.#isClosed = true;
    for (const spare of this.#ready.splice(0)) spare.file.close();
    this.#reserve?.file.close();
    this.#reserve = undefined;
    if (!this.#sliceInFlight) this.#filling?.close();
    this.#filling = undefined;
  }

  #startFilling(): void {
    this.#filling = this.#disk.create(this.freshPath(), "bulk");
    this.#filled = 0;
    this.#wanted = this.#lacksReserve ? this.#reserveBytes : this.#options.sizeBytes;
  }

  #onSlice(file: DiskFile, count: number, error: DiskError | undefined): void {
    this.#sliceInFlight = false;
    if (file !== this.#filling) {
      file.close(); // a recycled file took its place, or the log was closed
      return;
    }
    if (error !== undefined) {
      this.#onError(error);
      return;
    }
    // One that was used up is missed until it is there again.
    if (this.#reserve !== undefined) this.full = false;
    this.#filled += count;
    if (this.#filled < this.#wanted) return;
    this.#filling = undefined;
    file.close();
    try {
      this.#makeReady(file.path, this.#disk.open(file.path, "log"));
    } catch (fault) {
      this.#onError(asDiskError(fault));
    }
  }

  #maybeKeep(path: string): boolean {
    if (!this.#lacksReserve && !this.#hasRoomForSpare) return false;
    const file = this.#disk.open(path, "log");
    if (!this.#isWelcome(file)) {
      file.close();
      return false;
    }
    // A reserve takes the place of the one that is being filled. A spare does not: the log needed one more than there were, and
    // will again, so what was filled is kept until then.
    if (this.#wanted === this.#reserveBytes && file.sizeBytes() === this.#wanted) this.#dropFilling();
    this.#makeReady(path, file);
    return true;
  }

  /** It is of a size that is wanted. */
  #isWelcome(file: DiskFile): boolean {
    const sizeBytes = file.sizeBytes();
    if (sizeBytes === this.#reserveBytes) return this.#lacksReserve;
    return sizeBytes === this.#options.sizeBytes && this.#hasRoomForSpare;
  }

  #add(spare: Spare): void {
    if (spare.file.sizeBytes() === this.#reserveBytes) this.#reserve = spare;
    else this.#ready.push(spare);
    if (this.#reserve !== undefined) this.full = false;
  }

  /** First the blocks, then the name: what has a spare's name is one. */
  #makeReady(path: string, file: DiskFile): void {
    const isReserve = file.sizeBytes() === this.#reserveBytes;
    if (isReserve) this.#reserveIsComing = true;
    else this.#comingCount++;
    file.syncLater((error) => {
      if (error?.code === "ENOSPC" && !this.#isClosed) {
        // A file system that finds room only now: what it holds is unknown, so it is made again.
        this.full = true;
        this.#endComing(file, undefined);
        this.#changeNames([{ kind: "remove", path }]);
        return;
      }
      if (error !== undefined || this.#isClosed) {
        this.#endComing(file, error);
        return;
      }
      const spare = `${this.#options.directory}/spare-${this.#next++}.tmp`;
      this.#disk.changeNames(
        this.#options.directory,
        [{ kind: "rename", from: path, to: spare }],
        (fault) => {
          if (fault !== undefined || this.#isClosed) {
            this.#endComing(file, fault);
            return;
          }
          this.#came(file);
          this.#add({ path: spare, file });
        },
      );
    });
  }

  #came(file: DiskFile): void {
    if (file.sizeBytes() === this.#reserveBytes) this.#reserveIsComing = false;
    else this.#comingCount--;
  }

  #endComing(file: DiskFile, error: DiskError | undefined): void {
    this.#came(file);
    file.close();
    if (error !== undefined) this.#options.onError(error);
  }

  #onError(error: DiskError): void {
    // A full disk is a state, to be tried again; what was filled stays allocated.
    if (error.code === "ENOSPC") this.full = true;
    else this.#options.onError(error);
  }

  #dropFilling(): void {
    if (this.#filling === undefined) return;
    const { path } = this.#filling;
    if (!this.#sliceInFlight) this.#filling.close();
    this.#filling = undefined;
    this.#changeNames([{ kind: "remove", path }]);
  }

  #changeNames(changes: readonly NameChange[]): void {
    this.#disk.changeNames(this.#options.directory, changes, (error) => {
      if (error !== undefined) this.#options.onError(error);
    });
  }
}
