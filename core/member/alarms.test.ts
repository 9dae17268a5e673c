import assert from "node:assert/strict";
import { test } from "node:test";
import { id64 } from "../base/ids.ts";
import { ALARM_CORRUPT, ALARM_NOSPACE, Alarms } from "./alarms.ts";

const ids = [1, 2, 3, 4, 5].map((n) => id64(0, n));

function alarmsOf(voterCount: number): Alarms {
  const alarms = new Alarms();
  alarms.setVoters(ids.slice(0, voterCount));
  return alarms;
}

test("a client's CORRUPT refuses every write, as in etcd", () => {
  const alarms = alarmsOf(3);
  alarms.activate(ids[0]!, ALARM_CORRUPT);
  assert.ok(alarms.isCorrupt);
  alarms.deactivate(ids[0]!, ALARM_CORRUPT);
  assert.ok(!alarms.isCorrupt);
});

test("members whose state differs refuse writes only when no majority is left", () => {
  for (const [voterCount, tolerated] of [
    [1, 0],
    [2, 0],
    [3, 1],
    [4, 1],
    [5, 2],
  ] as const) {
    const alarms = alarmsOf(voterCount);
    for (let i = 0; i < voterCount; i++) {
      alarms.activateDivergence(ids[i]!);
      assert.equal(alarms.isCorrupt, i + 1 > tolerated, `${i + 1} of ${voterCount}`);
    }
    for (let i = 0; i < voterCount; i++) alarms.deactivateDivergence(ids[i]!);
    assert.ok(!alarms.isCorrupt);
  }
});

test("one member's wrong state makes the others not unhealthy, a cluster without a majority does", () => {
  const alarms = alarmsOf(3);
  alarms.activate(ids[2]!, ALARM_NOSPACE);
  alarms.activateDivergence(ids[0]!);
  assert.deepEqual(alarms.healthNames(), ["NOSPACE"]);
  alarms.activateDivergence(ids[1]!);
  assert.deepEqual(alarms.healthNames(), ["NOSPACE", "CORRUPT"]);
});

test("an alarm of a learner's state refuses nothing", () => {
  const alarms = alarmsOf(3);
  alarms.activateDivergence(ids[0]!);
  alarms.activateDivergence(ids[4]!);
  assert.ok(!alarms.isCorrupt);
});

test("a CORRUPT that a client raises over the members' own stays until a client disarms it", () => {
  const alarms = alarmsOf(3);
  alarms.activateDivergence(ids[0]!);
  alarms.activate(ids[0]!, ALARM_CORRUPT);
  assert.ok(alarms.isCorrupt);
  alarms.deactivateDivergence(ids[0]!);
  assert.ok(alarms.isCorrupt);
});

test("alarms come back from a checkpoint as they were", () => {
  const alarms = alarmsOf(3);
  alarms.activateDivergence(ids[1]!);
  alarms.activate(ids[2]!, ALARM_NOSPACE);
  const restored = Alarms.fromJson(alarms.toJson());
  restored.setVoters(ids.slice(0, 3));
  assert.deepEqual(restored.statusLines(), alarms.statusLines());
  assert.ok(restored.isNoSpace);
  assert.ok(!restored.isCorrupt);
  assert.ok(restored.isDiverged(ids[1]!));
});
