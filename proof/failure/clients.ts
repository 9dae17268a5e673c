// The load: clients that write unique values, compare and set, read and delete on a few keys; watchers on every member
// from the first revision on; holders of leases. Each client talks to one member, and goes on whatever happens.

import { Client, compare, EtcdError, getOperation, putOperation } from "../../product/client/index.ts";
import { Prng } from "../../core/base/prng.ts";
import type { History, Operation, WatchedEvent } from "./history.ts";

const PREFIX = "failure/";
const KEY_COUNT = 12;
const CALL_TIMEOUT_MS = 3_000;
const PAUSE_MS = 12;
const LEASE_TTL_SECONDS = 3;

const text = new TextDecoder();

/** Refusals that say for certain that nothing was written. */
const DEFINITE = new Set([
  "etcdserver: leader changed",
  "etcdserver: no leader",
  "etcdserver: too many requests",
  "etcdserver: requested lease not found",
]);

export class LoadClient {
  readonly #client: Client;
  readonly #history: History;
  readonly #number: number;
  readonly #prng: Prng;
  #writes = 0;
  #stopped = false;
  #loop: Promise<void> | undefined;

  constructor(endpoint: string, number: number, history: History) {
    this.#client = Client.connect({ endpoints: [endpoint] });
    this.#number = number;
    this.#history = history;
    this.#prng = new Prng(number * 7919 + 1);
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#client.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#step();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async #step(): Promise<void> {
    const prng = this.#prng;
    const key = `${PREFIX}k${prng.below(KEY_COUNT)}`;
    const pick = prng.below(10);
    const value = `c${this.#number}-${++this.#writes}`;
    if (pick < 5) await this.#put(this.#history.call("put", this.#number, key, value));
    else if (pick < 7) await this.#get(this.#history.call("get", this.#number, key, ""));
    else if (pick < 9) await this.#compareAndSet(key, value);
    else await this.#delete(this.#history.call("delete", this.#number, key, ""));
  }

  async #put(operation: Operation): Promise<void> {
    await this.#attempt(operation, async () => {
      const response = await this.#client.kv.put(operation.key, operation.value, {
        timeoutMs: CALL_TIMEOUT_MS,
      });
      operation.applied = true;
      return response.header.revision;
    });
  }

  async #get(operation: Operation): Promise<void> {
    await this.#attempt(operation, async () => {
      const response = await this.#client.kv.get(operation.key, { timeoutMs: CALL_TIMEOUT_MS });
      operation.seenValue = response.kvs[0] && text.decode(response.kvs[0].value);
      operation.seenModRevision = response.kvs[0]?.modRevision ?? 0;
      return response.header.revision;
    });
  }

  async #delete(operation: Operation): Promise<void> {
    await this.#attempt(operation, async () => {
      const response = await this.#client.kv.delete(operation.key, { timeoutMs: CALL_TIMEOUT_MS });
      operation.applied = response.deleted > 0;
      return response.header.revision;
    });
  }

  async #compareAndSet(key: string, value: string): Promise<void> {
    const read = this.#history.call("get", this.#number, key, "");
    await this.#get(read);
    if (read.outcome !== "ok") return;
    const operation = this.#history.call("cas", this.#number, key, value);
    await this.#attempt(operation, async () => {
      const response = await this.#client.kv.txn(
        {
          compare: [compare(key, "mod", "=", read.seenModRevision)],
          success: [putOperation(key, value)],
          failure: [getOperation(key)],
        },
        { timeoutMs: CALL_TIMEOUT_MS },
      );
      operation.applied = response.succeeded;
      operation.seenModRevision = read.seenModRevision;
      return response.header.revision;
    });
  }

  async #attempt(operation: Operation, act: () => Promise<number>): Promise<void> {
    try {
      this.#history.returned(operation, await act());
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      operation.returnedMs = performance.now();
      operation.error = error.message;
      operation.outcome = operation.kind === "get" || DEFINITE.has(error.message) ? "failed" : "unknown";
    }
  }
}

/** Everything one member tells a watcher, over all its restarts. */
export class Watcher {
  readonly member: string;
  readonly events: WatchedEvent[] = [];
  readonly #client: Client;
  readonly problems: string[] = [];

  constructor(member: string, endpoint: string) {
    this.member = member;
    this.#client = Client.connect({ endpoints: [endpoint] });
    this.#client.watch.subscribe(
      PREFIX,
      { prefix: true, startRevision: 2 },
      {
        onResponse: (response) => {
          for (const event of response.events) {
            const { kv, type } = event;
            this.events.push({
              revision: kv.modRevision,
              type,
              key: text.decode(kv.key),
              value: text.decode(kv.value),
            });
          }
        },
        onEnd: (error) => {
          if (error !== undefined) this.problems.push(`the watch at ${member} ended: ${error.message}`);
        },
      },
    );
  }

  get lastRevision(): number {
    return this.events.at(-1)?.revision ?? 1;
  }

  close(): void {
    this.#client.close();
  }
}

/** Holds a lease with a key and says when the key is gone although the lease was renewed in time. */
export class LeaseHolder {
  readonly #client: Client;
  readonly #number: number;
  readonly problems: string[] = [];
  /** Checks that found the key where it had to be. */
  checkedCount = 0;
  #stopped = false;
  #loop: Promise<void> | undefined;

  constructor(endpoints: readonly string[], number: number) {
    this.#client = Client.connect({ endpoints });
    this.#number = number;
  }

  start(): void {
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#client.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#hold();
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  async #hold(): Promise<void> {
    const options = { timeoutMs: CALL_TIMEOUT_MS };
    const grantedMs = performance.now();
    const lease = await this.#client.lease.grant(LEASE_TTL_SECONDS, options);
    const key = `failure-lease/${this.#number}`;
    let sentMs = grantedMs;
    await this.#client.kv.put(key, "held", { ...options, lease: lease.id });
    while (!this.#stopped) {
      await new Promise((resolve) => setTimeout(resolve, 400));
      const renewedMs = performance.now();
      const renewal = await this.#client.lease.keepAliveOnce(lease.id, options);
      if (renewal.ttlSeconds <= 0) return;
      sentMs = renewedMs;
      const found = await this.#client.kv.get(key, options);
      const nowMs = performance.now();
      // Until the TTL after the last acknowledged renewal was sent, the key is there.
      if (nowMs >= sentMs + LEASE_TTL_SECONDS * 1000) continue;
      if (found.count === 0) {
        this.problems.push(
          `lease ${lease.id.toString(16)}: its key was gone ${Math.round(nowMs - sentMs)} ms after a renewal for ${LEASE_TTL_SECONDS} s`,
        );
        return;
      }
      this.checkedCount++;
    }
  }
}
