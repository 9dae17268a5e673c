// Everything in a member's consensus that decides what it does next, as text: equal texts behave equally. For searches
// over states and for traces; deadlines are left out, because those move time by hand.

import { id64Hex } from "../base/ids.ts";
import { formatConfState } from "./configuration.ts";
import type { RaftState } from "./state.ts";

export function fingerprint(state: RaftState): string {
  const { log, persistence, tracker } = state;
  let text = `${state.role} ${state.term} ${id64Hex(state.vote)} ${id64Hex(state.leader)} c${state.commitIndex} a${state.appliedIndex} `;
  text += `${state.forced}${state.leaseVoid}${state.orderedTerm} t${state.termFirstIndex} s${state.heartbeatSequence} `;
  text += `m${state.matchedIndex} k${state.ackedIndex}${state.ackOwed} n${state.snapshot?.index}/${state.snapshotSequence} `;
  text += `x${state.transferTarget?.lo}${state.transferOrdered}${state.votesAhead} `;
  text += `p${persistence.durableIndex} ${persistence.handedIndex} ${persistence.batchCount} ${persistence.hardStateDurable} ${persistence.durableCommit} `;
  text += `r${state.readContexts.join()} ${state.pendingReads.map((group) => `${group.sequence}@${group.index}:${group.contexts.join()}+${group.remote.length}`).join()} `;
  text += `${state.sentReads.map((sent) => sent.number).join()} f${state.forwardNumber} `;
  text += `${state.sentForwards.map((sent) => sent.number).join()} w${state.ledTerm}.${state.leaderLeavesTerm}.${state.successorTerm} `;
  text += `${formatConfState(tracker.configuration)} l${log.compactedIndex}:`;
  for (let index = log.compactedIndex; index <= log.lastIndex; index++) text += `${log.term(index)},`;
  for (const member of tracker.members) {
    text += ` ${member.lo}${member.state}${member.paused}${member.match}/${member.next}/${member.inflightCount}/${member.sentCommit}/${member.wantedCommit}/${member.ackedSequence}/${member.vote}/${member.forwardNumber}`;
  }
  return text;
}
