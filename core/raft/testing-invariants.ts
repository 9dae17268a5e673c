// For tests: what must hold after every step of any cluster, checked over disks and memories of all members (the
// properties of Raft figure 3, and those of reliability that they rest on).

import { assert } from "../base/assert.ts";
import { MESSAGE_APPEND_REPLY, MESSAGE_NAMES, MESSAGE_VOTE_REPLY, type RaftMessage } from "./message.ts";
import { majority } from "./quorum.ts";
import { formatEntry, type TestEntry, type TestNode, type TestPacket } from "./testing-node.ts";

export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

interface OpenRead {
  readonly node: number;
  /** The highest index that anybody had committed when the read was asked for. */
  readonly floor: number;
}

export class Invariants {
  /** Entry by index, from 1; once committed anywhere it never changes. */
  readonly committed: TestEntry[] = [];
  /** For each, a term in which it was committed at the latest. */
  readonly #committedIn: number[] = [];
  readonly #leaders = new Map<number, number>();
  readonly #votes = new Map<string, number>();
  readonly #terms = new Map<number, number>();
  readonly #commits = new Map<number, number>();
  readonly #roles = new Map<number, string>();
  readonly #reads = new Map<number, OpenRead>();

  /** To be called for every message as it leaves. */
  onSend(node: TestNode, packet: TestPacket, message: RaftMessage): void {
    const isPromise = message.kind === MESSAGE_VOTE_REPLY || message.kind === MESSAGE_APPEND_REPLY;
    if (!isPromise) return;
    const name = `${packet.from}->${packet.to} ${MESSAGE_NAMES[message.kind]} of term ${message.term}`;
    if (node.hardState.term < message.term) violated(`${name} left before its term was durable (R5)`);
    if (message.kind === MESSAGE_VOTE_REPLY && !message.reject) {
      const key = `${packet.from}/${message.term}`;
      const earlier = this.#votes.get(key);
      if (earlier !== undefined && earlier !== packet.to)
        violated(`${name}: it voted for ${earlier} in that term (R5)`);
      this.#votes.set(key, packet.to);
      if (node.hardState.term === message.term && node.hardState.vote.lo !== packet.to) {
        violated(`${name}: the durable vote is for ${node.hardState.vote.lo} (R5)`);
      }
    }
    if (message.kind === MESSAGE_APPEND_REPLY && !message.reject && message.index > node.lastDurable) {
      violated(`${name} acknowledges ${message.index}, durable is ${node.lastDurable} (R7)`);
    }
  }

  onReadAsked(node: TestNode, context: number): void {
    this.#reads.set(context, { node: node.id, floor: this.committed.length });
  }

  onReadConfirmed(node: TestNode, context: number, index: number): void {
    const read = this.#reads.get(context);
    if (read === undefined || read.node !== node.id)
      violated(`node ${node.id} confirmed read ${context}, which it was not asked for`);
    this.#reads.delete(context);
    if (index < read!.floor)
      violated(
        `node ${node.id} confirmed read ${context} at ${index}, ${read!.floor} was committed before (R2, R3)`,
      );
  }

