// TxnRequest without objects. A transaction nests: its operations may be transactions. TxnCursor walks one level;
// TxnCursors holds one for each level, so that a walk down reuses them:
//
//   const cursor = cursors.at(0);
//   cursor.open(bytes, start, end);
//   while (cursor.nextCompare()) compare.parse(bytes, cursor.itemStart, cursor.itemEnd);
//   cursor.select(succeeded);                              // from here on nextOp() walks that branch
//   while (cursor.nextOp()) switch (cursor.opKind) { …     // OP_TXN: cursors.at(1).open(bytes, cursor.itemStart, …)
//
// checkTxn() reads all of a transaction once, before it is proposed: what passed it throws no WireError later.

import { assert } from "../base/assert.ts";
import { int64Saturated } from "../base/ids.ts";
import { DeleteFields, PutFields, RangeFields } from "./hot.ts";
import { fail, ProtoReader } from "./reader.ts";

/** An empty RequestOp; etcd answers "key not found". */
export const OP_NONE = 0;
export const OP_RANGE = 1;
export const OP_PUT = 2;
export const OP_DELETE = 3;
export const OP_TXN = 4;

export const COMPARE_EQUAL = 0;
export const COMPARE_GREATER = 1;
export const COMPARE_LESS = 2;
export const COMPARE_NOT_EQUAL = 3;

export const TARGET_VERSION = 0;
export const TARGET_CREATE = 1;
export const TARGET_MOD = 2;
export const TARGET_VALUE = 3;
export const TARGET_LEASE = 4;

/** Levels of transactions inside each other, the outermost counted; deeper ones are malformed for us. */
export const TXN_DEPTH_MAX = 32;

const FIELD_COMPARE = 1;
const FIELD_SUCCESS = 2;
const FIELD_FAILURE = 3;

/** Compare. */
export class CompareFields {
  result = 0;
  target = 0;
  keyStart = 0;
  keyEnd = 0;
  rangeEndStart = 0;
  rangeEndEnd = 0;
  /** Which member of the union was sent last: a TARGET_ constant, -1 for none. Another one than `target` counts as zero. */
  operandTarget = -1;
  /** The number to compare with, saturated. */
  operand = 0;
  /** Its exact unsigned halves: leases are compared with these. */
  operandHi = 0;
  operandLo = 0;
  /** The value to compare with. */
  valueStart = 0;
  valueEnd = 0;
  readonly #reader = new ProtoReader();

  parse(bytes: Uint8Array, start: number, end: number): void {
    this.#clear(start);
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      switch (number) {
        case 1:
          this.result = reader.int32();
          break;
        case 2:
          this.target = reader.int32();
          break;
        case 3:
          reader.chunk();
          this.keyStart = reader.chunkStart;
          this.keyEnd = reader.chunkEnd;
          break;
        case 64:
          reader.chunk();
          this.rangeEndStart = reader.chunkStart;
          this.rangeEndEnd = reader.chunkEnd;
          break;
        default:
          this.#operand(reader, number);
      }
    }
    // A member of the union that is not the target's is as good as absent (facts: wrong union member).
    if (this.operandTarget !== this.target) this.#clearOperand(start);
  }

  #operand(reader: ProtoReader, number: number): void {
    if (number === 7) {
      reader.chunk();
      this.operandTarget = TARGET_VALUE;
      this.valueStart = reader.chunkStart;
      this.valueEnd = reader.chunkEnd;
    } else if (number === 4 || number === 5 || number === 6 || number === 8) {
      reader.varint64();
      this.operandTarget = number - 4;
      this.operandHi = reader.hi;
      this.operandLo = reader.lo;
      this.operand = int64Saturated(reader.hi, reader.lo);
    } else reader.skip();
  }

  #clear(start: number): void {
    this.result = this.target = 0;
    this.keyStart = this.keyEnd = this.rangeEndStart = this.rangeEndEnd = start;
    this.#clearOperand(start);
    this.operandTarget = -1;
  }

  #clearOperand(start: number): void {
    this.operand = this.operandHi = this.operandLo = 0;
    this.valueStart = this.valueEnd = start;
  }
}

/** One level of a transaction. */
export class TxnCursor {
  compareCount = 0;
  successCount = 0;
  failureCount = 0;
  /** The current comparison, or the body of the current operation. */
  itemStart = 0;
  itemEnd = 0;
  /** Of the current operation. */
  opKind = OP_NONE;
  #branchField = FIELD_SUCCESS;
  /** Where the next comparison, and the next operation, is looked for. */
  #comparePosition = 0;
  #opPosition = 0;
  #bytes: Uint8Array = new Uint8Array(0);
  #start = 0;
  #end = 0;
  readonly #reader = new ProtoReader();
  readonly #op = new ProtoReader();

