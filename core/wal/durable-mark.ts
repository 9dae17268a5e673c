// The durable mark: a small file that says how far the log is known to be durable, and which segments belong to it.
//
// etcd's format proves a batch durable by the next one; nothing proves the last. The mark does, shortly after: it is
// written when the log has been idle for a moment, when a segment is opened or given up, and at a clean end, beside the log's own
// writes. Its two slots lie in different sectors and are written in turn, so that a torn write leaves the older one.
//
//   slot, at 0 and 4096:
//   0 "HFWM" | 4 version u32 1 | 8 counter u64 | 16 first segment u32 | 20 last segment u32 | 24 end offset u32 | 28 zero
//   32 batch sequence u64 | 40 last index u64 | 48 log id 2 x u32 | 56 zero | 60 CRC-32C of the bytes before

import type { Id64 } from "../base/ids.ts";
import { assert } from "../base/assert.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Disk, DiskError, DiskFile } from "../base/ports.ts";
import { readUint32, readUint53, writeUint32, writeUint53 } from "./record.ts";

const MAGIC = 0x4d574648;
const VERSION = 1;
const SLOT_STRIDE_BYTES = 4096;
const SLOT_BYTES = 64;
/** In `lastSegment`: the log is being created and has no segment yet. */
export const NO_SEGMENT = 0xffffffff;

export interface DurableMark {
  readonly counter: number;
  /** Segments below this one are given up, whether or not their names are gone. */
  readonly firstSegment: number;
  readonly lastSegment: number;
  /** In the last segment: everything before this offset is durable. */
  readonly endOffset: number;
  readonly batchSequence: number;
  readonly lastIndex: number;
  readonly logIdHi: number;
  readonly logIdLo: number;
}

/** The newest slot that can be read; `undefined` when none can. */
export function readMark(file: DiskFile): DurableMark | undefined {
  const bytes = new Uint8Array(2 * SLOT_STRIDE_BYTES);
  const count = file.read(bytes, 0, bytes.length, 0);
  const first = decodeSlot(bytes, 0, count);
  const second = decodeSlot(bytes, SLOT_STRIDE_BYTES, count);
  if (first === undefined || second === undefined) return first ?? second;
  return first.counter > second.counter ? first : second;
}

function decodeSlot(bytes: Uint8Array, at: number, count: number): DurableMark | undefined {
  if (at + SLOT_BYTES > count) return undefined;
  if (readUint32(bytes, at) !== MAGIC || readUint32(bytes, at + 4) !== VERSION) return undefined;
  if (readUint32(bytes, at + 60) !== crc32c(bytes, at, at + 60)) return undefined;
  const mark: DurableMark = {
    counter: readUint53(bytes, at + 8),
    firstSegment: readUint32(bytes, at + 16),
    lastSegment: readUint32(bytes, at + 20),
    endOffset: readUint32(bytes, at + 24),
    batchSequence: readUint53(bytes, at + 32),
    lastIndex: readUint53(bytes, at + 40),
    logIdHi: readUint32(bytes, at + 48),
    logIdLo: readUint32(bytes, at + 52),
  };
  // Slots are written in turn: one in the wrong place is a misdirected write.
  return (mark.counter & 1) * SLOT_STRIDE_BYTES === at ? mark : undefined;
}

export type MarkChange = Partial<Omit<DurableMark, "counter">>;

/** Keeps the mark. Its file stays open, so that a mark needs no free space. One is written at a time: the other slot is good then. */
export class MarkWriter {
  readonly #file: DiskFile;
  readonly #block: Uint8Array;
  readonly #onError: (error: DiskError) => void;
  /** What was asked for last; its counter is the one last written. */
  #mark: DurableMark;
  #isWriting = false;
  /** While one is being written: another was asked for. */
  #isBehind = false;
  #isClosing = false;
  /** Who waits for the mark being written, and for the next. */
  #flying: (() => void)[] = [];
  #waiting: (() => void)[] = [];

  constructor(options: {
    disk: Disk;
    file: DiskFile;
    mark: DurableMark;
    onError: (error: DiskError) => void;
  }) {
    this.#file = options.file;
    this.#block = options.disk.allocate(SLOT_STRIDE_BYTES);
    this.#mark = options.mark;
    this.#onError = options.onError;
  }

