import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { SimulatedDisk } from "../../proof/simulator/disk.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import type { Limits } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import * as m from "../wire/messages.ts";
import { decode } from "../wire/schema.ts";
import { STATUS } from "../wire/status.ts";
import { CheckpointError } from "./checkpoint-format.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import { RangeFields } from "../wire/hot.ts";
import { PinnedRecords } from "./pinned-records.ts";
import { RangeProducer } from "./range-producer.ts";
import { RangeQuery } from "./range-query.ts";
import type { Answer } from "./slow-model.ts";
import { SlowModel } from "./slow-model.ts";
import { RequestSource, TestBench, bytes, encoded } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

const HISTORIES = Number(process.env["HOLDFAST_HISTORIES"] ?? 6);
const DIRECTORY = "data";
const EVERYTHING = { key: bytes("\0"), range_end: bytes("\0") };

class Cold {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  readonly bench: TestBench;

  constructor(seed: number, limits: Partial<Limits>) {
    this.disk = new SimulatedDisk({ clock: this.clock, prng: new Prng(seed) });
    this.disk.makeDirectory(DIRECTORY);
    this.bench = new TestBench(limits, { disk: this.disk, directory: DIRECTORY });
    for (let lease = 0; lease < 3; lease++) this.bench.leases.keys.push(new Set());
  }

  /** Takes a checkpoint, and whatever follows from it. */
  checkpoint(): void {
    const { housekeeping } = this.bench;
    this.bench.finish();
    const done = (error: unknown): void => assert.equal(error, undefined);
    const options = { disk: this.disk, directory: DIRECTORY, extra: bytes(""), done, wake: () => undefined };
    assert.ok(housekeeping.checkpoint(options));
    while (housekeeping.isCheckpointing) if (!housekeeping.slice()) this.clock.step();
    this.bench.finish();
  }

  restart(): void {
    const { supersededBytesMax } = this.bench.limits;
    const options = { disk: this.disk, directory: DIRECTORY, hashSeed: 5, supersededBytesMax };
    this.bench.adopt(loadCheckpoint(options)!.store);
  }

  get coldCount(): number {
    return this.bench.store.slabs.segments.filter((segment) => segment?.cold !== undefined).length;
  }

  /** Overwrites twenty keys, so that most records are superseded, and has them written. */
  static worn(): Cold {
    const cold = new Cold(1, { dataSegmentSizeBytes: 4096, supersededBytesMax: 0 });
    for (let i = 0; i < 2000; i++)
      cold.bench.put({ key: bytes(`k${i % 20}`), value: bytes(`${i}`.repeat(10)) });
    cold.checkpoint();
    return cold;
  }
}

/** Random requests and housekeeping; every answer is the model's, whatever is in memory. */
function run(seed: number): number {
  const prng = new Prng(seed);
  const source = new RequestSource(prng, 4 + prng.below(40));
  const model = new SlowModel();
  for (let lease = 1n; lease <= 3n; lease++) model.leases.add(lease);
  const cold = new Cold(seed, {
    dataSegmentSizeBytes: 1024 << prng.below(3),
    sliceRecordCount: 1 + prng.below(30),
    supersededBytesMax: prng.pick([0, 0, 3000]),
  });
  const { bench } = cold;
  let coldCount = 0;
  for (let i = 0; i < 600; i++) {
    const kind = prng.below(100);
    if (kind < 50) {
      const request = source.put();
      assert.deepEqual(bench.put(request), model.put(request));
    } else if (kind < 60) {
      const request = source.delete();
      assert.deepEqual(bench.delete(request), model.delete(request));
    } else if (kind < 67) {
      const request = source.txn(model.revision);
      const answer = bench.txn(request);
      if (answer !== STATUS.duplicateKey) assert.deepEqual(answer, model.txn(request));
    } else if (kind < 90) {
      const request = source.range(model.revision);
      assert.deepEqual(bench.range(request), model.range(request), `seed ${seed}, request ${i}`);
    } else if (kind < 92) {
      const revision = Math.max(0, model.revision - prng.below(60));
      assert.equal(bench.compact(revision), model.compact(revision));
    } else if (kind < 95) cold.checkpoint();
    else if (kind < 96) {
      cold.checkpoint();
      cold.restart();
    } else bench.housekeeping.slice();
    coldCount += cold.coldCount;
    if (kind === 99) compareAll(bench, model, `seed ${seed}, request ${i}`);
  }
  return coldCount;
}

