// The leases of a load: granted in batches, kept alive while it runs, revoked after it.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { LeaseKeepAliveRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import type { Control } from "./control.ts";
import { keepAliveTtlSeconds } from "./etcd-requests.ts";
import type { Rpc, RpcStream } from "./rpc.ts";

/** Calls of `Control` at once: below its slots, so that there is room for others. */
const AT_ONCE = 32;

/** The message that renews a lease. */
export function keepAliveRequest(ID: bigint): ByteWriter {
  const message = new ByteWriter(16);
  encode(LeaseKeepAliveRequest, { ID }, message);
  return message;
}

export async function grantLeases(control: Control, count: number, ttlSeconds: number): Promise<bigint[]> {
  const leases: bigint[] = [];
  while (leases.length < count) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - leases.length) }, () =>
      control.call(METHOD.leaseGrant, { TTL: ttlSeconds }),
    );
    for (const grant of await Promise.all(batch)) leases.push(grant.ID);
  }
  return leases;
}

/** A lease that is gone already is fine: it was to go. */
export async function revokeLeases(control: Control, leases: readonly bigint[]): Promise<void> {
  for (let i = 0; i < leases.length; i += AT_ONCE) {
    await Promise.allSettled(
      leases.slice(i, i + AT_ONCE).map((ID) => control.call(METHOD.leaseRevoke, { ID })),
    );
  }
}

/** Leases that stay alive however long the run is, and that can be given up while it goes on. */
export class KeptLeases {
  readonly #rpc: Rpc;
  readonly #control: Control;
  readonly #ttlSeconds: number;
  readonly #requests = new Map<bigint, ByteWriter>();
  readonly #timer: NodeJS.Timeout;
  #stream: RpcStream | undefined;
  /** To be revoked, while others are. */
  #dropped: bigint[] = [];
  #revoking: Promise<void> | undefined;
  /** Leases that the store had let go although they were renewed in time. */
  expired = 0;

  constructor(rpc: Rpc, control: Control, ttlSeconds: number) {
    this.#rpc = rpc;
    this.#control = control;
    this.#ttlSeconds = ttlSeconds;
    // A third of the time to live, as etcd's clients do it: two renewals may be lost.
    this.#timer = setInterval(() => this.#renew(), (ttlSeconds * 1000) / 3);
    this.#timer.unref();
  }

  get count(): number {
    return this.#requests.size;
  }

  async grant(count: number): Promise<bigint[]> {
    const leases = await grantLeases(this.#control, count, this.#ttlSeconds);
    for (const lease of leases) this.add(lease);
    return leases;
  }

  /** Keeps a lease that somebody else was granted. */
  add(lease: bigint): void {
    this.#requests.set(lease, keepAliveRequest(lease));
  }

  /** Revokes it in the background, and with it all its keys, also those whose put is still under way. */
  drop(lease: bigint): void {
    if (!this.#requests.delete(lease)) return;
    this.#dropped.push(lease);
    this.#revoking ??= this.#revokeDropped();
  }

  /** Revokes all of them. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#stream?.cancel();
    await this.#revoking;
    await revokeLeases(this.#control, [...this.#requests.keys()]);
    this.#requests.clear();
  }

  async #revokeDropped(): Promise<void> {
    while (this.#dropped.length > 0) {
      const batch = this.#dropped;
      this.#dropped = [];
      await revokeLeases(this.#control, batch);
    }
    this.#revoking = undefined;
  }

  #renew(): void {
    this.#stream ??= this.#rpc.stream(0, METHOD.leaseKeepAlive, {
      onMessage: (bytes, start, end) => {
        if (keepAliveTtlSeconds(bytes, start, end) <= 0) this.expired++;
      },
      // Opened again at the next turn; a lease outlives two that fail.
      onEnd: () => (this.#stream = undefined),
    });
    for (const request of this.#requests.values()) this.#stream.send(request);
  }
}
