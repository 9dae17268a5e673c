// Random requests over a small key space, every option and edge included. The same seed gives the same requests; what
// depends on the store (revisions, leases) is drawn relative to what the store is at.

import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import type * as m from "../../core/wire/messages.ts";
import type { Input, MessageOf } from "../../core/wire/schema.ts";

export type RangeInput = Input<MessageOf<typeof m.RangeRequest>>;
export type TxnInput = Input<MessageOf<typeof m.TxnRequest>>;
type PutInput = Input<MessageOf<typeof m.PutRequest>>;
type DeleteInput = Input<MessageOf<typeof m.DeleteRangeRequest>>;
type CompareInput = Input<MessageOf<typeof m.Compare>>;
type OpInput = Input<MessageOf<typeof m.RequestOp>>;
type WatchCreateInput = Input<MessageOf<typeof m.WatchCreateRequest>>;

const EMPTY = new Uint8Array(0);
/** No more: Go sorts up to twelve elements stably, so that ties too have one order. */
const KEY_COUNT = 12;
const ZERO_BYTE = Uint8Array.of(0);
const LEASE_COUNT = 4;

/** Lease ids are given, so that both sides have the same. */
export function leaseId(index: number): bigint {
  return 0x4000_0000_0000_0000n + BigInt(index);
}

/** What the requests refer to: the same on both sides, which are aligned before the run. */
export interface StoreState {
  readonly revision: number;
  readonly compactedRevision: number;
}

export class RequestMaker {
  readonly #prng: Prng;
  readonly #prefix: string;

  constructor(seed: number, prefix: string) {
    this.#prng = new Prng(seed);
    this.#prefix = prefix;
  }

  get prng(): Prng {
    return this.#prng;
  }

  key(): Uint8Array {
    const prng = this.#prng;
    if (prng.chance(0.01)) return EMPTY;
    return encodeUtf8(`${this.#prefix}${"abc".charAt(prng.below(3))}${prng.below(KEY_COUNT / 3)}`);
  }

  lease(): bigint {
    const prng = this.#prng;
    if (prng.chance(0.75)) return 0n;
    return prng.chance(0.05) ? 99n : leaseId(prng.below(LEASE_COUNT));
  }

  value(): Uint8Array {
    const prng = this.#prng;
    if (prng.chance(0.05)) return EMPTY;
    return encodeUtf8(`v${prng.below(5)}${"x".repeat(prng.chance(0.01) ? 5000 : prng.below(30))}`);
  }

  /** A range inside the prefix, one from the key on (nothing else is behind the prefix), or an odd one. */
  rangeEnd(): Uint8Array {
    const prng = this.#prng;
    if (prng.chance(0.05)) return ZERO_BYTE;
    const pick = prng.below(20);
    if (pick < 8) return EMPTY;
    if (pick < 14) return encodeUtf8(`${this.#prefix}${prng.pick(["b", "c", "d", "b2", "a1"])}`);
    if (pick < 19) return encodeUtf8(`${this.#prefix}\x7f`);
    return encodeUtf8(this.#prefix); // before the key: an empty range
  }

  revision(state: StoreState): number {
    const prng = this.#prng;
    const pick = prng.below(20);
    if (pick < 12) return 0;
    if (pick === 12) return prng.chance(0.2) ? 2 ** 62 : -1 - prng.below(3);
    if (pick === 13) return state.revision + prng.between(1, 3);
    if (pick === 14) return Math.max(1, state.compactedRevision + prng.between(-2, 2));
    return Math.max(1, state.revision - prng.below(20));
  }

  range(state: StoreState): RangeInput {
    const prng = this.#prng;
    const filter = (): number => (prng.chance(0.05) ? Math.max(1, state.revision - prng.below(15)) : 0);
    return {
      key: this.key(),
      range_end: this.rangeEnd(),
      limit: prng.chance(0.3) ? prng.between(-1, 4) : 0,
      revision: this.revision(state),
      sort_order: prng.chance(0.3) ? prng.below(prng.chance(0.05) ? 5 : 3) : 0,
      sort_target: prng.chance(0.3) ? prng.below(prng.chance(0.05) ? 7 : 5) : 0,
      serializable: prng.chance(0.2),
      keys_only: prng.chance(0.1),
      count_only: prng.chance(0.1),
      min_mod_revision: filter(),
      max_mod_revision: filter(),
      min_create_revision: filter(),
      max_create_revision: filter(),
    };
  }

  put(): PutInput {
    const prng = this.#prng;
    const ignoreValue = prng.chance(0.05);
    const ignoreLease = prng.chance(0.05);
    return {
      key: this.key(),
      value: ignoreValue && prng.chance(0.8) ? EMPTY : this.value(),
      lease: ignoreLease && prng.chance(0.8) ? 0n : this.lease(),
      prev_kv: prng.chance(0.3),
      ignore_value: ignoreValue,
      ignore_lease: ignoreLease,
    };
  }

  deletion(): DeleteInput {
    return { key: this.key(), range_end: this.rangeEnd(), prev_kv: this.#prng.chance(0.4) };
  }

  /** None from a key on: a put behind it that keeps the value or lease of what it deleted ends etcd (docs/internals/mvcc.md). */
  #deletionInTxn(): DeleteInput {
    const deletion = this.deletion();
    return deletion.range_end === ZERO_BYTE ? { ...deletion, range_end: EMPTY } : deletion;
  }

  txn(state: StoreState, depth = 0): TxnInput {
    const prng = this.#prng;
    const list = <T>(make: () => T, max: number): T[] => Array.from({ length: prng.below(max + 1) }, make);
    return {
      compare: list(() => this.#compare(state), 2),
      success: list(() => this.#op(state, depth), 3),
      failure: list(() => this.#op(state, depth), 2),
    };
  }

  #op(state: StoreState, depth: number): OpInput {
    const prng = this.#prng;
    const pick = prng.below(30);
    if (pick < 12) return { request_put: this.put() };
    if (pick < 20)
      return {
        request_range: { ...this.range(state), revision: prng.chance(0.1) ? this.revision(state) : 0 },
      };
    if (pick < 26) return { request_delete_range: this.#deletionInTxn() };
    if (pick < 29 && depth < 2) return { request_txn: this.txn(state, depth + 1) };
    return prng.chance(0.1) ? {} : { request_put: this.put() };
  }

  #compare(state: StoreState): CompareInput {
    const prng = this.#prng;
    const near = (): number => prng.pick([0, 1, 2, state.revision, state.revision - prng.below(10)]);
    const operand = prng.pick<CompareInput>([
      { target: 0, version: near() },
      { target: 1, create_revision: near() },
      { target: 2, mod_revision: near() },
      { target: 3, value: this.value() },
      { target: 4, lease: this.lease() },
      { target: 2, version: 1 }, // the wrong member of the union counts as 0
    ]);
    return {
      ...operand,
      result: prng.below(4),
      key: this.key(),
      range_end: prng.chance(0.2) ? this.rangeEnd() : EMPTY,
    };
  }

  watchCreate(state: StoreState): WatchCreateInput {
    const prng = this.#prng;
    return {
      key: this.key(),
      range_end: this.rangeEnd(),
      start_revision: prng.chance(0.5) ? 0 : Math.max(-1, this.revision(state)),
      progress_notify: prng.chance(0.3),
      filters: prng.chance(0.2) ? [prng.below(2)] : [],
      prev_kv: prng.chance(0.5),
      watch_id: prng.chance(0.3) ? BigInt(prng.below(12)) : 0n,
      fragment: prng.chance(0.2),
    };
  }
}
