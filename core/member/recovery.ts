// From a data directory to a running member: the newest checkpoint, the log behind it, and what they say. A directory
// without a log is a new member; one that belongs to somebody else is refused.
//
//   <data>/member/identity       format version, member id and cluster id; written last of a first start, never changed
//   <data>/member/boot           how often this member was started: makes its request ids its own
//   <data>/member/wal/           the log (core/wal)
//   <data>/member/data/          checkpoints (core/mvcc)
//   <data>/member/lost           why the directory may not be used any more (past-lives.ts)
//
// The identity says that the log and the boot counter were there: without them it is a directory that lost files. And without it
// nothing was ever said in the member's name, so that a log with anything in it has lost its identity.

import { assert } from "../base/assert.ts";
import { type Id64, id64, id64Equal, id64Hex, parseId64Hex } from "../base/ids.ts";
import type { Disk } from "../base/ports.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { damagedCheckpoint, MANIFEST_NAME } from "../mvcc/checkpoint-format.ts";
import { ADD_LEARNER, ADD_VOTER, confChange } from "../raft/conf-change.ts";
import { EMPTY_CONF_STATE } from "../raft/configuration.ts";
import { RaftLog } from "../raft/log.ts";
import type { EntryBatch } from "../raft/entry-batch.ts";
import type { StoredEntries } from "../raft/state.ts";
import { EMPTY_HARD_STATE, type HardState } from "../raft/output.ts";
import { Raft } from "../raft/raft.ts";
import { recoverWal, type Recovery } from "../wal/recover.ts";
import { Wal, type WalOptions } from "../wal/wal.ts";
import {
  type CheckpointState,
  DATA_DIRECTORY_PREFIX,
  type DataPointer,
  loadState,
  type LogPlace,
  readDataPointer,
} from "./checkpoint-state.ts";
import { encodeConfState } from "./checkpointer.ts";
import { forceNewCluster } from "./force-new-cluster.ts";
import { makeLessor } from "./lease-keeper.ts";
import { forgetLost, lostReason, REMEDY } from "./past-lives.ts";
import { readSmallFile, reserveSmallFile, writeSmallFile } from "./small-file.ts";
import { Member } from "./member.ts";
import { memberContextJson } from "./membership.ts";
import type { MemberOptions } from "./options.ts";

export const WAL_DIRECTORY = "member/wal";
const BOOT_PATH = "member/boot";
const IDENTITY_PATH = "member/identity";
/** Of the whole directory; a newer one is refused by name (design D10). */
const FORMAT_VERSION = 1;

/** The data directory is not this member's, or cannot be used as asked. The text is for the operator. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
}

export interface Identity {
  readonly memberId: Id64;
  readonly clusterId: Id64;
}

/** Whose directory this is; undefined for a new one. Once there is data the cluster flags are ignored, as in etcd. */
export function storedIdentity(disk: Disk): Identity | undefined {
  if (!disk.exists(IDENTITY_PATH)) return undefined;
  const text = readSmallFile(disk, IDENTITY_PATH);
  const match = /^holdfast (\d+)\nmember ([0-9a-f]+)\ncluster ([0-9a-f]+)\n$/.exec(text);
  if (match === null)
    throw new DataDirectoryError(`${IDENTITY_PATH} is damaged: restore the directory from a backup`);
  if (Number(match[1]) > FORMAT_VERSION) {
    throw new DataDirectoryError(
      `The data directory has format ${match[1]}, this program reads up to ${FORMAT_VERSION}: use a newer one`,
    );
  }
  return { memberId: parseId64Hex(match[2]!)!, clusterId: parseId64Hex(match[3]!)! };
}

/** Reads what is there, or makes a new member. Throws WalError and CheckpointError for damage, DataDirectoryError for a foreign one. */
export function openMember(options: MemberOptions): Member {
  const { disk } = options;
  disk.makeDirectory(WAL_DIRECTORY);
  disk.makeDirectory(DATA_DIRECTORY_PREFIX);
  const isFirstStart = storedIdentity(disk) === undefined;
  checkNothingIsLost(options);
  const bootCounter = nextBoot(disk, isFirstStart);
  const lessor = makeLessor(options);
  const pointer = readDataPointer(disk);
  const found: { log?: FoundLog } = {};
  const state = loadState(options, {
    directory: pointer.directory,
    lessor,
    // Both keep a processor busy, and neither needs the other: the log is read here while a second thread reads segments.
    whileReading: (place) => (found.log = readLog(options, pointer, place)),
  });
  const { recovery, log } = found.log ?? readLog(options, pointer, state);
  const { directory } = pointer;
  const { raft, wal } = openLog(options, { state, bootCounter, isFirstStart, directory, recovery, log });
  if (isFirstStart) writeIdentity(options);
  const { store, membership, alarms, clusterVersion, appliedIndex, appliedTerm } = state;
  return new Member(options, {
    raft,
    wal,
    store,
    lessor,
    membership,
    alarms,
    clusterVersion,
    formatVersion: state.formatVersion,
    effectHash: state.effectHash,
    bootCounter,
    appliedIndex,
    appliedTerm,
    dataDirectory: pointer.directory,
  });
}

