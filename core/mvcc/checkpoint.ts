// Takes a checkpoint (design D3; form: checkpoint-format.ts) while the store goes on. What it holds is fixed when it
// begins: a revision, and how far each segment is filled. Records are immutable and compaction waits, so the rest can be
// read later, in slices:
//
//   left over   what an attempt that failed has written of segments that are gone since
//   segments    what the files do not have yet, in pieces of at most 1 MiB, each durable before the next
//   manifest    survivors, revisions, keys in order, into "manifest.new"
//   rename      directory synced, manifest renamed, directory synced again: from here on it is the checkpoint
//   remove      files that it does not name, one by one
//
// A crash before the rename leaves the previous checkpoint, whose files are untouched: segments only grow.

import { assert } from "../base/assert.ts";
import type { Disk, DiskError, DiskFile } from "../base/ports.ts";
import { DiskError as DiskFailure } from "../base/ports.ts";
import {
  MANIFEST_MAGIC,
  MANIFEST_NAME,
  MANIFEST_NEW_NAME,
  MANIFEST_VERSION,
  PIECE_SIZE_BYTES,
  WRITE_SIZE_BYTES,
  isOurName,
  segmentName,
  segmentNumber,
} from "./checkpoint-format.ts";
import { ID_MASK } from "./key-tree.ts";
import { ManifestWriter } from "./manifest-writer.ts";
import type { Segment } from "./slabs.ts";
import type { Store } from "./store.ts";

export interface CheckpointOptions {
  readonly disk: Disk;
  /** Exists, and holds nothing but checkpoints. */
  readonly directory: string;
  /** What the owner keeps with the store: applied index and term, leases, members, alarms. Kept until the end. */
  readonly extra: Uint8Array;
  /** Called once, from a slice or from the disk; with an error the previous checkpoint stands. */
  readonly done: (error: DiskError | undefined) => void;
  /** Called when the disk is done and slices would go on. */
  readonly wake: () => void;
}

type Phase =
  | "left over"
  | "segments"
  | "head"
  | "parts"
  | "survivors"
  | "keys"
  | "last"
  | "rename"
  | "remove"
  | "ended";

/** Entries of segments, with some 500 checksums each. */
const PARTS_PER_SLICE = 20;
/** A number in a list costs much less than a record that is read. */
const NUMBERS_PER_RECORD = 8;

/** A segment as it is when the checkpoint begins. */
interface Part {
  readonly segment: Segment;
  readonly usedBytes: number;
  readonly lastRevision: number;
  readonly nextSlot: number;
}

export class Checkpoint {
  readonly #store: Store;
  readonly #options: CheckpointOptions;
  readonly #parts: Part[] = [];
  readonly revision: number;
  readonly #compactedRevision: number;
  readonly #idCount: number;
  readonly #nextNumber: number;
  readonly #mainSlot: number;
  readonly #oldSlot: number;
  #phase: Phase = "left over";
  #isWaiting = false;
  /** In segments: the part to go on with, its file, and the bytes that are written. */
  #partIndex = 0;
  #file: DiskFile | undefined;
  #piece = new Uint8Array(0);
  #manifest: ManifestWriter | undefined;
  /** In the lists: the next entry; among the keys, the last one that was written. */
  #index = 0;
  #keyId = -1;
  #writtenBytes = 0;
  /** Files to be removed. */
  #unnamed: string[];

  constructor(store: Store, options: CheckpointOptions) {
    this.#store = store;
    this.#options = options;
    this.revision = store.revision;
    this.#compactedRevision = store.compactedRevision;
    this.#idCount = store.keys.idCount;
    store.keys.remember();
    const { slabs } = store;
    for (const segment of slabs.segments) {
      if (segment === undefined || segment.kind === "copies") continue;
      const { usedBytes, lastRevision, nextSlot } = segment;
      this.#parts.push({ segment, usedBytes, lastRevision, nextSlot });
    }
    this.#nextNumber = slabs.nextNumber;
    this.#unnamed = this.#leftOver();
    this.#mainSlot = slabs.main?.slot ?? -1;
    this.#oldSlot = slabs.old?.slot ?? -1;
  }

