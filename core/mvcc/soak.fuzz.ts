import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { SimulatedDisk } from "../../proof/simulator/disk.ts";
import { Prng } from "../base/prng.ts";
import { loadCheckpoint } from "./load-checkpoint.ts";
import type { Answer } from "./slow-model.ts";
import { TestBench, bytes } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

/** Small enough that most of it is on disk only. */
const SUPERSEDED_BYTES_MAX = 100_000;

const EVERYTHING = { key: bytes("\0"), range_end: bytes("\0"), keys_only: true };

/** Enough keys and revisions to cross the chunks of columns and lists, with all housekeeping going on beside. */
class Soak {
  readonly clock = new SimulatedClock();
  readonly prng: Prng;
  readonly disk: SimulatedDisk;
  readonly bench: TestBench;
  readonly versions: Map<string, number> = new Map();
  readonly #keyCount: number;

  constructor(seed: number, keyCount: number) {
    this.prng = new Prng(seed);
    this.#keyCount = keyCount;
    this.disk = new SimulatedDisk({ clock: this.clock, prng: new Prng(seed) });
    this.disk.makeDirectory("data");
    const limits = { dataSegmentSizeBytes: 1 << 15, supersededBytesMax: SUPERSEDED_BYTES_MAX };
    this.bench = new TestBench(limits, { disk: this.disk, directory: "data" });
  }

  change(): void {
    const { prng, bench, versions } = this;
    const key = `/registry/${prng.below(3)}/${prng.below(this.#keyCount)}`;
    if (prng.chance(0.75)) {
      bench.put({ key: bytes(key), value: bytes("value") });
      versions.set(key, (versions.get(key) ?? 0) + 1);
    } else {
      bench.delete({ key: bytes(key) });
      versions.delete(key);
    }
    if (prng.chance(0.0005)) bench.compact(bench.store.revision - prng.below(2000));
    if (prng.chance(0.0005)) this.begin();
    if (prng.chance(0.02) && !bench.housekeeping.slice()) this.clock.step();
  }

  begin(): void {
    const done = (error: unknown): void => assert.equal(error, undefined);
    const options = { disk: this.disk, directory: "data", extra: bytes(""), done, wake: () => undefined };
    this.bench.housekeeping.checkpoint(options);
  }

  end(): void {
    const { housekeeping } = this.bench;
    while (housekeeping.slice() || housekeeping.isCheckpointing)
      if (housekeeping.isCheckpointing) this.clock.step();
  }

  compare(): void {
    verifyStore(this.bench.store);
    const answer = this.bench.range(EVERYTHING) as Answer;
    assert.deepEqual(
      answer.kvs!.map((kv) => [kv.key, kv.version]),
      [...this.versions].sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }

  restart(): void {
    this.end();
    this.begin();
    this.end();
    const options = { directory: "data", hashSeed: 1, supersededBytesMax: SUPERSEDED_BYTES_MAX };
    this.bench.adopt(loadCheckpoint({ disk: this.disk, ...options })!.store);
  }
}

test("thousands of keys and revisions with compactions, checkpoints and restarts in between", () => {
  const seed = Math.floor(Math.random() * 1e9);
  console.log(`seed ${seed}`);
  const soak = new Soak(seed, 6000);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 12_000; i++) soak.change();
    soak.end();
    soak.compare();
    soak.restart();
    soak.compare();
  }
});
