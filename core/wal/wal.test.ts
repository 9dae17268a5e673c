import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { PowerLossError, SimulatedDisk, type SimulatedDiskOptions } from "../../proof/simulator/disk.ts";
import { AssertionError } from "../base/assert.ts";
import { DiskError } from "../base/ports.ts";
import { Prng } from "../base/prng.ts";
import { dataOf, DIRECTORY, NEVER, sizeOf, sparesOf, LogWorld } from "../../proof/simulator/log-world.ts";
import { recoverWal, type Recovery } from "./recover.ts";
import { SPARE_COUNT_MAX } from "./spares.ts";
import { Wal } from "./wal.ts";

/** Of a log with segments of 16 KiB. */
const RESERVE_BYTES = 2048;

function terms(recovery: Recovery): number[] {
  const { entries } = recovery;
  return Array.from({ length: entries.count }, (_, i) => entries.log.term(entries.base + 1 + i));
}

test("a fresh directory has no log, a created one an empty log", () => {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk({ clock, prng: new Prng(1) });
  assert.equal(recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 }), undefined);
  const recovery = new LogWorld().recover();
  assert.equal(recovery.lastIndex, 0);
  assert.deepEqual(recovery.metadata, { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } });
  assert.deepEqual(recovery.markers, [{ index: 0, term: 0, confState: undefined }]);
});

test("entries, hard state and markers come back", () => {
  const world = new LogWorld();
  world.append(1, 3, { state: { term: 4, vote: { hi: 9, lo: 8 }, commit: 0 }, term: 4 });
  world.append(4, 2, { state: { term: 4, vote: { hi: 9, lo: 8 }, commit: 3 }, term: 4 });
  const confState = new Uint8Array([8, 1, 0x28, 0]);
  assert.ok(world.wal.saveSnapshotMarker({ index: 3, term: 4, confState }, NEVER));
  const recovery = world.recover(2);
  assert.deepEqual(recovery.hardState, { term: 4, vote: { hi: 9, lo: 8 }, commit: 3 });
  assert.equal(recovery.lastIndex, 5);
  assert.equal(recovery.entries.base, 2);
  assert.equal(recovery.entries.count, 3);
  const { entries } = recovery;
  assert.deepEqual(
    Buffer.from(entries.log.bytes(5).subarray(entries.log.start(5), entries.log.end(5))),
    dataOf(5, 4),
  );
  assert.deepEqual(recovery.markers.at(-1), { index: 3, term: 4, confState });
});

test("the commit index on disk never exceeds what is durable with it (a restart finds every committed entry)", () => {
  const world = new LogWorld();
  world.append(1, 3, { state: { term: 1, vote: { hi: 0, lo: 1 }, commit: 3 } });
  assert.equal(world.recover().hardState.commit, 0);
  world.append(4, 1, { state: { term: 1, vote: { hi: 0, lo: 1 }, commit: 4 } });
  assert.equal(world.recover().hardState.commit, 3);
});

test("an entry at an index that exists takes its place and drops what follows", () => {
  const world = new LogWorld();
  world.append(1, 5);
  world.append(3, 1, { term: 2, state: { term: 2, vote: { hi: 0, lo: 0 }, commit: 2 } });
  assert.deepEqual(terms(world.recover()), [1, 1, 2]);
  assert.equal(world.wal.durableIndex, 3);
});

test("a committed entry is never overwritten: that is a bug, not a request", () => {
  const world = new LogWorld();
  world.append(1, 2);
  world.append(3, 1, { state: { term: 1, vote: { hi: 0, lo: 0 }, commit: 2 } });
  world.wal.beginBatch(undefined);
  assert.throws(() => world.wal.entry(0, 2, 2, dataOf(2, 2), 0, 4), AssertionError);
});

test("while syncs are long batches merge in the background and are acknowledged in order", () => {
  const world = new LogWorld({ syncMs: () => 3 });
  world.toBackground();
  const order: number[] = [];
  const before = world.wal.stats.backgroundSyncCount;
  for (let i = 0; i < 5; i++) assert.equal(world.append(8 + i, 1, { done: () => order.push(i) }), false);
  assert.deepEqual(order, []);
  assert.ok(world.wal.pendingBytes > 0);
  world.idle();
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
  assert.equal(world.wal.stats.backgroundSyncCount - before, 2, "the first alone, the rest together");
  assert.equal(world.recover().lastIndex, 12);
});

