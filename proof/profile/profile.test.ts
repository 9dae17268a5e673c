import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { PLANTS } from "../bottlenecks/plants.ts";
import { type Evidence, nameBottleneck, NO_STALLS } from "./bottleneck.ts";
import { LAYERS, layerOf } from "./layers.ts";
import { run } from "./main.ts";
import { cpuPprof } from "./pprof.ts";
import { parseMetrics } from "./metrics-page.ts";
import { decodeMappings } from "./source-map.ts";
import { type Instant, stallsOf } from "./stalls.ts";

const noLayers = Object.fromEntries(LAYERS.map((layer) => [layer, 0])) as Evidence["layers"];
const quiet: Evidence = {
  loopUtilisation: 0.3,
  loopDelayMsMax: 5,
  loopDelayMsP99: 1,
  stalls: NO_STALLS,
  gcShare: 0.02,
  gcMsMax: 2,
  processCores: 0.4,
  machineIdleCores: 1.2,
  machineCores: 2,
  machineStealCores: 0,
  cpuWaitShare: 0.02,
  layers: { ...noLayers, transport: 0.4, apply: 0.3, other: 0.3 },
  syncs: 1000,
  syncSeconds: 0.0002,
  syncShare: 0.2,
  turnSeconds: 0.0003,
  proposalsPending: 0,
  proposalsPerSecond: 1000,
  requestsPerSecond: 1000,
  refusedPerSecond: 0,
  members: 1,
  peerRoundTripSeconds: 0,
  peerSyncSeconds: 0,
  clientCores: 0.3,
};

test("bottleneck: each planted one is named", () => {
  const full = { loopUtilisation: 0.97 };
  const planted: readonly [string, Partial<Evidence>][] = [
    ["the client", {}],
    ["the machine", { ...full, cpuWaitShare: 0.5 }],
    // Without a core for a third of the time, but reading for most of the rest.
    ["reads", { ...full, cpuWaitShare: 0.3, layers: { ...noLayers, reads: 0.9 } }],
    ["the machine", { ...full, machineStealCores: 0.6 }],
    [
      "garbage collection",
      { ...full, gcShare: 0.3, gcMsMax: 40, layers: { ...noLayers, "garbage collection": 0.3, apply: 0.4 } },
    ],
    // What is collected is the smaller part of what a layer costs.
    ["watch", { ...full, gcShare: 0.16, layers: { ...noLayers, "garbage collection": 0.16, watch: 0.7 } }],
    ["log sync", { syncSeconds: 0.03, syncShare: 0.9 }],
    ["log sync", { ...full, syncShare: 0.5, layers: { ...noLayers, "log sync": 0.6, transport: 0.4 } }],
    // Some on the loop, more beside it: without them it would compute half of the time.
    [
      "log sync",
      {
        loopUtilisation: 0.81,
        syncSeconds: 0.009,
        syncShare: 0.8,
        layers: { ...noLayers, "log sync": 0.37, transport: 0.38, apply: 0.2 },
      },
    ],
    // Most of little: one who asks seldom waits for nothing else.
    ["the client", { layers: { ...noLayers, "log sync": 0.7, transport: 0.3 } }],
    ["the client", { stalls: { ...NO_STALLS, perSecond: 0.5, share: 0.05, layer: "log sync" } }],
    ["apply", { ...full, layers: { ...noLayers, apply: 0.7, transport: 0.3 } }],
    ["encoding", { ...full, layers: { ...noLayers, encoding: 0.6, apply: 0.4 } }],
    ["transport", { ...full, layers: { ...noLayers, transport: 0.6, apply: 0.4 } }],
    ["quorum", { members: 3, peerRoundTripSeconds: 0.04 }],
    // Followers that are slow to write answer heartbeats as fast as ever.
    ["quorum", { members: 3, peerRoundTripSeconds: 0.001, proposalsPending: 60 }],
    ["queue", { proposalsPending: 60 }],
    ["queue", { refusedPerSecond: 100 }],
    ["housekeeping", { stalls: { ...NO_STALLS, perSecond: 1, share: 0.08, layer: "housekeeping" } }],
    ["reads", { ...full, layers: { ...noLayers, reads: 0.5, transport: 0.3, apply: 0.2 } }],
    // Syncs in the background take nothing from a loop that computes all the time.
    ["apply", { ...full, syncShare: 0.9, layers: { ...noLayers, apply: 0.7, transport: 0.3 } }],
  ];
  for (const [cause, change] of planted)
    assert.equal(nameBottleneck({ ...quiet, ...change }).cause, cause, JSON.stringify(change));
});

