// Stores of other protocols under the same point workloads.

import type { KeyValueStore } from "./workload.ts";

export interface ForeignStore extends KeyValueStore {
  readonly version: string;
}

export async function openForeignStore(kind: "zookeeper" | "consul", _endpoints: readonly string[], _connections: number): Promise<ForeignStore> {
  throw new Error(`Store ${kind} is not built yet`);
}
