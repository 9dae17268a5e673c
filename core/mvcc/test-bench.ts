// What the tests of this folder share: a store with its machine, driven with message objects, answers in the model's form.

import { ByteWriter } from "../base/byte-writer.ts";
import type { Limits } from "../base/limits.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import type { Prng } from "../base/prng.ts";
import type { HeaderSource } from "../wire/header.ts";
import * as m from "../wire/messages.ts";
import type { Input, Schema } from "../wire/schema.ts";
import { decode, encode } from "../wire/schema.ts";
import type { Status } from "../wire/status.ts";
import { Housekeeping } from "./housekeeping.ts";
import { KvCounts } from "./kv-counts.ts";
import { KvMachine } from "./kv-machine.ts";
import type { LeaseHooks } from "./lease-hooks.ts";
import type {
  Answer,
  DeleteRequest,
  KeyValueAnswer,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "./slow-model.ts";
import { RecordView } from "./record.ts";
import { text } from "./slow-model.ts";
import { Store, type StoreOptions } from "./store.ts";

export function bytes(chars: string): Uint8Array {
  return Uint8Array.from(chars, (char) => char.charCodeAt(0));
}

export function encoded<T>(schema: Schema<T>, value: Input<T>): Uint8Array {
  const writer = new ByteWriter();
  encode(schema, value, writer);
  return writer.copy();
}

/** Leases 1, 2, … with the keys that hang on them. */
export class FakeLeases implements LeaseHooks {
  readonly keys: Set<number>[] = [];
  find(hi: number, lo: number): number {
    return hi === 0 && lo > 0 && lo <= this.keys.length ? lo - 1 : -1;
  }
  attach(slot: number, keyId: number): void {
    if (this.keys[slot]!.has(keyId)) throw new Error("attached twice");
    this.keys[slot]!.add(keyId);
  }
  detach(slot: number, keyId: number): void {
    if (!this.keys[slot]!.delete(keyId)) throw new Error("detached without having been attached");
  }
}

export class TestBench {
  store: Store;
  machine: KvMachine;
  housekeeping: Housekeeping;
  readonly leases = new FakeLeases();
  readonly counts = new KvCounts();
  readonly limits: Limits;
  readonly header: HeaderSource = { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 };
  /** Whether the last answer of a range came through a producer. */
  wasLarge = false;

  constructor(limits: Partial<Limits> = {}, files?: StoreOptions["files"]) {
    this.limits = { ...DEFAULT_LIMITS, dataSegmentSizeBytes: 1024, ...limits };
    const segmentSizeBytes = this.limits.dataSegmentSizeBytes;
    this.store = new Store({ segmentSizeBytes, hashSeed: 7, ...(files === undefined ? {} : { files }) });
    this.store.leases = this.leases;
    this.machine = this.#machineOf(this.store);
    this.housekeeping = new Housekeeping(this.store, this.limits);
  }

  /** Goes on with another store, for instance one loaded from disk. */
  adopt(store: Store): void {
    this.store = store;
    for (const keys of this.leases.keys) keys.clear();
    store.leases = this.leases;
    store.attachLeases();
    this.machine = this.#machineOf(store);
    this.housekeeping = new Housekeeping(store, this.limits);
  }

  /** Carries out everything that is due. */
  finish(): void {
    while (this.housekeeping.slice());
  }

  hash(revision: number): number {
    let hash = -1;
    this.housekeeping.hash(revision, (result) => (hash = result!.hash));
    this.finish();
    return hash;
  }

  /** Every record from a revision on, as watchers would meet them. */
  history(revision: number): string[] {
    const view = new RecordView();
    const previous = new RecordView();
    const found: string[] = [];
    let from = revision;
    let ref = 0;
    while (from <= this.store.revision && ref === 0) ref = this.store.firstRecordOf(from++);
    for (; ref !== 0; ref = this.store.nextRecord(ref)) {
      this.store.load(ref, view);
      const before = this.store.previousVersion(view, previous) ? previous.modRevision : 0;
      const key = text(view.bytes.subarray(view.keyStart, view.keyEnd));
      found.push(`${view.modRevision}/${view.subRevision} ${key} ${view.isTombstone} ${before}`);
    }
    return found;
  }

  #machineOf(store: Store): KvMachine {
    return new KvMachine({ store, header: this.header, limits: this.limits, counts: this.counts });
  }

  put(request: PutRequest): Answer | Status {
    const entry = encoded(m.PutRequest, request);
    return this.#apply((reply) => {
      const refused = this.machine.checkPut(entry, 0, entry.length);
      return refused ?? this.machine.applyPut(entry, 0, entry.length, reply);
    }, putAnswer);
  }

  delete(request: DeleteRequest): Answer | Status {
    const entry = encoded(m.DeleteRangeRequest, request);
    return this.#apply((reply) => {
      const refused = this.machine.checkDelete(entry, 0, entry.length);
      return refused ?? this.machine.applyDelete(entry, 0, entry.length, reply);
    }, deleteAnswer);
  }

  txn(request: TxnRequest): Answer | Status {
    const entry = encoded(
      m.TxnRequest,
      request as Input<typeof m.TxnRequest extends Schema<infer T> ? T : never>,
    );
    return this.#apply((reply) => {
      const refused = this.machine.checkTxn(entry, 0, entry.length);
      return refused ?? this.machine.applyTxn(entry, 0, entry.length, reply);
    }, txnAnswer);
  }

  compact(revision: number): Status | undefined {
    const entry = encoded(m.CompactionRequest, { revision });
    return this.machine.applyCompact(entry, 0, entry.length, null);
  }

  range(request: RangeRequest): Answer | Status {
    const entry = encoded(m.RangeRequest, request);
    const refused = this.machine.checkRange(entry, 0, entry.length);
    if (refused !== undefined) return refused;
    const reply = new ByteWriter();
    let size = -1;
    this.wasLarge = false;
    const failed = this.machine.range(entry, 0, entry.length, {
      beginMessage: () => reply,
      endMessage: () => undefined,
      sendLarge: (sizeBytes, producer) => {
        this.wasLarge = true;
        size = sizeBytes;
        while (!producer.pull(reply, 1000));
      },
    });
    if (failed !== undefined) return failed;
    if (size >= 0 && size !== reply.position)
      throw new Error(`announced ${size} bytes, sent ${reply.position}`);
    return rangeAnswer(reply.copy());
  }

  #apply(
    run: (reply: ByteWriter) => Status | undefined,
    read: (reply: Uint8Array) => Answer,
  ): Answer | Status {
    const reply = new ByteWriter(16);
    return run(reply) ?? read(reply.copy());
  }
}

