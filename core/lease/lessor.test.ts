import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Prng } from "../base/prng.ts";
import type { LessorOptions } from "./lessor.ts";
import { DEFAULT_LESSOR_OPTIONS, LeaseIds, Lessor } from "./lessor.ts";

const EXTENSION_MS = 1000;

function primary(nowMs = 0, options: Partial<LessorOptions> = {}): Lessor {
  const lessor = new Lessor({ ...DEFAULT_LESSOR_OPTIONS, ...options });
  lessor.promote(nowMs, EXTENSION_MS);
  lessor.takeExpired(nowMs, new LeaseIds(1));
  return lessor;
}

/** Everything that is expired now, by repeated calls; the ids' lower halves, sorted. */
function expired(lessor: Lessor, nowMs: number): number[] {
  const ids = new LeaseIds(16);
  const all: number[] = [];
  for (let calls = 0; lessor.nextDeadlineMs() <= nowMs && calls < 10_000; calls++) {
    lessor.takeExpired(nowMs, ids);
    for (let i = 0; i < ids.count; i++) all.push(ids.lo[i]!);
    if (ids.count === 0 && lessor.nextDeadlineMs() > 0 && calls > 20) break;
  }
  return all.sort((a, b) => a - b);
}

function checkpointed(lessor: Lessor, nowMs: number): Map<number, number> {
  const ids = new LeaseIds(16);
  const all = new Map<number, number>();
  while (lessor.checkpointDue(nowMs)) {
    lessor.takeCheckpoint(nowMs, ids);
    for (let i = 0; i < ids.count; i++) all.set(ids.lo[i]!, ids.remainder[i]!);
  }
  return all;
}

test("primary lets a lease end after its TTL and not before, and hands it out once", () => {
  const lessor = primary();
  lessor.grant(0, 1, 5, 100);
  assert.deepEqual(expired(lessor, 5099), []);
  assert.deepEqual(expired(lessor, 5100 + 64), [1]);
  assert.deepEqual(expired(lessor, 60_000), []);
  assert.equal(lessor.renew(0, 1, 60_000), "expired");
  lessor.remove(lessor.find(0, 1));
  assert.equal(lessor.renew(0, 1, 60_000), "unknown");
  lessor.assertConserved();
});

test("a lease that was not revoked after all is handed out again", () => {
  const lessor = primary();
  lessor.grant(0, 1, 5, 0);
  assert.deepEqual(expired(lessor, 6000), [1]);
  lessor.release(0, 1);
  assert.deepEqual(expired(lessor, 6000), [1]);
});

test("a renewal moves the end to a full TTL from then, again and again", () => {
  const lessor = primary();
  lessor.grant(0, 1, 5, 0);
  for (let now = 3000; now <= 60_000; now += 3000) {
    assert.deepEqual(expired(lessor, now), []);
    assert.equal(lessor.renew(0, 1, now), "renewed");
    assert.equal(lessor.renewedTtlSeconds, 5);
    assert.equal(lessor.remainingSeconds(lessor.find(0, 1), now + 100), 4);
  }
  assert.deepEqual(expired(lessor, 64_999), []);
  assert.deepEqual(expired(lessor, 65_100), [1]);
});

test("L1: a follower ends no lease and renews none, whatever its clock says", () => {
  const lessor = new Lessor();
  lessor.grant(0, 1, 5, 0);
  assert.equal(lessor.nextDeadlineMs(), Infinity);
  assert.deepEqual(expired(lessor, 1e12), []);
  assert.equal(lessor.renew(0, 1, 1), "not-primary");
});

test("L1: a new primary gives every lease its full TTL and the extension", () => {
  const lessor = new Lessor();
  for (let id = 1; id <= 100; id++) lessor.grant(0, id, id < 51 ? 5 : 10, 0);
  lessor.promote(100_000, EXTENSION_MS);
  assert.deepEqual(expired(lessor, 100_000 + 5999), []);
  assert.equal(expired(lessor, 100_000 + 6064).length, 50);
  assert.deepEqual(expired(lessor, 100_000 + 10_999), []);
  assert.equal(expired(lessor, 100_000 + 11_064).length, 50);
});

