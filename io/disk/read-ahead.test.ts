import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { SimulatedDisk } from "../../proof/simulator/disk.ts";
import type { FileAhead, ReadAhead } from "../../core/base/ports.ts";
import { Prng } from "../../core/base/prng.ts";
import { CheckpointError } from "../../core/mvcc/checkpoint-format.ts";
import { loadCheckpoint } from "../../core/mvcc/load-checkpoint.ts";
import { bytes, TestBench } from "../../core/mvcc/test-bench.ts";
import { NodeDisk } from "./node-disk.ts";
import { checksum } from "./checksum.ts";
import {
  CLAIMED,
  FILES_AHEAD,
  FIRST_FILE,
  FREE,
  SharedReading,
  startReader,
  startReadAhead,
} from "./read-ahead.ts";

const root = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-read-ahead-"));
after(() => fs.rmSync(root, { recursive: true, force: true }));

const FILE_COUNT = 3 * FILES_AHEAD;
const SIZE_BYTES = 40_000;
const ENDS = [16_384, 32_768, SIZE_BYTES - 8];

/** Files of different contents; the memory is larger than what is read. */
function someFiles(folder: string): FileAhead[] {
  fs.mkdirSync(path.join(root, folder));
  return Array.from({ length: FILE_COUNT }, (_, i) => {
    const name = `${folder}/${i}`;
    fs.writeFileSync(path.join(root, name), contentOf(i));
    return { path: name, capacityBytes: SIZE_BYTES + 1000, ends: ENDS };
  });
}

function contentOf(index: number): Uint8Array {
  return new Uint8Array(SIZE_BYTES).map((_, at) => at * 31 + index);
}

function checkContent(ahead: ReadAhead, index: number): void {
  const { buffer, sums } = ahead.take(index)!;
  const expected = contentOf(index);
  assert.equal(buffer.byteLength, SIZE_BYTES + 1000);
  assert.deepEqual(new Uint8Array(buffer, 0, ENDS[2]), expected.subarray(0, ENDS[2]));
  assert.ok(new Uint8Array(buffer, ENDS[2]).every((byte) => byte === 0));
  assert.deepEqual(
    [...sums],
    ENDS.map((end, i) => checksum(expected, i === 0 ? 0 : ENDS[i - 1]!, end)),
  );
}

test("files come with their contents and checksums, whichever thread has read them", () => {
  const ahead = startReadAhead(root, someFiles("all"))!;
  for (let i = 0; i < FILE_COUNT; i++) checkContent(ahead, i);
  ahead.close();
});

test("the worker reads so many files ahead, and waits until the first of them is taken", () => {
  const ahead = new SharedReading(root, someFiles("bound"), startReader()!);
  const { state } = ahead;
  const waitFor = (index: number): void => {
    for (const before of [FREE, CLAIMED])
      assert.notEqual(Atomics.wait(state, FIRST_FILE + index, before, 30_000), "timed-out");
  };
  for (let index = 0; index < FILES_AHEAD; index++) waitFor(index);
  assert.ok(state.subarray(FIRST_FILE + FILES_AHEAD).every((each) => each === FREE));
  checkContent(ahead, 0);
  checkContent(ahead, 1);
  waitFor(FILES_AHEAD);
  ahead.close();
});

test("files may be passed over, and nothing is read any more after the end", () => {
  const ahead = startReadAhead(root, someFiles("some"))!;
  for (let i = 2; i < FILE_COUNT - 5; i += 7) checkContent(ahead, i);
  ahead.close();
});

test("a file that is missing or too short is left to the caller, those behind it are not", () => {
  const files = someFiles("faults");
  fs.rmSync(path.join(root, files[1]!.path));
  fs.truncateSync(path.join(root, files[3]!.path), ENDS[2]! - 1);
  fs.rmSync(path.join(root, files[FILE_COUNT - 1]!.path));
  fs.mkdirSync(path.join(root, files[FILE_COUNT - 1]!.path));
  const ahead = startReadAhead(root, files)!;
  for (let i = 0; i < FILE_COUNT; i++) {
    if (i === 1 || i === 3 || i === FILE_COUNT - 1) assert.equal(ahead.take(i), undefined);
    else checkContent(ahead, i);
  }
  ahead.close();
});

