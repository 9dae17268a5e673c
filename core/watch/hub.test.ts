import { strict as assert } from "node:assert";
import { test } from "node:test";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { STATUS, statusAsReason } from "../wire/status.ts";
import { create, FakeCall, FakeStore, request, textOf } from "./fakes.ts";
import type { WatchHubOptions } from "./hub.ts";
import { WatchHub } from "./hub.ts";

const PROGRESS_MS = 1000;

interface World {
  store: FakeStore;
  hub: WatchHub;
  call: FakeCall;
  /** Turns until nothing is left to do. */
  run(nowMs?: number): void;
}

function world(options: Partial<WatchHubOptions> = {}): World {
  const store = new FakeStore();
  const hub = new WatchHub({
    store,
    header: { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 },
    limits: DEFAULT_LIMITS,
    progressMs: PROGRESS_MS,
    ...options,
  });
  const call = new FakeCall();
  hub.open(call);
  const run = (nowMs = 0): void => {
    hub.advance();
    for (let turns = 0; hub.turn(nowMs); turns++) assert.ok(turns < 10_000, "turns end");
    hub.assertConserved();
  };
  return { store, hub, call, run };
}

/** Everything a client can see of a message but the ids of the header. */
function seen(call: FakeCall): object[] {
  return call.take().map((response) => {
    const { watch_id, created, canceled, compact_revision, cancel_reason, fragment } = response;
    const text: Record<string, unknown> = { revision: response.header?.revision ?? 0 };
    if (watch_id !== 0n) text["id"] = watch_id;
    if (created) text["created"] = true;
    if (canceled) text["canceled"] = true;
    if (compact_revision !== 0) text["compact"] = compact_revision;
    if (cancel_reason !== "") text["reason"] = cancel_reason;
    if (fragment) text["fragment"] = true;
    if (response.events.length > 0) text["events"] = textOf(response);
    return text;
  });
}

function createdAlready(
  range: readonly [string, string?],
  options: Parameters<typeof create>[3] = {},
): World {
  const made = world();
  create(made.hub, made.call, range, options);
  made.call.take();
  return made;
}

// Control.

test("create answers created with the current revision, in the order of the requests", () => {
  const { store, hub, call } = world();
  store.change(["a", "1"]);
  create(hub, call, ["a"], { id: 7n });
  create(hub, call, ["b"]);
  assert.equal(call.responses[0]!.header!.cluster_id, (1n << 32n) + 2n);
  assert.equal(call.responses[0]!.header!.member_id, (3n << 32n) + 4n);
  assert.equal(call.responses[0]!.header!.raft_term, 5);
  assert.deepEqual(seen(call), [
    { revision: 2, id: 7n, created: true },
    { revision: 2, created: true },
  ]);
});

test('an empty key watches the key "\\0" only, with a range end of "\\0" everything', () => {
  const { store, hub, call, run } = world();
  create(hub, call, [""], { id: 1n });
  create(hub, call, ["", "\0"], { id: 2n });
  create(hub, call, ["", "b"], { id: 3n });
  call.take();
  store.change(["\0", "x"], ["a", "y"], ["z", "w"]);
  run();
  assert.deepEqual(
    seen(call).sort((a, b) => Number((a as { id: bigint }).id - (b as { id: bigint }).id)),
    [
      { revision: 2, id: 1n, events: "+\0=x@2" },
      { revision: 2, id: 2n, events: "+\0=x@2 +a=y@2 +z=w@2" },
      { revision: 2, id: 3n, events: "+\0=x@2 +a=y@2" },
    ],
  );
});

test("ids are assigned from 0 upwards, pass over those in use, and are not given twice after a cancel", () => {
  const { hub, call } = world();
  create(hub, call, ["a"], { id: 1n });
  create(hub, call, ["a"]);
  create(hub, call, ["a"]);
  request(hub, call, { cancel_request: { watch_id: 2n } });
  create(hub, call, ["a"]);
  create(hub, call, ["a"], { id: -1n });
  create(hub, call, ["a"], { id: -5n });
  assert.deepEqual(
    call.take().map((response) => response.watch_id),
    [1n, 0n, 2n, 2n, 3n, -1n, -5n],
  );
});

