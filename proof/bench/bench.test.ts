// The whole command against a server in this process that speaks etcd's API over our transport, without a store: what
// is checked is the bench, not the store.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, before, test } from "node:test";
import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import type { ServerCall, ServerHandler } from "../../core/grpc/server-call.ts";
import {
  PutRequest,
  RangeResponse,
  StatusResponse,
  TxnResponse,
  WatchResponse,
} from "../../core/wire/messages.ts";
import { decode, encode, type Input, type Schema } from "../../core/wire/schema.ts";
import { systemClock } from "../../io/clock.ts";
import { type NetServer, serve } from "../../io/net/server.ts";
import { climb } from "./ladder.ts";
import { run } from "./main.ts";
import { parseRun } from "./options.ts";
import type { RunResult } from "./result.ts";
import { leaderOf, runOnce } from "./run.ts";

const HEADER = { revision: 7, cluster_id: 1n, member_id: 2n, raft_term: 3 };

/** Answers what the bench asks for; puts can be slow or fail, and watchers hear of every put. */
class FakeStore implements ServerHandler {
  failEvery = 0;
  delayMs = 0;
  puts = 0;
  /** Of the status; 2 is this one. */
  leader = 2n;
  cancelsWatches = false;
  readonly keys = new Set<string>();
  readonly #watchers: { call: ServerCall; id: number }[] = [];
  #nextWatch = 0;

  onUnary(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    switch (call.method.name) {
      case "Put":
        return this.#put(call, bytes, start, end);
      case "Range":
        return answer(call, RangeResponse, {
          header: HEADER,
          kvs: [{ key: new Uint8Array(3), value: new Uint8Array(3), mod_revision: 5 }],
          count: 1,
        });
      case "Txn":
        return answer(call, TxnResponse, { header: HEADER, succeeded: true });
      case "Status":
        return answer(call, StatusResponse, { header: HEADER, version: "3.6.0", leader: this.leader });
      default:
        return call.failWith(12, "not in this test");
    }
  }

  #put(call: ServerCall, bytes: Uint8Array, start: number, end: number): void {
    const { key, value } = decode(PutRequest, bytes, start, end);
    this.keys.add(Buffer.from(key).toString("latin1"));
    this.puts++;
    if (this.failEvery > 0 && this.puts % this.failEvery === 0)
      return call.failWith(8, "etcdserver: too many requests");
    const reply = (): void => answer(call, StatusResponse, { header: HEADER });
    if (this.delayMs > 0) setTimeout(reply, this.delayMs);
    else reply();
    for (const watcher of this.#watchers)
      send(watcher.call, WatchResponse, {
        header: HEADER,
        watch_id: BigInt(watcher.id),
        events: [{ kv: { key, value } }],
      });
  }

  onStreamOpen(): void {}

  onStreamMessage(call: ServerCall): void {
    const id = this.#nextWatch++;
    this.#watchers.push({ call, id });
    send(call, WatchResponse, { header: HEADER, watch_id: BigInt(id), created: true });
    if (this.cancelsWatches)
      send(call, WatchResponse, { header: HEADER, watch_id: BigInt(id), canceled: true });
  }

  onStreamHalfClose(call: ServerCall): void {
    this.onCancel(call);
  }

