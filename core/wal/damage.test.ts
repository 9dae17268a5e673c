// Damage in what was acknowledged is always refused, and never read as something else.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { SimulatedDisk } from "../../proof/simulator/disk.ts";
import { LogModel } from "../../proof/simulator/log-model.ts";
import { LOG_DIRECTORY, LogScenario } from "../../proof/simulator/log-scenario.ts";
import { Prng } from "../base/prng.ts";
import { recoverWal, type Recovery } from "./recover.ts";
import { Wal } from "./wal.ts";
import { WalError } from "./wal-error.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? 1);
const SECTOR_BYTES = 512;
const NO_DATA = new Uint8Array(0);

interface Log {
  readonly disk: SimulatedDisk;
  readonly model: LogModel;
  readonly segments: readonly { path: string; endOffset: number }[];
  /** In the last segment. */
  readonly lastBatchOffset: number;
  readonly prng: Prng;
}

/** A log of several segments, some of them recycled; marked by a clean end, or cut off by a power loss. */
function makeLog(options: { seed: number; isMarked: boolean; alignmentBytes?: number }): Log {
  const { seed, isMarked, alignmentBytes = 1 } = options;
  const clock = new SimulatedClock();
  const prng = new Prng(seed);
  const disk = new SimulatedDisk({ clock, prng: prng.split("disk"), alignmentBytes });
  const model = new LogModel();
  const scenario = new LogScenario({ disk, clock, model, seed, segmentSizeBytes: 16384 });
  scenario.create();
  scenario.append(40);
  scenario.checkpoint();
  scenario.append(30);
  scenario.checkpoint();
  scenario.append(60);
  while (!isLongEnough(recover(disk.copy(), model)!)) scenario.append(5);
  if (isMarked) scenario.close();
  const after = disk.afterPowerLoss({ prng, survivors: "all", tear: "sector" });
  const recovery = recover(after, model)!;
  return {
    disk: after,
    model,
    segments: segmentsOf(after, recovery),
    lastBatchOffset: recovery.tail.replay.batchOffset,
    prng,
  };
}

/** Several segments, and sectors with a batch behind them in the last one. */
function isLongEnough({ tail }: Recovery): boolean {
  return tail.segments.length >= 3 && tail.replay.batchOffset >= 2048;
}

function segmentsOf(disk: SimulatedDisk, recovery: Recovery): { path: string; endOffset: number }[] {
  const { segments, replay } = recovery.tail;
  return segments.map((segment, number) => ({
    path: segment.path,
    endOffset: number === segments.length - 1 ? replay.offset : endOf(disk.content(segment.path)),
  }));
}

/** Where the frames of a full segment end. */
function endOf(content: Uint8Array): number {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  let at = 0;
  while (at + 8 <= content.length) {
    const low = view.getUint32(at, true);
    const padCount = (view.getUint32(at + 4, true) >>> 24) & 7;
    if (low === 0) break;
    at += 8 + low + padCount;
  }
  return at;
}

function recover(disk: SimulatedDisk, model: LogModel): Recovery | undefined {
  return recoverWal({ disk, directory: LOG_DIRECTORY, checkpointIndex: model.checkpointIndex });
}

function assertRefused(log: Log, what: string, damage: (disk: SimulatedDisk) => void): WalError {
  const disk = log.disk.copy();
  damage(disk);
  try {
    recover(disk, log.model);
  } catch (error) {
    assert.ok(error instanceof WalError, `${what}: ${String(error)}`);
    assert.equal(error.code, "damaged");
    return error;
  }
  return assert.fail(`seed ${SEED}: ${what} was not noticed`);
}

/**
 * Damage that cannot be told from a tear (docs/internals/wal.md, "What is detected"): in the last batch, a bit that clears the last
 * byte of what its sector holds. A write that was torn just before that byte leaves the same.
 */
