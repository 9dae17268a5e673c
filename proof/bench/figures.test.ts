import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { type FigurePlan, figureResult, lowest, partsResult, rowResult } from "./figures.ts";

const latency: FigurePlan = {
  name: "p50",
  unit: "us",
  better: "lower",
  demands: { gate: { ratio: 0.8 }, target: { ratio: 0.6 }, stretch: { value: 100 } },
};
const rate: FigurePlan = {
  name: "rate",
  unit: "/s",
  better: "higher",
  demands: { gate: { ratio: 2 } },
  perRival: { zookeeper: { gate: { ratio: 1.5 }, target: { ratio: 2.2 } } },
};

function result(plan: FigurePlan, ours: number[], rivals: Record<string, number[]>) {
  return figureResult(plan, { ours, rivals: new Map(Object.entries(rivals)) }, new Prng(1));
}

test("figures: a level is met only with those below it", () => {
  assert.equal(result(latency, [500, 510, 505], { etcd: [1000, 1010, 990] }).met, "target");
  assert.equal(result(latency, [790], { etcd: [1000] }).met, "gate");
  assert.equal(result(latency, [900], { etcd: [1000] }).met, null);
  assert.equal(result(latency, [90], { etcd: [1000] }).met, "stretch");
  assert.equal(result(latency, [90], { etcd: [100] }).met, null, "a stretch without the gate is nothing");
});

test("figures: against several rivals the hardest one counts, each by its own demands", () => {
  const figure = result(rate, [30_000], { etcd: [10_000], zookeeper: [16_000] });
  assert.deepEqual(
    figure.against.map((one) => one.met),
    ["stretch", "gate"],
  );
  assert.equal(figure.met, "gate");
  assert.equal(figure.against[0]!.ratio, 3);
});

test("figures: without a rival no ratio is met, values are", () => {
  assert.equal(result(latency, [90], {}).met, null);
  assert.equal(
    result({ ...latency, demands: { gate: { value: 300 }, target: { value: 250 } } }, [260], {}).met,
    "gate",
  );
});

test("figures: a row is as good as its worst figure, and names it", () => {
  const good = result(latency, [500], { etcd: [1000] });
  const bad = { ...result(latency, [900], { etcd: [1000] }), name: "p99" };
  const row = rowResult({ row: "P1", what: "", command: "", seconds: 1, notes: [] }, [good, bad]);
  assert.deepEqual([row.met, row.figure, row.ours, row.rival, row.ratio], [null, "p99", 900, 1000, 0.9]);
  assert.equal(lowest(["stretch", "gate", "target"]), "gate");
  assert.equal(lowest([]), null);
});

test("figures: not a number meets nothing", () => {
  assert.equal(result(latency, [Number.NaN], { etcd: [1000] }).met, null);
});

test("figures: one sample on a side has a ratio and no interval", () => {
  for (const [ours, etcd] of [
    [[500], [1000, 1010]],
    [[500, 510], [1000]],
  ] as const) {
    const [against] = result(latency, [...ours], { etcd: [...etcd] }).against;
    assert.ok(against!.ratio < 0.6);
    assert.equal(against!.interval, null);
  }
  const several = result(latency, [500, 510, 505], { etcd: [1000, 1010, 990] }).against[0]!;
  assert.ok(several.interval![0] < several.ratio && several.ratio < several.interval![1]);
});

test("figures: a figure of a whole run has its interval from its parts", () => {
  const slowest = { ...latency, name: "slowest" };
  const statistic = (drawn: readonly number[]): number => Math.max(...drawn);
  const parts = { ours: [10, 20, 40, 15], rivals: new Map([["etcd", [100, 80, 90, 400]]]), statistic };
  const found = partsResult(slowest, parts, new Prng(1));
  const against = found.against[0]!;
  assert.deepEqual([found.ours, against.value, against.ratio], [40, 400, 0.1]);
  assert.deepEqual(found.oursRounds, [10, 20, 40, 15]);
  // Draws without a slice leave out its slowest operation: 20 / 400 and 40 / 100 come up.
  assert.ok(against.interval![0] < 0.1 && against.interval![1] > 0.1);
  const single = partsResult(
    slowest,
    { ours: [10], rivals: new Map([["etcd", [100]]]), statistic },
    new Prng(1),
  );
  assert.equal(single.against[0]!.interval, null);
});
