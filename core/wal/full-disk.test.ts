// A disk that is full when the log wants more of it.

import assert from "node:assert/strict";
import { test } from "node:test";
import { DIRECTORY, NEVER, sizeOf, sparesOf, LogWorld } from "../../proof/simulator/log-world.ts";
import { Wal } from "./wal.ts";

test("on a full disk what was allocated ahead and the spare are used, and that is said", () => {
  const world = new LogWorld({ segmentSizeBytes: 3 << 20, alignmentBytes: 4096 });
  world.appendLarge(10);
  world.idle();
  assert.ok(
    world.disk.list(DIRECTORY).some((name) => name.startsWith("spare-")),
    "a spare was made",
  );
  assert.equal(world.wal.spaceIsLow, false);
  world.disk.capacityBytes = world.disk.usedBytes();
  world.appendLarge(60);
  // The spare is in use, and the next one cannot be made; the reserve is there.
  world.idle();
  assert.equal(world.wal.spaceIsLow, true);
  assert.equal(world.recover().lastIndex, 70);
});

test("a group that finds no room on a full disk waits for it, with those that join it, and is lost to nobody", () => {
  for (const isInBackground of [false, true]) {
    const world = new LogWorld({ segmentSizeBytes: 3 << 20, alignmentBytes: 4096 });
    world.appendLarge(10);
    world.idle();
    if (isInBackground) world.toBackground();
    const { capacityBytes } = world.disk;
    world.disk.capacityBytes = world.disk.usedBytes();
    const durable: number[] = [];
    const append = (index: number, sizeBytes: number): boolean => {
      world.wal.beginBatch(undefined);
      const data = new Uint8Array(sizeBytes).fill(4);
      world.wal.entry(0, 1, index, data, 0, data.length);
      return world.wal.commitBatch((error) => {
        assert.equal(error, undefined);
        durable.push(index);
      });
    };
    const before = world.wal.lastIndex;
    // Larger than a segment, and than the reserve.
    assert.equal(append(before + 1, 5 << 20), false);
    assert.equal(append(before + 2, 100), false);
    const calls = world.disk.callCount;
    for (let i = 3; i <= 100; i++) assert.equal(append(before + i, 100), false);
    assert.equal(world.disk.callCount, calls, "nobody tries again for each batch");
    world.idle();
    assert.deepEqual(durable, []);
    assert.equal(world.wal.spaceIsLow, true);
    assert.equal(world.recover().lastIndex, before);
    world.disk.capacityBytes = capacityBytes;
    world.idle();
    assert.deepEqual(
      durable,
      Array.from({ length: 100 }, (_, i) => before + 1 + i),
    );
    assert.equal(world.recover().lastIndex, before + 100);
    world.idle();
    assert.equal(world.wal.spaceIsLow, false);
    assert.ok(
      !world.disk.list(DIRECTORY).some((name) => name.startsWith("filling-")),
      "attempts leave nothing",
    );
  }
});

test("a log that is closed while a group waits for room ends as it was", () => {
  const world = new LogWorld({ segmentSizeBytes: 3 << 20, alignmentBytes: 4096 });
  world.appendLarge(10);
  world.idle();
  world.disk.capacityBytes = world.disk.usedBytes();
  const data = new Uint8Array(5 << 20);
  world.wal.beginBatch(undefined);
  world.wal.entry(0, 1, 11, data, 0, data.length);
  assert.equal(world.wal.commitBatch(NEVER), false);
  world.wal.close();
  while (world.clock.step());
  assert.equal(world.recover().lastIndex, 10);
  Wal.resume(world.options, world.recover()).close();
});

test("on a full disk spares are given up for other files; the reserve takes what the last segment does not", () => {
  const world = new LogWorld({ segmentSizeBytes: 3 << 20, alignmentBytes: 4096 });
  world.appendLarge(10);
  world.idle();
  const reserve = sparesOf(world.disk).find((name) => sizeOf(world.disk, name) < 3 << 20)!;
  assert.equal(sparesOf(world.disk).length, 2);
  world.disk.capacityBytes = world.disk.usedBytes();
  assert.equal(world.wal.giveUpSpares(), true);
  assert.equal(world.wal.giveUpSpares(), false, "what is left is the log's");
  while (world.clock.step());
  assert.deepEqual(sparesOf(world.disk), [reserve]);
  assert.equal(world.wal.spaceIsLow, true, "until there is a spare again");
  // Somebody else takes the room.
  world.disk.capacityBytes = world.disk.usedBytes();
  const rotations = world.wal.stats.rotationCount;
  while (world.wal.stats.rotationCount === rotations) world.appendLarge(1);
  while (world.clock.step());
  assert.deepEqual(sparesOf(world.disk), [], "the reserve is in use");
  assert.equal(world.wal.spaceIsLow, true);
  assert.equal(world.recover().lastIndex, world.wal.lastIndex);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  world.wal.lookForRoom();
  assert.equal(world.wal.spaceIsLow, false, "as the operator says");
  world.idle();
  assert.equal(world.wal.spaceIsLow, false);
  assert.equal(sparesOf(world.disk).length, 2);
  world.appendLarge(100);
  assert.equal(world.recover().lastIndex, world.wal.lastIndex);
});

test("on a full disk a segment that is filled as it goes says when there is room again", () => {
  const world = new LogWorld({ segmentSizeBytes: 3 << 20, alignmentBytes: 4096 });
  // No time for a spare: the second segment is a new file.
  world.appendLarge(25);
  assert.equal(world.wal.stats.rotationCount, 1);
  world.disk.capacityBytes = world.disk.usedBytes();
  world.appendLarge(1);
  assert.equal(world.wal.spaceIsLow, true);
  world.disk.capacityBytes = Number.POSITIVE_INFINITY;
  world.idle();
  assert.equal(world.wal.spaceIsLow, false);
  world.appendLarge(100);
  assert.equal(world.recover().lastIndex, world.wal.lastIndex);
});