function looksTorn(log: Log, offset: number, bit: number): boolean {
  const { path, endOffset } = log.segments.at(-1)!;
  if (offset < log.lastBatchOffset) return false;
  const content = log.disk.content(path);
  const sectorEnd = (Math.floor(offset / SECTOR_BYTES) + 1) * SECTOR_BYTES;
  const behind = content.subarray(offset + 1, Math.min(sectorEnd, endOffset));
  return content[offset] === 1 << bit && behind.every((byte) => byte === 0);
}

for (const isMarked of [true, false]) {
  for (const alignmentBytes of [1, 512, 4096]) {
    const how = `${isMarked ? "after a clean end" : "after a power loss"}, alignment ${alignmentBytes}`;
    test(`a flipped bit anywhere in the log is refused, ${how}`, () => {
      const log = makeLog({ seed: SEED, isMarked, alignmentBytes });
      for (const { path, endOffset } of log.segments) {
        for (let offset = 0; offset < endOffset; offset += log.prng.between(1, 110)) {
          const bit = log.prng.below(8);
          if (!isMarked && path === log.segments.at(-1)!.path && looksTorn(log, offset, bit)) continue;
          assertRefused(log, `bit ${bit} of byte ${offset} of ${path} (end ${endOffset})`, (disk) =>
            disk.flipBit(path, offset, bit),
          );
        }
      }
    });
  }
}

test("every bit of the last 200 bytes is covered, without a mark too", () => {
  const log = makeLog({ seed: SEED, isMarked: false });
  const { path, endOffset } = log.segments.at(-1)!;
  for (let offset = endOffset - 200; offset < endOffset; offset++) {
    for (let bit = 0; bit < 8; bit++) {
      if (looksTorn(log, offset, bit)) continue;
      assertRefused(log, `bit ${bit} of byte ${offset} (end ${endOffset})`, (disk) =>
        disk.flipBit(path, offset, bit),
      );
    }
  }
});

test("a bit that makes a length word zero, and so the log's end, is refused without a mark too", () => {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk({ clock, prng: new Prng(SEED) });
  const wal = Wal.create(
    { disk, directory: LOG_DIRECTORY, segmentSizeBytes: 16384, clock },
    {
      metadata: { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } },
      logId: { hi: SEED, lo: 6 },
    },
  );
  const recoverCopy = (copy: SimulatedDisk): Recovery =>
    recoverWal({ disk: copy, directory: LOG_DIRECTORY, checkpointIndex: 0 })!;
  // An entry without data, whose checksum takes five bytes, is a record of 16 bytes.
  const lengthAt = (): number => recoverCopy(disk.copy()).tail.replay.offset - 8 - 16;
  const path = `${LOG_DIRECTORY}/${disk.list(LOG_DIRECTORY).find((name) => name.endsWith(".wal"))!}`;
  do {
    wal.beginBatch(undefined);
    wal.entry(0, 1, wal.lastIndex + 1, NO_DATA, 0, 0);
    wal.commitBatch(() => {});
  } while (disk.content(path)[lengthAt()] !== 16 || lengthAt() % SECTOR_BYTES > SECTOR_BYTES - 24);
  const damagedDisk = disk.copy();
  damagedDisk.flipBit(path, lengthAt(), 4);
  assert.throws(() => recoverCopy(damagedDisk), /a bit of the last record has changed/);
});

test("a zeroed sector, a zeroed page and a cut file are refused in all of the log", () => {
  const log = makeLog({ seed: SEED, isMarked: true });
  for (const { path, endOffset } of log.segments) {
    const content = log.disk.content(path);
    for (const size of [SECTOR_BYTES, 4096]) {
      for (let start = 0; start < endOffset; start += size) {
        assert.ok(content.subarray(start, Math.min(start + size, endOffset)).some((byte) => byte !== 0));
        assertRefused(log, `zeros at ${start} of ${path}`, (disk) =>
          disk.zero(path, start, Math.min(start + size, content.length)),
        );
      }
    }
    for (let size = 0; size < content.length; size += log.prng.between(1, 1500)) {
      assertRefused(log, `${path} cut to ${size}`, (disk) => disk.cut(path, size));
    }
  }
});