test("a reader that was prepared ends, whether or not files follow", async () => {
  for (const count of [FILE_COUNT, 2]) {
    const reader = startReader()!;
    const ended = new Promise((resolve) => reader.once("exit", resolve));
    const files = someFiles(`prepared ${count}`).slice(0, count);
    const ahead = startReadAhead(root, files, reader);
    assert.equal(ahead === undefined, count === 2);
    if (ahead !== undefined) for (let i = 0; i < count; i++) checkContent(ahead, i);
    ahead?.close();
    reader.ref();
    await ended;
  }
});

test("a few files are not worth a thread", () => {
  assert.equal(startReadAhead(root, someFiles("few").slice(0, 2)), undefined);
});

/** A checkpoint of many segments on a real disk; what writes it is simulated time. */
function writeCheckpoint(disk: NodeDisk, directory: string): void {
  const clock = new SimulatedClock();
  const source = new SimulatedDisk({ clock, prng: new Prng(1) });
  source.makeDirectory("data");
  const bench = new TestBench({ dataSegmentSizeBytes: 1024 }, { disk: source, directory: "data" });
  for (let i = 0; i < 1500; i++) bench.put({ key: bytes(`k${i % 60}`), value: bytes(`value ${i}`) });
  bench.compact(300);
  bench.finish();
  const done = (error: unknown): void => assert.equal(error, undefined);
  bench.housekeeping.checkpoint({
    disk: source,
    directory: "data",
    extra: bytes(""),
    done,
    wake: () => undefined,
  });
  while (bench.housekeeping.isCheckpointing) if (!bench.housekeeping.slice()) clock.step();
  disk.makeDirectory(directory);
  for (const name of source.list("data"))
    fs.writeFileSync(path.join(root, directory, name), source.content(`data/${name}`));
}

test("a checkpoint loads, and damage is refused in the same words, whether or not files are read ahead", async () => {
  const disk = new NodeDisk(root, { direct: false });
  const plainDisk = new NodeDisk(root, { direct: false });
  plainDisk.readAhead = () => undefined;
  writeCheckpoint(disk, "data");
  const load = (from: NodeDisk): string => {
    const options = { disk: from, directory: "data", hashSeed: 1, supersededBytesMax: 0 };
    try {
      return `revision ${loadCheckpoint(options)!.store.revision}`;
    } catch (error) {
      assert.ok(error instanceof CheckpointError);
      return `${error.code} ${error.message}`;
    }
  };
  assert.equal(load(disk), "revision 1501");
  const names = fs.readdirSync(path.join(root, "data")).filter((name) => name.endsWith(".seg"));
  assert.ok(names.length > 2 * FILES_AHEAD);
  // Read by the main thread, which need not wait for the worker to start; and by whoever is first.
  for (const i of [0, FILES_AHEAD - 1, names.length - 1]) {
    const name = names[i]!;
    const full = path.join(root, "data", name);
    const content = fs.readFileSync(full);
    const damaged = Buffer.from(content);
    damaged[(i * 97) % damaged.length]! ^= 1 << (i % 8);
    for (const damage of [damaged, content.subarray(0, content.length - 8), undefined]) {
      if (damage === undefined) fs.rmSync(full);
      else fs.writeFileSync(full, damage);
      const refusal = load(disk);
      assert.match(refusal, new RegExp(`^damaged .*${name}`));
      assert.equal(refusal, load(plainDisk));
    }
    fs.writeFileSync(full, content);
  }
  assert.equal(load(disk), "revision 1501");
  await Promise.all([disk.close(), plainDisk.close()]);
});