  onReadAborted(node: TestNode, context: number): void {
    if (!this.#reads.delete(context)) violated(`node ${node.id} aborted read ${context} twice`);
  }

  onApplied(node: TestNode, entry: TestEntry): void {
    const known = this.committed[entry.index - 1];
    if (known === undefined) {
      this.#learn(node);
      return this.onApplied(node, entry);
    }
    if (known.term !== entry.term || known.data !== entry.data)
      violated(`node ${node.id} applied ${formatEntry(entry)}, committed is ${formatEntry(known)}`);
    if (entry.index > node.lastDurable)
      violated(`node ${node.id} applied ${entry.index}, durable is ${node.lastDurable}`);
  }

  check(nodes: readonly TestNode[]): void {
    for (const node of nodes) if (node.isUp) this.#checkNode(node);
    for (const node of nodes) if (node.isUp && node.raft.isLeader) this.#learn(node, nodes);
    for (const node of nodes) if (node.isUp) this.#learn(node);
    for (let i = 0; i < nodes.length; i++) {
      for (let j = i + 1; j < nodes.length; j++) checkLogMatching(nodes[i]!, nodes[j]!);
    }
  }

  #checkNode(node: TestNode): void {
    const { raft } = node;
    const { log } = raft;
    if (raft.term < (this.#terms.get(node.id) ?? 0) && raft.term < node.hardState.term)
      violated(`node ${node.id}: the term fell (R30)`);
    this.#terms.set(node.id, Math.max(raft.term, node.hardState.term));
    assert(raft.commitIndex <= raft.lastIndex, "the commit index lies in the log");
    assert(raft.appliedIndex <= raft.commitIndex, "only what is committed is applied");
    assert(log.compactedIndex <= raft.commitIndex, "only what is committed is compacted");
    this.#commits.set(node.id, raft.commitIndex);
    if (raft.isLeader) {
      const other = this.#leaders.get(raft.term);
      if (other !== undefined && other !== node.id)
        violated(`two leaders in term ${raft.term}: ${other} and ${node.id}`);
      this.#leaders.set(raft.term, node.id);
      const key = `${raft.role}${raft.term}`;
      if (this.#roles.get(node.id) !== key) this.#checkCompleteness(node);
      this.#roles.set(node.id, key);
    } else this.#roles.set(node.id, raft.role);
  }

  /** A new leader has everything that was committed in older terms (Raft 5.4); one of an old term, elected late, need not. */
  #checkCompleteness(node: TestNode): void {
    const { log } = node.raft;
    for (const entry of this.committed) {
      if (entry.index <= log.compactedIndex || this.#committedIn[entry.index - 1]! >= node.raft.term)
        continue;
      if (!log.matches(entry.index, entry.term)) {
        violated(`leader ${node.id} of term ${node.raft.term} lacks committed ${formatEntry(entry)}`);
      }
    }
  }

  /** Takes note of what a node has committed. A leader's news must be durable on a quorum, ours is checked against the disks. */
  #learn(node: TestNode, nodes?: readonly TestNode[]): void {
    const { log, commitIndex } = node.raft;
    const from = this.committed.length;
    for (let index = Math.max(1, log.compactedIndex + 1); index <= commitIndex; index++) {
      const known = this.committed[index - 1];
      const term = log.term(index);
      if (known !== undefined) {
        if (known.term !== term)
          violated(`node ${node.id} committed ${index}/${term}, committed before is ${formatEntry(known)}`);
        continue;
      }
      if (index !== this.committed.length + 1)
        violated(`node ${node.id} committed ${index}, nobody knows what is before`);
      this.committed.push(entryOf(node, index));
      this.#committedIn.push(node.raft.term);
    }
    if (nodes === undefined || this.committed.length === from) return;
    const last = this.committed[this.committed.length - 1]!;
    if (last.term !== node.raft.term)
      violated(`leader ${node.id} committed ${formatEntry(last)} of an older term by counting (R1)`);
    const { voters, votersOutgoing } = node.raft.confState;
    for (const half of [voters, votersOutgoing]) {
      if (half.length === 0) continue;
      const holders = half.filter((id) =>
        nodes.some((other) => other.id === id.lo && other.durableTerm(last.index) === last.term),
      );
      // The configuration may have changed with this very step; one fewer is then a matter of the order of applying.
      if (holders.length < majority(half.length) && node.raft.appliedIndex < last.index) {
        violated(
          `leader ${node.id} committed ${formatEntry(last)}, durable on ${holders.length} of ${half.length}`,
        );
      }
    }
  }
}

function entryOf(node: TestNode, index: number): TestEntry {
  const { log } = node.raft;
  const applied = node.applied[index - 1];
  if (index < log.memoryFirst) {
    if (applied === undefined) violated(`node ${node.id}: committed ${index} is nowhere`);
    return applied!;
  }
  return node.entryAt(index);
}

/** Two logs with an entry of equal index and term are equal up to there (Raft 5.3). */
function checkLogMatching(a: TestNode, b: TestNode): void {
  if (!a.isUp || !b.isUp) return;
  const first = Math.max(a.raft.log.compactedIndex, b.raft.log.compactedIndex);
  let index = Math.min(a.raft.lastIndex, b.raft.lastIndex);
  while (index > first && a.raft.log.term(index) !== b.raft.log.term(index)) index--;
  for (; index > first; index--) {
    if (a.raft.log.term(index) !== b.raft.log.term(index))
      violated(`logs of ${a.id} and ${b.id} differ at ${index} below an equal entry`);
    if (index < a.raft.log.memoryFirst || index < b.raft.log.memoryFirst) continue;
    if (a.entryAt(index).data !== b.entryAt(index).data)
      violated(`entry ${index} of ${a.id} and ${b.id} has equal terms and other bytes`);
  }
}

function violated(text: string): never {
  throw new InvariantError(text);
}
