// The Cluster service: who belongs to it, and how that changes. Changes are configuration entries of the log; the rules
// that keep an operator from losing the quorum are checked before one is proposed, as etcd's strict check does.

import { encodeUtf8 } from "../base/utf8.ts";
import { ID64_ZERO, type Id64, id64Equal, id64FromBigInt, id64ToBigInt } from "../base/ids.ts";
import * as m from "../wire/messages.ts";
import { decodeRequest, type Input, type MessageOf, type Schema } from "../wire/schema.ts";
import { STATUS, type Status } from "../wire/status.ts";
import { type Call, respond } from "./call.ts";
import { addedMemberId } from "./identity.ts";
import { FORMAT_WITH_CHECKED_CHANGES } from "./format.ts";
import type { MemberState } from "./member-state.ts";
import type { Proposer } from "./proposals.ts";
import { arePeerUrls, type MemberInfo, memberContextJson } from "./membership.ts";

export interface ClusterApiHost extends Proposer {
  forwardToLeader(call: Call, bytes: Uint8Array, start: number, end: number): void;
  matchIndexOf(peer: Id64): number;
}

/** Numbers of raftpb.ConfChangeType. */
export const CONF_ADD_NODE = 0;
export const CONF_REMOVE_NODE = 1;
export const CONF_UPDATE_NODE = 2;
export const CONF_ADD_LEARNER = 3;

/** A member counts as healthy for a change when it has been connected for this long (etcd: 5 s). */
const HEALTHY_AFTER_MS = 5_000;
/** How far a learner may be behind to be promoted: at least this share of the leader's log (etcd: 90 %). */
const PROMOTE_SHARE_MIN = 0.9;

type MemberMessage = Input<MessageOf<typeof m.Member>>;

export function memberMessages(member: MemberState): MemberMessage[] {
  return member.membership.list().map(memberMessage);
}

function memberMessage(info: MemberInfo): MemberMessage {
  return {
    ID: id64ToBigInt(info.id),
    name: info.name,
    peerURLs: info.peerUrls,
    clientURLs: info.clientUrls,
    isLearner: info.isLearner,
  };
}

export function memberList(member: MemberState, call: Call): void {
  respond(call, m.MemberListResponse, { header: member.clusterHeader(), members: memberMessages(member) });
}

export function memberAdd(
  member: ClusterApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const request = decodeRequest(m.MemberAddRequest, bytes, start, end);
  if (!arePeerUrls(request.peerURLs)) return call.fail(STATUS.memberBadUrls);
  const { membership } = member;
  const { learnerCountMax } = member.options;
  // Else it is looked at when the entry is applied: this member may not have heard yet that an address is free again.
  if (member.formatVersion < FORMAT_WITH_CHECKED_CHANGES) {
    if (membership.usesPeerUrl(request.peerURLs, ID64_ZERO)) return call.fail(STATUS.peerUrlExists);
    if (request.isLearner && membership.learnerCount >= learnerCountMax)
      return call.fail(STATUS.tooManyLearners);
  }
  const refusal = refusalToAdd(member, request.isLearner);
  if (refusal !== undefined) return call.fail(refusal);
  const added: MemberInfo = {
    id: addedMemberId(request.peerURLs, member.clock.unixSeconds()),
    name: "",
    peerUrls: request.peerURLs,
    clientUrls: [],
    isLearner: request.isLearner,
  };
  if (membership.get(added.id) !== undefined || membership.isRemoved(added.id))
    return call.fail(STATUS.memberExists);
  const type = request.isLearner ? CONF_ADD_LEARNER : CONF_ADD_NODE;
  const context = memberContextJson(added, request.isLearner ? { learnerCountMax } : {});
  member.proposals.proposeConfChange(call, type, added.id, encodeUtf8(context));
}

export function memberRemove(
  member: ClusterApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const id = id64FromBigInt(decodeRequest(m.MemberRemoveRequest, bytes, start, end).ID);
  const info = member.membership.get(id);
  if (info === undefined) return call.fail(STATUS.memberNotFound);
  const refusal = info.isLearner ? undefined : refusalToRemove(member, id);
  if (refusal !== undefined) return call.fail(refusal);
  member.proposals.proposeConfChange(call, CONF_REMOVE_NODE, id, new Uint8Array(0));
}

export function memberUpdate(
  member: ClusterApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const request = decodeRequest(m.MemberUpdateRequest, bytes, start, end);
  if (!arePeerUrls(request.peerURLs)) return call.fail(STATUS.memberBadUrls);
  const id = id64FromBigInt(request.ID);
  const info = member.membership.get(id);
  if (info === undefined) return call.fail(STATUS.memberNotFound);
  if (member.membership.usesPeerUrl(request.peerURLs, id)) return call.fail(STATUS.peerUrlExists);
  const context = memberContextJson({ ...info, peerUrls: request.peerURLs });
  member.proposals.proposeConfChange(call, CONF_UPDATE_NODE, id, encodeUtf8(context));
}