function checkNothingIsLost({ disk, forceNewCluster: isForced }: MemberOptions): void {
  const reason = lostReason(disk);
  if (reason === undefined) return;
  if (!isForced) throw new DataDirectoryError(`The data directory may not be used: ${reason}; ${REMEDY}`);
  forgetLost(disk);
}

function writeIdentity({ disk, memberId, clusterId }: MemberOptions): void {
  const text = `holdfast ${FORMAT_VERSION}\nmember ${id64Hex(memberId)}\ncluster ${id64Hex(clusterId)}\n`;
  writeSmallFile(disk, IDENTITY_PATH, text);
}

interface LogStart {
  readonly state: CheckpointState;
  readonly bootCounter: number;
  readonly isFirstStart: boolean;
  /** Of the checkpoint. */
  readonly directory: string;
  readonly recovery: Recovery | undefined;
  readonly log: RaftLog;
}

interface FoundLog {
  /** Undefined when there is no log. */
  readonly recovery: Recovery | undefined;
  readonly log: RaftLog;
}

/** The log behind a checkpoint. */
function readLog(options: MemberOptions, pointer: DataPointer, place: LogPlace): FoundLog {
  const log = new RaftLog({
    arenaBytes: options.limits.raftArenaBytes,
    compactedIndex: place.appliedIndex,
    compactedTerm: place.appliedTerm,
  });
  const recovery = recoverWal({
    disk: options.disk,
    directory: WAL_DIRECTORY,
    checkpointIndex: place.appliedIndex,
    log,
    checkpointFile: `${pointer.directory}/${MANIFEST_NAME}`,
    // A crash between turning to a received snapshot and marking it in the log leaves a log that ends before it.
    mayEndBefore: pointer.receivedIndex === place.appliedIndex,
  });
  return { recovery, log };
}

function openLog(
  options: MemberOptions,
  { state, bootCounter, isFirstStart, directory, recovery, log }: LogStart,
): { raft: Raft; wal: Wal } {
  const { disk, limits, clock } = options;
  if (isFirstStart) checkIsNew(state, recovery);
  checkRecovery(options, recovery, isFirstStart);
  checkCheckpointIsThere(directory, state.appliedIndex, recovery?.markers ?? []);
  const walOptions = { disk, directory: WAL_DIRECTORY, segmentSizeBytes: limits.walSegmentSizeBytes, clock };
  const wal = recovery === undefined ? createWal(options, walOptions) : Wal.resume(walOptions, recovery);
  if (wal.lastIndex < state.appliedIndex) markReceived(wal, state);
  const confState = state.confState ?? EMPTY_CONF_STATE;
  const { appliedIndex } = state;
  let hardState = hardStateOf(recovery, state);
  if (options.forceNewCluster && log.lastIndex > 0) {
    hardState = forceNewCluster(log, wal, { memberId: options.memberId, confState, appliedIndex, hardState });
  }
  const raft = new Raft({
    id: options.memberId,
    incarnation: bootCounter,
    prng: options.prng.split("raft"),
    nowMs: clock.now(),
    electionMs: options.electionMs,
    heartbeatMs: options.heartbeatMs,
    limits,
    log,
    hardState,
    confState,
    appliedIndex,
    storage: new StoredLog(wal),
  });
  // Also when a crash cut the first start off before it was durable that its entries are committed.
  if (raft.needsBootstrap && !options.joins) bootstrap(raft, options);
  return { raft, wal };
}

// A first start that was cut short may have made a log, but nothing in it.
function checkIsNew(state: CheckpointState, recovery: Recovery | undefined): void {
  const { term } = recovery?.hardState ?? EMPTY_HARD_STATE;
  if (state.appliedIndex > 0 || term > 0 || (recovery?.lastIndex ?? 0) > 0)
    throw missingFile(IDENTITY_PATH, "there is data");
}

function checkRecovery(options: MemberOptions, recovery: Recovery | undefined, mayBeMissing: boolean): void {
  if (recovery === undefined) {
    if (mayBeMissing) return;
    throw missingFile(WAL_DIRECTORY, "this member has been started before");
  }
  checkIdentity(options, recovery);
  if (recovery.tornTail === undefined) return;
  const { file, offset } = recovery.tornTail;
  options.events.warn("repaired a torn tail of the log", { file, offset });
}

