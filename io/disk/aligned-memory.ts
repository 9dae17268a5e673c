// Memory for O_DIRECT. JavaScript does not see addresses, so the alignment of a buffer is found by asking the kernel: a
// direct write from a badly aligned address fails with EINVAL at once. Array buffers outside the heap do not move.

import * as fs from "node:fs";
import * as path from "node:path";

const BLOCK_BYTES = 4096;
/** malloc aligns to 16. */
const STEP_BYTES = 16;
const TRIAL_COUNT = 7;
/** A disk on which so few writes take this long is not measured further. */
const TRIAL_MS_MAX = 30;
/** Direct writes may be this much slower and are still chosen: they spare the page cache and the second write of a block. */
const SLOWER_ACCEPTED = 1.2;

export class AlignedMemory {
  readonly alignmentBytes = BLOCK_BYTES;
  /** A file without a name, to ask the kernel with. */
  readonly #probe: number;
  readonly #owned = new WeakSet<Uint8Array>();

  private constructor(probe: number) {
    this.#probe = probe;
  }

  /** `undefined` when direct writes do not work below `root`, or are slower. */
  static probe(root: string): AlignedMemory | undefined {
    const { O_RDWR, O_CREAT, O_EXCL, O_DIRECT, O_DSYNC } = fs.constants;
    if (O_DIRECT === undefined || O_DSYNC === undefined) return undefined;
    const name = path.join(root, `.direct-${process.pid}-${Math.trunc(performance.now() * 1e3)}.tmp`);
    const handles: number[] = [];
    let memory: AlignedMemory | undefined;
    try {
      const plain = fs.openSync(name, O_RDWR | O_CREAT | O_EXCL | O_DSYNC, 0o600);
      handles.push(plain);
      fs.writeSync(plain, new Uint8Array(BLOCK_BYTES), 0, BLOCK_BYTES, 0);
      const direct = fs.openSync(name, O_RDWR | O_DIRECT | O_DSYNC);
      handles.push(direct);
      const candidate = new AlignedMemory(fs.openSync(name, O_RDWR | O_DIRECT));
      handles.push(candidate.#probe);
      const block = candidate.allocate(BLOCK_BYTES);
      if (medianMs(direct, block) <= SLOWER_ACCEPTED * medianMs(plain, block)) memory = candidate;
    } catch {
      // No O_DIRECT on this file system, or none that we can satisfy.
    }
    for (const handle of handles) if (memory === undefined || handle !== memory.#probe) fs.closeSync(handle);
    fs.rmSync(name, { force: true });
    return memory;
  }

  allocate(sizeBytes: number): Uint8Array {
    const buffer = new ArrayBuffer(sizeBytes + BLOCK_BYTES);
    const all = new Uint8Array(buffer);
    for (let start = 0; start < BLOCK_BYTES; start += STEP_BYTES) {
      if (!this.#accepts(all, start)) continue;
      const bytes = new Uint8Array(buffer, start, sizeBytes);
      this.#owned.add(bytes);
      return bytes;
    }
    throw new Error("Cannot align memory: the kernel accepts no address of a buffer");
  }

  owns(bytes: Uint8Array): boolean {
    return this.#owned.has(bytes);
  }

  close(): void {
    fs.closeSync(this.#probe);
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

function medianMs(handle: number, block: Uint8Array): number {
  const times: number[] = [];
  let total = 0;
  for (let trial = 0; trial < TRIAL_COUNT && total < TRIAL_MS_MAX; trial++) {
    const start = performance.now();
    fs.writeSync(handle, block, 0, BLOCK_BYTES, 0);
    times.push(performance.now() - start);
    total += times[trial]!;
  }
  times.sort((a, b) => a - b);
  return times[times.length >> 1]!;
}
