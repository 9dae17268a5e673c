// The head and the leases that travel with a checkpoint, as any bytes and as nearly right ones: they are read, or refused
// with an error that says so.

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CheckpointError } from "../mvcc/checkpoint-format.ts";
import { DEFAULT_LESSOR_OPTIONS, Lessor } from "../lease/lessor.ts";
import { LeaseImageError } from "../lease/lease-image.ts";
import { Alarms } from "./alarms.ts";
import { encodeHead, joinExtra, splitExtra } from "./checkpoint-state.ts";
import { Membership } from "./membership.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 1e9));
const RUN_COUNT = Number(process.env["HOLDFAST_RUNS"] ?? 2000);

function lessor(): Lessor {
  return new Lessor({ ...DEFAULT_LESSOR_OPTIONS, seed: 1 });
}

function sample(): { head: Uint8Array; leases: Uint8Array } {
  const table = lessor();
  for (let id = 1; id <= 20; id++) table.grant(0, id, 10 * id, 0);
  const head = encodeHead({
    appliedIndex: 77,
    appliedTerm: 3,
    confState: { voters: [], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false },
    membership: new Membership(),
    alarms: new Alarms(),
    clusterVersion: "3.6.0",
    formatVersion: 3,
    effectHash: 12,
  });
  return { head, leases: table.image.take() };
}

/** Reads it as a start does. Returns whether it was refused. */
function isRefused(extra: Uint8Array): boolean {
  try {
    const { leasesStart } = splitExtra(extra, "member/data");
    lessor().image.restore(extra, leasesStart, extra.length);
    return false;
  } catch (error) {
    if (error instanceof CheckpointError || error instanceof LeaseImageError) return true;
    throw error;
  }
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
