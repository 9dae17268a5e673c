// One server as a machine: requests and messages of peers go in, a batch per turn; log writes, messages and replies come
// out. It opens no socket and reads no clock; `io` and the simulator drive it (docs/internals/member.md).
//
//   onUnary/onStream…, onPeerFrame ──> turn() ──> log batch ──durable──> apply ──> replies ──> background(): watchers, checkpoints
//
// The state is here, as fields that the files of this folder share; what they do with it is in dispatch.ts (requests),
// apply.ts (committed entries), the *-api.ts files (services), checkpointer.ts and housekeeping.ts (what nobody waits for).

import { assert } from "../base/assert.ts";
import { type Id64, id64Equal, id64Hex, id64ToBigInt } from "../base/ids.ts";
import type { Limits } from "../base/limits.ts";
import type { Clock } from "../base/ports.ts";
import { LeaseRequests } from "../lease/lease-requests.ts";
import type { Lessor } from "../lease/lessor.ts";
import { KvMachine } from "../mvcc/kv-machine.ts";
import type { HashDone } from "../mvcc/housekeeping.ts";
import type { Store } from "../mvcc/store.ts";
import { decodeMessage, encodeMessage } from "../raft/codec.ts";
import { MESSAGE_APPEND, MESSAGE_FORWARD, type RaftMessage } from "../raft/message.ts";
import type { RaftOutput, SnapshotMeta } from "../raft/output.ts";
import type { Raft } from "../raft/raft.ts";
import type { Wal } from "../wal/wal.ts";
import { WatchHub } from "../watch/hub.ts";
import type { HeaderSource } from "../wire/header.ts";
import type * as m from "../wire/messages.ts";
import type { Input, MessageOf } from "../wire/schema.ts";
import { METHOD } from "../wire/service.ts";
import { STATUS, type Status } from "../wire/status.ts";
import type { Alarms } from "./alarms.ts";
import { Applier } from "./apply.ts";
import type { Call } from "./call.ts";
import type { CheckpointState } from "./checkpoint-state.ts";
import { notBuilt, onUnary, refusalOf } from "./dispatch.ts";
import { type ForwardDone, Forwarding } from "./forwarding.ts";
import { KeepAliveStream } from "./lease-api.ts";
import type { MemberInfo, Membership } from "./membership.ts";
import { MemberCounters, registerGauges } from "./counters.ts";
import { Divergence } from "./divergence.ts";
import { Formats } from "./format.ts";
import { Housekeeping } from "./housekeeping.ts";
import type { MemberOptions } from "./options.ts";
import { beginFrame, endFrame, FRAME_CALL, FRAME_RAFT, LANE_BULK, LANE_CONTROL } from "./peer-frames.ts";
import { PendingCalls } from "./pending.ts";
import { Proposals } from "./proposals.ts";
import { Reading, StreamedRange } from "./reading.ts";
import { type ReadProbe, ReadQueue } from "./reads.ts";
import { Rejoin } from "./rejoin.ts";
import { sendFormat } from "./state-frames.ts";

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

/** More than any cluster has members; further ones are not connected until the log names them. */
const STRANGER_COUNT_MAX = 32;