test("marks vanish with leadership: what was handed out before is handed out by the next epoch too", () => {
  const lessor = primary();
  lessor.grant(0, 1, 5, 0);
  assert.deepEqual(expired(lessor, 6000), [1]);
  lessor.demote();
  assert.deepEqual(expired(lessor, 9000), []);
  lessor.promote(10_000, EXTENSION_MS);
  assert.equal(lessor.renew(0, 1, 10_001), "renewed");
  assert.deepEqual(expired(lessor, 15_000), []);
  assert.deepEqual(expired(lessor, 15_100), [1]);
  lessor.assertConserved();
});

test("a renewal after promotion counts from itself, though the extension would have ended later", () => {
  const lessor = new Lessor();
  lessor.grant(0, 1, 5, 0);
  lessor.promote(0, 5000);
  lessor.takeExpired(0, new LeaseIds(1));
  assert.equal(lessor.renew(0, 1, 1000), "renewed");
  assert.deepEqual(expired(lessor, 6100), [1]);
});

test("100,000 leases that end together come in bounded portions, each once", () => {
  const lessor = primary(0, { sliceRowCount: 1000 });
  for (let id = 1; id <= 100_000; id++) lessor.grant(1, id, 10, 0);
  const ids = new LeaseIds(500);
  const seen = new Uint8Array(100_001);
  let calls = 0;
  for (let total = 0; total < 100_000; calls++) {
    lessor.takeExpired(10_100, ids);
    assert.ok(ids.count <= 500);
    for (let i = 0; i < ids.count; i++) {
      assert.equal(seen[ids.lo[i]!]!++, 0);
      lessor.remove(lessor.find(1, ids.lo[i]!));
    }
    total += ids.count;
    assert.ok(calls < 1000);
  }
  assert.equal(lessor.count, 0);
  lessor.assertConserved();
});

test("leases with many keys come in smaller portions", () => {
  const lessor = primary(0, { sliceKeyCount: 100 });
  for (let id = 1; id <= 10; id++) {
    const slot = lessor.grant(0, id, 5, 0);
    for (let key = 0; key < 60; key++) lessor.attach(slot, id * 100 + key);
  }
  const ids = new LeaseIds(10);
  lessor.takeExpired(6000, ids);
  assert.equal(ids.count, 2);
});

test("L5: a key put on another lease is off the old one, in any order of a million attachments", () => {
  const lessor = new Lessor();
  const a = lessor.grant(0, 1, 5, 0);
  const b = lessor.grant(0, 2, 5, 0);
  const random = new Prng(7);
  const owner = new Map<number, number>();
  for (let step = 0; step < 100_000; step++) {
    const key = random.below(5000);
    const old = owner.get(key);
    if (old !== undefined) lessor.detach(old, key);
    const slot = random.pick([a, b, 0]);
    if (slot === 0) owner.delete(key);
    else {
      lessor.attach(slot, key);
      owner.set(key, slot);
    }
  }
  lessor.assertConserved();
  for (const slot of [a, b]) {
    const keys = new Set<number>();
    for (let link = lessor.table.firstKey(slot); link !== 0; link = lessor.table.keys.next(link))
      keys.add(link - 1);
    assert.deepEqual(keys, new Set([...owner].filter(([, at]) => at === slot).map(([key]) => key)));
  }
});

test("remainders are taken every 60 s of leases that were not renewed meanwhile, rounded up", () => {
  const lessor = primary();
  lessor.grant(0, 1, 300, 0);
  lessor.grant(0, 2, 300, 0);
  assert.equal(lessor.checkpointDue(59_999), false);
  lessor.renew(0, 2, 20_000);
  assert.deepEqual(checkpointed(lessor, 60_500), new Map([[1, 240]]));
  assert.equal(lessor.checkpointDue(61_000), false);
  // The first is not taken again before its entry is applied.
  assert.deepEqual(checkpointed(lessor, 60_500 + 60_000), new Map([[2, 200]]));
});

// Seed 501444 of the simulator: an extension makes a lease look as if it were renewed in the future.
test("a hand-over carries what is left of leases that nobody renews, also after rounds that follow each other quickly", () => {
  const lessor = primary(0, { checkpointMs: 300 });
  lessor.grant(0, 1, 10, 0);
  lessor.demote();
  lessor.promote(1000, EXTENSION_MS);
  assert.deepEqual(checkpointed(lessor, 1300), new Map([[1, 11]]));
  lessor.applyCheckpoint(0, 1, 11);
  lessor.beginHandOver();
  assert.deepEqual(checkpointed(lessor, 4000), new Map([[1, 8]]));
});