type KeyValue = {
  key: Uint8Array;
  value: Uint8Array;
  create_revision: number;
  mod_revision: number;
  version: number;
  lease: bigint;
};

function keyValue(it: KeyValue): KeyValueAnswer {
  return {
    key: text(it.key),
    value: text(it.value),
    create: it.create_revision,
    mod: it.mod_revision,
    version: it.version,
    lease: it.lease,
  };
}

type Header = { revision: number; raft_term: number } | undefined;

function rangeOf(it: { header: Header; kvs: KeyValue[]; more: boolean; count: number }): Answer {
  return { revision: it.header!.revision, kvs: it.kvs.map(keyValue), more: it.more, count: it.count };
}

function putOf(it: { header: Header; prev_kv: KeyValue | undefined }): Answer {
  return { revision: it.header!.revision, prevKv: it.prev_kv ? keyValue(it.prev_kv) : undefined };
}

function deleteOf(it: { header: Header; deleted: number; prev_kvs: KeyValue[] }): Answer {
  return { revision: it.header!.revision, deleted: it.deleted, prevKvs: it.prev_kvs.map(keyValue) };
}

function rangeAnswer(reply: Uint8Array): Answer {
  return rangeOf(decode(m.RangeResponse, reply, 0, reply.length));
}

function putAnswer(reply: Uint8Array): Answer {
  return putOf(decode(m.PutResponse, reply, 0, reply.length));
}

function deleteAnswer(reply: Uint8Array): Answer {
  return deleteOf(decode(m.DeleteRangeResponse, reply, 0, reply.length));
}

function txnAnswer(reply: Uint8Array): Answer {
  const answer = decode(m.TxnResponse, reply, 0, reply.length);
  return {
    revision: answer.header!.revision,
    succeeded: answer.succeeded,
    responses: answer.responses.map(responseOf),
  };
}

