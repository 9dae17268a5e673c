// A cluster in virtual time without clients and oracles of its own, for tests that break what the oracles watch: what is
// asked of a member goes to its machine directly, and the answer is looked at by whoever asked.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { DEFAULT_LIMITS, type Limits } from "../../core/base/limits.ts";
import { Prng } from "../../core/base/prng.ts";
import type { Call } from "../../core/member/call.ts";
import { bootstrapMemberId, clusterIdOf } from "../../core/member/identity.ts";
import type { Member } from "../../core/member/member.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import { encode, type Input, type Schema } from "../../core/wire/schema.ts";
import type { Method } from "../../core/wire/service.ts";
import { Network } from "./network.ts";
import { SimulatedNode } from "./node.ts";
import { PeerNetwork } from "./peer-network.ts";
import { Scheduler } from "./scheduler.ts";
import { Trace } from "./trace.ts";

const KIB = 1024;

export interface SmallClusterOptions {
  readonly memberCount: number;
  readonly seed?: number;
  readonly limits?: Partial<Limits>;
}

/** How a call ended; undefined while it waits. */
export interface Outcome {
  code: number | undefined;
  text: string;
}

export class SmallCluster {
  readonly scheduler = new Scheduler(new Trace());
  readonly network: Network;
  readonly nodes: SimulatedNode[] = [];
  /** What members said in their log of events. */
  readonly events: string[] = [];
  readonly peers: PeerNetwork;

  constructor(options: SmallClusterOptions) {
    const prng = new Prng(options.seed ?? 1);
    this.network = new Network(this.scheduler, prng.split("network"), options.memberCount);
    const infos = Array.from({ length: options.memberCount }, (_, i) => memberInfo(i));
    const clusterId = clusterIdOf(infos.map((info) => info.id));
    const initialMembers = infos.map((info) => ({ ...info, clientUrls: [] }));
    const limits = {
      ...DEFAULT_LIMITS,
      dataSegmentSizeBytes: 64 * KIB,
      walSegmentSizeBytes: 256 * KIB,
      ...options.limits,
    };
    infos.forEach((info, place) =>
      this.nodes.push(
        new SimulatedNode({
          place,
          info,
          clusterId,
          initialMembers,
          electionMs: 500,
          heartbeatMs: 50,
          syncUs: 200,
          limits,
          scheduler: this.scheduler,
          prng: prng.split(`node ${place}`),
          hooks: {
            say: (node, text) => void this.events.push(`${Math.round(this.nowMs)} ${node.name}: ${text}`),
            started: () => undefined,
            touched: () => undefined,
            stopped: (node, reason) => void this.events.push(`${node.name} stopped: ${reason}`),
            died: (node, reason) => void this.events.push(`${node.name} died: ${reason}`),
          },
        }),
      ),
    );
    this.peers = new PeerNetwork(this.network, this.nodes, () => undefined);
    for (const node of this.nodes) node.peers = this.peers;
    for (const node of this.nodes) node.start();
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

function memberInfo(place: number): MemberInfo {
  const peerUrls = [`http://m${place}:2380`];
  return {
    id: bootstrapMemberId(peerUrls, "small"),
    name: `m${place}`,
    peerUrls,
    clientUrls: [`http://m${place}:2379`],
    isLearner: false,
  };
}

type Metadata = Readonly<Record<string, string>>;

function plainCall(method: Method, outcome: Outcome, metadata: Metadata): Call {
  const writer = new ByteWriter(256);
  return {
    method,
    slot: 0,
    state: undefined,
    cancelled: false,
    deadlineMs: Number.POSITIVE_INFINITY,
    priority: 0,
    writable: true,
    metadata: (name) => metadata[name],
    beginMessage: () => writer,
    endMessage: () => undefined,
    sendLarge: () => undefined,
    finish: () => void (outcome.code = 0),
    fail: (status) => {
      outcome.code = status.code;
      outcome.text = status.text;
    },
  };
}
