// Spare segment files: recycled ones, whose blocks are all written already, or new ones filled with zeros in slices in the
// background. One is always kept, so that on a full disk deletes and compactions can still be logged.
//
//   filling-7.tmp --all slices written--> spare-7.tmp --taken--> 000...9-000...1234.wal --given up--> spare-8.tmp

import { assert } from "../base/assert.ts";
import type { Disk, DiskError, DiskFile } from "../base/ports.ts";
import { asDiskError } from "./wal-error.ts";

/** A device that is busy with one slice lets the log wait: a quarter of a MiB is a fraction of a millisecond. */
const SLICE_BYTES = 256 * 1024;
/** More are removed: one covers a rotation, and the next truncation brings the next. */
const SPARE_COUNT_MAX = 2;

export class Spares {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #sizeBytes: number;
  readonly #ready: string[];
  #next: number;
  #filling: DiskFile | undefined = undefined;
  #fillingName = "";
  #filled = 0;
  #sliceInFlight = false;
  #zeros: Uint8Array | undefined = undefined;
  /** The disk is full: a spare is wanted and cannot be made. */
  full = false;
  /** Anything else that went wrong in the background. */
  error: DiskError | undefined = undefined;

  constructor(disk: Disk, options: { directory: string; sizeBytes: number; ready: readonly string[] }) {
    this.#disk = disk;
    this.#directory = options.directory;
    this.#sizeBytes = options.sizeBytes;
    this.#ready = [];
    for (const path of options.ready) {
      const file = disk.open(path, "log");
      const size = file.sizeBytes();
      file.close();
      if (size === this.#sizeBytes && this.#ready.length < SPARE_COUNT_MAX) this.#ready.push(path);
      else disk.remove(path);
    }
    let next = 1;
    for (const path of options.ready) next = Math.max(next, Number(/(\d+)\.tmp$/.exec(path)![1]) + 1);
    this.#next = next;
  }

  get readyCount(): number {
    return this.#ready.length;
  }

  /** There is something to do in the background. */
  get wantsSlice(): boolean {
    return this.#ready.length === 0 && !this.#sliceInFlight && this.error === undefined;
  }

  /** The path of a spare of at least this size, which now belongs to the caller. */
  take(sizeBytes: number): string | undefined {
    return sizeBytes <= this.#sizeBytes ? this.#ready.shift() : undefined;
  }

  /** A name for a new file that is to become a segment at once. */
  freshPath(): string {
    return `${this.#directory}/filling-${this.#next++}.tmp`;
  }

  /** A segment is given up: keep the file when a spare is wanted. */
  recycle(path: string, sizeBytes: number): void {
    if (this.#ready.length >= SPARE_COUNT_MAX || sizeBytes !== this.#sizeBytes) {
      this.#disk.remove(path);
      return;
    }
    const spare = `${this.#directory}/spare-${this.#next++}.tmp`;
    this.#disk.rename(path, spare);
    this.#ready.push(spare);
    this.#dropFilling();
    this.full = false;
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
    this.#zeros ??= this.#disk.allocate(SLICE_BYTES);
    const count = Math.min(SLICE_BYTES, this.#sizeBytes - this.#filled);
    this.#sliceInFlight = true;
    const file = this.#filling!;
    file.writeAndSync(this.#zeros, 0, count, this.#filled, (error) => this.#onSlice(file, count, error));
  }

  close(): void {
    if (!this.#sliceInFlight) this.#filling?.close();
    this.#filling = undefined;
  }

  #startFilling(): void {
    this.#fillingName = this.freshPath();
    this.#filling = this.#disk.create(this.#fillingName, "bulk");
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
    if (this.#filled < this.#sizeBytes) return;
    const spare = this.#fillingName.replace("filling-", "spare-");
    try {
      file.close();
      this.#disk.rename(this.#fillingName, spare);
      this.#ready.push(spare);
    } catch (fault) {
      this.error = asDiskError(fault);
    }
    this.#filling = undefined;
    this.#zeros = undefined;
  }

  #onError(error: DiskError): void {
    // A full disk is a state, to be tried again; what was filled stays allocated.
    if (error.code === "ENOSPC") this.full = true;
    else this.error = error;
  }

  #dropFilling(): void {
    if (this.#filling === undefined) return;
    if (!this.#sliceInFlight) this.#filling.close();
    this.#disk.remove(this.#fillingName);
    this.#filling = undefined;
    this.#zeros = undefined;
  }
}
