// What a checkpoint holds besides keys: applied index and term, configuration, members, alarms, cluster version, and the
// leases. It travels as the checkpoint's `extra`:
//
//   size of the head, varint; the head, JSON in UTF-8; the image of the leases (core/lease/lease-image.ts)

import { ByteWriter } from "../base/byte-writer.ts";
import type { Id64 } from "../base/ids.ts";
import type { Disk } from "../base/ports.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { LeaseImageError } from "../lease/lease-image.ts";
import type { Lessor } from "../lease/lessor.ts";
import { CheckpointError } from "../mvcc/checkpoint-format.ts";
import { checkpointSteps } from "../mvcc/load-checkpoint.ts";
import { loadAtOnce, type LoadSteps } from "../mvcc/load-records.ts";
import { Store } from "../mvcc/store.ts";
import type { ConfState } from "../raft/configuration.ts";
import { ProtoReader, WireError } from "../wire/reader.ts";
import { Alarms } from "./alarms.ts";
import { badFieldOf } from "./checkpoint-head.ts";
import { EFFECT_HASH_VERSION } from "./effect-hash.ts";
import { FORMAT_VERSION, FORMAT_VERSION_FIRST } from "./format.ts";
import { Membership } from "./membership.ts";
import type { MemberOptions } from "./options.ts";
import { readSmallFile, writeSmallFile } from "./small-file.ts";

export const DATA_DIRECTORY_PREFIX = "member/data";
const POINTER_PATH = "member/current";
const HEAD_VERSION = 1;

export interface CheckpointState {
  readonly store: Store;
  /** 0 without a checkpoint. */
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly confState: ConfState | undefined;
  readonly membership: Membership;
  readonly alarms: Alarms;
  readonly clusterVersion: string;
  readonly formatVersion: number;
  /** Undefined when the checkpoint has none. */
  readonly effectHash: number | undefined;
}

/** What goes into the head; as the state is at the applied index. */
export interface CheckpointHead {
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly confState: ConfState;
  readonly membership: Membership;
  readonly alarms: Alarms;
  readonly clusterVersion: string;
  readonly formatVersion: number;
  /** See effect-hash.ts; undefined while unknown. */
  readonly effectHash: number | undefined;
}

/** The head alone, as it is now: members change while a checkpoint is written. */
export function encodeHead(head: CheckpointHead): Uint8Array {
  const { appliedIndex, appliedTerm, confState, clusterVersion, formatVersion, effectHash } = head;
  const json = {
    version: HEAD_VERSION,
    appliedIndex,
    appliedTerm,
    confState,
    clusterVersion,
    formatVersion,
    effectHash: effectHash === undefined ? undefined : { version: EFFECT_HASH_VERSION, value: effectHash },
    membership: head.membership.toJson(),
    alarms: head.alarms.toJson(),
  };
  return encodeUtf8(JSON.stringify(json));
}

export function joinExtra(head: Uint8Array, leases: Uint8Array): Uint8Array {
  const writer = new ByteWriter(head.length + leases.length + 10);
  writer.varint(head.length);
  writer.raw(head, 0, head.length);
  writer.raw(leases, 0, leases.length);
  return writer.copy();
}

/** Where the checkpoint is. A received one lives in a directory of its own, named by `member/current`. */
export interface DataPointer {
  readonly directory: string;
  /** The index of the snapshot that was received into it; -1 when it is this member's own from the start. */
  readonly receivedIndex: number;
}

export function readDataPointer(disk: Disk): DataPointer {
  if (!disk.exists(POINTER_PATH)) return { directory: DATA_DIRECTORY_PREFIX, receivedIndex: -1 };
  const match = /^(member\/data\.[0-9-]+) (\d+)\n$/.exec(readSmallFile(disk, POINTER_PATH));
  if (match === null) {
    throw new CheckpointError(
      "damaged",
      { file: POINTER_PATH, offset: 0 },
      "The pointer to the data cannot be read: restore the directory from a backup",
    );
  }
  return { directory: match[1]!, receivedIndex: Number(match[2]) };
}

/** Turns to a received checkpoint; durable when it returns. */
export function pointToData(disk: Disk, pointer: DataPointer): void {
  writeSmallFile(disk, POINTER_PATH, `${pointer.directory} ${pointer.receivedIndex}\n`);
}

/** The state of the checkpoint in this directory, or that of a member that has none. The leases go into `lessor`. */
export function loadState(
  options: MemberOptions,
  from: { readonly directory: string; readonly lessor: Lessor; readonly whileReading: WhileReading },
): CheckpointState {
  const { directory, lessor, whileReading } = from;
  return loadAtOnce(
    stateSteps(options, {
      directory,
      lessor,
      isArriving: false,
      whileReading: (extra) => whileReading(splitExtra(extra, directory).json),
    }),
  );
}

/** What a start does while another thread reads segments. Not called without a checkpoint. */
type WhileReading = (place: LogPlace) => void;

