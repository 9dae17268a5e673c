// Consensus as a pure machine: calls go in, takeOutput() says what to do. The contract with the driver, with the order
// that must be kept and what may run in parallel, is docs/internals/raft.md.

import { assert } from "../base/assert.ts";
import { type Id64, id64Equal } from "../base/ids.ts";
import { type ConfChange, confChangeEntryType, decodeConfChange, encodeConfChange } from "./conf-change.ts";
import { assertConfiguration, type ConfState, changedConfiguration } from "./configuration.ts";
import { campaign, countOwnVote, onLeaderDisconnected, voteAhead } from "./election.ts";
import { fingerprint } from "./fingerprint.ts";
import { flushAck } from "./follower.ts";
import { onLeaderDeadline, transferCandidate, transferLeader, transferRefusal } from "./leader.ts";
import { ENTRY_NORMAL, type RaftLog } from "./log.ts";
import { applyConfiguration, checkChange, maybeLeaveJoint, setConfiguration } from "./membership.ts";
import type { RaftMessage } from "./message.ts";
import { type HardState, RaftOutput, type SnapshotMeta } from "./output.ts";
import { flushForwards, forward, hasTaker, proposalRefusal } from "./proposals.ts";
import { addRead, expireReads, flushReads } from "./reads.ts";
import { onSelfDurable, replicate } from "./replication.ts";
import { resetElection } from "./roles.ts";
import { finishSnapshot, snapshotMessage, snapshotReported, takeSnapshotsWanted } from "./snapshots.ts";
import { type RaftOptions, RaftState, type Refusal, type Role } from "./state.ts";
import { step } from "./step.ts";

export class Raft {
  readonly #state: RaftState;
  readonly #output = new RaftOutput();
  /** What the last output said, to tell whether there is news. */
  #commitTold = 0;
  #applyTold = 0;

  constructor(options: RaftOptions) {
    this.#state = new RaftState(options);
    const state = this.#state;
    state.log.confApplied(options.appliedIndex);
    setConfiguration(state, options.confState);
    resetElection(state);
  }

  get log(): RaftLog {
    return this.#state.log;
  }
  get role(): Role {
    return this.#state.role;
  }
  get isLeader(): boolean {
    return this.#state.role === "leader";
  }
  get term(): number {
    return this.#state.term;
  }
  /** 0:0 when unknown. */
  get leader(): Id64 {
    return this.#state.leader;
  }
  get commitIndex(): number {
    return this.#state.commitIndex;
  }
  get appliedIndex(): number {
    return this.#state.appliedIndex;
  }
  get lastIndex(): number {
    return this.#state.log.lastIndex;
  }
  get durableIndex(): number {
    return this.#state.persistence.durableIndex;
  }
  get confState(): ConfState {
    return this.#state.tracker.configuration;
  }
  /** Why the last propose, proposeConfChange, forward or transferLeader was refused. */
  get refusal(): Refusal {
    return this.#state.refusal;
  }
  /** As it is now; what must be durable comes with an output. */
  get hardState(): HardState {
    const state = this.#state;
    // What is not durable here is not stored as committed: its entries may still be lost, and the store would look damaged.
    const commit = Math.min(state.commitIndex, state.persistence.durableIndex);
    return { term: state.term, vote: state.vote, commit };
  }
  /** When onDeadline() is due; Infinity for never. Calling it early does no harm. */
  get nextDeadlineMs(): number {
    const state = this.#state;
    const reads = state.sentReads.length > 0 ? state.sentReads[0]!.deadlineMs : Infinity;
    return Math.min(
      state.electionDeadlineMs,
      state.heartbeatDeadlineMs,
      state.quorumDeadlineMs,
      state.commitNoticeMs,
      state.heldMs,
      state.transferDeadlineMs,
      state.leaderLeavesTerm === state.term ? state.leaderLeavesUntilMs : Infinity,
      reads,
    );
  }

  /** This member belongs to nothing yet: bootstrap() it if it starts a cluster (also when an earlier bootstrap was cut off), else it waits for a leader. */
  get needsBootstrap(): boolean {
    const state = this.#state;
    return state.commitIndex === 0 && state.tracker.members.length === 0 && state.log.lastTerm <= 1;
  }

