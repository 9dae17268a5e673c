// For tests: one member's driver with a disk in memory. It does what docs/internals/raft.md asks of a driver, in the
// simplest way, and can lose everything that was not synced.

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64, id64Hex } from "../base/ids.ts";
import { DEFAULT_LIMITS, type Limits } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { decodeMessage, encodeMessage } from "./codec.ts";
import type { ConfChange } from "./conf-change.ts";
import { type ConfState, EMPTY_CONF_STATE } from "./configuration.ts";
import type { EntryBatch } from "./entry-batch.ts";
import { ENTRY_NORMAL, RaftLog } from "./log.ts";
import { MESSAGE_SNAPSHOT, MESSAGE_TIMEOUT_NOW, RaftMessage } from "./message.ts";
import { EMPTY_HARD_STATE, type HardState, type RaftOutput, type SnapshotMeta } from "./output.ts";
import { Raft } from "./raft.ts";

export interface TestEntry {
  readonly index: number;
  readonly term: number;
  readonly type: number;
  readonly data: string;
}

/** A durable copy of the state: what it stands for, and the entries applied to get there. */
export interface TestSnapshot extends SnapshotMeta {
  readonly applied: readonly TestEntry[];
}

interface TestBatch {
  readonly sequence: number;
  readonly hardState: HardState | undefined;
  readonly entries: readonly TestEntry[];
  readonly snapshot: TestSnapshot | undefined;
}

export interface TestPacket {
  readonly from: number;
  readonly to: number;
  readonly bytes: Uint8Array;
  readonly snapshot: TestSnapshot | undefined;
}

export interface TestNodeOptions {
  readonly id: number;
  readonly confState: ConfState;
  /** Instead: the configuration as the first entries of the log, as a real cluster starts. */
  readonly bootstrap?: readonly ConfChange[];
  readonly limits?: Partial<Limits>;
  readonly seed?: number;
  readonly electionMs?: number;
  readonly heartbeatMs?: number;
}

/** What the node reports; `send` gets every packet, the others are for golden files and checks. */
export interface TestObserver {
  send(packet: TestPacket, message: RaftMessage): void;
  event(node: TestNode, text: string): void;
  /** Whether texts are wanted at all. */
  readonly listens: boolean;
  applied(node: TestNode, entry: TestEntry): void;
  readConfirmed(node: TestNode, context: number, index: number): void;
  readAborted(node: TestNode, context: number): void;
}

const NOWHERE: TestSnapshot = { index: 0, term: 0, confState: EMPTY_CONF_STATE, applied: [] };
const KEEP_MESSAGE_BYTES = new ByteWriter(4096);

export function testId(id: number): Id64 {
  return id64(0, id);
}

export class TestNode {
  readonly id: number;
  raft: Raft;
  isUp = true;
  /** Batches are durable as soon as they are handed over. */
  autoSync = false;
  /** Entries are applied as soon as they may be. */
  autoApply = true;
  // The disk.
  hardState: HardState = EMPTY_HARD_STATE;
  /** Entries behind `snapshot`, in order. */
  entries: TestEntry[] = [];
  snapshot: TestSnapshot;
  incarnation = 1;
  /** Handed over, not durable. */
  batches: TestBatch[] = [];
  // The state machine, lost in a crash.
  applied: TestEntry[] = [];
  appliedIndex: number;
  applicable: number;
  /** Data of a snapshot that was stepped and waits to be installed. */
  #received: TestSnapshot | undefined = undefined;
  readonly #options: TestNodeOptions;
  readonly #observer: TestObserver;

  constructor(options: TestNodeOptions, observer: TestObserver) {
    this.id = options.id;
    this.#options = options;
    this.#observer = observer;
    this.snapshot = { ...NOWHERE, confState: options.confState };
    this.appliedIndex = 0;
    this.applicable = 0;
    this.raft = this.#create(0);
    if (options.bootstrap === undefined) return;
    this.raft.bootstrap(options.bootstrap);
    this.pump(0);
    while (this.batches.length > 0) this.sync(0);
  }

  get lastDurable(): number {
    return this.entries.length > 0 ? this.entries[this.entries.length - 1]!.index : this.snapshot.index;
  }

  durableTerm(index: number): number | undefined {
    if (index === this.snapshot.index) return this.snapshot.term;
    return this.entries[index - this.snapshot.index - 1]?.term;
  }

  /** Takes output until there is none. */
  pump(nowMs: number): void {
    if (!this.isUp) return;
    for (let i = 0; ; i++) {
      assert(i < 1000, "a node comes to rest");
      const output = this.raft.takeOutput(nowMs);
      if (output === undefined) break;
      this.#handle(output);
    }
  }

  step(packet: TestPacket, nowMs: number): void {
    if (!this.isUp) return;
    const message = decodeMessage(packet.bytes, 0, packet.bytes.length);
    if (message.kind === MESSAGE_SNAPSHOT) this.#received = packet.snapshot;
    this.raft.step(message, nowMs);
    this.pump(nowMs);
  }

