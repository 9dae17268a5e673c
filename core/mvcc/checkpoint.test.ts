import assert from "node:assert/strict";
import { test } from "node:test";
import { checksum } from "../../io/disk/checksum.ts";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import type { PowerLoss } from "../../proof/simulator/disk.ts";
import { PowerLossError, SimulatedDisk } from "../../proof/simulator/disk.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import type { DiskError } from "../base/ports.ts";
import { Prng } from "../base/prng.ts";
import { STATUS } from "../wire/status.ts";
import {
  BLOCK_HEAD_BYTES,
  BLOCK_LAST,
  CheckpointError,
  MANIFEST_MAGIC,
  MANIFEST_VERSION,
  blockSum,
  segmentName,
} from "./checkpoint-format.ts";
import type { LoadedCheckpoint } from "./load-checkpoint.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import type { Answer } from "./slow-model.ts";
import { SlowModel, text } from "./slow-model.ts";
import { RequestSource, TestBench, bytes } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

const DIRECTORY = "member/data";

function newDisk(clock: SimulatedClock, seed: number): SimulatedDisk {
  const disk = new SimulatedDisk({ clock, prng: new Prng(seed) });
  disk.makeDirectory(DIRECTORY);
  disk.syncDirectory("");
  disk.syncDirectory("member");
  return disk;
}

function load(disk: SimulatedDisk, supersededBytesMax = 0): LoadedCheckpoint | undefined {
  return loadCheckpoint({ disk, directory: DIRECTORY, hashSeed: 99, supersededBytesMax });
}

/** Starts a checkpoint; `extra` is the revision, as a text. */
function begin(bench: TestBench, disk: SimulatedDisk, done: (error: DiskError | undefined) => void): boolean {
  const extra = bytes(`${bench.store.revision}`);
  const options = { disk, directory: DIRECTORY, extra, done, wake: () => undefined };
  return bench.housekeeping.checkpoint(options) !== undefined;
}

/** Takes a checkpoint to its end. */
function take(bench: TestBench, disk: SimulatedDisk, clock: SimulatedClock): void {
  let ended = false;
  bench.finish();
  assert.ok(begin(bench, disk, (error) => (ended = error === undefined)));
  while (bench.housekeeping.isCheckpointing) if (!bench.housekeeping.slice()) clock.step();
  assert.ok(ended);
}

/** What the loaded store says equals what the model says. */
function compareWhole(loaded: LoadedCheckpoint, model: SlowModel, where: string): void {
  const bench = new TestBench({ dataSegmentSizeBytes: 1024 });
  for (let lease = 0; lease < 3; lease++) bench.leases.keys.push(new Set());
  verifyStore(loaded.store);
  bench.adopt(loaded.store);
  assert.equal(String.fromCharCode(...loaded.extra), `${model.revision}`, where);
  assert.equal(loaded.store.keyCount, model.visible().length, where);
  for (let revision = Math.max(1, model.compacted); revision <= model.revision; revision++) {
    const request = { key: bytes("\0"), range_end: bytes("\0"), revision };
    assert.deepEqual(bench.range(request), model.range(request), where);
  }
  const oldest = Math.max(1, model.compacted);
  assert.deepEqual(bench.history(oldest), model.history(oldest), where);
  for (const revision of [0, oldest]) {
    assert.equal(bench.hash(revision), model.hash(revision === 0 ? model.revision : revision), where);
  }
}

function copyOf(model: SlowModel): SlowModel {
  const copy = new SlowModel();
  Object.assign(copy, {
    versions: [...model.versions],
    revision: model.revision,
    compacted: model.compacted,
  });
  copy.leases = model.leases;
  return copy;
}

class World {
  readonly clock = new SimulatedClock();
  readonly prng: Prng;
  readonly source: RequestSource;
  readonly bench: TestBench;
  readonly model = new SlowModel();
  disk: SimulatedDisk;

  constructor(seed: number) {
    this.prng = new Prng(seed);
    this.source = new RequestSource(this.prng, 4 + this.prng.below(40));
    const sliceRecordCount = 1 + this.prng.below(30);
    this.disk = newDisk(this.clock, seed);
    const limits = {
      dataSegmentSizeBytes: 1024 << this.prng.below(3),
      sliceRecordCount,
      supersededBytesMax: this.prng.pick([0, 2000, 1 << 26]),
    };
    this.bench = new TestBench(limits, { disk: this.disk, directory: DIRECTORY });
    for (let lease = 1n; lease <= 3n; lease++) {
      this.model.leases.add(lease);
      this.bench.leases.keys.push(new Set());
    }
  }

