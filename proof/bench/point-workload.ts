// put, get of one key, and a mix of both: what every store can do.

import type { KeyValueStore, Material, Workload } from "./workload.ts";

const WRITE = 0;
const READ = 1;
const NOTHING = -1;

export class PointWorkload implements Workload {
  readonly kinds: readonly string[];
  readonly #store: KeyValueStore;
  readonly #material: Material;
  /** Share of reads: 0 only puts, 1 only gets. */
  readonly #readShare: number;
  /** By slot: the number of the key that is put, or NOTHING. */
  readonly #index: number[] = [];

  constructor(store: KeyValueStore, material: Material, readShare: number) {
    this.#store = store;
    this.#material = material;
    this.#readShare = readShare;
    this.kinds = readShare === 0 ? ["put"] : readShare === 1 ? ["get"] : ["put", "get"];
    store.sink = this;
  }

  async prepare(): Promise<void> {}
  async finish(): Promise<void> {}
  extras(): Record<string, number> {
    return {};
  }

  start(slot: number): number {
    const { keys, values, valueSizes } = this.#material;
    const index = this.#material.chooser.next();
    keys.write(index);
    const share = this.#readShare;
    if (share === 1 || (share > 0 && this.#material.prng.float() < share)) {
      this.#index[slot] = NOTHING;
      this.#store.get(slot, keys.bytes, keys.size);
      return share === 1 ? 0 : READ;
    }
    this.#index[slot] = index;
    const start = values.nextStart();
    this.#store.put(slot, keys.bytes, keys.size, values.bytes, start, start + valueSizes.at(start));
    return WRITE;
  }

  abandon(slot: number): void {
    this.#store.abandon(slot);
  }

  onEnd(slot: number, failure: string | undefined): void {
    const index = this.#index[slot]!;
    if (failure === undefined && index !== NOTHING) this.#material.wrote(slot, index);
    this.#material.done(slot, failure);
  }
}
