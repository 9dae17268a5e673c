// What the clients of a simulation ask for, drawn from a seed: every value is unique, so that whoever sees one knows
// which request wrote it.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import type { Prng } from "../../core/base/prng.ts";
import type * as m from "../../core/wire/messages.ts";
import { encode, type Input, type MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { bytesOf } from "./canonical.ts";
import { TAG_FIELD } from "./ground-truth.ts";

export interface Mix {
  readonly put: number;
  readonly deleteRange: number;
  readonly range: number;
  readonly serializable: number;
  readonly txn: number;
  readonly readTxn: number;
  readonly compact: number;
  /** Status, hashes, lists of leases: what is asked for its header; some defragment. */
  readonly state: number;
  readonly lease: number;
}

export interface Keyspace {
  readonly keyCount: number;
  readonly valueSizeBytesMax: number;
}

/** What a client knows that makes its requests interesting. */
export interface Knowledge {
  /** The highest revision it has seen. */
  readonly revision: number;
  /** A lease of its own, 0n without one. */
  readonly lease: bigint;
  /** A modification revision it has seen of some key. */
  readonly modRevisionOf: (key: string) => number;
}

export interface DrawnRequest {
  readonly method: Method;
  /** Complete, as decode() would give it. */
  readonly request: unknown;
  readonly isWrite: boolean;
}

const EMPTY = new Uint8Array(0);

export class Requests {
  readonly #prng: Prng;
  readonly #mix: Mix;
  readonly #keyspace: Keyspace;
  readonly #kinds: (keyof Mix)[];
  readonly #weights: number[];
  readonly #total: number;

  constructor(prng: Prng, mix: Mix, keyspace: Keyspace) {
    this.#prng = prng;
    this.#mix = mix;
    this.#keyspace = keyspace;
    this.#kinds = (Object.keys(mix) as (keyof Mix)[]).filter((kind) => kind !== "lease");
    this.#weights = this.#kinds.map((kind) => this.#mix[kind]);
    this.#total = this.#weights.reduce((a, b) => a + b, 0);
  }

  key(): string {
    return keyName(this.#prng.below(this.#keyspace.keyCount));
  }

  draw(tag: number, known: Knowledge): DrawnRequest {
    let at = this.#prng.below(this.#total);
    let kind = 0;
    while (at >= this.#weights[kind]!) at -= this.#weights[kind++]!;
    switch (this.#kinds[kind]!) {
      case "put":
        return { method: METHOD.put, request: this.#put(tag, known, true), isWrite: true };
      case "deleteRange":
        return { method: METHOD.deleteRange, request: this.#delete(), isWrite: true };
      case "txn":
        return { method: METHOD.txn, request: this.#txn(tag, known), isWrite: true };
      case "readTxn":
        return { method: METHOD.txn, request: this.#readTxn(known), isWrite: false };
      case "compact":
        return {
          method: METHOD.compact,
          request: { revision: this.#oldRevision(known), physical: this.#prng.chance(0.2) },
          isWrite: true,
        };
      case "state":
        return { ...this.#stateRequest(known), isWrite: false };
      case "serializable":
        return { method: METHOD.range, request: this.#range(known, true), isWrite: false };
      default:
        return { method: METHOD.range, request: this.#range(known, false), isWrite: false };
    }
  }

  #stateRequest({ lease }: Knowledge): { readonly method: Method; readonly request: unknown } {
    switch (this.#prng.below(9) >> 1) {
      case 0:
        return { method: METHOD.status, request: {} };
      case 1:
        return { method: METHOD.hashKV, request: { revision: 0 } };
      case 2:
        return { method: METHOD.leaseLeases, request: {} };
      case 4:
        return { method: METHOD.defragment, request: {} };
      default:
        return { method: METHOD.leaseTimeToLive, request: { ID: lease === 0n ? 1n : lease, keys: true } };
    }
  }

  #value(tag: number, part: number): Uint8Array {
    const padding = this.#prng.chance(0.2)
      ? this.#prng.below(this.#keyspace.valueSizeBytesMax)
      : this.#prng.below(16);
    return bytesOf(`v${tag}.${part}${"x".repeat(padding)}`);
  }

  #put(tag: number, known: Knowledge, isAlone: boolean, part = 0): MessageOf<typeof m.PutRequest> {
    const chance = this.#prng;
    const ignoresValue = isAlone && chance.chance(0.05);
    const ignoresLease = isAlone && chance.chance(0.05);
    return {
      key: bytesOf(this.key()),
      value: ignoresValue ? EMPTY : this.#value(tag, part),
      lease: !ignoresLease && known.lease !== 0n && chance.chance(0.4) ? known.lease : 0n,
      prev_kv: chance.chance(0.3),
      ignore_value: ignoresValue,
      ignore_lease: ignoresLease,
    };
  }

  #delete(): MessageOf<typeof m.DeleteRangeRequest> {
    return { ...this.#interval(0.25), prev_kv: this.#prng.chance(0.3) };
  }

  #interval(rangeShare: number): { key: Uint8Array; range_end: Uint8Array } {
    const first = this.#prng.below(this.#keyspace.keyCount);
    if (!this.#prng.chance(rangeShare)) return { key: bytesOf(keyName(first)), range_end: EMPTY };
    if (this.#prng.chance(0.1)) return { key: bytesOf("\0"), range_end: bytesOf("\0") };
    const last = first + this.#prng.below(1 + (this.#keyspace.keyCount >> 2));
    return { key: bytesOf(keyName(first)), range_end: bytesOf(keyName(last)) };
  }

  #range(known: Knowledge, serializable: boolean): MessageOf<typeof m.RangeRequest> {
    const chance = this.#prng;
    const isSorted = chance.chance(0.1);
    return {
      ...this.#interval(0.4),
      limit: chance.chance(0.3) ? chance.between(1, 10) : 0,
      revision: chance.chance(0.15) ? Math.max(1, this.#oldRevision(known)) : 0,
      sort_order: isSorted ? chance.between(0, 2) : 0,
      sort_target: isSorted ? chance.pick([0, 4]) : 0,
      serializable,
      keys_only: chance.chance(0.1),
      count_only: chance.chance(0.1),
      min_mod_revision: chance.chance(0.05) ? chance.below(known.revision + 1) : 0,
      max_mod_revision: chance.chance(0.05) ? chance.below(known.revision + 1) : 0,
      min_create_revision: chance.chance(0.03) ? chance.below(known.revision + 1) : 0,
      max_create_revision: chance.chance(0.03) ? chance.below(known.revision + 1) : 0,
    };
  }

  #oldRevision(known: Knowledge): number {
    return Math.max(0, known.revision - this.#prng.below(100));
  }

  #compare(known: Knowledge): MessageOf<typeof m.Compare> {
    const chance = this.#prng;
    const key = this.key();
    const target = chance.below(5);
    return {
      result: chance.chance(0.6) ? 0 : chance.below(4),
      target,
      key: bytesOf(key),
      version: target === 0 ? chance.below(4) : undefined,
      create_revision: target === 1 ? chance.pick([0, known.modRevisionOf(key)]) : undefined,
      mod_revision: target === 2 ? known.modRevisionOf(key) : undefined,
      value: target === 3 ? bytesOf(`v${chance.below(3000)}`) : undefined,
      lease: target === 4 ? known.lease : undefined,
      range_end: chance.chance(0.1) ? bytesOf(`${key}~`) : EMPTY,
    };
  }

  #txn(tag: number, known: Knowledge): m.TxnRequestMessage {
    const chance = this.#prng;
    const used = new Set<string>();
    // Both branches write, each another value, so that the branch that ran is known.
    const branch = (part: number, depth: number): m.RequestOpMessage[] => {
      const ops: m.RequestOpMessage[] = [];
      const count = chance.between(1, 3);
      for (let i = 0; i < count; i++) {
        const drawn = chance.below(10);
        if (drawn < 5) {
          const put = this.#put(tag, known, false, part * 10 + i);
          const name = String.fromCharCode(...put.key);
          if (used.has(name)) continue;
          used.add(name);
          ops.push({ ...NO_OP, request_put: put });
        } else if (drawn < 8)
          ops.push({ ...NO_OP, request_range: { ...this.#range(known, false), revision: 0 } });
        else if (drawn === 8 && depth > 0)
          ops.push({
            ...NO_OP,
            request_txn: {
              compare: [this.#compare(known)],
              success: branch(part + 1, depth - 1),
              failure: [],
            },
          });
        else {
          const name = this.key();
          if (used.has(name)) continue;
          used.add(name);
          ops.push({
            ...NO_OP,
            request_delete_range: { key: bytesOf(name), range_end: EMPTY, prev_kv: chance.chance(0.5) },
          });
        }
      }
      return ops;
    };
    const compare: MessageOf<typeof m.Compare>[] = [];
    for (let i = chance.below(3); i > 0; i--) compare.push(this.#compare(known));
    const success = branch(1, 1);
    const failure = chance.chance(0.5) ? branch(5, 0) : [];
    const txn = { compare, success, failure };
    // One without a write would be a read, and those are drawn elsewhere.
    if (!isReadOnly(txn)) return txn;
    return {
      ...txn,
      success: [
        ...success,
        {
          ...NO_OP,
          request_put: { ...this.#put(tag, known, false, 9), key: bytesOf(`t${chance.below(4)}`) },
        },
      ],
    };
  }

  #readTxn(known: Knowledge): m.TxnRequestMessage {
    const chance = this.#prng;
    const serializable = chance.chance(0.2);
    const range = (): m.RequestOpMessage => ({
      ...NO_OP,
      request_range: { ...this.#range(known, serializable), revision: 0 },
    });
    return {
      compare: chance.chance(0.5) ? [this.#compare(known)] : [],
      success: [range(), range()],
      failure: [range()],
    };
  }
}

const NO_OP: m.RequestOpMessage = {
  request_range: undefined,
  request_put: undefined,
  request_delete_range: undefined,
  request_txn: undefined,
};

function isReadOnly(txn: m.TxnRequestMessage): boolean {
  return [...txn.success, ...txn.failure].every((op) => op.request_range !== undefined);
}

export function keyName(number: number): string {
  return `k${String(number).padStart(3, "0")}`;
}

/** The request's bytes, with the client's number behind them when it is not 0. */
export function encodeTagged(method: Method, request: unknown, tag: number): Uint8Array {
  const writer = new ByteWriter(256);
  encode(method.request, request as Input<unknown>, writer);
  if (tag !== 0) {
    writer.varint(TAG_FIELD * 8);
    writer.varint(tag);
  }
  return writer.copy();
}
