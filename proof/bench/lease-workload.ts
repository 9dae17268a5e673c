// Lease keep-alives, and locks that go from hand to hand.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { LeaseKeepAliveRequest, LockRequest, LockResponse, UnlockRequest } from "../../core/wire/messages.ts";
import { decode, encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import type { Control } from "./control.ts";
import { Histogram } from "./histogram.ts";
import type { Rpc, RpcStream, UnarySink } from "./rpc.ts";
import { clockUs } from "./ticker.ts";
import type { Material, Workload } from "./workload.ts";

/** Long enough for any run's pause, short enough to be gone soon after a run that was killed. */
const LEASE_TTL_SECONDS = 60;

async function grantMany(control: Control, count: number): Promise<bigint[]> {
  const leases: bigint[] = [];
  while (leases.length < count) {
    const batch = Array.from({ length: Math.min(50, count - leases.length) }, () =>
      control.call(METHOD.leaseGrant, { TTL: LEASE_TTL_SECONDS }),
    );
    for (const grant of await Promise.all(batch)) leases.push(grant.ID);
  }
  return leases;
}

async function revokeAll(control: Control, leases: readonly bigint[]): Promise<void> {
  for (let i = 0; i < leases.length; i += 50) {
    await Promise.allSettled(leases.slice(i, i + 50).map((ID) => control.call(METHOD.leaseRevoke, { ID })));
  }
}

/** Each slot has a stream and a share of the leases; an operation is one keep-alive and its answer. */
export class LeaseWorkload implements Workload {
  readonly kinds = ["keep-alive"];
  readonly #rpc: Rpc;
  readonly #control: Control;
  readonly #material: Material;
  readonly #leaseCount: number;
  #requests: ByteWriter[] = [];
  #leases: bigint[] = [];
  readonly #streams: (RpcStream | undefined)[] = [];
  #next = 0;

  constructor(rpc: Rpc, control: Control, material: Material, leaseCount: number) {
    this.#rpc = rpc;
    this.#control = control;
    this.#material = material;
    this.#leaseCount = leaseCount;
  }

  async prepare(): Promise<void> {
    this.#leases = await grantMany(this.#control, this.#leaseCount);
    this.#requests = this.#leases.map((ID) => {
      const message = new ByteWriter(16);
      encode(LeaseKeepAliveRequest, { ID }, message);
      return message;
    });
  }

  async finish(): Promise<void> {
    for (const stream of this.#streams) stream?.cancel();
    await revokeAll(this.#control, this.#leases);
  }

  extras(): Record<string, number> {
    return { leases: this.#leases.length };
  }

  start(slot: number): number {
    this.#streams[slot] ??= this.#rpc.stream(slot, METHOD.leaseKeepAlive, {
      onMessage: () => this.#material.done(slot, undefined),
      onEnd: (text) => {
        this.#streams[slot] = undefined;
        this.#material.done(slot, text === "" ? "stream ended" : text);
      },
    });
    this.#streams[slot].send(this.#requests[this.#next++ % this.#requests.length]!);
    return 0;
  }

  abandon(slot: number): void {
    this.#streams[slot]?.cancel();
    this.#streams[slot] = undefined;
  }
}

/** Every slot wants one of a few locks; an operation is lock, then unlock. The gap between holders is the hand-over. */
export class LockWorkload implements Workload, UnarySink {
  readonly kinds = ["lock and unlock"];
  readonly #rpc: Rpc;
  readonly #control: Control;
  readonly #material: Material;
  readonly #lockCount: number;
  readonly #slotCount: number;
  #leases: bigint[] = [];
  readonly #message = new ByteWriter(256);
  readonly #holding: boolean[] = [];
  /** By lock: when its last holder began to let go; NaN while nobody waited. */
  readonly #releasedUs: number[] = [];
  readonly #handOver = new Histogram();

  constructor(rpc: Rpc, control: Control, material: Material, counts: { locks: number; slots: number }) {
    this.#rpc = rpc;
    this.#control = control;
    this.#material = material;
    this.#lockCount = counts.locks;
    this.#slotCount = counts.slots;
    rpc.sink = this;
  }

  async prepare(): Promise<void> {
    this.#leases = await grantMany(this.#control, this.#slotCount);
  }

  async finish(): Promise<void> {
    await revokeAll(this.#control, this.#leases);
  }

  extras(): Record<string, number> {
    return {
      locks: this.#lockCount,
      handOverP50Us: this.#handOver.quantile(0.5),
      handOverP99Us: this.#handOver.quantile(0.99),
    };
  }

  start(slot: number): number {
    this.#holding[slot] = false;
    const name = encodeUtf8(`holdfast-bench-lock-${slot % this.#lockCount}`);
    this.#message.reset();
    encode(LockRequest, { name, lease: this.#leases[slot]! }, this.#message);
    this.#rpc.unary(slot, METHOD.lock, this.#message);
    return 0;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void {
    if (this.#holding[slot]) {
      this.#material.done(slot, undefined);
      return;
    }
    const lock = slot % this.#lockCount;
    const nowUs = clockUs();
    const releasedUs = this.#releasedUs[lock];
    if (releasedUs !== undefined) this.#handOver.record(nowUs - releasedUs);
    this.#releasedUs[lock] = nowUs;
    this.#holding[slot] = true;
    const { key } = decode(LockResponse, bytes, start, end);
    this.#message.reset();
    encode(UnlockRequest, { key }, this.#message);
    this.#rpc.unary(slot, METHOD.unlock, this.#message);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }
}