  /** It waits for the disk; slices do nothing until then. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Bytes of segments and manifest that were written. */
  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Does a part that takes about as long as looking at so many records; true while there is more to do. */
  slice(recordCount: number): boolean {
    if (this.#isWaiting || this.#phase === "ended") return this.#phase !== "ended";
    try {
      this.#step(recordCount);
    } catch (error) {
      // Once it is the checkpoint, no error undoes that; a disk that does not remove files is for the member to end by.
      if (!(error instanceof DiskFailure) || (this.#phase as Phase) === "remove") throw error;
      this.#end(error);
    }
    return (this.#phase as Phase) !== "ended";
  }

  #step(recordCount: number): void {
    switch (this.#phase) {
      case "left over":
        return this.#remove("segments");
      case "segments":
        return this.#writePiece();
      case "head":
        return this.#writeHead();
      case "parts":
        return this.#writeParts();
      case "survivors":
        return this.#writeSurvivors(recordCount * NUMBERS_PER_RECORD);
      case "keys":
        return this.#writeKeys(recordCount * NUMBERS_PER_RECORD);
      case "last":
        return this.#writeLast();
      case "rename":
        return this.#rename();
      case "remove":
        return this.#remove("ended");
      case "ended":
        return undefined;
    }
  }

  // ---- segments

  #writePiece(): void {
    const part = this.#parts[this.#partIndex];
    if (part === undefined) {
      this.#phase = "head";
      return;
    }
    const { segment, usedBytes } = part;
    const start = segment.persistedBytes;
    if (start >= usedBytes) {
      this.#partIndex++;
      return this.#closeFile();
    }
    const end = Math.min(usedBytes, start + WRITE_SIZE_BYTES);
    // A copy: marks in the segment may change while the disk reads.
    if (this.#piece.length === 0) this.#piece = new Uint8Array(WRITE_SIZE_BYTES);
    this.#piece.set(segment.bytes.subarray(start, end));
    const pieces = this.#checkedPieces(end - start, start);
    this.#file ??= this.#openFile(segment);
    this.#isWaiting = true;
    this.#file.writeAndSync(this.#piece, 0, end - start, start, (error) => {
      if (error === undefined) {
        segment.pieces.push(...pieces);
        segment.persistedBytes = end;
        this.#writtenBytes += end - start;
      }
      this.#resume(error);
    });
  }

  /** Ends, in the segment, and checksums of the pieces of what is written next: `sizeBytes` bytes, from `offset` on. */
  #checkedPieces(sizeBytes: number, offset: number): number[] {
    const { checksum } = this.#options.disk;
    const pieces: number[] = [];
    for (let start = 0; start < sizeBytes; start += PIECE_SIZE_BYTES) {
      const end = Math.min(sizeBytes, start + PIECE_SIZE_BYTES);
      pieces.push(offset + end, checksum(this.#piece, start, end));
    }
    return pieces;
  }

  #openFile(segment: Segment): DiskFile {
    const { disk } = this.#options;
    const path = this.#pathOf(segmentName(segment.number));
    if (segment.persistedBytes > 0) return disk.open(path, "bulk");
    // Left over from a checkpoint that was not finished.
    if (disk.exists(path)) disk.remove(path);
    return disk.create(path, "bulk");
  }

  #closeFile(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #pathOf(name: string): string {
    return `${this.#options.directory}/${name}`;
  }

  // ---- manifest

