// A cluster in virtual time without clients and oracles of its own, for tests that break what the oracles watch: what is
// asked of a member goes to its machine directly, and the answer is looked at by whoever asked.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { type Id64, id64Equal } from "../../core/base/ids.ts";
import { DEFAULT_LIMITS, type Limits } from "../../core/base/limits.ts";
import { Prng } from "../../core/base/prng.ts";
import type { Call } from "../../core/member/call.ts";
import { bootstrapMemberId, clusterIdOf } from "../../core/member/identity.ts";
import type { Member } from "../../core/member/member.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import { encode, type Input, type Schema } from "../../core/wire/schema.ts";
import type { Method } from "../../core/wire/service.ts";
import type { Status } from "../../core/wire/status.ts";
import { Network } from "./network.ts";
import { SimulatedNode } from "./node.ts";
import { PeerNetwork } from "./peer-network.ts";
import { Scheduler } from "./scheduler.ts";
import { Trace } from "./trace.ts";

const KIB = 1024;

/** Members that may be added to a small cluster. */
const ADDED_COUNT_MAX = 4;
const ELECTION_MS = 500;

export interface SmallClusterOptions {
  readonly memberCount: number;
  /** Of the first members; from their addresses without. */
  readonly ids?: readonly Id64[];
  readonly seed?: number;
  /** Changes of members are refused while others are away. */
  readonly strictReconfigCheck?: boolean;
  readonly limits?: Partial<Limits>;
}

/** How a call ended; undefined while it waits. */
export interface Outcome {
  code: number | undefined;
  text: string;
  /** The caller waits no longer. */
  isGivenUp?: boolean;
}

export class SmallCluster {
  readonly scheduler = new Scheduler(new Trace());
  readonly network: Network;
  readonly nodes: SimulatedNode[] = [];
  /** What members said in their log of events. */
  readonly events: string[] = [];
  readonly peers: PeerNetwork;
  readonly #options: SmallClusterOptions;
  readonly #prng: Prng;
  readonly #clusterId: Id64;

  constructor(options: SmallClusterOptions) {
    this.#options = options;
    this.#prng = new Prng(options.seed ?? 1);
    const placeCount = options.memberCount + ADDED_COUNT_MAX;
    this.network = new Network(this.scheduler, this.#prng.split("network"), placeCount);
    this.peers = new PeerNetwork(this.network, this.nodes, () => undefined);
    const infos = Array.from({ length: options.memberCount }, (_, i) => memberInfo(i, options.ids?.[i]));
    this.#clusterId = clusterIdOf(infos.map((info) => info.id));
    const initialMembers = infos.map((info) => ({ ...info, clientUrls: [] }));
    for (const info of infos) this.#addNode(info, { initialMembers, joins: false });
    for (const node of this.nodes) node.start();
  }

  /** Starts a member that was added with the peer URL `http://m<place>:2380`; it knows whom member `from` knows. */
  join(from: number): SimulatedNode {
    const place = this.nodes.length;
    const initialMembers = this.member(from).membership.list();
    const own = initialMembers.find((info) => info.peerUrls[0] === peerUrlOf(place));
    if (own === undefined) throw new Error(`member ${from} knows of no member ${place}`);
    const node = this.#addNode(memberInfo(place, own.id), { initialMembers, joins: true });
    node.start();
    return node;
  }

  #addNode(
    info: MemberInfo,
    what: { readonly initialMembers: readonly MemberInfo[]; readonly joins: boolean },
  ): SimulatedNode {
    const place = this.nodes.length;
    const limits = {
      ...DEFAULT_LIMITS,
      dataSegmentSizeBytes: 64 * KIB,
      supersededBytesMax: 0,
      walSegmentSizeBytes: 256 * KIB,
      ...this.#options.limits,
    };
    const node = new SimulatedNode({
      ...what,
      place,
      info,
      clusterId: this.#clusterId,
      electionMs: ELECTION_MS,
      heartbeatMs: 50,
      strictReconfigCheck: this.#options.strictReconfigCheck ?? false,
      syncUs: 200,
      limits,
      scheduler: this.scheduler,
      prng: this.#prng.split(`node ${place}`),
      hooks: {
        say: (said, text) => void this.events.push(`${Math.round(this.nowMs)} ${said.name}: ${text}`),
        started: () => undefined,
        touched: () => undefined,
        listed: (id) => this.nodes.find((one) => id64Equal(one.id, id))?.member?.membership.list(),
        stopped: (stopped, reason) => void this.events.push(`${stopped.name} stopped: ${reason}`),
        died: (died, reason) => void this.events.push(`${died.name} died: ${reason}`),
      },
    });
    this.nodes.push(node);
    node.peers = this.peers;
    return node;
  }