test("a duplicate id is refused, the first watcher goes on, and another stream may use it", () => {
  const { store, hub, call, run } = createdAlready(["a"], { id: 9n });
  create(hub, call, ["b"], { id: 9n });
  assert.deepEqual(seen(call), [
    {
      revision: 1,
      id: -1n,
      created: true,
      canceled: true,
      reason: "mvcc: duplicate watch ID provided on the WatchStream",
    },
  ]);
  const other = new FakeCall();
  hub.open(other);
  create(hub, other, ["b"], { id: 9n });
  assert.deepEqual(seen(other), [{ revision: 1, id: 9n, created: true }]);
  store.change(["a", "1"], ["b", "2"]);
  run();
  assert.deepEqual(seen(call), [{ revision: 2, id: 9n, events: "+a=1@2" }]);
  assert.deepEqual(seen(other), [{ revision: 2, id: 9n, events: "+b=2@2" }]);
});

test("a range that ends at or before its key is refused", () => {
  const { hub, call } = world();
  for (const range of [
    ["b", "b"],
    ["b", "a"],
  ] as const)
    create(hub, call, range);
  const refused = {
    revision: 1,
    id: -1n,
    created: true,
    canceled: true,
    reason: "mvcc: watcher range is empty",
  };
  assert.deepEqual(seen(call), [refused, refused]);
});

test("a negative start revision is refused with the compacted text and no compact revision", () => {
  const { hub, call } = world();
  create(hub, call, ["b"], { start: -1 });
  const reason = "etcdserver: mvcc: required revision has been compacted";
  assert.deepEqual(seen(call), [{ revision: 1, id: -1n, created: true, canceled: true, reason }]);
});