test("after a spell of long syncs the log comes back to the loop", () => {
  let syncMs = 3;
  const world = new LogWorld({ syncMs: () => syncMs });
  world.toBackground();
  syncMs = 0.2;
  let index = world.wal.lastIndex;
  for (let i = 0; i < 70; i++) {
    world.append(++index, 1, { done: () => {} });
    world.idle();
  }
  assert.ok(world.append(++index, 1));
});

test("bulk work in flight sends the log to the background", () => {
  const world = new LogWorld();
  world.append(1, 1);
  world.disk.create("checkpoint", "bulk").writeAndSync(new Uint8Array(10), 0, 10, 0, () => {});
  let isDone = false;
  assert.equal(world.append(2, 1, { done: () => (isDone = true) }), false);
  world.idle();
  assert.ok(isDone);
  assert.ok(world.append(3, 1));
});

test("a failed sync on the loop is thrown, and nothing is asked of the log again", () => {
  const world = new LogWorld();
  world.append(1, 1);
  world.disk.failSyncAt = world.disk.syncCount + 1;
  assert.throws(
    () => world.append(2, 1),
    (error: unknown) => error instanceof DiskError && error.code === "EIO",
  );
  assert.throws(() => world.append(3, 1), DiskError);
});

test("a failed sync in the background fails its batches and those behind it; nothing is written after", () => {
  const world = new LogWorld({ syncMs: () => 3 });
  world.toBackground();
  const results: string[] = [];
  const note = (error: DiskError | undefined): void => void results.push(error?.code ?? "durable");
  world.append(8, 1, { done: note });
  world.append(9, 1, { done: note });
  world.disk.failSyncAt = world.disk.syncCount + 1;
  world.idle();
  assert.deepEqual(results, ["EIO", "EIO"]);
  assert.throws(() => world.append(10, 1), DiskError);
});

test("a spare that the disk refuses ends the log with the disk's error, though nobody waited", () => {
  const world = new LogWorld({ segmentSizeBytes: 1 << 16 });
  const error = new DiskError("input/output error", "EIO", "spare");
  const create = world.disk.create.bind(world.disk);
  world.disk.create = (path, lane) => {
    const file = create(path, lane);
    if (lane === "bulk") file.fill = (_offset, _count, done) => void world.clock.after(0, () => done(error));
    return file;
  };
  world.append(1, 2_000);
  world.idle();
  assert.throws(() => world.append(2_001, 1), error);
});

test("segments follow each other, are given up behind a checkpoint, and come back as spares", () => {
  const world = new LogWorld({ segmentSizeBytes: 16384 });
  for (let index = 1; index <= 1000; index++) {
    world.append(index, 1, { state: { term: 1, vote: { hi: 0, lo: 1 }, commit: index - 1 } });
  }
  const names = world.disk.list(DIRECTORY).filter((name) => name.endsWith(".wal"));
  assert.ok(names.length > 4);
  assert.equal(names[0], "0000000000000000-0000000000000000.wal");
  assert.equal(world.wal.truncateBefore(1), 0);
  const count = world.wal.truncateBefore(990);
  assert.ok(count >= names.length - 3);
  assert.ok(count > SPARE_COUNT_MAX, "more than are kept");
  world.idle();
  const left = world.disk.list(DIRECTORY);
  assert.equal(
    left.filter((name) => name.startsWith("spare-")).length,
    SPARE_COUNT_MAX + 1,
    "and the reserve",
  );
  assert.equal(world.recover(989).lastIndex, 1000);
  assert.throws(() => world.recover(0), /lacks entries from index 1 on/);
  for (let index = 1001; index <= 1100; index++) world.append(index, 1);
  assert.equal(world.recover(989).lastIndex, 1100);
});

test("a batch larger than a segment gets a segment of its own size", () => {
  const world = new LogWorld({ segmentSizeBytes: 16384, alignmentBytes: 4096 });
  const data = new Uint8Array(100_000).fill(7);
  world.wal.beginBatch(undefined);
  world.wal.entry(0, 1, 1, data, 0, data.length);
  world.wal.entry(0, 1, 2, data, 0, data.length);
  assert.ok(world.wal.commitBatch(NEVER));
  world.append(3, 1);
  const { entries } = world.recover();
  assert.equal(entries.log.end(2) - entries.log.start(2), 100_000);
  assert.equal(entries.lastIndex, 3);
});

