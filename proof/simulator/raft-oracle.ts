// Raft's promises, looked at after everything that a member does: from the inside (its log, its state) and from what it
// said to others on the wire. A promise that was said is remembered over restarts: that is where a lie comes out.
//
//   election safety, leader completeness, log matching and immutability of what is committed, only entries of the own
//   term are committed by counting, committed on a quorum of those who said "durable", monotone term, commit, applied;
//   and who is a member: the committed log, the member's list and its consensus name the same ones in the same roles.

import { type Id64, id64Hex } from "../../core/base/ids.ts";
import type { Member } from "../../core/member/member.ts";
import type { ConfState } from "../../core/raft/configuration.ts";
import type { Raft } from "../../core/raft/raft.ts";
import {
  MESSAGE_APPEND_REPLY,
  MESSAGE_PRE_VOTE,
  MESSAGE_PRE_VOTE_REPLY,
  MESSAGE_VOTE,
  MESSAGE_VOTE_REPLY,
  type RaftMessage,
} from "../../core/raft/message.ts";
import { describeMembers, digestOf, type GroundTruth } from "./ground-truth.ts";
import type { PeerPlace } from "./peer-network.ts";
import { promise, Violation } from "./violation.ts";

/** What one member has promised, in whichever of its lives. */
class Promises {
  /** The highest term under which it said anything but a pre-vote. */
  term = 0;
  /** Its vote in the latest term in which it gave one. */
  voteTerm = 0;
  votedFor = "";
  /** In the latest term in which it acknowledged entries: up to where. */
  ackTerm = 0;
  ackIndex = 0;
  /** The same by term: a leader that was paused counts what it was told before it was deposed. */
  readonly ackedByTerm = new Map<number, number>();
  /** It came back without its disk: it may promise nothing more. */
  isForgotten = false;
  /** The highest term it was seen in. */
  ownTerm = 0;
  // Of the present life.
  commitIndex = 0;
  appliedIndex = 0;
  lastIndex = 0;
  /** Entries up to here were compared with the committed ones. */
  comparedIndex = 0;
  leaderTerm = 0;
  /** Its configuration when it was looked at last. */
  confState: ConfState | undefined = undefined;
  /** The configuration and the true members when they were compared last. */
  comparedConfState: ConfState | undefined = undefined;
  comparedMembers = "";
}

export interface RaftOracleOptions {
  readonly truth: GroundTruth;
  readonly places: readonly PeerPlace[];
  readonly now: () => number;
  readonly say: (text: string) => void;
}

export class RaftOracle {
  readonly #options: RaftOracleOptions;
  readonly #promisesByPlace: Promises[] = [];
  readonly #leaders = new Map<number, number>();
  /** Terms that had a leader. */
  electionCount = 0;

  constructor(options: RaftOracleOptions) {
    this.#options = options;
  }

  #promisesOf(place: number): Promises {
    return (this.#promisesByPlace[place] ??= new Promises());
  }

  /** A message left a member. */
  sent(from: PeerPlace, message: RaftMessage): void {
    const { kind, term } = message;
    if (kind === MESSAGE_PRE_VOTE || kind === MESSAGE_PRE_VOTE_REPLY) return;
    const said = this.#promisesOf(from.place);
    if (said.isForgotten) return this.#saidWithoutMemory(from.place, message);
    // Not the order: what was said in an older term may leave later, on the other lane.
    said.term = Math.max(said.term, term);
    if (kind === MESSAGE_VOTE_REPLY && !message.reject)
      this.#voted(from, term, { hi: message.toHi, lo: message.toLo });
    else if (kind === MESSAGE_VOTE) this.#voted(from, term, from.id);
    else if (kind === MESSAGE_APPEND_REPLY && !message.reject) this.#acknowledged(said, term, message.index);
  }

  /** A member was opened on its disk: it must still have all that it ever promised. */
  started(place: number, member: Member): void {
    const { raft } = member;
    const said = this.#promisesOf(place);
    const { term, vote } = raft.hardState;
    promise(
      term >= said.term,
      "durable-term",
      () => `member ${place} came back in term ${term}; it had spoken in ${said.term}`,
    );
    if (term === said.voteTerm && said.votedFor !== "") {
      promise(
        id64Hex(vote) === said.votedFor,
        "durable-vote",
        () =>
          `member ${place} came back with vote ${id64Hex(vote)} in term ${term}; it had voted for ${said.votedFor}`,
      );
    }
    beginLife(said, member);
    if (raft.commitIndex > 0) this.#committed(place, raft);
    said.commitIndex = raft.commitIndex;
    this.#checkAcknowledged(place, raft);
    this.#checkApplied(place, member);
  }

  /** The same without its disk: it may be there, but must not take part any more. */
  startedAnew(place: number, member: Member): void {
    const said = this.#promisesOf(place);
    said.isForgotten = true;
    beginLife(said, member);
  }