test("refused permission carries the whole RPC error, and the stream stays usable", () => {
  const denied = statusAsReason(STATUS.permissionDenied);
  const { store, hub, call, run } = world({
    authorize: (_, range) => (range.bytes[range.keyStart] === 0x73 ? denied : undefined),
  });
  create(hub, call, ["secret"]);
  create(hub, call, ["open"]);
  store.change(["secret", "1"], ["open", "2"]);
  run();
  assert.equal(denied, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
  assert.deepEqual(seen(call), [
    { revision: 1, id: -1n, created: true, canceled: true, reason: denied },
    { revision: 1, created: true },
    { revision: 2, events: "+open=2@2" },
  ]);
});

test("W9: cancel is answered with the id and ends the events; an unknown id gets no answer", () => {
  const { store, hub, call, run } = createdAlready(["a"], { id: 3n });
  request(hub, call, { cancel_request: { watch_id: 4n } });
  assert.deepEqual(seen(call), []);
  store.change(["a", "1"]);
  request(hub, call, { cancel_request: { watch_id: 3n } });
  assert.deepEqual(seen(call), [{ revision: 2, id: 3n, canceled: true }]);
  request(hub, call, { cancel_request: { watch_id: 3n } });
  run();
  assert.deepEqual(seen(call), []);
  assert.equal(hub.watcherCount, 0);
});

test("an empty union is ignored, malformed bytes end the stream", () => {
  const { hub, call } = world();
  hub.onMessage(call, new Uint8Array(0), 0, 0);
  assert.deepEqual(seen(call), []);
  hub.onMessage(call, Uint8Array.of(0x0a, 0xff), 0, 2);
  assert.equal((call.end as { code: number }).code, 13);
  hub.assertConserved();
});

test("start revisions: none is from now on, a past one replays, a future one waits (W7)", () => {
  const { store, hub, call, run } = world();
  for (const value of ["1", "2", "3"]) store.change(["a", value]);
  run();
  create(hub, call, ["a"], { id: 1n });
  create(hub, call, ["a"], { id: 2n, start: 3 });
  create(hub, call, ["a"], { id: 3n, start: 6 });
  call.take();
  run();
  assert.deepEqual(seen(call), [{ revision: 4, id: 2n, events: "+a=2@3 +a=3@4" }]);
  store.change(["a", "4"]);
  run();
  assert.deepEqual(
    seen(call)
      .map((message) => (message as { id: bigint }).id)
      .sort(),
    [1n, 2n],
  );
  store.change(["a", "5"]);
  run();
  assert.deepEqual(
    seen(call)
      .map((message) => (message as { id: bigint }).id)
      .sort(),
    [1n, 2n, 3n],
  );
});

test("a start revision of 2^62 is taken as a far future", () => {
  const { store, hub, call, run } = world();
  create(hub, call, ["a"], { start: Number.MAX_SAFE_INTEGER });
  store.change(["a", "1"]);
  run();
  assert.deepEqual(seen(call), [{ revision: 1, created: true }]);
});

test("a compacted start is created first and then cancelled with the compact revision and header revision 0", () => {
  const { store, hub, call, run } = world();
  for (const value of ["1", "2", "3", "4"]) store.change(["a", value]);
  run();
  store.compact(4);
  create(hub, call, ["a"], { id: 1n, start: 3 });
  create(hub, call, ["a"], { id: 2n, start: 4 });
  run();
  assert.deepEqual(seen(call), [
    { revision: 5, id: 1n, created: true },
    { revision: 0, id: 1n, canceled: true, compact: 4 },
    { revision: 5, id: 2n, created: true },
    { revision: 5, id: 2n, events: "+a=3@4 +a=4@5" },
  ]);
  assert.equal(hub.watcherCount, 1);
});

test("the id of a watcher that a compaction ended is taken on its stream until the client cancels it, as in etcd", () => {
  const { store, hub, call, run } = world();
  for (const value of ["1", "2", "3", "4"]) store.change(["a", value]);
  run();
  store.compact(4);
  create(hub, call, ["a"], { id: 1n, start: 3 });
  create(hub, call, ["a"], { id: 1n });
  for (let i = 0; i < 2; i++) create(hub, call, ["a"]);
  for (let i = 0; i < 2; i++) request(hub, call, { cancel_request: { watch_id: 1n } });
  create(hub, call, ["a"], { id: 1n });
  run();
  const duplicate = "mvcc: duplicate watch ID provided on the WatchStream";
  assert.deepEqual(seen(call), [
    { revision: 5, id: 1n, created: true },
    { revision: 0, id: 1n, canceled: true, compact: 4 },
    { revision: 5, id: -1n, created: true, canceled: true, reason: duplicate },
    { revision: 5, created: true },
    { revision: 5, id: 2n, created: true },
    { revision: 5, id: 1n, canceled: true },
    { revision: 5, id: 1n, created: true },
  ]);
});

test("no more than a thousand ids of ended watchers are kept a stream: the oldest are free again", () => {
  const { store, hub, call, run } = world();
  for (const value of ["1", "2", "3", "4"]) store.change(["a", value]);
  run();
  store.compact(4);
  for (let id = 1n; id <= 1001n; id++) create(hub, call, ["a"], { id, start: 3 });
  run();
  seen(call);
  for (const id of [1n, 2n]) create(hub, call, ["a"], { id });
  run();
  assert.deepEqual(
    seen(call).map((one) => (one as { id?: bigint }).id),
    [1n, -1n],
  );
});

test("W5/W6: a deletion at the compacted revision is still told", () => {
  const { store, hub, call, run } = world();
  store.change(["a", "1"]);
  store.change(["a", null]);
  store.change(["b", "2"]);
  run();
  store.compact(3);
  create(hub, call, ["a", "c"], { start: 3 });
  call.take();
  run();
  assert.deepEqual(seen(call), [{ revision: 4, events: "-a@3 +b=2@4" }]);
});

test("W5: what was written before a compaction reaches watchers that are up to date, through settle()", () => {
  const { store, hub, call, run } = createdAlready(["a"]);
  for (let i = 0; i < 50; i++) store.change(["a", String(i)]);
  hub.settle();
  store.compact(51);
  run();
  const events = call.take().flatMap((response) => response.events.map((event) => event.kv!.mod_revision));
  assert.deepEqual(
    events,
    Array.from({ length: 50 }, (_, i) => i + 2),
  );
});

test("a watcher that lags behind a compaction is cancelled when its stream takes messages", () => {
  const { store, hub, call, run } = createdAlready(["a"]);
  call.writable = false;
  for (let i = 0; i < 5; i++) store.change(["a", String(i)]);
  run();
  assert.equal(hub.laggingCount, 1);
  store.compact(5);
  run();
  assert.deepEqual(seen(call), []);
  call.writable = true;
  hub.onWritable(call);
  run();
  assert.deepEqual(seen(call), [{ revision: 0, canceled: true, compact: 5 }]);
  assert.equal(hub.watcherCount, 0);
});

test("the client's half close and the end of a call: the hub keeps the stream until close, then frees everything", () => {
  const { hub, call } = createdAlready(["a", "b"]);
  create(hub, call, ["c"], { start: 1 });
  assert.equal(hub.watcherCount, 2);
  hub.close(call);
  assert.equal(call.end, "finished");
  assert.equal(hub.watcherCount, 0);
  assert.equal(hub.streamCount, 0);
  hub.close(call);
  hub.onWritable(call);
  request(hub, call, { progress_request: {} });
  hub.assertConserved();
});

test("W9: a stream of 10,000 watchers is taken down in slices and leaves nothing behind", () => {
  const { store, hub, call, run } = world({ limits: { ...DEFAULT_LIMITS, watchSliceUnits: 1000 } });
  for (let i = 0; i < 10_000; i++)
    create(hub, call, [`key${i % 100}`, i % 2 === 0 ? "" : "z"], { start: i % 3 });
  const other = new FakeCall();
  hub.open(other);
  create(hub, other, ["key1"]);
  hub.close(call);
  store.change(["key1", "1"]);
  assert.equal(hub.turn(0), true);
  assert.ok(hub.watcherCount > 5000, "a slice takes few");
  run();
  assert.equal(hub.watcherCount, 1);
  assert.deepEqual(seen(other), [
    { revision: 1, created: true },
    { revision: 2, events: "+key1=1@2" },
  ]);
  hub.close(other);
  hub.assertConserved();
});

test("server stop ends every stream with Unavailable", () => {
  const { hub, call } = createdAlready(["a"]);
  hub.failAll(STATUS.stopped);
  assert.equal(call.end, STATUS.stopped);
  assert.equal(hub.watcherCount, 0);
});

test("without a leader only the streams that asked for one end", () => {
  const { hub, call } = createdAlready(["a"]);
  const asking = new FakeCall({ hasleader: "true" });
  hub.open(asking);
  create(hub, asking, ["a"]);
  hub.failThoseThatNeedALeader(STATUS.noLeader);
  assert.equal(call.end, undefined);
  assert.equal(asking.end, STATUS.noLeader);
  assert.equal(hub.watcherCount, 1);
});

test("a client that creates without ever reading is ended", () => {
  const { hub, call } = world({ limits: { ...DEFAULT_LIMITS, watchControlBacklogMax: 100 } });
  call.writable = false;
  for (let i = 0; i < 101 && call.end === undefined; i++) create(hub, call, ["a"]);
  assert.equal(call.end, STATUS.tooManyRequests);
  hub.assertConserved();
});

test("watchers above the member's limit are refused", () => {
  const { hub, call } = world({ limits: { ...DEFAULT_LIMITS, watcherCountMax: 1 } });
  create(hub, call, ["a"]);
  create(hub, call, ["a"]);
  assert.equal(call.responses[1]!.cancel_reason, "etcdserver: too many requests");
});

// Events and ordering.

test("a put has the whole key-value, a deletion only key and revision", () => {
  const { store, call, run } = createdAlready(["a"]);
  store.change(["a", "1"]);
  store.change(["a", "2"]);
  store.change(["a", null]);
  run();
  const events = call.take().flatMap((response) => response.events);
  const plain = { key: Uint8Array.of(0x61), lease: 0n };
  assert.deepEqual(
    events.map((event) => ({ ...event.kv })),
    [
      { ...plain, create_revision: 2, mod_revision: 2, version: 1, value: Uint8Array.of(0x31) },
      { ...plain, create_revision: 2, mod_revision: 3, version: 2, value: Uint8Array.of(0x32) },
      { ...plain, create_revision: 0, mod_revision: 4, version: 0, value: new Uint8Array(0) },
    ],
  );
  assert.deepEqual(
    events.map((event) => event.type),
    [0, 0, 1],
  );
});

test("W10: the previous value is that before the revision; absent at creation and when it is compacted", () => {
  const { store, hub, call, run } = createdAlready(["a"], { prevKv: true });
  create(hub, call, ["a"], { id: 5n });
  call.take();
  store.change(["a", "1"]);
  store.change(["a", "2"]);
  store.change(["a", null]);
  store.change(["a", "3"]);
  run();
  const responses = call.take();
  const textsOf = (id: bigint): string[] =>
    responses.filter((response) => response.watch_id === id).map(textOf);
  assert.deepEqual(textsOf(0n), ["+a=1@2 +a=2@3<1 -a@4<2 +a=3@5"]);
  assert.deepEqual(textsOf(5n), ["+a=1@2 +a=2@3 -a@4 +a=3@5"]);
  store.change(["a", "4"]);
  run();
  call.take();
  store.compact(6);
  create(hub, call, ["a"], { id: 6n, start: 6, prevKv: true });
  call.take();
  run();
  assert.deepEqual(seen(call), [{ revision: 6, id: 6n, events: "+a=4@6" }]);
});

test("filters drop puts, deletions or both; a batch filtered to nothing sends no message", () => {
  const { store, hub, call, run } = world();
  create(hub, call, ["a"], { id: 1n, filters: [0] });
  create(hub, call, ["a"], { id: 2n, filters: [1] });
  create(hub, call, ["a"], { id: 3n, filters: [0, 1] });
  call.take();
  store.change(["a", "1"]);
  run();
  assert.deepEqual(seen(call), [{ revision: 2, id: 2n, events: "+a=1@2" }]);
  store.change(["a", null]);
  run();
  assert.deepEqual(seen(call), [{ revision: 3, id: 1n, events: "-a@3" }]);
});

test("W8: all events of one revision are in one message, for range and single-key watchers, live and caught up", () => {
  const { store, hub, call, run } = world({
    limits: { ...DEFAULT_LIMITS, watchSliceUnits: 1, watchBatchBytes: 1 },
  });
  create(hub, call, ["k", "l"], { id: 1n });
  call.take();
  const changes = Array.from({ length: 100 }, (_, i) => [`k${i}`, "v".repeat(50)] as const);
  store.change(...changes);
  store.change(...changes.map(([key]) => [key, null] as const));
  run();
  create(hub, call, ["k", "l"], { id: 2n, start: 1 });
  run();
  assert.deepEqual(
    call.take().map((response) => [response.watch_id, response.header!.revision, response.events.length]),
    [
      [1n, 2, 100],
      [1n, 3, 100],
      [2n, 3, 0],
      [2n, 2, 100],
      [2n, 3, 100],
    ],
  );
});

test("live messages of one revision have that revision in the header, of several that of the last event", () => {
  const { store, call, run } = createdAlready(["a"]);
  store.change(["a", "1"]);
  run();
  store.change(["b", "1"]);
  store.change(["a", "2"]);
  store.change(["a", "3"]);
  store.change(["b", "1"]);
  run();
  assert.deepEqual(seen(call), [
    { revision: 2, events: "+a=1@2" },
    { revision: 5, events: "+a=2@4 +a=3@5" },
  ]);
});

test("fragments: only when asked for, at least one event each, nothing in between, all but the last marked", () => {
  const limits = { ...DEFAULT_LIMITS, requestSizeBytesMax: 300, grpcOverheadBytes: 100 };
  const { store, hub, call, run } = world({ limits });
  create(hub, call, ["k", "l"], { id: 1n, fragment: true });
  create(hub, call, ["k", "l"], { id: 2n });
  create(hub, call, ["k", "l"], { id: 3n, fragment: true });
  call.take();
  store.change(...Array.from({ length: 10 }, (_, i) => [`k${i}`, "v".repeat(100)] as const), [
    "kx",
    "v".repeat(1000),
  ]);
  run();
  const responses = call.take();
  const ids = responses.map((response) => response.watch_id);
  assert.equal(ids.filter((id, i) => id !== ids[i - 1]).length, 3, "the messages of a watcher are together");
  for (const id of [1n, 3n]) {
    const own = responses.filter((response) => response.watch_id === id);
    assert.ok(own.length > 3, "several fragments");
    assert.deepEqual(
      own.map((response) => response.fragment),
      own.map((_, i) => i < own.length - 1),
    );
    assert.equal(own.flatMap((response) => response.events).length, 11);
    for (const response of own) {
      assert.equal(response.header!.revision, 2);
      const size = response.events.reduce((sum, event) => sum + event.kv!.value.length, 0);
      assert.ok(response.events.length === 1 || size < 400, "a fragment is small or one event");
    }
  }
  const whole = responses.filter((response) => response.watch_id === 2n);
  assert.equal(whole.length, 1);
  assert.equal(whole[0]!.events.length, 11);
  store.change(["k", "small"]);
  run();
  assert.ok(
    call.take().every((response) => !response.fragment),
    "a small message is whole",
  );
});

test("W4: a stream that takes one message at a time gets everything once, in order, without a queue", () => {
  const { store, hub, call, run } = createdAlready(["a", "b"]);
  call.room = 1;
  const told: number[] = [];
  for (let i = 0; i < 300; i++) {
    store.change([`a${i % 7}`, String(i)]);
    run();
    if (i % 5 !== 0) continue;
    for (const response of call.take()) told.push(...response.events.map((event) => event.kv!.mod_revision));
    call.room = 1;
    call.writable = true;
    hub.onWritable(call);
  }
  call.room = Infinity;
  call.writable = true;
  hub.onWritable(call);
  run();
  for (const response of call.take()) told.push(...response.events.map((event) => event.kv!.mod_revision));
  assert.deepEqual(
    told,
    Array.from({ length: 300 }, (_, i) => i + 2),
  );
  assert.equal(hub.laggingCount, 0);
});

test("a crowd larger than a slice is served over several turns, each watcher once", () => {
  const { store, hub, call, run } = world({ limits: { ...DEFAULT_LIMITS, watchSliceUnits: 100 } });
  for (let i = 0; i < 1000; i++) create(hub, call, ["a"]);
  call.take();
  store.change(["a", "1"]);
  assert.equal(hub.turn(0), true);
  assert.ok(call.responses.length < 500, "a slice serves few");
  run();
  assert.equal(new Set(call.take().map((response) => response.watch_id)).size, 1000);
  assert.equal(hub.laggingCount, 0);
});

test("what is read from disk takes more of a slice than what is in memory", () => {
  const turnsOf = (isCold: boolean): number => {
    const { store, hub, call } = world();
    for (let i = 0; i < 500; i++) store.change(["a", `${i}`]);
    hub.advance();
    hub.turn(0);
    store.isCold = isCold;
    create(hub, call, ["a"], { start: 2 });
    let turns = 1;
    while (hub.turn(0)) turns++;
    const eventCount = call.take().reduce((sum, response) => sum + response.events.length, 0);
    assert.equal(eventCount, 500);
    return turns;
  };
  assert.equal(turnsOf(false), 1);
  assert.ok(turnsOf(true) > 3, `${turnsOf(true)} turns`);
});

test("W2: after a restored snapshot watchers go on from where they were, or are cancelled when that is compacted", () => {
  const { store, hub, call, run } = world();
  const late = new FakeCall();
  hub.open(late);
  create(hub, call, ["a"], { id: 1n });
  create(hub, call, ["a"], { id: 2n, start: 9 });
  store.change(["a", "1"]);
  run();
  create(hub, late, ["a"], { id: 3n, start: 2 });
  late.take();
  late.writable = false;
  run();
  call.take();
  const restored = new FakeStore();
  for (let i = 1; i <= 6; i++) restored.change(["a", String(i)]);
  restored.compact(3);
  hub.restored(restored);
  run();
  assert.deepEqual(seen(call), [{ revision: 7, id: 1n, events: "+a=2@3 +a=3@4 +a=4@5 +a=5@6 +a=6@7" }]);
  late.writable = true;
  hub.onWritable(late);
  run();
  assert.deepEqual(seen(late), [{ revision: 0, id: 3n, canceled: true, compact: 3 }]);
  restored.change(["a", "7"]);
  restored.change(["a", "8"]);
  run();
  assert.deepEqual(seen(call), [
    { revision: 9, id: 1n, events: "+a=7@8 +a=8@9" },
    { revision: 9, id: 2n, events: "+a=8@9" },
  ]);
});

// Progress.

test("W1: a progress request is answered with id -1 and the current revision after all events up to it", () => {
  const { store, hub, call, run } = createdAlready(["a"]);
  store.change(["a", "1"]);
  store.change(["b", "1"]);
  request(hub, call, { progress_request: {} });
  run();
  assert.deepEqual(seen(call), [
    { revision: 2, events: "+a=1@2" },
    { revision: 3, id: -1n },
  ]);
});

test("a progress request gets nothing without watchers, with a lagging one, or before a future start", () => {
  const { store, hub, call, run } = world();
  const ask = (): object[] => {
    request(hub, call, { progress_request: {} });
    run();
    return seen(call);
  };
  assert.deepEqual(ask(), []);
  create(hub, call, ["a"], { id: 1n });
  create(hub, call, ["b"], { id: 2n, start: 3 });
  call.take();
  assert.deepEqual(ask(), []);
  store.change(["x", "1"]);
  assert.deepEqual(ask(), []);
  store.change(["x", "1"]);
  assert.deepEqual(ask(), [{ revision: 3, id: -1n }]);
  create(hub, call, ["b"], { id: 3n, start: 100 });
  call.take();
  assert.deepEqual(ask(), []);
  request(hub, call, { cancel_request: { watch_id: 3n } });
  call.take();
  assert.deepEqual(ask(), [{ revision: 3, id: -1n }]);
  call.writable = false;
  store.change(["a", "1"]);
  assert.deepEqual(ask(), []);
  call.writable = true;
  hub.onWritable(call);
  run();
  assert.deepEqual(seen(call), [{ revision: 4, id: 1n, events: "+a=1@4" }]);
});

test("periodic progress: to quiet watchers that asked, skipped after events, repeated at the same revision", () => {
  const { store, hub, call, run } = world();
  run(0);
  create(hub, call, ["a"], { id: 1n, progressNotify: true });
  create(hub, call, ["a"], { id: 2n });
  create(hub, call, ["b"], { id: 3n, progressNotify: true });
  call.take();
  run(0);
  assert.equal(hub.nextDeadlineMs(), PROGRESS_MS);
  run(PROGRESS_MS - 1);
  assert.deepEqual(seen(call), []);
  const ids = (): unknown[] =>
    seen(call)
      .map((message) => Object.values(message))
      .sort();
  run(PROGRESS_MS);
  assert.deepEqual(ids(), [
    [1, 1n],
    [1, 3n],
  ]);
  run(PROGRESS_MS * 2);
  assert.deepEqual(ids(), [
    [1, 1n],
    [1, 3n],
  ]);
  store.change(["a", "1"]);
  run(PROGRESS_MS * 2 + 1);
  call.take();
  run(PROGRESS_MS * 3);
  assert.deepEqual(ids(), [[2, 3n]]);
  run(PROGRESS_MS * 4);
  assert.deepEqual(ids(), [
    [2, 1n],
    [2, 3n],
  ]);
  hub.close(call);
  assert.equal(hub.nextDeadlineMs(), Infinity);
});

test("periodic progress is withheld from a watcher that lags or starts later", () => {
  const { store, hub, call, run } = world();
  create(hub, call, ["a"], { progressNotify: true });
  const other = new FakeCall();
  hub.open(other);
  create(hub, other, ["a"], { progressNotify: true, start: 50 });
  run(0);
  call.take();
  other.take();
  call.writable = false;
  store.change(["a", "1"]);
  run(1);
  run(PROGRESS_MS * 2);
  assert.deepEqual(seen(call), []);
  assert.deepEqual(seen(other), []);
});
