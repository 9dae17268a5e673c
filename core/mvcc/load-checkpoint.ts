// Reads a checkpoint back (form: checkpoint-format.ts). All of it is verified before anything is believed; damage is
// refused with the file and the place, never passed over.

import type { Disk } from "../base/ports.ts";
import {
  BLOCK_HEAD_BYTES,
  BLOCK_LAST,
  BLOCK_MORE,
  CheckpointError,
  MANIFEST_MAGIC,
  MANIFEST_NAME,
  MANIFEST_VERSION,
  blockCrc,
  damagedCheckpoint,
  isOurName,
  segmentName,
} from "./checkpoint-format.ts";
import { NumberList } from "./column.ts";
import { crc32cWords } from "./crc32c-words.ts";
import { DELETED_BIT } from "./key-tree.ts";
import type { RecordRef } from "./record.ts";
import {
  FLAG_DEAD,
  FLAG_TOMBSTONE,
  WORD_KEY_ID,
  WORD_KEY_SIZE,
  WORD_PREVIOUS,
  modRevisionAt,
  recordSizeBytesAt,
} from "./record.ts";
import { SEGMENT_HEAD_BYTES, SEGMENT_MAGIC, SEGMENT_VERSION, Segment } from "./slabs.ts";
import { Store } from "./store.ts";

export interface LoadOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly hashSeed: number;
}

export interface LoadedCheckpoint {
  readonly store: Store;
  readonly extra: Uint8Array;
}

/** The checkpoint in a directory, `undefined` when there is none; throws CheckpointError for one that is damaged. */
export function loadCheckpoint(options: LoadOptions): LoadedCheckpoint | undefined {
  const { disk, directory } = options;
  const path = `${directory}/${MANIFEST_NAME}`;
  if (!disk.exists(path)) {
    // A first checkpoint that was not finished leaves segments; nothing else does, since its rename comes last.
    removeUnnamed(options, new Set());
    return undefined;
  }
  const stream = readManifest(disk, path);
  const reader = new StreamReader(stream, path);
  const head = readHead(reader, path);
  const store = new Store({ segmentSizeBytes: 8 << head.unitShift, hashSeed: options.hashSeed });
  const names = new Set<string>();
  for (let left = reader.varint(); left > 0; left--) names.add(readSegment(options, store, reader));
  store.slabs.nextNumber = head.nextNumber;
  store.slabs.resume(head.mainSlot, head.oldSlot);
  store.revision = head.revision;
  store.compactedRevision = head.compactedRevision;
  store.revisions.base = head.base;
  store.revisions.survivors = reader.differences(reader.varint());
  const firsts = reader.differences(reader.varint());
  for (let i = 0; i < firsts.length; i++) store.revisions.firsts.push(firsts.get(i));
  store.keys.idCount = head.idCount;
  store.keys.newest.reserve(head.idCount);
  store.keys.leaseSlot.reserve(head.idCount);
  const order = indexRecords(store, reader);
  store.tree.build(order.length, (index) => {
    const id = order.ids.get(index);
    return order.isDeleted[id] === 1 ? (id | DELETED_BIT) >>> 0 : id;
  });
  store.keys.restoreIds(head.idCount);
  removeUnnamed(options, names);
  return { store, extra: head.extra };
}

interface Head {
  readonly revision: number;
  readonly compactedRevision: number;
  readonly base: number;
  readonly unitShift: number;
  readonly idCount: number;
  readonly nextNumber: number;
  readonly mainSlot: number;
  readonly oldSlot: number;
  readonly extra: Uint8Array;
}

function readHead(reader: StreamReader, file: string): Head {
  if (reader.varint() !== MANIFEST_MAGIC)
    throw damagedCheckpoint(file, 0, "the manifest does not begin as one");
  const version = reader.varint();
  if (version !== MANIFEST_VERSION) {
    const text = `Cannot load checkpoint: its format is version ${version}, this program reads version ${MANIFEST_VERSION}`;
    throw new CheckpointError("unusable", { file, offset: 0 }, text);
  }
  const revision = reader.varint();
  const compactedRevision = reader.varint() - 1;
  const base = reader.varint();
  const unitShift = reader.varint();
  const idCount = reader.varint();
  const nextNumber = reader.varint();
  const mainSlot = reader.varint() - 1;
  const oldSlot = reader.varint() - 1;
  const extra = reader.bytes(reader.varint());
  return { revision, compactedRevision, base, unitShift, idCount, nextNumber, mainSlot, oldSlot, extra };
}

