// The segments of a log in use, and where new ones come from. With a spare at hand nothing is waited for: the head is written
// into it (one durable write, by the log), and the name follows in the background. Until then the file stays open.

import { assert } from "../base/assert.ts";
import type { Disk, DiskError, DiskFile } from "../base/ports.ts";
import { makeSegment, type Segment } from "./segment.ts";
import type { Spare, Spares } from "./spares.ts";
import { asDiskError } from "./wal-error.ts";

export interface LiveSegment {
  readonly sequence: number;
  readonly firstIndex: number;
  /** Its name as it is, or as it will be. */
  readonly path: string;
  /** Open while it is the last one or has not its name. */
  file: DiskFile | undefined;
  isNamed: boolean;
}

export interface SegmentsOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly spares: Spares;
  readonly onError: (error: DiskError) => void;
}

export class Segments {
  readonly #options: SegmentsOptions;
  readonly #disk: Disk;
  readonly #list: LiveSegment[] = [];
  /** Of the last segment, until it is named: its path before. */
  #pathBefore = "";
  #isFromSpare = false;
  #isClosed = false;

  constructor(options: SegmentsOptions) {
    this.#options = options;
    this.#disk = options.disk;
  }

  get list(): readonly LiveSegment[] {
    return this.#list;
  }

  get last(): LiveSegment | undefined {
    return this.#list[this.#list.length - 1];
  }

  /** Its blocks were all written before: nothing has to be allocated. */
  get isFromSpare(): boolean {
    return this.#isFromSpare;
  }

  /** Takes over recovered segments and finishes their names; the caller syncs the directory before anything else. */
  adopt(recovered: readonly Segment[]): void {
    for (const { sequence, firstIndex, path } of recovered) {
      const segment = makeSegment(this.#options.directory, sequence, firstIndex);
      if (segment.path !== path) this.#disk.rename(path, segment.path);
      this.#list.push({ ...segment, file: undefined, isNamed: true });
    }
    const last = this.last!;
    last.file = this.#disk.open(last.path, "log");
  }

  /**
   * A file for the next segment, to write the head to: a spare; or a new one, whose first `neededBytes` are allocated and zero;
   * or, when the disk is full, the reserve; `undefined`, and nothing has changed, when that is too small.
   */
  open(sizeBytes: number, neededBytes: number, firstIndex: number): DiskFile | undefined {
    const before = this.last;
    this.#isFromSpare = true;
    const found = this.#options.spares.take(sizeBytes) ?? this.#create(sizeBytes, neededBytes);
    if (found === undefined) return undefined;
    const { path, file } = found;
    this.#pathBefore = path;
    const sequence = before === undefined ? 0 : before.sequence + 1;
    this.#list.push({
      ...makeSegment(this.#options.directory, sequence, firstIndex),
      file,
      isNamed: false,
    });
    if (before?.isNamed === true) closeFile(before);
    return file;
  }

  #create(sizeBytes: number, neededBytes: number): Spare | undefined {
    const { spares } = this.#options;
    const path = spares.freshPath();
    this.#isFromSpare = false;
    let file: DiskFile | undefined;
    try {
      file = this.#disk.create(path, "log");
      file.truncate(sizeBytes);
      file.write(this.#disk.allocate(neededBytes), 0, neededBytes, 0);
      file.sync();
      return { path, file };
    } catch (error) {
      if (asDiskError(error).code !== "ENOSPC") throw error;
      if (file !== undefined) {
        file.close();
        this.#disk.remove(path);
      }
      this.#isFromSpare = true;
      return spares.takeReserve(neededBytes);
    }
  }

  /**
   * The head is durable: gives the last segment its name. A spare's name and content are durable, so that recovery knows what was
   * written under it; a new file has nothing before its name is durable.
   */
  name(): void {
    const segment = this.last!;
    assert(!segment.isNamed, "a segment is named once");
    const { directory } = this.#options;
    if (!this.#isFromSpare) {
      this.#disk.rename(this.#pathBefore, segment.path);
      this.#disk.syncDirectory(directory);
      segment.isNamed = true;
      return;
    }
    const change = { kind: "rename", from: this.#pathBefore, to: segment.path } as const;
    this.#disk.changeNames(directory, [change], (error) => {
      if (error !== undefined) {
        this.#options.onError(error);
        return;
      }
      segment.isNamed = true;
      if (segment !== this.last || this.#isClosed) closeFile(segment);
    });
  }

  /** How many from the first on hold nothing from `index` on, and have their names. */
  countBefore(index: number): number {
    let count = 0;
    while (count + 1 < this.#list.length) {
      if (!this.#list[count]!.isNamed || this.#list[count + 1]!.firstIndex > index) break;
      count++;
    }
    return count;
  }

  /** Forgets the first ones; returns their paths. */
  drop(count: number): string[] {
    return this.#list.splice(0, count).map((segment) => segment.path);
  }

  /** Nothing is being written. A file without its name is closed when it has it. */
  close(): void {
    this.#isClosed = true;
    for (const segment of this.#list) if (segment.isNamed) closeFile(segment);
  }
}

function closeFile(segment: LiveSegment): void {
  segment.file?.close();
  segment.file = undefined;
}
