// Where a simulation takes place: members, their network and the oracles around one virtual time. Clients, the operator and
// the faults act in it; simulation.ts brings them in.

import { ID64_ZERO, type Id64, id64Equal } from "../../core/base/ids.ts";
import type { Limits } from "../../core/base/limits.ts";
import { Prng } from "../../core/base/prng.ts";
import { bootstrapMemberId, clusterIdOf } from "../../core/member/identity.ts";
import { FORMAT_VERSION } from "../../core/member/format.ts";
import type { Member } from "../../core/member/member.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import { membersWithPublished } from "../../core/member/published.ts";
import type { RaftMessage } from "../../core/raft/message.ts";
import { CODE } from "../../core/wire/status.ts";
import { ClientLink } from "./client-link.ts";
import { GroundTruth } from "./ground-truth.ts";
import { type Answer, History, type Operation } from "./history.ts";
import { Leadership } from "./leadership.ts";
import { LeaseOracle } from "./lease-oracle.ts";
import { Network } from "./network.ts";
import { type NodeOptions, SimulatedNode } from "./node.ts";
import { PeerNetwork } from "./peer-network.ts";
import { ADDED_MEMBER_COUNT_MAX, DRIFT_MAX, type Plan, strayUsOf } from "./plan.ts";
import { RaftOracle } from "./raft-oracle.ts";
import { Scheduler } from "./scheduler.ts";
import { Trace } from "./trace.ts";
import { promise, Violation } from "./violation.ts";

const SWEEP_US = 1_000_000;
const NARRATIVE_LINES_MAX = 400;
/** A simulation that makes so many events without an end has lost itself. */
const EVENT_COUNT_MAX = 5_000_000;

/** What the world tells those who act in it. */
export interface WorldHooks {
  /** A member sent a Raft message. */
  said(place: number, message: RaftMessage): void;
  /** A member ended by itself, because of a fault of its disk. */
  died(node: SimulatedNode, reason: string): void;
  /** The others did not take a member back that had lost its disk. */
  refused(node: SimulatedNode): void;
  /** Whether this member belongs to the cluster, and so may not stop by itself. */
  isWanted(node: SimulatedNode): boolean;
}

export class World {
  readonly plan: Plan;
  /** What all members go by; a fault may change it while they run. */
  readonly limits: { -readonly [Name in keyof Limits]: Limits[Name] };
  readonly prng: Prng;
  readonly trace = new Trace();
  readonly scheduler = new Scheduler(this.trace);
  readonly truth: GroundTruth;
  readonly history: History;
  readonly leases: LeaseOracle;
  readonly leadership = new Leadership(() => this.scheduler.nowUs);
  readonly raft: RaftOracle;
  readonly network: Network;
  readonly nodes: SimulatedNode[] = [];
  readonly peers: PeerNetwork;
  /** Faults that happened, and what came of them, by kind: how many. */
  readonly happenings = new Map<string, number>();
  /** What happened lately, for the report of a violation. */
  readonly narrative: string[] = [];
  watchMessageCount = 0;
  /** The first place that is a client's: those before it are members', also of those to be added. */
  readonly clientPlace: number;
  /** Also of the client that looks at the end. */
  readonly operatorPlace: number;
  readonly #hooks: WorldHooks;
  #clusterId: Id64 = ID64_ZERO;
  /** Clients ask nothing any more. */
  isQuiet = false;
  #tag = 0;