export class Member {
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
  readonly reads: ReadQueue;
  readonly proposals: Proposals;
  readonly reading: Reading;
  readonly forwarding: Forwarding;
  readonly keepAliveStreams = new Set<KeepAliveStream>();
  readonly housekeeping: Housekeeping;
  readonly formats: Formats;
  readonly divergence: Divergence;
  readonly rejoin: Rejoin;
  /** Of the checkpoint, relative to the data directory. */
  dataDirectory: string;
  /** Empty until the cluster has agreed on one. */
  clusterVersion: string;
  /** Which kinds of entries may be proposed: format.ts. */
  formatVersion: number;
  /** Entries up to here may be applied: committed, and durable here. */
  applicableIndex: number;
  /** Entries up to here are in the state. */
  appliedIndex: number;
  appliedTerm: number;
  /** The clock, read once or twice a turn. */
  nowMs: number;
  #clockIsRead = false;
  isStopping = false;
  readonly #applier: Applier;
  readonly counters: MemberCounters;
  /** Since when each peer has been connected, by hexadecimal id. */
  readonly #connectedSinceMs = new Map<string, number>();
  /** Members that the log has not named here yet, by hexadecimal id. */
  readonly #strangers = new Map<string, MemberInfo>();
  #arePeersStale = false;
  /** Waits for the next applied lease entry. */
  #leaseWaiters: ReadProbe[] = [];
  #transfer:
    | {
        readonly target: Id64;
        readonly done: (failure: Status | undefined) => void;
        readonly deadlineMs: number;
      }
    | undefined;
  /** Infinity while there is a leader; an election that fails begins nothing anew. */
  #leaderlessSinceMs = 0;
  #wasLeader = false;
  /** As the log says; every request asks. */
  isLearner = false;
  /** Nobody else's vote counts. */
  isSoleVoter = false;
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
    this.header = headerSource(options, parts.raft.term);
    this.dataDirectory = parts.dataDirectory;
    this.#attachStore();
    this.hub = new WatchHub({
      store: parts.store,
      header: this.header,
      limits: options.limits,
      progressMs: options.watchProgressMs,
      seed: options.prng.uint32(),
    });
    this.pending = new PendingCalls(options.limits.proposalCountMax);
    this.proposals = new Proposals(this, this.pending, parts.bootCounter);
    this.reads = new ReadQueue(options.limits.proposalCountMax);
    this.reading = new Reading(this, this.reads);
    this.forwarding = new Forwarding(options.limits.proposalCountMax);
    this.counters = new MemberCounters(options.metrics);
    this.formats = new Formats(this);
    this.divergence = new Divergence(this, parts.effectHash);
    this.rejoin = new Rejoin(this);
    this.housekeeping = new Housekeeping(this);
    this.#applier = new Applier(this);
    this.#leaderlessSinceMs = this.nowMs;
    this.wal.onSync = (durationMs) => this.counters.walFsyncSeconds.observe(durationMs / 1000);
    this.onMembershipChanged();
    this.#updatePeers();
    registerGauges(this, options.metrics);
  }

  get isLeader(): boolean {
    return this.raft.isLeader;
  }

  get hasLeader(): boolean {
    const { hi, lo } = this.raft.leader;
    return (hi | lo) !== 0;
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

  /** How long a client's request may take, as etcd has it: 5 s and two election timeouts. */
  get requestTimeoutMs(): number {
    return 5_000 + 2 * this.options.electionMs;
  }

  responseHeader(): Input<MessageOf<typeof m.ResponseHeader>> {
    return { ...this.clusterHeader(), revision: this.store.revision };
  }

  /** The Cluster service's headers carry no revision. */
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
    this.counters.callStarted(call.method.id);
    onUnary(this, call, bytes, start, end);
    this.options.waker.wake();
  }

  onStreamOpen(call: Call): void {
    this.counters.callStarted(call.method.id);
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
    if (call.method === METHOD.watch) this.hub.onMessage(call, bytes, start, end);
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
    else if (call.state instanceof StreamedRange) call.state.abandon();
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
    if (kind === FRAME_RAFT) this.raft.step(decodeMessage(bytes, start, end), this.nowMs);
    else if (kind === FRAME_CALL) {
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
    sendFormat(this.options.peers, peer, this.formats.own);
    this.options.waker.wake();
  }

  onPeerDisconnected(peer: Id64): void {
    // Of the two connections between members the other's may have ended alone.
    const isConnected = this.options.peers.writer(peer, LANE_CONTROL) !== undefined;
    if (!isConnected) this.#connectedSinceMs.delete(id64Hex(peer));
    this.housekeeping.sender.disconnected(peer);
    this.raft.peerDisconnected(peer, this.clock.now());
    this.options.waker.wake();
  }

  /** How long this peer has been connected, 0 when it is not. */
  connectedForMs(peer: Id64): number {
    const sinceMs = this.#connectedSinceMs.get(id64Hex(peer));
    return sinceMs === undefined ? 0 : Math.max(1, this.clock.now() - sinceMs);
  }

  matchIndexOf(peer: Id64): number {
    return this.raft.matchIndexOf(peer);
  }

  /** Why a request that adds to the store is refused; raises the alarm when it is the first. */
  refusalToGrow(sizeBytes: number): Status | undefined {
    if (this.alarms.isNoSpace) return STATUS.noSpace;
    if (this.quotaBytes < 0 || this.store.sizeBytes + sizeBytes <= this.quotaBytes) return undefined;
    this.housekeeping.raiseNoSpace();
    return STATUS.noSpace;
  }

  // The leader.

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
    if (this.#transfer !== undefined || !this.raft.transferLeader(target))
      return done(STATUS.badLeaderTransferee);
    this.#transfer = { target, done, deadlineMs: this.nowMs + this.requestTimeoutMs };
    this.options.waker.wake();
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

  startDefragmentation(done: () => void): void {
    this.housekeeping.startDefragmentation(done);
  }

  // The turn.

  /** Works off all input of this turn. Throws on a fault of the disk and on a bug: the process must end then. */
  turn(): void {
    if (this.#fault !== undefined) throw this.#fault;
    const nowMs = this.clock.now();
    this.nowMs = nowMs;
    this.#clockIsRead = false;
    if (nowMs >= this.wal.nextDeadlineMs()) this.wal.onDeadline(nowMs);
    if (nowMs >= this.raft.nextDeadlineMs) this.raft.onDeadline(nowMs);
    this.#askReads(nowMs);
    this.#pump(nowMs);
    this.reads.serve(this.appliedIndex, this.#serveRead);
    this.#expire(nowMs);
    this.housekeeping.turn(nowMs);
    // Housekeeping proposes, too.
    this.#pump(nowMs);
  }

  /** A slice of what nobody waits for; true when there is more. */
  background(): boolean {
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
      this.#transfer?.deadlineMs ?? Number.POSITIVE_INFINITY,
    );
  }

  #askReads(nowMs: number): void {
    if (this.reads.hasArrivals) this.raft.readIndex(this.reads.closeArrivals(nowMs));
    for (const context of this.reads.retries(nowMs)) this.raft.readIndex(context);
  }

  #pump(nowMs: number): void {
    for (;;) {
      const output = this.raft.takeOutput(nowMs);
      if (output === undefined) return;
      this.#send(output.messages);
      // The peers' disks work while ours does (thesis 10.2.1): the sync below may hold the loop.
      if (output.messages.length > 0 && output.sequence !== 0) this.options.peers.flush();
      if (output.snapshot !== undefined) this.#install(output.snapshot);
      if (output.sequence !== 0) this.#persist(output);
      this.applicableIndex = Math.max(this.applicableIndex, output.applyIndex);
      if (!this.rejoin.isActive) this.applyUpTo(output.applyIndex);
      for (const group of output.reads)
        for (const context of group.contexts) this.reads.confirm(context, group.index);
      for (const context of output.readsAborted) this.reads.abort(context, nowMs);
      for (const peer of output.snapshotsWanted) this.housekeeping.sender.want(peer);
      for (const number of output.forwardsRefused) this.housekeeping.forwardRefused(number);
      if (output.leaderChanged) this.#onLeaderChanged(nowMs);
    }
  }

  #send(messages: readonly RaftMessage[]): void {
    for (const message of messages) {
      const lane =
        message.kind === MESSAGE_APPEND || message.kind === MESSAGE_FORWARD ? LANE_BULK : LANE_CONTROL;
      const writer = this.options.peers.writer({ hi: message.toHi, lo: message.toLo }, lane);
      if (writer === undefined) {
        if (message.kind === MESSAGE_FORWARD) this.housekeeping.forwardRefused(message.sequence);
        this.raft.reportUnreachable({ hi: message.toHi, lo: message.toLo });
        continue;
      }
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
    this.#updatePeers();
  }

  #attachStore(): void {
    this.store.leases = this.lessor;
    this.kv = new KvMachine({ store: this.store, header: this.header, limits: this.limits });
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
    for (let index = this.appliedIndex + 1; index <= last; index++) {
      this.#applier.apply(index);
      this.appliedIndex = index;
      divergence.applied(index);
    }
    this.appliedTerm = raft.log.term(last);
    raft.appliedTo(last);
    this.#updatePeers();
    this.hub.advance();
  }

  #expire(nowMs: number): void {
    for (let call = this.pending.takeExpired(nowMs, this.requestTimeoutMs); call !== undefined;) {
      // A write that never met a leader ends as a deadline in etcd; one whose fate is unknown is Unavailable.
      call.fail(this.hasLeader ? STATUS.timeout : STATUS.contextDeadlineExceeded);
      call = this.pending.takeExpired(nowMs, this.requestTimeoutMs);
    }
    this.reads.fail(nowMs, this.requestTimeoutMs, STATUS.timeout);
    this.forwarding.expire(nowMs);
    const transfer = this.#transfer;
    if (transfer !== undefined && nowMs >= transfer.deadlineMs) {
      this.#transfer = undefined;
      transfer.done(STATUS.timeoutLeaderTransfer);
    }
    if (!this.hasLeader && nowMs - this.#leaderlessSinceMs >= 3 * this.options.electionMs)
      this.#failForNoLeader();
  }

  #failForNoLeader(): void {
    this.hub.failThoseThatNeedALeader(STATUS.noLeader);
  }

  #onLeaderChanged(nowMs: number): void {
    this.header.term = this.raft.term;
    const leader = this.raft.leader;
    this.#leaderlessSinceMs = this.hasLeader
      ? Number.POSITIVE_INFINITY
      : Math.min(this.#leaderlessSinceMs, nowMs);
    this.forwarding.failAll(STATUS.leaderChanged);
    if (this.#wasLeader && !this.isLeader) this.#stepDown();
    if (!this.#wasLeader && this.isLeader) {
      this.#wasLeader = true;
      this.options.events.info("became leader", { term: this.raft.term });
    }
    this.housekeeping.onLeaderChanged();
    const transfer = this.#transfer;
    if (transfer !== undefined && this.hasLeader && !this.isLeader) {
      this.#transfer = undefined;
      transfer.done(id64Equal(leader, transfer.target) ? undefined : STATUS.timeoutLeaderTransfer);
    }
  }

  #stepDown(): void {
    this.#wasLeader = false;
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
    // Until the log says it, what the member that was asked at the join said.
    const { memberId, initialMembers } = this.options;
    const own = this.membership.get(memberId) ?? initialMembers.find((info) => id64Equal(info.id, memberId));
    this.isLearner = own?.isLearner ?? false;
    const { voters, votersOutgoing } = this.raft.confState;
    this.isSoleVoter = voters.length === 1 && votersOutgoing.length === 0;
    this.alarms.setVoters(
      this.membership
        .list()
        .filter((info) => !info.isLearner)
        .map((info) => info.id),
    );
    this.#arePeersStale = true;
  }

  /** Not with every change: while the first entries are applied one by one, members would be dropped and dialled anew. */
  #updatePeers(): void {
    if (!this.#arePeersStale) return;
    this.#arePeersStale = false;
    const { memberId, joins, initialMembers } = this.options;
    const isBootstrapping = !joins && this.appliedIndex < initialMembers.length;
    // A member that joins knows the others from elsewhere until the log tells it.
    const isTold = this.membership.size > 0 && !isBootstrapping;
    const known = isTold ? this.membership.list() : initialMembers;
    const others = known.filter((info) => !id64Equal(info.id, memberId));
    for (const [hex, info] of this.#strangers) {
      if (this.membership.isRemoved(info.id) || this.membership.get(info.id) !== undefined)
        this.#strangers.delete(hex);
      else others.push(info);
    }
    this.options.peers.setPeers(others.map((info) => ({ id: info.id, urls: info.peerUrls })));
  }

  /**
   * What another member says of the cluster. Members that the log has not named here yet are connected, too: one of them may
   * lead, and whom this member cannot answer can neither be elected by it nor catch it up.
   */
  learnAddresses(members: readonly MemberInfo[]): void {
    for (const info of members) {
      if (this.#strangers.size >= STRANGER_COUNT_MAX || id64Equal(info.id, this.options.memberId)) continue;
      this.#strangers.set(id64Hex(info.id), info);
    }
    this.#arePeersStale = true;
    this.options.waker.wake();
  }

  onRemoved(): void {
    this.options.events.stop("this member was removed from the cluster");
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

  /** The disk failed: the next turn throws, and the process ends. */
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

function headerSource(options: MemberOptions, term: number): HeaderSource {
  return {
    clusterHi: options.clusterId.hi,
    clusterLo: options.clusterId.lo,
    memberHi: options.memberId.hi,
    memberLo: options.memberId.lo,
    term,
  };
}
