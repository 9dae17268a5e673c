// One server as a machine: requests and messages of peers go in, a batch per turn; log writes, messages and replies come
// out. It opens no socket and reads no clock; `io` and the simulator drive it (docs/internals/member.md).
//
//   onUnary/onStream…, onPeerFrame ──> turn() ──> log batch ──durable──> apply ──> replies ──> background(): watchers, checkpoints
//
// The state is here, as fields that the files of this folder share (member-state.ts); what they do with it is in dispatch.ts
// (requests), apply.ts (committed entries), the *-api.ts files (services), checkpointer.ts and housekeeping.ts (what nobody
// waits for). This file puts them together, and none of them imports it.

import { assert } from "../base/assert.ts";
import { ID64_ZERO, type Id64, id64Equal, id64Hex, id64ToBigInt } from "../base/ids.ts";
import type { Limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import { LeaseRequests } from "../lease/lease-requests.ts";
import type { Lessor } from "../lease/lessor.ts";
import { KvMachine } from "../mvcc/kv-machine.ts";
import type { HashDone } from "../mvcc/housekeeping.ts";
import type { Store } from "../mvcc/store.ts";
import { decodeMessage, encodeMessage } from "../raft/codec.ts";
import type { ConfChange } from "../raft/conf-change.ts";
import {
  MESSAGE_APPEND,
  MESSAGE_FORWARD,
  MESSAGE_HEARTBEAT,
  MESSAGE_HEARTBEAT_REPLY,
  type RaftMessage,
} from "../raft/message.ts";
import type { RaftOutput, SnapshotMeta } from "../raft/output.ts";
import type { Raft } from "../raft/raft.ts";
import type { Wal } from "../wal/wal.ts";
import { WatchHub } from "../watch/hub.ts";
import { type HeaderSource, headerSource } from "../wire/header.ts";
import type * as m from "../wire/messages.ts";
import type { Input, MessageOf } from "../wire/schema.ts";
import { METHOD } from "../wire/service.ts";
import { STATUS, type Status } from "../wire/status.ts";
import { Admission } from "./admission.ts";
import type { Alarms } from "./alarms.ts";
import { Applier } from "./apply.ts";
import type { Call } from "./call.ts";
import type { CheckpointState } from "./checkpoint-state.ts";
import { notBuilt, onUnary, refusalOf } from "./dispatch.ts";
import { type ForwardDone, Forwarding } from "./forwarding.ts";
import { KeepAliveStream } from "./lease-api.ts";
import type { MemberState } from "./member-state.ts";
import type { MemberInfo, Membership } from "./membership.ts";
import { refusalOfChange } from "./membership-change.ts";
import { ApplyTimes } from "./apply-times.ts";
import { MemberCounters } from "./counters.ts";
import { registerGauges } from "./gauges.ts";
import { KvCounts } from "../mvcc/kv-counts.ts";
import { PeerStatistics } from "./peer-stats.ts";
import { RangeTimes } from "./range-times.ts";
import { Divergence } from "./divergence.ts";
import { FORMAT_WITH_CHECKED_CHANGES, Formats } from "./format.ts";
import { Housekeeping } from "./housekeeping.ts";
import type { MemberOptions } from "./options.ts";
import { PastLives } from "./past-lives.ts";
import { beginFrame, endFrame, FRAME_CALL, FRAME_RAFT, LANE_BULK, LANE_CONTROL } from "./peer-frames.ts";
import { PeerList } from "./peer-list.ts";
import { PendingCalls } from "./pending.ts";
import { Proposals } from "./proposals.ts";
import { PulledRange, StreamedRange } from "./large-answers.ts";
import { Reading } from "./reading.ts";
import { type ReadProbe, ReadQueue } from "./reads.ts";
import { Rejoin } from "./rejoin.ts";
import { Removal } from "./removal.ts";
import { WatchGate } from "./watch-gate.ts";

/** What `recovery.ts` puts together before a member can run. */
export interface MemberParts {
  readonly raft: Raft;
  readonly wal: Wal;
  store: Store;
  lessor: Lessor;
  membership: Membership;
  alarms: Alarms;
  readonly clusterVersion: string;
  readonly formatVersion: number;
  readonly effectHash: number | undefined;
  /** Differs at every start of this member. */
  readonly bootCounter: number;
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly dataDirectory: string;
}

/** As in etcd. */
const WARNING_APPLY_MS = 100;

export class Member implements MemberState {
  readonly options: MemberOptions;
  readonly limits: Limits;
  readonly clock: Clock;
  readonly raft: Raft;
  readonly wal: Wal;
  store: Store;
  kv!: KvMachine;
  lessor: Lessor;
  leases!: LeaseRequests;
  readonly hub: WatchHub;
  membership: Membership;
  alarms: Alarms;
  readonly header: HeaderSource;
  readonly pending: PendingCalls;
  readonly admission: Admission;
  readonly reads: ReadQueue;
  readonly proposals: Proposals;
  readonly reading: Reading;
  readonly watchGate: WatchGate;
  readonly forwarding: Forwarding;
  readonly keepAliveStreams = new Set<KeepAliveStream>();
  readonly housekeeping: Housekeeping;
  readonly formats: Formats;
  readonly divergence: Divergence;
  readonly rejoin: Rejoin;
  readonly pastLives: PastLives;
  readonly peerList: PeerList;
  readonly removal: Removal;
  dataDirectory: string;
  clusterVersion: string;
  formatVersion: number;
  applicableIndex: number;
  appliedIndex: number;
  appliedTerm: number;
  nowMs: number;
  #clockIsRead = false;
  isStopping = false;
  readonly #applier: Applier;
  readonly counters: MemberCounters;
  readonly kvCounts = new KvCounts();
  readonly applyTimes: ApplyTimes;
  readonly rangeTimes: RangeTimes;
  readonly peerStatistics: PeerStatistics;
  /** Since when each peer has been connected, by hexadecimal id. */
  readonly #connectedSinceMs = new Map<string, number>();
  /** Waits for the next applied lease entry. */
  #leaseWaiters: ReadProbe[] = [];
  #transfer:
    | {
        readonly target: Id64;
        readonly done: (failure: Status | undefined) => void;
        readonly deadlineMs: number;
      }
    | undefined;
  /** When streams that ask for a leader end; Infinity while there is one, and once they were told. */
  #leaderlessDeadlineMs = Number.POSITIVE_INFINITY;
  #wasLeader = false;
  /** 0:0 while there is none. */
  #knownLeader: Id64 = ID64_ZERO;
  isLearner = false;
  /** The log could not be written; the next turn throws it. */
  #fault: Error | undefined;

  constructor(options: MemberOptions, parts: MemberParts) {
    this.options = options;
    this.limits = options.limits;
    this.clock = options.clock;
    this.raft = parts.raft;
    this.wal = parts.wal;
    this.store = parts.store;
    this.lessor = parts.lessor;
    this.membership = parts.membership;
    this.alarms = parts.alarms;
    this.clusterVersion = parts.clusterVersion;
    this.formatVersion = parts.formatVersion;
    this.appliedIndex = parts.appliedIndex;
    this.applicableIndex = parts.appliedIndex;
    this.appliedTerm = parts.appliedTerm;
    this.nowMs = options.clock.now();
    this.header = headerSource(options.clusterId, options.memberId, parts.raft.term);
    this.dataDirectory = parts.dataDirectory;
    this.#attachStore();
    this.hub = new WatchHub({
      store: parts.store,
      header: this.header,
      limits: options.limits,
      progressMs: options.watchProgressMs,
      seed: options.prng.uint32(),
    });
    this.pending = new PendingCalls(options.limits.proposalCountMax, options.prng.split("requests").uint32());
    this.admission = new Admission(options.limits);
    this.proposals = new Proposals(this, this.pending, parts.bootCounter);
    this.reads = new ReadQueue(options.limits.proposalCountMax);
    this.reading = new Reading(this, this.reads);
    this.watchGate = new WatchGate(this);
    this.forwarding = new Forwarding(options.limits.proposalCountMax);
    this.counters = new MemberCounters(options.metrics);
    this.applyTimes = new ApplyTimes(this, options.metrics);
    this.rangeTimes = new RangeTimes(options.clock, options.metrics);
    this.peerStatistics = new PeerStatistics({
      self: options.memberId,
      metrics: options.metrics,
      heartbeatsLate: this.counters.heartbeatsLate,
      heartbeatMs: options.heartbeatMs,
    });
    this.formats = new Formats(this);
    this.divergence = new Divergence(this, parts.effectHash);
    this.rejoin = new Rejoin(this);
    this.pastLives = new PastLives(this, parts.bootCounter);
    this.housekeeping = new Housekeeping(this);
    this.#applier = new Applier(this);
    this.#watchLog();
    this.raft.checkChangesWith((change) => this.#mayChange(change));
    this.peerList = new PeerList(this);
    this.removal = new Removal(this);
    this.#lookAtMembership();
    registerGauges(this, options.metrics);
  }

  #watchLog(): void {
    const { walFsyncSeconds, walFsyncFineSeconds, walWriteSeconds } = this.counters;
    this.wal.onSync = (durationMs, writeMs) => {
      walFsyncSeconds.observe(durationMs / 1000);
      walFsyncFineSeconds.observe(durationMs / 1000);
      if (writeMs >= 0) walWriteSeconds.observe(writeMs / 1000);
    };
  }

  get isLeader(): boolean {
    return this.raft.isLeader;
  }

  get isSoleVoter(): boolean {
    const { voters, votersOutgoing } = this.raft.confState;
    return voters.length === 1 && votersOutgoing.length === 0;
  }

  get hasLeader(): boolean {
    return isId(this.raft.leader);
  }

  get quotaBytes(): number {
    const { quotaBytes } = this.limits;
    return quotaBytes === 0 ? 2 * 1024 * 1024 * 1024 : quotaBytes;
  }

  /** What `/health` names: alarms, and that this member does not serve because its state is wrong. */
  get healthAlarms(): readonly string[] {
    const names = this.alarms.healthNames();
    return this.rejoin.isActive && !names.includes("CORRUPT") ? [...names, "CORRUPT"] : names;
  }

  get storageVersion(): string {
    return this.clusterVersion;
  }

  /** An entry that takes longer to be applied is counted as slow, and logged. */
  get warningApplyMs(): number {
    return this.options.warningApplyMs ?? WARNING_APPLY_MS;
  }

  get requestTimeoutMs(): number {
    return 5_000 + 2 * this.options.electionMs;
  }

  responseHeader(): Input<MessageOf<typeof m.ResponseHeader>> {
    return { ...this.clusterHeader(), revision: this.store.revision };
  }

  clusterHeader(): Input<MessageOf<typeof m.ResponseHeader>> {
    return {
      cluster_id: id64ToBigInt(this.options.clusterId),
      member_id: id64ToBigInt(this.options.memberId),
      raft_term: this.raft.term,
    };
  }

  // ServerHandler: what the transport hands in.

  onUnary(call: Call, bytes: Uint8Array, start: number, end: number): void {
    this.#readClock();
    onUnary(this, call, bytes, start, end);
    this.options.waker.wake();
  }

  onStreamOpen(call: Call): void {
    const refusal = refusalOf(this, call);
    if (refusal !== undefined) return call.fail(refusal);
    if (call.method === METHOD.watch) this.hub.open(call);
    else if (call.method !== METHOD.leaseKeepAlive && call.method !== METHOD.rangeStream)
      call.fail(notBuilt(call));
    else if (call.method === METHOD.leaseKeepAlive) {
      const stream = new KeepAliveStream(this, call);
      call.state = stream;
      this.keepAliveStreams.add(stream);
    }
  }

  onStreamMessage(call: Call, bytes: Uint8Array, start: number, end: number): void {
    this.#readClock();
    if (call.method === METHOD.watch) this.watchGate.onMessage(call, bytes, start, end);
    else if (call.method === METHOD.rangeStream) this.reading.rangeStream(call, bytes, start, end);
    else if (call.state instanceof KeepAliveStream) call.state.onMessage(bytes, start, end);
    this.options.waker.wake();
  }

  // Once a turn, with its first input: after an idle hour the time of the last turn would be an hour old.
  #readClock(): void {
    if (this.#clockIsRead) return;
    this.#clockIsRead = true;
    this.nowMs = this.clock.now();
  }

  onStreamHalfClose(call: Call): void {
    // A watch goes on: the HTTP gateway closes its half after the first request.
    if (call.state instanceof KeepAliveStream) call.state.onHalfClose();
    this.options.waker.wake();
  }

  onCancel(call: Call): void {
    if (call.method === METHOD.watch) this.hub.close(call);
    else if (call.state instanceof PulledRange || call.state instanceof StreamedRange) call.state.cancel();
    else if (call.state instanceof KeepAliveStream) call.state.end(STATUS.contextCanceled);
    // Unary calls are finished by what they wait for: a proposal cannot be taken back.
  }

  onWritable(call: Call): void {
    if (call.method === METHOD.watch) this.hub.onWritable(call);
    else if (call.state instanceof StreamedRange) call.state.go();
    this.options.waker.wake();
  }

  // Peers.

  onPeerFrame(from: Id64, kind: number, bytes: Uint8Array, start: number, end: number): void {
    this.nowMs = this.clock.now();
    if (kind === FRAME_RAFT) {
      const message = decodeMessage(bytes, start, end);
      if (message.kind === MESSAGE_HEARTBEAT_REPLY)
        this.peerStatistics.heartbeatAnswered(from, message.sequence, this.nowMs);
      this.pastLives.step(from, message);
    } else if (kind === FRAME_CALL) {
      const source = {
        peer: from,
        start,
        writerTo: (peer: Id64) => this.options.peers.writer(peer, LANE_CONTROL),
      };
      this.forwarding.onFrame(source, bytes, end, (call, body, from_, to) =>
        onUnary(this, call, body, from_, to),
      );
    } else this.housekeeping.onPeerFrame(from, kind, bytes, start, end);
    this.options.waker.wake();
  }

  onPeerConnected(peer: Id64): void {
    this.#connectedSinceMs.set(id64Hex(peer), this.clock.now());
    this.pastLives.connected(peer);
    this.peerList.introduce(peer);
    this.options.waker.wake();
  }

  /** This member has begun to listen to another one, which may not have listened to its first introduction either. */
  onPeerAdmitted(peer: Id64): void {
    this.pastLives.admitted(peer);
    this.peerList.introduce(peer);
    this.options.waker.wake();
  }

  onPeerDisconnected(peer: Id64): void {
    // Of the two connections between members the other's may have ended alone.
    const isConnected = this.options.peers.writer(peer, LANE_CONTROL) !== undefined;
    if (!isConnected) {
      this.#connectedSinceMs.delete(id64Hex(peer));
      this.peerStatistics.disconnected(peer);
      this.pastLives.disconnected(peer);
    }
    this.housekeeping.sender.disconnected(peer);
    this.raft.peerDisconnected(peer, this.clock.now());
    this.options.waker.wake();
  }

  connectedForMs(peer: Id64): number {
    const sinceMs = this.#connectedSinceMs.get(id64Hex(peer));
    return sinceMs === undefined ? 0 : Math.max(1, this.clock.now() - sinceMs);
  }

  matchIndexOf(peer: Id64): number {
    return this.raft.matchIndexOf(peer);
  }

  /**
   * Why a request that adds to the store is refused; raises the alarm when it is the first. An alarm that was disarmed while the
   * disk is still full protects nothing: what the log has left is for what frees room.
   */
  refusalToGrow(costBytes: number): Status | undefined {
    if (this.alarms.isNoSpace) return STATUS.noSpace;
    const isBelowQuota = this.quotaBytes < 0 || this.store.sizeBytes + costBytes < this.quotaBytes;
    if (isBelowQuota && this.housekeeping.takeRoom(costBytes)) return undefined;
    this.housekeeping.raiseNoSpace();
    return STATUS.noSpace;
  }

  readonly #serveRead = (call: Call, bytes: Uint8Array, start: number, end: number): void =>
    this.reading.serveConfirmed(call, bytes, start, end);

  forwardToLeader(call: Call, bytes: Uint8Array, start: number, end: number): void {
    const copy = bytes.slice(start, end);
    this.askLeader(call.method.id, copy, (failure, answer, from, to) => {
      if (failure !== undefined) return call.fail(failure);
      call.beginMessage().raw(answer, from, to);
      call.endMessage();
      call.finish();
    });
  }

  askLeader(methodId: number, request: Uint8Array, done: ForwardDone): void {
    if (!this.hasLeader)
      return this.housekeeping.waitForLeader(() => this.askLeader(methodId, request, done), done);
    const writer = this.options.peers.writer(this.raft.leader, LANE_CONTROL);
    const deadlineMs = this.nowMs + this.requestTimeoutMs;
    this.forwarding.ask(
      writer,
      { methodId, bytes: request, start: 0, end: request.length, deadlineMs },
      done,
    );
  }

  transferLeadership(target: Id64, done: (failure: Status | undefined) => void): void {
    if (this.#transfer !== undefined || !this.raft.mayTransferTo(target))
      return done(STATUS.badLeaderTransferee);
    const nowMs = this.clock.now();
    this.#transfer = { target, done, deadlineMs: nowMs + this.requestTimeoutMs };
    // No proposal is taken once Raft hands over, so what leases have left is written down before.
    this.housekeeping.leases.beforeHandOver(nowMs, () => this.#handOverTo(target));
    this.options.waker.wake();
  }

  #handOverTo(target: Id64): void {
    const transfer = this.#transfer;
    if (transfer === undefined || this.raft.transferLeader(target)) return;
    this.#transfer = undefined;
    transfer.done(STATUS.badLeaderTransferee);
  }

  /** Calls back when the next entry that concerns leases is applied. */
  afterLeaseChange(probe: ReadProbe): void {
    this.#leaseWaiters.push(probe);
    this.housekeeping.wantClears();
  }

  afterLeaseEntry(status: Status): Status {
    this.#wakeLeaseWaiters(undefined);
    return status;
  }

  startHash(revision: number, done: HashDone): void {
    this.housekeeping.startHash(revision, done);
  }

  startDefragmentation(done: () => void): Status | undefined {
    return this.housekeeping.startDefragmentation(done);
  }

  /** Works off all input of this turn. Throws on a fault of the disk and on a bug: the process must end then. */
  turn(): void {
    if (this.#fault !== undefined) throw this.#fault;
    const nowMs = this.clock.now();
    this.nowMs = nowMs;
    this.#clockIsRead = false;
    this.peerList.turn();
    if (nowMs >= this.wal.nextDeadlineMs()) this.wal.onDeadline(nowMs);
    if (nowMs >= this.raft.nextDeadlineMs) this.raft.onDeadline(nowMs);
    this.#askReads(nowMs);
    const waitingCount = this.pending.count;
    const waitingSinceMs = this.pending.oldestStartedMs();
    this.#pump(nowMs);
    if (this.pending.count < waitingCount)
      this.admission.answered(waitingCount, this.clock.now() - waitingSinceMs, nowMs);
    this.reads.serve(this.appliedIndex, this.#serveRead);
    this.watchGate.turn();
    this.rangeTimes.flush();
    this.#expire(nowMs);
    this.removal.turn(nowMs);
  }

  /** The member's own duties and a slice of what nobody waits for, when the turn's output has left; true when there is more. */
  background(): boolean {
    this.housekeeping.turn(this.nowMs);
    // It proposes, too.
    this.#pump(this.nowMs);
    return this.housekeeping.background();
  }

  nextDeadlineMs(): number {
    return Math.min(
      this.raft.nextDeadlineMs,
      this.wal.nextDeadlineMs(),
      this.pending.nextDeadlineMs(this.requestTimeoutMs),
      this.reads.nextDeadlineMs(this.requestTimeoutMs),
      this.forwarding.nextDeadlineMs(),
      this.housekeeping.nextDeadlineMs(),
      this.removal.nextDeadlineMs(),
      this.#transfer?.deadlineMs ?? Number.POSITIVE_INFINITY,
      this.#leaderlessDeadlineMs,
    );
  }

  #askReads(nowMs: number): void {
    if (this.reads.hasArrivals) this.raft.readIndex(this.reads.closeArrivals(nowMs));
    for (const context of this.reads.retries(nowMs)) this.raft.readIndex(context);
  }

  #pump(nowMs: number): void {
    let hasSent = false;
    for (;;) {
      this.housekeeping.release();
      const output = this.raft.takeOutput(nowMs);
      if (output === undefined) {
        if (this.rejoin.isActive || this.applicableIndex <= this.appliedIndex) return;
        // The leader waits for a follower's acknowledgement, and nobody for what the follower applies.
        if (!this.isLeader) this.options.peers.flush();
        this.applyUpTo(this.applicableIndex);
        continue;
      }
      this.#send(output.messages);
      // The peers' disks work while ours does (thesis 10.2.1): the sync below may hold the loop.
      hasSent ||= output.messages.length > 0;
      if (hasSent && output.sequence !== 0) this.options.peers.flush();
      if (output.snapshot !== undefined) this.#install(output.snapshot);
      if (output.sequence !== 0) this.#persist(output);
      this.applicableIndex = Math.max(this.applicableIndex, output.applyIndex);
      for (const group of output.reads)
        for (const context of group.contexts) this.reads.confirm(context, group.index);
      for (const context of output.readsAborted) this.reads.abort(context, nowMs);
      this.counters.readIndexesFailed.add(output.readsAborted.length);
      for (const peer of output.snapshotsWanted) this.housekeeping.sender.want(peer);
      for (const number of output.forwardsRefused) this.housekeeping.forwardRefused(number);
      for (const batch of output.forwardsReturned) this.proposals.proposeReturned(batch);
      if (output.leaderChanged) this.#onLeaderChanged(nowMs);
    }
  }

  #send(messages: readonly RaftMessage[]): void {
    for (const message of messages) {
      const lane =
        message.kind === MESSAGE_APPEND || message.kind === MESSAGE_FORWARD ? LANE_BULK : LANE_CONTROL;
      const to = { hi: message.toHi, lo: message.toLo };
      const writer = this.options.peers.writer(to, lane);
      if (writer === undefined) {
        if (message.kind === MESSAGE_FORWARD) this.housekeeping.forwardRefused(message.sequence);
        this.raft.reportUnreachable(to);
        this.peerStatistics.sendFailed(to);
        continue;
      }
      if (message.kind === MESSAGE_HEARTBEAT)
        this.peerStatistics.heartbeatSent(to, message.sequence, this.nowMs);
      const frame = beginFrame(writer, FRAME_RAFT);
      encodeMessage(writer, message, this.raft.log);
      endFrame(writer, frame);
    }
  }

  #install(meta: SnapshotMeta): void {
    const { receiver } = this.housekeeping;
    receiver.install(meta);
    // The batch that follows in the log acknowledges it.
    this.wal.saveSnapshotMarker(receiver.markerOf(meta), (error) => {
      if (error !== undefined) this.fail(error);
    });
  }

  /** A received snapshot takes the place of the state. */
  adopt(
    state: CheckpointState,
    received: { readonly lessor: Lessor; readonly directory: string; readonly meta: SnapshotMeta },
  ): void {
    assert(state.appliedIndex >= this.appliedIndex, "a snapshot never goes back");
    this.housekeeping.largeAnswers.endAll(STATUS.leaderChanged);
    this.store = state.store;
    this.lessor = received.lessor;
    this.membership = state.membership;
    this.alarms = state.alarms;
    this.clusterVersion = state.clusterVersion;
    this.formatVersion = state.formatVersion;
    this.appliedIndex = state.appliedIndex;
    this.appliedTerm = state.appliedTerm;
    this.dataDirectory = received.directory;
    this.#attachStore();
    this.hub.restored(this.store);
    this.housekeeping.adopted(received.meta);
    this.divergence.adopted(state.effectHash);
    this.rejoin.adopted();
    this.onMembershipChanged();
  }

  #attachStore(): void {
    this.store.leases = this.lessor;
    this.kv = new KvMachine({
      store: this.store,
      header: this.header,
      limits: this.limits,
      counts: this.kvCounts,
    });
    this.leases = new LeaseRequests(this.lessor, this.store, this.header);
  }

  #persist(output: RaftOutput): void {
    const { wal, raft } = this;
    const { sequence, hardState, entriesFirst, entriesLast } = output;
    wal.beginBatch(hardState);
    if (entriesFirst > 0) {
      const { log } = raft;
      for (let index = entriesFirst; index <= entriesLast; index++) {
        wal.entry(
          log.type(index),
          log.term(index),
          index,
          log.bytes(index),
          log.start(index),
          log.end(index),
        );
      }
    }
    const durable = wal.commitBatch((error) => {
      // A fault of the disk ends the member: what was written since the last good sync is unknown (S2).
      if (error !== undefined) this.#fault = error;
      else raft.persisted(sequence);
      this.options.waker.wake();
    });
    if (durable) raft.persisted(sequence);
  }

  applyUpTo(last: number): void {
    if (last <= this.appliedIndex) return;
    const { raft, divergence } = this;
    this.applyTimes.begin();
    for (let index = this.appliedIndex + 1; index <= last; index++) {
      this.#applier.apply(index);
      this.appliedIndex = index;
      divergence.applied(index);
    }
    this.applyTimes.end();
    this.appliedTerm = raft.log.term(last);
    raft.appliedTo(last);
    this.hub.advance();
  }

  #expire(nowMs: number): void {
    for (let call = this.pending.takeExpired(nowMs, this.requestTimeoutMs); call !== undefined;) {
      // A write that never met a leader ends as a deadline in etcd; one whose fate is unknown is Unavailable.
      call.fail(this.hasLeader ? STATUS.timeout : STATUS.contextDeadlineExceeded);
      call = this.pending.takeExpired(nowMs, this.requestTimeoutMs);
    }
    this.counters.readIndexesSlow.add(this.reads.fail(nowMs, this.requestTimeoutMs, STATUS.timeout));
    this.forwarding.expire(nowMs);
    const transfer = this.#transfer;
    if (transfer !== undefined && nowMs >= transfer.deadlineMs) {
      this.#transfer = undefined;
      transfer.done(STATUS.timeoutLeaderTransfer);
    }
    if (nowMs >= this.#leaderlessDeadlineMs) this.#failForNoLeader();
  }

  #failForNoLeader(): void {
    this.#leaderlessDeadlineMs = Number.POSITIVE_INFINITY;
    this.hub.failThoseThatNeedALeader(STATUS.noLeader);
    for (const stream of this.keepAliveStreams) if (stream.needsLeader) stream.end(STATUS.noLeader);
  }

  #onLeaderChanged(nowMs: number): void {
    this.header.term = this.raft.term;
    const leader = this.raft.leader;
    // Elections that fail change the term and not since when there is no leader.
    if (this.hasLeader) this.#leaderlessDeadlineMs = Number.POSITIVE_INFINITY;
    else if (isId(this.#knownLeader)) this.#leaderlessDeadlineMs = nowMs + 3 * this.options.electionMs;
    if (this.hasLeader && !id64Equal(leader, this.#knownLeader)) this.counters.leaderChanges.add(1);
    this.#knownLeader = { hi: leader.hi, lo: leader.lo };
    this.forwarding.failAll(STATUS.leaderChanged);
    if (this.#wasLeader && !this.isLeader) this.#stepDown();
    if (!this.#wasLeader && this.isLeader) {
      this.#wasLeader = true;
      this.options.events.info("became leader", { term: this.raft.term });
    }
    this.peerStatistics.leaderChanged();
    const transfer = this.#transfer;
    if (transfer !== undefined && this.hasLeader && !this.isLeader) {
      this.#transfer = undefined;
      transfer.done(id64Equal(leader, transfer.target) ? undefined : STATUS.timeoutLeaderTransfer);
    }
  }

  #stepDown(): void {
    this.#wasLeader = false;
    this.housekeeping.leases.endHandOver();
    if (this.lessor.isPrimary) this.lessor.demote();
    this.#wakeLeaseWaiters(STATUS.notPrimaryLessor);
    this.options.events.info("stepped down", { term: this.raft.term });
  }

  /** Leases end only at a leader that has applied everything of the leaders before it. */
  promoteLessorWhenReady(): void {
    if (
      this.isLeader &&
      !this.rejoin.isActive &&
      !this.lessor.isPrimary &&
      this.appliedTerm === this.raft.term
    ) {
      this.lessor.promote(this.nowMs, this.options.electionMs);
    }
  }

  #wakeLeaseWaiters(failure: Status | undefined): void {
    if (this.#leaseWaiters.length === 0) return;
    const waiters = this.#leaseWaiters;
    this.#leaseWaiters = [];
    for (const waiter of waiters) waiter(failure);
  }

  onMembershipChanged(): void {
    this.#lookAtMembership();
    this.peerList.changed();
    this.removal.applied();
  }

  #lookAtMembership(): void {
    // Until the log says it, what the member that was asked at the join said.
    const { memberId, initialMembers } = this.options;
    const own = this.membership.get(memberId) ?? initialMembers.find((info) => id64Equal(info.id, memberId));
    this.isLearner = own?.isLearner ?? false;
    this.alarms.setVoters(
      this.membership
        .list()
        .filter((info) => !info.isLearner)
        .map((info) => info.id),
    );
    this.housekeeping.membershipChanged();
  }

  // Members of an older format do as a change says, whatever that is; so the leader lets only those into the log that may be
  // made. Later ones are refused where they are applied, and their callers hear why.
  #mayChange(change: ConfChange): boolean {
    if (this.formatVersion >= FORMAT_WITH_CHECKED_CHANGES) return true;
    return refusalOfChange(this.membership, this.raft.confState, change) === undefined;
  }

  /** What another member says of the cluster. */
  learnAddresses(members: readonly MemberInfo[]): void {
    this.peerList.learn(members.map((info) => ({ id: info.id, urls: info.peerUrls })));
  }

  /** Whom to hand leadership to before a stop: the voter that is furthest; undefined when there is none or none is needed. */
  handOverTarget(): Id64 | undefined {
    if (!this.isLeader) return undefined;
    let best: Id64 | undefined;
    let bestMatch = 0;
    for (const info of this.membership.list()) {
      if (info.isLearner || id64Equal(info.id, this.options.memberId) || this.connectedForMs(info.id) === 0)
        continue;
      const match = this.matchIndexOf(info.id);
      if (best === undefined || match > bestMatch) {
        best = info.id;
        bestMatch = match;
      }
    }
    return best;
  }

  fail(error: Error): void {
    this.#fault = error;
    this.options.waker.wake();
  }

  /** Releases the log, durably marked. Nothing may be asked of the member afterwards. */
  close(): void {
    this.wal.close();
  }

  /** Answers everything that waits, with Unavailable, so that clients go to another member. */
  stop(): void {
    this.isStopping = true;
    this.#endCalls(STATUS.stopped);
  }

  /** The state is wrong: whoever waits is told to go to another member, and leases do not end here. */
  stopServing(): void {
    this.#endCalls(STATUS.stateDiverged);
    this.housekeeping.leases.endHandOver();
    if (this.lessor.isPrimary) this.lessor.demote();
  }

  #endCalls(status: Status): void {
    for (let call = this.pending.takeAny(); call !== undefined; call = this.pending.takeAny())
      call.fail(status);
    this.reads.fail(this.nowMs, 0, status);
    this.forwarding.failAll(status);
    this.#wakeLeaseWaiters(status);
    for (const stream of this.keepAliveStreams) stream.end(status);
    this.hub.failAll(status);
  }
}

function isId({ hi, lo }: Id64): boolean {
  return (hi | lo) !== 0;
}