test("a hand-over carries what was not renewed in time, also of short leases", () => {
  const lessor = primary();
  lessor.grant(0, 1, 10, 0);
  lessor.grant(0, 2, 10, 0);
  lessor.renew(0, 2, 5000);
  lessor.beginHandOver();
  assert.deepEqual(checkpointed(lessor, 6000), new Map([[1, 4]]));
});

test("a new primary grants the remainder where there is one, the full TTL where it was cleared", () => {
  const lessor = new Lessor();
  lessor.grant(0, 1, 300, 0);
  lessor.grant(0, 2, 300, 0);
  lessor.applyCheckpoint(0, 1, 40);
  lessor.applyCheckpoint(0, 2, 40);
  lessor.applyCheckpoint(0, 2, 0);
  lessor.promote(0, 0);
  assert.deepEqual(expired(lessor, 39_999), []);
  assert.deepEqual(expired(lessor, 40_064), [1]);
  assert.deepEqual(expired(lessor, 299_999), []);
  assert.deepEqual(expired(lessor, 300_064), [2]);
});

test("the first renewal after a checkpoint counts once the entry that clears it is applied", () => {
  const lessor = primary();
  lessor.grant(0, 1, 300, 0);
  assert.deepEqual(checkpointed(lessor, 60_000), new Map([[1, 240]]));
  lessor.applyCheckpoint(0, 1, 240);
  assert.equal(lessor.renew(0, 1, 70_000), "needs-clear");
  assert.equal(lessor.renew(0, 1, 70_001), "needs-clear");
  assert.equal(lessor.clearCount, 1);
  const ids = new LeaseIds(4);
  lessor.takeClears(ids);
  assert.deepEqual([ids.count, ids.lo[0], ids.remainder[0]], [1, 1, 0]);
  assert.equal(lessor.renew(0, 1, 70_002), "needs-clear");
  lessor.applyCheckpoint(0, 1, 0);
  assert.equal(lessor.renew(0, 1, 70_003), "renewed");
  assert.equal(lessor.clearCount, 0);
});

test("what could not be proposed is put back and taken again", () => {
  const lessor = primary();
  lessor.grant(0, 1, 300, 0);
  const ids = new LeaseIds(4);
  lessor.takeCheckpoint(60_000, ids);
  assert.equal(ids.count, 1);
  lessor.putBack(ids);
  assert.equal(lessor.renew(0, 1, 60_001), "renewed");
  lessor.applyCheckpoint(0, 1, 100);
  assert.equal(lessor.renew(0, 1, 60_002), "needs-clear");
  lessor.takeClears(ids);
  lessor.putBack(ids);
  assert.equal(lessor.clearCount, 1);
});

test("a renewal between proposal and application of a checkpoint is not answered before it is cleared", () => {
  const lessor = primary();
  lessor.grant(0, 1, 300, 0);
  checkpointed(lessor, 60_000);
  assert.equal(lessor.renew(0, 1, 60_001), "needs-clear");
  lessor.applyCheckpoint(0, 1, 240);
  assert.equal(lessor.renew(0, 1, 60_002), "needs-clear");
  lessor.applyCheckpoint(0, 1, 0);
  assert.equal(lessor.renew(0, 1, 60_003), "renewed");
});

