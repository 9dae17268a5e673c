// The head and the leases that travel with a checkpoint, as any bytes and as nearly right ones: they are read, or refused
// with an error that says so.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CheckpointError } from "../mvcc/checkpoint-format.ts";
import { id64 } from "../base/ids.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { DEFAULT_LESSOR_OPTIONS, Lessor } from "../lease/lessor.ts";
import { ALARM_NOSPACE, Alarms } from "./alarms.ts";
import { encodeHead, joinExtra, restoreLeases, splitExtra } from "./checkpoint-state.ts";
import { Membership } from "./membership.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 1e9));
const RUN_COUNT = Number(process.env["HOLDFAST_RUNS"] ?? 2000);

function lessor(): Lessor {
  return new Lessor({ ...DEFAULT_LESSOR_OPTIONS, seed: 1 });
}

function sample(): { head: Uint8Array; leases: Uint8Array } {
  const table = lessor();
  for (let id = 1; id <= 20; id++) table.grant(0, id, 10 * id, 0);
  const membership = new Membership();
  for (const n of [1, 2]) {
    const peerUrls = [`http://m${n}:2380`];
    membership.put({ id: id64(n, n), name: `m${n}`, peerUrls, clientUrls: [], isLearner: n === 2 });
  }
  membership.remove(id64(2, 2));
  const alarms = new Alarms();
  alarms.activate(id64(1, 1), ALARM_NOSPACE);
  alarms.activateDivergence(id64(1, 1));
  const head = encodeHead({
    appliedIndex: 77,
    appliedTerm: 3,
    confState: {
      voters: [id64(1, 1)],
      learners: [id64(3, 3)],
      votersOutgoing: [],
      learnersNext: [],
      autoLeave: false,
    },
    membership,
    alarms,
    clusterVersion: "3.6.0",
    formatVersion: 3,
    effectHash: -12,
  });
  return { head, leases: table.image.take() };
}

/** Reads it as a start does. Returns why it was refused; undefined when it was not. */
function refusal(extra: Uint8Array): string | undefined {
  const directory = "member/data";
  try {
    const { json, leasesStart } = splitExtra(extra, directory);
    restoreLeases(lessor(), { extra, leasesStart, directory });
    Membership.fromJson(json.membership);
    Alarms.fromJson(json.alarms);
    return undefined;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    assert.equal(error.file, "member/data/manifest");
    return error.message;
  }
}

const isRefused = (extra: Uint8Array): boolean => refusal(extra) !== undefined;

/** The head with another value at the end of a path; strings on the way hold JSON of their own. */
function changed(value: unknown, path: readonly (string | number)[], to: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return to;
  if (typeof value === "string") return JSON.stringify(changed(JSON.parse(value), path, to));
  const copy = (Array.isArray(value) ? [...value] : { ...(value as object) }) as Record<string, unknown>;
  copy[key] = changed(copy[key], rest, to);
  return copy;
}

function withField(path: readonly (string | number)[], to: unknown): Uint8Array {
  const { head, leases } = sample();
  const json: unknown = JSON.parse(decodeUtf8(head, 0, head.length));
  return joinExtra(encodeUtf8(JSON.stringify(changed(json, path, to))), leases);
}

test("a checkpoint's head and leases are read as they were written", () => {
  const { head, leases } = sample();
  const extra = joinExtra(head, leases);
  const { json, leasesStart } = splitExtra(extra, "member/data");
  const restored = lessor();
  restored.image.restore(extra, leasesStart, extra.length);
  assert.deepEqual([json.appliedIndex, json.appliedTerm, restored.count], [77, 3, 20]);
});

test("any bytes for head and leases are refused", () => {
  const property = fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => assert.ok(isRefused(bytes)));
  fc.assert(property, { seed: SEED, numRuns: RUN_COUNT });
});

