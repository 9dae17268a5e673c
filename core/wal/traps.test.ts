// One test per trap of other stores' logs (S3-S7 and S15 in the list that docs/internals/wal.md names), called after what it
// protects. S4 stands in damage.test.ts too, S14 there alone; crash.test.ts tries all that is here at every call.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { runIdle } from "../../proof/simulator/log-world.ts";
import { type PowerLoss, PowerLossError, SimulatedDisk } from "../../proof/simulator/disk.ts";
import { Prng } from "../base/prng.ts";
import { recoverWal, type Recovery } from "./recover.ts";
import { Wal, type WalOptions } from "./wal.ts";

const DIRECTORY = "member/wal";
const SEGMENT_BYTES = 16384;
const FIRST_SEGMENT = `${DIRECTORY}/0000000000000000-0000000000000000.wal`;
const NEVER = (): void => assert.fail("a batch that is durable at once has no callback");

const LOSSES: readonly PowerLoss[] = (["none", "random", "all"] as const).map((survivors) => ({
  prng: new Prng(7),
  survivors,
  tear: "sector",
}));

class World {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  readonly options: WalOptions;
  /** Fills the data of entries. */
  readonly letter: string;
  wal: Wal;

  constructor(letter = "a", crashBefore = Infinity) {
    const { clock } = this;
    this.letter = letter;
    this.disk = new SimulatedDisk({ clock, prng: new Prng(1) });
    this.disk.crashBefore = crashBefore;
    this.options = { disk: this.disk, directory: DIRECTORY, segmentSizeBytes: SEGMENT_BYTES, clock };
    this.wal = Wal.create(this.options, {
      metadata: { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } },
      logId: { hi: 5, lo: 6 },
    });
  }

  /** One batch. */
  append(count: number, dataBytes = 200): void {
    const data = Buffer.alloc(dataBytes, this.letter);
    this.wal.beginBatch(undefined);
    for (let i = 0; i < count; i++) this.wal.entry(0, 1, this.wal.lastIndex + 1, data, 0, data.length);
    assert.ok(this.wal.commitBatch(NEVER));
  }

  /** Appends until so many rotations were made; without a pause there is no spare, and a new file is made. */
  appendUntil(rotationCount: number, options: { pauses: boolean }): void {
    while (this.wal.stats.rotationCount < rotationCount) {
      this.append(1);
      if (options.pauses) this.idle();
    }
  }

  idle(): void {
    runIdle(this.clock, this.wal);
  }
}

function recover(disk: SimulatedDisk): Recovery {
  return recoverWal({ disk: disk.copy(), directory: DIRECTORY, checkpointIndex: 0 })!;
}

test("S3: a last write that is cut at any byte is a torn tail: the log starts without it and goes on", () => {
  const world = new World();
  world.append(3);
  const before = world.disk.content(FIRST_SEGMENT).slice();
  const start = recover(world.disk).tail.replay.offset;
  world.append(3, 60);
  const end = recover(world.disk).tail.replay.offset;
  const lastIndexes = new Set<number>();
  for (let cut = start; cut < end; cut++) {
    const disk = world.disk.copy(world.clock);
    const file = disk.open(FIRST_SEGMENT, "log");
    file.write(before, cut, end, cut);
    file.close();
    const recovery = recover(disk);
    assert.ok(recovery.lastIndex >= 3, `cut at ${cut}: ${recovery.lastIndex}`);
    lastIndexes.add(recovery.lastIndex);
    const resumed = Wal.resume({ ...world.options, disk }, recovery);
    resumed.beginBatch(undefined);
    resumed.entry(0, 1, recovery.lastIndex + 1, before, 0, 10);
    assert.ok(resumed.commitBatch(NEVER));
    assert.equal(recover(disk).lastIndex, recovery.lastIndex + 1, `cut at ${cut}`);
  }
  // The last cuts are within the padding, which is zero as what was there before.
  assert.deepEqual([...lastIndexes], [3, 4, 5, 6]);
});

test("S4: what is bad before a batch that is good had been acknowledged, and is not cut off as a torn tail", () => {
  const world = new World();
  const starts: number[] = [];
  for (let i = 0; i < 5; i++) {
    starts.push(recover(world.disk).tail.replay.offset);
    world.append(2);
  }
  for (const start of starts.slice(0, -1)) {
    const disk = world.disk.copy();
    // Not a single bit, which is told from a tear even at the very end.
    disk.zero(FIRST_SEGMENT, start + 4, start + 40);
    assert.throws(() => recover(disk), /a later one at \d+ shows that it had been durable/);
  }
});

