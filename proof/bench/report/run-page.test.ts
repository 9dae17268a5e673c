import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sample } from "../process-sampler.ts";
import { machineSections } from "./run-page.ts";

const SAMPLE: Sample = {
  ...{ pid: 7, second: 0, cpuPercent: 50, rssBytes: 1, writtenBytes: 1, contextSwitches: 1 },
  ...{ fsyncs: null, gcSeconds: null },
};

const linesOf = (samples: readonly Sample[]): (readonly (number | null)[])[] =>
  machineSections({ samples, servers: [] }).flatMap((section) =>
    section.kind === "lines" && section.title.startsWith("Stalls") ? [section.views[0]!.lines[0]!.y] : [],
  );

test("run page: stalls of the event loop are a series of their own, with gaps where nobody knows", () => {
  const seconds = [0.002, null, 0.05].map((loopLagSecondsMax, second) => ({
    ...SAMPLE,
    second,
    loopLagSecondsMax,
  }));
  assert.deepEqual(linesOf(seconds), [[2_000, null, 50_000]]);
});

test("run page: a server that says nothing of its loop, or a file of an earlier version, has no such picture", () => {
  assert.deepEqual(linesOf([SAMPLE, { ...SAMPLE, loopLagSecondsMax: null }]), []);
});
