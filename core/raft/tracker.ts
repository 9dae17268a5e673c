// The members of the configuration that is in force, and the questions that need a quorum of them. Members' ids are
// looked up once per message; from then on a member is its Progress.

import { assert } from "../base/assert.ts";
import type { Id64 } from "../base/ids.ts";
import { type ConfState, EMPTY_CONF_STATE, isJoint } from "./configuration.ts";
import { Progress } from "./progress.ts";
import { jointVote, majority, majorityValue, majorityVote, type VoteResult } from "./quorum.ts";

export class Tracker {
  configuration: ConfState = EMPTY_CONF_STATE;
  /** Everybody, this member included, sorted as the configuration is: voters, outgoing ones, learners. */
  members: readonly Progress[] = [];
  #voters: readonly Progress[] = [];
  #outgoing: readonly Progress[] = [];
  #scratch = new Float64Array(8);
  readonly #inflightCountMax: number;
  readonly #inflightBytesMax: number;

  constructor(inflightCountMax: number, inflightBytesMax: number) {
    this.#inflightCountMax = inflightCountMax;
    this.#inflightBytesMax = inflightBytesMax;
  }

  /** Members that stay keep their Progress; new ones start with nothing known behind `lastIndex`. */
  configure(configuration: ConfState, lastIndex: number): void {
    const members: Progress[] = [];
    const take = (id: Id64): Progress => {
      const found = members.find((member) => member.hi === id.hi && member.lo === id.lo);
      if (found !== undefined) return found;
      let member = this.find(id.hi, id.lo);
      if (member === undefined) {
        member = new Progress(id, this.#inflightCountMax, this.#inflightBytesMax);
        member.reset(lastIndex);
      }
      member.isVoter = false;
      member.isOutgoing = false;
      members.push(member);
      return member;
    };
    const voters = configuration.voters.map(take);
    const outgoing = configuration.votersOutgoing.map(take);
    configuration.learners.forEach(take);
    for (const member of voters) member.isVoter = true;
    for (const member of outgoing) member.isOutgoing = true;
    this.configuration = configuration;
    this.members = members;
    this.#voters = voters;
    this.#outgoing = outgoing;
    if (this.#scratch.length < members.length) this.#scratch = new Float64Array(members.length * 2);
    assert(isJoint(configuration) === outgoing.length > 0, "a joint configuration has outgoing voters");
  }

  find(hi: number, lo: number): Progress | undefined {
    const members = this.members;
    for (let i = 0; i < members.length; i++) {
      const member = members[i]!;
      if (member.lo === lo && member.hi === hi) return member;
    }
    return undefined;
  }

  get voterCount(): number {
    return this.#voters.length;
  }

  /** Whether `member` alone is a quorum. */
  isSoleVoter(member: Progress | undefined): boolean {
    return (
      member !== undefined &&
      this.#outgoing.length === 0 &&
      this.#voters.length === 1 &&
      this.#voters[0] === member
    );
  }

  /** Whether these two are a quorum, of both halves of a joint configuration. */
  isQuorumOfTwo(first: Progress | undefined, second: Progress | undefined): boolean {
    if (first === undefined || second === undefined) return false;
    return isMajority(first, second, this.#voters) && isMajority(first, second, this.#outgoing);
  }

  /** The last entry that a quorum has durably (R6, R7: our own part is what is durable here). */
  quorumMatch(): number {
    if (this.#outgoing.length === 0 && this.#voters.length === 1) return this.#voters[0]!.match;
    return Math.min(this.#matchOf(this.#voters), this.#matchOf(this.#outgoing));
  }

  /** The highest heartbeat sequence that a quorum answered. */
  quorumSequence(): number {
    return Math.min(this.#sequenceOf(this.#voters), this.#sequenceOf(this.#outgoing));
  }

  /** The latest moment at which a quorum was in contact. */
  quorumContactMs(): number {
    return Math.min(this.#contactOf(this.#voters), this.#contactOf(this.#outgoing));
  }

  clearVotes(): void {
    for (const member of this.members) member.vote = 0;
  }

  voteResult(): VoteResult {
    return jointVote(voteOf(this.#voters), voteOf(this.#outgoing));
  }

  #matchOf(members: readonly Progress[]): number {
    for (let i = 0; i < members.length; i++) this.#scratch[i] = members[i]!.match;
    return majorityValue(this.#scratch, members.length);
  }

  #sequenceOf(members: readonly Progress[]): number {
    for (let i = 0; i < members.length; i++) this.#scratch[i] = members[i]!.ackedSequence;
    return majorityValue(this.#scratch, members.length);
  }

  #contactOf(members: readonly Progress[]): number {
    for (let i = 0; i < members.length; i++) this.#scratch[i] = members[i]!.contactMs;
    return majorityValue(this.#scratch, members.length);
  }
}

/** Nobody's majority is nobody: an absent half restricts nothing. */
function isMajority(first: Progress, second: Progress, voters: readonly Progress[]): boolean {
  let count = 0;
  for (let i = 0; i < voters.length; i++) if (voters[i] === first || voters[i] === second) count++;
  return voters.length === 0 || count >= majority(voters.length);
}

function voteOf(members: readonly Progress[]): VoteResult {
  let granted = 0;
  let rejected = 0;
  for (let i = 0; i < members.length; i++) {
    if (members[i]!.vote > 0) granted++;
    else if (members[i]!.vote < 0) rejected++;
  }
  return majorityVote(granted, rejected, members.length);
}