/** The manifest's stream, out of its verified blocks. */
function readManifest(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path, "bulk");
  try {
    const size = file.sizeBytes();
    const bytes = new Uint8Array(size);
    if (file.read(bytes, 0, size, 0) !== size)
      throw damagedCheckpoint(path, 0, "the manifest cannot be read whole");
    const view = new DataView(bytes.buffer);
    let position = 0;
    let length = 0;
    for (let number = 0; ; number++) {
      if (size - position < BLOCK_HEAD_BYTES)
        throw damagedCheckpoint(path, position, "the manifest is cut off");
      const kind = view.getUint32(position, true);
      const blockSize = view.getUint32(position + 4, true);
      const start = position + BLOCK_HEAD_BYTES;
      const isPossible = (kind === BLOCK_MORE || kind === BLOCK_LAST) && blockSize <= size - start;
      const crc = view.getUint32(position + 8, true);
      if (!isPossible || blockCrc({ kind, number }, bytes, start, start + blockSize) !== crc) {
        throw damagedCheckpoint(path, position, "a block of the manifest does not match its checksum");
      }
      // Payloads move together, over the heads that were read.
      bytes.copyWithin(length, start, start + blockSize);
      length += blockSize;
      position = start + blockSize;
      if (kind === BLOCK_MORE) continue;
      if (position !== size)
        throw damagedCheckpoint(path, position, "something follows the end of the manifest");
      return bytes.subarray(0, length);
    }
  } finally {
    file.close();
  }
}

/** Reads one segment's entry and file; returns the file's name. */
function readSegment(options: LoadOptions, store: Store, reader: StreamReader): string {
  const slot = reader.varint();
  const number = reader.varint();
  const capacity = reader.varint();
  const usedBytes = reader.varint();
  const isOld = reader.varint() === 1;
  const lastRevision = reader.varint();
  const nextSlot = reader.varint() - 1;
  const segment = new Segment(slot, number, capacity, isOld);
  segment.usedBytes = segment.persistedBytes = usedBytes;
  segment.lastRevision = lastRevision;
  segment.nextSlot = nextSlot;
  for (let left = reader.varint(); left > 0; left--) segment.pieces.push(reader.varint(), reader.varint());
  const name = segmentName(number);
  readSegmentFile(options, segment, `${options.directory}/${name}`);
  store.slabs.restore(segment);
  return name;
}

function readSegmentFile(options: LoadOptions, segment: Segment, path: string): void {
  const { disk } = options;
  if (!disk.exists(path)) throw damagedCheckpoint(path, 0, "a segment's file is missing");
  const file = disk.open(path, "bulk");
  try {
    let start = 0;
    for (let i = 0; i < segment.pieces.length; i += 2) {
      const end = segment.pieces[i]!;
      // Piece by piece, so that its checksum is computed while it is in the cache.
      const count = file.read(segment.bytes, start, end, start);
      if (count !== end - start)
        throw damagedCheckpoint(path, start + count, "a segment's file is too short");
      if (crc32cWords(segment.bytes, segment.words, start, end) !== segment.pieces[i + 1]) {
        throw damagedCheckpoint(
          path,
          start,
          `bytes ${start} to ${end} of a segment do not match their checksum`,
        );
      }
      start = end;
    }
    const isWhole = start === segment.usedBytes && segment.words[0] === SEGMENT_MAGIC;
    if (!isWhole || segment.words[1] !== SEGMENT_VERSION || segment.words[2] !== segment.number >>> 0) {
      throw damagedCheckpoint(path, 0, "a segment's file is not the one that the manifest names");
    }
  } finally {
    file.close();
  }
}

interface KeyOrder {
  readonly ids: NumberList;
  readonly length: number;
  /** By key id: 1 if the newest record is a tombstone. */
  readonly isDeleted: Uint8Array;
}

/**
 * Makes what is not trusted from disk, in one walk over the records in the order in which they lie in memory: which live,
 * their links, the newest of each key, the sums; and the table, because a key's bytes are at hand at its first record.
 */
