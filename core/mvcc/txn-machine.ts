// Applies transactions (facts §1.6, §2.1): all comparisons, nested ones included, see the state before; they fix the
// path. Then every operation on the path is checked, and only then any is carried out, so that a transaction is applied
// as a whole or not at all.

import type { ByteWriter } from "../base/byte-writer.ts";
import { ByteWriter as Writer, varintSizeBytes } from "../base/byte-writer.ts";
import { compareBytes } from "../base/bytes.ts";
import { RangeFields, PutFields } from "../wire/hot.ts";
import { revisionHeaderSizeBytes, writeRevisionHeader } from "../wire/header.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import {
  COMPARE_EQUAL,
  COMPARE_GREATER,
  COMPARE_LESS,
  COMPARE_NOT_EQUAL,
  CompareFields,
  OP_DELETE,
  OP_PUT,
  OP_RANGE,
  OP_TXN,
  TARGET_CREATE,
  TARGET_LEASE,
  TARGET_MOD,
  TARGET_VALUE,
  TARGET_VERSION,
  TxnCursors,
} from "../wire/txn.ts";
import { NumberList } from "./column.ts";
import { KeyRange, collectLive } from "./key-range.ts";
import type { Operations } from "./operations.ts";
import { RecordView } from "./record.ts";
import type { Store } from "./store.ts";

const TAG_RESPONSES = 0x1a;

export class TxnMachine {
  readonly #store: Store;
  readonly #operations: Operations;
  readonly #cursors = new TxnCursors();
  readonly #compare = new CompareFields();
  readonly #put = new PutFields();
  readonly #rangeFields = new RangeFields();
  readonly #range = new KeyRange();
  readonly #refs = new NumberList();
  readonly #view = new RecordView();
  /** Which branch each transaction on the path takes, in the order in which they are met. */
  readonly #path: boolean[] = [];
  #pathPosition = 0;
  /** The answer's responses: they come before the header is known. */
  readonly #body: ByteWriter = new Writer(4096);
  /** Operations of the transaction at hand that were carried out, nested ones included. */
  #operationCount = 0;

  constructor(store: Store, operations: Operations) {
    this.#store = store;
    this.#operations = operations;
  }

  /** Carries the transaction out; `succeeded` and `body` (null: nobody wants it) hold the answer without its header. */
  apply(bytes: Uint8Array, start: number, end: number, wantsReply: boolean): Status | undefined {
    this.#path.length = 0;
    this.#choose(bytes, start, end, 0);
    this.#pathPosition = 0;
    const failed = this.#check(bytes, start, end, 0);
    if (failed !== undefined) return failed;
    const body = wantsReply ? this.#body : null;
    this.#body.reset();
    this.#pathPosition = 0;
    this.#operationCount = 0;
    this.#store.beginRevision();
    this.#carryOut(bytes, start, end, { depth: 0, reply: body });
    this.#store.endRevision();
    if (this.#operationCount > 1) this.#operations.counts.txns++;
    return undefined;
  }

  /** Of the last `apply`: fields 2 and 3 of the answer. */
  get body(): ByteWriter {
    return this.#body;
  }

  // ---- the path

  #choose(bytes: Uint8Array, start: number, end: number, depth: number): void {
    const cursor = this.#cursors.at(depth);
    cursor.open(bytes, start, end);
    let isSuccess = true;
    while (isSuccess && cursor.nextCompare()) {
      this.#compare.parse(bytes, cursor.itemStart, cursor.itemEnd);
      isSuccess = this.#holds(bytes);
    }
    this.#path.push(isSuccess);
    cursor.select(isSuccess);
    while (cursor.nextOp()) {
      if (cursor.opKind === OP_TXN) this.#choose(bytes, cursor.itemStart, cursor.itemEnd, depth + 1);
    }
  }

