// The hub over the real store, with compaction carried out in slices between turns, against the hub over the test's store
// of plain objects: the same requests must give the same messages. hub.model.test.ts says that those are right.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { Compaction } from "../mvcc/compaction.ts";
import { Store } from "../mvcc/store.ts";
import type { Change } from "./fakes.ts";
import { create, FakeCall, FakeStore, request } from "./fakes.ts";
import { WatchHub } from "./hub.ts";

const KEYS = ["a", "aa", "ab", "b", "ba", "c", "d"];

function changeStore(store: Store, changes: readonly Change[]): void {
  store.beginRevision();
  for (const [key, value] of changes) {
    const bytes = encodeUtf8(key + (value ?? ""));
    const keySize = encodeUtf8(key).length;
    if (value !== null) store.put(bytes, 0, keySize, bytes, keySize, bytes.length, 0, 0);
    else if (store.findLive(bytes, 0, keySize) !== 0) store.deleteKey(store.findKey(bytes, 0, keySize));
  }
  store.endRevision();
}

function simulate(seed: number): number {
  const random = new Prng(seed);
  const plain = new FakeStore();
  const real = new Store({ segmentSizeBytes: 4096, hashSeed: 7 });
  const compaction = new Compaction(real);
  const options = {
    header: { clusterHi: 0, clusterLo: 1, memberHi: 0, memberLo: 1, term: 1 },
    limits: { ...DEFAULT_LIMITS, watchSliceUnits: 40, watchBatchBytes: 300, watchPassRevisionCount: 9 },
    progressMs: 1e9,
  };
  const hubs = [new WatchHub({ ...options, store: plain }), new WatchHub({ ...options, store: real })];
  const calls = Array.from({ length: 4 }, () => hubs.map(() => new FakeCall()));
  for (const pair of calls) for (const [i, call] of pair.entries()) hubs[i]!.open(call);
  let events = 0;
  const change = (): void => {
    const keys = new Set(Array.from({ length: random.between(1, 4) }, () => random.pick(KEYS)));
    const changes = [...keys].map((key): Change => [
      key,
      random.chance(0.3) ? null : `${random.below(1000)}`,
    ]);
    plain.change(...changes);
    changeStore(real, changes);
  };
  const createOne = (): void => {
    const key = random.pick(KEYS);
    const end = random.pick(["", "\0", `${key}~`]);
    const start = random.chance(0.3) ? 0 : Math.max(1, plain.revision - random.below(30) + 4);
    const watch = { start, prevKv: random.chance(0.5), filters: random.pick([[], [0], [1]]) };
    const pair = random.pick(calls);
    for (const [i, call] of pair.entries()) create(hubs[i]!, call, [key, end], watch);
  };
  const makeRoom = (): void => {
    const room = random.pick([0, 1, 2, Infinity]);
    for (const [i, call] of random.pick(calls).entries()) {
      call.room = room;
      call.writable = room > 0;
      if (room > 0) hubs[i]!.onWritable(call);
    }
  };
  const compact = (): void => {
    const revision = plain.revision - random.below(12);
    if (revision <= Math.max(1, plain.compactedRevision)) return;
    for (const hub of hubs) hub.settle();
    plain.compact(revision);
    real.compactedRevision = revision;
  };
  for (let step = 0; step < 600; step++) {
    const kind = random.below(20);
    if (kind < 8) change();
    else if (kind < 10) createOne();
    else if (kind < 12) makeRoom();
    else if (kind === 12) compact();
    else if (kind === 13)
      for (const pair of calls) pair.forEach((call, i) => request(hubs[i]!, call, { progress_request: {} }));
    else for (const hub of hubs) hub.turn(0);
    if (compaction.isRunning) compaction.slice(3);
    else if (compaction.isDue) compaction.begin();
    assert.equal(real.revision, plain.revision);
    for (const [expected, actual] of calls) {
      const messages = expected!.take();
      assert.deepEqual(actual!.take(), messages, `seed ${seed}`);
      for (const message of messages) events += message.events.length;
    }
  }
  return events;
}

test("hub over the real store tells the same as over plain objects, while compaction runs in slices", () => {
  const base = Number(process.env["SEED"] ?? Math.floor(Math.random() * 1e9));
  let events = 0;
  for (let run = 0; run < 15; run++) events += simulate(base + run);
  assert.ok(events > 2000, `the test tests something: ${events} events, seed ${base}`);
});