  change(): void {
    const { prng, bench, model, source } = this;
    const kind = prng.below(100);
    if (kind < 60) {
      const request = source.put();
      assert.deepEqual(bench.put(request), model.put(request));
    } else if (kind < 80) {
      const request = source.delete();
      assert.deepEqual(bench.delete(request), model.delete(request));
    } else if (kind < 95) {
      const request = source.txn(model.revision);
      const answer = bench.txn(request);
      if (answer !== STATUS.duplicateKey) assert.deepEqual(answer, model.txn(request));
    } else {
      const revision = Math.max(0, model.revision - prng.below(40));
      assert.equal(bench.compact(revision), model.compact(revision));
    }
  }
}

function runWithReloads(seed: number): void {
  const world = new World(seed);
  const { prng, bench, model, clock } = world;
  for (let round = 0; round < 8; round++) {
    for (let i = prng.below(60); i > 0; i--) {
      world.change();
      if (prng.chance(0.3)) bench.housekeeping.slice();
    }
    if (prng.chance(0.5)) {
      take(bench, world.disk, clock);
      const isRestart = prng.chance(0.5);
      const loaded = load(isRestart ? world.disk : world.disk.copy(), bench.limits.supersededBytesMax)!;
      if (isRestart) bench.adopt(loaded.store);
      else compareWhole(loaded, copyOf(model), `seed ${seed}, round ${round}`);
      continue;
    }
    // A checkpoint while changes go on holds what was there when it began; so may a compaction that is only due.
    if (prng.chance(0.5) || bench.housekeeping.compaction.isRunning) bench.finish();
    const before = copyOf(model);
    while (!begin(bench, world.disk, (error) => assert.equal(error, undefined))) bench.housekeeping.slice();
    while (bench.housekeeping.isCheckpointing) {
      if (prng.chance(0.5)) world.change();
      if (!bench.housekeeping.slice()) clock.step();
    }
    compareWhole(load(world.disk.copy())!, before, `seed ${seed}, round ${round}`);
  }
}

test("a loaded checkpoint is the store as it was when the checkpoint began, over random histories", () => {
  const first = Math.floor(Math.random() * 1e9);
  console.log(`first seed ${first}`);
  for (let i = 0; i < 5; i++) runWithReloads(first + i);
});

test("a loaded tree of thousands of keys takes further changes", () => {
  const world = new World(31);
  const { bench, prng, clock } = world;
  const key = (): Uint8Array => bytes(`/registry/${["pods", "nodes"][prng.below(2)]!}/${prng.below(9000)}`);
  const live = new Set<string>();
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 3000; i++) {
      const chosen = key();
      if (prng.chance(0.7)) {
        bench.put({ key: chosen, value: bytes("v") });
        live.add(text(chosen));
      } else {
        bench.delete({ key: chosen });
        live.delete(text(chosen));
      }
    }
    if (round === 2) bench.compact(bench.store.revision);
    take(bench, world.disk, clock);
    bench.adopt(load(world.disk)!.store);
    const answer = bench.range({ key: bytes("\0"), range_end: bytes("\0") }) as Answer;
    assert.deepEqual(
      answer.kvs!.map((kv) => kv.key),
      [...live].sort(),
    );
    for (let i = 0; i < 20; i++) {
      const [from, to] = [text(key()), text(key())];
      const counted = bench.range({ key: bytes(from), range_end: bytes(to), count_only: true }) as Answer;
      assert.equal(counted.count, from < to ? [...live].filter((it) => it >= from && it < to).length : 0);
    }
  }
});

test("a directory without a checkpoint loads nothing", () => {
  assert.equal(load(newDisk(new SimulatedClock(), 1)), undefined);
});

/** Two checkpoints, with power lost before the disk's call number `crashBefore`. Returns the calls there were. */
function crashRun(loss: PowerLoss, crashBefore: number): number {
  const world = new World(4242);
  const { bench, model, clock, disk } = world;
  const models: SlowModel[] = [];
  let durable = -1;
  disk.crashBefore = crashBefore;
  try {
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 25; i++) world.change();
      bench.finish();
      models.push(copyOf(model));
      take(bench, disk, clock);
      durable = round;
    }
  } catch (error) {
    if (!(error instanceof PowerLossError)) throw error;
  }
  const after = disk.afterPowerLoss(loss);
  const loaded = load(after);
  const where = `crash before call ${crashBefore}, ${loss.survivors}`;
  const found =
    loaded === undefined
      ? -1
      : models.findIndex((it) => `${it.revision}` === String.fromCharCode(...loaded.extra));
  assert.ok(found >= durable, where);
  if (loaded !== undefined) {
    compareWhole(loaded, models[found]!, where);
    // And it can be built upon.
    const next = new TestBench();
    for (let lease = 0; lease < 3; lease++) next.leases.keys.push(new Set());
    next.adopt(load(after)!.store);
    next.put({ key: bytes("after"), value: bytes("crash") });
    take(next, after, clock);
    assert.equal(load(after)!.store.revision, models[found]!.revision + 1, where);
  }
  return disk.callCount;
}