// What proof/peers/bottlenecks.check.ts saw once, on a machine that others used as well: HOLDFAST_BOTTLENECKS_KEEP keeps it.
const recorded = JSON.parse(
  fs.readFileSync(new URL("testdata/bottlenecks.json", import.meta.url), "utf8"),
) as Record<string, Evidence>;
for (const { id, cause } of PLANTS)
  test(`bottleneck: as it was seen beside a real server, ${id} is named`, () => {
    assert.deepEqual(Object.keys(recorded[id]!.layers), [...LAYERS]);
    assert.equal(nameBottleneck(recorded[id]!).cause, cause);
  });

test("layers: a function belongs to its source's part, a tool to whoever used it", () => {
  const stack = (...places: readonly (readonly [source: string, name: string])[]) =>
    layerOf(places.map(([source, name]) => ({ source, name })));
  assert.equal(stack(["core/mvcc/store.ts", "put"]), "apply");
  assert.equal(stack(["node:fs", "fdatasyncSync"], ["io/disk/plain-file.ts", "sync"]), "log sync");
  assert.equal(stack(["core/http2/connection.ts", "receive"]), "transport");
  assert.equal(stack(["", "(garbage collector)"], ["core/watch/hub.ts", "turn"]), "garbage collection");
  assert.equal(stack(["", "stringify"], ["core/wire/hot.ts", "parse"]), "encoding");
  assert.equal(stack(["core/base/bytes.ts", "compare"], ["core/watch/hub.ts", "turn"]), "watch");
  // The key tree works for whoever walks it; what handed the request in has no part in that.
  const walk = ["core/mvcc/key-tree.ts", "seek"] as const;
  const member = ["core/member/member.ts", "turn"] as const;
  assert.equal(stack(walk, ["core/mvcc/range-query.ts", "execute"], member), "reads");
  assert.equal(stack(walk, ["core/member/checkpointer.ts", "slice"], member), "housekeeping");
  assert.equal(
    stack(walk, ["core/mvcc/kv-machine.ts", "applyPut"], ["core/member/apply.ts", "apply"]),
    "apply",
  );
  assert.equal(stack(walk, ["core/grpc/server.ts", "onMessage"]), "apply");
  assert.equal(stack(["node:internal/timers", "listOnTimeout"]), "runtime");
  assert.equal(stack(["plugin.js", "f"]), "other");
});

test("stalls: a stretch without a pause of 20 ms and more, and what most of it went to", () => {
  const instant = (us: number, change: Partial<Instant> = {}): Instant => ({
    us,
    isIdle: false,
    layer: "apply",
    label: "put",
    ...change,
  });
  const idle = instant(30_000, { isIdle: true });
  const counts = instant(15_000, { layer: "housekeeping", label: "count" });
  assert.deepEqual(
    stallsOf([idle, idle, instant(19_000), idle, counts, instant(8_000), counts, idle, idle]),
    [
      {
        atSecond: 0.109,
        ms: 38,
        layer: "housekeeping",
        layerShare: 30 / 38,
        heaviest: "count",
      },
    ],
  );
  assert.deepEqual(
    stallsOf([instant(20_000)]).map(({ ms }) => ms),
    [20],
  );
});

test("source map: segments give columns and sources", () => {
  // Line 0: column 0 of source 0, column 10 of source 1; line 1: column 4 of source 1.
  assert.deepEqual(decodeMappings("AAAA,UCAA;IAAA"), { columns: [[0, 10], [4]], sources: [[0, 1], [1]] });
});