for (const alignmentBytes of [1, 512, 4096]) {
  test(`entries are read back from the files, overwritten ones left out, alignment ${alignmentBytes}`, () => {
    const world = new LogWorld({ segmentSizeBytes: 16384, alignmentBytes });
    const expected = new Map<number, number>();
    const put = (first: number, count: number, term: number): void => {
      world.append(first, count, {
        term,
        state: { term, vote: { hi: 0, lo: 0 }, commit: Math.min(first - 1, 60) },
      });
      for (let index = first; index < first + count; index++) expected.set(index, term);
    };
    put(1, 60, 1);
    for (let round = 0; round < 12; round++) put(61 + 10 * round - (round % 3), 15, 2 + round);
    const read = (wal: Wal): void => {
      for (const first of [1, 17, 61, 90, 130]) {
        let wanted = first;
        // oxlint-disable-next-line max-params -- a range of bytes, once per entry or record
        const next = wal.readEntries(first, wal.durableIndex, (_type, term, index, bytes, start, end) => {
          assert.equal(index, wanted++);
          assert.equal(term, expected.get(index));
          assert.deepEqual(Buffer.from(bytes.subarray(start, end)), dataOf(index, term));
          return true;
        });
        assert.equal(next, wal.durableIndex + 1);
        assert.equal(wanted, next);
      }
    };
    // `put` overlapped: keep what the log has.
    for (const index of expected.keys()) if (index > world.wal.lastIndex) expected.delete(index);
    read(world.wal);
    world.wal.close();
    read(Wal.resume(world.options, world.recover()));
  });
}

test("a reader that has enough is asked no more; what was given up is not found", () => {
  const world = new LogWorld({ segmentSizeBytes: 16384 });
  for (let index = 1; index <= 200; index++) world.append(index, 1);
  let count = 0;
  assert.equal(
    world.wal.readEntries(5, 200, () => ++count < 3),
    8,
  );
  world.wal.truncateBefore(150);
  assert.equal(
    world.wal.readEntries(5, 200, () => true),
    0,
  );
});

test("a snapshot ahead of the log takes its place", () => {
  const world = new LogWorld();
  world.append(1, 5);
  world.wal.saveSnapshotMarker({ index: 100, term: 3, confState: new Uint8Array([0x28, 0]) }, NEVER);
  world.append(101, 2, { term: 3, state: { term: 3, vote: { hi: 0, lo: 0 }, commit: 100 } });
  const recovery = world.recover(100);
  assert.equal(recovery.lastIndex, 102);
  assert.equal(recovery.entries.count, 2);
  assert.equal(
    world.wal.readEntries(3, 102, () => true),
    0,
  );
  assert.equal(
    world.wal.readEntries(101, 102, () => true),
    103,
  );
});

test("a spare is filled as fast as the log goes on; what is given up comes before it, and it is kept", () => {
  const segmentSizeBytes = 4 << 20;
  const world = new LogWorld({ segmentSizeBytes, alignmentBytes: 4096 });
  const filled = (): number => {
    const names = world.disk.list(DIRECTORY).filter((name) => name.startsWith("filling-"));
    assert.ok(names.length <= 1);
    return names.length === 0 ? 0 : sizeOf(world.disk, names[0]!);
  };
  let checkpointIndex = 0;
  const used = (): number => world.recover(checkpointIndex).tail.replay.offset / segmentSizeBytes;
  const goOnUntil = (part: number): void => {
    while (used() < part) {
      world.appendLarge(1);
      world.idle();
    }
  };
  const rotateOnce = (): void => {
    const { rotationCount } = world.wal.stats;
    while (world.wal.stats.rotationCount === rotationCount) world.appendLarge(1);
    world.idle();
  };
  rotateOnce();
  for (const part of [0.1, 0.3, 0.6]) {
    goOnUntil(part);
    assert.ok(filled() >= part * segmentSizeBytes, `${filled()} bytes at ${part} of the segment before`);
    assert.ok(filled() < 2 * part * segmentSizeBytes, `${filled()} bytes at ${part} of the segment before`);
  }
  assert.equal(sparesOf(world.disk).length, 1, "the reserve");
  goOnUntil(0.7);
  assert.equal(sparesOf(world.disk).length, 2);
  rotateOnce();
  goOnUntil(0.2);
  const before = filled();
  assert.ok(before > 0);
  // Of a segment's full size: the first one is not.
  checkpointIndex = world.wal.lastIndex - 1;
  assert.equal(world.wal.truncateBefore(checkpointIndex + 1), 2);
  world.idle();
  assert.equal(sparesOf(world.disk).length, 2);
  goOnUntil(0.9);
  assert.equal(filled(), before);
  rotateOnce();
  goOnUntil(0.7);
  assert.equal(sparesOf(world.disk).length, 2);
  assert.equal(filled(), 0, "it has become one");
});