  #saidWithoutMemory(place: number, { kind, reject, term }: RaftMessage): void {
    const isPromise = kind === MESSAGE_VOTE_REPLY || kind === MESSAGE_APPEND_REPLY;
    promise(
      kind !== MESSAGE_VOTE && (reject || !isPromise),
      "forgotten",
      () => `member ${place} lost its disk, and takes part in term ${term} as if nothing had been`,
    );
  }

  touched(place: number, member: Member): void {
    const { raft } = member;
    const said = this.#promisesOf(place);
    promise(
      raft.term >= said.ownTerm,
      "monotone-term",
      () => `member ${place}: term ${raft.term} after ${said.ownTerm}`,
    );
    said.ownTerm = raft.term;
    promise(
      raft.commitIndex >= said.commitIndex,
      "monotone-commit",
      () => `member ${place}: commit index ${raft.commitIndex} after ${said.commitIndex}`,
    );
    promise(
      raft.commitIndex <= raft.lastIndex,
      "state-order",
      () => `member ${place}: commit index ${raft.commitIndex} beyond its log's end ${raft.lastIndex}`,
    );
    if (raft.isLeader && said.leaderTerm !== raft.term) this.#becameLeader(place, raft);
    if (raft.commitIndex > said.commitIndex) this.#committed(place, raft);
    if (raft.lastIndex < said.lastIndex) this.#checkAcknowledged(place, raft);
    said.commitIndex = raft.commitIndex;
    said.lastIndex = raft.lastIndex;
    said.confState = raft.confState;
    if (member.appliedIndex !== said.appliedIndex) this.#checkApplied(place, member);
  }

  /** All of it, from time to time. */
  sweep(place: number, member: Member): void {
    const { raft } = member;
    const { log } = raft;
    const { entries } = this.#options.truth;
    this.#checkMembers(place, member);
    for (let index = log.compactedIndex + 1; index <= raft.commitIndex; index++) {
      promise(
        log.term(index) === entries[index]?.term,
        "committed-immutable",
        () =>
          `member ${place}: committed entry ${index} has term ${log.term(index)}, it was committed with ${entries[index]?.term}`,
      );
    }
  }

  #voted(from: PeerPlace, term: number, candidate: Id64): void {
    const said = this.#promisesOf(from.place);
    const name = id64Hex(candidate);
    promise(
      said.voteTerm !== term || said.votedFor === name,
      "one-vote",
      () => `member ${from.place} voted for ${name} in term ${term} after it had for ${said.votedFor}`,
    );
    if (term < said.voteTerm) return;
    said.voteTerm = term;
    said.votedFor = name;
  }

  #acknowledged(said: Promises, term: number, index: number): void {
    said.ackedByTerm.set(term, Math.max(index, said.ackedByTerm.get(term) ?? 0));
    if (term < said.ackTerm) return;
    if (term > said.ackTerm) said.ackIndex = 0;
    said.ackTerm = term;
    said.ackIndex = Math.max(said.ackIndex, index);
  }

  #becameLeader(place: number, raft: Raft): void {
    const { term, log } = raft;
    const other = this.#leaders.get(term);
    promise(
      other === undefined || other === place,
      "election-safety",
      () => `members ${other} and ${place} both lead in term ${term}`,
    );
    if (other === undefined) {
      this.electionCount++;
      this.#options.say(`member ${place} leads in term ${term}`);
    }
    this.#leaders.set(term, place);
    this.#promisesOf(place).leaderTerm = term;
    const { entries } = this.#options.truth;
    for (let index = log.compactedIndex + 1; index < entries.length; index++) {
      const entry = entries[index]!;
      if (entry.committedInTerm >= term) continue;
      const has = index <= raft.lastIndex && log.term(index) === entry.term;
      promise(
        has,
        "leader-completeness",
        () =>
          `member ${place} leads in term ${term} without entry ${index}, committed in term ${entry.committedInTerm}`,
      );
    }
  }

  #committed(place: number, raft: Raft): void {
    const { truth, now } = this.#options;
    const { log, commitIndex } = raft;
    const said = this.#promisesOf(place);
    if (raft.isLeader && commitIndex > truth.committedIndex) this.#checkCommitOfLeader(place, raft);
    while (truth.committedIndex < commitIndex) {
      const isKnown = truth.commit(log, { timeUs: now(), committedInTerm: raft.term });
      if (!isKnown)
        throw new Violation(
          "simulator",
          `entry ${truth.committedIndex + 1} was committed and trimmed before it was seen`,
        );
    }
    const { entries } = truth;
    for (let index = Math.max(said.comparedIndex, log.compactedIndex) + 1; index <= commitIndex; index++) {
      const entry = entries[index]!;
      const isSame =
        log.term(index) === entry.term && (index < log.memoryFirst || digestOf(log, index) === entry.digest);
      promise(
        isSame,
        "log-matching",
        () =>
          `member ${place} committed another entry ${index} (term ${log.term(index)}) than the others (term ${entry.term})`,
      );
    }
    said.comparedIndex = commitIndex;
  }

  #checkCommitOfLeader(place: number, raft: Raft): void {
    const { commitIndex, term } = raft;
    promise(
      raft.log.term(commitIndex) === term,
      "commit-own-term",
      () =>
        `leader ${place} of term ${term} committed entry ${commitIndex} of term ${raft.log.term(commitIndex)} by counting (Raft 5.4.2)`,
    );
    this.#acknowledged(this.#promisesOf(place), term, Math.min(commitIndex, raft.durableIndex));
    // A change takes effect when it is applied, which may have been in the same moment as its commit.
    const before = this.#promisesOf(place).confState ?? raft.confState;
    const missing = Math.min(this.#quorumMissing(before, raft), this.#quorumMissing(raft.confState, raft));
    promise(
      missing === 0,
      "committed-on-quorum",
      () =>
        `leader ${place} committed entry ${commitIndex} in term ${term}, but ${missing} more should have said that it is durable`,
    );
  }

  /** How many acknowledgements of what this leader committed are missing; 0 when a quorum gave them. */
  #quorumMissing(conf: ConfState, raft: Raft): number {
    let missing = 0;
    for (const half of [conf.voters, conf.votersOutgoing]) {
      const count = half.filter((id) => this.#hasDurable(id, raft.term, raft.commitIndex)).length;
      if (half.length > 0) missing = Math.max(missing, (half.length >> 1) + 1 - count);
    }
    return missing;
  }

  #hasDurable(id: Id64, term: number, index: number): boolean {
    const place = this.#options.places.find((one) => id64Hex(one.id) === id64Hex(id));
    if (place === undefined) return false;
    return (this.#promisesOf(place.place).ackedByTerm.get(term) ?? 0) >= index;
  }

  /** Committed entries that this member acknowledged to a leader who had them are in its log. */
  #checkAcknowledged(place: number, raft: Raft): void {
    const said = this.#promisesOf(place);
    const { entries } = this.#options.truth;
    const last = Math.min(said.ackIndex, entries.length - 1);
    for (let index = raft.log.compactedIndex + 1; index <= last; index++) {
      const entry = entries[index]!;
      if (entry.committedInTerm > said.ackTerm) continue;
      const has = index <= raft.lastIndex && raft.log.term(index) === entry.term;
      promise(
        has,
        "durable-log",
        () =>
          `member ${place} lost entry ${index} (its log ends at ${raft.lastIndex}), which it had acknowledged in term ${said.ackTerm} and which is committed`,
      );
    }
  }

  #checkApplied(place: number, member: Member): void {
    const said = this.#promisesOf(place);
    const { appliedIndex, raft } = member;
    const { entries } = this.#options.truth;
    promise(
      appliedIndex >= said.appliedIndex,
      "monotone-applied",
      () => `member ${place}: applied index ${appliedIndex} after ${said.appliedIndex}`,
    );
    promise(
      appliedIndex <= raft.commitIndex,
      "state-order",
      () => `member ${place} applied ${appliedIndex}, only ${raft.commitIndex} is committed`,
    );
    // What came as a snapshot is durable without the log.
    const durable = Math.max(raft.durableIndex, raft.log.compactedIndex);
    promise(
      appliedIndex <= durable,
      "state-order",
      () => `member ${place} applied ${appliedIndex}, only ${durable} is durable there`,
    );
    said.appliedIndex = appliedIndex;
    if (appliedIndex === 0) return;
    const { revision, members } = entries[appliedIndex]!;
    if (said.comparedConfState !== raft.confState || said.comparedMembers !== members) {
      this.#checkMembers(place, member);
      said.comparedConfState = raft.confState;
      said.comparedMembers = members;
    }
    promise(
      member.store.revision === revision,
      "state-machine",
      () =>
        `member ${place} is at revision ${member.store.revision} with entry ${appliedIndex} applied; the model is at ${revision}`,
    );
  }

  /** Membership kept in two places drifts (M1). */
  #checkMembers(place: number, member: Member): void {
    const { entries } = this.#options.truth;
    const { confState, appliedIndex } = member.raft;
    const inConsensus = [
      ...confState.voters.map((id) => ({ id, isLearner: false })),
      ...confState.learners.map((id) => ({ id, isLearner: true })),
    ];
    // Consensus takes a snapshot's configuration over when it is durable, a little after the state.
    for (const { what, index, members } of [
      { what: "consensus", index: appliedIndex, members: inConsensus },
      { what: "list", index: member.appliedIndex, members: member.membership.list() },
    ]) {
      const seen = describeMembers(members);
      const truth = entries[index]?.members ?? "";
      promise(
        seen === truth && confState.votersOutgoing.length === 0,
        "same-members",
        () => `member ${place} with entry ${index} applied: its ${what} has ${seen}; the log says ${truth}`,
      );
    }
  }
}

function beginLife(said: Promises, member: Member): void {
  const { raft } = member;
  said.ownTerm = raft.term;
  said.commitIndex = 0;
  said.appliedIndex = member.appliedIndex;
  said.lastIndex = raft.lastIndex;
  said.comparedIndex = raft.log.compactedIndex;
  said.leaderTerm = 0;
  said.confState = raft.confState;
}