  /** As if the leader had ordered it: campaigns without a pre-vote, past all leases. */
  orderCampaign(nowMs: number): void {
    const message = new RaftMessage();
    message.kind = MESSAGE_TIMEOUT_NOW;
    message.term = this.raft.term;
    message.toLo = this.id;
    message.fromLo = 0xffffffff;
    this.raft.step(message, nowMs);
    this.pump(nowMs);
  }

  propose(data: string, nowMs: number): number {
    const bytes = encodeUtf8(data);
    let result: number;
    if (this.raft.isLeader) result = this.raft.propose(bytes, 0, bytes.length);
    else result = this.raft.forward(ENTRY_NORMAL, bytes, 0, bytes.length);
    this.pump(nowMs);
    return result;
  }

  proposeConfChange(change: ConfChange, nowMs: number): number {
    const index = this.raft.proposeConfChange(change);
    this.pump(nowMs);
    return index;
  }

  /** Makes the oldest `count` batches durable. */
  sync(nowMs: number, count = this.batches.length): void {
    if (!this.isUp || this.batches.length === 0) return;
    const done = this.batches.splice(0, count);
    for (const batch of done) this.#store(batch);
    this.raft.persisted(done[done.length - 1]!.sequence);
    this.pump(nowMs);
  }

  /** Applies what may be applied, up to `index`. */
  apply(nowMs: number, index = this.applicable): void {
    this.#applyTo(Math.min(index, this.applicable));
    this.pump(nowMs);
  }

  /** Keeps a durable copy of the applied state, and forgets entries up to `index`. */
  compact(index: number): void {
    assert(index <= this.appliedIndex, "only applied entries are compacted");
    const { raft, appliedIndex } = this;
    if (appliedIndex <= this.snapshot.index) return;
    if (appliedIndex < raft.log.compactedIndex) return; // a snapshot is being installed
    const term = raft.log.term(appliedIndex);
    const durable = this.entries.filter((entry) => entry.index > appliedIndex);
    this.snapshot = { index: appliedIndex, term, confState: raft.confState, applied: [...this.applied] };
    this.entries = durable;
    raft.compactLog(index);
  }

  /** Stops; whatever was not durable is lost, except the oldest `kept` batches, which the disk had written all the same. */
  crash(kept = 0): void {
    for (const batch of this.batches.slice(0, kept)) this.#store(batch);
    this.batches = [];
    this.isUp = false;
  }

  restart(nowMs: number): void {
    assert(!this.isUp, "only what is down is started");
    this.isUp = true;
    this.incarnation++;
    this.applied = [...this.snapshot.applied];
    this.appliedIndex = this.snapshot.index;
    this.applicable = this.appliedIndex;
    this.#received = undefined;
    this.raft = this.#create(nowMs);
    this.pump(nowMs);
  }

