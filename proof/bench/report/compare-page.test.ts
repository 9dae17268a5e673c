import assert from "node:assert/strict";
import { test } from "node:test";
import type { CompareResult } from "../compare.ts";
import type { FigureResult } from "../figures.ts";
import { thisMachine } from "../result.ts";
import { comparePage } from "./compare-page.ts";
import type { Section } from "./sections.ts";

const EMPTY: CompareResult = {
  ...{
    format: 1,
    kind: "compare",
    suite: "quick",
    machine: thisMachine(),
    startedAt: "",
    rounds: 1,
    sliceSeconds: 1,
  },
  contenders: ["holdfast", "etcd"].map((name) => ({ name, version: "1.2.3", note: null })),
  limits: {
    disk: { fdatasyncP50Us: 1, fdatasyncP99Us: 1, bestP50Us: 1, bestP99Us: 1, bestWay: "" },
    loopbackP50Us: 1,
  },
  ...{ rows: [], pictures: [], curves: [], notes: [] },
};

const linesOf = (result: CompareResult): Extract<Section, { kind: "lines" }>[] =>
  comparePage(result).sections.filter((section) => section.kind === "lines");

test("compare page: what was not measured is no empty picture", () => {
  assert.deepEqual(linesOf(EMPTY), []);
});

test("compare page: gaps without a leader are shares of trials, ascending", () => {
  const figure: FigureResult = {
    ...{ name: "gap", unit: "ms", ours: 30, against: [], met: null },
    better: "lower",
    ...{ oursRounds: [40, 20, 30, 10], rivalRounds: { etcd: [1500, 1200] } },
  };
  const row = {
    ...{
      row: "P19",
      what: "",
      figure: "gap",
      unit: "ms",
      ours: 30,
      rival: null,
      rivalName: null,
      ratio: null,
    },
    ...{ interval: null, met: null, figures: [figure], notes: [], command: "", seconds: 1 },
  };
  const [section] = linesOf({ ...EMPTY, rows: [row] });
  assert.deepEqual(section!.views, [
    {
      name: "killed leader",
      lines: [
        { name: "holdfast", x: [10, 20, 30, 40], y: [25, 50, 75, 100] },
        { name: "etcd", x: [1200, 1500], y: [50, 100] },
      ],
    },
  ]);
});

test("compare page: each store's climb is a line over the offered rates", () => {
  const point = (store: string, offered: number, p99Us: number) => ({
    store,
    offered,
    rate: 1,
    p50Us: 1,
    p99Us,
  });
  const climb = [point("holdfast", 500, 900), point("etcd", 500, 2000), point("holdfast", 1000, 950)];
  const [section] = linesOf({ ...EMPTY, climb });
  assert.deepEqual(section!.views[0], {
    name: "p99",
    lines: [
      { name: "holdfast", x: [500, 1000], y: [900, 950] },
      { name: "etcd", x: [500], y: [2000] },
    ],
  });
});
