// One client: asks one thing after the other, keeps a lease alive, goes to another member when one fails it. Never
// repeats a request: whether an unanswered one happened is for the oracles to find out.

import type { Prng } from "../../core/base/prng.ts";
import type * as m from "../../core/wire/messages.ts";
import { LeaseKeepAliveResponse } from "../../core/wire/messages.ts";
import { decode, type MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { CODE } from "../../core/wire/status.ts";
import type { ClientCall } from "../../core/grpc/client-call.ts";
import type { ClientLink } from "./client-link.ts";
import type { Answer, Operation } from "./history.ts";
import { textOf } from "./canonical.ts";
import { encodeTagged, type Knowledge, Requests } from "./requests.ts";
import type { World } from "./world.ts";

const EVENT = { node: -1, kind: "client" } as const;

/** How long a client waits for an answer, milliseconds: mostly shorter than the server's own limit. */
const TIMEOUTS_MS = [300, 1_000, 2_000, 4_000, 10_000] as const;

interface Lease {
  readonly id: bigint;
  readonly ttlSeconds: number;
  /** True time after which it is left to expire. */
  readonly untilUs: number;
}

export class Client implements Knowledge {
  readonly number: number;
  readonly #world: World;
  readonly #prng: Prng;
  readonly #requests: Requests;
  #node: number;
  #link: ClientLink | undefined;
  #lease: Lease | undefined;
  #keepAlive: KeepAlive | undefined;
  readonly #modRevisions = new Map<string, number>();
  /** Operations that have not ended. */
  pendingCount = 0;

  constructor(world: World, number: number) {
    this.#world = world;
    this.number = number;
    this.#prng = world.prng.split(`client ${number}`);
    this.#requests = new Requests(this.#prng.split("requests"), world.plan.mix, world.plan.keyspace);
    this.#node = this.#prng.below(world.nodes.length);
    this.#later(this.#prng.below(200_000));
  }

  get revision(): number {
    return this.#world.history.highestReturned;
  }

  get lease(): bigint {
    return this.#lease?.id ?? 0n;
  }

  readonly modRevisionOf = (key: string): number => this.#modRevisions.get(key) ?? 0;

  /** Stops asking; keeps the connection until what runs has ended. */
  stop(): void {
    this.#keepAlive?.stop();
    this.#keepAlive = undefined;
  }

  get place(): number {
    return this.#world.clientPlace + this.number;
  }

  #later(delayUs: number): void {
    this.#world.scheduler.after(delayUs, EVENT, () => this.#next());
  }

  #next(): void {
    if (this.#world.isQuiet) return;
    const link = this.#connected();
    if (link === undefined) return this.#later(20_000 + this.#prng.below(60_000));
    if (this.#prng.below(100) < this.#world.plan.mix.lease) return this.#leaseStep(link);
    const tag = this.#world.nextTag();
    const drawn = this.#requests.draw(tag, this);
    this.#send(link, { method: drawn.method, request: drawn.request, tag: drawn.isWrite ? tag : 0 });
  }

  #send(
    link: ClientLink,
    what: { method: Method; request: unknown; tag: number },
    done?: (answer: Answer) => void,
  ): void {
    const world = this.#world;
    const { scheduler, history } = world;
    const operation: Operation = {
      ...what,
      client: this.number,
      node: link.node.place,
      calledUs: scheduler.nowUs,
      floor: history.highestReturned,
    };
    const bytes = encodeTagged(what.method, what.request, what.tag);
    this.pendingCount++;
    let message: Uint8Array | undefined;
    const call = link.call(
      what.method,
      {
        onMessage: (_call, source, start, end) => void (message = source.slice(start, end)),
        onEnd: (_call, code, text) => {
          this.pendingCount--;
          const answer = { code, text, message };
          world.returned(operation, answer);
          this.#learn(operation, answer);
          done?.(answer);
          this.#afterAnswer(answer);
        },
      },
      this.#prng.pick(TIMEOUTS_MS),
    );
    call.send(bytes, 0, bytes.length);
    call.halfClose();
    // One in a hundred gives up early.
    if (this.#prng.chance(0.01)) scheduler.after(this.#prng.below(5_000), EVENT, () => call.cancel());
  }

  #afterAnswer(answer: Answer): void {
    if (answer.code === CODE.unavailable || answer.code === CODE.deadlineExceeded) {
      if (this.#prng.chance(0.5)) this.#goElsewhere();
      return this.#later(10_000 + this.#prng.below(150_000));
    }
    this.#later(this.#world.plan.thinkUs + this.#prng.below(this.#world.plan.thinkUs));
  }

  #learn(operation: Operation, answer: Answer): void {
    if (operation.method !== METHOD.range || answer.message === undefined) return;
    const response = decode(METHOD.range.response, answer.message, 0, answer.message.length) as MessageOf<
      typeof m.RangeResponse
    >;
    for (const kv of response.kvs) this.#modRevisions.set(textOf(kv.key), kv.mod_revision);
  }

  #connected(): ClientLink | undefined {
    if (this.#link !== undefined && !this.#link.isLost) return this.#link;
    this.#link = undefined;
    const node = this.#world.nodes[this.#node]!;
    if (!node.isServing || !this.#world.isReachable(this.place, node.place)) {
      this.#goElsewhere();
      return undefined;
    }
    const link = this.#world.connect(this.place, node, this.#prng.split("link"), () => {
      if (this.#link === link) this.#link = undefined;
    });
    this.#link = link;
    return link;
  }

  #goElsewhere(): void {
    this.#node = this.#prng.below(this.#world.nodes.length);
    const link = this.#link;
    this.#link = undefined;
    link?.close();
  }

  // Leases: one at a time; granted, used, renewed for a while, then revoked or left to expire.

  #leaseStep(link: ClientLink): void {
    const { scheduler, leases } = this.#world;
    const lease = this.#lease;
    if (lease === undefined || !leases.isAlive(lease.id)) return this.#grant(link);
    if (scheduler.nowUs > lease.untilUs) {
      this.#keepAlive?.stop();
      this.#keepAlive = undefined;
      if (this.#prng.chance(0.7)) this.#lease = undefined;
      else
        return this.#send(link, {
          method: METHOD.leaseRevoke,
          request: { ID: lease.id },
          tag: this.#world.nextTag(),
        });
    } else if (this.#keepAlive === undefined || this.#keepAlive.isEnded) {
      this.#keepAlive = new KeepAlive(this.#world, link, lease.id, (lease.ttlSeconds * 1e6) / 3);
    }
    this.#later(this.#world.plan.thinkUs);
  }

  #grant(link: ClientLink): void {
    this.#keepAlive?.stop();
    this.#keepAlive = undefined;
    const tag = this.#world.nextTag();
    const id = BigInt(1_000_000 + tag);
    const { leaseTtlSeconds, activeUs } = this.#world.plan;
    const ttlSeconds = this.#prng.between(...leaseTtlSeconds);
    const sentUs = this.#world.scheduler.nowUs;
    const untilUs = sentUs + this.#prng.below((activeUs * 4) / 5);
    this.#send(
      link,
      { method: METHOD.leaseGrant, request: { ID: id, TTL: ttlSeconds }, tag: 0 },
      (answer) => {
        if (answer.code !== CODE.ok) return;
        this.#world.leases.acknowledged(id, sentUs);
        this.#lease = { id, ttlSeconds, untilUs };
      },
    );
  }
}