/** Only the leader knows how far a learner is; other members forward the call to it. */
export function memberPromote(
  member: ClusterApiHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const id = id64FromBigInt(decodeRequest(m.MemberPromoteRequest, bytes, start, end).ID);
  const info = member.membership.get(id);
  if (info === undefined) return call.fail(STATUS.memberNotFound);
  if (!info.isLearner) return call.fail(STATUS.memberNotLearner);
  if (!member.isLeader) return member.forwardToLeader(call, bytes, start, end);
  if (member.matchIndexOf(id) < PROMOTE_SHARE_MIN * member.raft.lastIndex)
    return call.fail(STATUS.learnerNotReady);
  const refusal = refusalToPromote(member);
  if (refusal !== undefined) return call.fail(refusal);
  const context = memberContextJson({ ...info, isLearner: false }, { isPromote: true });
  member.proposals.proposeConfChange(call, CONF_ADD_NODE, id, encodeUtf8(context));
}

const RESPONSE_OF: Readonly<Record<string, Schema<{ members: unknown[] }>>> = {
  MemberRemove: m.MemberRemoveResponse as Schema<never>,
  MemberUpdate: m.MemberUpdateResponse as Schema<never>,
  MemberPromote: m.MemberPromoteResponse as Schema<never>,
};

/** Answers the call whose configuration change was applied. */
export function answerConfChange(member: MemberState, call: Call, changed: Id64): void {
  const header = member.clusterHeader();
  const members = memberMessages(member);
  if (call.method.name === "MemberAdd") {
    const added = member.membership.get(changed);
    respond(call, m.MemberAddResponse, { header, member: added && memberMessage(added), members });
    return;
  }
  const schema = RESPONSE_OF[call.method.name] as Schema<MessageOf<typeof m.MemberRemoveResponse>>;
  respond(call, schema, { header, members });
}

// A voter that is added counts for the quorum at once, before it has started. A learner counts for nothing, but a cluster that
// is not whole is to be mended first.
function refusalToAdd(member: MemberState, asLearner: boolean): Status | undefined {
  if (!member.options.strictReconfigCheck) return undefined;
  const voters = member.membership.list().filter((info) => !info.isLearner);
  if (!asLearner && !isReadyToAddVoter(voters)) return STATUS.notEnoughStartedMembers;
  return isHealthy(member, voters) ? undefined : STATUS.unhealthy;
}

function isReadyToAddVoter(voters: readonly MemberInfo[]): boolean {
  const started = startedCount(voters);
  // One started member may always grow to two.
  return (started === 1 && voters.length === 1) || started >= quorumOf(voters.length + 1);
}

// A learner that is in sync has started. As in etcd nobody need be connected for long.
function refusalToPromote(member: MemberState): Status | undefined {
  if (!member.options.strictReconfigCheck) return undefined;
  const voters = member.membership.list().filter((info) => !info.isLearner);
  const isReady = startedCount(voters) + 1 >= quorumOf(voters.length + 1);
  return isReady ? undefined : STATUS.notEnoughStartedMembers;
}

function refusalToRemove(member: MemberState, removed: Id64): Status | undefined {
  if (!member.options.strictReconfigCheck) return undefined;
  const voters = member.membership.list().filter((info) => !info.isLearner);
  const rest = voters.filter((info) => !id64Equal(info.id, removed));
  const started = startedCount(rest);
  if (started < quorumOf(rest.length) || started === 0) return STATUS.notEnoughStartedMembers;
  // A member that is down anyway may go; a connected one only while a quorum of the others is connected.
  const isActive = member.connectedForMs(removed) > 0 || id64Equal(removed, member.options.memberId);
  if (!isActive) return undefined;
  const active = voters.filter((info) => isActiveMember(member, info.id)).length;
  return active - 1 < quorumOf(rest.length) ? STATUS.unhealthy : undefined;
}

function startedCount(members: readonly MemberInfo[]): number {
  return members.filter((info) => info.name !== "").length;
}

function isHealthy(member: MemberState, voters: readonly MemberInfo[]): boolean {
  return voters.every(
    (info) =>
      id64Equal(info.id, member.options.memberId) || member.connectedForMs(info.id) >= HEALTHY_AFTER_MS,
  );
}

function isActiveMember(member: MemberState, id: Id64): boolean {
  return id64Equal(id, member.options.memberId) || member.connectedForMs(id) > 0;
}

function quorumOf(count: number): number {
  return Math.floor(count / 2) + 1;
}