test("what is given up as the log is closed is removed, not left to the next start", () => {
  const world = new LogWorld();
  const { rotationCount } = world.wal.stats;
  while (world.wal.stats.rotationCount < rotationCount + 4) world.appendLarge(1);
  world.idle();
  const segments = (): string[] => world.disk.list(DIRECTORY).filter((name) => name.endsWith(".wal"));
  assert.equal(segments().length, 5);
  const { lastIndex } = world.wal;
  assert.equal(world.wal.truncateBefore(lastIndex), 4);
  world.wal.close();
  while (world.clock.step());
  assert.equal(segments().length, 1);
  assert.equal(world.recover(lastIndex - 1).lastIndex, lastIndex);
});

interface FileSpy {
  readonly onWrite: (name: string, start: number, end: number) => void;
  /** Called before the log hears of it; what it returns is what the log hears. */
  readonly onWarm: (name: string, start: number, end: number) => boolean;
}

/** Notes where the log's files are written and read ahead, by name; what is renamed later keeps the name that it was opened with. */
function spyOnFiles(disk: SimulatedDisk, spy: FileSpy): void {
  for (const method of ["create", "open"] as const) {
    const original = disk[method].bind(disk);
    disk[method] = (path, lane) => {
      const file = original(path, lane);
      const write = file.write.bind(file);
      const writeAndSync = file.writeAndSync.bind(file);
      // oxlint-disable-next-line max-params -- as in the port
      file.writeAndSync = (bytes, start, end, offset, done) => {
        spy.onWrite(path, offset, offset + end - start);
        writeAndSync(bytes, start, end, offset, done);
      };
      file.write = (bytes, start, end, offset) => {
        spy.onWrite(path, offset, offset + end - start);
        write(bytes, start, end, offset);
      };
      const warm = file.warm.bind(file);
      file.warm = (offset, count, done) =>
        warm(offset, count, () => done(spy.onWarm(path, offset, offset + count)));
      return file;
    };
  }
}

/** Writes small groups, with pauses after which no cache holds anything; says how much was written for what the log grew by. */
function writtenOfSmallGroups(onWarm: (isFirst: boolean) => boolean): { written: number; warmCount: number } {
  const world = new LogWorld({ segmentSizeBytes: 256 << 10, alignmentBytes: 512 });
  const touched = new Map<string, Set<number>>();
  const blocksOf = (name: string): Set<number> => {
    if (!touched.has(name)) touched.set(name, new Set());
    return touched.get(name)!;
  };
  let partCount = 0;
  let warmCount = 0;
  spyOnFiles(world.disk, {
    onWrite: (name, start, end) => {
      if (name.endsWith("/durable-mark")) return;
      for (let block = Math.floor(start / 4096); block * 4096 < end; block++) {
        const isWhole = start <= block * 4096 && (block + 1) * 4096 <= end;
        if (!isWhole) partCount++;
        assert.ok(isWhole || blocksOf(name).has(block), `${name}: ${start} to ${end}`);
        blocksOf(name).add(block);
      }
    },
    onWarm: (name, start, end) => {
      const isWarm = onWarm(warmCount++ === 0);
      for (let block = start / 4096; isWarm && block * 4096 < end; block++) blocksOf(name).add(block);
      return isWarm;
    },
  });
  // From the second segment on every file is seen from its start.
  while (world.wal.stats.rotationCount === 0) world.appendLarge(1);
  const before = { ...world.wal.stats };
  for (let i = 0; i < 6000; i++) {
    world.append(world.wal.lastIndex + 1, 1, { done: () => {} });
    world.clock.runUntil(world.clock.now() + 0.5);
    world.wal.onDeadline(world.clock.now());
    // Others have used the caches meanwhile.
    if (i % 1000 === 0) {
      world.clock.runUntil(world.clock.now() + 2000);
      touched.clear();
    }
  }
  const { recordBytes, writtenBytes, rotationCount } = world.wal.stats;
  assert.ok(rotationCount >= 3 && partCount > 3000, `${rotationCount} rotations, ${partCount} parts`);
  assert.equal(world.recover().lastIndex, world.wal.lastIndex);
  const written = (writtenBytes - before.writtenBytes) / (recordBytes - before.recordBytes);
  return { written, warmCount };
}

