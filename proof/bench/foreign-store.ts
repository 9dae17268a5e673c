// Stores of other protocols under the same point workloads.

import * as http from "node:http";
import type { ForeignStore, KeyValueSink } from "./workload.ts";
import { openZooKeeper } from "./zookeeper-store.ts";

export type ForeignKind = "zookeeper" | "zookeeper-npm" | "consul";

export async function openForeignStore(
  kind: ForeignKind,
  endpoints: readonly string[],
  connectionCount: number,
): Promise<ForeignStore> {
  const bare = endpoints.map((endpoint) => endpoint.replace(/^http:\/\//, ""));
  switch (kind) {
    case "zookeeper":
      return openZooKeeper(bare, connectionCount);
    case "zookeeper-npm":
      return openZooKeeperOfNpm(bare, connectionCount);
    case "consul":
      return new ConsulStore(bare, connectionCount);
  }
}

/** The few calls of node-zookeeper-client that are used; it has no types of its own. */
interface NpmClient {
  once(event: string, listener: () => void): void;
  connect(): void;
  close(): void;
  create(path: string, data: Buffer, callback: (error: Error | null) => void): void;
  setData(path: string, data: Buffer, version: number, callback: (error: Error | null) => void): void;
  getData(path: string, callback: (error: Error | null) => void): void;
}

async function openZooKeeperOfNpm(
  endpoints: readonly string[],
  connectionCount: number,
): Promise<ForeignStore> {
  const name = "node-zookeeper-client"; // a development dependency, so resolved only here
  const module = (await import(name).catch(() => {
    throw new Error(
      "The npm package node-zookeeper-client is not installed here; --store zookeeper needs none",
    );
  })) as { default: { createClient(servers: string): NpmClient } };
  const clients: NpmClient[] = [];
  for (let i = 0; i < connectionCount; i++) {
    const client = module.default.createClient(endpoints[i % endpoints.length]!);
    await new Promise<void>((resolve) => {
      client.once("connected", resolve);
      client.connect();
    });
    clients.push(client);
  }
  return new NpmZooKeeperStore(clients);
}

class NpmZooKeeperStore implements ForeignStore {
  readonly version = "zookeeper, by node-zookeeper-client";
  sink: KeyValueSink = { onEnd: () => {} };
  readonly #clients: readonly NpmClient[];
  constructor(clients: readonly NpmClient[]) {
    this.#clients = clients;
  }
  // oxlint-disable-next-line max-params -- as KeyValueStore has it, for the hot path
  put(
    slot: number,
    key: Uint8Array,
    keySize: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    const client = this.#clients[slot % this.#clients.length]!;
    const path = nodeOf(key, keySize);
    const data = Buffer.from(value.subarray(valueStart, valueEnd));
    client.create(path, data, (error) => {
      if (error?.name === "NODE_EXISTS")
        client.setData(path, data, -1, (again) => this.sink.onEnd(slot, again?.message));
      else this.sink.onEnd(slot, error?.message);
    });
  }
  get(slot: number, key: Uint8Array, keySize: number): void {
    this.#clients[slot % this.#clients.length]!.getData(nodeOf(key, keySize), (error) =>
      this.sink.onEnd(slot, error?.message),
    );
  }
  abandon(): void {}
  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
  }
}

function nodeOf(key: Uint8Array, keySize: number): string {
  return `/${Buffer.from(key.buffer, key.byteOffset, keySize).toString("latin1").replaceAll("/", "-")}`;
}

/** Consul's key-value API is HTTP/1.1; node's client is part of what is measured, and its CPU is printed. */
class ConsulStore implements ForeignStore {
  readonly version = "consul";
  sink: KeyValueSink = { onEnd: () => {} };
  readonly #endpoints: readonly string[];
  readonly #agent: http.Agent;
  constructor(endpoints: readonly string[], connectionCount: number) {
    this.#endpoints = endpoints;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: Math.max(connectionCount, 100) });
  }
  // oxlint-disable-next-line max-params -- as KeyValueStore has it, for the hot path
  put(
    slot: number,
    key: Uint8Array,
    keySize: number,
    value: Uint8Array,
    valueStart: number,
    valueEnd: number,
  ): void {
    this.#call(slot, {
      method: "PUT",
      key: keyText(key, keySize),
      body: Buffer.from(value.subarray(valueStart, valueEnd)),
    });
  }
  get(slot: number, key: Uint8Array, keySize: number): void {
    this.#call(slot, { method: "GET", key: `${keyText(key, keySize)}?consistent`, body: undefined });
  }
  abandon(): void {}
  async close(): Promise<void> {
    this.#agent.destroy();
  }
  #call(slot: number, call: { method: string; key: string; body: Buffer | undefined }): void {
    const endpoint = this.#endpoints[slot % this.#endpoints.length]!;
    const request = http.request(
      `http://${endpoint}/v1/kv/${call.key}`,
      { method: call.method, agent: this.#agent },
      (response) => {
        response.resume();
        response.on("end", () =>
          this.sink.onEnd(slot, response.statusCode === 200 ? undefined : `HTTP ${response.statusCode}`),
        );
      },
    );
    request.on("error", (error) => this.sink.onEnd(slot, error.message));
    request.end(call.body);
  }
}

function keyText(key: Uint8Array, keySize: number): string {
  return Buffer.from(key.buffer, key.byteOffset, keySize).toString("latin1");
}
