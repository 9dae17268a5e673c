// Memory for O_DIRECT. JavaScript does not see addresses, so the alignment of a buffer is found by asking the kernel: a
// direct write from a badly aligned address fails with EINVAL at once. Array buffers outside the heap do not move.

import * as fs from "node:fs";
import * as path from "node:path";

/** What file systems, page caches and most devices keep together. */
export const BLOCK_BYTES = 4096;
/** What a device takes at least; most have it, also where they keep 4096 together. */
const SECTOR_BYTES = 512;
/** File systems, by statfs's numbers, that write single sectors past the page cache; others fall back to the page cache silently. */
const SECTOR_FILE_SYSTEMS = new Set([0xef53, 0x58465342]);
/** Of each size, in turns; the quickest counts. */
const TRIAL_COUNT = 5;
/**
 * So long it is tried again while sectors look slower: beside others who write, five trials said so by chance, and each put of one
 * client wrote 4.5 kB instead of one.
 */
const TRIAL_AGAIN_MS = 100;
/** A device that reads a block to write a part of it takes longer by much more. */
const TRIAL_TOLERANCE = 1.15;
/** malloc aligns to 16. */
const STEP_BYTES = 16;
/** What malloc takes from the system for itself begins with a head of 16 bytes. */
const FIRST_GUESS = BLOCK_BYTES - 16;

export class AlignedMemory {
  /** Offsets and lengths of direct writes are multiples of it. */
  readonly alignmentBytes: number;
  /** A file without a name, to ask the kernel with. */
  readonly #probe: number;
  readonly #owned = new WeakSet<Uint8Array>();
  /** Where the last buffer was aligned: large ones begin at the same distance from a page. Each try that fails costs 20 us. */
  #lastStart = FIRST_GUESS;

  /** `name` is that of the file `probe`, which has a name as long as this runs. */
  private constructor(probe: number, name: string) {
    this.#probe = probe;
    this.alignmentBytes = takesSectors(name, this.allocate(BLOCK_BYTES)) ? SECTOR_BYTES : BLOCK_BYTES;
  }

  /**
   * `undefined` when direct writes do not work below `root`. Where they work they are used, whatever a trial would say:
   * through the page cache a kernel with large folios writes the whole folio back for every small synced write into a file
   * that was filled in large pieces (178 KiB to the device for a put of 400 bytes, Linux 6.18, ext4).
   */
  static probe(root: string): AlignedMemory | undefined {
    const { O_RDWR, O_CREAT, O_EXCL, O_DIRECT } = fs.constants;
    if (O_DIRECT === undefined) return undefined;
    const name = path.join(root, `.direct-${process.pid}-${Math.trunc(performance.now() * 1e3)}.tmp`);
    let handle = -1;
    try {
      handle = fs.openSync(name, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0o600);
      return new AlignedMemory(handle, name);
    } catch {
      // No O_DIRECT on this file system, or none that we can satisfy.
      if (handle >= 0) fs.closeSync(handle);
      return undefined;
    } finally {
      fs.rmSync(name, { force: true });
    }
  }

  allocate(sizeBytes: number): Uint8Array {
    return this.#align(new ArrayBuffer(sizeBytes + BLOCK_BYTES), sizeBytes);
  }

  /** Memory that a worker sees as well. */
  allocateShared(sizeBytes: number): Uint8Array {
    return this.#align(new SharedArrayBuffer(sizeBytes + BLOCK_BYTES), sizeBytes);
  }

  owns(bytes: Uint8Array): boolean {
    return this.#owned.has(bytes);
  }

  close(): void {
    fs.closeSync(this.#probe);
  }

  #align(buffer: ArrayBuffer | SharedArrayBuffer, sizeBytes: number): Uint8Array {
    const all = new Uint8Array(buffer);
    for (let distance = 0; distance < BLOCK_BYTES; distance += STEP_BYTES) {
      const start = (this.#lastStart + distance) % BLOCK_BYTES;
      if (!this.#accepts(all, start)) continue;
      this.#lastStart = start;
      const bytes = new Uint8Array(buffer, start, sizeBytes);
      this.#owned.add(bytes);
      return bytes;
    }
    throw new Error("Cannot align memory: the kernel accepts no address of a buffer");
  }

  #accepts(all: Uint8Array, start: number): boolean {
    if (start + BLOCK_BYTES > all.length) return false;
    try {
      return fs.writeSync(this.#probe, all, start, BLOCK_BYTES, 0) === BLOCK_BYTES;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EINVAL") return false;
      throw error;
    }
  }
}

/**
 * Whether single sectors can be written directly, and are durable no later than blocks. A put with one client fills one
 * sector or two: an eighth to a quarter of what whole blocks write.
 */
function takesSectors(name: string, block: Uint8Array): boolean {
  if (!SECTOR_FILE_SYSTEMS.has(fs.statfsSync(name).type)) return false;
  const { O_WRONLY, O_DIRECT, O_DSYNC } = fs.constants;
  const handle = fs.openSync(name, O_WRONLY | O_DIRECT | O_DSYNC);
  try {
    const durableMs = (sizeBytes: number): number => {
      const start = performance.now();
      fs.writeSync(handle, block, 0, sizeBytes, 0);
      return performance.now() - start;
    };
    // The first one allocates.
    durableMs(BLOCK_BYTES);
    const quickest = { sector: Infinity, block: Infinity };
    const isSlower = (): boolean => quickest.sector >= quickest.block * TRIAL_TOLERANCE;
    const startMs = performance.now();
    for (let i = 0; i < TRIAL_COUNT || (isSlower() && performance.now() - startMs < TRIAL_AGAIN_MS); i++) {
      quickest.sector = Math.min(quickest.sector, durableMs(SECTOR_BYTES));
      quickest.block = Math.min(quickest.block, durableMs(BLOCK_BYTES));
    }
    return !isSlower();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EINVAL") return false;
    throw error;
  } finally {
    fs.closeSync(handle);
  }
}
