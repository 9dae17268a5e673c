// A simulated file: what is on the device, what the page cache has, and the changes between the two, in order.

import type { Prng } from "../../core/base/prng.ts";

/** Blocks in which space is allocated. */
export const BLOCK_BYTES = 4096;

/** A change that is not durable yet: bytes written at an offset, or a new size. */
type Change =
  | { readonly kind: "write"; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: "size"; readonly sizeBytes: number };

/** How much of what was not synced is on the device after a power loss. */
export interface PowerLoss {
  readonly prng: Prng;
  /** Of the changes since the last sync: every one, none, or any subset of sectors and names. */
  readonly survivors: "all" | "none" | "random";
  /** What a write may be cut at. */
  readonly tear: "sector" | "byte";
}

export class Inode {
  #stable: Uint8Array;
  #stableSizeBytes: number;
  #cached: Uint8Array;
  #cachedSizeBytes: number;
  #changes: Change[] = [];
  readonly #blocks: Set<number>;

  constructor(content: Uint8Array = new Uint8Array(0), blocks: Iterable<number> = []) {
    this.#stable = content;
    this.#stableSizeBytes = content.length;
    this.#cached = content.slice();
    this.#cachedSizeBytes = content.length;
    this.#blocks = new Set(blocks);
  }

  get sizeBytes(): number {
    return this.#cachedSizeBytes;
  }

  get isDirty(): boolean {
    return this.#changes.length > 0;
  }

  get blockCount(): number {
    return this.#blocks.size;
  }

  /** Blocks that a write there would have to allocate. */
  missingBlockCount(offset: number, count: number): number {
    let missing = 0;
    const last = Math.ceil((offset + count) / BLOCK_BYTES);
    for (let block = Math.floor(offset / BLOCK_BYTES); block < last; block++)
      if (!this.#blocks.has(block)) missing++;
    return missing;
  }

  read(target: Uint8Array, start: number, end: number, offset: number): number {
    const count = Math.max(0, Math.min(end - start, this.#cachedSizeBytes - offset));
    target.set(this.#cached.subarray(offset, offset + count), start);
    return count;
  }

  write(bytes: Uint8Array, offset: number): void {
    this.#changes.push({ kind: "write", offset, bytes });
    for (let at = offset; at < offset + bytes.length; at += BLOCK_BYTES)
      this.#blocks.add(Math.floor(at / BLOCK_BYTES));
    if (bytes.length > 0) this.#blocks.add(Math.floor((offset + bytes.length - 1) / BLOCK_BYTES));
    this.#cachedSizeBytes = Math.max(this.#cachedSizeBytes, offset + bytes.length);
    this.#cached = grown(this.#cached, this.#cachedSizeBytes);
    this.#cached.set(bytes, offset);
  }

  truncate(sizeBytes: number): void {
    this.#changes.push({ kind: "size", sizeBytes });
    if (sizeBytes < this.#cachedSizeBytes) {
      this.#cached.fill(0, sizeBytes, this.#cachedSizeBytes);
      for (const block of this.#blocks) if (block * BLOCK_BYTES >= sizeBytes) this.#blocks.delete(block);
    }
    this.#cachedSizeBytes = sizeBytes;
    this.#cached = grown(this.#cached, sizeBytes);
  }

  sync(): void {
    // Change by change: a copy of a whole segment for every sync would be most of a simulation's time.
    for (const change of this.#changes) {
      if (change.kind === "write") {
        this.#stable = grown(this.#stable, change.offset + change.bytes.length);
        this.#stable.set(change.bytes, change.offset);
        this.#stableSizeBytes = Math.max(this.#stableSizeBytes, change.offset + change.bytes.length);
        continue;
      }
      if (change.sizeBytes < this.#stableSizeBytes)
        this.#stable.fill(0, change.sizeBytes, this.#stableSizeBytes);
      this.#stable = grown(this.#stable, change.sizeBytes);
      this.#stableSizeBytes = change.sizeBytes;
    }
    this.#changes = [];
  }

  /** A sync that failed: some sectors are on the device, the rest is gone from the cache too, and the next sync succeeds. */
  failSync(loss: PowerLoss, sectorSizeBytes: number): void {
    const left = this.afterPowerLoss(loss, sectorSizeBytes);
    this.#stable = left.#stable;
    this.#stableSizeBytes = left.#stableSizeBytes;
    this.#cached = left.#cached;
    this.#cachedSizeBytes = left.#cachedSizeBytes;
    this.#changes = [];
  }

  /** The file as the device has it when power returns. */
  afterPowerLoss(loss: PowerLoss, sectorSizeBytes: number): Inode {
    if (loss.survivors === "all")
      return new Inode(this.#cached.slice(0, this.#cachedSizeBytes), this.#blocks);
    const stable = this.#stable.slice(0, this.#stableSizeBytes);
    if (loss.survivors === "none" || this.#changes.length === 0) return new Inode(stable, this.#blocks);
    return new Inode(this.#randomSurvivors(loss, sectorSizeBytes), this.#blocks);
  }

  #randomSurvivors(loss: PowerLoss, sectorSizeBytes: number): Uint8Array {
    const { prng } = loss;
    // Metadata is journalled: sizes up to some change survive, later ones do not.
    let size = this.#stableSizeBytes;
    const kept = prng.between(0, this.#changes.length);
    for (const change of this.#changes.slice(0, kept)) {
      size = change.kind === "size" ? change.sizeBytes : Math.max(size, change.offset + change.bytes.length);
    }
    const content = new Uint8Array(size);
    content.set(this.#stable.subarray(0, Math.min(size, this.#stableSizeBytes)));
    for (let sector = 0; sector * sectorSizeBytes < size; sector++) {
      const start = sector * sectorSizeBytes;
      this.#survivorsOfSector(content, start, Math.min(size, start + sectorSizeBytes), loss);
    }
    return content;
  }

  /** Writes reach a sector in order, up to some write; a byte tear cuts the last of them. */
  #survivorsOfSector(content: Uint8Array, start: number, end: number, loss: PowerLoss): void {
    const touching = this.#changes.filter(
      (change) =>
        change.kind === "size" || (change.offset < end && change.offset + change.bytes.length > start),
    );
    if (touching.length === 0) return;
    const count = loss.prng.between(0, touching.length);
    for (let i = 0; i < count; i++) {
      const change = touching[i]!;
      if (change.kind === "size") {
        if (change.sizeBytes < end) content.fill(0, Math.max(start, change.sizeBytes), end);
        continue;
      }
      const from = Math.max(start, change.offset);
      let to = Math.min(end, change.offset + change.bytes.length);
      if (i === count - 1 && loss.tear === "byte") to = loss.prng.between(from, to);
      content.set(change.bytes.subarray(from - change.offset, to - change.offset), from);
    }
  }

  /** Changes the device behind everybody's back; what is cached changes too, as after a restart. */
  damage(action: (content: Uint8Array) => Uint8Array): void {
    const content = action(this.#cached.slice(0, this.#cachedSizeBytes));
    this.#stable = content;
    this.#stableSizeBytes = content.length;
    this.#cached = content.slice();
    this.#cachedSizeBytes = content.length;
    this.#changes = [];
  }

  content(): Uint8Array {
    return this.#cached.slice(0, this.#cachedSizeBytes);
  }
}

function grown(bytes: Uint8Array, sizeBytes: number): Uint8Array {
  if (sizeBytes <= bytes.length) return bytes;
  const larger = new Uint8Array(Math.max(sizeBytes, bytes.length * 2));
  larger.set(bytes);
  return larger;
}
