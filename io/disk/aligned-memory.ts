// Memory for O_DIRECT. JavaScript does not see addresses, so the alignment of a buffer is found by asking the kernel: a
// direct write from a badly aligned address fails with EINVAL at once. Array buffers outside the heap do not move.

import * as fs from "node:fs";
import * as path from "node:path";

const BLOCK_BYTES = 4096;
/** malloc aligns to 16. */
const STEP_BYTES = 16;
/** What malloc takes from the system for itself begins with a head of 16 bytes. */
const FIRST_GUESS = BLOCK_BYTES - 16;

export class AlignedMemory {
  readonly alignmentBytes = BLOCK_BYTES;
  /** A file without a name, to ask the kernel with. */
  readonly #probe: number;
  readonly #owned = new WeakSet<Uint8Array>();
  /** Where the last buffer was aligned: large ones begin at the same distance from a page. Each try that fails costs 20 us. */
  #lastStart = FIRST_GUESS;

  private constructor(probe: number) {
    this.#probe = probe;
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
      const memory = new AlignedMemory(handle);
      memory.allocate(BLOCK_BYTES);
      return memory;
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