function responseOf(op: typeof m.ResponseOp extends Schema<infer T> ? T : never): Answer {
  if (op.response_range) return rangeOf(op.response_range);
  if (op.response_put) return putOf(op.response_put);
  if (op.response_delete_range) return deleteOf(op.response_delete_range);
  const { header, succeeded, responses } = op.response_txn!;
  return { revision: header!.revision, succeeded, responses: responses.map(responseOf) };
}

/** Random requests over few keys, so that they meet. */
export class RequestSource {
  readonly #prng: Prng;
  readonly #keyCount: number;
  constructor(prng: Prng, keyCount: number) {
    this.#prng = prng;
    this.#keyCount = keyCount;
  }

  key(): Uint8Array {
    const number = this.#prng.below(this.#keyCount);
    // Keys of different length, some a prefix of others, some with bytes at the ends of the range.
    const base = `k${number.toString(4)}`;
    return bytes(number % 7 === 0 ? `${base}\xff` : number % 5 === 0 ? `${base}\0` : base);
  }

  rangeEnd(): Uint8Array {
    const prng = this.#prng;
    if (prng.chance(0.3)) return bytes("");
    return prng.chance(0.2) ? bytes("\0") : this.key();
  }

  value(): Uint8Array {
    // Now and then one that does not fit into a segment.
    if (this.#prng.chance(0.02)) return bytes("V".repeat(this.#prng.below(5000)));
    return bytes("v".repeat(this.#prng.below(4)) + this.#prng.below(5));
  }

  lease(): bigint {
    return this.#prng.chance(0.7) ? 0n : BigInt(1 + this.#prng.below(4));
  }

  put(): PutRequest {
    const prng = this.#prng;
    const ignoreValue = prng.chance(0.1);
    const ignoreLease = prng.chance(0.1);
    return {
      key: this.key(),
      value: ignoreValue ? bytes("") : this.value(),
      lease: ignoreLease ? 0n : this.lease(),
      prev_kv: prng.chance(0.3),
      ignore_value: ignoreValue,
      ignore_lease: ignoreLease,
    };
  }

  delete(): DeleteRequest {
    return { key: this.key(), range_end: this.rangeEnd(), prev_kv: this.#prng.chance(0.5) };
  }

  range(revision: number): RangeRequest {
    const prng = this.#prng;
    const bound = (): number => (prng.chance(0.1) ? prng.below(revision + 2) : 0);
    return {
      key: prng.chance(0.1) ? bytes("\0") : this.key(),
      range_end: this.rangeEnd(),
      limit: prng.chance(0.5) ? 0 : prng.below(6),
      revision: prng.chance(0.5) ? 0 : prng.below(revision + 3),
      sort_order: prng.below(3),
      sort_target: prng.below(5),
      keys_only: prng.chance(0.2),
      count_only: prng.chance(0.1),
      min_mod_revision: bound(),
      max_mod_revision: bound(),
      min_create_revision: bound(),
      max_create_revision: bound(),
    };
  }

  compare(revision: number): NonNullable<TxnRequest["compare"]>[number] {
    const prng = this.#prng;
    const target = prng.below(5);
    const operand = [
      { version: prng.below(4) },
      { create_revision: prng.below(revision + 2) },
      { mod_revision: prng.below(revision + 2) },
      { value: this.value() },
      { lease: BigInt(prng.below(3)) },
    ][target]!;
    return {
      target,
      result: prng.below(4),
      key: this.key(),
      range_end: prng.chance(0.2) ? this.rangeEnd() : bytes(""),
      ...operand,
    };
  }

  txn(revision: number, depth = 0): TxnRequest {
    const prng = this.#prng;
    const list = <T>(countMax: number, make: () => T): T[] =>
      Array.from({ length: prng.below(countMax + 1) }, make);
    return {
      compare: list(2, () => this.compare(revision)),
      success: list(4, () => this.op(revision, depth)),
      failure: list(3, () => this.op(revision, depth)),
    };
  }

  op(revision: number, depth: number): RequestOp {
    const kind = this.#prng.below(depth < 2 ? 10 : 9);
    if (kind < 3) return { request_range: this.range(revision) };
    if (kind < 6) return { request_put: this.put() };
    if (kind < 9) return { request_delete_range: this.delete() };
    return { request_txn: this.txn(revision, depth + 1) };
  }
}
