import assert from "node:assert/strict";
import { test } from "node:test";
import { DiskRoom } from "./disk-room.ts";

const MARGIN = 500;

function room(freeBytes: number): { room: DiskRoom; disk: { free: number; askCount: number } } {
  const disk = { free: freeBytes, askCount: 0 };
  const freeNow = (): number => {
    disk.askCount++;
    return disk.free;
  };
  return { room: new DiskRoom({ freeBytes: freeNow }, 2 * MARGIN), disk };
}

test("what fits beside the margin and what was taken is let in, in one turn and over several", () => {
  const { room: it } = room(MARGIN + 1000);
  assert.equal(it.take(600, 0, 1), true);
  assert.equal(it.take(401, 0, 1), false, "asked again: the first one is not on the disk yet");
  assert.equal(it.take(400, 0, 1), true);
  // The log has both by now, not yet durable.
  assert.equal(it.take(1, 1000, 2), false);
});

test("what the log has written counts no more, and what others took does", () => {
  const { room: it, disk } = room(MARGIN + 1000);
  assert.equal(it.take(1000, 0, 1), true);
  // Written to blocks that were allocated before.
  assert.equal(it.take(1000, 0, 2), true);
  disk.free = MARGIN;
  assert.equal(it.take(1, 0, 103), false);
});

test("the disk is asked ten times a second, and when it seems full", () => {
  const { room: it, disk } = room(1e6);
  for (let ms = 0; ms < 1000; ms++) it.take(1, 0, ms);
  assert.equal(disk.askCount, 10);
  disk.free = 0;
  for (let ms = 1000; ms < 1010; ms++) assert.equal(it.take(1, 0, ms), false);
  assert.equal(disk.askCount, 20);
});

test("a disk that cannot tell has room", () => {
  const { room: it } = room(Infinity);
  assert.equal(it.take(1e12, 1e12, 1), true);
});