/** The last entry that a checkpoint covers; 0, 0 without one. */
export interface LogPlace {
  readonly appliedIndex: number;
  readonly appliedTerm: number;
}

/** The same in steps; the checkpoint may be arriving meanwhile (load-records.ts). */
export function* stateSteps(
  options: MemberOptions,
  from: {
    readonly directory: string;
    readonly lessor: Lessor;
    readonly isArriving: boolean;
    readonly whileReading?: (extra: Uint8Array) => void;
  },
): LoadSteps<CheckpointState> {
  const { directory, lessor, ...how } = from;
  const hashSeed = options.prng.uint32();
  const { disk, limits } = options;
  const { supersededBytesMax } = limits;
  const loaded = yield* checkpointSteps({ disk, directory, hashSeed, supersededBytesMax, ...how });
  if (loaded === undefined) {
    return {
      store: new Store({
        segmentSizeBytes: limits.dataSegmentSizeBytes,
        hashSeed,
        files: { disk, directory },
      }),
      appliedIndex: 0,
      appliedTerm: 0,
      confState: undefined,
      membership: new Membership(),
      alarms: new Alarms(),
      clusterVersion: "",
      formatVersion: FORMAT_VERSION_FIRST,
      effectHash: 0,
    };
  }
  const { store, extra } = loaded;
  const { json, leasesStart } = splitExtra(extra, directory);
  const formatVersion = json.formatVersion ?? FORMAT_VERSION_FIRST;
  const known = options.formatVersion ?? FORMAT_VERSION;
  if (formatVersion > known) throw tooNew(directory, `The cluster has format ${formatVersion}`, known);
  restoreLeases(lessor, { extra, leasesStart, directory });
  store.leases = lessor;
  // It looks at every key's record.
  if (lessor.count > 0) store.attachLeases();
  return {
    store,
    appliedIndex: json.appliedIndex,
    appliedTerm: json.appliedTerm,
    confState: json.confState,
    membership: Membership.fromJson(json.membership),
    alarms: Alarms.fromJson(json.alarms),
    clusterVersion: json.clusterVersion,
    formatVersion,
    effectHash: json.effectHash?.version === EFFECT_HASH_VERSION ? json.effectHash.value : undefined,
  };
}

/** The leases of a checkpoint, into an empty lessor. */
export function restoreLeases(
  lessor: Lessor,
  from: { readonly extra: Uint8Array; readonly leasesStart: number; readonly directory: string },
): void {
  const { extra, leasesStart, directory } = from;
  try {
    lessor.image.restore(extra, leasesStart, extra.length);
  } catch (error) {
    if (!(error instanceof LeaseImageError)) throw error;
    throw unusable(directory, `The checkpoint's leases cannot be read: ${error.message}`);
  }
}

export interface HeadJson {
  readonly version: number;
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly confState: ConfState & { readonly voters: readonly Id64[] };
  readonly clusterVersion: string;
  /** Absent: 1, and no hash. */
  readonly formatVersion?: number;
  readonly effectHash?: { readonly version: number; readonly value: number };
  readonly membership: string;
  readonly alarms: string;
}

/**
 * The head, and where the leases begin. The checkpoint's checksums were verified, so what cannot be read here was written
 * by another version, or by somebody who means harm.
 */
export function splitExtra(extra: Uint8Array, directory: string): { json: HeadJson; leasesStart: number } {
  const reader = new ProtoReader();
  reader.reset(extra, 0, extra.length);
  let json: HeadJson | null;
  let leasesStart: number;
  try {
    const size = reader.uint64();
    const start = extra.length === 0 ? 0 : reader.position;
    leasesStart = start + size;
    json = JSON.parse(decodeUtf8(extra, start, Math.min(leasesStart, extra.length))) as HeadJson | null;
  } catch (error) {
    if (!(error instanceof SyntaxError) && !(error instanceof WireError)) throw error;
    throw unreadable(directory);
  }
  if (typeof json?.version !== "number" || leasesStart > extra.length) throw unreadable(directory);
  if (json.version > HEAD_VERSION) {
    throw tooNew(directory, `The checkpoint's head has version ${json.version}`, HEAD_VERSION);
  }
  const field = badFieldOf(json);
  if (field !== undefined)
    throw unusable(
      directory,
      `The checkpoint's head cannot be read: its field ${field} is not as it is written`,
    );
  return { json, leasesStart };
}

function unreadable(directory: string): CheckpointError {
  return unusable(directory, "The checkpoint's head cannot be read: use the program that wrote it");
}

function tooNew(directory: string, what: string, known: number): CheckpointError {
  return unusable(directory, `${what}, this program reads up to ${known}: use a newer one`);
}

function unusable(directory: string, text: string): CheckpointError {
  return new CheckpointError("unusable", { file: `${directory}/manifest`, offset: 0 }, text);
}