  constructor(plan: Plan, hooks: WorldHooks) {
    this.plan = plan;
    this.#hooks = hooks;
    this.limits = { ...plan.limits };
    this.prng = new Prng(plan.seed).split("world");
    this.leases = new LeaseOracle({
      now: () => this.scheduler.nowUs,
      driftMax: DRIFT_MAX * 1.2,
      strayUs: strayUsOf(plan),
      checkpointUs: plan.limits.leaseCheckpointMs * 1000,
    });
    this.truth = new GroundTruth(this.leases);
    this.history = new History(this.truth);
    this.clientPlace = plan.memberCount + ADDED_MEMBER_COUNT_MAX;
    this.operatorPlace = this.clientPlace + plan.clientCount + plan.watcherCount;
    this.network = new Network(this.scheduler, this.prng.split("network"), this.operatorPlace + 1);
    this.network.weather = plan.weather;
    this.#makeNodes();
    this.raft = new RaftOracle({
      truth: this.truth,
      places: this.nodes,
      now: () => this.scheduler.nowUs,
      say: (text) => this.say(text),
    });
    this.peers = new PeerNetwork(this.network, this.nodes, (from, message) => {
      this.raft.sent(from, message);
      hooks.said(from.place, message);
      this.leadership.said(from.place, message, this.#placeOf({ hi: message.toHi, lo: message.toLo }));
    });
    for (const node of this.nodes) node.peers = this.peers;
  }

  nextTag(): number {
    return ++this.#tag;
  }

  say(text: string): void {
    this.narrative.push(`${(this.scheduler.nowUs / 1000).toFixed(3).padStart(10)} ms  ${text}`);
    if (this.narrative.length > NARRATIVE_LINES_MAX) this.narrative.shift();
  }

  /** A fault, or what came of one. */
  happened(kind: string): void {
    this.happenings.set(kind, (this.happenings.get(kind) ?? 0) + 1);
  }

  get leader(): SimulatedNode | undefined {
    let leader: SimulatedNode | undefined;
    for (const node of this.nodes) {
      const raft = node.member?.raft;
      if (raft?.isLeader === true && (leader === undefined || raft.term > leader.member!.raft.term))
        leader = node;
    }
    return leader;
  }

  isReachable(from: number, to: number): boolean {
    return this.network.isOpen(from, to) && this.network.isOpen(to, from);
  }

  connect(place: number, node: SimulatedNode, prng: Prng, onLost: () => void): ClientLink {
    const { limits, transportLimits } = this.plan;
    return new ClientLink({
      network: this.network,
      node,
      place,
      limits,
      transportLimits,
      prng,
      onLost,
    });
  }

  returned(operation: Operation, answer: Answer): void {
    this.history.returned(operation, answer);
    const committed = operation.tag === 0 ? undefined : this.truth.operation(operation.tag);
    if (committed === undefined || answer.code !== CODE.ok) return;
    this.leadership.written(this.truth.entries[committed.index]!.term, operation.calledUs);
  }

  runUntil(timeUs: number): void {
    while (this.scheduler.step(timeUs)) {
      if (this.scheduler.count > EVENT_COUNT_MAX)
        throw new Violation(
          "liveness",
          `${EVENT_COUNT_MAX} events and no end: something spins, lastly ${this.scheduler.lastKind}`,
        );
    }
  }

  #makeNodes(): void {
    const { memberCount } = this.plan;
    const infos: MemberInfo[] = [];
    for (let i = 0; i < memberCount; i++) {
      const peerUrls = [`http://m${i}:2380`];
      infos.push({
        id: bootstrapMemberId(peerUrls, "simulation"),
        name: `m${i}`,
        peerUrls,
        clientUrls: [`http://m${i}:2379`],
        isLearner: false,
      });
    }
    this.#clusterId = clusterIdOf(infos.map((info) => info.id));
    // As a flag says them: without names and client URLs of the others, which they publish themselves.
    const initialMembers = infos.map((info) => ({ ...info, clientUrls: [] }));
    infos.forEach((info, place) => void this.addNode({ place, info, initialMembers, joins: false }));
  }

  /** A process that is not started yet. */
  addNode(what: Pick<NodeOptions, "place" | "info" | "initialMembers" | "joins">): SimulatedNode {
    const { electionMs, heartbeatMs, strictReconfigCheck, olderCount, syncUs } = this.plan;
    const { limits } = this;
    const { place } = what;
    const node = new SimulatedNode({
      ...what,
      clusterId: this.#clusterId,
      electionMs,
      heartbeatMs,
      strictReconfigCheck,
      ...(place < olderCount ? { firstFormat: FORMAT_VERSION - 1 } : {}),
      limits,
      syncUs,
      scheduler: this.scheduler,
      prng: this.prng.split(`node ${place}`),
      hooks: {
        say: (_node, text) => this.say(`member ${place}: ${text}`),
        started: (started, member) => {
          if (started.isWiped) this.raft.startedAnew(place, member);
          else this.raft.started(place, member);
        },
        touched: (_node, member) => {
          this.raft.touched(place, member);
          if (member.isLeader && member.lessor.isPrimary) this.#ruled(place, member);
        },
        stopped: (stopped, reason) => {
          if (stopped.isWiped) return this.#refused(stopped, reason);
          promise(
            !this.#hooks.isWanted(stopped),
            "crash",
            () => `member ${place} stopped by itself: ${reason}`,
          );
        },
        listed: (id) => {
          const other = this.nodes.find((one) => id64Equal(one.id, id))?.member;
          return other === undefined ? undefined : membersWithPublished(other);
        },
        died: (died, reason) => this.#hooks.died(died, reason),
      },
    });
    this.nodes.push(node);
    node.peers = this.peers;
    return node;
  }

  #refused(node: SimulatedNode, reason: string): void {
    this.say(`member ${node.place} is refused: ${reason}`);
    this.#hooks.refused(node);
  }

  #ruled(place: number, { raft }: Member): void {
    const promotion = this.leadership.promoted(place, raft.term, this.plan.electionMs * 1000);
    if (promotion !== undefined) this.leases.promoted(promotion);
  }

  #placeOf(id: Id64): number {
    return this.nodes.find((node) => id64Equal(node.id, id))?.place ?? -1;
  }

  /** The Raft oracle looks at every member as a whole, from time to time. */
  sweepLater(): void {
    this.scheduler.after(SWEEP_US, { node: -1, kind: "sweep" }, () => {
      for (const node of this.nodes) if (node.member !== undefined) this.raft.sweep(node.place, node.member);
      this.sweepLater();
    });
  }
}