  #writeHead(): void {
    this.#piece = new Uint8Array(0);
    const { disk, extra } = this.#options;
    const path = this.#pathOf(MANIFEST_NEW_NAME);
    if (disk.exists(path)) disk.remove(path);
    this.#file = disk.create(path, "bulk");
    const manifest = (this.#manifest = new ManifestWriter(this.#file, disk.checksum, (error) =>
      this.#resume(error),
    ));
    const store = this.#store;
    for (const value of [
      MANIFEST_MAGIC,
      MANIFEST_VERSION,
      this.revision,
      this.#compactedRevision + 1,
      store.revisions.base,
      store.slabs.unitShift,
      this.#idCount,
      this.#nextNumber,
      this.#mainSlot + 1,
      this.#oldSlot + 1,
      extra.length,
    ]) {
      manifest.varint(value);
    }
    manifest.raw(extra);
    manifest.varint(this.#parts.length);
    this.#index = 0;
    this.#phase = "parts";
  }

  #writeParts(): void {
    const manifest = this.#manifest!;
    for (let left = PARTS_PER_SLICE; left > 0 && this.#index < this.#parts.length && !manifest.isFull; left--)
      this.#writePart(manifest, this.#parts[this.#index++]!);
    if (this.#index === this.#parts.length) {
      const { survivors, survivorsDead } = this.#store.revisions;
      manifest.varint(survivors.length - survivorsDead);
      manifest.beginDifferences();
      this.#index = 0;
      this.#phase = "survivors";
    }
    this.#flush();
  }

  #writePart(manifest: ManifestWriter, part: Part): void {
    const { segment } = part;
    assert(segment.persistedBytes === part.usedBytes, "a segment is durable before the manifest names it");
    manifest.varint(segment.slot);
    manifest.varint(segment.number);
    manifest.varint(segment.capacityBytes);
    manifest.varint(part.usedBytes);
    manifest.varint(segment.kind === "old" ? 1 : 0);
    manifest.varint(part.lastRevision);
    manifest.varint(part.nextSlot + 1);
    manifest.varint(segment.pieces.length / 2);
    for (const value of segment.pieces) manifest.varint(value);
  }

  #writeSurvivors(budget: number): void {
    const manifest = this.#manifest!;
    const { survivors } = this.#store.revisions;
    for (let left = budget; left > 0 && this.#index < survivors.length && !manifest.isFull; left--) {
      const ref = survivors.get(this.#index++);
      if (!this.#store.isDead(ref)) manifest.difference(ref);
    }
    if (this.#index === survivors.length) {
      const { base } = this.#store.revisions;
      manifest.varint(base > this.revision ? 0 : this.#store.revisions.first(base));
      manifest.beginDifferences();
      this.#phase = "keys";
    }
    this.#flush();
  }

  /** Ids in key order. Keys that came after the beginning are left out; none can go, since compaction waits. */
  #writeKeys(budget: number): void {
    const manifest = this.#manifest!;
    const { tree, keys } = this.#store;
    if (this.#keyId < 0) tree.seekFirst();
    else {
      const ref = keys.newest.get(this.#keyId);
      const start = keys.keyStartOf(ref);
      tree.seek(keys.bytesOf(ref), start, start + keys.keySizeOf(ref));
      assert(tree.found, "a key does not go while a checkpoint is taken");
      tree.position++;
    }
    let { leaf, position } = tree;
    for (let left = budget; left > 0 && !manifest.isFull;) {
      if (position === tree.countOf(leaf)) {
        leaf = tree.nextOf(leaf);
        position = 0;
        if (leaf !== 0) continue;
        this.#phase = "last";
        break;
      }
      const id = tree.entryOf(leaf, position++) & ID_MASK;
      this.#keyId = id;
      left--;
      if (keys.wasThere(id)) manifest.difference(id);
    }
    this.#flush();
  }

  #flush(): void {
    const manifest = this.#manifest!;
    manifest.flush(false);
    this.#isWaiting = manifest.isFull;
  }

  #writeLast(): void {
    const manifest = this.#manifest!;
    this.#isWaiting = true;
    if (manifest.isWriting) return; // the block before; resumed when it is durable
    this.#phase = "rename";
    manifest.flush(true);
  }

  #rename(): void {
    const { disk, directory } = this.#options;
    this.#writtenBytes += this.#file!.sizeBytes();
    this.#closeFile();
    // The names of new segments first: the manifest must not be durable without them.
    disk.syncDirectory(directory);
    disk.rename(this.#pathOf(MANIFEST_NEW_NAME), this.#pathOf(MANIFEST_NAME));
    disk.syncDirectory(directory);
    for (const { segment, usedBytes } of this.#parts) segment.coveredBytes = usedBytes;
    this.#store.slabs.uncoveredNumber = this.#nextNumber;
    this.#store.slabs.abandonedBytes = 0;
    const named = new Set(this.#parts.map((part) => segmentName(part.segment.number)));
    this.#unnamed = disk.list(directory).filter((name) => isOurName(name) && !named.has(name));
    this.#phase = "remove";
    this.#store.keys.forget();
    this.#options.done(undefined);
  }

  /** On a full disk they would keep the room that the next attempt needs. */
  #leftOver(): string[] {
    const { disk, directory } = this.#options;
    const { segments, uncoveredNumber } = this.#store.slabs;
    const kept = new Set(segments.map((segment) => segment?.number));
    return disk.list(directory).filter((name) => {
      const number = segmentNumber(name);
      return number >= uncoveredNumber && !kept.has(number);
    });
  }

  /** One file at a time: giving megabytes back takes a file system a while. */
  #remove(next: Phase): void {
    const name = this.#unnamed.pop();
    if (name === undefined) this.#phase = next;
    else this.#options.disk.remove(this.#pathOf(name));
  }

  /** The disk has ended an operation. */
  #resume(error: DiskError | undefined): void {
    if (this.#phase === "ended") return;
    this.#isWaiting = false;
    if (error !== undefined) this.#end(error);
    this.#options.wake();
  }

  #end(error: DiskError | undefined): void {
    this.#phase = "ended";
    this.#isWaiting = false;
    this.#closeFile();
    this.#store.keys.forget();
    this.#options.done(error);
  }
}
