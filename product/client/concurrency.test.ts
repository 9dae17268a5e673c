import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startCluster, type TestCluster } from "../testing/index.ts";
import { Client } from "./client.ts";
import { Election, Mutex, Session } from "./concurrency.ts";

const OPTIONS = { ttlSeconds: 2 };

let cluster: TestCluster;
let client: Client;

before(async () => {
  cluster = await startCluster();
  client = Client.connect({ endpoints: cluster.endpoints });
});

after(async () => {
  client.close();
  await cluster.stop();
});

/** Two sessions, the second of which waits behind the first. */
async function two(): Promise<[Session, Session]> {
  return [await Session.create(client, OPTIONS), await Session.create(client, OPTIONS)];
}

/** Resolves when so many contenders stand in the queue. */
async function queued(prefix: string, count: number): Promise<void> {
  for await (const _message of client.watch.watch(prefix, { prefix: true, startRevision: 1 })) {
    if ((await client.kv.get(prefix, { prefix: true, countOnly: true })).count === count) return;
  }
}

test("the holder of a lock whose lease is gone is told, and the next one holds it", async () => {
  const [holder, waiter] = await two();
  const first = await new Mutex(holder, "holder").lock();
  const waiting = new Mutex(waiter, "holder").lock();
  await queued("holder/", 2);
  await client.lease.revoke(holder.lease);
  const second = await waiting;
  assert.ok(second.revision > first.revision, "the fencing token grows");
  assert.match(String((await holder.ended)?.message), /lease not found/);
  await waiter.close();
});

test("a lock is not given to a waiter whose lease is gone (trap L3)", async () => {
  const [holder, waiter] = await two();
  const mutex = new Mutex(holder, "waiter");
  await mutex.lock();
  const waiting = new Mutex(waiter, "waiter").lock();
  waiting.catch(() => undefined);
  await queued("waiter/", 2);
  await client.lease.revoke(waiter.lease);
  await mutex.unlock();
  await assert.rejects(waiting, { message: "mutex: session is expired" });
  await holder.close();
});

test("an election is not won by a candidate whose lease is gone (trap L3)", async () => {
  const [leader, candidate] = await two();
  const election = new Election(leader, "election");
  await election.campaign("one");
  const other = new Election(candidate, "election");
  const waiting = other.campaign("two");
  waiting.catch(() => undefined);
  await queued("election/", 2);
  await client.lease.revoke(candidate.lease);
  await election.resign();
  await assert.rejects(waiting, { message: "election: session is expired" });
  assert.equal(other.key, "", "and it does not think that it leads");
  await leader.close();
});

test("a leader whose lease is gone cannot proclaim any more", async () => {
  const session = await Session.create(client, OPTIONS);
  const election = new Election(session, "proclaim");
  await election.campaign("one");
  await client.lease.revoke(session.lease);
  await assert.rejects(election.proclaim("two"), /election: not leader|lease not found/);
  assert.equal(await election.leader(), undefined);
  assert.match(String((await session.ended)?.message), /lease not found/);
});