/** A stream of renewals; answers come in the order of the questions. */
class KeepAlive {
  isEnded = false;
  readonly #world: World;
  readonly #id: bigint;
  readonly #periodUs: number;
  readonly #call: ClientCall;
  readonly #sentUs: number[] = [];

  constructor(world: World, link: ClientLink, id: bigint, periodUs: number) {
    this.#world = world;
    this.#id = id;
    this.#periodUs = periodUs;
    this.#call = link.call(
      METHOD.leaseKeepAlive,
      {
        onMessage: (_call, bytes, start, end) =>
          this.#answered(decode(LeaseKeepAliveResponse, bytes, start, end)),
        onEnd: () => this.#ended(),
      },
      Number.POSITIVE_INFINITY,
    );
    this.#renew();
  }

  stop(): void {
    if (this.isEnded) return;
    this.#call.halfClose();
    this.isEnded = true;
  }

  #renew(): void {
    if (this.isEnded) return;
    const bytes = encodeTagged(METHOD.leaseKeepAlive, { ID: this.#id }, 0);
    this.#sentUs.push(this.#world.scheduler.nowUs);
    this.#world.leases.renewalSent(this.#id);
    this.#call.send(bytes, 0, bytes.length);
    this.#world.scheduler.after(this.#periodUs, EVENT, () => this.#renew());
  }

  #answered(response: MessageOf<typeof LeaseKeepAliveResponse>): void {
    const sentUs = this.#sentUs.shift()!;
    if (response.TTL > 0) this.#world.leases.renewed(this.#id, sentUs);
    else this.#world.leases.reportedGone(this.#id);
  }

  #ended(): void {
    this.isEnded = true;
    this.#world.leases.renewalsLost(this.#id, this.#sentUs.length);
    this.#sentUs.length = 0;
  }
}
