// The loads that only etcd's own benchmark tool has: one request again and again, reads and writes as transactions,
// software transactional memory, gets beside watchers that have much to catch up on.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import {
  RangeRequest,
  RangeResponse,
  TxnRequest,
  TxnResponse,
  WatchRequest,
} from "../../core/wire/messages.ts";
import { decode, encode, type Input, type MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import type { Control } from "./control.ts";
import { readWatchResponse } from "./etcd-requests.ts";
import type { Rpc, RpcStream, UnarySink } from "./rpc.ts";
import type { Material, Workload } from "./workload.ts";

const NOTHING = -1;

/** `range key [end]`: the same request for everybody. */
export class RequestWorkload<T> implements Workload, UnarySink {
  readonly kinds: readonly string[] = ["request"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #method: Method;
  readonly #message = new ByteWriter();

  constructor(rpc: Rpc, material: Material, call: { method: Method<T>; request: Input<T> }) {
    this.#rpc = rpc;
    this.#material = material;
    this.#method = call.method as Method;
    encode(call.method.request, call.request, this.#message);
    rpc.sink = this;
  }

  async prepare(): Promise<void> {}
  async finish(): Promise<void> {}
  extras(): Record<string, number> {
    return {};
  }

  start(slot: number): number {
    this.#rpc.unary(slot, this.#method, this.#message);
    return 0;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number): void {
    this.#material.done(slot, undefined);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }
}

/** `txn-mixed`: a transaction with one read of a range, or one with one put. */
export class MixedTxnWorkload implements Workload, UnarySink {
  readonly kinds = ["read", "write"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #readShare: number;
  readonly #read = new ByteWriter();
  readonly #write = new ByteWriter();
  /** By slot: the number of the key that is put, or NOTHING. */
  readonly #index: number[] = [];

  constructor(
    rpc: Rpc,
    material: Material,
    options: { readShare: number; range: Input<MessageOf<typeof RangeRequest>> },
  ) {
    this.#rpc = rpc;
    this.#material = material;
    this.#readShare = options.readShare;
    encode(TxnRequest, { success: [{ request_range: options.range }] }, this.#read);
    rpc.sink = this;
  }

  async prepare(): Promise<void> {}
  async finish(): Promise<void> {}
  extras(): Record<string, number> {
    return {};
  }

  start(slot: number): number {
    const { keys, chooser, values, valueSizes, prng } = this.#material;
    if (prng.float() < this.#readShare) {
      this.#index[slot] = NOTHING;
      this.#rpc.unary(slot, METHOD.txn, this.#read);
      return 0;
    }
    const index = chooser.next();
    this.#index[slot] = index;
    keys.write(index);
    const from = values.nextStart();
    const put = {
      key: keys.bytes.slice(0, keys.size),
      value: values.bytes.slice(from, from + valueSizes.at(from)),
    };
    this.#write.reset();
    encode(TxnRequest, { success: [{ request_put: put }] }, this.#write);
    this.#rpc.unary(slot, METHOD.txn, this.#write);
    return 1;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number): void {
    const index = this.#index[slot]!;
    if (index !== NOTHING) this.#material.wrote(slot, index);
    this.#material.done(slot, undefined);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }
}

/** c: read committed, r: repeatable reads, s: serializable, ss: a snapshot that writes conflict with, too. */
export type Isolation = "c" | "r" | "s" | "ss";

export interface StmOptions {
  readonly keysPerTxn: number;
  /** Of the keys read, percent. */
  readonly writePercent: number;
  readonly isolation: Isolation;
}

interface Transaction {
  readonly keys: readonly Uint8Array[];
  readonly indexes: readonly number[];
  readonly writes: number;
  readonly modRevisions: number[];
  /** Of the first read. */
  revision: number;
  isCommitting: boolean;
}

/** `stm`: reads of some keys, one by one, then a commit that holds if nobody has changed them; otherwise all over again. */
export class StmWorkload implements Workload, UnarySink {
  readonly kinds = ["transaction"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #options: StmOptions;
  readonly #message = new ByteWriter(1024);
  readonly #transactions: Transaction[] = [];
  #conflicts = 0;

  constructor(rpc: Rpc, material: Material, options: StmOptions) {
    this.#rpc = rpc;
    this.#material = material;
    this.#options = options;
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
    const { keys, chooser, prng } = this.#material;
    const indexes = Array.from({ length: this.#options.keysPerTxn }, () => chooser.next());
    const wanted = (this.#options.keysPerTxn * this.#options.writePercent) / 100;
    // Half a key: in every other transaction.
    const writes = Math.floor(wanted) + (prng.float() < wanted % 1 ? 1 : 0);
    const distinct = [...new Set(indexes)];
    this.#transactions[slot] = {
      indexes: distinct,
      keys: distinct.map((index) => (keys.write(index), keys.bytes.slice(0, keys.size))),
      writes: Math.min(writes, distinct.length),
      modRevisions: [],
      revision: 0,
      isCommitting: false,
    };
    this.#read(slot);
    return 0;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void {
    const transaction = this.#transactions[slot]!;
    if (!transaction.isCommitting) {
      const { kvs, header } = decode(RangeResponse, bytes, start, end);
      if (transaction.modRevisions.length === 0) transaction.revision = header?.revision ?? 0;
      transaction.modRevisions.push(kvs[0]?.mod_revision ?? 0);
      if (transaction.modRevisions.length < transaction.keys.length) this.#read(slot);
      else this.#commit(slot);
      return;
    }
    if (decode(TxnResponse, bytes, start, end).succeeded) {
      for (let i = 0; i < transaction.writes; i++) this.#material.wrote(slot, transaction.indexes[i]!);
      return this.#material.done(slot, undefined);
    }
    this.#conflicts++;
    transaction.isCommitting = false;
    transaction.modRevisions.length = 0;
    this.#read(slot);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }

  #read(slot: number): void {
    const transaction = this.#transactions[slot]!;
    const position = transaction.modRevisions.length;
    const { isolation } = this.#options;
    const atOnce = isolation === "s" || isolation === "ss";
    this.#message.reset();
    encode(
      RangeRequest,
      {
        key: transaction.keys[position]!,
        revision: atOnce && position > 0 ? transaction.revision : 0,
        serializable: atOnce && position > 0,
      },
      this.#message,
    );
    this.#rpc.unary(slot, METHOD.range, this.#message);
  }

  #commit(slot: number): void {
    const transaction = this.#transactions[slot]!;
    const { values, valueSizes } = this.#material;
    const { isolation } = this.#options;
    const unchanged =
      isolation === "c"
        ? []
        : transaction.keys.map((key, i) => ({
            key,
            result: EQUAL,
            target: MOD,
            mod_revision: transaction.modRevisions[i]!,
          }));
    const changed = transaction.keys.slice(0, transaction.writes);
    const untouched =
      isolation !== "ss"
        ? []
        : changed.map((key) => ({ key, result: LESS, target: MOD, mod_revision: transaction.revision + 1 }));
    const success = changed.map((key) => {
      const from = values.nextStart();
      return { request_put: { key, value: values.bytes.slice(from, from + valueSizes.at(from)) } };
    });
    transaction.isCommitting = true;
    this.#message.reset();
    encode(TxnRequest, { compare: [...unchanged, ...untouched], success }, this.#message);
    this.#rpc.unary(slot, METHOD.txn, this.#message);
  }
}

// Of etcd's rpc.proto.
const EQUAL = 0;
const LESS = 2;
const MOD = 2;

export interface WatchGetOptions {
  readonly streams: number;
  readonly watchers: number;
  /** That every watcher has to catch up on. */
  readonly events: number;
}

/** `watch-get`: serializable gets of a key while watchers of it catch up; ends when the last one has. */
export class WatchGetWorkload implements Workload {
  readonly kinds = ["get"];
  readonly #rpc: Rpc;
  readonly #control: Control;
  readonly #options: WatchGetOptions;
  readonly #gets: RequestWorkload<MessageOf<typeof RangeRequest>>;
  readonly #onCaughtUp: () => void;
  readonly #streams: RpcStream[] = [];
  #firstRevision = 0;
  #left: number;

  constructor(
    rpc: Rpc,
    control: Control,
    material: Material,
    options: WatchGetOptions & { onCaughtUp: () => void },
  ) {
    this.#rpc = rpc;
    this.#control = control;
    this.#options = options;
    this.#onCaughtUp = options.onCaughtUp;
    this.#left = options.watchers * options.events;
    this.#gets = new RequestWorkload(rpc, material, {
      method: METHOD.range,
      request: { key: WATCHED, serializable: true },
    });
  }

  async prepare(): Promise<void> {
    for (let i = 0; i < this.#options.events; i++) {
      const { header } = await this.#control.call(METHOD.put, { key: WATCHED, value: WATCHED });
      if (i === 0) this.#firstRevision = header?.revision ?? 0;
    }
  }

  async finish(): Promise<void> {
    for (const stream of this.#streams) stream.cancel();
  }

  extras(): Record<string, number> {
    return { watchers: this.#options.watchers, eventsLeft: this.#left };
  }

  start(slot: number): number {
    if (this.#streams.length === 0) this.#watch();
    return this.#gets.start(slot);
  }

  abandon(slot: number): void {
    this.#gets.abandon(slot);
  }

  /** With the first get, so that the gets meet watchers that have it all before them. */
  #watch(): void {
    const message = new ByteWriter();
    encode(WatchRequest, { create_request: { key: WATCHED, start_revision: this.#firstRevision } }, message);
    for (let i = 0; i < this.#options.streams; i++) {
      this.#streams.push(
        this.#rpc.stream(i, METHOD.watch, {
          onMessage: (bytes, start, end) => void readWatchResponse(bytes, start, end, this.#onEvent),
          onEnd: () => {},
        }),
      );
    }
    for (let i = 0; i < this.#options.watchers; i++) this.#streams[i % this.#streams.length]!.send(message);
  }

  readonly #onEvent = (): void => {
    if (--this.#left === 0) this.#onCaughtUp();
  };
}

const WATCHED = encodeUtf8("watch-get");
