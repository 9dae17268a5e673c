import assert from "node:assert/strict";
import { test } from "node:test";
import type { SeedResult } from "./run-seed.ts";
import { rerun } from "./sweep.ts";

/** A thread that answers at once, with the seed as the trace. */
const ECHO = new URL(
  `data:text/javascript,${encodeURIComponent(`
    import { parentPort } from "node:worker_threads";
    parentPort.on("message", ({ seed }) => parentPort.postMessage({ seed, traceHash: String(seed) }));
  `)}`,
);

function results(count: number): SeedResult[] {
  return Array.from(
    { length: count },
    (_, i) => ({ seed: i, traceHash: i === 3 ? "other" : String(i) }) as SeedResult,
  );
}

test("seeds are run again, and one that gives another trace is told", async () => {
  const { strays, rerunCount } = await rerun(results(7), {
    ...{ workerCount: 2, worker: ECHO },
    isHurried: () => false,
  });
  assert.equal(rerunCount, 7);
  assert.deepEqual(
    strays.map(({ seed, violation }) => [seed, violation!.oracle]),
    [[3, "determinism"]],
  );
});

test("who is interrupted waits for one seed per thread that is run again, not for all", async () => {
  const hurried = await rerun(results(40), { workerCount: 2, worker: ECHO, isHurried: () => true });
  assert.equal(hurried.rerunCount, 2);
  let asked = 0;
  const later = await rerun(results(40), { workerCount: 2, worker: ECHO, isHurried: () => ++asked > 10 });
  assert.ok(later.rerunCount <= 11, String(later.rerunCount));
});