  onCancel(call: ServerCall): void {
    for (let i = this.#watchers.length - 1; i >= 0; i--)
      if (this.#watchers[i]!.call === call) this.#watchers.splice(i, 1);
    call.finish();
  }

  onWritable(): void {}
}

function send<T>(call: ServerCall, schema: Schema<T>, message: Input<T>): void {
  encode(schema, message, call.beginMessage());
  call.endMessage();
}

function answer<T>(call: ServerCall, schema: Schema<T>, message: Input<T>): void {
  send(call, schema, message);
  call.finish();
}

let store: FakeStore;
let server: NetServer;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-bench-"));

before(async () => {
  store = new FakeStore();
  server = await serve({
    urls: ["http://127.0.0.1:0"],
    handler: store,
    limits: DEFAULT_LIMITS,
    clock: systemClock,
  });
});

after(() => {
  server.close();
  fs.rmSync(folder, { recursive: true });
});

async function bench(
  ...argv: string[]
): Promise<{ status: number; out: string; err: string; result: RunResult }> {
  let out = "";
  let err = "";
  const io = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    stdin: undefined,
    env: {},
  };
  const status = await run(
    argv.includes("--endpoints") || argv[0] === "diff"
      ? argv
      : [...argv, "--endpoints", server.addresses[0]!],
    io,
  );
  const result = (out.startsWith("{") ? JSON.parse(out) : {}) as RunResult;
  return { status, out, err, result };
}

test("bench put: counts operations and distinct keys, alone on stdout as one object", async () => {
  store.keys.clear();
  const { status, out, err, result } = await bench("put", "--keys", "500", "--clients", "4", "-w", "json");
  assert.equal(status, 0, err);
  assert.equal(out.trim().split("\n").length, 1);
  assert.deepEqual([result.operations, result.errors, result.distinctKeys], [500, 0, 500]);
  assert.equal(store.keys.size, 500);
  for (const figure of ["rate", "p50Us", "p90Us", "p99Us", "p999Us", "maxUs"] as const)
    assert.ok(result[figure] > 0, figure);
  assert.ok(result.p50Us <= result.p99Us && result.p99Us <= result.maxUs);
  assert.equal(result.serverVersion, "3.6.0");
  assert.match(err, /running/);
});

test("bench put: a key space smaller than the operations shows as few distinct keys", async () => {
  const { result } = await bench("put", "--keys", "10", "--total", "200", "-w", "json");
  assert.deepEqual([result.operations, result.distinctKeys], [200, 10]);
});

test("bench: what is counted beside operations leaves the warm-up out as well", async () => {
  const flags = ["--duration", "300ms", "--warmup", "600ms", "--clients", "4", "-w", "json"];
  const put = (await bench("put", "--keys", "1000000", ...flags)).result;
  assert.ok(put.operations > 0);
  assert.equal(put.distinctKeys, put.operations, "each is written once");
  const range = ["range", "--mode", "prefix", "--keys", "40", "--no-preload"];
  const { operations, errors, extras } = (await bench(...range, ...flags)).result;
  assert.equal(errors, 0);
  assert.ok(operations > 0);
  // The fake store answers with one key; of the warm-up is what is under way when the first operation begins that is not.
  const keysRead = extras["keysRead"]!;
  assert.ok(keysRead >= operations && keysRead <= operations + 3, `${keysRead} of ${operations}`);
});

test("bench: ended within its warm-up it has nothing to tell, and says so", async () => {
  const controller = new AbortController();
  const options = parseRun(
    "put",
    ["--duration", "5s", "--warmup", "5s", "--endpoints", server.addresses[0]!],
    {},
  );
  const phases = { signal: controller.signal, onPhase: () => undefined, onSecond: () => controller.abort() };
  const result = await runOnce(options, phases);
  assert.deepEqual([result.aborted, result.operations, result.published], [true, 0, false]);
  assert.match(result.refusal!, /Nothing was measured/);
});

test("bench put: every failure is counted with its words", async () => {
  store.failEvery = 10;
  const { result } = await bench("put", "--total", "100", "--clients", "5", "-w", "json");
  store.failEvery = 0;
  assert.equal(result.operations + result.errors, 100);
  assert.ok(result.errors >= 9 && result.errors <= 11, String(result.errors));
  assert.equal(result.distinctKeys, result.operations, "a put that failed has written no key");
  assert.deepEqual(Object.keys(result.errorTexts), ["etcdserver: too many requests"]);
});

test("bench put: an open loop keeps its rate, and a broken objective is exit status 1", async () => {
  store.delayMs = 20;
  const { status, result } = await bench(
    "put",
    "--rate",
    "200",
    "--duration",
    "1s",
    "--warmup",
    "0s",
    "--slo",
    "p50<5ms",
    "--publish-anyway", // a busy machine may start operations late; that is not what this is about

    "-w",
    "json",
  );
  store.delayMs = 0;
  assert.equal(result.loop, "open");
  assert.ok(result.operations >= 190 && result.operations <= 201, String(result.operations));
  assert.ok(result.p50Us >= 18_000);
  assert.equal(result.slo?.kept, false);
  assert.equal(status, 1);
});

test("bench: gets, transactions and compare-and-set run", async () => {
  for (const workload of [
    ["range", "--no-preload"],
    ["range", "--mode", "prefix", "--no-preload"],
    ["txn", "--txn-ops", "3"],
    ["cas", "--no-preload"],
    ["mixed", "--no-preload"],
  ]) {
    const { status, result, err } = await bench(...workload, "--total", "50", "-w", "json");
    assert.equal(status, 0, err);
    assert.deepEqual([result.operations, result.errors], [50, 0], workload.join(" "));
  }
});

test("bench watch-latency: an operation ends when the last watcher has its event", async () => {
  const { result, err } = await bench("watch-latency", "--watchers", "5", "--total", "40", "-w", "json");
  assert.deepEqual([result.operations, result.errors, result.extras["events"]], [40, 0, 200], err);
});

test("bench kubernetes: a watch that the store cancels makes the operations after it fail", async () => {
  const flags = ["--total", "40", "--keys", "20", "--no-preload", "-w", "json"];
  const whole = await bench("kubernetes", ...flags);
  assert.deepEqual([whole.result.operations, whole.result.errors], [40, 0], whole.err);
  store.cancelsWatches = true;
  const { result } = await bench("kubernetes", ...flags);
  store.cancelsWatches = false;
  assert.deepEqual(Object.keys(result.errorTexts), ["a watch was cancelled"]);
});

test("bench: the text report names the figures, and the page and the saved result are written", async () => {
  const report = path.join(folder, "out.html");
  const saved = path.join(folder, "out.json");
  const { status, out } = await bench(
    "put",
    "--total",
    "200",
    "--slo",
    "p99<10s",
    "--report",
    report,
    "--save",
    saved,
  );
  assert.equal(status, 0);
  assert.match(out, /200 in .* s, 0 errors/);
  assert.match(out, /200 distinct/);
  assert.match(out, /p99<10s: .*, kept/);
  const page = fs.readFileSync(report, "utf8");
  assert.match(page, /uPlot/);
  assert.doesNotMatch(page, /(?:src|href)="http/);
  const diff = await bench("diff", saved, saved);
  assert.match(diff.out, /same/, diff.err);
});

test("bench: a ladder ends after two rates that fail, and names the highest that did not", async () => {
  const options = parseRun("put", ["--rates", "8k,1k,2k,4k,16k,32k"], {});
  const asked: number[] = [];
  const hooks = { signal: new AbortController().signal, onSecond: () => {}, onPhase: () => {} };
  const ladder = await climb(options, hooks, async (step) => {
    asked.push(step.ratePerSecond!);
    // 2,000/s meets a hiccup, 8,000/s and above are too much.
    const kept = step.ratePerSecond! !== 2000 && step.ratePerSecond! < 8000;
    return {
      published: true,
      rate: step.ratePerSecond,
      targetRate: step.ratePerSecond,
      slo: { objectives: [{ kept }] },
    } as unknown as RunResult;
  });
  assert.deepEqual(asked, [1000, 2000, 4000, 8000, 16_000]);
  assert.equal(ladder.highestRate, 4000);
});

test("bench --etcd-style: prints etcd's summary, and what it hides", async () => {
  const { out, status } = await bench("--etcd-style", "put", "--total", "100", "--clients", "2");
  assert.equal(status, 0);
  for (const words of [
    "Summary:",
    "Requests/sec:",
    "Response time histogram:",
    "99% in",
    "it overwrote one key",
  ])
    assert.ok(out.includes(words), words);
});

test("bench: wrong words are exit status 2 and name the flag", async () => {
  for (const [argv, words] of [
    [["put", "--keyz", "3"], /keyz/],
    [["put", "--keys", "0"], /--keys is 0/],
    [["fly"], /Unknown benchmark fly/],
    [["put", "--slo", "fast"], /fast/],
    [["compare", "--rival", "oracle"], /oracle/],
  ] as const) {
    const { status, err } = await bench(...argv);
    assert.equal(status, 2, argv.join(" "));
    assert.match(err, words);
  }
});

test("bench: flags that exclude each other or cannot be met are refused before anything is sent", async () => {
  const before = store.puts;
  for (const [argv, words] of [
    [["put", "--profile"], /--profile .* needs --report/],
    [["put", "--profile", "--report", path.join(folder, "p.html"), "--rates", "1k,2k"], /--rates/],
    [["put", "--report", path.join(folder, "no/such/p.html")], /Cannot write/],
    [["put", "--save", path.join(folder, "no/such/p.json")], /Cannot write/],
    [["put", "--cacert", path.join(folder, "none.pem")], /Cannot read/],
    [["put", "--cert", "a.pem"], /--cert and --key/],
    [["put", "--pid", "many"], /--pid/],
    [["put", "--user", "root"], /NAME:PASSWORD/],
    [["put", "--key-size", "6", "--keys", "10"], /cannot be 10 distinct/],
    [["put", "--key-size", "4"], /distinct/],
    [["txn", "--txn-ops", "5", "--keys", "3"], /as many keys/],
    [["txn", "--store", "zookeeper"], /needs a store that speaks etcd's API/],
  ] as const) {
    const { status, err } = await bench(...argv, "--total", "5");
    assert.equal(status, 2, `${argv.join(" ")}: ${err}`);
    assert.match(err, words);
  }
  assert.equal(store.puts, before);
});

test("bench put: by the clock, too, every key is written once", () => {
  const keysOf = (...argv: string[]): number => parseRun("put", argv, {}).keys;
  assert.ok(keysOf("--rate", "4000", "--duration", "30s") >= 4000 * 31);
  assert.ok(keysOf("--rates", "1k,20k", "--duration", "10s") >= 20_000 * 11);
  assert.ok(keysOf("--duration", "10s") >= 1_000_000);
  assert.equal(keysOf("--total", "700"), 700);
  assert.equal(keysOf("--keys", "50", "--duration", "10s"), 50);
  assert.equal(keysOf("--key-size", "8", "--duration", "10s"), 65_536);
  // A choice with repetition, or keys that are written before: as many as ever.
  assert.equal(keysOf("--order", "uniform", "--duration", "10s"), 10_000);
  assert.equal(keysOf("--preload", "--duration", "10s"), 10_000);
});

test("bench --profile: begins with the load, after the keys are there", async () => {
  const options = parseRun(
    "put",
    ["--preload", "--keys", "50", "--total", "20", "--endpoints", server.addresses[0]!],
    {},
  );
  let putsAtLoad = 0;
  const before = store.puts;
  const onLoad = (): void => void (putsAtLoad = store.puts - before);
  const hooks = { signal: new AbortController().signal, onSecond: () => {}, onPhase: () => {}, onLoad };
  await runOnce(options, hooks);
  assert.equal(putsAtLoad, 50);
});

test("bench --profile: looks into the leader, not into the first endpoint", async () => {
  const follower = new FakeStore();
  follower.leader = 9n;
  const other = await serve({
    urls: ["http://127.0.0.1:0"],
    handler: follower,
    limits: DEFAULT_LIMITS,
    clock: systemClock,
  });
  const leader = server.addresses[0]!;
  const options = parseRun("put", ["--endpoints", `127.0.0.1:1,${other.addresses[0]!},${leader}`], {});
  assert.equal(await leaderOf(options), leader);
  other.close();
});

test("bench: an endpoint where nobody listens is an error, not a figure", async () => {
  const { status, err, out } = await bench("put", "--endpoints", "127.0.0.1:1", "--total", "5");
  assert.equal(status, 1);
  assert.match(err, /127\.0\.0\.1:1/);
  assert.equal(out, "");
});
