import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskError } from "../../core/base/ports.ts";
import { Prng } from "../../core/base/prng.ts";
import { SimulatedClock } from "./clock.ts";
import { type PowerLoss, PowerLossError, SimulatedDisk } from "./disk.ts";

function makeDisk(options: { capacityBytes?: number } = {}): { disk: SimulatedDisk; clock: SimulatedClock } {
  const clock = new SimulatedClock();
  return { disk: new SimulatedDisk({ clock, prng: new Prng(1), ...options }), clock };
}

function loss(survivors: PowerLoss["survivors"], tear: PowerLoss["tear"] = "sector", seed = 1): PowerLoss {
  return { prng: new Prng(seed), survivors, tear };
}

const ONES = new Uint8Array(2048).fill(1);

test("what was not synced is lost, or not, by sectors or by bytes", () => {
  const seen = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const { disk } = makeDisk();
    const file = disk.create("file", "log");
    file.truncate(2048);
    file.sync();
    disk.syncDirectory("");
    file.write(ONES, 0, 2048, 0);
    const content = disk.afterPowerLoss(loss("random", seed < 30 ? "sector" : "byte", seed)).content("file");
    const sectors = [0, 512, 1024, 1536].map(
      (start) => content.subarray(start, start + 512).filter((byte) => byte === 1).length,
    );
    if (seed < 30) assert.ok(sectors.every((count) => count === 0 || count === 512));
    seen.add(sectors.join());
  }
  assert.ok(seen.size > 30, "outcomes differ");
  for (const [survivors, count] of [
    ["all", 2048],
    ["none", 0],
  ] as const) {
    const { disk } = makeDisk();
    const file = disk.create("file", "log");
    file.sync();
    disk.syncDirectory("");
    file.write(ONES, 0, 2048, 0);
    assert.equal(disk.afterPowerLoss(loss(survivors)).content("file").length, count);
  }
});

test("a name is durable only with its directory", () => {
  const { disk } = makeDisk();
  disk.makeDirectory("a");
  disk.syncDirectory("");
  disk.create("a/first", "log").close();
  disk.syncDirectory("a");
  disk.rename("a/first", "a/second");
  disk.create("a/third", "log").close();
  assert.deepEqual(disk.copy().list("a"), ["second", "third"]);
  assert.deepEqual(disk.afterPowerLoss(loss("none")).list("a"), ["first"]);
});

test("a failed sync drops what was not durable, and the next one succeeds (fsyncgate)", () => {
  const { disk } = makeDisk();
  const file = disk.create("file", "log");
  file.truncate(2048);
  file.sync();
  file.write(ONES, 0, 2048, 0);
  disk.failSyncAt = disk.syncCount + 1;
  assert.throws(
    () => file.sync(),
    (error: unknown) => error instanceof DiskError && error.code === "EIO",
  );
  file.sync();
  assert.ok(disk.content("file").filter((byte) => byte === 1).length < 2048);
});

test("a full disk refuses new blocks and takes writes to old ones", () => {
  const { disk } = makeDisk({ capacityBytes: 8192 });
  const file = disk.create("file", "log");
  file.write(ONES, 0, 2048, 0);
  file.write(ONES, 0, 2048, 4096);
  assert.throws(
    () => file.write(ONES, 0, 2048, 8192),
    (error: unknown) => error instanceof DiskError && error.code === "ENOSPC",
  );
  file.write(ONES, 0, 2048, 2048);
});

test("power is lost before the chosen call, and the disk is dead afterwards", () => {
  const { disk, clock } = makeDisk();
  const file = disk.create("file", "log");
  disk.crashBefore = disk.callCount + 2;
  let isDone = false;
  file.writeAndSync(ONES, 0, 10, 0, () => (isDone = true));
  assert.throws(() => clock.step(), PowerLossError);
  assert.throws(() => disk.exists("file"), PowerLossError);
  assert.equal(isDone, false);
});

test("a source that changes during a write is noticed", () => {
  const { disk, clock } = makeDisk();
  const source = ONES.slice();
  disk.create("file", "log").writeAndSync(source, 0, 10, 0, () => {});
  source[3] = 9;
  assert.throws(() => clock.step(), /the source changed during a write/);
});

test("names that change in the background are used by nobody, and durable when that is said", () => {
  const { disk, clock } = makeDisk();
  disk.create("old", "log").close();
  disk.syncDirectory("");
  let isDone = false;
  disk.changeNames("", [{ kind: "rename", from: "old", to: "new" }], () => (isDone = true));
  assert.throws(() => disk.open("old", "log"), /a name that is being changed/);
  assert.throws(() => disk.open("new", "log"), /a name that is being changed/);
  const { disk: other } = makeDisk();
  other.create("old", "log").close();
  other.syncDirectory("");
  other.changeNames("", [{ kind: "rename", from: "old", to: "new" }], () => assert.fail("no power"));
  assert.deepEqual(other.afterPowerLoss(loss("none")).list(""), ["old"]);
  while (clock.step());
  assert.ok(isDone);
  assert.deepEqual(disk.afterPowerLoss(loss("none")).list(""), ["new"]);
});

test("what a file was filled with is durable after its sync only", () => {
  for (const isSynced of [false, true]) {
    const { disk, clock } = makeDisk();
    const file = disk.create("file", "bulk");
    disk.syncDirectory("");
    file.fill(0, 2048, () => {
      if (isSynced) file.syncLater(() => {});
    });
    while (clock.step());
    assert.equal(disk.afterPowerLoss(loss("none")).content("file").length, isSynced ? 2048 : 0);
  }
});
