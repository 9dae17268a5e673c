// Locks that go from hand to hand, by the keys that etcd's own tools and Go library use (product/client/concurrency.ts),
// so that it runs on every store that speaks etcd's API and contends with etcdctl's `lock`.
//
//   grant?   the slot's lease, the first time
//   enqueue  put <name>/<lease in hexadecimal> unless it is there, and read the oldest key: is it ours?
//   look     read the youngest key that is older than ours; none: we hold the lock
//   wait     watch that key until it is deleted, then look again
//   release  delete our key
//
// An operation is lock, then unlock. The gap between two holders is the hand-over. A slot whose operation failed or took too
// long gives its lease up: that takes its key out of the queue, wherever it was.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import {
  LeaseGrantResponse,
  RangeResponse,
  TxnResponse,
  WatchRequest,
  WatchResponse,
} from "../../core/wire/messages.ts";
import { decode, encode, type Input, type MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import type { Control } from "./control.ts";
import { Histogram } from "./histogram.ts";
import { KeptLeases } from "./leases.ts";
import { prefixEnd } from "./range-workload.ts";
import type { Rpc, RpcStream, UnarySink } from "./rpc.ts";
import { clockUs } from "./ticker.ts";
import type { Material, Workload } from "./workload.ts";

/** Long enough for any pause of a client, short enough to be gone soon after a run that was killed. */
const LEASE_TTL_SECONDS = 60;
/** Leases granted before the load; a slot beyond them gets its own within its first operation. An open loop has 20,000. */
const LEASES_AHEAD_MAX = 100;

// Steps of an operation.
const GRANT = 0;
const ENQUEUE = 1;
const LOOK = 2;
const WAIT = 3;
const RELEASE = 4;

// Of etcd's rpc.proto.
const ASCEND = 1;
const DESCEND = 2;
const BY_CREATE = 2;
const NO_PUTS = 0;
const DELETED = 1;

interface LockName {
  readonly prefix: string;
  readonly key: Uint8Array;
  readonly end: Uint8Array;
}

export class LockWorkload implements Workload, UnarySink {
  readonly kinds = ["lock and unlock"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #kept: KeptLeases;
  readonly #locks: readonly LockName[];
  readonly #slotCount: number;
  readonly #message = new ByteWriter(512);
  #spareLeases: bigint[] = [];
  // By slot.
  readonly #leases: (bigint | undefined)[] = [];
  readonly #keys: Uint8Array[] = [];
  readonly #createRevisions: number[] = [];
  readonly #steps: number[] = [];
  /** The watch that the slot waits on. */
  readonly #watchIds: number[] = [];
  /** By connection. */
  readonly #streams: (RpcStream | undefined)[] = [];
  readonly #slotsByWatch = new Map<number, number>();
  #nextWatchId = 1;
  /** By lock: when its last holder began to let go. */
  readonly #releasedUs: number[] = [];
  readonly #handOver = new Histogram();
  #waits = 0;

  constructor(rpc: Rpc, control: Control, material: Material, counts: { locks: number; slots: number }) {
    this.#rpc = rpc;
    this.#material = material;
    this.#kept = new KeptLeases(rpc, control, LEASE_TTL_SECONDS);
    this.#slotCount = counts.slots;
    this.#locks = Array.from({ length: counts.locks }, (_, i) => {
      const prefix = `holdfast-bench-lock-${i}/`;
      const key = encodeUtf8(prefix);
      return { prefix, key, end: prefixEnd(key) };
    });
    rpc.sink = this;
  }

  async prepare(): Promise<void> {
    this.#spareLeases = await this.#kept.grant(Math.min(this.#slotCount, LEASES_AHEAD_MAX));
  }

  async finish(): Promise<void> {
    for (const stream of this.#streams) stream?.cancel();
    await this.#kept.close();
  }

  beginMeasuring(): void {
    this.#waits = 0;
    this.#handOver.reset();
  }

  extras(): Record<string, number> {
    return {
      locks: this.#locks.length,
      leases: this.#kept.count,
      expiredLeases: this.#kept.expired,
      waits: this.#waits,
      handOverP50Us: this.#handOver.quantile(0.5),
      handOverP99Us: this.#handOver.quantile(0.99),
    };
  }

  start(slot: number): number {
    const lease = this.#leases[slot] ?? this.#spareLeases.pop();
    if (lease === undefined) this.#call(slot, GRANT, METHOD.leaseGrant, { TTL: LEASE_TTL_SECONDS });
    else this.#enqueue(slot, lease);
    return 0;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
    this.#leaveQueue(slot);
  }

  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void {
    switch (this.#steps[slot]) {
      case GRANT: {
        const { ID } = decode(LeaseGrantResponse, bytes, start, end);
        this.#kept.add(ID);
        return this.#enqueue(slot, ID);
      }
      case ENQUEUE:
        return this.#takePlace(slot, decode(TxnResponse, bytes, start, end));
      case LOOK: {
        const { kvs, header } = decode(RangeResponse, bytes, start, end);
        const before = kvs[0];
        if (before === undefined) return this.#hold(slot, true);
        return this.#wait(slot, before.key, (header?.revision ?? 0) + 1);
      }
      default:
        this.#material.done(slot, undefined);
    }
  }

  onFailure(slot: number, text: string): void {
    this.#leaveQueue(slot);
    this.#material.done(slot, text);
  }

  #enqueue(slot: number, lease: bigint): void {
    if (this.#leases[slot] !== lease) {
      this.#leases[slot] = lease;
      this.#keys[slot] = encodeUtf8(this.#lockOf(slot).prefix + lease.toString(16));
    }
    const lock = this.#lockOf(slot);
    const key = this.#keys[slot]!;
    const oldest = {
      request_range: {
        key: lock.key,
        range_end: lock.end,
        sort_order: ASCEND,
        sort_target: BY_CREATE,
        limit: 1,
      },
    };
    this.#call(slot, ENQUEUE, METHOD.txn, {
      compare: [{ key, result: 0, target: 1, create_revision: 0 }],
      success: [{ request_put: { key, lease } }, oldest],
      failure: [{ request_range: { key } }, oldest],
    });
  }

  #takePlace(slot: number, answer: MessageOf<typeof TxnResponse>): void {
    const [own, oldest] = answer.responses;
    const revision = answer.succeeded
      ? answer.header?.revision
      : own?.response_range?.kvs[0]?.create_revision;
    this.#createRevisions[slot] = revision ?? 0;
    const first = oldest?.response_range?.kvs[0];
    if (first === undefined || first.create_revision === revision) this.#hold(slot, false);
    else {
      this.#waits++;
      this.#look(slot);
    }
  }

  #look(slot: number): void {
    const lock = this.#lockOf(slot);
    this.#call(slot, LOOK, METHOD.range, {
      key: lock.key,
      range_end: lock.end,
      sort_order: DESCEND,
      sort_target: BY_CREATE,
      limit: 1,
      max_create_revision: this.#createRevisions[slot]! - 1,
    });
  }

  #wait(slot: number, key: Uint8Array, startRevision: number): void {
    const watchId = this.#nextWatchId++;
    this.#steps[slot] = WAIT;
    this.#watchIds[slot] = watchId;
    this.#slotsByWatch.set(watchId, slot);
    const request = {
      key,
      start_revision: startRevision,
      filters: [NO_PUTS],
      watch_id: BigInt(watchId),
    };
    this.#message.reset();
    encode(WatchRequest, { create_request: request }, this.#message);
    this.#streamOf(slot).send(this.#message);
  }

  /** The lock is ours, and given back at once. */
  #hold(slot: number, hasWaited: boolean): void {
    const lock = slot % this.#locks.length;
    const nowUs = clockUs();
    const releasedUs = this.#releasedUs[lock];
    // Without somebody who waited, the gap is not the store's.
    if (hasWaited && releasedUs !== undefined) this.#handOver.record(nowUs - releasedUs);
    this.#releasedUs[lock] = nowUs;
    this.#call(slot, RELEASE, METHOD.deleteRange, { key: this.#keys[slot]! });
  }

  #streamOf(slot: number): RpcStream {
    const connection = slot % this.#rpc.connectionCount;
    return (this.#streams[connection] ??= this.#rpc.stream(connection, METHOD.watch, {
      onMessage: (bytes, start, end) => this.#takeEvents(decode(WatchResponse, bytes, start, end)),
      onEnd: (text) => {
        this.#streams[connection] = undefined;
        for (const [watchId, waiting] of this.#slotsByWatch) {
          if (waiting % this.#rpc.connectionCount !== connection) continue;
          this.#slotsByWatch.delete(watchId);
          this.onFailure(waiting, text === "" ? "watch ended" : text);
        }
      },
    }));
  }

  #takeEvents(answer: MessageOf<typeof WatchResponse>): void {
    const watchId = Number(answer.watch_id);
    const slot = this.#slotsByWatch.get(watchId);
    if (slot === undefined) return; // cancelled by us, and its answer
    if (answer.canceled) {
      this.#slotsByWatch.delete(watchId);
      return this.onFailure(slot, `watch cancelled: ${answer.cancel_reason}`);
    }
    if (!answer.events.some((event) => event.type === DELETED)) return;
    this.#endWatch(slot);
    this.#look(slot);
  }

  #endWatch(slot: number): void {
    const watchId = this.#watchIds[slot] ?? 0;
    this.#watchIds[slot] = 0;
    if (!this.#slotsByWatch.delete(watchId)) return;
    this.#message.reset();
    encode(WatchRequest, { cancel_request: { watch_id: BigInt(watchId) } }, this.#message);
    this.#streamOf(slot).send(this.#message);
  }

  #leaveQueue(slot: number): void {
    this.#endWatch(slot);
    const lease = this.#leases[slot];
    this.#leases[slot] = undefined;
    if (lease !== undefined) this.#kept.drop(lease);
  }

  #lockOf(slot: number): LockName {
    return this.#locks[slot % this.#locks.length]!;
  }

  #call<T>(slot: number, step: number, method: Method<T>, request: Input<T>): void {
    this.#steps[slot] = step;
    this.#message.reset();
    encode(method.request, request, this.#message);
    this.#rpc.unary(slot, method as Method, this.#message);
  }
}
