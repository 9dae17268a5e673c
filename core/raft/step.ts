// A message from a peer: what its term means (Raft 5.1), then to whom it goes.

import { ID64_ZERO, type Id64 } from "../base/ids.ts";
import { isInLease, learnCommitted, onTimeoutNow, onVoteReply, onVoteRequest } from "./election.ts";
import { onAppend, onHeartbeat, onSnapshot } from "./follower.ts";
import * as kinds from "./message.ts";
import type { RaftMessage } from "./message.ts";
import { onForward, onForwardRefused, onLateForward } from "./proposals.ts";
import { onReadIndex, onReadIndexReply } from "./reads.ts";
import { onAppendReply, onHeartbeatReply } from "./replication.ts";
import { becomeFollower } from "./roles.ts";
import type { RaftState } from "./state.ts";

export function step(state: RaftState, message: RaftMessage): void {
  // Not for us, or an echo: the world's fault, nothing to act on.
  if (message.toHi !== state.id.hi || message.toLo !== state.id.lo) return;
  if (message.fromHi === state.id.hi && message.fromLo === state.id.lo) return;
  if (message.commitTerm > 0) learnCommitted(state, message);
  if (message.term < state.term) return onOlderTerm(state, message);
  if (message.term > state.term && !onNewerTerm(state, message)) return;
  dispatch(state, message);
}

function isFromLeader(kind: number): boolean {
  return kind === kinds.MESSAGE_APPEND || kind === kinds.MESSAGE_HEARTBEAT || kind === kinds.MESSAGE_SNAPSHOT;
}

/** Of an older term only questions are answered, so that whoever asks learns the term (R20: or it stays stuck); and what was forwarded. */
function onOlderTerm(state: RaftState, message: RaftMessage): void {
  if (isFromLeader(message.kind)) state.send(kinds.MESSAGE_HEARTBEAT_REPLY, sender(message));
  else if (message.kind === kinds.MESSAGE_PRE_VOTE || message.kind === kinds.MESSAGE_VOTE)
    onVoteRequest(state, message);
  else if (message.kind === kinds.MESSAGE_FORWARD) onLateForward(state, message);
  // That something was not appended stays true.
  else if (message.kind === kinds.MESSAGE_FORWARD_REFUSED) onForwardRefused(state, message);
}

/** Takes a newer term over; returns whether the message is still to be looked at. */
function onNewerTerm(state: RaftState, message: RaftMessage): boolean {
  const kind = message.kind;
  // These speak of a term that nobody has taken yet (R30).
  if (kind === kinds.MESSAGE_PRE_VOTE) return true;
  if (kind === kinds.MESSAGE_PRE_VOTE_REPLY && !message.reject) return true;
  if (kind === kinds.MESSAGE_VOTE && !message.force && isInLease(state)) return false;
  becomeFollower(state, message.term, isFromLeader(kind) ? sender(message) : ID64_ZERO);
  return true;
}

function dispatch(state: RaftState, message: RaftMessage): void {
  switch (message.kind) {
    case kinds.MESSAGE_APPEND:
      acknowledgeLeader(state, message);
      return onAppend(state, message);
    case kinds.MESSAGE_APPEND_REPLY:
      return onAppendReply(state, message);
    case kinds.MESSAGE_HEARTBEAT:
      acknowledgeLeader(state, message);
      return onHeartbeat(state, message);
    case kinds.MESSAGE_HEARTBEAT_REPLY:
      return onHeartbeatReply(state, message);
    case kinds.MESSAGE_PRE_VOTE:
    case kinds.MESSAGE_VOTE:
      return onVoteRequest(state, message);
    case kinds.MESSAGE_PRE_VOTE_REPLY:
    case kinds.MESSAGE_VOTE_REPLY:
      return onVoteReply(state, message);
    case kinds.MESSAGE_TIMEOUT_NOW:
      return onTimeoutNow(state);
    case kinds.MESSAGE_READ_INDEX:
      return onReadIndex(state, message);
    case kinds.MESSAGE_READ_INDEX_REPLY:
      return onReadIndexReply(state, message);
    case kinds.MESSAGE_SNAPSHOT:
      acknowledgeLeader(state, message);
      return onSnapshot(state, message);
    case kinds.MESSAGE_FORWARD:
      return onForward(state, message);
    case kinds.MESSAGE_FORWARD_REFUSED:
      return onForwardRefused(state, message);
    default:
      return; // the decoder refuses unknown kinds
  }
}

/** Whoever appends in our term leads it (Raft 5.2). */
function acknowledgeLeader(state: RaftState, message: RaftMessage): void {
  const known = state.leader.hi === message.fromHi && state.leader.lo === message.fromLo;
  if (known && state.role === "follower") return;
  if (state.role === "leader") return; // the handler's assertion: two leaders in one term
  becomeFollower(state, state.term, sender(message));
}

function sender(message: RaftMessage): Id64 {
  return { hi: message.fromHi, lo: message.fromLo };
}