test("no block is begun with a part of it that no cache holds: a device would have to read the rest", () => {
  const cold = writtenOfSmallGroups(() => false);
  assert.equal(cold.warmCount, 1, "what cannot be read is not tried again");
  assert.ok(cold.written < 4.5, `${cold.written} times what the log grew by: parts, not blocks`);
  const warm = writtenOfSmallGroups(() => true);
  assert.ok(
    warm.written < cold.written - 0.7,
    `${warm.written} and ${cold.written}: blocks that were read are not written whole`,
  );
});

test("what was read ahead of the log is forgotten after a while, and read again", () => {
  const world = new LogWorld({ segmentSizeBytes: 1 << 20, alignmentBytes: 512 });
  const warmed: number[] = [];
  spyOnFiles(world.disk, {
    onWrite: () => {},
    onWarm: (_name, start) => warmed.push(start) > 0,
  });
  while (world.wal.stats.rotationCount === 0) world.appendLarge(1);
  const count = warmed.length;
  for (let i = 0; i < 40; i++) {
    world.append(world.wal.lastIndex + 1, 1, { done: () => {} });
    world.clock.runUntil(world.clock.now() + 500);
  }
  // In 20 s the log has not grown by what one read brings, and two reads are ahead of it: after 0, 5.5, 11 and 16.5 s.
  assert.equal(warmed.length - count, 1 + 3 * 2, warmed.join());
});

test("a quiet log marks its end within moments, a busy one does not stop for it", () => {
  const world = new LogWorld();
  world.append(1, 1);
  const calls = world.disk.callCount;
  for (let index = 2; index < 100; index++) world.append(index, 1);
  // The first segment was filled when it was made.
  assert.equal(world.disk.callCount - calls, 98 * 2, "a write and a sync a batch");
  world.idle();
  const zeroed = world.disk.copy();
  const { replay, segments } = world.recover().tail;
  zeroed.zero(segments[0]!.path, replay.offset - 100, replay.offset);
  assert.throws(
    () => recoverWal({ disk: zeroed, directory: DIRECTORY, checkpointIndex: 0 }),
    /durable up to offset/,
  );
});

test("the same seed gives the same bytes", () => {
  const contents = [1, 2].map(() => {
    const world = new LogWorld({ segmentSizeBytes: 16384 });
    for (let index = 1; index <= 100; index++) world.append(index, 1);
    return world.disk
      .list(DIRECTORY)
      .map((name) => Buffer.from(world.disk.content(`${DIRECTORY}/${name}`)).toString("base64"));
  });
  assert.deepEqual(contents[0], contents[1]);
});

test("after a restart nothing of a torn batch becomes good again, whatever a later tear puts before it", () => {
  const world = new LogWorld();
  world.append(1, 3);
  const before = world.recover().tail.replay.offset;
  world.append(4, 2);
  const segment = `${DIRECTORY}/0000000000000000-0000000000000000.wal`;
  const whole = world.disk.content(segment);
  // The batch's first sector did not reach the disk, all the rest did.
  world.disk.zero(segment, before, 512);
  assert.equal(world.recover().lastIndex, 3);
  Wal.resume(world.options, world.recover()).close();
  const after = world.recover().tail.replay.offset;
  assert.ok(before < 512 && after >= 512, "the restart wrote a batch, to where the rest of the torn one is");
  // The next write tears behind a length word that equals the one that was here.
  world.disk.open(segment, "log").write(whole, after, after + 8, after);
  assert.equal(world.recover().lastIndex, 3);
});

test("how far the log grew is told apart from whole blocks that were written again", () => {
  const world = new LogWorld({ alignmentBytes: 4096 });
  const before = { ...world.wal.stats };
  for (let index = 1; index <= 10; index++) world.append(index, 1);
  const { recordBytes, writtenBytes } = world.wal.stats;
  assert.ok(writtenBytes - before.writtenBytes >= 10 * 4096, "each group writes its block");
  const grown = recordBytes - before.recordBytes;
  assert.ok(grown > 0 && grown < 4096, `ten small entries are ${grown} bytes`);
});

