// Any store that speaks etcd's API, behind the point workloads.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { METHOD } from "../../core/wire/service.ts";
import { Cursor, writePut, writeRange } from "./etcd-requests.ts";
import type { Rpc, UnarySink } from "./rpc.ts";
import type { KeyValueSink, KeyValueStore } from "./workload.ts";

export class EtcdStore implements KeyValueStore, UnarySink {
  sink: KeyValueSink = { onEnd: () => {} };
  readonly #rpc: Rpc;
  readonly #message = new ByteWriter(4096);
  readonly #shape: { limit: number; serializable: boolean; keysOnly: boolean; countOnly: boolean };
  readonly #key = new Cursor();
  readonly #value = new Cursor();

  constructor(rpc: Rpc, options: { serializable: boolean }) {
    this.#rpc = rpc;
    this.#shape = { limit: 0, serializable: options.serializable, keysOnly: false, countOnly: false };
  }

  /** Unary replies come here from now on. */
  attach(): void {
    this.#rpc.sink = this;
  }

  // oxlint-disable-next-line max-params -- a slice object per call would be garbage on the hot path
  put(
    slot: number,
    key: Uint8Array,
    keySize: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    this.#message.reset();
    writePut(this.#message, this.#key.set(key, 0, keySize), this.#value.set(value, valueStart, valueEnd), 0n);
    this.#rpc.unary(slot, METHOD.put, this.#message);
  }

  get(slot: number, key: Uint8Array, keySize: number): void {
    this.#message.reset();
    writeRange(this.#message, this.#key.set(key, 0, keySize), undefined, this.#shape);
    this.#rpc.unary(slot, METHOD.range, this.#message);
  }

  abandon(slot: number): void {
    this.#rpc.abandon(slot);
  }

  onReply(slot: number): void {
    this.sink.onEnd(slot, undefined);
  }

  onFailure(slot: number, text: string): void {
    this.sink.onEnd(slot, text);
  }

  async close(): Promise<void> {
    await this.#rpc.close();
  }
}
