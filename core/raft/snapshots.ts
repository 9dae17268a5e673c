// Snapshots (Raft 7). Their data travels beside consensus, streamed by the driver; here is only what it means for logs.
//
//   leader: snapshotsWanted ──driver streams──> snapshotMessage() at the end ──> snapshotReported()
//   follower: data complete ──> step(message) ──> output.snapshot ──driver installs──> persisted(sequence)

import { assert } from "../base/assert.ts";
import type { Id64 } from "../base/ids.ts";
import { setConfiguration } from "./membership.ts";
import { MESSAGE_SNAPSHOT, RaftMessage } from "./message.ts";
import type { SnapshotMeta } from "./output.ts";
import { resetElection } from "./roles.ts";
import type { RaftState } from "./state.ts";

/** Part of every output: who has just come to need a snapshot. */
export function takeSnapshotsWanted(state: RaftState, wanted: Id64[]): boolean {
  if (state.role !== "leader") return false;
  const members = state.tracker.members;
  for (let i = 0; i < members.length; i++) {
    const member = members[i]!;
    if (!member.snapshotWanted) continue;
    member.snapshotWanted = false;
    wanted.push({ hi: member.hi, lo: member.lo });
  }
  return wanted.length > 0;
}

export function snapshotMessage(state: RaftState, peer: Id64, meta: SnapshotMeta): RaftMessage | undefined {
  const member = state.tracker.find(peer.hi, peer.lo);
  if (state.role !== "leader" || member?.state !== "snapshot") return undefined;
  assert(meta.index <= state.appliedIndex, "a snapshot holds what is applied");
  assert(meta.index >= state.log.compactedIndex, "the log goes on where the snapshot ends");
  member.snapshotIndex = meta.index;
  // Not from the pool: the driver keeps it for as long as the stream takes.
  const message = new RaftMessage();
  message.kind = MESSAGE_SNAPSHOT;
  message.toHi = peer.hi;
  message.toLo = peer.lo;
  message.fromHi = state.id.hi;
  message.fromLo = state.id.lo;
  message.term = state.term;
  message.index = meta.index;
  message.logTerm = meta.term;
  message.confState = meta.confState;
  return message;
}

export function snapshotReported(state: RaftState, peer: Id64, ok: boolean): void {
  const member = state.tracker.find(peer.hi, peer.lo);
  if (state.role !== "leader" || member?.state !== "snapshot") return;
  if (!ok) member.snapshotIndex = 0;
  member.becomeProbe();
  // Its own acknowledgement is on its way; after a failure the peer is to be heard first.
  member.paused = true;
  member.sentMs = state.nowMs;
}

/** Follower: after persisted(): the snapshot is installed, and is now what this member has applied. */
export function finishSnapshot(state: RaftState): void {
  const snapshot = state.snapshot;
  if (snapshot === undefined || state.snapshotSequence === 0) return;
  if (state.persistence.ackedSequence < state.snapshotSequence) return;
  assert(snapshot.index > state.appliedIndex, "a snapshot never goes back");
  state.appliedIndex = snapshot.index;
  state.snapshot = undefined;
  state.snapshotSequence = 0;
  setConfiguration(state, snapshot.confState);
  if (state.tracker.isSoleVoter(state.self)) resetElection(state);
}