/** A log that stands before a rotation to a spare, with the next index. */
function beforeRotation(options: Partial<SimulatedDiskOptions> = {}): { world: LogWorld; next: number } {
  const world = new LogWorld({ segmentSizeBytes: 16384, ...options });
  let next = 1;
  while (world.wal.stats.rotationCount === 0) world.append(next++, 1);
  world.idle();
  const { rotationCount } = world.wal.stats;
  const { replay } = world.recover().tail;
  assert.equal(rotationCount, 1);
  assert.ok(replay.offset < 4096);
  assert.ok(world.disk.list(DIRECTORY).some((name) => name.startsWith("spare-")));
  while (world.recover().tail.replay.offset < 14_000) world.append(next++, 1);
  world.idle();
  return { world, next };
}

/** Appends until the log has rotated; returns the next index and the calls of the last batch. */
function rotate(world: LogWorld, first: number): { next: number; callCount: number } {
  const { rotationCount } = world.wal.stats;
  for (let next = first; ; next++) {
    const before = world.disk.callCount;
    world.append(next, 1);
    if (world.wal.stats.rotationCount > rotationCount)
      return { next: next + 1, callCount: world.disk.callCount - before };
  }
}

const NOTHING_SURVIVES = { prng: new Prng(1), survivors: "none", tear: "sector" } as const;

test("a rotation to a spare waits for the head and the group, not for names and marks", () => {
  const { world, next } = beforeRotation();
  const synced = world.disk.syncCount;
  const { callCount } = rotate(world, next);
  // The rename and the mark have begun; their ends come with the clock.
  assert.equal(callCount, 2 * 2 + 2, "a write and a sync each of head and group");
  assert.equal(world.disk.syncCount - synced, world.wal.lastIndex - next + 1 + 1);
});

test("what was acknowledged in a new segment is there though its name is lost, and the restart names it", () => {
  const { world, next } = beforeRotation();
  const end = rotate(world, next).next;
  const disk = world.disk.afterPowerLoss(NOTHING_SURVIVES);
  const recovery = recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 })!;
  assert.equal(recovery.lastIndex, end - 1);
  assert.match(recovery.tail.segments.at(-1)!.path, /spare-\d+\.tmp$/);
  Wal.resume({ ...world.options, disk }, recovery);
  const named = disk.afterPowerLoss(NOTHING_SURVIVES);
  const others = named.list(DIRECTORY).filter((name) => !name.endsWith(".wal"));
  assert.deepEqual(others[0], "durable-mark");
  assert.deepEqual(
    others.slice(1).map((name) => sizeOf(named, name)),
    [RESERVE_BYTES],
  );
  assert.equal(recoverWal({ disk: named, directory: DIRECTORY, checkpointIndex: 0 })!.lastIndex, end - 1);
});

test("entries of a segment without its name yet are read, and it is not given up", () => {
  const { world, next } = beforeRotation();
  const end = rotate(world, next).next;
  const count = world.wal.readEntries(1, end - 1, () => true);
  assert.equal(count, end);
  // All of the entries before lie in segments that have their names.
  assert.equal(world.wal.truncateBefore(end), 2);
  world.idle();
  assert.equal(world.recover(end - 1).lastIndex, end - 1);
});

test("a recycled segment is never taken for the next one, whatever its old content", () => {
  const { world, next } = beforeRotation();
  let index = next;
  for (let i = 0; i < 3; i++) index = rotate(world, index).next;
  world.idle();
  world.wal.truncateBefore(index);
  world.idle();
  const spares = world.disk.list(DIRECTORY).filter((name) => name.startsWith("spare-"));
  assert.ok(spares.length > 2, "they hold whole segments of this log");
  const recovery = world.recover(index - 1);
  assert.equal(recovery.lastIndex, index - 1);
  assert.equal(recovery.tail.spares.length, spares.length);
});

