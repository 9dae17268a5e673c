/**
 * `kill -9` under load: clients write unique keys and note what was acknowledged; the process is killed at a random
 * instant, now and then once more while it recovers; after the restart everything acknowledged is there, at the revision
 * that was acknowledged, and nothing is there twice.
 *
 *   HOLDFAST_KILLS=200 npx tsx proof/peers/kill.check.ts     for a release; 20 by default
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Prng } from "../../core/base/prng.ts";
import { Client, EtcdError } from "../../product/client/index.ts";
import { claim } from "./conversation.ts";
import { makeMembers, type ServerProcess } from "./server-process.ts";

const WRITER_COUNT = 12;
const ROUND_COUNT = Number(process.env["HOLDFAST_KILLS"] ?? "20");
const SEED = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
const CALL_TIMEOUT_MS = 5_000;
const VALUE = "x".repeat(100);
/** Small, so that kills hit checkpoints and what follows them. */
const FLAGS = ["--snapshot-count=1500", "--log-level=warn"];

interface Totals {
  acknowledged: number;
  unknown: number;
  kills: number;
}

/** Writes until the server is gone; knows what it must find afterwards. */
class Writer {
  readonly #prefix: string;
  readonly #counter: string;
  /** Revision by key, of acknowledged writes. */
  readonly acknowledged = new Map<string, number>();
  readonly unknown = new Set<string>();
  #count = 0;

  constructor(round: number, number: number) {
    this.#prefix = `kill/${round}/${number}/`;
    this.#counter = `counter/${round}/${number}`;
  }

  get counter(): string {
    return this.#counter;
  }

  /** Puts of the counter: how many were acknowledged, and how many were sent. */
  counterAcknowledged = 0;
  counterSent = 0;

  async write(client: Client): Promise<void> {
    for (;;) {
      const key = `${this.#prefix}${this.#count++}`;
      this.unknown.add(key);
      try {
        const options = { timeoutMs: CALL_TIMEOUT_MS };
        const { header } = await client.kv.put(key, VALUE + key, options);
        this.acknowledged.set(key, header.revision);
        this.unknown.delete(key);
        this.counterSent++;
        await client.kv.put(this.#counter, String(this.counterSent), options);
        this.counterAcknowledged++;
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        return;
      }
    }
  }
}

const text = new TextDecoder();

async function verifyRound(client: Client, round: number, writers: readonly Writer[]): Promise<void> {
  const found = new Map<string, { revision: number; version: number; value: string }>();
  for (const prefix of [`kill/${round}/`, `counter/${round}/`]) {
    const { kvs } = await client.kv.get(prefix, { prefix: true, timeoutMs: 20_000 });
    for (const kv of kvs) {
      found.set(text.decode(kv.key), {
        revision: kv.modRevision,
        version: kv.version,
        value: text.decode(kv.value),
      });
    }
  }
  for (const writer of writers) {
    for (const [key, revision] of writer.acknowledged) {
      const kv = found.get(key);
      assert.ok(kv !== undefined, `LOST: ${key}, acknowledged at revision ${revision} (round ${round})`);
      assert.equal(kv.revision, revision, `${key} is at another revision than was acknowledged`);
      assert.equal(kv.version, 1, `${key} was written ${kv.version} times`);
      assert.equal(kv.value, VALUE + key, `${key} has another value`);
      found.delete(key);
    }
    for (const key of writer.unknown) {
      const version = found.get(key)?.version ?? 1;
      assert.equal(version, 1, `${key}, not acknowledged, was written ${version} times`);
      found.delete(key);
    }
    const counter = found.get(writer.counter);
    found.delete(writer.counter);
    const { counterAcknowledged, counterSent } = writer;
    const version = counter?.version ?? 0;
    assert.ok(
      version >= counterAcknowledged,
      `LOST: ${writer.counter} is ${version}, ${counterAcknowledged} were acknowledged`,
    );
    assert.ok(
      version <= counterSent,
      `${writer.counter} was written ${version} times, ${counterSent} were sent`,
    );
    assert.equal(
      counter?.value ?? "0",
      String(version),
      `${writer.counter} holds another write than its last`,
    );
  }
  assert.deepEqual([...found.keys()], [], "keys that nobody wrote");
}

async function round(server: ServerProcess, number: number, prng: Prng): Promise<Writer[]> {
  const client = Client.connect({ endpoints: [server.endpoint] });
  const writers = Array.from({ length: WRITER_COUNT }, (_, i) => new Writer(number, i));
  const writing = writers.map((writer) => writer.write(client));
  await delay(prng.between(30, 700));
  await server.stop("SIGKILL");
  client.close();
  await Promise.all(writing);
  return writers;
}

/** Started again; one time in four it is killed while it recovers, and started once more. */
async function restart(server: ServerProcess, prng: Prng, totals: Totals): Promise<void> {
  server.start();
  while (prng.chance(0.25)) {
    await delay(prng.between(20, 400));
    await server.stop("SIGKILL");
    totals.kills++;
    server.start();
  }
  await server.ready();
}

async function main(): Promise<void> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-kill-"));
  const prng = new Prng(SEED);
  const [server] = await makeMembers(1, { folder, flags: FLAGS });
  const totals: Totals = { acknowledged: 0, unknown: 0, kills: 0 };
  const rounds: Writer[][] = [];
  const verify = async (numbers: readonly number[]): Promise<void> => {
    const client = Client.connect({ endpoints: [server!.endpoint] });
    try {
      for (const number of numbers) await verifyRound(client, number, rounds[number]!);
    } finally {
      client.close();
    }
  };
  let isKept = true;
  server!.start();
  await server!.ready();
  const startedMs = performance.now();
  for (let number = 0; number < ROUND_COUNT && isKept; number++) {
    await claim(
      `kill -9 under load, round ${number + 1} of ${ROUND_COUNT}: nothing acknowledged is lost, nothing is there twice`,
      async () => {
        try {
          const writers = await round(server!, number, prng);
          rounds.push(writers);
          totals.kills++;
          for (const { acknowledged, unknown } of writers) {
            totals.acknowledged += acknowledged.size;
            totals.unknown += unknown.size;
          }
          await restart(server!, prng, totals);
          await verify([number]);
        } catch (error) {
          isKept = false;
          throw error;
        }
      },
    );
  }
  if (isKept) {
    await claim(`kill -9: after all ${totals.kills} kills the writes of every round are still there`, () =>
      verify([...rounds.keys()]),
    );
  }
  const seconds = Math.round((performance.now() - startedMs) / 1000);
  console.log(
    `note - ${totals.kills} kills in ${seconds} s, ${totals.acknowledged} acknowledged writes and ${totals.unknown} of unknown outcome, seed ${SEED}`,
  );
  if (process.exitCode === 1)
    console.log(`data in ${folder}; the server's last words:\n${server!.log.slice(-2000)}`);
  await server!.stop("SIGKILL");
  if (process.exitCode !== 1) fs.rmSync(folder, { recursive: true, force: true });
}

await main();
