// What a KV request must fulfil before it is proposed (facts §1.4–1.6). Malformed bytes throw WireError.

import {
  CompactFields,
  DeleteFields,
  PutFields,
  RangeFields,
  SORT_BY_KEY,
  SORT_BY_VALUE,
  SORT_DESCEND,
  SORT_NONE,
} from "../wire/hot.ts";
import type { Status } from "../wire/status.ts";
import { STATUS } from "../wire/status.ts";
import type { TxnCursor } from "../wire/txn.ts";
import { CompareFields, OP_DELETE, OP_PUT, OP_RANGE, OP_TXN, TxnCursors } from "../wire/txn.ts";
import { KEY_SIZE_BYTES_MAX } from "./record.ts";
import { BranchKeys, FewPuts, keyText } from "./txn-intervals.ts";

/** What etcd takes for the overhead of a key, bytes. */
const KEY_OVERHEAD_BYTES = 256;

export class RequestChecks {
  readonly #operationCountMax: number;
  readonly #put = new PutFields();
  readonly #range = new RangeFields();
  readonly #delete = new DeleteFields();
  readonly #compact = new CompactFields();
  readonly #compare = new CompareFields();
  readonly #cursors = new TxnCursors();
  readonly #fewPuts = new FewPuts();

  constructor(txnOperationCountMax: number) {
    this.#operationCountMax = txnOperationCountMax;
  }

  put(bytes: Uint8Array, start: number, end: number): Status | undefined {
    const fields = this.#put;
    fields.parse(bytes, start, end);
    const keySize = fields.keyEnd - fields.keyStart;
    if (keySize === 0) return STATUS.emptyKey;
    if (fields.ignoreValue && fields.valueEnd > fields.valueStart) return STATUS.valueProvided;
    if (fields.ignoreLease && (fields.leaseHi | fields.leaseLo) !== 0) return STATUS.leaseProvided;
    return keySize > KEY_SIZE_BYTES_MAX ? STATUS.requestTooLarge : undefined;
  }

  range(bytes: Uint8Array, start: number, end: number): Status | undefined {
    const fields = this.#range;
    fields.parse(bytes, start, end);
    if (fields.keyEnd === fields.keyStart) return STATUS.emptyKey;
    if (fields.sortOrder < SORT_NONE || fields.sortOrder > SORT_DESCEND) return STATUS.invalidSortOption;
    if (fields.sortTarget < SORT_BY_KEY || fields.sortTarget > SORT_BY_VALUE) return STATUS.invalidSortOption;
    return undefined;
  }

  deletion(bytes: Uint8Array, start: number, end: number): Status | undefined {
    const fields = this.#delete;
    fields.parse(bytes, start, end);
    return fields.keyEnd === fields.keyStart ? STATUS.emptyKey : undefined;
  }

  compact(bytes: Uint8Array, start: number, end: number): Status | undefined {
    this.#compact.parse(bytes, start, end);
    return undefined;
  }

  txn(bytes: Uint8Array, start: number, end: number): Status | undefined {
    const failed = this.#txnLevel(bytes, start, end, { depth: 0, countMax: this.#operationCountMax });
    if (failed !== undefined) return failed;
    return this.#duplicates(bytes, start, end);
  }

  /** Whether the transaction is served without the log: nothing but ranges in both branches, none nested. */
  isReadOnlyTxn(bytes: Uint8Array, start: number, end: number): boolean {
    const cursor = this.#cursors.at(0);
    cursor.open(bytes, start, end);
    for (let branch = 0; branch < 2; branch++) {
      cursor.select(branch === 0);
      while (cursor.nextOp()) if (cursor.opKind !== OP_RANGE) return false;
    }
    return true;
  }

  /** Whether every range of a read-only transaction is serializable: then this member answers without asking others. */
  isSerializableTxn(bytes: Uint8Array, start: number, end: number): boolean {
    const cursor = this.#cursors.at(0);
    cursor.open(bytes, start, end);
    for (let branch = 0; branch < 2; branch++) {
      cursor.select(branch === 0);
      while (cursor.nextOp()) {
        if (cursor.opKind !== OP_RANGE) return false;
        this.#range.parse(bytes, cursor.itemStart, cursor.itemEnd);
        if (!this.#range.serializable) return false;
      }
    }
    return true;
  }

  /** Whether any branch, at any depth, puts: such a transaction is refused when there is no space. */
  txnHasPut(bytes: Uint8Array, start: number, end: number): boolean {
    return this.#hasPut(bytes, start, end, 0);
  }

  /** What the put that was parsed last counts for the quota, as etcd has it. */
  get putCostBytes(): number {
    const { keyStart, keyEnd, valueStart, valueEnd } = this.#put;
    return KEY_OVERHEAD_BYTES + keyEnd - keyStart + valueEnd - valueStart;
  }

  /** The same of a transaction: the puts of its costlier branch. etcd leaves nested transactions out. */
  txnCostBytes(bytes: Uint8Array, start: number, end: number): number {
    return this.#txnCost(bytes, start, end, 0);
  }

  #txnCost(bytes: Uint8Array, start: number, end: number, depth: number): number {
    const cursor = this.#cursors.at(depth);
    cursor.open(bytes, start, end);
    let costMax = 0;
    for (let branch = 0; branch < 2; branch++) {
      cursor.select(branch === 0);
      let cost = 0;
      while (cursor.nextOp()) {
        if (cursor.opKind === OP_TXN)
          cost += this.#txnCost(bytes, cursor.itemStart, cursor.itemEnd, depth + 1);
        if (cursor.opKind !== OP_PUT) continue;
        this.#put.parse(bytes, cursor.itemStart, cursor.itemEnd);
        cost += this.putCostBytes;
      }
      costMax = Math.max(costMax, cost);
    }
    return costMax;
  }