  /** Whether the parsed comparison holds for every key of its range; for an empty range, for a key of zeros. */
  #holds(bytes: Uint8Array): boolean {
    const compare = this.#compare;
    const refs = this.#refs;
    refs.clear();
    this.#range.set(bytes, compare.keyStart, compare.keyEnd, compare.rangeEndStart, compare.rangeEndEnd);
    collectLive(this.#store, this.#range, Number.MAX_SAFE_INTEGER, refs);
    if (refs.length === 0) {
      if (compare.target === TARGET_VALUE) return false;
      return agrees(compare.result, compareMissing(compare));
    }
    for (let i = 0; i < refs.length; i++) {
      this.#store.load(refs.get(i), this.#view);
      if (!agrees(compare.result, this.#order(bytes))) return false;
    }
    return true;
  }

  /** Order of the key in `#view` against the comparison's operand. */
  #order(bytes: Uint8Array): number {
    const compare = this.#compare;
    const view = this.#view;
    switch (compare.target) {
      case TARGET_VERSION:
        return view.version - compare.operand;
      case TARGET_CREATE:
        return view.createRevision - compare.operand;
      case TARGET_MOD:
        return view.modRevision - compare.operand;
      case TARGET_VALUE:
        return compareBytes(
          view.bytes,
          view.valueStart,
          view.valueEnd,
          bytes,
          compare.valueStart,
          compare.valueEnd,
        );
      case TARGET_LEASE:
        return compareInt64(view.leaseHi, view.leaseLo, compare.operandHi, compare.operandLo);
      default:
        return 0;
    }
  }

  // ---- checks on the path

  /** In the order of the operations: the first one that fails gives the answer, as in etcd. */
  #check(bytes: Uint8Array, start: number, end: number, depth: number): Status | undefined {
    const cursor = this.#cursors.at(depth);
    cursor.open(bytes, start, end);
    cursor.select(this.#path[this.#pathPosition++]!);
    while (cursor.nextOp()) {
      const { opKind, itemStart, itemEnd } = cursor;
      let failed: Status | undefined = undefined;
      if (opKind === OP_TXN) failed = this.#check(bytes, itemStart, itemEnd, depth + 1);
      else if (opKind === OP_PUT) failed = this.#checkPut(bytes, itemStart, itemEnd);
      else if (opKind === OP_RANGE) failed = this.#checkRange(bytes, itemStart, itemEnd);
      if (failed !== undefined) return failed;
    }
    return undefined;
  }

  #checkPut(bytes: Uint8Array, start: number, end: number): Status | undefined {
    const put = this.#put;
    put.parse(bytes, start, end);
    if (put.ignoreValue || put.ignoreLease) {
      if (this.#store.findLive(bytes, put.keyStart, put.keyEnd) === 0) return STATUS.keyNotFound;
    }
    if ((put.leaseHi | put.leaseLo) === 0) return undefined;
    return this.#store.leases.find(put.leaseHi, put.leaseLo) < 0 ? STATUS.leaseNotFound : undefined;
  }

  /** A negative revision is compacted here, unlike in a Range of its own; -1 passes before the first compaction. */
  #checkRange(bytes: Uint8Array, start: number, end: number): Status | undefined {
    const range = this.#rangeFields;
    range.parse(bytes, start, end);
    if (range.revision === 0) return undefined;
    if (range.revision > this.#store.revision) return STATUS.futureRevision;
    return range.revision < this.#store.compactedRevision ? STATUS.compacted : undefined;
  }

  // ---- carrying out

  #carryOut(
    bytes: Uint8Array,
    start: number,
    end: number,
    level: { readonly depth: number; readonly reply: ByteWriter | null },
  ): void {
    const cursor = this.#cursors.at(level.depth);
    const { reply } = level;
    cursor.open(bytes, start, end);
    const isSuccess = this.#path[this.#pathPosition++]!;
    if (reply !== null && isSuccess) {
      reply.byte(0x10);
      reply.byte(1);
    }
    cursor.select(isSuccess);
    while (cursor.nextOp()) {
      const { opKind, itemStart, itemEnd } = cursor;
      if (opKind !== OP_TXN) this.#operationCount++;
      if (opKind === OP_RANGE) this.#rangeOp(bytes, itemStart, itemEnd, reply);
      else if (opKind === OP_PUT) this.#putOp(bytes, itemStart, itemEnd, reply);
      else if (opKind === OP_DELETE) this.#deleteOp(bytes, itemStart, itemEnd, reply);
      else if (opKind === OP_TXN) this.#txnOp(bytes, itemStart, itemEnd, { depth: level.depth + 1, reply });
    }
  }

