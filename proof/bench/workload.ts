// What every workload is made of, and what the rest of the bench knows of it.

import type { Prng } from "../../core/base/prng.ts";
import type { KeyChooser, KeySpace } from "./keys.ts";
import type { Operations } from "./load.ts";
import type { SizeTable, ValuePool } from "./sizes.ts";

/** Reports the end of an operation; bound to the load that runs. */
export type Done = (slot: number, failure: string | undefined) => void;

/** The pieces that workloads share. */
export interface Material {
  readonly keys: KeySpace;
  readonly chooser: KeyChooser;
  readonly values: ValuePool;
  readonly valueSizes: SizeTable;
  /** The write of this key was acknowledged. Before `done`: whether it counts is known by the operation of the slot. */
  readonly wrote: (slot: number, index: number) => void;
  readonly prng: Prng;
  readonly done: Done;
}

export interface Workload extends Operations {
  /** Before the load: leases, watches. */
  prepare(): Promise<void>;
  /** After the load. */
  finish(): Promise<void>;
  /** The warm-up is over: what `extras` counts begins anew. For those that count. */
  beginMeasuring?(): void;
  /** Further figures for the report, by name. */
  extras(): Record<string, number>;
}

/** A key-value store as the point workloads use it, so that stores of other protocols run under the same load. */
export interface KeyValueStore {
  /** Ends by the store's sink; never within the call. `key[0, keySize)` and the value are taken before it returns. */
  put(
    slot: number,
    key: Uint8Array,
    keySize: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void;
  get(slot: number, key: Uint8Array, keySize: number): void;
  abandon(slot: number): void;
  /** Who hears of ends. */
  sink: KeyValueSink;
  close(): Promise<void>;
}

/** One that does not speak etcd's API. */
export interface ForeignStore extends KeyValueStore {
  readonly version: string;
}

export interface KeyValueSink {
  onEnd(slot: number, failure: string | undefined): void;
}
