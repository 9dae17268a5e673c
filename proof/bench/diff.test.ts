import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { after, test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { parseDiff } from "./build-diff.ts";
import type { CompareResult } from "./compare.ts";
import { describeDiff, diffFiles, diffResults, isWorse } from "./diff.ts";
import type { Growth } from "./growth.ts";
import { UsageError } from "./options.ts";
import type { RunResult } from "./result.ts";
import { divisions, holm, permutationP } from "./statistics.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-diff-"));
after(() => fs.rmSync(folder, { recursive: true }));

test("statistics: Holm's correction multiplies the least p most, and keeps the order", () => {
  assert.deepEqual(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06]);
  assert.deepEqual(holm([0.5, 0.9]), [1, 1]);
  assert.deepEqual(holm([]), []);
});

test("statistics: the permutation test is exact for a few rounds", () => {
  assert.equal(divisions(10, 5), 252);
  // Two of 252 divisions are as far apart: this one and its mirror image.
  assert.ok(Math.abs(permutationP([1, 2, 3, 4, 5], [11, 12, 13, 14, 15], new Prng(1)) - 2 / 252) < 1e-12);
  assert.equal(permutationP([1, 2], [1, 2], new Prng(1)), 1);
  const many = Array.from({ length: 40 }, (_, i) => i);
  assert.ok(
    permutationP(
      many,
      many.map((value) => value + 100),
      new Prng(1),
    ) < 1e-4,
  );
});

const SERVER = { pid: 1, cpuSeconds: 1, writtenBytes: 4e6, rssBytesMax: 5e7, fsyncs: 1000, gcSeconds: 0.1 };

function runOf(fields: Partial<RunResult>): RunResult {
  return {
    format: 1,
    workload: "put",
    loop: "closed",
    clients: 1,
    keySize: "64",
    valueSize: "256",
    operations: 1000,
    seconds: 10,
    rate: 1000,
    p50Us: 100,
    p99Us: 200,
    p999Us: 300,
    maxUs: 400,
    series: [],
    servers: [SERVER],
    ...fields,
  } as unknown as RunResult;
}

/** Rounds that scatter by a tenth of a percent, times a factor. */
function rounds(count: number, of: (scatter: number) => Partial<RunResult>): RunResult[] {
  return Array.from({ length: count }, (_, i) => runOf(of(1 + i / 1000)));
}

test("diff: memory, bytes written, syncs and garbage collection are compared", () => {
  const servers = (factor: number): RunResult["servers"] =>
    [{ ...SERVER, writtenBytes: 4e6 * factor, rssBytesMax: 5e7 * factor, gcSeconds: 0.1 / factor }] as never;
  const lines = diffResults(
    rounds(8, (scatter) => ({ servers: servers(scatter) })),
    rounds(8, (scatter) => ({ servers: servers(1.5 * scatter) })),
  );
  const verdicts = Object.fromEntries(lines.map((line) => [line.figure, line.verdict]));
  assert.equal(verdicts["memory"], "worse");
  assert.equal(verdicts["bytes written per operation"], "worse");
  assert.equal(verdicts["time in garbage collection"], "better");
  assert.equal(verdicts["log syncs per operation"], "same");
  assert.equal(verdicts["rate"], "same");
});

test("diff: a figure that one run does not have is left out, not taken for 0", () => {
  const silent = [{ ...SERVER, fsyncs: null, gcSeconds: null }] as unknown as RunResult["servers"];
  const lines = diffResults([runOf({}), runOf({})], [runOf({ servers: silent }), runOf({})]);
  assert.ok(lines.every((line) => !/collection|syncs/.test(line.figure)));
  assert.ok(lines.some((line) => line.figure === "memory"));
});

function rowsOf(count: number, values: (row: number) => readonly number[]): CompareResult {
  const rows = Array.from({ length: count }, (_, i) => ({
    row: `P${i}`,
    figures: [{ name: "p50", unit: "us", better: "lower", oursRounds: values(i) }],
  }));
  return { format: 1, kind: "compare", rows } as unknown as CompareResult;
}

test("diff: one of forty figures that differs as luck makes one of forty differ is no verdict", () => {
  const before = rowsOf(40, () => [100, 101, 102, 103, 104]);
  const now = rowsOf(40, (row) => (row === 7 ? [109, 110, 111, 112, 113] : [100, 101, 102, 103, 104]));
  const lines = diffResults([before], [now]);
  assert.equal(lines[7]!.verdict, "worse?");
  assert.ok(lines[7]!.p < 0.01 && lines[7]!.pOfAll > 0.05);
  assert.equal(isWorse(lines), false);
  assert.match(describeDiff(lines), /among 40 figures 40 have too few runs/);
  // Alone it would be one.
  const alone = diffResults(
    [rowsOf(1, () => [100, 101, 102, 103, 104])],
    [rowsOf(1, () => [109, 110, 111, 112, 113])],
  );
  assert.equal(alone[0]!.verdict, "worse");
  assert.equal(isWorse(alone), true);
});

test("diff: files of growth are compared, step by step", () => {
  const growth = (factor: number): Growth => ({
    format: 1,
    kind: "growth",
    of: "keys",
    cost: "server CPU",
    exponent: { value: 0.1 * factor, low: 0, high: 1 },
    expected: 0.15,
    tooFast: false,
    points: [
      {
        n: 1000,
        costUs: 20 * factor,
        rate: 9000,
        p99Us: 800,
        residentBytes: 5e7,
        allocatedBytes: 900,
        gcShare: null,
      },
    ],
  });
  const file = (name: string, factor: number): string => {
    const at = path.join(folder, name);
    // Five runs a side, one a line.
    const lines = Array.from({ length: 5 }, (_, i) => JSON.stringify(growth(factor * (1 + i / 1000))));
    fs.writeFileSync(at, `${lines.join("\n")}\n`);
    return at;
  };
  const lines = diffFiles(file("old.json", 1), file("new.json", 1.2));
  const cost = lines.find((line) => line.figure === "server CPU");
  assert.deepEqual([cost?.what, cost?.verdict], ["growth of keys, 1000", "worse"]);
  assert.ok(lines.some((line) => line.figure === "allocated per operation"));
  assert.ok(!lines.some((line) => line.figure === "time in garbage collection"));
  assert.match(describeDiff(lines), /exponent/);
});

test("diff: two programs are two builds, two objects two results, and one of each is neither", () => {
  const program = path.join(folder, "holdfast.js");
  const results = path.join(folder, "results.json");
  fs.writeFileSync(program, "#!/usr/bin/env node\n");
  fs.writeFileSync(results, `${JSON.stringify(runOf({}))}\n`);
  const builds = parseDiff([program, program, "--rows", "p1,P9b", "--rounds", "4"]);
  assert.ok(builds.kind === "builds");
  assert.deepEqual(
    [builds.rows.map((row) => row.id), builds.rounds, builds.oldBuild],
    [["P1", "P9b"], 4, program],
  );
  assert.equal(parseDiff(["--old-build", program, "--new-build", program]).kind, "builds");
  assert.equal(parseDiff(["-w", "json", results, results]).kind, "files");
  for (const argv of [
    [program, results],
    [results],
    [program, path.join(folder, "none.js")],
    [program, program, "--rows", "P99"],
    ["--old-build", results, "--new-build", results],
  ])
    assert.throws(() => parseDiff(argv), UsageError, argv.join(" "));
});