  #rangeOp(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): void {
    this.#operations.counts.ranges++;
    if (reply === null) return;
    const query = this.#operations.query;
    const revision = this.#revision();
    this.#rangeFields.parse(bytes, start, end);
    // It cannot fail: the check has passed, and the revision only grew since.
    query.execute(bytes, this.#rangeFields, revision);
    writeOpHead(reply, OP_RANGE, revisionHeaderSizeBytes(revision) + query.bodySizeBytes());
    writeRevisionHeader(reply, revision);
    query.writeBody(reply);
  }

  #putOp(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): void {
    const operations = this.#operations;
    operations.parsePut(bytes, start, end);
    operations.put(bytes);
    if (reply === null) return;
    const revision = this.#revision();
    writeOpHead(reply, OP_PUT, revisionHeaderSizeBytes(revision) + operations.putBodySizeBytes());
    writeRevisionHeader(reply, revision);
    operations.writePutBody(reply);
  }

  #deleteOp(bytes: Uint8Array, start: number, end: number, reply: ByteWriter | null): void {
    const operations = this.#operations;
    operations.parseDelete(bytes, start, end);
    operations.deleteRange(bytes, reply !== null);
    if (reply === null) return;
    const revision = this.#revision();
    writeOpHead(reply, OP_DELETE, revisionHeaderSizeBytes(revision) + operations.deleteBodySizeBytes());
    writeRevisionHeader(reply, revision);
    operations.writeDeleteBody(reply);
  }

  #txnOp(
    bytes: Uint8Array,
    start: number,
    end: number,
    level: { readonly depth: number; readonly reply: ByteWriter | null },
  ): void {
    const { reply } = level;
    if (reply === null) return this.#carryOut(bytes, start, end, level);
    reply.byte(TAG_RESPONSES);
    const outer = openLength(reply);
    reply.byte((OP_TXN << 3) | 2);
    const inner = openLength(reply);
    // The header of a nested answer is there and empty.
    reply.byte(0x0a);
    reply.byte(0);
    this.#carryOut(bytes, start, end, level);
    closeLength(reply, inner);
    closeLength(reply, outer);
  }

  /** What a read or a header inside the transaction says. */
  #revision(): number {
    return this.#store.hasChanges ? this.#store.revision + 1 : this.#store.revision;
  }
}

/** ResponseOp as an element of `responses`, up to the body of its member. */
function writeOpHead(reply: ByteWriter, kind: number, bodySize: number): void {
  reply.byte(TAG_RESPONSES);
  reply.varint(1 + varintSizeBytes(bodySize) + bodySize);
  reply.byte((kind << 3) | 2);
  reply.varint(bodySize);
}

/** Leaves a byte for a length that is not known yet. */
function openLength(writer: ByteWriter): number {
  writer.byte(0);
  return writer.position;
}

/** Fills in the length of what was written since; shifts it when the length takes more than one byte. */
function closeLength(writer: ByteWriter, start: number): void {
  const size = writer.position - start;
  const extra = varintSizeBytes(size) - 1;
  if (extra > 0) {
    writer.ensure(extra);
    writer.bytes.copyWithin(start + extra, start, writer.position);
  }
  writer.position = start - 1;
  writer.varint(size);
  writer.position = start + extra + size;
}

function agrees(result: number, order: number): boolean {
  switch (result) {
    case COMPARE_EQUAL:
      return order === 0;
    case COMPARE_GREATER:
      return order > 0;
    case COMPARE_LESS:
      return order < 0;
    case COMPARE_NOT_EQUAL:
      return order !== 0;
    default:
      // etcd: a result that it does not know holds.
      return true;
  }
}

/** Order of a key that does not exist, all zeros, against the operand. */
function compareMissing(compare: CompareFields): number {
  if (compare.target === TARGET_LEASE) return compareInt64(0, 0, compare.operandHi, compare.operandLo);
  return compare.target > TARGET_LEASE || compare.target < 0 ? 0 : -compare.operand;
}

/** Order of two signed 64-bit integers, given as halves. */
function compareInt64(aHi: number, aLo: number, bHi: number, bLo: number): number {
  return (aHi | 0) - (bHi | 0) || (aLo >>> 0) - (bLo >>> 0);
}
