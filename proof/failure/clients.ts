// The load: clients that write unique values, compare and set, read and delete on a few keys, each with one of the
// programs of drivers.ts and at one member; a prober that does not wait for answers; watchers on every member from the
// first revision on. All go on whatever happens.

import { Prng } from "../../core/base/prng.ts";
import { Client } from "../../product/client/index.ts";
import { type KvDriver, KvError, type KvRequest } from "./drivers.ts";
import type { History, Operation, WatchedEvent } from "./history.ts";

const PREFIX = "failure/";
const KEY_COUNT = 12;
/** What a time without service is measured with. */
const PROBE_INTERVAL_MS = 50;

const text = new TextDecoder();

/** Refusals that say for certain that nothing was written. */
const DEFINITE = new Set([
  "etcdserver: leader changed",
  "etcdserver: no leader",
  "etcdserver: too many requests",
  // etcd may have done the write that filled its quota; nobody writes that much here.
  "etcdserver: mvcc: database space exceeded",
  "etcdserver: requested lease not found",
]);

export class LoadClient {
  readonly driver: KvDriver;
  readonly name: string;
  readonly #history: History;
  readonly #prng: Prng;
  readonly problems: string[] = [];
  #writes = 0;
  #stopped = false;
  #loop: Promise<void> | undefined;

  constructor(driver: KvDriver, number: number, history: History) {
    this.driver = driver;
    this.name = `${number} (${driver.program})`;
    this.#history = history;
    this.#prng = new Prng(number * 7919 + 1);
  }

  start(): void {
    this.#loop = this.#run().catch((error: unknown) => {
      this.problems.push(`client ${this.name} failed: ${String((error as Error).stack ?? error)}`);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.driver.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#step();
      await new Promise((resolve) => setTimeout(resolve, this.driver.pauseMs));
    }
  }

  async #step(): Promise<void> {
    const prng = this.#prng;
    const key = `${PREFIX}k${prng.below(KEY_COUNT)}`;
    const pick = prng.below(10);
    if (pick < 5) await this.#attempt({ kind: "put", key, value: this.#newValue() });
    else if (pick < 7) await this.#attempt({ kind: "get", key });
    else if (pick < 9) await this.#compareAndSet(key);
    else await this.#attempt({ kind: "delete", key });
  }

  #newValue(): string {
    return `c${this.name.split(" ")[0]}-${++this.#writes}`;
  }

  async #compareAndSet(key: string): Promise<void> {
    const read = await this.#attempt({ kind: "get", key });
    if (read.outcome !== "ok") return;
    const modRevision = read.seenModRevision;
    const operation = await this.#attempt({ kind: "cas", key, value: this.#newValue(), modRevision });
    operation.seenModRevision = modRevision;
  }

  #attempt(request: KvRequest): Promise<Operation> {
    return attempt(this.driver, request, { history: this.#history, client: this.name });
  }
}

/** Clients that wait are all silent while a lost leader has their requests. This one asks on, at each member in turn. */
export class Prober {
  readonly #drivers: readonly KvDriver[];
  readonly #history: History;
  readonly problems: string[] = [];
  readonly #flying = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;
  #count = 0;

  constructor(drivers: readonly KvDriver[], history: History) {
    this.#drivers = drivers;
    this.#history = history;
  }

  start(): void {
    this.#timer = setInterval(() => this.#probe(), PROBE_INTERVAL_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all(this.#flying);
    for (const driver of this.#drivers) driver.close();
  }

  #probe(): void {
    const number = ++this.#count;
    const driver = this.#drivers[number % this.#drivers.length]!;
    const request: KvRequest = { kind: "put", key: `${PREFIX}probe`, value: `probe-${number}` };
    const client = `prober (${driver.program})`;
    const probe: Promise<unknown> = attempt(driver, request, { history: this.#history, client })
      .catch((error: unknown) => this.problems.push(`the prober failed: ${String(error)}`))
      .finally(() => this.#flying.delete(probe));
    this.#flying.add(probe);
  }
}

interface Recorded {
  readonly history: History;
  readonly client: string;
}

async function attempt(
  driver: KvDriver,
  request: KvRequest,
  { history, client }: Recorded,
): Promise<Operation> {
  const value = request.kind === "put" || request.kind === "cas" ? request.value : "";
  const operation = history.call(request.kind, client, request.key, value);
  try {
    const answer = await driver.send(request);
    operation.applied = answer.applied;
    operation.seenValue = answer.value;
    operation.seenModRevision = answer.modRevision;
    history.returned(operation, answer.revision);
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    operation.returnedMs = performance.now();
    operation.error = error.message;
    operation.outcome = request.kind === "get" || DEFINITE.has(error.message) ? "failed" : "unknown";
  }
  return operation;
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

  close(): void {
    this.#client.close();
  }
}