test("power may be lost before any call: the newest durable checkpoint is there", () => {
  const all: PowerLoss = { prng: new Prng(1), survivors: "all", tear: "sector" };
  const callCount = crashRun(all, Infinity);
  assert.ok(callCount > 12, `${callCount} calls`);
  for (let call = 1; call <= callCount; call++) {
    crashRun({ prng: new Prng(call), survivors: "all", tear: "sector" }, call);
    crashRun({ prng: new Prng(call), survivors: "none", tear: "sector" }, call);
    crashRun({ prng: new Prng(call), survivors: "random", tear: "sector" }, call);
    crashRun({ prng: new Prng(call), survivors: "random", tear: "byte" }, call);
  }
});

test("power may be lost before any call of a start: what an unfinished checkpoint left is removed, never more", () => {
  const world = new World(99);
  for (let i = 0; i < 40; i++) world.change();
  take(world.bench, world.disk, world.clock);
  const model = copyOf(world.model);
  for (let i = 0; i < 40; i++) world.change();
  world.bench.finish();
  // Ends before the rename, with new segments and a new manifest that nobody names.
  assert.ok(begin(world.bench, world.disk, () => undefined));
  while (!world.disk.exists(`${DIRECTORY}/manifest.new`))
    if (!world.bench.housekeeping.slice()) world.clock.step();
  const left = world.disk.afterPowerLoss({ prng: new Prng(1), survivors: "all", tear: "sector" });
  const whole = left.copy();
  compareWhole(load(whole)!, model, "without a crash");
  assert.ok(whole.list(DIRECTORY).length < left.list(DIRECTORY).length, "something was removed");
  const callCount = whole.callCount - left.callCount;
  assert.ok(callCount > 0, `${callCount} calls`);
  for (let call = 1; call <= callCount; call++) {
    for (const survivors of ["all", "none", "random"] as const) {
      const disk = left.copy();
      disk.crashBefore = disk.callCount + call;
      assert.throws(() => load(disk), PowerLossError);
      const after = disk.afterPowerLoss({ prng: new Prng(call), survivors, tear: "sector" });
      const where = `crash before call ${call} of the start, ${survivors}`;
      compareWhole(load(after)!, model, where);
      assert.deepEqual(after.list(DIRECTORY), whole.list(DIRECTORY), where);
    }
  }
});

test("a flipped bit, a zeroed sector, a cut or missing file is refused, wherever it is", () => {
  const world = new World(77);
  for (let i = 0; i < 80; i++) world.change();
  take(world.bench, world.disk, world.clock);
  const prng = new Prng(7);
  const refused = (damage: (disk: SimulatedDisk) => void, what: string): void => {
    const disk = world.disk.copy();
    damage(disk);
    assert.throws(
      () => load(disk),
      (error) => error instanceof CheckpointError && error.code === "damaged",
      what,
    );
  };
  for (const name of world.disk.list(DIRECTORY)) {
    const path = `${DIRECTORY}/${name}`;
    const size = world.disk.content(path).length;
    for (let i = 0; i < 60; i++) {
      const offset = prng.below(size);
      refused((disk) => disk.flipBit(path, offset, prng.below(8)), `${path} bit at ${offset}`);
    }
    for (let start = 0; start < size; start += 512) {
      if (
        world.disk
          .content(path)
          .subarray(start, start + 512)
          .every((byte) => byte === 0)
      )
        continue;
      refused((disk) => disk.zero(path, start, Math.min(size, start + 512)), `${path} zeros at ${start}`);
    }
    for (const cut of [0, 1, prng.below(size), size - 1])
      refused((disk) => disk.cut(path, cut), `${path} cut at ${cut}`);
    if (name.endsWith(".seg")) refused((disk) => disk.lose(path), `${path} missing`);
  }
});

