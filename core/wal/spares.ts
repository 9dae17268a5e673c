// Spare segment files: recycled ones, whose blocks are all written already, or new ones filled with zeros in slices in the
// background. One is always kept, so that on a full disk deletes and compactions can still be logged.
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
/** Between two checkpoints of a large store lie four segments: whatever is given up is used again, and nothing is filled anew. */
export const SPARE_COUNT_MAX = 5;

export interface Spare {
  readonly path: string;
  /** Nothing of it is unsynced: a write past the page cache is durable by itself. */
  readonly file: DiskFile;
}

export interface SparesOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly sizeBytes: number;
  /** Anything that went wrong in the background, but for a full disk. */
  readonly onError: (error: DiskError) => void;
}

export class Spares {
  readonly #options: SparesOptions;
  readonly #disk: Disk;
  readonly #ready: Spare[] = [];
  /** Files that are being synced and named. */
  #comingCount = 0;
  #next = 1;
  #filling: DiskFile | undefined = undefined;
  #filled = 0;
  #sliceInFlight = false;
  #isClosed = false;
  /** The disk is full: a spare is wanted and cannot be made. */
  full = false;

  constructor(options: SparesOptions) {
    this.#options = options;
    this.#disk = options.disk;
  }

  /** Takes over what an earlier life has left; the caller syncs the directory before anything else. */
  adopt(paths: readonly string[]): void {
    for (const path of paths) {
      this.#next = Math.max(this.#next, Number(/(\d+)\.tmp$/.exec(path)![1]) + 1);
      const file = this.#disk.open(path, "log");
      if (file.sizeBytes() === this.#options.sizeBytes && this.#ready.length < SPARE_COUNT_MAX) {
        file.sync();
        this.#ready.push({ path, file });
        continue;
      }
      file.close();
      this.#disk.remove(path);
    }
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  /** There is something to do in the background. */
  get wantsSlice(): boolean {
    return this.#ready.length + this.#comingCount === 0 && !this.#sliceInFlight;
  }

  /** A spare of at least this size, which now belongs to the caller. */
  take(sizeBytes: number): Spare | undefined {
    return sizeBytes <= this.#options.sizeBytes ? this.#ready.shift() : undefined;
  }

  /** A name for a new file that is to become a segment at once. */
  freshPath(): string {
    return `${this.#options.directory}/filling-${this.#next++}.tmp`;
  }

  /** Segments are given up, durably: keep the files that are wanted as spares. */
  recycle(paths: readonly string[]): void {
    if (this.#isClosed) return; // the next life removes them
    const removed: NameChange[] = [];
    try {
      for (const path of paths) if (!this.#maybeKeep(path)) removed.push({ kind: "remove", path });
    } catch (error) {
      this.#options.onError(asDiskError(error));
      return;
    }
    if (removed.length > 0) this.#changeNames(removed);
  }

  /** Writes the next slice of a new spare, in the background. */
  fillSlice(): void {
    assert(this.wantsSlice, "a slice is written when one is wanted");
    try {
      if (this.#filling === undefined) this.#startFilling();
    } catch (error) {
      this.#onError(asDiskError(error));
      return;
    }
    const count = Math.min(SLICE_BYTES, this.#options.sizeBytes - this.#filled);
    this.#sliceInFlight = true;
    const file = this.#filling!;
    file.fill(this.#filled, count, (error) => this.#onSlice(file, count, error));
  }

  close(): void {
    this.#isClosed = true;
    for (const spare of this.#ready.splice(0)) spare.file.close();
    if (!this.#sliceInFlight) this.#filling?.close();
    this.#filling = undefined;
  }

  #startFilling(): void {
    this.#filling = this.#disk.create(this.freshPath(), "bulk");
    this.#filled = 0;
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
    this.full = false;
    this.#filled += count;
    if (this.#filled < this.#options.sizeBytes) return;
    this.#filling = undefined;
    file.close();
    try {
      this.#makeReady(file.path, this.#disk.open(file.path, "log"));
    } catch (fault) {
      this.#onError(asDiskError(fault));
    }
  }

  #maybeKeep(path: string): boolean {
    if (this.#ready.length + this.#comingCount >= SPARE_COUNT_MAX) return false;
    const file = this.#disk.open(path, "log");
    if (file.sizeBytes() !== this.#options.sizeBytes) {
      file.close();
      return false;
    }
    this.#dropFilling();
    this.#makeReady(path, file);
    return true;
  }

  /** First the blocks, then the name: what has a spare's name is one. */
  #makeReady(path: string, file: DiskFile): void {
    this.#comingCount++;
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
          this.#comingCount--;
          this.#ready.push({ path: spare, file });
          this.full = false;
        },
      );
    });
  }

  #endComing(file: DiskFile, error: DiskError | undefined): void {
    this.#comingCount--;
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