  #hasPut(bytes: Uint8Array, start: number, end: number, depth: number): boolean {
    const cursor = this.#cursors.at(depth);
    cursor.open(bytes, start, end);
    for (let branch = 0; branch < 2; branch++) {
      cursor.select(branch === 0);
      while (cursor.nextOp()) {
        if (cursor.opKind === OP_PUT) return true;
        if (cursor.opKind === OP_TXN && this.#hasPut(bytes, cursor.itemStart, cursor.itemEnd, depth + 1))
          return true;
      }
    }
    return false;
  }

  #txnLevel(
    bytes: Uint8Array,
    start: number,
    end: number,
    level: { readonly depth: number; readonly countMax: number },
  ): Status | undefined {
    const cursor = this.#cursors.at(level.depth);
    cursor.open(bytes, start, end);
    const count = cursor.operationCountMax;
    if (count > level.countMax) return STATUS.tooManyOperations;
    while (cursor.nextCompare()) {
      this.#compare.parse(bytes, cursor.itemStart, cursor.itemEnd);
      if (this.#compare.keyEnd === this.#compare.keyStart) return STATUS.emptyKey;
    }
    const inner = { depth: level.depth + 1, countMax: level.countMax - count };
    for (let branch = 0; branch < 2; branch++) {
      cursor.select(branch === 0);
      while (cursor.nextOp()) {
        const failed = this.#op(bytes, cursor, inner);
        if (failed !== undefined) return failed;
      }
    }
    return undefined;
  }

  #op(
    bytes: Uint8Array,
    cursor: TxnCursor,
    inner: { readonly depth: number; readonly countMax: number },
  ): Status | undefined {
    const { itemStart, itemEnd } = cursor;
    switch (cursor.opKind) {
      case OP_RANGE:
        return this.range(bytes, itemStart, itemEnd);
      case OP_PUT:
        return this.put(bytes, itemStart, itemEnd);
      case OP_DELETE:
        return this.deletion(bytes, itemStart, itemEnd);
      case OP_TXN:
        return this.#txnLevel(bytes, itemStart, itemEnd, inner);
      default:
        return STATUS.keyNotFound;
    }
  }

  #duplicates(bytes: Uint8Array, start: number, end: number): Status | undefined {
    const cursor = this.#cursors.at(0);
    cursor.open(bytes, start, end);
    for (let branch = 0; branch < 2; branch++) {
      cursor.select(branch === 0);
      if (!needsCheck(cursor)) continue;
      cursor.select(branch === 0);
      if (this.#putsFew(bytes, cursor)) {
        if (this.#fewPuts.hasDuplicate(bytes)) return STATUS.duplicateKey;
      } else if (this.#branch(bytes, cursor, branch === 0, 0) === undefined) return STATUS.duplicateKey;
    }
    return undefined;
  }

  /** Whether a branch puts a few keys and deletes none: they are collected then. */
  #putsFew(bytes: Uint8Array, cursor: TxnCursor): boolean {
    this.#fewPuts.reset();
    while (cursor.nextOp()) {
      if (cursor.opKind === OP_RANGE) continue;
      if (cursor.opKind !== OP_PUT) return false;
      this.#put.parse(bytes, cursor.itemStart, cursor.itemEnd);
      if (!this.#fewPuts.add(this.#put.keyStart, this.#put.keyEnd)) return false;
    }
    return true;
  }

  /** What the branch of the opened cursor puts and deletes; undefined for a duplicate. */
  #branch(bytes: Uint8Array, cursor: TxnCursor, isSuccess: boolean, depth: number): BranchKeys | undefined {
    const keys = new BranchKeys();
    cursor.select(isSuccess);
    while (cursor.nextOp()) {
      if (cursor.opKind !== OP_DELETE) continue;
      const fields = this.#delete;
      fields.parse(bytes, cursor.itemStart, cursor.itemEnd);
      keys.addDeletion(bytes, fields.keyStart, fields.keyEnd, fields.rangeEndStart, fields.rangeEndEnd);
    }
    cursor.select(isSuccess);
    while (cursor.nextOp()) {
      if (cursor.opKind !== OP_TXN) continue;
      const inner = this.#cursors.at(depth + 1);
      inner.open(bytes, cursor.itemStart, cursor.itemEnd);
      const success = this.#branch(bytes, inner, true, depth + 1);
      const failure = success && this.#branch(bytes, inner, false, depth + 1);
      if (success === undefined || failure === undefined || !keys.addNested(success, failure))
        return undefined;
    }
    cursor.select(isSuccess);
    while (cursor.nextOp()) {
      if (cursor.opKind !== OP_PUT) continue;
      this.#put.parse(bytes, cursor.itemStart, cursor.itemEnd);
      if (!keys.addPut(keyText(bytes, this.#put.keyStart, this.#put.keyEnd))) return undefined;
    }
    return keys;
  }
}

/** A branch with one put and no deletion, or without puts, has no duplicates: most transactions are done here. */
function needsCheck(cursor: TxnCursor): boolean {
  let putCount = 0;
  let deleteCount = 0;
  while (cursor.nextOp()) {
    if (cursor.opKind === OP_TXN) return true;
    if (cursor.opKind === OP_PUT) putCount++;
    else if (cursor.opKind === OP_DELETE) deleteCount++;
  }
  return putCount > 1 || (putCount === 1 && deleteCount > 0);
}
