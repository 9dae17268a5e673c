// For tests: members, the packets between them, and time, all moved by hand. Used by the golden conversations, the
// random cluster and the search of all small histories.

import type { Limits } from "../base/limits.ts";
import { decodeMessage } from "./codec.ts";
import { ADD_LEARNER, ADD_VOTER, confChange, type MemberChange } from "./conf-change.ts";
import type { ConfState } from "./configuration.ts";
import { MESSAGE_NAMES, type RaftMessage } from "./message.ts";
import { Invariants } from "./testing-invariants.ts";
import { type TestEntry, testId, TestNode, type TestObserver, type TestPacket } from "./testing-node.ts";

export interface TestClusterOptions {
  readonly voters: number;
  readonly learners?: number;
  /** Members that exist and belong to nothing yet. */
  readonly spares?: number;
  readonly limits?: Partial<Limits>;
  readonly seed?: number;
  readonly autoSync?: boolean;
  /** The configuration stands in the log's first entries, as in a real cluster; members that are added later need that. */
  readonly bootstrap?: boolean;
}

export interface FlyingPacket extends TestPacket {
  readonly kind: number;
  /** Counts up; for filters and for order. */
  readonly number: number;
}

export class TestCluster implements TestObserver {
  readonly nodes: TestNode[] = [];
  packets: FlyingPacket[] = [];
  nowMs = 0;
  readonly invariants = new Invariants();
  /** Confirmed and aborted reads, by context. */
  readonly reads = new Map<number, number>();
  /** Called with every event, for golden files; undefined saves making the texts. */
  listener: ((text: string) => void) | undefined = undefined;
  /** Links that lose everything, "from>to". */
  readonly cut = new Set<string>();
  #packetNumber = 0;
  #readContext = 0;

  constructor(options: TestClusterOptions) {
    const ids = (from: number, count: number) => Array.from({ length: count }, (_, i) => testId(from + i));
    const learners = options.learners ?? 0;
    const confState: ConfState = {
      voters: ids(1, options.voters),
      votersOutgoing: [],
      learners: ids(options.voters + 1, learners),
      learnersNext: [],
      autoLeave: false,
    };
    const nobody: ConfState = { ...confState, voters: [], learners: [] };
    const bootstrap = options.bootstrap === true || (options.spares ?? 0) > 0;
    const first = [
      ...confState.voters.map((id) => confChange([{ type: ADD_VOTER, id }])),
      ...confState.learners.map((id) => confChange([{ type: ADD_LEARNER, id }])),
    ];
    const total = options.voters + learners + (options.spares ?? 0);
    for (let id = 1; id <= total; id++) {
      const isMember = id <= options.voters + learners;
      const node = new TestNode(
        {
          id,
          confState: isMember && !bootstrap ? confState : nobody,
          ...(isMember && bootstrap ? { bootstrap: first } : {}),
          ...(options.limits === undefined ? {} : { limits: options.limits }),
          ...(options.seed === undefined ? {} : { seed: options.seed }),
        },
        this,
      );
      node.autoSync = options.autoSync ?? true;
      this.nodes.push(node);
    }
  }

