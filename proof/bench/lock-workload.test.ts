import assert from "node:assert/strict";
import { after, before, mock, test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import {
  LeaseGrantResponse,
  LeaseKeepAliveRequest,
  LeaseKeepAliveResponse,
  LeaseRevokeRequest,
  LeaseRevokeResponse,
  TxnRequest,
} from "../../core/wire/messages.ts";
import { decode, encode, type Input, type MessageOf, type Schema } from "../../core/wire/schema.ts";
import type { Method } from "../../core/wire/service.ts";
import { Client } from "../../product/client/index.ts";
import { startCluster, type TestCluster } from "../../product/testing/index.ts";
import { Control } from "./control.ts";
import { KeyChooser, KeySpace } from "./keys.ts";
import { LeaseWorkload } from "./lease-workload.ts";
import { LockWorkload } from "./lock-workload.ts";
import { parseRun } from "./options.ts";
import { NO_SINK, type Rpc, type RpcStream, type StreamSink } from "./rpc.ts";
import { runOnce } from "./run.ts";
import { parseSizes, SizeTable, ValuePool } from "./sizes.ts";
import type { Material } from "./workload.ts";

let cluster: TestCluster;

before(async () => {
  cluster = await startCluster();
});

after(async () => {
  await cluster.stop();
});

const hooks = { signal: new AbortController().signal, onSecond: () => {}, onPhase: () => {} };

test("bench lock: runs on a store without a lock service, and leaves no key and no lease", async () => {
  const flags = ["--endpoints", cluster.endpoints[0]!, "--locks", "2", "--clients", "6", "--total", "60"];
  const result = await runOnce(parseRun("lock", flags, {}), hooks);
  assert.deepEqual([result.operations, result.errors], [60, 0], JSON.stringify(result.errorTexts));
  assert.ok(result.extras["waits"]! > 0, "three clients to a lock had to wait for one another");
  const client = Client.connect({ endpoints: cluster.endpoints });
  assert.equal((await client.kv.get("holdfast-bench-lock-", { prefix: true })).count, 0);
  assert.equal((await client.lease.list()).ids.length, 0);
  client.close();
});

test("bench lock: waits for a lock that somebody else holds, by etcd's keys", async () => {
  const client = Client.connect({ endpoints: cluster.endpoints });
  await client.kv.put("holdfast-bench-lock-0/aa", "");
  const flags = ["--endpoints", cluster.endpoints[0]!, "--total", "1"];
  const running = runOnce(parseRun("lock", flags, {}), hooks);
  // Released only when the bench stands behind it.
  while ((await client.kv.get("holdfast-bench-lock-0/", { prefix: true })).count < 2);
  await client.kv.delete("holdfast-bench-lock-0/aa");
  const result = await running;
  assert.deepEqual([result.operations, result.extras["waits"]], [1, 1]);
  client.close();
});

test("bench lock: what is given up on leaves the queue at once", async () => {
  const client = Client.connect({ endpoints: cluster.endpoints });
  await client.kv.put("holdfast-bench-lock-0/aa", "");
  const flags = ["--total", "1", "--timeout", "300ms", "--endpoints", cluster.endpoints[0]!];
  const result = await runOnce(parseRun("lock", flags, {}), hooks);
  assert.deepEqual(result.errorTexts, { "no answer in time": 1 });
  const { kvs } = await client.kv.get("holdfast-bench-lock-0/", { prefix: true });
  assert.deepEqual(
    kvs.map((one) => Buffer.from(one.key).toString()),
    ["holdfast-bench-lock-0/aa"],
  );
  await client.kv.delete("holdfast-bench-lock-0/aa");
  client.close();
});

/** Notes what is sent; grants and revokes leases, and answers nothing else. */
class FakeRpc implements Rpc {
  readonly connectionCount = 1;
  readonly endpoints = ["fake"];
  sink = NO_SINK;
  granted = 0;
  readonly calls: string[] = [];
  readonly revoked: bigint[] = [];
  readonly keptAlive: bigint[] = [];
  lastTxn: MessageOf<typeof TxnRequest> | undefined;
  ttlAnswered = 60;

  unary(slot: number, method: Method, message: ByteWriter): void {
    this.calls.push(method.name);
    if (method.name === "LeaseGrant") {
      this.granted++;
      this.#reply(slot, LeaseGrantResponse, { ID: BigInt(this.granted), TTL: 60 });
    } else if (method.name === "LeaseRevoke") {
      this.revoked.push(decode(LeaseRevokeRequest, message.bytes, 0, message.position).ID);
      this.#reply(slot, LeaseRevokeResponse, {});
    } else if (method.name === "Txn") {
      this.lastTxn = decode(TxnRequest, message.bytes, 0, message.position);
    }
  }

  abandon(): void {}

  stream(_connection: number, _method: Method, sink: StreamSink): RpcStream {
    return {
      send: (message) => {
        this.keptAlive.push(decode(LeaseKeepAliveRequest, message.bytes, 0, message.position).ID);
        const answer = new ByteWriter();
        encode(LeaseKeepAliveResponse, { ID: 1n, TTL: this.ttlAnswered }, answer);
        sink.onMessage(answer.bytes, 0, answer.position);
      },
      cancel: () => {},
    };
  }

  async close(): Promise<void> {}

  #reply<T>(slot: number, schema: Schema<T>, message: Input<T>): void {
    const answer = new ByteWriter();
    encode(schema, message, answer);
    queueMicrotask(() => this.sink.onReply(slot, answer.bytes, 0, answer.position));
  }
}

