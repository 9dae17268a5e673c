// Entries from the files, for a peer that lags behind what memory keeps. Reads in pieces and checks the chain.

import { assert } from "../base/assert.ts";
import type { Disk, DiskFile } from "../base/ports.ts";
import type { EntryLocator } from "./locator.ts";
import { decodeEntry, EntryFields } from "./payload.ts";
import { FRAME_HEAD_BYTES, readUint32, RECORD_CRC, RECORD_ENTRY, RecordReader } from "./record.ts";
import type { LiveSegment } from "./segments.ts";
import { damaged } from "./wal-error.ts";

/** Takes an entry; the bytes are valid during the call. False: enough. */
// oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
export type EntrySink = (
  type: number,
  term: number,
  index: number,
  bytes: Uint8Array,
  start: number,
  end: number,
) => boolean;

export interface ReadEntriesOptions {
  readonly disk: Disk;
  readonly segments: readonly LiveSegment[];
  readonly locator: EntryLocator;
  readonly first: number;
  readonly last: number;
}

const PIECE_BYTES = 1024 * 1024;

/** Returns the index after the last entry that the sink took; 0 when the first one is not in the files any more. */
export function readEntries(options: ReadEntriesOptions, sink: EntrySink): number {
  const { locator, first, last } = options;
  let sample = locator.find(first);
  if (sample === -1) return 0;
  let wanted = first;
  while (wanted <= last && sample < locator.index.length) {
    const until = sample + 1 < locator.index.length ? locator.index[sample + 1]! : Infinity;
    const reached = readRun(options, { sample, wanted, until: Math.min(until, last + 1) }, sink);
    if (reached < 0) return -reached;
    wanted = reached;
    sample++;
  }
  return wanted;
}

interface Run {
  readonly sample: number;
  readonly wanted: number;
  readonly until: number;
}

/** The entries [wanted, until) behind one sample. Negative when the sink has enough. */
function readRun(options: ReadEntriesOptions, run: Run, sink: EntrySink): number {
  const { locator } = options;
  const sequence = locator.segment[run.sample]!;
  const segment = options.segments.find((candidate) => candidate.sequence === sequence);
  assert(segment !== undefined, "a sample names a segment that is kept");
  // A file that is open may be without a name at this moment.
  const file = segment.file ?? options.disk.open(segment.path, "log");
  const window = new Window(file, locator.offset[run.sample]!);
  const reader = new RecordReader();
  const entry = new EntryFields();
  let crc = locator.crcBefore[run.sample]!;
  let wanted = run.wanted;
  try {
    while (wanted < run.until) {
      window.ensureFrame();
      const kind = reader.read(window.bytes, window.position, window.end);
      const good =
        kind === "record" && reader.type !== RECORD_CRC && reader.chain(window.bytes, crc) === reader.crc;
      if (!good) throw damaged(segment.path, window.offset, "a record is damaged");
      crc = reader.crc;
      window.position = reader.next;
      if (reader.type !== RECORD_ENTRY) continue;
      if (!decodeEntry(window.bytes, reader.dataStart, reader.dataEnd, entry)) {
        throw damaged(segment.path, window.offset, "an entry cannot be read");
      }
      if (entry.index !== wanted) continue;
      wanted++;
      if (!sink(entry.type, entry.term, entry.index, window.bytes, entry.dataStart, entry.dataEnd))
        return -wanted;
    }
  } finally {
    if (file !== segment.file) file.close();
  }
  return wanted;
}

/** A part of a file that moves forward and holds at least the frame at `position`. */
class Window {
  bytes = new Uint8Array(PIECE_BYTES);
  position = 0;
  end = 0;
  readonly #file: DiskFile;
  /** File offset of `bytes[0]`. */
  #base: number;

  constructor(file: DiskFile, offset: number) {
    this.#file = file;
    this.#base = offset;
  }

  get offset(): number {
    return this.#base + this.position;
  }

  ensureFrame(): void {
    if (this.position + FRAME_HEAD_BYTES > this.end) this.#fill(FRAME_HEAD_BYTES);
    if (this.position + FRAME_HEAD_BYTES > this.end) return;
    const count = FRAME_HEAD_BYTES + readUint32(this.bytes, this.position) + 7;
    if (this.position + count > this.end) this.#fill(count);
  }

  #fill(count: number): void {
    const rest = this.end - this.position;
    const room = Math.min(count, this.#file.sizeBytes() - this.offset);
    let target = this.bytes;
    if (room > target.length) target = new Uint8Array(room);
    target.set(this.bytes.subarray(this.position, this.end), 0);
    this.#base += this.position;
    this.position = 0;
    this.bytes = target;
    this.end = rest + this.#file.read(target, rest, target.length, this.#base + rest);
  }
}