  get nowMs(): number {
    return this.scheduler.nowUs / 1000;
  }

  member(place: number): Member {
    const { member } = this.nodes[place]!;
    if (member === undefined) throw new Error(`member ${place} is down`);
    return member;
  }

  /** The member that leads and is known to; -1 without. */
  get leader(): number {
    return this.nodes.findIndex((node) => node.member?.isLeader === true);
  }

  run(forMs: number): void {
    const untilUs = this.scheduler.nowUs + forMs * 1000;
    while (this.scheduler.step(untilUs));
  }

  /** Runs until it is true, at most so long; how long it took, or -1. */
  runUntil(isTrue: () => boolean, withinMs: number): number {
    const startMs = this.nowMs;
    while (!isTrue()) {
      if (this.nowMs - startMs >= withinMs) return -1;
      this.run(1);
    }
    return this.nowMs - startMs;
  }

  /** Asks a member; the outcome is filled in when it answers. */
  // oxlint-disable-next-line max-params -- whom, what, how it is written, with which fields
  ask<T>(
    place: number,
    method: Method,
    schema: Schema<T>,
    request: Input<T>,
    metadata: Metadata = {},
  ): Outcome {
    const writer = new ByteWriter(256);
    encode(schema, request, writer);
    const outcome: Outcome = { code: undefined, text: "" };
    const call = plainCall(method, outcome, metadata);
    const node = this.nodes[place]!;
    node.input(() => node.member!.onUnary(call, writer.bytes, 0, writer.position));
    return outcome;
  }

  /** Opens a stream and sends these requests; the outcome is filled in when it ends. */
  // oxlint-disable-next-line max-params -- as `ask`
  openStream<T>(
    place: number,
    method: Method,
    schema: Schema<T>,
    requests: readonly Input<T>[],
    metadata: Metadata = {},
  ): Outcome {
    const outcome: Outcome = { code: undefined, text: "" };
    const call = plainCall(method, outcome, metadata);
    const node = this.nodes[place]!;
    node.input(() => {
      node.member!.onStreamOpen(call);
      for (const request of requests) {
        const writer = new ByteWriter(256);
        encode(schema, request, writer);
        node.member!.onStreamMessage(call, writer.bytes, 0, writer.position);
      }
    });
    return outcome;
  }
}

export function peerUrlOf(place: number): string {
  return `http://m${place}:2380`;
}

function memberInfo(place: number, id?: Id64): MemberInfo {
  const peerUrls = [peerUrlOf(place)];
  return {
    id: id ?? bootstrapMemberId(peerUrls, "small"),
    name: `m${place}`,
    peerUrls,
    clientUrls: [`http://m${place}:2379`],
    isLearner: false,
  };
}

type Metadata = Readonly<Record<string, string>>;

function plainCall(method: Method, outcome: Outcome, metadata: Metadata): Call {
  const writer = new ByteWriter(256);
  const fail = (status: Status): void => {
    outcome.code = status.code;
    outcome.text = status.text;
  };
  return {
    method,
    slot: 0,
    state: undefined,
    get cancelled() {
      return outcome.isGivenUp === true;
    },
    deadlineMs: Number.POSITIVE_INFINITY,
    priority: 0,
    writable: true,
    metadata: (name) => metadata[name],
    beginMessage: () => writer,
    endMessage: () => undefined,
    flush: () => undefined,
    sendLarge: (sizeBytes, producer) => {
      while (!producer.pull(writer, sizeBytes));
    },
    finish: () => void (outcome.code = 0),
    fail,
    abort: fail,
  };
}
