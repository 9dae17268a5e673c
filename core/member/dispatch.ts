// Which request goes where. Reads that need no confirmation and refusals are answered in place; writes become proposals;
// streams belong to the watch hub and the lease API. What is not built answers UNIMPLEMENTED and says so.

import { WireError } from "../wire/reader.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { METHOD, METHODS } from "../wire/service.ts";
import { CODE, malformedRequest, STATUS, type Status } from "../wire/status.ts";
import type { Admission } from "./admission.ts";
import type { Call } from "./call.ts";
import * as cluster from "./cluster-api.ts";
import * as leases from "./lease-api.ts";
import * as maintenance from "./maintenance-api.ts";

export interface DispatchHost
  extends cluster.ClusterApiHost, leases.LeaseApiHost, maintenance.MaintenanceApiHost {
  readonly admission: Admission;
  readonly rejoin: { readonly isActive: boolean };
  readonly isStopping: boolean;
}

type UnaryHandler = (member: DispatchHost, call: Call, bytes: Uint8Array, start: number, end: number) => void;

const UNARY: (UnaryHandler | undefined)[] = METHODS.map(() => undefined);

function unary(method: { readonly id: number }, handler: UnaryHandler): void {
  UNARY[method.id] = handler;
}

unary(METHOD.range, (member, call, bytes, start, end) => member.reading.range(call, bytes, start, end));
unary(METHOD.put, (member, call, bytes, start, end) => {
  if (!admits(member)) return call.fail(STATUS.tooManyRequests);
  const refusal = member.kv.checkPut(bytes, start, end) ?? member.refusalToGrow(member.kv.putCostBytes);
  if (refusal === undefined) member.proposals.propose(call, REQUEST_KIND.put, bytes, start, end);
  else call.fail(refusal);
});
unary(METHOD.deleteRange, (member, call, bytes, start, end) => {
  if (!admits(member)) return call.fail(STATUS.tooManyRequests);
  const refusal = member.kv.checkDelete(bytes, start, end);
  if (refusal === undefined) member.proposals.propose(call, REQUEST_KIND.deleteRange, bytes, start, end);
  else call.fail(refusal);
});
unary(METHOD.txn, txn);
unary(METHOD.compact, (member, call, bytes, start, end) => {
  // Revisions are checked when the entry is applied; this sees that nothing malformed reaches the log.
  const refusal = member.kv.checkCompact(bytes, start, end);
  if (refusal === undefined) member.proposals.propose(call, REQUEST_KIND.compaction, bytes, start, end);
  else call.fail(refusal);
});
unary(METHOD.leaseGrant, leases.leaseGrant);
unary(METHOD.leaseRevoke, (member, call, bytes, start, end) => {
  member.leases.checkRevoke(bytes, start, end);
  member.proposals.propose(call, REQUEST_KIND.leaseRevoke, bytes, start, end);
});
unary(METHOD.leaseTimeToLive, leases.leaseTimeToLive);
unary(METHOD.leaseLeases, leases.leaseLeases);
unary(METHOD.memberAdd, cluster.memberAdd);
unary(METHOD.memberRemove, cluster.memberRemove);
unary(METHOD.memberUpdate, cluster.memberUpdate);
unary(METHOD.memberPromote, cluster.memberPromote);
unary(METHOD.memberList, (member, call, bytes, start, end) =>
  member.reading.memberList(call, bytes, start, end),
);
unary(METHOD.status, maintenance.status);
unary(METHOD.alarm, maintenance.alarm);
unary(METHOD.hashKV, maintenance.hashKv);
unary(METHOD.defragment, maintenance.defragment);
unary(METHOD.moveLeader, maintenance.moveLeader);
// A keep-alive that a member forwarded to its leader: one question, one answer.
unary(METHOD.leaseKeepAlive, leases.leaseKeepAliveOnce);

export function onUnary(
  member: DispatchHost,
  call: Call,
  bytes: Uint8Array,
  start: number,
  end: number,
): void {
  const handler = UNARY[call.method.id];
  if (handler === undefined) return call.fail(notBuilt(call));
  const refusal = refusalOf(member, call);
  if (refusal !== undefined) return call.fail(refusal);
  try {
    handler(member, call, bytes, start, end);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    call.fail(malformedRequest(error.message));
  }
}

/** What a member in this state refuses of anybody, unary or stream. */
export function refusalOf(member: DispatchHost, call: Call): Status | undefined {
  if (member.isStopping) return STATUS.stopped;
  if (member.rejoin.isActive && call.method !== METHOD.status) return STATUS.stateDiverged;
  if (!member.hasLeader && call.metadata("hasleader") === "true") return STATUS.noLeader;
  if (member.isLearner && !isForLearners(call)) return STATUS.notSupportedForLearner;
  return undefined;
}

function isForLearners(call: Call): boolean {
  // Whether a range is serializable is checked where it is parsed.
  return call.method === METHOD.status || call.method === METHOD.range || call.method === METHOD.snapshot;
}

export function notBuilt(call: Call): Status {
  return {
    code: CODE.unimplemented,
    text: `method ${call.method.name} of service ${call.method.service} is not built yet`,
  };
}

// Before anything is looked at: a refusal has to cost a fraction of the work. What keeps leases and the cluster alive is always admitted.
function admits(member: DispatchHost): boolean {
  if (member.admission.hasRoom(member.pending.count)) return true;
  member.counters.refused.add(1);
  return false;
}

function txn(member: DispatchHost, call: Call, bytes: Uint8Array, start: number, end: number): void {
  if (!admits(member)) return call.fail(STATUS.tooManyRequests);
  const { kv } = member;
  const refusal = kv.checkTxn(bytes, start, end);
  if (refusal !== undefined) return call.fail(refusal);
  if (kv.isReadOnlyTxn(bytes, start, end)) return member.reading.readOnlyTxn(call, bytes, start, end);
  const costBytes = kv.txnCostBytes(bytes, start, end);
  const full = costBytes > 0 ? member.refusalToGrow(costBytes) : undefined;
  if (full === undefined) member.proposals.propose(call, REQUEST_KIND.txn, bytes, start, end);
  else call.fail(full);
}