test("without a mark a zeroed sector is refused wherever a batch begins behind it (S4)", () => {
  const log = makeLog({ seed: SEED, isMarked: false });
  const { path } = log.segments.at(-1)!;
  for (let start = 0; start + SECTOR_BYTES <= log.lastBatchOffset; start += SECTOR_BYTES) {
    assertRefused(log, `zeros at ${start}, the last batch opens at ${log.lastBatchOffset}`, (disk) =>
      disk.zero(path, start, start + SECTOR_BYTES),
    );
  }
});

test("a write that went to another place of the log is refused (S14)", () => {
  // Aligned, so that a page holds whole frames and could be read where it does not belong.
  const log = makeLog({ seed: SEED, isMarked: true, alignmentBytes: 4096 });
  const pages = log.segments.flatMap(({ path, endOffset }) =>
    Array.from({ length: Math.ceil(endOffset / 4096) }, (_, page) => ({ path, start: page * 4096 })),
  );
  assert.ok(pages.length > 8);
  let triedCount = 0;
  for (const from of pages) {
    const moved = log.disk.content(from.path).slice(from.start, from.start + 4096);
    for (const to of pages) {
      const there = log.disk.content(to.path).subarray(to.start, to.start + 4096);
      if (moved.length !== there.length || moved.every((byte, i) => byte === there[i])) continue;
      triedCount++;
      assertRefused(log, `${from.path} ${from.start} written to ${to.path} ${to.start}`, (disk) => {
        const file = disk.open(to.path, "log");
        file.write(moved, 0, moved.length, to.start);
        file.sync();
        file.close();
      });
    }
  }
  assert.ok(triedCount > 50, `${triedCount} places`);
});

test("a segment under the name of another one is refused (S14)", () => {
  const log = makeLog({ seed: SEED, isMarked: true });
  const [first, second] = log.segments;
  const swapped = log.disk.content(second!.path).slice();
  assertRefused(log, "the second segment's bytes in the first one", (disk) => {
    const file = disk.open(first!.path, "log");
    file.write(swapped, 0, swapped.length, 0);
    file.sync();
    file.close();
  });
});

test("a missing segment is refused and named", () => {
  const log = makeLog({ seed: SEED, isMarked: true });
  for (const { path } of log.segments) {
    const error = assertRefused(log, `${path} is missing`, (disk) => disk.lose(path));
    assert.match(error.message, /log segment \d+ is missing/);
    assert.match(error.message, /remove this member and add it again/);
    assert.equal(error.file, path.replace(/-[0-9a-f]{16}\.wal$/, "-*.wal"));
  }
});

test("a missing or unreadable mark is refused, one damaged slot of it is not", () => {
  const log = makeLog({ seed: SEED, isMarked: true });
  const mark = `${LOG_DIRECTORY}/durable-mark`;
  assertRefused(log, "the mark is missing", (disk) => disk.lose(mark));
  assertRefused(log, "the mark is zero", (disk) => disk.zero(mark, 0, 8192));
  for (let offset = 0; offset < 8192; offset += offset % 4096 < 64 ? 1 : 61) {
    const disk = log.disk.copy();
    disk.flipBit(mark, offset, offset % 8);
    log.model.check(recover(disk, log.model));
  }
});

test("the checkpoint's index is one more witness", () => {
  const log = makeLog({ seed: SEED, isMarked: false });
  const recovery = recover(log.disk, log.model)!;
  assert.throws(
    () => recoverWal({ disk: log.disk, directory: LOG_DIRECTORY, checkpointIndex: recovery.lastIndex + 1 }),
    /the log ends at index \d+, before the checkpoint/,
  );
});

test("damage behind the end changes nothing that is read", () => {
  const log = makeLog({ seed: SEED, isMarked: false, alignmentBytes: 4096 });
  const { path, endOffset } = log.segments.at(-1)!;
  const size = log.disk.content(path).length;
  for (let offset = endOffset + 8; offset < size; offset += 97) {
    const disk = log.disk.copy();
    disk.flipBit(path, offset, offset % 8);
    log.model.check(recover(disk, log.model));
  }
});
