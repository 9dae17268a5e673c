// The few calls around a load that may cost a promise: status, leases, members.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { decode, encode, type Input } from "../../core/wire/schema.ts";
import type { Rpc, UnarySink } from "./rpc.ts";

interface Waiting {
  readonly resolve: (reply: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Uses an `Rpc` of its own, whose slots it numbers. */
export class Control implements UnarySink {
  readonly #rpc: Rpc;
  readonly #waiting: (Waiting | undefined)[];

  constructor(rpc: Rpc, slotCount: number) {
    this.#rpc = rpc;
    this.#waiting = Array.from({ length: slotCount }, () => undefined);
    rpc.sink = this;
  }

  /** One call; rejects with the store's words, or after `timeoutMs`. */
  async call<Request, Response>(
    method: Method<Request, Response>,
    request: Input<Request>,
    timeoutMs = 10_000,
  ): Promise<Response> {
    const slot = this.#waiting.indexOf(undefined);
    if (slot < 0) throw new Error(`Cannot call ${method.name}: too many calls at once`);
    const message = new ByteWriter();
    encode(method.request, request, message);
    const reply = await new Promise<Uint8Array>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting[slot] = undefined;
        this.#rpc.abandon(slot);
        reject(new Error(`${method.name}: no answer in ${timeoutMs} ms`));
      }, timeoutMs);
      const settle = (): void => {
        clearTimeout(timer);
        this.#waiting[slot] = undefined;
      };
      this.#waiting[slot] = {
        resolve: (bytes) => (settle(), resolve(bytes)),
        reject: (error) => (settle(), reject(error)),
      };
      this.#rpc.unary(slot, method as Method, message);
    });
    return decode(method.response, reply, 0, reply.length);
  }

  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void {
    this.#waiting[slot]?.resolve(bytes.slice(start, end));
  }

  onFailure(slot: number, text: string): void {
    this.#waiting[slot]?.reject(new Error(text));
  }

  async close(): Promise<void> {
    await this.#rpc.close();
  }
}

/** What a store says of itself. */
export interface StoreStatus {
  readonly version: string;
  readonly isLeader: boolean;
  readonly hasLeader: boolean;
  readonly revision: number;
  readonly dbSizeBytes: number;
}

export async function statusOf(control: Control): Promise<StoreStatus> {
  const status = await control.call(METHOD.status, {});
  return {
    version: status.version,
    isLeader: status.leader === status.header?.member_id,
    hasLeader: status.leader !== 0n,
    revision: status.header?.revision ?? 0,
    dbSizeBytes: status.dbSize,
  };
}