function indexRecords(store: Store, reader: StreamReader): KeyOrder {
  const { slabs, revisions } = store;
  const ids = reader.differences(reader.rest());
  store.table.reserve(ids.length);
  const isDeleted = new Uint8Array(store.keys.idCount);
  for (const segment of slabs.segments) if (segment !== undefined) markDead(segment, revisions.base);
  for (let i = 0; i < revisions.survivors.length; i++) link(store, revisions.survivors.get(i), isDeleted);
  let ref: RecordRef = 0;
  for (let revision = revisions.base; ref === 0 && revision < revisions.next; revision++)
    ref = revisions.first(revision);
  for (; ref !== 0; ref = slabs.following(ref, recordSizeBytesAt(store.wordsOf(ref), slabs.wordOf(ref)))) {
    const previous = link(store, ref, isDeleted);
    // At the base itself, what a later operation of the same transaction replaced is not needed any more.
    if (previous === 0 || store.compactedRevision < revisions.base) continue;
    if (store.modRevisionOf(ref) > revisions.base) continue;
    store.kill(previous);
    store.wordsOf(ref)[slabs.wordOf(ref) + WORD_PREVIOUS] = 0;
  }
  return { ids, length: ids.length, isDeleted };
}

/** Marks every record below the base; survivors are called back to life afterwards. */
function markDead(segment: Segment, base: number): void {
  const { words } = segment;
  for (let offset = SEGMENT_HEAD_BYTES; offset < segment.usedBytes;) {
    const at = offset >>> 2;
    if (modRevisionAt(words, at) >= base) return;
    words[at + WORD_KEY_SIZE]! |= FLAG_DEAD;
    offset += recordSizeBytesAt(words, at);
  }
}

/** Makes a record the newest of its key; returns the one that was. */
function link(store: Store, ref: RecordRef, isDeleted: Uint8Array): RecordRef {
  const { slabs, keys } = store;
  const words = store.wordsOf(ref);
  const at = slabs.wordOf(ref);
  const id = words[at + WORD_KEY_ID]!;
  const previous = keys.newest.get(id);
  const flags = words[at + WORD_KEY_SIZE]! & ~FLAG_DEAD;
  words[at + WORD_KEY_SIZE] = flags;
  words[at + WORD_PREVIOUS] = previous;
  keys.newest.set(id, ref);
  isDeleted[id] = (flags & FLAG_TOMBSTONE) === 0 ? 0 : 1;
  const size = recordSizeBytesAt(words, at);
  slabs.segments[slabs.slotOf(ref)]!.liveBytes += size;
  slabs.liveBytes += size;
  if (previous === 0) {
    const start = keys.keyStartOf(ref);
    store.table.insert(keys.hash(keys.bytesOf(ref), start, start + keys.keySizeOf(ref)), id);
  }
  return previous;
}

/** Removes what unfinished checkpoints left. */
function removeUnnamed(options: LoadOptions, names: ReadonlySet<string>): void {
  const { disk, directory } = options;
  for (const name of disk.list(directory)) {
    if (isOurName(name) && !names.has(name)) disk.remove(`${directory}/${name}`);
  }
}

/** Reads the stream of varints. Its checksums hold, so running past its end is our mistake of an earlier time. */
class StreamReader {
  readonly #bytes: Uint8Array;
  readonly #file: string;
  #position = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#file = file;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 53; scale *= 128) {
      if (this.#position === this.#bytes.length) break;
      const byte = this.#bytes[this.#position++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw damagedCheckpoint(this.#file, 0, "the manifest's contents end too early");
  }

  bytes(size: number): Uint8Array {
    if (size > this.#bytes.length - this.#position)
      throw damagedCheckpoint(this.#file, 0, "the manifest's contents end too early");
    this.#position += size;
    return this.#bytes.slice(this.#position - size, this.#position);
  }

  differences(count: number): NumberList {
    const list = new NumberList();
    let value = 0;
    for (let left = count; left > 0; left--) {
      const code = this.varint();
      value += code % 2 === 1 ? -(code + 1) / 2 : code / 2;
      list.push(value);
    }
    return list;
  }

  /** How many varints are left. */
  rest(): number {
    let count = 0;
    for (let i = this.#position; i < this.#bytes.length; i++) if (this.#bytes[i]! < 0x80) count++;
    return count;
  }
}
