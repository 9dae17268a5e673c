import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { Load, type LoadOptions, type LoopMode, type Operations } from "./load.ts";
import { Schedule } from "./schedule.ts";
import { heatCell, Series, spikes } from "./series.ts";

test("schedule: fixed starts do not drift", () => {
  const schedule = new Schedule({ ratePerSecond: 3000, arrival: "fixed", prng: new Prng(1), firstUs: 500 });
  for (let i = 0; i < 300_000; i++) schedule.advance();
  assert.ok(Math.abs(schedule.nextUs - (500 + 100_000_000)) < 1e-3);
});

test("schedule: poisson starts keep the rate and vary as an exponential does", () => {
  const schedule = new Schedule({ ratePerSecond: 1000, arrival: "poisson", prng: new Prng(2), firstUs: 0 });
  const gaps: number[] = [];
  for (let i = 0; i < 20_000; i++) {
    const before = schedule.nextUs;
    schedule.advance();
    gaps.push(schedule.nextUs - before);
  }
  const mean = gaps.reduce((a, b) => a + b) / gaps.length;
  assert.ok(Math.abs(mean - 1000) < 30, String(mean));
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  assert.ok(Math.abs(deviation / mean - 1) < 0.05);
});

test("series: operations count in the second of their start, and an empty second shows the stall", () => {
  const series = new Series();
  series.record(100, 1000, false);
  series.record(900_000, 2_500_000, true);
  series.record(3_400_000, 1000, false);
  series.close(4);
  const seconds = series.seconds();
  assert.deepEqual(
    seconds.map((one) => one.operations),
    [1, 0, 0, 1],
  );
  assert.deepEqual(
    seconds.map((one) => one.errors),
    [1, 0, 0, 0],
  );
  assert.equal(seconds[1]!.meanUs, 2_500_000);
  assert.equal(spikes(seconds).worstSecondUs, 2_500_000);
  assert.equal(series.windows(2).length, 2);
  assert.equal(series.heat()[3]!.length, 1);
  assert.equal(heatCell(1024), 40);
});

const base: Omit<LoadOptions, "mode"> = {
  durationUs: Number.POSITIVE_INFINITY,
  operationsMax: Number.POSITIVE_INFINITY,
  warmupUs: 0,
  timeoutUs: 5_000_000,
  prng: new Prng(3),
  signal: new AbortController().signal,
};

/** A store that answers after `delayMs`, except where `fate` says otherwise. */
class FakeStore implements Operations {
  readonly kinds = ["op"];
  load: Load | undefined;
  started = 0;
  abandoned = 0;
  readonly #delayMs: (operation: number) => number | undefined;
  constructor(delayMs: (operation: number) => number | undefined) {
    this.#delayMs = delayMs;
  }
  start(slot: number): number {
    const delay = this.#delayMs(this.started++);
    if (delay !== undefined)
      setTimeout(() => this.load!.done(slot, delay < 0 ? "refused" : undefined), Math.abs(delay));
    return 0;
  }
  abandon(): void {
    this.abandoned++;
  }
}

async function drive(store: FakeStore, mode: LoopMode, options: Partial<LoadOptions>) {
  const load = new Load({ ...base, ...options, mode });
  store.load = load;
  return load.run(store);
}

const open = (ratePerSecond: number, slots = 1000): LoopMode => ({
  kind: "open",
  ratePerSecond,
  arrival: "fixed",
  slots,
  precise: false,
});

test("load: a closed loop ends after its operations, each counted once", async () => {
  const store = new FakeStore(() => 1);
  const result = await drive(store, { kind: "closed", clients: 10 }, { operationsMax: 95 });
  assert.equal(result.operations, 95);
  assert.equal(store.started, 95);
  assert.equal(result.errors, 0);
  assert.ok(result.latencies.min > 0);
});

test("load: a stall is charged to every operation that was due in it (no coordinated omission)", async () => {
  // All answers wait for the end of a stall of 200 ms, which begins with the first operation.
  let endMs = 0;
  const store = new FakeStore(() => {
    if (endMs === 0) endMs = performance.now() + 200;
    return Math.max(1, endMs - performance.now());
  });
  const result = await drive(store, open(500, 4), { operationsMax: 100 });
  assert.equal(result.operations, 100);
  // Only four slots, so a closed loop would have seen four slow operations; here all hundred were due and late.
  assert.ok(result.latencies.quantile(0.5) > 50_000, String(result.latencies.quantile(0.5)));
});

test("load: an open loop reports how late it started operations", async () => {
  const result = await drive(new FakeStore(() => 1), open(1000), { operationsMax: 100 });
  assert.equal(result.scheduleError.count, 100);
  assert.ok(result.scheduleError.quantile(0.5) < 50_000);
  assert.ok(result.seconds > 0.09);
});

test("load: errors count as errors and as latencies, and do not end the run", async () => {
  const result = await drive(
    new FakeStore((i) => (i % 2 === 0 ? -1 : 1)),
    { kind: "closed", clients: 2 },
    { operationsMax: 20 },
  );
  assert.equal(result.errors + result.operations, 20);
  assert.equal(result.errors, 10);
  assert.equal(result.latencies.count, 20);
  assert.deepEqual([...result.errorTexts], [["refused", 10]]);
});

test("load: an operation without an answer is given up on and counted", async () => {
  const store = new FakeStore((i) => (i === 0 ? undefined : 1));
  const result = await drive(
    store,
    { kind: "closed", clients: 2 },
    { operationsMax: 10, timeoutUs: 100_000 },
  );
  assert.equal(store.abandoned, 1);
  assert.equal(result.errors, 1);
  assert.ok(result.latencies.max >= 100_000);
});

test("load: warm-up is not measured", async () => {
  const result = await drive(
    new FakeStore(() => 1),
    { kind: "closed", clients: 1 },
    { warmupUs: 60_000, durationUs: 40_000 },
  );
  assert.ok(result.operations >= 5 && result.operations <= 41, String(result.operations));
});

test("load: an abort ends with what was seen", async () => {
  const controller = new AbortController();
  const store = new FakeStore((i) => {
    if (i === 20) controller.abort();
    return 1;
  });
  // With two slots the twentieth starts when eighteen have ended.
  const result = await drive(store, open(1000, 2), { signal: controller.signal });
  assert.equal(result.aborted, true);
  assert.ok(result.operations > 10);
});

test("load: what was due and never found a slot is a failure, not forgotten", async () => {
  const store = new FakeStore(() => undefined);
  const result = await drive(store, open(100, 1), { durationUs: 200_000, timeoutUs: 150_000 });
  assert.equal(result.operations, 0);
  assert.ok(result.errors >= 19 && result.errors <= 21, String(result.errors));
});
