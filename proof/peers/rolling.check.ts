/**
 * A rolling restart under load: three members are stopped (SIGTERM) and started again one after another, while clients
 * write with retries that are safe: create a key if it is not there, and look what is there when the outcome is
 * unknown. No request may fail or take effect twice.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client, compare, EtcdError, getOperation, putOperation } from "../../product/client/index.ts";
import { claim } from "./conversation.ts";
import { makeMembers, type ServerProcess } from "./server-process.ts";

const CLIENT_COUNT = 8;
const ROUNDS = 2;
/** Longer than an election; a request that needs longer is lost. */
const REQUEST_TIMEOUT_MS = 10_000;
const ATTEMPT_TIMEOUT_MS = 3_000;
const PAUSE_MS = 5;

class Worker {
  readonly #client: Client;
  readonly #prefix: string;
  /** Key to revision, of requests that were answered. */
  readonly done = new Map<string, number>();
  readonly lost: string[] = [];
  retryCount = 0;
  slowestMs = 0;
  #stopped = false;
  readonly #loop: Promise<void>;

  constructor(endpoints: readonly string[], number: number) {
    this.#client = Client.connect({ endpoints });
    this.#prefix = `rolling/${number}/`;
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#loop;
    this.#client.close();
  }

  async #run(): Promise<void> {
    for (let i = 0; !this.#stopped; i++) {
      await this.#create(this.#prefix + i);
      await delay(PAUSE_MS);
    }
  }

  async #create(key: string): Promise<void> {
    const startedMs = performance.now();
    const endMs = startedMs + REQUEST_TIMEOUT_MS;
    for (;;) {
      try {
        const revision = await this.#attempt(key);
        this.slowestMs = Math.max(this.slowestMs, performance.now() - startedMs);
        this.done.set(key, revision);
        return;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        if (performance.now() > endMs) {
          this.lost.push(`${key}: ${error.message}`);
          return;
        }
        this.retryCount++;
        await delay(20);
      }
    }
  }

  /** Creates the key, or finds that an attempt before has. */
  async #attempt(key: string): Promise<number> {
    const { succeeded, header, responses } = await this.#client.kv.txn(
      {
        compare: [compare(key, "version", "=", 0)],
        success: [putOperation(key, key)],
        failure: [getOperation(key)],
      },
      { timeoutMs: ATTEMPT_TIMEOUT_MS },
    );
    if (succeeded) return header.revision;
    const [answer] = responses;
    assert.ok(answer?.kind === "get", "the failure branch reads");
    const [kv] = answer.kvs;
    assert.equal(Buffer.from(kv!.value).toString(), key);
    return kv!.modRevision;
  }
}

async function restartEach(members: readonly ServerProcess[]): Promise<void> {
  for (const member of members) {
    const { exitCode, signal } = await member.stop("SIGTERM");
    assert.ok(
      signal === "SIGTERM" || exitCode === 0,
      `${member.options.name} ended with ${exitCode ?? signal}: ${member.log}`,
    );
    member.start();
    await member.ready();
    await delay(500);
  }
}

async function verify(endpoint: string, workers: readonly Worker[]): Promise<void> {
  const client = Client.connect({ endpoints: [endpoint] });
  const { kvs } = await client.kv.get("rolling/", { prefix: true, timeoutMs: 20_000 });
  client.close();
  const found = new Map(kvs.map((kv) => [Buffer.from(kv.key).toString(), kv]));
  let count = 0;
  for (const { done } of workers) {
    for (const [key, revision] of done) {
      const kv = found.get(key);
      assert.ok(kv !== undefined, `LOST: ${key}, acknowledged at revision ${revision}`);
      assert.equal(kv.modRevision, revision, key);
      assert.equal(kv.version, 1, `${key} was written ${kv.version} times`);
      count++;
    }
  }
  assert.equal(kvs.length, count, "keys that nobody wrote");
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-rolling-"));
const members = await makeMembers(3, { folder, flags: ["--log-level=info"] });
try {
  for (const member of members) member.start();
  await Promise.all(members.map((member) => member.ready()));
  const endpoints = members.map((member) => member.endpoint);
  const workers = Array.from(
    { length: CLIENT_COUNT },
    (_, i) => new Worker([...endpoints.slice(i % 3), ...endpoints.slice(0, i % 3)], i),
  );
  await delay(500);
  await claim("rolling restart: every member stops cleanly and comes back", async () => {
    for (let i = 0; i < ROUNDS; i++) await restartEach(members);
  });
  await Promise.all(workers.map((worker) => worker.stop()));
  await claim("rolling restart: no request of a client that retries safely is lost", async () => {
    assert.deepEqual(
      workers.flatMap((worker) => worker.lost),
      [],
    );
  });
  await claim("rolling restart: every acknowledged write is there once, on every member", async () => {
    for (const endpoint of endpoints) await verify(endpoint, workers);
  });
  const sum = (of: (worker: Worker) => number): number =>
    workers.reduce((total, worker) => total + of(worker), 0);
  const slowestMs = Math.max(...workers.map((worker) => worker.slowestMs));
  console.log(
    `note - ${sum((it) => it.done.size)} writes over ${3 * ROUNDS} restarts, ${sum((it) => it.retryCount)} attempts repeated, the slowest took ${Math.round(slowestMs)} ms`,
  );
  if (process.exitCode === 1)
    for (const member of members) console.log(`${member.options.name} said:\n${member.log.slice(-2000)}`);
} finally {
  await Promise.all(members.map((member) => member.stop("SIGKILL")));
  fs.rmSync(folder, { recursive: true, force: true });
}