test("a failed sync ends the checkpoint with its error, and the one before it stands", () => {
  const world = new World(5);
  for (let i = 0; i < 40; i++) world.change();
  take(world.bench, world.disk, world.clock);
  const { revision } = world.bench.store;
  for (let i = 0; i < 10; i++) world.change();
  world.bench.finish();
  world.disk.failSyncAt = world.disk.syncCount + 1;
  let failure: DiskError | undefined;
  assert.ok(begin(world.bench, world.disk, (error) => (failure = error)));
  while (world.bench.housekeeping.isCheckpointing) if (!world.bench.housekeeping.slice()) world.clock.step();
  assert.equal(failure?.code, "EIO");
  assert.equal(load(world.disk.copy())!.store.revision, revision);
});

test("what an attempt on a full disk wrote of segments that are gone is removed before the next writes", () => {
  const clock = new SimulatedClock();
  const disk = newDisk(clock, 7);
  const bench = new TestBench({ dataSegmentSizeBytes: 4096 }, { disk, directory: DIRECTORY });
  const overwrite = (): void => {
    for (let i = 0; i < 200; i++) bench.put({ key: bytes(`key ${i % 10}`), value: new Uint8Array(100) });
  };
  const attempt = (): DiskError | undefined => {
    let failure: DiskError | undefined;
    bench.finish();
    assert.ok(begin(bench, disk, (error) => (failure = error)));
    while (bench.housekeeping.isCheckpointing) if (!bench.housekeeping.slice()) clock.step();
    return failure;
  };
  overwrite();
  assert.equal(attempt(), undefined);
  const { revision } = bench.store;
  const covered = disk.list(DIRECTORY);
  overwrite();
  disk.capacityBytes = disk.usedBytes() + 3 * 4096;
  assert.equal(attempt()?.code, "ENOSPC");
  const written = disk.list(DIRECTORY).filter((name) => name.endsWith(".seg") && !covered.includes(name));
  assert.ok(written.length >= 3);
  bench.compact(bench.store.revision);
  bench.finish();
  // As little room as before: without what the failed attempt took it would not do.
  assert.equal(attempt(), undefined);
  assert.ok(written.some((name) => !disk.exists(`${DIRECTORY}/${name}`)));
  assert.equal(load(disk.copy())!.store.revision, bench.store.revision);
  assert.ok(bench.store.revision > revision);
});

test("what files hold of segments that a compaction has given up is counted until the next checkpoint removes them", () => {
  const clock = new SimulatedClock();
  const disk = newDisk(clock, 7);
  const bench = new TestBench({ dataSegmentSizeBytes: 4096 }, { disk, directory: DIRECTORY });
  for (let i = 0; i < 200; i++) bench.put({ key: bytes(`key ${i % 10}`), value: new Uint8Array(100) });
  take(bench, disk, clock);
  const { slabs } = bench.store;
  assert.equal(slabs.abandonedBytes, 0);
  bench.compact(bench.store.revision);
  bench.finish();
  const kept = new Set(slabs.segments.map((segment) => segmentName(segment?.number ?? 0)));
  const sizes = disk
    .list(DIRECTORY)
    .filter((name) => name.endsWith(".seg") && !kept.has(name))
    .map((name) => disk.content(`${DIRECTORY}/${name}`).length);
  assert.ok(sizes.length > 3);
  assert.equal(
    slabs.abandonedBytes,
    sizes.reduce((sum, size) => sum + size, 0),
  );
  take(bench, disk, clock);
  assert.equal(slabs.abandonedBytes, 0);
});

test("a checkpoint of a newer format is refused by its version", () => {
  const disk = newDisk(new SimulatedClock(), 1);
  const writer = new ByteWriter();
  writer.varint(MANIFEST_MAGIC);
  writer.varint(MANIFEST_VERSION + 1);
  const payload = writer.copy();
  const block = new Uint8Array(BLOCK_HEAD_BYTES + payload.length);
  const head = Uint32Array.of(
    BLOCK_LAST,
    payload.length,
    blockSum(checksum, { kind: BLOCK_LAST, number: 0 }, payload),
  );
  block.set(new Uint8Array(head.buffer));
  block.set(payload, BLOCK_HEAD_BYTES);
  const file = disk.create(`${DIRECTORY}/manifest`, "bulk");
  file.write(block, 0, block.length, 0);
  assert.throws(
    () => load(disk),
    (error) =>
      error instanceof CheckpointError && error.code === "unusable" && /version 2/.test(error.message),
  );
});