  /** Counts what this level holds; the walks start anew, in the branch of success. */
  open(bytes: Uint8Array, start: number, end: number): void {
    this.#bytes = bytes;
    this.#start = this.#comparePosition = this.#opPosition = start;
    this.#end = end;
    this.#branchField = FIELD_SUCCESS;
    this.compareCount = this.successCount = this.failureCount = 0;
    this.itemStart = this.itemEnd = start;
    this.opKind = OP_NONE;
    const reader = this.#reader;
    reader.reset(bytes, start, end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number > FIELD_FAILURE) {
        reader.skip();
        continue;
      }
      reader.chunk();
      if (number === FIELD_COMPARE) this.compareCount++;
      else if (number === FIELD_SUCCESS) this.successCount++;
      else this.failureCount++;
    }
  }

  /** The largest of the three counts: what the limit on operations looks at. */
  get operationCountMax(): number {
    return Math.max(this.compareCount, this.successCount, this.failureCount);
  }

  nextCompare(): boolean {
    if (!this.#find(FIELD_COMPARE, this.#comparePosition)) return false;
    this.#comparePosition = this.#reader.position;
    return true;
  }

  /** Chooses the branch that nextOp() walks, and starts that walk anew. */
  select(isSuccess: boolean): void {
    this.#branchField = isSuccess ? FIELD_SUCCESS : FIELD_FAILURE;
    this.#opPosition = this.#start;
  }

  nextOp(): boolean {
    if (!this.#find(this.#branchField, this.#opPosition)) return false;
    this.#opPosition = this.#reader.position;
    this.#parseOp();
    return true;
  }

  #find(field: number, from: number): boolean {
    const reader = this.#reader;
    reader.reset(this.#bytes, from, this.#end);
    for (let number = reader.next(); number !== 0; number = reader.next()) {
      if (number !== field) {
        reader.skip();
        continue;
      }
      reader.chunk();
      this.itemStart = reader.chunkStart;
      this.itemEnd = reader.chunkEnd;
      return true;
    }
    return false;
  }

  /** RequestOp: a oneof, so that the last member counts. */
  #parseOp(): void {
    const op = this.#op;
    op.reset(this.#bytes, this.itemStart, this.itemEnd);
    this.opKind = OP_NONE;
    this.itemEnd = this.itemStart;
    for (let number = op.next(); number !== 0; number = op.next()) {
      if (number > OP_TXN) {
        op.skip();
        continue;
      }
      op.chunk();
      this.opKind = number;
      this.itemStart = op.chunkStart;
      this.itemEnd = op.chunkEnd;
    }
  }
}

/** A cursor for every level, made when first needed. */
export class TxnCursors {
  readonly #cursors: TxnCursor[] = [];

  /** Level 0 is the outermost. Throws WireError below the last allowed level. */
  at(depth: number): TxnCursor {
    if (depth >= TXN_DEPTH_MAX) fail("transactions nested too deeply");
    assert(depth <= this.#cursors.length, "levels are entered one by one");
    const cursor = this.#cursors[depth];
    if (cursor !== undefined) return cursor;
    const made = new TxnCursor();
    this.#cursors.push(made);
    return made;
  }
}

/** Reads every field of a transaction, nested ones included. */
export class TxnChecker {
  readonly #cursors = new TxnCursors();
  readonly #compare = new CompareFields();
  readonly #put = new PutFields();
  readonly #range = new RangeFields();
  readonly #delete = new DeleteFields();

  /** Throws WireError when any part is malformed or nested too deeply. */
  check(bytes: Uint8Array, start: number, end: number): void {
    this.#checkLevel(bytes, start, end, 0);
  }

  #checkLevel(bytes: Uint8Array, start: number, end: number, depth: number): void {
    const cursor = this.#cursors.at(depth);
    cursor.open(bytes, start, end);
    while (cursor.nextCompare()) this.#compare.parse(bytes, cursor.itemStart, cursor.itemEnd);
    for (let branch = 0; branch < 2; branch++) {
      cursor.select(branch === 0);
      while (cursor.nextOp()) this.#checkOp(bytes, cursor, depth);
    }
  }

  #checkOp(bytes: Uint8Array, cursor: TxnCursor, depth: number): void {
    const { itemStart, itemEnd } = cursor;
    switch (cursor.opKind) {
      case OP_RANGE:
        return this.#range.parse(bytes, itemStart, itemEnd);
      case OP_PUT:
        return this.#put.parse(bytes, itemStart, itemEnd);
      case OP_DELETE:
        return this.#delete.parse(bytes, itemStart, itemEnd);
      case OP_TXN:
        return this.#checkLevel(bytes, itemStart, itemEnd, depth + 1);
    }
  }
}