  /** Makes a file with room for both slots, so that later writes change no metadata. */
  static createFile(disk: Disk, path: string): DiskFile {
    const file = disk.create(path, "side");
    file.write(new Uint8Array(2 * SLOT_STRIDE_BYTES), 0, 2 * SLOT_STRIDE_BYTES, 0);
    file.sync();
    return file;
  }

  /** What the mark says, or is about to. */
  get endOffset(): number {
    return this.#mark.endOffset;
  }

  /** Durable when it returns. Nothing may be under way. */
  write(change: MarkChange): void {
    assert(!this.#isWriting, "marks are written one after the other");
    this.#mark = { ...this.#mark, ...change };
    this.#file.write(this.#block, 0, SLOT_STRIDE_BYTES, this.#encodeNext());
    this.#file.sync();
  }

  /** In the background; `done` is called when this mark or a later one is durable. */
  writeLater(change: MarkChange, done?: () => void): void {
    assert(!this.#isClosing, "nothing is asked of a closed mark");
    this.#mark = { ...this.#mark, ...change };
    if (done !== undefined) this.#waiting.push(done);
    if (this.#isWriting) this.#isBehind = true;
    else this.#launch();
  }

  /** With a last mark, if that is wanted; behind what is under way. */
  close(change: MarkChange | undefined): void {
    assert(!this.#isClosing, "a mark is closed once");
    if (!this.#isWriting) {
      if (change !== undefined) this.write(change);
      this.#file.close();
    } else if (change !== undefined) this.writeLater(change);
    this.#isClosing = true;
  }

  #launch(): void {
    const flying = this.#flying;
    this.#flying = this.#waiting;
    this.#waiting = flying;
    this.#isWriting = true;
    this.#isBehind = false;
    const offset = this.#encodeNext();
    this.#file.writeAndSync(this.#block, 0, SLOT_STRIDE_BYTES, offset, (error) => this.#onWritten(error));
  }

  #onWritten(error: DiskError | undefined): void {
    this.#isWriting = false;
    const callers = this.#flying;
    this.#flying = [];
    if (error !== undefined) {
      // Nothing is written after an error, and nobody hears that anything were durable.
      if (this.#isClosing) this.#file.close();
      this.#onError(error);
      return;
    }
    if (this.#isBehind) this.#launch();
    else if (this.#isClosing) this.#file.close();
    for (const done of callers) done();
  }

  /** Encodes the newest mark for the slot that does not hold the one before; returns that slot's offset. */
  #encodeNext(): number {
    this.#mark = { ...this.#mark, counter: this.#mark.counter + 1 };
    this.#encode(this.#mark);
    return (this.#mark.counter & 1) * SLOT_STRIDE_BYTES;
  }

  #encode(mark: DurableMark): void {
    assert(mark.endOffset % 8 === 0, "a log ends where a frame may start");
    const bytes = this.#block;
    writeUint32(bytes, 0, MAGIC);
    writeUint32(bytes, 4, VERSION);
    writeUint53(bytes, 8, mark.counter);
    writeUint32(bytes, 16, mark.firstSegment);
    writeUint32(bytes, 20, mark.lastSegment);
    writeUint32(bytes, 24, mark.endOffset);
    writeUint32(bytes, 28, 0);
    writeUint53(bytes, 32, mark.batchSequence);
    writeUint53(bytes, 40, mark.lastIndex);
    writeUint32(bytes, 48, mark.logIdHi);
    writeUint32(bytes, 52, mark.logIdLo);
    writeUint32(bytes, 56, 0);
    writeUint32(bytes, 60, crc32c(bytes, 0, 60));
  }
}

/** Of a log that is being created. */
export function emptyMark(logId: Id64): DurableMark {
  return {
    counter: -1,
    firstSegment: 0,
    lastSegment: NO_SEGMENT,
    endOffset: 0,
    batchSequence: 0,
    lastIndex: 0,
    logIdHi: logId.hi,
    logIdLo: logId.lo,
  };
}