test("a torn head leaves a spare; the log ends before it and goes on", () => {
  const { world, next } = beforeRotation();
  const before = world.wal.lastIndex;
  const end = rotate(world, next).next;
  const disk = world.disk.afterPowerLoss(NOTHING_SURVIVES);
  const { segments } = recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 })!.tail;
  const { path } = segments.at(-1)!;
  // Only the head's first bytes arrived, and so nothing behind it was written.
  disk.zero(path, 40, disk.content(path).length);
  const recovery = recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 })!;
  assert.ok(recovery.lastIndex < end - 1 && recovery.lastIndex >= before);
  const whole = recovery.tail.spares.filter((it) => disk.content(it).length > RESERVE_BYTES);
  assert.deepEqual(whole, [path]);
  const wal = Wal.resume({ ...world.options, disk }, recovery);
  wal.beginBatch(undefined);
  wal.entry(0, 1, recovery.lastIndex + 1, dataOf(9, 1), 0, 8);
  assert.ok(wal.commitBatch(NEVER));
});

test("a segment without its name whose head is damaged is refused while a batch in it can be read", () => {
  const { world, next } = beforeRotation();
  rotate(world, next);
  const disk = world.disk.afterPowerLoss(NOTHING_SURVIVES);
  const { segments } = recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 })!.tail;
  disk.flipBit(segments.at(-1)!.path, 20, 3);
  assert.throws(
    () => recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 }),
    /the head of log segment 2 is damaged/,
  );
});

test("a segment that the mark names is missed, with or without a name", () => {
  const { world, next } = beforeRotation();
  rotate(world, next);
  world.idle();
  const disk = world.disk.copy();
  disk.zero(
    `${DIRECTORY}/${disk
      .list(DIRECTORY)
      .filter((name) => name.endsWith(".wal"))
      .at(-1)!}`,
    0,
    16384,
  );
  assert.throws(
    () => recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 }),
    /head of a log segment/,
  );
  disk.lose(
    `${DIRECTORY}/${disk
      .list(DIRECTORY)
      .filter((name) => name.endsWith(".wal"))
      .at(-1)!}`,
  );
  assert.throws(
    () => recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 }),
    /log segment 2 is missing/,
  );
});

test("a restart whose own batch does not fit opens the next segment", () => {
  const { world } = beforeRotation();
  const { rotationCount } = world.wal.stats;
  let before = world.disk.copy();
  for (;;) {
    world.wal.beginBatch(undefined);
    world.wal.entry(0, 1, world.wal.lastIndex + 1, new Uint8Array(0), 0, 0);
    world.wal.commitBatch(NEVER);
    if (world.wal.stats.rotationCount > rotationCount) break;
    before = world.disk.copy(world.clock);
  }
  const recovery = recoverWal({ disk: before, directory: DIRECTORY, checkpointIndex: 0 })!;
  const wal = Wal.resume({ ...world.options, disk: before }, recovery);
  assert.equal(wal.stats.rotationCount, 1);
  while (world.clock.step());
  wal.close();
  const { tail, lastIndex } = recoverWal({ disk: before, directory: DIRECTORY, checkpointIndex: 0 })!;
  assert.equal(lastIndex, world.wal.lastIndex - 1);
  assert.equal(tail.mark.endOffset, tail.replay.offset);
});

test("a clean end while a name is on its way leaves the right names and the mark at the end", () => {
  const { world, next } = beforeRotation();
  const end = rotate(world, next).next;
  world.wal.close();
  while (world.clock.step());
  const disk = world.disk.afterPowerLoss(NOTHING_SURVIVES);
  const { tail, lastIndex } = recoverWal({ disk, directory: DIRECTORY, checkpointIndex: 0 })!;
  assert.equal(lastIndex, end - 1);
  assert.ok(tail.segments.every(({ path }) => path.endsWith(".wal")));
  assert.deepEqual([tail.mark.lastSegment, tail.mark.endOffset], [2, tail.replay.offset]);
});

test("a spare that was filled is whole whenever its name is there", () => {
  for (let crash = 1; ; crash++) {
    const world = new LogWorld({ segmentSizeBytes: 1 << 19 });
    world.append(1, 600);
    world.disk.crashBefore = world.disk.callCount + crash;
    try {
      world.idle();
      assert.ok(crash > 8, "a spare takes several calls");
      break;
    } catch (error) {
      if (!(error instanceof PowerLossError)) throw error;
    }
    const disk = world.disk.afterPowerLoss({ prng: new Prng(crash), survivors: "random", tear: "byte" });
    for (const name of sparesOf(disk))
      assert.ok([1 << 16, 1 << 19].includes(sizeOf(disk, name)), `${name}: ${sizeOf(disk, name)}`);
  }
});
