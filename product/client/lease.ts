/** Leases: keys that die when nobody renews them. */

import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import type { Caller, CallOptions } from "./caller.ts";
import { EtcdError } from "./errors.ts";
import { LeaseKeeper } from "./keep-alive.ts";
import type { Header } from "./types.ts";
import { toHeader } from "./types.ts";

export interface LeaseGrantResponse {
  readonly header: Header;
  readonly id: bigint;
  /** Seconds; the server raises short ones to its minimum (2 by default). */
  readonly ttlSeconds: number;
}

export interface LeaseRenewal {
  readonly header: Header;
  readonly id: bigint;
  readonly ttlSeconds: number;
}

export interface LeaseTimeToLiveResponse {
  readonly header: Header;
  readonly id: bigint;
  /** Whole seconds left, -1 when there is no such lease. */
  readonly ttlSeconds: number;
  readonly grantedTtlSeconds: number;
  /** Attached keys, if they were asked for. */
  readonly keys: readonly Uint8Array[];
}

/** A lease that is being renewed. */
export interface KeepAlive {
  /** Resolves when renewing ends: to the error, or to undefined after close(). Never rejects. */
  readonly ended: Promise<EtcdError | undefined>;
  /** Stops renewing; the lease lives on until it runs out. */
  close(): void;
}

export class LeaseClient {
  readonly #caller: Caller;
  readonly #keeper: LeaseKeeper;

  constructor(caller: Caller) {
    this.#caller = caller;
    this.#keeper = new LeaseKeeper(caller);
  }

  /** `ttlSeconds`: at most 9,000,000,000. `id`: 0n lets the server choose. */
  async grant(
    ttlSeconds: number,
    options: { readonly id?: bigint } & CallOptions = {},
  ): Promise<LeaseGrantResponse> {
    const request = { TTL: ttlSeconds, ID: options.id ?? 0n };
    const answer = await this.#caller.unary(METHOD.leaseGrant, request, options);
    return { header: toHeader(answer.header), id: answer.ID, ttlSeconds: answer.TTL };
  }

  /** Deletes the lease and its keys, all in one revision. NotFound when there is no such lease. */
  async revoke(id: bigint, options: CallOptions = {}): Promise<Header> {
    return toHeader((await this.#caller.unary(METHOD.leaseRevoke, { ID: id }, options)).header);
  }

  async timeToLive(
    id: bigint,
    options: { readonly keys?: boolean } & CallOptions = {},
  ): Promise<LeaseTimeToLiveResponse> {
    const answer = await this.#caller.unary(
      METHOD.leaseTimeToLive,
      { ID: id, keys: options.keys ?? false },
      options,
    );
    return {
      header: toHeader(answer.header),
      id: answer.ID,
      ttlSeconds: answer.TTL,
      grantedTtlSeconds: answer.grantedTTL,
      keys: answer.keys,
    };
  }

  /** All leases, those that run out first in front. */
  async list(
    options: CallOptions = {},
  ): Promise<{ readonly header: Header; readonly ids: readonly bigint[] }> {
    const answer = await this.#caller.unary(METHOD.leaseLeases, {}, options);
    return { header: toHeader(answer.header), ids: answer.leases.map((it) => it.ID) };
  }

  /**
   * Renews until close(), on whichever member can be reached. `onRenewed` is called after each renewal, a third of the
   * TTL apart. Renewing ends by itself when the lease is gone or nobody answers for a whole TTL.
   */
  keepAlive(id: bigint, onRenewed?: (renewal: LeaseRenewal) => void): KeepAlive {
    let end: (error: EtcdError | undefined) => void = () => {};
    const ended = new Promise<EtcdError | undefined>((resolve) => (end = resolve));
    const close = this.#keeper.add(id, {
      onRenewed: (message) =>
        onRenewed?.({ header: toHeader(message.header), id: message.ID, ttlSeconds: message.TTL }),
      onEnd: (error) => end(error),
    });
    return { ended, close };
  }

  /** Renews once. NotFound when the lease is gone. */
  async keepAliveOnce(id: bigint, options: CallOptions = {}): Promise<LeaseRenewal> {
    // A stream of one request and one answer: half-closed at once, it ends like a unary call.
    const message = await this.#caller.unary(METHOD.leaseKeepAlive, { ID: id }, options);
    if (message.TTL <= 0) throw new EtcdError(STATUS.leaseNotFound.code, STATUS.leaseNotFound.text);
    return { header: toHeader(message.header), id: message.ID, ttlSeconds: message.TTL };
  }

  close(): void {
    this.#keeper.close();
  }
}