function fakes(slots: number) {
  const prng = new Prng(1);
  const sizes = new SizeTable(parseSizes("16"), prng);
  const failures: (string | undefined)[] = [];
  const material: Material = {
    keys: new KeySpace({ count: 10, prefix: "", sizes }),
    chooser: new KeyChooser("sequential", 10, prng),
    values: new ValuePool(16, prng),
    valueSizes: sizes,
    wrote: () => undefined,
    prng,
    done: (_slot, failure) => failures.push(failure),
  };
  const rpc = new FakeRpc();
  const controlled = new FakeRpc();
  const control = new Control(controlled, 64);
  return { rpc, controlled, control, material, failures, counts: { locks: 1, slots } };
}

/** Answers of fakes are microtasks. */
async function settled(): Promise<void> {
  for (let i = 0; i < 100; i++) await Promise.resolve();
}

test("bench lock: leases are renewed for as long as the run takes", async () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const { rpc, control, material, counts } = fakes(3);
    const workload = new LockWorkload(rpc, control, material, counts);
    await workload.prepare();
    mock.timers.tick(61_000);
    // Three rounds of 20 s within the minute that a lease lives.
    assert.deepEqual(rpc.keptAlive, [1n, 2n, 3n, 1n, 2n, 3n, 1n, 2n, 3n]);
    await workload.finish();
    mock.timers.tick(61_000);
    assert.equal(rpc.keptAlive.length, 9);
  } finally {
    mock.timers.reset();
  }
});

test("bench lock: an open loop of 20,000 slots is granted leases as slots are used", async () => {
  const { rpc, controlled, control, material, counts } = fakes(20_000);
  const workload = new LockWorkload(rpc, control, material, counts);
  await workload.prepare();
  assert.equal(controlled.granted, 100);
  for (let slot = 0; slot < 101; slot++) workload.start(slot);
  await settled();
  assert.equal(rpc.granted, 1, "the 101st slot had to ask for one");
  assert.equal(rpc.calls.filter((name) => name === "Txn").length, 101);
  await workload.finish();
});

test("bench lock: an operation given up on revokes its lease, and the slot's next one has another", async () => {
  const { rpc, controlled, control, material, counts } = fakes(2);
  const workload = new LockWorkload(rpc, control, material, counts);
  await workload.prepare();
  workload.start(0);
  const key = Buffer.from(rpc.lastTxn!.compare[0]!.key).toString();
  workload.abandon(0);
  await settled();
  assert.equal(controlled.revoked.length, 1);
  assert.equal(key, `holdfast-bench-lock-0/${controlled.revoked[0]!.toString(16)}`);
  workload.start(0);
  assert.notEqual(Buffer.from(rpc.lastTxn!.compare[0]!.key).toString(), key);
  await workload.finish();
});

test("bench lease-keepalive: the answer for a lease that has expired is a failure", async () => {
  const { rpc, control, material, failures } = fakes(1);
  const workload = new LeaseWorkload(rpc, control, material, 1);
  await workload.prepare();
  workload.start(0);
  rpc.ttlAnswered = 0;
  workload.start(0);
  assert.deepEqual(failures, [undefined, "the lease has expired"]);
  await workload.finish();
});