test("S5: the names of a log and of a new segment are durable before anything is acknowledged in them", () => {
  const world = new World();
  const nothing = LOSSES[0]!;
  assert.equal(recover(world.disk.afterPowerLoss(nothing)).lastIndex, 0);
  const longer = new World();
  longer.appendUntil(2, { pauses: false });
  const { lastIndex, tail } = recover(longer.disk.afterPowerLoss(nothing));
  assert.equal(lastIndex, longer.wal.lastIndex);
  assert.ok(tail.segments.every(({ path }) => path.endsWith(".wal")));
});

for (const pauses of [false, true]) {
  const how = pauses ? "to a spare" : "to a new file";
  test(`S6: power that is lost before any call of a rotation ${how} takes nothing that was acknowledged`, () => {
    const whole = new World();
    whole.appendUntil(1, { pauses });
    const { callCount } = whole.disk;
    // The calls of the rotation are the last ones, and in the background the name's and the mark's.
    for (let at = callCount - 12; at <= callCount + 4; at++) {
      for (const loss of LOSSES) {
        const world = new World("a", at);
        let acknowledged = 0;
        try {
          while (world.wal.stats.rotationCount < 2) {
            world.append(1);
            acknowledged = world.wal.lastIndex;
            if (pauses) world.idle();
          }
        } catch (error) {
          if (!(error instanceof PowerLossError)) throw error;
        }
        const { lastIndex } = recover(world.disk.afterPowerLoss(loss));
        const isThere = lastIndex === acknowledged || lastIndex === acknowledged + 1;
        assert.ok(isThere, `call ${at}, survivors ${loss.survivors}: ${lastIndex} of ${acknowledged}`);
      }
    }
  });
}

test("S7: a segment goes on with the chain of the one before, and none that was chained otherwise is read behind it", () => {
  const [ours, other] = ["a", "b"].map((letter) => {
    const world = new World(letter);
    world.append(1);
    // The data of both are the same from here on, only the chain tells them apart.
    const same = new Uint8Array(200).fill(1);
    while (world.wal.stats.rotationCount < 1) {
      world.wal.beginBatch(undefined);
      world.wal.entry(0, 1, world.wal.lastIndex + 1, same, 0, same.length);
      assert.ok(world.wal.commitBatch(NEVER));
    }
    world.idle();
    return world;
  }) as [World, World];
  const { path } = recover(ours.disk).tail.segments[1]!;
  assert.equal(path, recover(other.disk).tail.segments[1]!.path);
  const disk = ours.disk.copy();
  const file = disk.open(path, "log");
  const content = other.disk.content(path);
  file.write(content, 0, content.length, 0);
  file.sync();
  assert.throws(
    () => recover(disk),
    /the head of a log segment is damaged, or the end of the segment before/,
  );
});

test("S7: the zeros ahead of the log are its end, no record and no damage", () => {
  const world = new World();
  world.append(2);
  const { tornTail, lastIndex, tail } = recover(world.disk);
  assert.deepEqual([tornTail, lastIndex], [undefined, 2]);
  const ahead = world.disk.content(FIRST_SEGMENT).subarray(tail.replay.offset);
  assert.ok(ahead.length > 4096);
  assert.ok(ahead.every((byte) => byte === 0));
});

test("S15: a log that lost its tail names no commit index beyond its last entry", () => {
  const world = new World();
  let start = 0;
  for (let index = 1; index <= 3; index++) {
    start = recover(world.disk).tail.replay.offset;
    // Committed as soon as it is handed in, as a member alone may ask for.
    world.wal.beginBatch({ term: 1, vote: { hi: 0, lo: 1 }, commit: index });
    world.wal.entry(0, 1, index, new Uint8Array(20).fill(index), 0, 20);
    assert.ok(world.wal.commitBatch(NEVER));
  }
  const end = recover(world.disk).tail.replay.offset;
  for (let cut = start; cut <= end; cut += 8) {
    const disk = world.disk.copy();
    disk.zero(FIRST_SEGMENT, cut, end);
    const { hardState, lastIndex } = recover(disk);
    assert.ok(hardState.commit <= lastIndex, `cut at ${cut}: commit ${hardState.commit} of ${lastIndex}`);
  }
});
