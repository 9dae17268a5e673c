// The Maintenance service: status, alarms, hashes, defragmentation, leadership.

import { type Id64, id64FromBigInt, id64ToBigInt, id64Equal } from "../base/ids.ts";
import type { HashDone } from "../mvcc/housekeeping.ts";
import * as m from "../wire/messages.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { decodeRequest, type Input, type MessageOf } from "../wire/schema.ts";
import { STATUS, type Status } from "../wire/status.ts";
import { type Alarm, ALARM_NONE, ALARM_NOSPACE } from "./alarms.ts";
import { type Call, respond } from "./call.ts";
import type { MemberState } from "./member-state.ts";
import type { Proposer } from "./proposals.ts";
import type { Reading } from "./reading.ts";

/** What an entry about alarms needs of the member. */
export interface AlarmHost extends MemberState {
  /** There may be room on the disk again. */
  readonly housekeeping: { lookForRoom(): void };
}

export interface MaintenanceApiHost extends Proposer {
  readonly reading: Reading;
  readonly storageVersion: string;
  startHash(revision: number, done: HashDone): void;
  /** A Status: there is no room to wait, and `done` never comes. */
  startDefragmentation(done: () => void): Status | undefined;
  transferLeadership(target: Id64, done: (failure: Status | undefined) => void): void;
}

const ACTION_GET = 0;
const ACTION_ACTIVATE = 1;

export function status(member: MaintenanceApiHost, call: Call): void {
  const leader = member.raft.leader;
  const errors = member.alarms.statusLines();
  if (leader.hi === 0 && leader.lo === 0) errors.unshift(STATUS.noLeader.text);
  // Without a leader this is asked most. While the state may be older than what was shown before a restart, it says no
  // revision rather than one that goes back.
  const header = member.reading.showsItsPast ? member.responseHeader() : member.clusterHeader();
  respond(call, m.StatusResponse, {
    header,
    version: member.options.reportedVersion,
    // Never 0: etcdctl divides by it.
    dbSize: Math.max(1, member.store.sizeBytes),
    dbSizeInUse: member.store.sizeInUseBytes,
    dbSizeQuota: member.quotaBytes,
    leader: id64ToBigInt(leader),
    raftIndex: member.raft.commitIndex,
    raftTerm: member.raft.term,
    raftAppliedIndex: member.appliedIndex,
    errors,
    isLearner: member.isLearner,
    storageVersion: member.storageVersion,
    downgradeInfo: {},
  });
}

/** Also GET goes through the log, as etcd has it: the answer is linearizable. */
export function alarm(
  member: MaintenanceApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  member.proposals.propose(call, REQUEST_KIND.alarm, bytes, start, end);
}

export function applyAlarm(
  member: AlarmHost,
  bytes: Uint8Array,
  start: number,
  end: number,
): Input<MessageOf<typeof m.AlarmResponse>> {
  const request = decodeRequest(m.AlarmRequest, bytes, start, end);
  const memberId = id64FromBigInt(request.memberID);
  let alarms: readonly Alarm[];
  if (request.action === ACTION_GET) alarms = member.alarms.list(request.alarm);
  else {
    const changed =
      request.action === ACTION_ACTIVATE
        ? member.alarms.activate(memberId, request.alarm)
        : member.alarms.deactivate(memberId, request.alarm);
    const isRoomMade = request.action !== ACTION_ACTIVATE && changed?.type === ALARM_NOSPACE;
    if (isRoomMade && id64Equal(memberId, member.options.memberId)) member.housekeeping.lookForRoom();
    alarms = changed === undefined || changed.type === ALARM_NONE ? [] : [changed];
  }
  return {
    header: member.responseHeader(),
    alarms: alarms.map((it) => ({ memberID: id64ToBigInt(it.memberId), alarm: it.type })),
  };
}

/** Raised or taken back by the members themselves (divergence.ts). */
export function applyDivergenceAlarm(
  member: MemberState,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const request = decodeRequest(m.AlarmRequest, bytes, start, end);
  const memberId = id64FromBigInt(request.memberID);
  if (request.action === ACTION_ACTIVATE) member.alarms.activateDivergence(memberId);
  else member.alarms.deactivateDivergence(memberId);
}

/** The hash of the history at a revision; its rows are read in slices, so the answer comes when they are done. */
export function hashKv(
  member: MaintenanceApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const { revision } = decodeRequest(m.HashKVRequest, bytes, start, end);
  member.reading.afterPast((unconfirmed) => {
    if (unconfirmed !== undefined) return call.fail(unconfirmed);
    member.startHash(revision, (result, failure) => {
      if (failure !== undefined) return call.fail(failure);
      respond(call, m.HashKVResponse, {
        header: member.responseHeader(),
        hash: result!.hash,
        compact_revision: result!.compactRevision,
        hash_revision: result!.hashRevision,
      });
    });
  });
}

/** Cleans segments and answers when done: what an operator's compact, defrag, disarm relies on. The answer has no header. */
export function defragment(member: MaintenanceApiHost, call: Call): void {
  const refusal = member.startDefragmentation(() => respond(call, m.DefragmentResponse, {}));
  if (refusal !== undefined) call.fail(refusal);
}

export function moveLeader(
  member: MaintenanceApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const target = id64FromBigInt(decodeRequest(m.MoveLeaderRequest, bytes, start, end).targetID);
  if (!member.isLeader) return call.fail(STATUS.notLeader);
  const info = member.membership.get(target);
  if (info === undefined || info.isLearner) return call.fail(STATUS.badLeaderTransferee);
  if (id64Equal(target, member.options.memberId)) return respond(call, m.MoveLeaderResponse, {});
  member.transferLeadership(target, (failure: Status | undefined) => {
    if (failure === undefined) respond(call, m.MoveLeaderResponse, {});
    else call.fail(failure);
  });
}
