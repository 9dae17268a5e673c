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
  blockSum,
  damagedCheckpoint,
  isOurName,
} from "./checkpoint-format.ts";
import { type Head, loadAtOnce, type LoadSteps, RecordLoader } from "./load-records.ts";
import { StreamReader } from "./stream-reader.ts";
import { Store } from "./store.ts";

/** Of Slabs: segments of 1 KiB to 1 GiB. */
const UNIT_SHIFT_MIN = 7;
const UNIT_SHIFT_MAX = 27;

/** A second thread takes longer to start than a smaller manifest to be read, and has little to do behind it. */
const PREPARE_BYTES_MIN = 256 * 1024;

export interface LoadOptions {
  readonly disk: Disk;
  readonly directory: string;
  readonly hashSeed: number;
  /** Superseded versions beyond it stay on disk. */
  readonly supersededBytesMax: number;
  /** The files are still being written, by somebody who drives the steps: none is touched before a step has asked for it. */
  readonly isArriving?: boolean;
  /** Called once when the manifest's head is read and segments are being read ahead, so that the caller's own work goes on beside. */
  readonly whileReading?: (extra: Uint8Array) => void;
}

export interface LoadedCheckpoint {
  readonly store: Store;
  readonly extra: Uint8Array;
}

/** The checkpoint in a directory, `undefined` when there is none; throws CheckpointError for one that is damaged. */
export function loadCheckpoint(options: LoadOptions): LoadedCheckpoint | undefined {
  return loadAtOnce(checkpointSteps(options));
}

/** The same in steps. */
export function* checkpointSteps(options: LoadOptions): LoadSteps<LoadedCheckpoint | undefined> {
  yield MANIFEST_NAME;
  const { disk, directory, hashSeed } = options;
  const path = `${directory}/${MANIFEST_NAME}`;
  if (!disk.exists(path)) {
    // A first checkpoint that was not finished leaves segments; nothing else does, since its rename comes last.
    yield* removeUnnamed(options, new Set());
    return undefined;
  }
  const stream = readManifest(options, path);
  const reader = new StreamReader(stream, path);
  const head = readHead(reader, path);
  const files = { disk, directory };
  const store = new Store({ segmentSizeBytes: 8 << head.unitShift, hashSeed, files });
  store.slabs.nextNumber = store.slabs.uncoveredNumber = head.nextNumber;
  store.revision = head.revision;
  store.compactedRevision = head.compactedRevision;
  const loader = new RecordLoader(options, store, { head, reader, path });
  yield* loader.load();
  yield* removeUnnamed(options, loader.names);
  return { store, extra: head.extra };
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
  const isPossible =
    unitShift >= UNIT_SHIFT_MIN && unitShift <= UNIT_SHIFT_MAX && base >= 2 && base <= revision + 1;
  if (!isPossible || compactedRevision > revision || revision > Number.MAX_SAFE_INTEGER)
    throw damagedCheckpoint(file, 0, "the manifest's head contradicts itself");
  return { revision, compactedRevision, base, unitShift, idCount, nextNumber, mainSlot, oldSlot, extra };
}

/** The manifest's stream, out of its verified blocks. */
function readManifest({ disk, isArriving }: LoadOptions, path: string): Uint8Array {
  const file = disk.open(path, "bulk");
  try {
    const size = file.sizeBytes();
    if (size >= PREPARE_BYTES_MIN && isArriving !== true) disk.prepareReadAhead();
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
      const sum = view.getUint32(position + 8, true);
      const payload = bytes.subarray(start, start + blockSize);
      if (!isPossible || blockSum(disk.checksum, { kind, number }, payload) !== sum) {
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

/** Removes what unfinished checkpoints left. */
function* removeUnnamed(options: LoadOptions, names: ReadonlySet<string>): LoadSteps<void> {
  const { disk, directory } = options;
  for (const name of disk.list(directory)) {
    if (!isOurName(name) || names.has(name)) continue;
    yield name;
    disk.remove(`${directory}/${name}`);
  }
}