  /**
   * Starts a new cluster: its configuration as the first entries, committed because every first member is started with the
   * same ones. They have term 1, which no leader ever has, and come out like any others. What an earlier attempt left is replaced.
   */
  bootstrap(changes: readonly ConfChange[]): void {
    const state = this.#state;
    assert(this.needsBootstrap, "only a member without a past is bootstrapped");
    assert(changes.length > 0, "a cluster has a member");
    state.log.truncateAfter(0);
    state.persistence.truncateAfter(0);
    if (state.term === 0) state.term = 1;
    state.persistence.hardStateDirty = true;
    for (const change of changes) {
      const bytes = encodeConfChange(change);
      state.log.append(confChangeEntryType(change), 1, bytes, 0, bytes.length);
    }
    state.commitTo(state.log.lastIndex);
  }

  /** Leader: appends an entry and returns its index; 0 when refused (see `refusal`). Sent and persisted by the next output. */
  propose(bytes: Uint8Array, start: number, end: number): number {
    const state = this.#state;
    state.refusal = proposalRefusal(state, 1, end - start);
    if (state.refusal !== "none") return 0;
    return state.log.append(ENTRY_NORMAL, state.term, bytes, start, end);
  }

  /**
   * Follower: sends a proposal to the leader, exactly once; returns the number of the message it goes with, or 0 when refused.
   * The number may come back in `forwardsRefused`, or its proposals in `forwardsReturned`; else its entry comes out of the log, or
   * nobody knows.
   */
  // Five parameters, as everywhere on the way of an entry: no object per proposal.
  forward(type: number, bytes: Uint8Array, start: number, end: number): number {
    return forward(this.#state, type, bytes, start, end);
  }

  /**
   * The last message with proposals that was sent before the present term. Once an entry of this term is applied here, whatever was in
   * those messages, or was proposed here in an earlier term, is applied as well or never will be: an entry of an older term that is not
   * before this one's first is in no log that can win an election any more (Raft 5.4.3), and no leader takes a message of an older term.
   */
  get forwardNumberBefore(): number {
    return this.#state.forwardNumberBefore;
  }

  /** Leader: proposes a change of the configuration; returns its index or 0. It takes effect when it is applied. */
  proposeConfChange(change: ConfChange): number {
    const state = this.#state;
    const bytes = encodeConfChange(change);
    state.refusal = proposalRefusal(state, 1, bytes.length);
    if (state.refusal === "none") state.refusal = checkChange(state, change);
    if (state.refusal !== "none") return 0;
    return state.log.append(confChangeEntryType(change), state.term, bytes, 0, bytes.length);
  }

  /**
   * What the driver has against a change, asked before one is appended, of this member's clients or another's; by then all
   * changes before it are applied here.
   */
  checkChangesWith(mayChange: (change: ConfChange) => boolean): void {
    this.#state.mayChange = mayChange;
  }

  /** Asks for a linearizable read. The context comes back in `reads` or `readsAborted`. False: too many wait. */
  readIndex(context: number): boolean {
    return addRead(this.#state, context);
  }

  /** A message from a peer, decoded. It may be reused after the call. */
  step(message: RaftMessage, nowMs: number): void {
    this.#state.setNow(nowMs);
    step(this.#state, message);
  }

  /** The connection to a peer closed from its side. Of a leader that means that it is probably gone. */
  peerDisconnected(id: Id64, nowMs: number): void {
    const state = this.#state;
    state.setNow(nowMs);
    if (state.role === "leader") this.reportUnreachable(id);
    else if (id64Equal(id, state.leader)) onLeaderDisconnected(state);
  }

  /** A message could not be sent: what is on the way to this peer is probably lost. */
  reportUnreachable(id: Id64): void {
    const member = this.#state.tracker.find(id.hi, id.lo);
    if (this.#state.role === "leader" && member?.state === "replicate") member.becomeProbe();
  }

  /** Leader: hands leadership to this voter; false when refused. Ends with a new leader, or after an election timeout. */
  transferLeader(id: Id64): boolean {
    return transferLeader(this.#state, id);
  }

  /** Leader: it is handing over, and takes no proposals. */
  get isTransferring(): boolean {
    return this.#state.transferTarget !== undefined;
  }

  /** Proposals have somewhere to go: this leader, another one, or the candidate that is about to follow it. Else keep them. */
  get hasTaker(): boolean {
    const state = this.#state;
    return state.role === "leader" ? state.transferTarget === undefined : hasTaker(state);
  }

  /** Leader: whether this member may take over. */
  mayTransferTo(id: Id64): boolean {
    return transferRefusal(this.#state, id) === "none";
  }

  /** Leader: the voter that can take over soonest. */
  transferCandidate(): Id64 | undefined {
    return this.#state.role === "leader" ? transferCandidate(this.#state) : undefined;
  }

  /** Leader: up to where a member is known to have the log; 0 when unknown. */
  matchIndexOf(id: Id64): number {
    if (this.#state.role !== "leader") return 0;
    return this.#state.tracker.find(id.hi, id.lo)?.match ?? 0;
  }

  /**
   * Leader: the message that ends the stream of a snapshot to a peer that wanted one; undefined when it no longer does. The peer's
   * driver steps it once it has all data.
   */
  snapshotMessage(peer: Id64, meta: SnapshotMeta): RaftMessage | undefined {
    return snapshotMessage(this.#state, peer, meta);
  }

  /** Follower: a snapshot that was stepped comes with the next output; false when it was not needed. */
  get hasSnapshotToInstall(): boolean {
    return this.#state.snapshot !== undefined && this.#state.snapshotSequence === 0;
  }

  /** Leader: the stream of a snapshot ended. Appends go on from the snapshot, or from where the peer was. */
  snapshotReported(peer: Id64, ok: boolean): void {
    snapshotReported(this.#state, peer, ok);
  }

  /** Campaigns now, if this member may; for tests and operators. */
  campaign(nowMs: number): void {
    this.#state.setNow(nowMs);
    campaign(this.#state, { preVote: true, forced: false });
  }

  /** Call when nextDeadlineMs has passed, after all messages that have arrived were stepped. */
  onDeadline(nowMs: number): void {
    const state = this.#state;
    state.setNow(nowMs);
    expireReads(state);
    if (state.nowMs >= state.leaderLeavesUntilMs) state.leaderLeavesTerm = -1;
    if (state.role === "leader") onLeaderDeadline(state);
    else if (state.nowMs >= state.electionDeadlineMs) campaign(state, { preVote: true, forced: false });
  }

  /** Every batch up to this number is durable. Late and repeated calls do no harm. */
  persisted(sequence: number): void {
    const state = this.#state;
    state.persistence.persisted(sequence);
    finishSnapshot(state);
    if (state.role === "leader") onSelfDurable(state);
    else if (state.role === "candidate") countOwnVote(state);
  }

  /**
   * Applies a configuration change: call for each such entry, in order, before appliedTo() passes it, and persist what comes back with the applied state.
   * `change` as decoded from the entry; undefined when the driver rejected it, so that nothing changes.
   */
  applyConfChange(index: number, change: ConfChange | undefined): ConfState {
    const state = this.#state;
    assert(
      index === state.log.firstUnappliedConfIndex,
      "configuration changes are applied in order, each once",
    );
    assert(index <= state.commitIndex, "only committed changes are applied");
    state.log.confApplied(index);
    const next =
      change === undefined
        ? state.tracker.configuration
        : changedConfiguration(state.tracker.configuration, change);
    // Every member refuses the same changes, because the check has no other input.
    if (typeof next !== "string") applyConfiguration(state, next);
    // Whoever was added asks any member where it belongs: none should learn of it late (commit notices, raft.md).
    if (state.role === "leader") for (const member of state.tracker.members) member.wantedCommit = index;
    return state.tracker.configuration;
  }

  /** The configuration at the applied index, of a state that was fetched instead of applied entry by entry. */
  adoptConfState(confState: ConfState): void {
    assertConfiguration(confState);
    applyConfiguration(this.#state, confState);
  }

  /** All that decides what comes next, but for deadlines; for searches over states and for traces. */
  fingerprint(): string {
    return fingerprint(this.#state);
  }

  /** Decodes the configuration change at `index` of the log. */
  confChangeAt(index: number): ConfChange {
    const log = this.#state.log;
    return decodeConfChange(log.type(index), log.bytes(index), log.start(index), log.end(index));
  }

  /** Entries up to `index` are applied. Frees their share of the proposal limit, and memory. */
  appliedTo(index: number): void {
    const state = this.#state;
    assert(index >= state.appliedIndex, "the applied index never falls");
    assert(index <= state.commitIndex, "only committed entries are applied");
    assert(index <= state.persistence.durableIndex, "only what is durable here is applied");
    const conf = state.log.firstUnappliedConfIndex;
    assert(conf === 0 || conf > index, "a configuration change goes through applyConfChange first");
    state.appliedIndex = index;
    // A member alone sends entries to nobody: one chunk keeps them all in the processor's cache.
    const alone = state.tracker.members.length <= 1;
    const bytesMax = alone ? state.limits.raftArenaBytes : state.limits.raftMemoryBytesMax;
    state.log.trim(index, bytesMax);
  }

  /** Entries up to `index` are covered by a snapshot or checkpoint and not sent to peers any more. */
  compactLog(index: number): void {
    assert(index <= this.#state.appliedIndex, "only applied entries are compacted");
    this.#state.log.compact(index);
  }

  /**
   * What to do now; undefined when there is nothing. Call it at the end of every turn, and after persisted() and appliedTo(),
   * until it returns undefined.
   */
  takeOutput(nowMs: number): RaftOutput | undefined {
    const state = this.#state;
    state.setNow(nowMs);
    const output = this.#output;
    for (const message of output.messages) state.messagePool.push(message);
    output.clear();
    if (state.votesAhead) voteAhead(state);
    flushReads(state);
    flushForwards(state);
    state.forwardedBytes = 0;
    if (state.role === "leader") {
      maybeLeaveJoint(state);
      replicate(state);
    } else flushAck(state);
    let news = this.#handBatch(output);
    output.commitIndex = state.commitIndex;
    output.applyIndex = applicableIndex(state);
    if (output.commitIndex !== this.#commitTold || output.applyIndex !== this.#applyTold) news = true;
    this.#commitTold = output.commitIndex;
    this.#applyTold = output.applyIndex;
    if (this.#handEvents(output)) news = true;
    return news ? output : undefined;
  }

  #handBatch(output: RaftOutput): boolean {
    const state = this.#state;
    const persistence = state.persistence;
    if (state.snapshot !== undefined) return this.#handSnapshot(output, state.snapshot);
    const lastIndex = state.log.lastIndex;
    const first = persistence.handedIndex + 1;
    const hasHardState = persistence.hardStateDirty || wantsDurableCommit(state);
    if (!hasHardState && first > lastIndex) return false;
    if (hasHardState) this.#handHardState(output);
    if (first <= lastIndex) {
      output.entriesFirst = first;
      output.entriesLast = lastIndex;
    }
    output.sequence = persistence.hand(lastIndex, state.nowMs);
    return true;
  }

  #handHardState(output: RaftOutput): void {
    const { hardState } = this;
    output.hardState = hardState;
    this.#state.persistence.handHardState(hardState.commit);
  }

  /** A snapshot is a batch of its own, and nothing follows before it is installed. */
  #handSnapshot(output: RaftOutput, snapshot: SnapshotMeta): boolean {
    const state = this.#state;
    if (state.snapshotSequence !== 0) return false;
    if (state.persistence.hardStateDirty) this.#handHardState(output);
    output.snapshot = snapshot;
    output.sequence = state.persistence.hand(snapshot.index, state.nowMs);
    state.snapshotSequence = output.sequence;
    return true;
  }

  #handEvents(output: RaftOutput): boolean {
    const state = this.#state;
    let news = takeSnapshotsWanted(state, output.snapshotsWanted);
    if (state.outbox.length > 0 && state.persistence.hardStateDurable) {
      const messages = output.messages;
      output.messages = state.outbox;
      state.outbox = messages;
      news = true;
    }
    if (state.readsReady.length > 0) {
      const reads = output.reads;
      output.reads = state.readsReady;
      state.readsReady = reads;
      news = true;
    }
    if (state.readsAborted.length > 0) {
      const aborted = output.readsAborted;
      output.readsAborted = state.readsAborted;
      state.readsAborted = aborted;
      news = true;
    }
    if (state.forwardsRefused.length > 0) {
      const refused = output.forwardsRefused;
      output.forwardsRefused = state.forwardsRefused;
      state.forwardsRefused = refused;
      news = true;
    }
    if (state.forwardsReturned.length > 0) {
      const returned = output.forwardsReturned;
      output.forwardsReturned = state.forwardsReturned;
      state.forwardsReturned = returned;
      news = true;
    }
    if (state.leaderChanged) {
      state.leaderChanged = false;
      output.leaderChanged = true;
      news = true;
    }
    return news;
  }
}

/**
 * Up to where entries may be applied. A configuration change only once it is durable that it is committed: after a restart
 * this member would otherwise act under the configuration before it, alone where others are to be asked now (a single
 * voter could commit without the voters it had added).
 */
function applicableIndex(state: RaftState): number {
  const last = Math.min(state.commitIndex, state.persistence.durableIndex);
  const change = state.log.firstUnappliedConfIndex;
  const isHeld = change !== 0 && change <= last && state.persistence.durableCommit < change;
  return Math.max(state.appliedIndex, isHeld ? change - 1 : last);
}

function wantsDurableCommit(state: RaftState): boolean {
  const change = state.log.firstUnappliedConfIndex;
  if (change === 0 || change > state.commitIndex || change > state.persistence.durableIndex) return false;
  return state.persistence.handedCommit < change;
}
