import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { type DiskDone, DiskError, type DiskFile } from "../../core/base/ports.ts";
import { recoverWal } from "../../core/wal/recover.ts";
import { Wal } from "../../core/wal/wal.ts";
import { systemClock } from "../clock.ts";
import { openDataDirectory } from "./data-directory.ts";
import { DirectoryLockedError } from "./directory-lock.ts";
import { NodeDisk } from "./node-disk.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-disk-"));
const disks = [
  { name: "past the page cache where that works", disk: new NodeDisk(path.join(root, "direct")) },
  { name: "through the page cache", disk: new NodeDisk(path.join(root, "plain"), { direct: false }) },
];

after(async () => {
  for (const { disk } of disks) await disk.close();
  fs.rmSync(root, { recursive: true, force: true });
});

function written(file: DiskFile, source: Uint8Array, offset: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const done: DiskDone = (error) => (error === undefined ? resolve() : reject(error));
    file.writeAndSync(source, 0, source.length, offset, done);
  });
}

for (const { name, disk } of disks) {
  test(`files hold what was written, in both lanes, ${name}`, async () => {
    disk.makeDirectory("a/b");
    for (const lane of ["log", "bulk"] as const) {
      const file = disk.create(`a/b/${lane}`, lane);
      file.truncate(20_000);
      const block = disk.allocate(8192).fill(1);
      file.write(block, 0, 8192, 4096);
      file.write(Buffer.from("unaligned"), 0, 9, 13);
      file.sync();
      await Promise.all([
        written(file, disk.allocate(4096).fill(2), 8192),
        written(file, Buffer.from("x"), 19_000),
      ]);
      const read = new Uint8Array(30_000);
      assert.equal(file.read(read, 0, 30_000, 0), 20_000);
      assert.equal(Buffer.from(read.subarray(13, 22)).toString(), "unaligned");
      assert.deepEqual(
        [read[4095], read[4096], read[8191], read[8192], read[12_287], read[12_288], read[19_000]],
        [0, 1, 1, 2, 2, 0, 120],
      );
      file.close();
      assert.equal(
        fs.statSync(path.join(root, disk === disks[0]!.disk ? "direct" : "plain", "a/b", lane)).mode & 0o777,
        0o600,
      );
    }
    disk.rename("a/b/log", "a/b/renamed");
    disk.syncDirectory("a/b");
    assert.deepEqual(disk.list("a/b"), ["bulk", "renamed"]);
    assert.deepEqual(disk.list("missing"), []);
  });

  test(`faults are DiskError with the system's code, ${name}`, () => {
    assert.throws(
      () => disk.open("missing", "log"),
      (error: unknown) => error instanceof DiskError && error.code === "ENOENT",
    );
    disk.create("once", "log").close();
    assert.throws(
      () => disk.create("once", "log"),
      (error: unknown) => error instanceof DiskError && error.code === "EEXIST",
    );
  });

  test(`operations of a lane end in order and never within the call, ${name}`, async () => {
    const file = disk.create("order", "bulk");
    const order: number[] = [];
    let pending = 5;
    await new Promise<void>((resolve) => {
      for (let i = 0; i < 5; i++) {
        file.writeAndSync(new Uint8Array(10), 0, 10, i * 10, () => {
          order.push(i);
          if (--pending === 0) resolve();
        });
      }
      assert.deepEqual(order, []);
      assert.equal(disk.bulkPendingCount, 5);
    });
    assert.deepEqual(order, [0, 1, 2, 3, 4]);
    assert.equal(disk.bulkPendingCount, 0);
    file.close();
  });

  test(`writes of the bulk lane that are under way together, and one after them, write their own bytes, ${name}`, async () => {
    const file = disk.create("together", "bulk");
    const sizes = [10, 1024 * 1024, 3 * 1024 * 1024, 5];
    const all = sizes.reduce((sum, size) => sum + size, 0);
    for (const round of [1, 2]) {
      let offset = 0;
      await Promise.all(
        sizes.map((size, i) => {
          const write = written(file, new Uint8Array(size).fill(round * 10 + i), offset);
          offset += size;
          return write;
        }),
      );
      const read = Buffer.alloc(all);
      assert.equal(file.read(read, 0, all, 0), all);
      const expected = Buffer.concat(sizes.map((size, i) => Buffer.alloc(size, round * 10 + i)));
      assert.ok(read.equals(expected));
    }
    file.close();
  });

  test(`a log lives through restarts, ${name}`, async () => {
    const options = { disk, directory: "member/wal", segmentSizeBytes: 64 * 1024, clock: systemClock };
    const identity = {
      metadata: { memberId: { hi: 1, lo: 2 }, clusterId: { hi: 3, lo: 4 } },
      logId: { hi: 5, lo: 6 },
    };
    let wal = Wal.create(options, identity);
    for (let life = 0; life < 4; life++) {
      for (let i = 0; i < 60; i++) {
        const data = Buffer.from(`entry ${wal.lastIndex + 1} `.repeat(30));
        wal.beginBatch(undefined);
        wal.entry(0, 1, wal.lastIndex + 1, data, 0, data.length);
        await new Promise<void>((resolve) => {
          if (wal.commitBatch((error) => (assert.equal(error, undefined), resolve()))) resolve();
        });
      }
      if (life % 2 === 0) wal.close(); // otherwise as after a kill
      await disk.settled();
      const recovery = recoverWal({ disk, directory: "member/wal", checkpointIndex: 0 })!;
      assert.equal(recovery.lastIndex, 60 * (life + 1));
      const { log } = recovery.entries;
      const last = log.bytes(log.lastIndex).subarray(log.start(log.lastIndex), log.end(log.lastIndex));
      assert.equal(Buffer.from(last).toString(), `entry ${recovery.lastIndex} `.repeat(30));
      wal = Wal.resume(options, recovery);
    }
    wal.close();
  });
}

