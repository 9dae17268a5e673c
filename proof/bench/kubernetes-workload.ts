// A mix like the one that a Kubernetes API server puts on its store: mostly conditional updates of objects (pod status,
// node leases), some reads of one object, some lists in pages of 500, while watches follow everything.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { WatchRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import {
  Cursor,
  headerRevision,
  RangeAnswer,
  readWatchResponse,
  txnSucceeded,
  writeCompareModRevision,
  writeRange,
  writeTxnGetOnFailure,
  writeTxnPut,
} from "./etcd-requests.ts";
import { prefixEnd } from "./range-workload.ts";
import type { Rpc, RpcStream, UnarySink } from "./rpc.ts";
import type { Material, Workload } from "./workload.ts";

const UPDATE = 0;
const GET = 1;
const LIST = 2;

/** Shares of operations; the rest are updates. */
const GET_SHARE = 0.25;
const LIST_SHARE = 0.02;
const PAGE = 500;
/** One watch per kind of resource. */
const WATCHES = 20;

export class KubernetesWorkload implements Workload, UnarySink {
  readonly kinds = ["update", "get", "list of 500"];
  readonly #rpc: Rpc;
  readonly #material: Material;
  readonly #message = new ByteWriter(8192);
  readonly #key = new Cursor();
  readonly #value = new Cursor();
  readonly #answer = new RangeAnswer();
  readonly #revisions: Float64Array;
  // By slot.
  readonly #kind: number[] = [];
  readonly #index: number[] = [];
  readonly #watches: RpcStream[] = [];
  #conflicts = 0;
  #watchBytes = 0;
  /** A watch is gone: from now on the store is asked for less than this load is, which no operation may hide. */
  #broken: string | undefined;
  #finished = false;

  constructor(rpc: Rpc, material: Material) {
    this.#rpc = rpc;
    this.#material = material;
    this.#revisions = new Float64Array(material.keys.count);
    rpc.sink = this;
  }

  async prepare(): Promise<void> {
    const message = new ByteWriter();
    const prefix = this.#material.keys.prefix;
    const request = { key: prefix, range_end: prefixEnd(prefix), prev_kv: true, progress_notify: true };
    encode(WatchRequest, { create_request: request }, message);
    for (let i = 0; i < WATCHES; i++) {
      const watch = this.#rpc.stream(i, METHOD.watch, {
        onMessage: (bytes, start, end) => {
          this.#watchBytes += end - start;
          if (readWatchResponse(bytes, start, end, IGNORED).canceled) this.#broken = "a watch was cancelled";
        },
        onEnd: (text) => {
          if (!this.#finished) this.#broken ??= `a watch ended: ${text}`;
        },
      });
      watch.send(message);
      this.#watches.push(watch);
    }
  }

  async finish(): Promise<void> {
    this.#finished = true;
    for (const watch of this.#watches) watch.cancel();
  }

  beginMeasuring(): void {
    this.#conflicts = 0;
    this.#watchBytes = 0;
  }

  extras(): Record<string, number> {
    return { conflicts: this.#conflicts, watches: WATCHES, watchBytes: this.#watchBytes };
  }

  start(slot: number): number {
    const { chooser, prng, keys } = this.#material;
    const draw = prng.float();
    const kind = draw < LIST_SHARE ? LIST : draw < LIST_SHARE + GET_SHARE ? GET : UPDATE;
    const index = chooser.next();
    this.#kind[slot] = kind;
    this.#index[slot] = index;
    keys.write(index);
    this.#key.set(keys.bytes, 0, keys.size);
    this.#message.reset();
    if (kind === UPDATE) this.#startUpdate(slot, index);
    else {
      const end = kind === LIST ? prefixEnd(keys.prefix) : undefined;
      writeRange(
        this.#message,
        this.#key,
        end && { bytes: end, start: 0, end: end.length },
        kind === LIST ? LIST_SHAPE : GET_SHAPE,
      );
      this.#rpc.unary(slot, METHOD.range, this.#message);
    }
    return kind;
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number, bytes: Uint8Array, start: number, end: number): void {
    const kind = this.#kind[slot]!;
    const index = this.#index[slot]!;
    if (kind === UPDATE) {
      if (txnSucceeded(bytes, start, end)) {
        this.#revisions[index] = headerRevision(bytes, start, end);
        this.#material.wrote(slot, index);
      } else {
        this.#conflicts++;
        // The next update of this key finds out by a get: Kubernetes takes the answer's own copy.
        this.#revisions[index] = -1;
      }
    } else if (kind === GET) {
      this.#answer.parse(bytes, start, end);
      this.#revisions[index] = this.#answer.firstModRevision;
    }
    this.#material.done(slot, this.#broken);
  }

  onFailure(slot: number, text: string): void {
    this.#material.done(slot, text);
  }

  #startUpdate(slot: number, index: number): void {
    const { values, valueSizes } = this.#material;
    const start = values.nextStart();
    const known = this.#revisions[index]!;
    if (known > 0) writeCompareModRevision(this.#message, this.#key, known);
    writeTxnPut(this.#message, this.#key, this.#value.set(values.bytes, start, start + valueSizes.at(start)));
    if (known > 0) writeTxnGetOnFailure(this.#message, this.#key);
    this.#rpc.unary(slot, METHOD.txn, this.#message);
  }
}

const IGNORED = (): void => {};
const GET_SHAPE = { limit: 0, serializable: false, keysOnly: false, countOnly: false };
const LIST_SHAPE = { limit: PAGE, serializable: false, keysOnly: false, countOnly: false };