function missingFile(path: string, why: string): DataDirectoryError {
  const what = path === WAL_DIRECTORY ? `The log in ${path}` : `The file ${path}`;
  return new DataDirectoryError(
    `${what} is missing, but ${why}: restore the directory from a backup, or remove this member from its cluster, ` +
      "remove the directory and add the member again",
  );
}

/**
 * A marker gets into the log after its checkpoint is durable. One that names a newer checkpoint than was found says that
 * a file was lost, and a directory that lost one file is not trusted with the others, though the log may have it all.
 */
export function checkCheckpointIsThere(
  directory: string,
  foundIndex: number,
  markers: readonly { readonly index: number }[],
): void {
  const markedIndex = markers.at(-1)?.index ?? 0;
  if (markedIndex <= foundIndex) return;
  const found = foundIndex === 0 ? "the file is missing" : `the one that is there is of ${foundIndex}`;
  throw damagedCheckpoint(
    `${directory}/${MANIFEST_NAME}`,
    0,
    `the log knows a checkpoint of index ${markedIndex} and ${found}`,
  );
}

// Written and made durable before anything is said under it, so that no two lives of a member share request ids.
function nextBoot(disk: Disk, isFirstStart: boolean): number {
  let count = 0;
  if (disk.exists(BOOT_PATH)) {
    const text = readSmallFile(disk, BOOT_PATH);
    if (!/^\d+\n$/.test(text))
      throw new DataDirectoryError(`${BOOT_PATH} is damaged: restore the directory from a backup`);
    count = Number(text);
  } else if (!isFirstStart) throw missingFile(BOOT_PATH, "this member has been started before");
  writeSmallFile(disk, BOOT_PATH, `${count + 1}\n`);
  reserveSmallFile(disk, BOOT_PATH);
  return count + 1;
}

// A received snapshot may be of a term that this member had no time to write down; nobody has its vote in it then.
function hardStateOf(recovery: Recovery | undefined, state: CheckpointState): HardState {
  const stored = recovery?.hardState ?? EMPTY_HARD_STATE;
  if (stored.term >= state.appliedTerm) return stored;
  return { ...EMPTY_HARD_STATE, term: state.appliedTerm, commit: state.appliedIndex };
}

function markReceived(wal: Wal, state: CheckpointState): void {
  const confState = encodeConfState(state.confState ?? EMPTY_CONF_STATE);
  const durable = wal.saveSnapshotMarker(
    { index: state.appliedIndex, term: state.appliedTerm, confState },
    () => {},
  );
  assert(durable, "a log that was just opened writes at once");
}

function checkIdentity(options: MemberOptions, recovery: Recovery): void {
  const { metadata } = recovery;
  const refuse = (what: string, found: Id64, expected: Id64): never => {
    throw new DataDirectoryError(
      `The data directory belongs to ${what} ${id64Hex(found)}, not ${id64Hex(expected)}: check --name, --initial-cluster, --initial-cluster-token and --data-dir`,
    );
  };
  if (!id64Equal(metadata.memberId, options.memberId)) refuse("member", metadata.memberId, options.memberId);
  if (!id64Equal(metadata.clusterId, options.clusterId))
    refuse("cluster", metadata.clusterId, options.clusterId);
}

function createWal(options: MemberOptions, walOptions: WalOptions): Wal {
  const { memberId, clusterId, prng } = options;
  return Wal.create(walOptions, {
    metadata: { memberId, clusterId },
    logId: id64(prng.uint32(), prng.uint32()),
  });
}

/** Entries that are only in the log's files, for peers that lag behind what memory keeps. */
class StoredLog implements StoredEntries {
  readonly #wal: Wal;

  constructor(wal: Wal) {
    this.#wal = wal;
  }

  // As the contract has it: called for a lagging peer only.
  readEntries(first: number, last: number, bytesMax: number, batch: EntryBatch): boolean {
    const next = this.#wal.readEntries(
      first,
      Math.min(last, this.#wal.durableIndex),
      (type, term, _index, bytes, start, end) => {
        batch.add(type, term, bytes, start, end);
        return batch.sizeBytes < bytesMax;
      },
    );
    return next > 0;
  }
}

/** The first members as the first entries of the log, the same on all of them. */
function bootstrap(raft: Raft, options: MemberOptions): void {
  raft.bootstrap(
    options.initialMembers.map((info) =>
      confChange(
        [{ type: info.isLearner ? ADD_LEARNER : ADD_VOTER, id: info.id }],
        encodeUtf8(memberContextJson(info)),
      ),
    ),
  );
}
