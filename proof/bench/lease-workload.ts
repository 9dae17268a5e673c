// Lease keep-alives.

import type { ByteWriter } from "../../core/base/byte-writer.ts";
import { METHOD } from "../../core/wire/service.ts";
import type { Control } from "./control.ts";
import { keepAliveTtlSeconds } from "./etcd-requests.ts";
import { grantLeases, keepAliveRequest, revokeLeases } from "./leases.ts";
import type { Rpc, RpcStream } from "./rpc.ts";
import type { Material, Workload } from "./workload.ts";

/** The load itself renews them, each in its turn: many leases at a low rate must not end before theirs comes. */
const LEASE_TTL_SECONDS = 600;

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
    this.#leases = await grantLeases(this.#control, this.#leaseCount, LEASE_TTL_SECONDS);
    this.#requests = this.#leases.map(keepAliveRequest);
  }

  async finish(): Promise<void> {
    for (const stream of this.#streams) stream?.cancel();
    await revokeLeases(this.#control, this.#leases);
  }

  extras(): Record<string, number> {
    return { leases: this.#leases.length };
  }

  start(slot: number): number {
    this.#streams[slot] ??= this.#rpc.stream(slot, METHOD.leaseKeepAlive, {
      // A store answers for a lease that is gone, too: with no time left.
      onMessage: (bytes, start, end) =>
        this.#material.done(
          slot,
          keepAliveTtlSeconds(bytes, start, end) > 0 ? undefined : "the lease has expired",
        ),
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
