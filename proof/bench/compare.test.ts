// The comparison against stores in this process that keep nothing: what is checked is which rows there are, what is kept
// of a run that goes wrong, and how it ends, not a figure.

import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import type { ServerCall, ServerHandler } from "../../core/grpc/server-call.ts";
import { PutResponse, StatusResponse, WatchResponse } from "../../core/wire/messages.ts";
import { encode, type Input, type Schema } from "../../core/wire/schema.ts";
import { systemClock } from "../../io/clock.ts";
import { type NetServer, serve } from "../../io/net/server.ts";
import { admittedOf } from "./capacity-rows.ts";
import { type CompareResult, measuredRows } from "./compare.ts";
import { WARM_UP_PUTS } from "./deck-row.ts";
import { Histogram, toPairs } from "./histogram.ts";
import { run } from "./main.ts";
import { lastToFirst } from "./memory-rows.ts";
import { SlowWatchers } from "./slow-watchers.ts";

/** Acknowledges puts and watches; closes its server after so many puts. */
class FakeStore implements ServerHandler {
  readonly putsMax: number;
  server: NetServer | undefined;
  puts = 0;
  streams = 0;

  constructor(putsMax: number) {
    this.putsMax = putsMax;
  }

  onUnary(call: ServerCall): void {
    if (call.method.name === "Status") {
      send(call, StatusResponse, { header: { member_id: 2n }, version: "3.6.0", leader: 2n });
      return call.finish();
    }
    if (++this.puts > this.putsMax) return this.server!.close();
    send(call, PutResponse, {});
    call.finish();
  }

  onStreamOpen(): void {
    this.streams++;
  }

  onStreamMessage(call: ServerCall): void {
    send(call, WatchResponse, { created: true });
  }

  onStreamHalfClose(): void {}
  onCancel(call: ServerCall): void {
    call.finish();
  }
  onWritable(): void {}
}

function send<T>(call: ServerCall, schema: Schema<T>, message: Input<T>): void {
  encode(schema, message, call.beginMessage());
  call.endMessage();
}

const servers: NetServer[] = [];
// In memory where that can be had: the probes of the disk would take their time.
const folder = fs.mkdtempSync(
  path.join(fs.existsSync("/dev/shm") ? "/dev/shm" : os.tmpdir(), "holdfast-compare-"),
);
after(() => {
  for (const server of servers) server.close();
  fs.rmSync(folder, { recursive: true });
});

async function store(putsMax = Number.POSITIVE_INFINITY): Promise<{ fake: FakeStore; address: string }> {
  const fake = new FakeStore(putsMax);
  fake.server = await serve({
    urls: ["http://127.0.0.1:0"],
    handler: fake,
    limits: DEFAULT_LIMITS,
    clock: systemClock,
  });
  servers.push(fake.server);
  return { fake, address: fake.server.addresses[0]!.replace("http://", "") };
}

async function compare(...argv: string[]): Promise<{ status: number; result: CompareResult; err: string }> {
  let out = "";
  let err = "";
  const io = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    stdin: undefined,
    env: {},
  };
  const status = await run(["compare", "-w", "json", "--dir", path.join(folder, "data"), ...argv], io);
  return { status, result: (out === "" ? {} : JSON.parse(out)) as CompareResult, err };
}

test("compare: every row of the goals is one that is measured", () => {
  assert.deepEqual(
    measuredRows(),
    Array.from({ length: 32 }, (_, i) => `P${i}`),
  );
});

test("compare P0: a store that goes away keeps what it had, and the others go on", async () => {
  const ours = await store();
  // The warm-up, two slices of 2,000 without the last ten, and no third.
  const theirs = await store(WARM_UP_PUTS + 3990);
  const ofSomebody = path.join(folder, "data", "of-somebody");
  fs.mkdirSync(path.dirname(ofSomebody), { recursive: true });
  fs.writeFileSync(ofSomebody, "");
  const { status, result, err } = await compare(
    ...["--rows", "P0", "--keys", "6000", "--rival", "etcd"],
    ...["--endpoints", ours.address, "--rival-endpoints", theirs.address],
  );
  assert.equal(status, 0, err);
  const row = result.rows[0]!;
  assert.deepEqual([row.row, result.rows.length], ["P0", 1]);
  assert.equal(row.figures[0]!.oursRounds.length, 3);
  assert.equal(row.figures[0]!.rivalRounds["etcd"]!.length, 2);
  assert.match(row.notes.join("\n"), /etcd: keys 4000 to 6000 are missing/);
  assert.match(row.notes.join("\n"), /etcd: 10 errors/);
  assert.equal(ours.fake.puts, WARM_UP_PUTS + 6000);
  assert.deepEqual(fs.readdirSync(path.dirname(ofSomebody)), ["of-somebody"], "what is not the run's stays");
});

test("compare P0: when its minutes are over it ends with fewer keys, and says how many", async () => {
  const ours = await store();
  const theirs = await store();
  const { result } = await compare(
    ...["--rows", "P0", "--keys", "6000", "--rival", "etcd", "--minutes", "0.0001"],
    ...["--endpoints", ours.address, "--rival-endpoints", theirs.address],
  );
  assert.match(result.rows[0]!.notes.join("\n"), /with 2,000 keys; .* and 6,000 were asked for/);
  assert.equal(theirs.fake.puts, WARM_UP_PUTS + 2000);
});

test("compare: a row that cannot be measured says why, and no row at all is exit status 1", async () => {
  const { address } = await store();
  const { status, result } = await compare(
    ...["--rows", "P17,P31", "--rival", "etcd", "--endpoints", address, "--rival-endpoints", address],
  );
  assert.equal(status, 1);
  assert.deepEqual(
    result.rows.map((row) => [row.row, row.met, row.figures.length]),
    [
      ["P17", null, 0],
      ["P31", null, 0],
    ],
  );
  for (const row of result.rows) assert.match(row.notes.join("\n"), /^not measured: /m);
});

test("compare: rows and numbers that mean nothing are refused", async () => {
  for (const [argv, words] of [
    [["--rows", "P32"], /P32/],
    [["--keys", "0"], /--keys is 0/],
    [["--minutes", "0"], /--minutes is 0/],
  ] as const) {
    const { status, err } = await compare(...argv, "--endpoints", "x:1", "--rival-endpoints", "x:1");
    assert.equal(status, 2);
    assert.match(err, words);
  }
});

test("slow watchers: all streams are opened, and those of an ended connection are counted", async () => {
  const { fake, address } = await store();
  const watchers = await SlowWatchers.open(address, 250, "a/");
  assert.equal(fake.streams, 250);
  assert.equal(watchers.lost, 0);
  fake.server!.close();
  while (watchers.lost < 250) await new Promise((resolve) => setImmediate(resolve));
  watchers.close();
});

test("admitted latencies are all but those of the errors", () => {
  const every = new Histogram();
  const errors = new Histogram();
  for (const us of [100, 200, 200, 5000, 70_000]) every.record(us);
  for (const us of [200, 70_000]) errors.record(us);
  const admitted = admittedOf({ histogram: toPairs(every), errorHistogram: toPairs(errors) });
  assert.equal(admitted.count, 3);
  assert.ok(admitted.max >= 5000 && admitted.max < 5010, String(admitted.max));
});

test("the last tenth of the slices stands over the first, slice by slice", () => {
  const rates = [100, 200, ...Array.from({ length: 16 }, () => 1), 90, 150];
  assert.deepEqual(lastToFirst(rates), [0.9, 0.75]);
  assert.deepEqual(lastToFirst([100, 50]), [0.5]);
});
