// Events that go to many streams at once: stream by stream, and on their way before the last is written.

import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { create, FakeCall, FakeStore } from "./fakes.ts";
import { WatchHub } from "./hub.ts";

const STREAMS = 3;
const WATCHERS_EACH = 20;
/** Twenty events of this size are more than what is flushed. */
const LARGE = "v".repeat(1000);

interface Crowd {
  readonly store: FakeStore;
  readonly hub: WatchHub;
  readonly calls: readonly FakeCall[];
}

/** Watchers of one key on several streams, created in turns. */
function crowd(): Crowd {
  const store = new FakeStore();
  const header = { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 };
  const hub = new WatchHub({ store, header, limits: DEFAULT_LIMITS, progressMs: 1000 });
  const calls = Array.from({ length: STREAMS }, () => new FakeCall());
  for (const call of calls) hub.open(call);
  for (let i = 0; i < WATCHERS_EACH; i++) for (const call of calls) create(hub, call, ["a"]);
  for (const call of calls) call.take();
  return { store, hub, calls };
}

function run(hub: WatchHub): void {
  hub.advance();
  for (let turns = 0; hub.turn(0); turns++) assert.ok(turns < 1000, "turns end");
  hub.assertConserved();
}

test("a stream has all its messages before the next one has any, and all but the last are flushed", () => {
  const { store, hub, calls } = crowd();
  const written: number[][] = [];
  for (const call of calls) call.onFlush = () => written.push(calls.map((it) => it.responses.length));
  store.change(["a", LARGE]);
  run(hub);
  assert.deepEqual(
    calls.map((call) => call.responses.length),
    [WATCHERS_EACH, WATCHERS_EACH, WATCHERS_EACH],
  );
  assert.equal(written.length, STREAMS - 1);
  for (const [position, counts] of written.entries()) {
    const complete = counts.filter((count) => count === WATCHERS_EACH).length;
    const untouched = counts.filter((count) => count === 0).length;
    assert.deepEqual([complete, untouched], [position + 1, STREAMS - 1 - position]);
  }
});

test("every watcher gets its own events once, in the order of revisions", () => {
  const { store, hub, calls } = crowd();
  store.change(["a", LARGE]);
  store.change(["a", "2"]);
  run(hub);
  for (const call of calls) {
    const ids = call.responses.map((response) => Number(response.watch_id)).sort((a, b) => a - b);
    assert.deepEqual(
      ids,
      Array.from({ length: WATCHERS_EACH }, (_, i) => i),
    );
    for (const response of call.responses)
      assert.deepEqual(
        response.events.map((event) => event.kv?.mod_revision),
        [2, 3],
      );
  }
});

test("a little is not flushed before the turn ends", () => {
  const { store, hub, calls } = crowd();
  store.change(["a", "1"]);
  run(hub);
  for (const call of calls) assert.deepEqual(call.flushedCounts, []);
});

test("a stream that ends while another is flushed gets nothing more and leaves nothing behind", () => {
  const { store, hub, calls } = crowd();
  let left = calls.slice();
  for (const call of calls) {
    call.onFlush = () => {
      left = left.filter((it) => it !== call && it.end === undefined);
      for (const other of left) hub.close(other);
    };
  }
  store.change(["a", LARGE]);
  run(hub);
  assert.equal(calls.filter((call) => call.end === "finished").length, STREAMS - 1);
  assert.equal(hub.watcherCount, WATCHERS_EACH);
  for (const call of calls) assert.equal(call.responses.length, call.end === undefined ? WATCHERS_EACH : 0);
});

test("a stream that is full again after a flush of its own catches up", () => {
  const { store, hub, calls } = crowd();
  for (const call of calls) call.room = 5;
  store.change(["a", LARGE]);
  run(hub);
  for (const call of calls) {
    assert.equal(call.responses.length, 5);
    call.room = Infinity;
    call.writable = true;
    hub.onWritable(call);
  }
  run(hub);
  for (const call of calls) {
    assert.equal(new Set(call.responses.map((response) => response.watch_id)).size, WATCHERS_EACH);
    assert.equal(call.responses.length, WATCHERS_EACH);
  }
});