test("pprof: stacks begin with the innermost function, idle time is left out, texts are of one table", () => {
  const frame = (functionName: string) => ({ functionName, url: "", lineNumber: 4, columnNumber: 0 });
  const profile = gunzipSync(
    cpuPprof(
      {
        nodes: [
          { id: 1, callFrame: frame("(root)"), children: [2, 4] },
          { id: 2, callFrame: frame("outer"), children: [3] },
          { id: 3, callFrame: frame("inner") },
          { id: 4, callFrame: frame("(idle)") },
        ],
        samples: [3, 3, 4],
        timeDeltas: [500, 600, 9000],
      },
      500,
    ),
  );
  const texts = ["", "inner", "outer", "samples", "count", "cpu", "nanoseconds"];
  const table = Buffer.concat(
    texts.map((text) => Buffer.from(`\x32${String.fromCharCode(text.length)}${text}`)),
  );
  assert.ok(profile.includes(table), profile.toString("latin1"));
  // Sample: locations 1 (inner) and 2 (outer); 2 samples, 1,100,000 ns.
  assert.ok(
    profile.includes(Buffer.from("12" + "0a" + "0a020102" + "1204" + "02e09143", "hex")),
    profile.toString("hex"),
  );
  assert.equal(profile.toString("latin1").includes("idle"), false);
});

test("metrics: labels are added up and buckets left out", () => {
  const page = '# HELP x y\nx_total{a="1"} 2\nx_total{a="2"} 3\nx_bucket{le="1"} 9\ny 1.5\n';
  assert.deepEqual(parseMetrics(page), { x_total: 5, y: 1.5 });
});

function isListening(fd: string): boolean {
  let target = "";
  try {
    target = fs.readlinkSync(fd);
  } catch {
    return false;
  }
  const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
  return (
    inode !== undefined &&
    fs
      .readFileSync("/proc/net/tcp", "utf8")
      .split("\n")
      .some((line) => / 0A /.test(line) && line.trim().split(/\s+/)[9] === inode)
  );
}

test("profile: a running program that allocates and computes is seen, and its inspector is closed again", async (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-profile-"));
  const script =
    "let kept = []; function burn() { const end = Date.now() + 45; while (Date.now() < end) kept.push({ a: Math.random() }); kept = []; setTimeout(burn, 2); } burn(); console.log('up'); setTimeout(() => process.exit(), 20000)";
  const child: ChildProcess = spawn(process.execPath, ["--inspect-port=0", "-e", script], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  context.after(() => {
    child.kill("SIGKILL");
    fs.rmSync(folder, { recursive: true });
  });
  await new Promise((resolve) => child.stdout!.once("data", resolve));
  let printed = "";
  let said = "";
  const io = {
    stdout: { write: (text: string) => (printed += text) },
    stderr: { write: (text: string) => (said += text) },
    stdin: undefined,
    env: {},
  };
  const status = await run(
    ["--pid", String(child.pid), "--seconds", "1", "--output", path.join(folder, "it"), "-w", "json"],
    io,
  );
  assert.equal(status, 0, said);
  const result = JSON.parse(printed) as { evidence: Evidence; heaviest: { name: string }[]; files: string[] };
  assert.ok(result.evidence.loopUtilisation > 0.6, JSON.stringify(result.evidence));
  assert.ok(result.heaviest.some((one) => one.name.startsWith("burn")));
  // The program lives on, and nobody else can look into it.
  const giveUpAt = Date.now() + 5000;
  const listens = (): boolean =>
    fs.readdirSync(`/proc/${child.pid}/fd`).some((fd) => isListening(`/proc/${child.pid}/fd/${fd}`));
  while (listens() && Date.now() < giveUpAt) await new Promise((resolve) => setTimeout(resolve, 20));
  assert.equal(listens(), false, "the inspector still listens");
  assert.equal(child.exitCode, null);
  for (const file of result.files) assert.ok(fs.statSync(file).size > 100, file);
});