  node(id: number): TestNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new Error(`There is no node ${id}`);
    return node;
  }

  /** Packets sent so far. */
  get packetNumber(): number {
    return this.#packetNumber;
  }

  get leader(): TestNode | undefined {
    let best: TestNode | undefined = undefined;
    for (const node of this.nodes) {
      if (node.isUp && node.raft.isLeader && node.raft.term > (best?.raft.term ?? 0)) best = node;
    }
    return best;
  }

  // What nodes report.

  send(packet: TestPacket, message: RaftMessage): void {
    this.invariants.onSend(this.node(packet.from), packet, message);
    this.listener?.(formatMessage(message));
    if (this.#isCut(packet)) return;
    const { from, to, bytes, snapshot } = packet;
    this.packets.push({ from, to, bytes, snapshot, kind: message.kind, number: ++this.#packetNumber });
  }

  get listens(): boolean {
    return this.listener !== undefined;
  }

  event(node: TestNode, text: string): void {
    this.listener?.(`${node.id}: ${text}`);
  }

  applied(node: TestNode, entry: TestEntry): void {
    this.invariants.onApplied(node, entry);
    if (entry.data !== "") this.listener?.(`${node.id}: apply ${formatAt(entry)}`);
  }

  readConfirmed(node: TestNode, context: number, index: number): void {
    this.invariants.onReadConfirmed(node, context, index);
    this.reads.set(context, index);
    this.listener?.(`${node.id}: read ${context} at ${index}`);
  }

  readAborted(node: TestNode, context: number): void {
    this.invariants.onReadAborted(node, context);
    this.reads.set(context, -1);
    this.listener?.(`${node.id}: read ${context} aborted`);
  }

  #isCut(packet: TestPacket): boolean {
    return this.cut.size > 0 && this.cut.has(`${packet.from}>${packet.to}`);
  }

  // What tests do. Each leaves the invariants checked.

  check(): void {
    this.invariants.check(this.nodes);
  }

  campaign(id: number): void {
    const node = this.node(id);
    if (!node.isUp) return;
    node.raft.campaign(this.nowMs);
    node.pump(this.nowMs);
    this.check();
  }

  /** Campaigns without a pre-vote, past all leases. */
  order(id: number): void {
    const node = this.node(id);
    if (node.isUp) node.orderCampaign(this.nowMs);
    this.check();
  }

  propose(id: number, data: string): number {
    const result = this.node(id).isUp ? this.node(id).propose(data, this.nowMs) : 0;
    this.check();
    return result;
  }

  change(id: number, changes: readonly MemberChange[]): number {
    const result = this.node(id).isUp ? this.node(id).proposeConfChange(confChange(changes), this.nowMs) : 0;
    this.check();
    return result;
  }

  /** Asks for a read; its context is the result. */
  read(id: number): number {
    const context = ++this.#readContext;
    const node = this.node(id);
    if (!node.raft.readIndex(context)) return context; // too many wait
    this.invariants.onReadAsked(node, context);
    node.pump(this.nowMs);
    this.check();
    return context;
  }

  sync(id: number, count?: number): void {
    this.node(id).sync(this.nowMs, count);
    this.check();
  }

  apply(id: number, index?: number): void {
    this.node(id).apply(this.nowMs, index);
    this.check();
  }

  /** Delivers one packet; `keep` leaves a copy on the way. */
  deliver(packet: FlyingPacket, keep = false): void {
    if (!keep) this.packets.splice(this.packets.indexOf(packet), 1);
    if (!this.#isCut(packet)) this.node(packet.to).step(packet, this.nowMs);
    this.check();
  }

  /** Delivers what is on the way now and matches; what follows from it stays on the way. */
  deliverMatching(matches: (packet: FlyingPacket) => boolean): number {
    const chosen = this.packets.filter(matches);
    for (const packet of chosen) this.deliver(packet);
    return chosen.length;
  }

  dropMatching(matches: (packet: FlyingPacket) => boolean): number {
    const before = this.packets.length;
    this.packets = this.packets.filter((packet) => !matches(packet));
    return before - this.packets.length;
  }

  /** Delivers and syncs until nothing moves. */
  settle(): void {
    for (let i = 0; i < 10_000; i++) {
      for (const node of this.nodes) node.sync(this.nowMs);
      const packet = this.packets[0];
      if (packet === undefined) {
        if (this.nodes.every((node) => !node.isUp || node.batches.length === 0)) return this.check();
      } else this.deliver(packet);
    }
    throw new Error("The cluster does not come to rest");
  }

  /** Lets time pass, deadline by deadline; with `settle` everything is delivered in between. */
  advance(ms: number, settle = true): void {
    const endMs = this.nowMs + ms;
    for (let i = 0; ; i++) {
      if (i > 100_000) throw new Error("Deadlines never end");
      let next: TestNode | undefined = undefined;
      let nextMs = endMs;
      for (const node of this.nodes) {
        if (!node.isUp || node.raft.nextDeadlineMs > nextMs) continue;
        if (node.raft.nextDeadlineMs === nextMs && next !== undefined) continue;
        next = node;
        nextMs = node.raft.nextDeadlineMs;
      }
      this.nowMs = Math.max(this.nowMs, nextMs);
      if (next === undefined) break;
      next.raft.onDeadline(this.nowMs);
      next.pump(this.nowMs);
      this.check();
      if (settle) this.settle();
    }
    this.nowMs = endMs;
  }

  crash(id: number, kept = 0): void {
    this.node(id).crash(kept);
    this.check();
  }

  restart(id: number): void {
    this.node(id).restart(this.nowMs);
    this.check();
  }

  /** Nothing passes between the two groups any more. */
  partition(one: readonly number[], other: readonly number[]): void {
    for (const a of one) {
      for (const b of other) {
        this.cut.add(`${a}>${b}`);
        this.cut.add(`${b}>${a}`);
      }
    }
  }

  isolate(id: number): void {
    this.partition(
      [id],
      this.nodes.map((node) => node.id).filter((other) => other !== id),
    );
  }

  heal(): void {
    this.cut.clear();
  }

  /** Elects `id`, with everything delivered. */
  elect(id: number): void {
    this.campaign(id);
    this.settle();
    if (!this.node(id).raft.isLeader) throw new Error(`Node ${id} was not elected`);
  }
}

function formatAt(entry: TestEntry): string {
  return `${entry.index}/${entry.term} ${entry.data}`;
}

export function formatPacket(packet: FlyingPacket): string {
  return formatMessage(decodeMessage(packet.bytes, 0, packet.bytes.length));
}

/** One line: who, to whom, what. */
export function formatMessage(message: RaftMessage): string {
  const name = MESSAGE_NAMES[message.kind]!;
  let text = `${message.fromLo}->${message.toLo} ${name} term=${message.term}`;
  if (name === "append") {
    text += ` after=${message.index}/${message.logTerm} commit=${message.commit} entries=${message.batch?.count ?? 0}`;
  } else if (name === "appendReply") {
    if (message.reject) text += ` reject=${message.index} hint=${message.hintIndex}/${message.hintTerm}`;
    else text += ` index=${message.index}`;
  } else if (name === "heartbeat") text += ` commit=${message.commit} sequence=${message.sequence}`;
  else if (name === "heartbeatReply") text += ` sequence=${message.sequence}`;
  else if (name === "vote" || name === "preVote")
    text += ` last=${message.index}/${message.logTerm}${message.force ? " force" : ""}`;
  else if (name === "voteReply" || name === "preVoteReply") text += message.reject ? " reject" : " grant";
  else if (name === "readIndex") text += ` number=${message.incarnation}.${message.sequence}`;
  else if (name === "readIndexReply")
    text += ` number=${message.incarnation}.${message.sequence} index=${message.index}`;
  else if (name === "snapshot") text += ` index=${message.index}/${message.logTerm}`;
  else if (name === "forward")
    text += ` number=${message.incarnation}.${message.sequence} entries=${message.batch?.count ?? 0}`;
  else if (name === "forwardRefused") text += ` number=${message.incarnation}.${message.sequence}`;
  return text;
}
