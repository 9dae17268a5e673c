// A checkpoint whose bytes are anything, and one whose numbers are anything under checksums that fit: it is refused with
// CheckpointError, or it is a store that answers.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { checksum } from "../../io/disk/checksum.ts";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { SimulatedDisk } from "../../proof/simulator/disk.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { Prng } from "../base/prng.ts";
import {
  BLOCK_HEAD_BYTES,
  BLOCK_LAST,
  CheckpointError,
  MANIFEST_NAME,
  blockSum,
} from "./checkpoint-format.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import { SEGMENT_HEAD_BYTES } from "./slabs.ts";
import type { Store } from "./store.ts";
import { TestBench, bytes } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 1e9));
const RUN_COUNT = Number(process.env["HOLDFAST_RUNS"] ?? 1500);
const DIRECTORY = "data";
const MANIFEST = `${DIRECTORY}/${MANIFEST_NAME}`;
/** Numbers of the head, up to the size of the extra that follows it. */
const EXTRA_INDEX = 10;
/** Larger counts of keys and revisions are possible, and take the memory that they need. */
const NUMBER_MAX = 2 ** 16;

/** A disk with a small checkpoint: survivors, an old stream, several segments. */
function sample(): SimulatedDisk {
  const clock = new SimulatedClock();
  const disk = new SimulatedDisk({ clock, prng: new Prng(1) });
  disk.makeDirectory(DIRECTORY);
  const bench = new TestBench({ dataSegmentSizeBytes: 1024 }, { disk, directory: DIRECTORY });
  const prng = new Prng(3);
  const change = (count: number): void => {
    for (let i = 0; i < count; i++) {
      const key = bytes(`k${prng.below(20)}`);
      if (prng.chance(0.8)) bench.put({ key, value: bytes(`value ${i}`) });
      else bench.delete({ key });
    }
  };
  change(120);
  bench.compact(80);
  bench.finish();
  change(40);
  const done = (error: unknown): void => assert.equal(error, undefined);
  const options = { disk, directory: DIRECTORY, extra: bytes(""), done, wake: () => undefined };
  bench.housekeeping.checkpoint(options);
  while (bench.housekeeping.isCheckpointing) if (!bench.housekeeping.slice()) clock.step();
  return disk;
}

/** Undefined when it is refused. */
function load(disk: SimulatedDisk): Store | undefined {
  try {
    return loadCheckpoint({ disk, directory: DIRECTORY, hashSeed: 1, supersededBytesMax: 0 })!.store;
  } catch (error) {
    if (error instanceof CheckpointError) return undefined;
    throw error;
  }
}

/** Loads it; what comes back has to answer. Returns whether it was refused. */
function isRefused(disk: SimulatedDisk): boolean {
  const store = load(disk);
  if (store === undefined) return true;
  const bench = new TestBench();
  bench.adopt(store);
  const everything = { key: bytes("\0"), range_end: bytes("\0") };
  bench.range(everything);
  for (let back = 0; back < 60; back += 7)
    bench.range({ ...everything, revision: Math.max(1, store.revision - back) });
  bench.put({ key: bytes("k1"), value: bytes("after") });
  return false;
}

function replace(disk: SimulatedDisk, path: string, content: Uint8Array): void {
  disk.remove(path);
  disk.create(path, "bulk").write(content, 0, content.length, 0);
}

/** The manifest's numbers, out of its one block. */
function numbersOf(manifest: Uint8Array): number[] {
  const numbers: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of manifest.subarray(BLOCK_HEAD_BYTES)) {
    value += (byte & 0x7f) * scale;
    scale *= 128;
    if (byte >= 0x80) continue;
    numbers.push(value);
    value = 0;
    scale = 1;
  }
  return numbers;
}

function manifestOf(numbers: readonly number[]): Uint8Array {
  const writer = new ByteWriter();
  for (const number of numbers) writer.varint(number);
  const payload = writer.copy();
  const manifest = new Uint8Array(BLOCK_HEAD_BYTES + payload.length);
  const sum = blockSum(checksum, { kind: BLOCK_LAST, number: 0 }, payload);
  manifest.set(new Uint8Array(Uint32Array.of(BLOCK_LAST, payload.length, sum).buffer));
  manifest.set(payload, BLOCK_HEAD_BYTES);
  return manifest;
}