for (const { name, disk } of disks) {
  test(`names change in order and in the background, ${name}`, async () => {
    disk.makeDirectory("names");
    for (const file of ["a", "b"]) disk.create(`names/${file}`, "log").close();
    const ended: string[] = [];
    const done = (what: string) => (error: DiskError | undefined) => void ended.push(error?.code ?? what);
    disk.changeNames(
      "names",
      [
        { kind: "rename", from: "names/a", to: "names/c" },
        { kind: "remove", path: "names/b" },
        { kind: "rename", from: "names/c", to: "names/b" },
      ],
      done("first"),
    );
    disk.changeNames("names", [{ kind: "remove", path: "names/missing" }], done("second"));
    disk.changeNames("names", [{ kind: "rename", from: "names/b", to: "names/d" }], done("third"));
    assert.deepEqual(ended, []);
    await disk.settled();
    assert.deepEqual(ended, ["first", "ENOENT", "third"]);
    assert.deepEqual(disk.list("names"), ["d"]);
  });

  test(`a filled file has its blocks, zeros in them, and a file may be closed while it is synced, ${name}`, async () => {
    const full = path.join(root, disk === disks[0]!.disk ? "direct" : "plain", "filled");
    const file = disk.create("filled", "bulk");
    for (const offset of [0, 131_072])
      await new Promise<void>((resolve, reject) => {
        file.fill(offset, 131_072, (error) => (error === undefined ? resolve() : reject(error)));
      });
    const log = disk.open("filled", "log");
    const ended: (DiskError | undefined)[] = [];
    log.syncLater((error) => ended.push(error));
    log.close();
    file.close();
    assert.deepEqual(ended, []);
    await disk.settled();
    assert.deepEqual(ended, [undefined]);
    const { size, blocks } = fs.statSync(full);
    assert.equal(size, 262_144);
    assert.ok(blocks * 512 >= 262_144, "nothing has to be allocated");
    assert.ok(fs.readFileSync(full).every((byte) => byte === 0));
  });
}

test("the smallest direct writes are durable at their place and leave their neighbours alone", async (t) => {
  const { disk } = disks[0]!;
  const unit = disk.alignmentBytes;
  if (unit === 1) return t.skip("no direct writes here");
  assert.ok(unit === 512 || unit === 4096, `${unit}`);
  const file = disk.create("units", "log");
  const count = 24;
  file.write(disk.allocate(count * unit).fill(255), 0, count * unit, 0);
  file.sync();
  const source = disk.allocate(2 * unit);
  for (let i = 1; i < count; i += 2) {
    source.fill(i, unit);
    // From within the memory, as the log's groups are.
    if (i % 4 === 1) file.write(source, unit, 2 * unit, i * unit);
    else
      await new Promise<void>((resolve) =>
        file.writeAndSync(source, unit, 2 * unit, i * unit, () => resolve()),
      );
  }
  const read = new Uint8Array(count * unit);
  file.read(read, 0, read.length, 0);
  for (let i = 0; i < count; i++)
    assert.ok(
      read.subarray(i * unit, (i + 1) * unit).every((byte) => byte === (i % 2 === 0 ? 255 : i)),
      `unit ${i}`,
    );
  file.close();
});

test("a data directory is opened by one at a time", async () => {
  const name = path.join(root, "data");
  const directory = await openDataDirectory(name);
  await assert.rejects(openDataDirectory(name), DirectoryLockedError);
  await directory.close();
  await (await openDataDirectory(name)).close();
});
