// Transactions of several puts, and compare-and-set: read a key, then write it if nobody has in between.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { METHOD } from "../../core/wire/service.ts";
import {
  Cursor,
  RangeAnswer,
  txnSucceeded,
  writeCompareModRevision,
  writeRange,
  writeTxnPut,
} from "./etcd-requests.ts";
import type { Rpc, UnarySink } from "./rpc.ts";
import type { Material, Workload } from "./workload.ts";

export class TxnWorkload implements Workload, UnarySink {
  readonly kinds = ["txn"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #puts: number;
  readonly #message = new ByteWriter(4096);
  readonly #key = new Cursor();
  readonly #value = new Cursor();
  /** By slot: the numbers of the keys that are put. */
  readonly #indexes: number[][] = [];

  constructor(rpc: Rpc, material: Material, puts: number) {
    this.#rpc = rpc;
    this.#material = material;
    this.#puts = puts;
    rpc.sink = this;
  }

  async prepare(): Promise<void> {}
  async finish(): Promise<void> {}
  extras(): Record<string, number> {
    return { putsPerTxn: this.#puts };
  }

  start(slot: number): number {
    const { keys, chooser, values, valueSizes } = this.#material;
    const message = this.#message;
    const used = (this.#indexes[slot] ??= []);
    message.reset();
    used.length = 0;
    for (let i = 0; i < this.#puts; i++) {
      // A key may stand only once in a transaction (etcd: "duplicate key given in txn request").
      let index = chooser.next();
      while (used.includes(index)) index = (index + 1) % keys.count;
      used.push(index);
      keys.write(index);
      const start = values.nextStart();
      writeTxnPut(
        message,
        this.#key.set(keys.bytes, 0, keys.size),
        this.#value.set(values.bytes, start, start + valueSizes.at(start)),
      );
    }
    this.#rpc.unary(slot, METHOD.txn, message);
    return 0;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number): void {
    const indexes = this.#indexes[slot]!;
    for (let i = 0; i < indexes.length; i++) this.#material.wrote(slot, indexes[i]!);
    this.#material.done(slot, undefined);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }
}

/** An operation is a read and a conditional write: two calls. A lost race counts as a conflict, not as an error. */
export class CasWorkload implements Workload, UnarySink {
  readonly kinds = ["cas"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #message = new ByteWriter(4096);
  readonly #key = new Cursor();
  readonly #value = new Cursor();
  readonly #answer = new RangeAnswer();
  readonly #shape: { limit: number; serializable: boolean; keysOnly: boolean; countOnly: boolean };
  /** By slot: the key's number, and whether the write is under way. */
  readonly #index: number[] = [];
  readonly #writing: boolean[] = [];
  #conflicts = 0;

  constructor(rpc: Rpc, material: Material, options: { serializable: boolean }) {
    this.#rpc = rpc;
    this.#material = material;
    this.#shape = { limit: 0, serializable: options.serializable, keysOnly: false, countOnly: false };
    rpc.sink = this;
  }

  async prepare(): Promise<void> {}
  async finish(): Promise<void> {}
  beginMeasuring(): void {
    this.#conflicts = 0;
  }

  extras(): Record<string, number> {
    return { conflicts: this.#conflicts };
  }

  start(slot: number): number {
    const index = this.#material.chooser.next();
    this.#index[slot] = index;
    this.#writing[slot] = false;
    this.#material.keys.write(index);
    this.#message.reset();
    writeRange(
      this.#message,
      this.#key.set(this.#material.keys.bytes, 0, this.#material.keys.size),
      undefined,
      this.#shape,
    );
    this.#rpc.unary(slot, METHOD.range, this.#message);
    return 0;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void {
    if (!this.#writing[slot]) {
      this.#answer.parse(bytes, start, end);
      this.#write(slot, this.#answer.firstModRevision);
      return;
    }
    if (txnSucceeded(bytes, start, end)) this.#material.wrote(slot, this.#index[slot]!);
    else this.#conflicts++;
    this.#material.done(slot, undefined);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }

  #write(slot: number, modRevision: number): void {
    const { keys, values, valueSizes } = this.#material;
    this.#writing[slot] = true;
    keys.write(this.#index[slot]!);
    const key = this.#key.set(keys.bytes, 0, keys.size);
    const start = values.nextStart();
    this.#message.reset();
    writeCompareModRevision(this.#message, key, modRevision);
    writeTxnPut(this.#message, key, this.#value.set(values.bytes, start, start + valueSizes.at(start)));
    this.#rpc.unary(slot, METHOD.txn, this.#message);
  }
}