const mutation = fc.record({
  /** Where, as a part of the whole; early numbers are the interesting ones. */
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  kind: fc.integer({ min: 0, max: 6 }),
  value: fc.integer({ min: 0, max: NUMBER_MAX }),
});

type Mutation = { readonly place: number; readonly kind: number; readonly value: number };

function mutate(numbers: number[], { place, kind, value }: Mutation): void {
  const at = 2 + Math.floor((numbers.length - 2) * place * place);
  const old = numbers[at]!;
  if (kind === 0) numbers[at] = value;
  else if (kind === 1) numbers[at] = old + 1;
  else if (kind === 2) numbers[at] = Math.max(0, old - 1);
  else if (kind === 3) numbers[at] = numbers[value % numbers.length]! % NUMBER_MAX;
  else if (kind === 4) numbers[at] = value % 4;
  else if (kind === 5) numbers.splice(at, 1);
  else numbers.splice(at, 0, value % 300);
}

test("the sample is what the mutations think it is", () => {
  const disk = sample();
  const manifest = disk.content(MANIFEST);
  const numbers = numbersOf(manifest);
  assert.deepEqual(manifestOf(numbers), manifest);
  assert.equal(numbers[EXTRA_INDEX], 0);
  const { store } = loadCheckpoint({ disk, directory: DIRECTORY, hashSeed: 1, supersededBytesMax: 0 })!;
  assert.ok(store.revisions.survivors.length > 3);
  assert.ok(store.slabs.segments.length > 5);
  verifyStore(store);
});

test("any bytes for a manifest are refused", () => {
  const disk = sample();
  const property = fc.property(fc.uint8Array({ maxLength: 400 }), (content) => {
    const damaged = disk.copy();
    replace(damaged, MANIFEST, content);
    assert.ok(isRefused(damaged));
  });
  fc.assert(property, { seed: SEED, numRuns: 300, includeErrorInReport: true });
});

test("numbers that contradict each other under fitting checksums are refused, or harm nobody", () => {
  const disk = sample();
  const numbers = numbersOf(disk.content(MANIFEST));
  let refusedCount = 0;
  const property = fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
    const mutated = [...numbers];
    for (const each of mutations) mutate(mutated, each);
    const damaged = disk.copy();
    replace(damaged, MANIFEST, manifestOf(mutated));
    if (isRefused(damaged)) refusedCount++;
  });
  fc.assert(property, { seed: SEED, numRuns: RUN_COUNT, includeErrorInReport: true });
  assert.ok(refusedCount > RUN_COUNT / 2, `${refusedCount} of ${RUN_COUNT} were refused`);
});

// Keys are not compared with each other at a start: one that was changed is found by an assertion when it is met. So this
// is about the start alone: it ends, and in no other way than with an error that names the file.
test("records that contradict each other under fitting checksums are refused, or loaded", () => {
  const disk = sample();
  const numbers = numbersOf(disk.content(MANIFEST));
  const names = disk.list(DIRECTORY).filter((name) => name.endsWith(".seg"));
  const wordChange = fc.record({
    file: fc.nat({ max: names.length - 1 }),
    word: fc.nat({ max: 255 }),
    bit: fc.nat({ max: 31 }),
    value: fc.option(fc.nat({ max: NUMBER_MAX })),
  });
  const property = fc.property(fc.array(wordChange, { minLength: 1, maxLength: 3 }), (changes) => {
    const damaged = disk.copy();
    const mutated = [...numbers];
    for (const { file, word, bit, value } of changes) {
      const path = `${DIRECTORY}/${names[file]!}`;
      const content = damaged.content(path).slice();
      const words = new Uint32Array(content.buffer);
      const at = SEGMENT_HEAD_BYTES / 4 + (word % (words.length - SEGMENT_HEAD_BYTES / 4));
      const crc = checksum(content, 0, content.length);
      words[at] = value ?? (words[at]! ^ (1 << bit)) >>> 0;
      replace(damaged, path, content);
      // A segment of this size has one piece.
      const place = mutated.indexOf(crc);
      assert.ok(place > 0);
      mutated[place] = checksum(content, 0, content.length);
    }
    replace(damaged, MANIFEST, manifestOf(mutated));
    load(damaged);
  });
  fc.assert(property, { seed: SEED, numRuns: RUN_COUNT, includeErrorInReport: true });
});