test("random leader changes: no lease ends before TTL from its last answered renewal, none lives for ever", () => {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const random = new Prng(seed);
  const members = [new Lessor(), new Lessor(), new Lessor()];
  const log: { kind: "checkpoint" | "revoke"; id: number; remainder: number; by: number }[] = [];
  let leader = 0;
  let now = 0;
  const safeUntil = new Map<number, number>();
  for (const member of members) for (let id = 1; id <= 20; id++) member.grant(0, id, 100 + id * 10, 0);
  for (let id = 1; id <= 20; id++) safeUntil.set(id, (100 + id * 10) * 1000);
  members[0]!.promote(0, EXTENSION_MS);
  const ids = new LeaseIds(8);
  const apply = (): void => {
    for (const entry of log.splice(0))
      for (const member of members) {
        if (entry.kind === "checkpoint") member.applyCheckpoint(0, entry.id, entry.remainder);
        else if (member.find(0, entry.id) >= 0) member.remove(member.find(0, entry.id));
      }
  };
  const collect = (kind: "checkpoint" | "revoke"): void => {
    for (let i = 0; i < ids.count; i++)
      log.push({ kind, id: ids.lo[i]!, remainder: ids.remainder[i]!, by: leader });
  };
  for (let step = 0; step < 4000; step++) {
    now += random.below(1000);
    const lessor = members[leader]!;
    const id = 1 + random.below(20);
    if (step < 2500 && random.chance(0.3) && lessor.renew(0, id, now) === "renewed")
      safeUntil.set(id, now + lessor.renewedTtlSeconds * 1000);
    lessor.takeExpired(now, ids);
    for (let i = 0; i < ids.count; i++)
      assert.ok(safeUntil.get(ids.lo[i]!)! <= now, `lease ${ids.lo[i]} ended early at ${now}, seed ${seed}`);
    collect("revoke");
    lessor.takeCheckpoint(now, ids);
    collect("checkpoint");
    lessor.takeClears(ids);
    collect("checkpoint");
    if (random.chance(0.5)) apply();
    if (random.chance(0.02)) {
      // Some of what was proposed is lost, the rest commits before the new leader is promoted.
      log.splice(random.below(log.length + 1));
      apply();
      lessor.demote();
      leader = (leader + 1) % 3;
      members[leader]!.promote(now, EXTENSION_MS);
    }
  }
  for (let step = 0; step < 2000 && members[0]!.count > 0; step++) {
    now += 1000;
    const lessor = members[leader]!;
    lessor.takeExpired(now, ids);
    collect("revoke");
    lessor.takeCheckpoint(now, ids);
    collect("checkpoint");
    apply();
    if (step % 70 === 69) {
      lessor.demote();
      leader = (leader + 1) % 3;
      members[leader]!.promote(now, EXTENSION_MS);
    }
  }
  for (const member of members) {
    assert.equal(member.count, 0, `a lease lives for ever, seed ${seed}`);
    member.assertConserved();
  }
});

test("an image shows the moment of its beginning while grants, revocations and checkpoints go on", () => {
  const seed = (Math.random() * 2 ** 32) >>> 0;
  const random = new Prng(seed);
  const lessor = new Lessor();
  let nextId = 1;
  const change = (): void => {
    const kind = random.below(3);
    const slot = lessor.find(3, 1 + random.below(nextId));
    if (kind === 0 || slot < 0) lessor.grant(3, nextId++, 1 + random.below(9_000_000_000), 0);
    else if (kind === 1) lessor.remove(slot);
    else lessor.applyCheckpoint(3, lessor.table.idLo(slot), random.below(1000));
  };
  const state = (of: Lessor): string[] => {
    const all: string[] = [];
    for (const slot of of.listByRemaining(0))
      all.push(
        `${of.table.idHi(slot)}:${of.table.idLo(slot)} ${of.table.ttlSeconds(slot)} ${of.table.remainderSeconds(slot)}`,
      );
    return all.sort();
  };
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 200; i++) change();
    const expected = state(lessor);
    lessor.image.begin();
    let image: Uint8Array | undefined;
    while (image === undefined) {
      for (let i = random.below(30); i > 0; i--) change();
      image = lessor.image.slice(random.below(40));
    }
    const restored = new Lessor();
    restored.image.restore(image, 0, image.length);
    assert.deepEqual(state(restored), expected, `seed ${seed}`);
    assert.deepEqual(restored.image.take().length, image.length);
    assert.throws(() => new Lessor().image.restore(image.subarray(0, image.length - 1), 0, image.length - 1));
  }
});

test("leases are listed by remaining time", () => {
  const lessor = primary();
  for (const [id, ttl] of [
    [1, 50],
    [2, 10],
    [3, 30],
  ] as const)
    lessor.grant(0, id, ttl, 0);
  lessor.renew(0, 2, 9000);
  assert.deepEqual(
    Array.from(lessor.listByRemaining(9500), (slot) => lessor.table.idLo(slot)),
    [2, 3, 1],
  );
  lessor.renew(0, 3, 9900);
  lessor.renew(0, 2, 9999);
  assert.deepEqual(
    Array.from(lessor.listByRemaining(9999), (slot) => lessor.table.idLo(slot)),
    [2, 3, 1],
  );
});