test("a head that is cut off, and any bytes for the leases behind a good one, are read or refused", () => {
  const { head, leases } = sample();
  const whole = joinExtra(head, leases);
  for (let size = 0; size < whole.length - leases.length; size++)
    assert.ok(isRefused(whole.subarray(0, size)));
  let refusedCount = 0;
  const changes = fc.array(fc.tuple(fc.nat(leases.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 });
  const property = fc.property(changes, (each) => {
    const changed = leases.slice();
    for (const [at, value] of each) changed[at] = value;
    if (isRefused(joinExtra(head, changed))) refusedCount++;
  });
  fc.assert(property, { seed: SEED, numRuns: RUN_COUNT });
  assert.ok(refusedCount > 20, `${refusedCount} refused`);
});

/** Each field, and what it may not be. */
const WRONG: readonly (readonly [string, readonly (string | number)[], readonly unknown[]])[] = [
  ["appliedIndex", ["appliedIndex"], [undefined, null, -1, 0, 1.5, "7", 2 ** 60, []]],
  ["appliedTerm", ["appliedTerm"], [undefined, -1, 0.5, "3", true]],
  ["confState", ["confState"], [undefined, null, 7, "x"]],
  ["confState.voters", ["confState", "voters"], [undefined, null, {}, "ab"]],
  ["confState.voters[0]", ["confState", "voters", 0], [null, 5, "1:1"]],
  ["confState.voters[0].lo", ["confState", "voters", 0, "lo"], [undefined, -1, 2 ** 32, 0.5, "1"]],
  ["confState.learners", ["confState", "learners"], [undefined, 0]],
  ["confState.votersOutgoing", ["confState", "votersOutgoing"], [undefined, 0]],
  ["confState.learnersNext", ["confState", "learnersNext"], [undefined, 0]],
  ["confState.autoLeave", ["confState", "autoLeave"], [undefined, 0, "false"]],
  ["clusterVersion", ["clusterVersion"], [undefined, 3, null, {}]],
  ["formatVersion", ["formatVersion"], [null, 0, -1, 1.5, "3"]],
  ["effectHash", ["effectHash"], [null, 12]],
  [
    "effectHash.value",
    ["effectHash", "value"],
    [undefined, 0.5, 2 ** 32, -(2 ** 31) - 1, "12", { toString: false }],
  ],
  ["membership", ["membership"], [undefined, {}, "", "{", "null", "[1"]],
  ["membership.members", ["membership", "members"], [undefined, {}, "m"]],
  ["membership.members[0].hi", ["membership", "members", 0, "hi"], [undefined, "1", -1]],
  ["membership.members[0].peerUrls", ["membership", "members", 0, "peerUrls"], [undefined, "http://a"]],
  ["membership.members[0].clientUrls[0]", ["membership", "members", 0, "clientUrls", 0], [7, null]],
  ["membership.members[0].isLearner", ["membership", "members", 0, "isLearner"], [undefined, 1]],
  ["membership.removed[0]", ["membership", "removed", 0], [7, null, {}]],
  ["alarms", ["alarms"], [undefined, [], "{}", "x"]],
  ["alarms[0]", ["alarms", 0], [null, 7, [1, 2], [1, 2, "3"], [1, 2, 3, 4, 5], {}]],
];

test("a field of a checkpoint's head that is not what it should be is refused by file and name", () => {
  for (const [name, path, values] of WRONG) {
    for (const value of values) {
      const text = refusal(withField(path, value)) ?? "taken";
      assert.ok(text.includes(`its field ${name} is not`), `${JSON.stringify(value)} as ${name}: ${text}`);
      assert.ok(text.includes("file member/data/manifest"), text);
    }
  }
});

test("whatever stands in a checkpoint's head, it is read or refused", () => {
  const paths = WRONG.map(([, path]) => path);
  let refusedCount = 0;
  const property = fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
    if (isRefused(withField(path, value))) refusedCount++;
  });
  fc.assert(property, { seed: SEED, numRuns: RUN_COUNT });
  assert.ok(refusedCount > RUN_COUNT / 4, `${refusedCount} refused`);
});