  #create(nowMs: number): Raft {
    const { id, seed = 1, electionMs = 1000, heartbeatMs = 100, limits } = this.#options;
    // Small chunks: tests start members by the thousand.
    const all = {
      ...DEFAULT_LIMITS,
      raftArenaBytes: 4096,
      commitNoticeDelayMs: 0,
      sparedDelayMs: 0,
      ...limits,
    };
    const { index, term, confState } = this.snapshot;
    const log = new RaftLog({ arenaBytes: all.raftArenaBytes, compactedIndex: index, compactedTerm: term });
    for (const entry of this.entries) {
      const bytes = encodeUtf8Raw(entry.data);
      log.append(entry.type, entry.term, bytes, 0, bytes.length);
    }
    return new Raft({
      id: testId(id),
      incarnation: this.incarnation,
      prng: new Prng(seed * 1000 + id + this.incarnation * 7919),
      nowMs,
      electionMs,
      heartbeatMs,
      limits: all,
      log,
      hardState: this.hardState,
      confState,
      appliedIndex: index,
      storage: {
        readEntries: (first, last, bytesMax, batch) => this.#readEntries({ first, last, bytesMax }, batch),
      },
    });
  }

  #handle(output: RaftOutput): void {
    const { raft } = this;
    if (output.leaderChanged)
      this.#event(`${raft.role} of term ${raft.term}, leader ${id64Hex(raft.leader)}`);
    if (output.sequence !== 0) this.#queue(output);
    for (const message of output.messages) this.#send(message, undefined);
    for (const peer of output.snapshotsWanted) this.#sendSnapshot(peer);
    for (const group of output.reads) {
      for (const context of group.contexts) this.#observer.readConfirmed(this, context, group.index);
    }
    for (const context of output.readsAborted) this.#observer.readAborted(this, context);
    for (const number of output.forwardsRefused) this.#event(`forward ${number} refused`);
    for (const batch of output.forwardsReturned) this.#event(`${batch.count} proposals returned`);
    this.applicable = Math.max(this.applicable, output.applyIndex);
    const { sequence } = output;
    if (sequence !== 0 && this.autoSync) {
      const done = this.batches.splice(0);
      for (const batch of done) this.#store(batch);
      raft.persisted(sequence);
    }
    if (this.autoApply) this.#applyTo(this.applicable);
  }

  entryAt(index: number): TestEntry {
    return this.#entry(this.raft.log, index);
  }

  #applyTo(index: number): void {
    while (this.appliedIndex < index) {
      const at = this.appliedIndex + 1;
      const entry = this.entryAt(at);
      if (entry.type !== ENTRY_NORMAL) this.raft.applyConfChange(at, this.raft.confChangeAt(at));
      this.applied.push(entry);
      this.appliedIndex = at;
      this.#observer.applied(this, entry);
      this.raft.appliedTo(at);
    }
  }

  #queue(output: RaftOutput): void {
    const { log } = this.raft;
    const entries: TestEntry[] = [];
    if (output.entriesLast > 0) {
      for (let index = output.entriesFirst; index <= output.entriesLast; index++)
        entries.push(this.#entry(log, index));
    }
    let snapshot: TestSnapshot | undefined = undefined;
    if (output.snapshot !== undefined) {
      assert(this.#received?.index === output.snapshot.index, "the driver has the snapshot's data");
      snapshot = this.#received;
    }
    this.batches.push({ sequence: output.sequence, hardState: output.hardState, entries, snapshot });
    if (!this.#observer.listens) return;
    const parts = [`persist #${output.sequence}`];
    if (output.hardState !== undefined)
      parts.push(`term ${output.hardState.term} vote ${id64Hex(output.hardState.vote)}`);
    if (entries.length > 0) parts.push(`entries ${entries.map(formatEntry).join(" ")}`);
    if (snapshot !== undefined) parts.push(`snapshot ${snapshot.index}/${snapshot.term}`);
    this.#event(parts.join(", "));
  }

  #store(batch: TestBatch): void {
    if (batch.hardState !== undefined) this.hardState = batch.hardState;
    if (batch.snapshot !== undefined) {
      this.snapshot = batch.snapshot;
      this.entries = [];
      this.applied = [...batch.snapshot.applied];
      this.appliedIndex = batch.snapshot.index;
      this.applicable = Math.max(this.applicable, this.appliedIndex);
    }
    const first = batch.entries[0];
    if (first === undefined) return;
    assert(first.index <= this.lastDurable + 1, "a batch leaves no hole");
    this.entries = this.entries.filter((entry) => entry.index < first.index);
    this.entries.push(...batch.entries);
  }

  #send(message: RaftMessage, snapshot: TestSnapshot | undefined): void {
    KEEP_MESSAGE_BYTES.reset();
    encodeMessage(KEEP_MESSAGE_BYTES, message, this.raft.log);
    const bytes = KEEP_MESSAGE_BYTES.copy();
    const packet = { from: message.fromLo, to: message.toLo, bytes, snapshot };
    this.#observer.send(packet, decodeMessage(bytes, 0, bytes.length));
  }

  #sendSnapshot(peer: Id64): void {
    const { index, term, confState } = this.snapshot;
    const message = this.raft.snapshotMessage(peer, { index, term, confState });
    if (message === undefined) return;
    this.#send(message, this.snapshot);
    this.raft.snapshotReported(peer, true);
  }

  #readEntries(range: { first: number; last: number; bytesMax: number }, batch: EntryBatch): boolean {
    const from = range.first - this.snapshot.index - 1;
    if (from < 0) return false;
    for (let at = from; at < this.entries.length; at++) {
      const entry = this.entries[at]!;
      if (entry.index > range.last) break;
      if (batch.count > 0 && batch.sizeBytes >= range.bytesMax) break;
      const bytes = encodeUtf8Raw(entry.data);
      batch.add(entry.type, entry.term, bytes, 0, bytes.length);
    }
    return batch.count > 0;
  }

  #entry(log: RaftLog, index: number): TestEntry {
    const bytes = log.bytes(index).slice(log.start(index), log.end(index));
    const type = log.type(index);
    return {
      index,
      term: log.term(index),
      type,
      data: type === ENTRY_NORMAL ? decodeUtf8(bytes, 0, bytes.length) : toHex(bytes),
    };
  }

  #event(text: string): void {
    this.#observer.event(this, text);
  }
}

export function formatEntry(entry: TestEntry): string {
  const data = entry.type === ENTRY_NORMAL ? entry.data : `conf:${entry.data.slice(1)}`;
  return `${entry.index}/${entry.term}${data === "" ? "" : `:${data}`}`;
}

// Configuration changes are binary; as text they are "#" and hexadecimal digits.
function toHex(bytes: Uint8Array): string {
  let text = "#";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return text;
}

function encodeUtf8Raw(data: string): Uint8Array {
  if (!data.startsWith("#")) return encodeUtf8(data);
  const bytes = new Uint8Array((data.length - 1) / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(data.slice(1 + 2 * i, 3 + 2 * i), 16);
  return bytes;
}
