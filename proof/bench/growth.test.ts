import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { Client } from "../../product/client/index.ts";
import { startCluster } from "../../product/testing/index.ts";
import { type Growth, growthPage, parseGrowth } from "./growth.ts";
import { run } from "./main.ts";
import { UsageError } from "./options.ts";

test("bench growth: no step finds the keys of another, nothing is left behind, and the result is saved", async () => {
  const cluster = await startCluster();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-growth-"));
  const client = Client.connect({ endpoints: cluster.endpoints });
  try {
    await client.kv.put("mine", "stays");
    const saved = path.join(folder, "growth.json");
    let out = "";
    const io = {
      stdout: { write: (text: string) => (out += text) },
      stderr: { write: () => {} },
      stdin: undefined,
      env: {},
    };
    const words = ["--of", "keys", "--steps", "20,50", "--duration", "200ms", "--quiet"];
    const at = ["--endpoints", cluster.endpoints[0]!, "--save", saved];
    const status = await run(["growth", ...words, ...at], io);
    assert.ok(status === 0 || status === 1, out);
    const growth = JSON.parse(fs.readFileSync(saved, "utf8")) as Growth;
    assert.deepEqual(
      growth.points.map((point) => point.n),
      [20, 50],
    );
    // The store is this very process, which nobody looks into.
    assert.deepEqual(growth.points[0]!.allocatedBytes, null);
    assert.match(out, /allocated/);
    const { kvs, count } = await client.kv.get("", { prefix: true });
    assert.equal(count, 1);
    assert.equal(Buffer.from(kvs[0]!.key).toString(), "mine");
  } finally {
    client.close();
    await cluster.stop();
    fs.rmSync(folder, { recursive: true });
  }
});

test("bench growth: its flags are judged by name", () => {
  const refused = (words: string, expected: RegExp): void =>
    assert.throws(
      () => parseGrowth(words.split(" ")),
      (error: unknown) => error instanceof UsageError && expected.test(error.message),
      words,
    );
  refused("--of weather", /--of must be one of/);
  refused("--of keys --start etcd,consul", /--start is consul/);
  assert.deepEqual(parseGrowth(["--of", "keys", "--start", "holdfast,etcd"]).starts, ["holdfast", "etcd"]);
  refused("--of keys --start etcd --endpoints a:1", /exclude each other/);
  refused("--of keys --steps 1k,many", /--steps has many/);
  refused("--of keys --save /no/such/folder/f", /Cannot write/);
});

test("bench growth: two stores are two lines of each picture", () => {
  const point = {
    n: 1000,
    costUs: 1,
    rate: 2,
    p99Us: 3,
    residentBytes: 4,
    allocatedBytes: null,
    gcShare: null,
  };
  const growth = (store: string): Growth => ({
    ...{ format: 1, kind: "growth", of: "keys", store, cost: "server CPU", expected: 0.15, tooFast: false },
    ...{ exponent: { value: 0, low: 0, high: 0 }, points: [point] },
  });
  const { sections } = growthPage([growth("holdfast"), growth("etcd")]);
  assert.equal(sections.length, 3);
  for (const section of sections)
    for (const view of section.kind === "lines" ? section.views : assert.fail(section.kind))
      assert.deepEqual(
        view.lines.map((line) => line.name),
        ["holdfast", "etcd"],
      );
});
