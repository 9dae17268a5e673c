import assert from "node:assert/strict";
import { test } from "node:test";
import type { CompareResult } from "../compare.ts";
import type { StoreLine } from "../deck-row.ts";
import { Histogram, toPairs } from "../histogram.ts";
import { drawPicture } from "./picture.ts";

function storeLine(name: string, meansUs: readonly number[], marks: StoreLine["marks"] = []): StoreLine {
  const latencies = new Histogram();
  for (const us of meansUs) latencies.record(us);
  const series = meansUs.map((us, second) => ({
    ...{ second, operations: 1, errors: 0 },
    ...{ minUs: us, meanUs: us, p50Us: us, p99Us: us, maxUs: us },
  }));
  return {
    name,
    series,
    heat: [],
    histogram: toPairs(latencies),
    operations: meansUs.length,
    errors: 0,
    marks,
  };
}

function picture(stores: readonly StoreLine[]): string {
  const contenders = stores.map((store) => ({ name: store.name, version: "1.2.3", note: null }));
  const result: Pick<CompareResult, "contenders" | "pictures"> = {
    contenders,
    pictures: [{ title: "Put latency: 1 client, keys < 65 bytes", stores }],
  };
  return drawPicture(result as CompareResult);
}

const lines = (svg: string): string[] =>
  [...svg.matchAll(/class="line" d="M([^"]+)"/g)].map((match) => match[1]!);

test("picture: ours is drawn last, each line has a legend, and what is in a title is escaped", () => {
  const svg = picture([storeLine("holdfast", [1000, 1000]), storeLine("etcd", [2000, 4000])]);
  assert.ok(svg.lastIndexOf("stroke:var(--holdfast)") > svg.lastIndexOf('class="line" d="M'));
  assert.equal(lines(svg).length, 2);
  assert.match(svg, /holdfast 1\.2\.3/);
  assert.match(svg, /etcd 1\.2\.3<\/text>.*>2\.00 ms<.*>4\.00 ms</);
  assert.match(svg, /keys &lt; 65 bytes/);
  assert.doesNotMatch(svg, /<script|https?:\/\/(?!www\.w3\.org)/);
});

test("picture: a factor is as high anywhere on the axis", () => {
  const svg = picture([storeLine("etcd", [1000, 10_000, 100_000])]);
  const [first, second, third] = lines(svg)[0]!
    .split("L")
    .map((point) => Number(point.split(" ")[1]));
  assert.ok(Math.abs(first! - second! - (second! - third!)) <= 0.2, `${first} ${second} ${third}`);
});

test("picture: a spike of one second among thousands is still there", () => {
  const means = Array.from({ length: 5000 }, (_, i) => (i === 3333 ? 173_000 : 2000));
  const points = lines(picture([storeLine("zookeeper", means)]))[0]!.split("L");
  assert.ok(points.length <= 1000, `${points.length} points`);
  const heights = new Set(points.map((point) => point.split(" ")[1]));
  assert.equal(heights.size, 2);
});

test("picture: what a store's leader did is counted below the lines", () => {
  const marks = [1, 2].map((atSecond) => ({ atSecond, kind: "fsync" as const, text: "slow" }));
  const svg = picture([storeLine("holdfast", [1000, 1000, 1000]), storeLine("etcd", [9, 9, 9], marks)]);
  assert.match(svg, /etcd: 2 slow syncs<\/text>/);
  assert.equal(svg.match(/class="tick"/g)?.length, 1);
});
