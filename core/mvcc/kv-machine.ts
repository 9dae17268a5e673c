// The KV service's requests over the store: checks before a proposal, application afterwards, reads. Answers are whole
// response messages, header included; members that owe nobody an answer pass null.
//
// Application is deterministic: the same entries in the same order give the same store on every member.

import type { ByteWriter } from "../base/byte-writer.ts";
import { ByteWriter as Writer } from "../base/byte-writer.ts";
import type { Limits } from "../base/limits.ts";
import type { HeaderSource } from "../wire/header.ts";
import { headerSizeBytes, writeHeader } from "../wire/header.ts";
import { CompactFields, RangeFields } from "../wire/hot.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import { KvCounts } from "./kv-counts.ts";
import { Operations } from "./operations.ts";
import { PinnedRecords } from "./pinned-records.ts";
import { RangeProducer } from "./range-producer.ts";
import { RangeStream } from "./range-stream.ts";
import { RequestChecks } from "./request-checks.ts";
import type { Store } from "./store.ts";
import { TxnMachine } from "./txn-machine.ts";

/** Answers up to this size are written at once; larger ones while the peer takes them. */
const DIRECT_SIZE_BYTES_MAX = 64 * 1024;

/** Where the answer of a Range goes; `ServerCall` is one. */
export interface RangeSink {
  beginMessage(): ByteWriter;
  endMessage(): void;
  sendLarge(
    sizeBytes: number,
    producer: { pull(writer: ByteWriter, roomBytes: number): boolean; abandon(): void },
  ): void;
}

export interface KvMachineOptions {
  readonly store: Store;
  readonly header: HeaderSource;
  readonly limits: Limits;
  readonly counts?: KvCounts;
}

export class KvMachine {
  readonly store: Store;
  readonly #header: HeaderSource;
  readonly #limits: Limits;
  readonly #checks: RequestChecks;
  readonly #operations: Operations;
  readonly #txn: TxnMachine;
  readonly #rangeFields = new RangeFields();
  readonly #compactFields = new CompactFields();

  constructor(options: KvMachineOptions) {
    this.store = options.store;
    this.#header = options.header;
    this.#limits = options.limits;
    this.#checks = new RequestChecks(options.limits.txnOperationCountMax);
    this.#operations = new Operations(options.store, options.counts ?? new KvCounts());
    this.#txn = new TxnMachine(options.store, this.#operations);
  }

  // ---- before a proposal

  checkPut(bytes: Uint8Array, start: number, end: number): Status | undefined {
    return this.#checks.put(bytes, start, end);
  }

  checkDelete(bytes: Uint8Array, start: number, end: number): Status | undefined {
    return this.#checks.deletion(bytes, start, end);
  }

  checkTxn(bytes: Uint8Array, start: number, end: number): Status | undefined {
    return this.#checks.txn(bytes, start, end);
  }

  checkCompact(bytes: Uint8Array, start: number, end: number): Status | undefined {
    return this.#checks.compact(bytes, start, end);
  }

  checkRange(bytes: Uint8Array, start: number, end: number): Status | undefined {
    return this.#checks.range(bytes, start, end);
  }

  /** Whether a transaction only reads, so that it is answered like a Range (by applyTxn, which then changes nothing). */
  isReadOnlyTxn(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#checks.isReadOnlyTxn(bytes, start, end);
  }

  /** Whether a read-only transaction is answered by this member alone. */
  isSerializableTxn(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#checks.isSerializableTxn(bytes, start, end);
  }

  txnHasPut(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#checks.txnHasPut(bytes, start, end);
  }

  /** What the put that was checked last counts for the quota. */
  get putCostBytes(): number {
    return this.#checks.putCostBytes;
  }

  /** What a transaction counts for the quota; 0 when it puts nothing. */
  txnCostBytes(bytes: Uint8Array, start: number, end: number): number {
    return this.#checks.txnCostBytes(bytes, start, end);
  }

  // ---- application

  applyPut(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status | undefined {
    const { store } = this;
    const operations = this.#operations;
    const hasPrevious = operations.parsePut(bytes, start, end);
    const { leaseHi, leaseLo } = operations.fields;
    if ((leaseHi | leaseLo) !== 0 && store.leases.find(leaseHi, leaseLo) < 0) return STATUS.leaseNotFound;
    if (!hasPrevious) return STATUS.keyNotFound;
    store.beginRevision();
    operations.put(bytes);
    const revision = store.endRevision();
    if (reply === null) return undefined;
    writeHeader(reply, this.#header, revision);
    operations.writePutBody(reply);
    return undefined;
  }

  applyDelete(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status | undefined {
    const { store } = this;
    this.#operations.parseDelete(bytes, start, end);
    store.beginRevision();
    this.#operations.deleteRange(bytes, reply !== null);
    const revision = store.endRevision();
    if (reply === null) return undefined;
    writeHeader(reply, this.#header, revision);
    this.#operations.writeDeleteBody(reply);
    return undefined;
  }

  applyTxn(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status | undefined {
    const failed = this.#txn.apply(bytes, start, end, reply !== null);
    if (failed !== undefined) return failed;
    if (reply === null) return undefined;
    writeHeader(reply, this.#header, this.store.revision);
    reply.raw(this.#txn.body.bytes, 0, this.#txn.body.position);
    return undefined;
  }

  /** The store drops what is not needed any more in slices, see `Compaction`. */
  applyCompact(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): Status | undefined {
    const { store } = this;
    this.#compactFields.parse(bytes, start, end);
    const { revision } = this.#compactFields;
    if (revision <= store.compactedRevision) return STATUS.compacted;
    if (revision > store.revision) return STATUS.futureRevision;
    store.compactedRevision = revision;
    if (reply !== null) writeHeader(reply, this.#header, store.revision);
    return undefined;
  }

  // ---- reading

  /** Answers a RangeRequest at this member's state. The sink's call is not finished: the caller does that. */
  range(bytes: Uint8Array, start: number, end: number, sink: RangeSink): Status | undefined {
    const { store } = this;
    const query = this.#operations.query;
    const fields = this.#rangeFields;
    fields.parse(bytes, start, end);
    const failed = query.execute(bytes, fields, store.revision);
    if (failed !== undefined) return failed;
    this.#operations.counts.ranges++;
    const bodySize = query.bodySizeBytes();
    if (bodySize <= DIRECT_SIZE_BYTES_MAX) {
      const reply = sink.beginMessage();
      writeHeader(reply, this.#header, store.revision);
      query.writeBody(reply);
      sink.endMessage();
      return undefined;
    }
    const head = new Writer(64);
    writeHeader(head, this.#header, store.revision);
    const tail = new Writer(16);
    query.writeTail(tail);
    const edges = { head: head.copy(), tail: tail.copy() };
    const size = bodySize + headerSizeBytes(this.#header, store.revision);
    sink.sendLarge(
      size,
      new RangeProducer(new PinnedRecords(store.slabs, query.takeRefs()), edges, query.keysOnly),
    );
    return undefined;
  }

  /** Opens a RangeStream (etcd 3.7); a Status when it is refused. */
  rangeStream(bytes: Uint8Array, start: number, end: number): RangeStream | Status {
    const refused = this.#checks.range(bytes, start, end);
    if (refused !== undefined) return refused;
    return RangeStream.open(this.store, this.#operations.query, {
      bytes,
      start,
      end,
      header: this.#header,
      chunkSizeBytesMax: this.#limits.requestSizeBytesMax,
    });
  }
}