function compareAll(bench: TestBench, model: SlowModel, where: string): void {
  bench.finish();
  verifyStore(bench.store);
  const oldest = Math.max(1, model.compacted);
  for (let revision = oldest; revision <= model.revision; revision++) {
    const request = { ...EVERYTHING, revision };
    assert.deepEqual(bench.range(request), model.range(request), where);
  }
  assert.deepEqual(bench.history(oldest), model.history(oldest), where);
  for (const revision of [oldest, model.revision])
    assert.equal(bench.hash(revision), model.hash(revision), where);
}

test("what is on disk only is answered as if it were in memory, over random histories", () => {
  const first = Math.floor(Math.random() * 1e9);
  console.log(`first seed ${first}`);
  let coldCount = 0;
  for (let i = 0; i < HISTORIES; i++) coldCount += run(first + i);
  assert.ok(coldCount > 0, "some segment was cold");
});

test("superseded versions beyond the budget are not in memory, newest ones are", () => {
  const { bench, coldCount } = Cold.worn();
  const { slabs } = bench.store;
  verifyStore(bench.store);
  assert.ok(coldCount > 30, `${coldCount} cold segments`);
  // What is left are the segments that are written, of records and of copies.
  assert.ok(slabs.memoryBytes <= 4 * slabs.segmentSizeBytes, `${slabs.memoryBytes} bytes`);
  const { readCount } = slabs.reader!;
  bench.range(EVERYTHING);
  for (let i = 0; i < 20; i++) bench.put({ key: bytes(`k${i}`), value: bytes("new"), prev_kv: true });
  assert.equal(slabs.reader!.readCount, readCount, "what is current is not read from disk");
});

test("a restart leaves superseded versions on disk", () => {
  const cold = Cold.worn();
  const expected = cold.bench.history(1000);
  cold.restart();
  const { slabs } = cold.bench.store;
  verifyStore(cold.bench.store);
  assert.ok(cold.coldCount > 30, `${cold.coldCount} cold segments`);
  assert.ok(slabs.memoryBytes <= 4 * slabs.segmentSizeBytes, `${slabs.memoryBytes} bytes`);
  assert.deepEqual(cold.bench.history(1000), expected);
});

test("copies that keys have left behind are given back", () => {
  const { bench } = Cold.worn();
  for (let round = 0; round < 300; round++) {
    for (let i = 0; i < 20; i++) bench.put({ key: bytes(`k${i}`), value: bytes("v".repeat(50)) });
    bench.finish();
  }
  const copies = bench.store.slabs.segments.filter((segment) => segment?.kind === "copies");
  assert.ok(copies.length <= 2, `${copies.length} segments of copies`);
  verifyStore(bench.store);
});

test("a long answer of cold records outlives their compaction and their files", () => {
  const cold = Cold.worn();
  const { bench, disk } = cold;
  const revision = 1000;
  const expected = bench.range({ ...EVERYTHING, revision });
  const producer = largeAnswer(bench, revision);
  const files = disk.list(DIRECTORY).length;
  bench.compact(bench.store.revision);
  cold.checkpoint();
  cold.checkpoint();
  assert.ok(disk.list(DIRECTORY).length < files / 2, "the files are gone");
  const reply = new ByteWriter();
  while (!producer.pull(reply, 100));
  const { kvs } = decode(m.RangeResponse, reply.copy(), 0, reply.position);
  assert.deepEqual(
    kvs.map((kv) => kv.mod_revision),
    (expected as Answer).kvs!.map((kv) => kv.mod),
  );
});

/** The producer of everything at a revision. The store of this test has too little for a large answer of its own. */
function largeAnswer(bench: TestBench, revision: number): RangeProducer {
  const { store } = bench;
  const entry = encoded(m.RangeRequest, { ...EVERYTHING, revision });
  const fields = new RangeFields();
  fields.parse(entry, 0, entry.length);
  const query = new RangeQuery(store);
  assert.equal(query.execute(entry, fields, store.revision), undefined);
  const none = new Uint8Array(0);
  return new RangeProducer(
    new PinnedRecords(store.slabs, query.takeRefs()),
    { head: none, tail: none },
    false,
  );
}

test("a damaged cold record is refused, never served", () => {
  const prng = new Prng(3);
  for (let i = 0; i < 12; i++) {
    const { bench, disk } = Cold.worn();
    const before = bench.history(2);
    const names = disk.list(DIRECTORY).filter((name) => name.endsWith(".seg"));
    const path = `${DIRECTORY}/${names[prng.below(names.length - 3)]!}`;
    if (prng.chance(0.2)) disk.cut(path, prng.below(disk.content(path).length));
    else disk.flipBit(path, prng.below(disk.content(path).length), prng.below(8));
    bench.store.slabs.reader!.forget();
    assert.throws(
      () => assert.deepEqual(bench.history(2), before),
      (error) => error instanceof CheckpointError && error.code === "damaged" && error.file === path,
    );
  }
});
