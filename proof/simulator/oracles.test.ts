// The oracles, held against histories that are wrong in one place: every such place must be seen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { ENTRY_NORMAL, RaftLog } from "../../core/raft/log.ts";
import type * as m from "../../core/wire/messages.ts";
import { beginRequest, REQUEST_KIND, writeRequestBody } from "../../core/wire/raft-request.ts";
import { encode, type Input, type MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { bytesOf } from "./canonical.ts";
import { GroundTruth } from "./ground-truth.ts";
import { type Answer, History, type Operation } from "./history.ts";
import { LeaseOracle } from "./lease-oracle.ts";
import { encodeTagged } from "./requests.ts";
import { Violation } from "./violation.ts";
import { WatchOracle, type WatchResponse } from "./watch-oracle.ts";

type Kv = MessageOf<typeof m.KeyValue>;
const NO_LEASES = { granted: () => undefined, revoked: () => undefined, checkpointed: () => undefined };

/** A committed log made by hand. */
class Written {
  readonly truth = new GroundTruth(NO_LEASES);
  readonly #log = new RaftLog({ arenaBytes: 65536, compactedIndex: 0, compactedTerm: 0 });

  commit(kind: number, method: Method, request: unknown, tag: number): void {
    const body = encodeTagged(method, request, tag);
    const writer = new ByteWriter(256);
    beginRequest(writer, 1, tag);
    writeRequestBody(writer, kind, body, 0, body.length);
    this.#log.append(ENTRY_NORMAL, 1, writer.bytes, 0, writer.position);
    assert.ok(this.truth.commit(this.#log, { timeUs: 0, committedInTerm: 1 }));
  }

  put(key: string, value: string, tag: number): void {
    this.commit(REQUEST_KIND.put, METHOD.put, PUT(key, value), tag);
  }
}

const PUT = (key: string, value: string): Input<MessageOf<typeof m.PutRequest>> => ({
  key: bytesOf(key),
  value: bytesOf(value),
  prev_kv: true,
});
const NO_OP = {
  request_range: undefined,
  request_put: undefined,
  request_delete_range: undefined,
  request_txn: undefined,
};
const RANGE = {
  key: bytesOf("a"),
  range_end: bytesOf("z"),
  limit: 0,
  revision: 0,
  sort_order: 0,
  sort_target: 0,
  serializable: false,
  keys_only: false,
  count_only: false,
  min_mod_revision: 0,
  max_mod_revision: 0,
  min_create_revision: 0,
  max_create_revision: 0,
};
const TXN = {
  compare: [],
  success: [
    {
      ...NO_OP,
      request_put: {
        key: bytesOf("b"),
        value: bytesOf("v3"),
        lease: 0n,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
      },
    },
    { ...NO_OP, request_delete_range: { key: bytesOf("a"), range_end: bytesOf(""), prev_kv: false } },
  ],
  failure: [],
};

/** a and c are put (2, 3), a again (4), then b is put and a deleted (5). */
function written(): Written {
  const made = new Written();
  made.put("a", "v0", 1);
  made.put("c", "v1", 2);
  made.put("a", "v2", 3);
  made.commit(REQUEST_KIND.txn, METHOD.txn, TXN, 4);
  return made;
}

function operation(method: Method, request: unknown, tag: number, floor = 1): Operation {
  return { client: 1, node: 0, method, request, tag, calledUs: 0, floor };
}

function answered(method: Method, message: unknown): Answer {
  const writer = new ByteWriter(256);
  encode(method.response, message as Input<unknown>, writer);
  return { code: 0, text: "", message: writer.copy() };
}

function kv(key: string, numbers: readonly [number, number, number], value: string): Input<Kv> {
  const [create_revision, mod_revision, version] = numbers;
  return { key: bytesOf(key), create_revision, mod_revision, version, value: bytesOf(value), lease: 0n };
}

const PUT_ANSWER = { header: { revision: 4 }, prev_kv: kv("a", [2, 2, 1], "v0") };
const RANGE_ANSWER = {
  header: { revision: 5 },
  kvs: [kv("b", [5, 5, 1], "v3"), kv("c", [3, 3, 1], "v1")],
  count: 2,
};
const TXN_ANSWER = {
  header: { revision: 5 },
  succeeded: true,
  responses: [
    { response_put: { header: { revision: 5 } } },
    { response_delete_range: { header: { revision: 5 }, deleted: 1 } },
  ],
};
const THIRD_PUT = operation(
  METHOD.put,
  { ...PUT("a", "v2"), lease: 0n, ignore_value: false, ignore_lease: false },
  3,
);

test("a true history passes", () => {
  const { truth } = written();
  const history = new History(truth);
  history.returned(THIRD_PUT, answered(METHOD.put, PUT_ANSWER));
  history.returned(operation(METHOD.range, RANGE, 0, 4), answered(METHOD.range, RANGE_ANSWER));
  history.returned(operation(METHOD.txn, TXN, 4, 4), answered(METHOD.txn, TXN_ANSWER));
  assert.equal(history.highestReturned, 5);
});

const WRONG: readonly (readonly [string, string, Operation, Answer])[] = [
  [
    "a write shows another revision",
    "value",
    THIRD_PUT,
    answered(METHOD.put, { ...PUT_ANSWER, header: { revision: 3 } }),
  ],
  ["a write lacks its previous value", "value", THIRD_PUT, answered(METHOD.put, { header: { revision: 4 } })],
  [
    "a write shows another previous value",
    "value",
    THIRD_PUT,
    answered(METHOD.put, { ...PUT_ANSWER, prev_kv: kv("a", [2, 2, 1], "v1") }),
  ],
  [
    "an acknowledged write is nowhere",
    "durability",
    { ...THIRD_PUT, tag: 99 },
    answered(METHOD.put, PUT_ANSWER),
  ],
  [
    "a refused write happened",
    "exactly-once",
    THIRD_PUT,
    { code: 2, text: STATUS.tooManyRequests.text, message: undefined },
  ],
  [
    "a write happened, though its leader had certainly not taken it",
    "exactly-once",
    THIRD_PUT,
    { code: 14, text: STATUS.leaderChanged.text, message: undefined },
  ],
  [
    "a write that succeeded is refused",
    "value",
    THIRD_PUT,
    { code: 5, text: STATUS.leaseNotFound.text, message: undefined },
  ],
  [
    "a write takes effect before what was seen before it",
    "strict-serializability",
    { ...THIRD_PUT, floor: 4 },
    answered(METHOD.put, PUT_ANSWER),
  ],
  ["an answer is missing", "protocol", THIRD_PUT, { code: 0, text: "", message: undefined }],
  [
    "a transaction says the other branch",
    "value",
    operation(METHOD.txn, TXN, 4),
    answered(METHOD.txn, { ...TXN_ANSWER, succeeded: false }),
  ],
  [
    "a transaction counts deletions wrongly",
    "value",
    operation(METHOD.txn, TXN, 4),
    answered(METHOD.txn, {
      ...TXN_ANSWER,
      responses: [TXN_ANSWER.responses[0], { response_delete_range: { header: { revision: 5 } } }],
    }),
  ],
  [
    "a transaction lacks an answer",
    "value",
    operation(METHOD.txn, TXN, 4),
    answered(METHOD.txn, { ...TXN_ANSWER, responses: TXN_ANSWER.responses.slice(1) }),
  ],
  [
    "a read is older than what was seen before",
    "strict-serializability",
    operation(METHOD.range, RANGE, 0, 5),
    answered(METHOD.range, {
      header: { revision: 4 },
      kvs: [kv("a", [2, 4, 2], "v2"), kv("c", [3, 3, 1], "v1")],
      count: 2,
    }),
  ],
  [
    "a read is from the future",
    "phantom",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, header: { revision: 6 } }),
  ],
  [
    "a read lacks a key",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, kvs: RANGE_ANSWER.kvs.slice(1) }),
  ],
  [
    "a read has a key twice",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, kvs: [...RANGE_ANSWER.kvs, RANGE_ANSWER.kvs[0]] }),
  ],
  [
    "a read has its keys in another order",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, kvs: [...RANGE_ANSWER.kvs].reverse() }),
  ],
  [
    "a read shows a deleted value",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, {
      ...RANGE_ANSWER,
      kvs: [kv("a", [2, 4, 2], "v2"), ...RANGE_ANSWER.kvs],
      count: 3,
    }),
  ],
  [
    "a read shows another value",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, kvs: [kv("b", [5, 5, 1], "v3"), kv("c", [3, 3, 1], "v0")] }),
  ],
  [
    "a read shows another version",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, kvs: [kv("b", [5, 5, 1], "v3"), kv("c", [3, 3, 2], "v1")] }),
  ],
  [
    "a read shows another creation",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, kvs: [kv("b", [4, 5, 1], "v3"), kv("c", [3, 3, 1], "v1")] }),
  ],
  [
    "a read shows a lease",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, {
      ...RANGE_ANSWER,
      kvs: [{ ...kv("b", [5, 5, 1], "v3"), lease: 7n }, kv("c", [3, 3, 1], "v1")],
    }),
  ],
  [
    "a read counts wrongly",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, count: 3 }),
  ],
  [
    "a read says that there is more",
    "value",
    operation(METHOD.range, RANGE, 0),
    answered(METHOD.range, { ...RANGE_ANSWER, more: true }),
  ],
  [
    "a read is refused as compacted without a reason",
    "value",
    operation(METHOD.range, { ...RANGE, revision: 2 }, 0),
    { code: 11, text: STATUS.compacted.text, message: undefined },
  ],
  [
    "a read is refused as of the future, though the revision was seen",
    "value",
    operation(METHOD.range, { ...RANGE, revision: 4 }, 0, 5),
    { code: 11, text: STATUS.futureRevision.text, message: undefined },
  ],
];

for (const [title, oracle, asked, answer] of WRONG) {
  test(`seen: ${title}`, () => {
    const history = new History(written().truth);
    assert.throws(
      () => history.returned(asked, answer),
      (error: unknown) => error instanceof Violation && error.oracle === oracle,
    );
  });
}

test("seen: a serializable read goes back on one member, though not on another", () => {
  const history = new History(written().truth);
  const asked = operation(METHOD.range, { ...RANGE, serializable: true }, 0);
  const older = (member_id: bigint): Answer =>
    answered(METHOD.range, {
      header: { member_id, revision: 3 },
      kvs: [kv("a", [2, 2, 1], "v0"), kv("c", [3, 3, 1], "v1")],
      count: 2,
    });
  history.returned(
    asked,
    answered(METHOD.range, { ...RANGE_ANSWER, header: { member_id: 1n, revision: 5 } }),
  );
  history.returned({ ...asked, node: 1 }, older(2n));
  assert.throws(() => history.returned(asked, older(1n)), { oracle: "monotone-header" });
});

test("seen: the header of a status, a list of leases or a hash goes back on one member", () => {
  const header = { member_id: 1n, revision: 5 };
  for (const method of [METHOD.status, METHOD.leaseLeases, METHOD.hashKV]) {
    const history = new History(written().truth);
    history.returned(operation(METHOD.range, RANGE, 0), answered(METHOD.range, { ...RANGE_ANSWER, header }));
    const asked = operation(method, {}, 0);
    history.returned(asked, answered(method, { header: { member_id: 1n, revision: 0 } })); // says nothing
    history.returned(asked, answered(method, { header: { member_id: 2n, revision: 4 } }));
    const older = answered(method, { header: { member_id: 1n, revision: 4 } });
    assert.throws(() => history.returned(asked, older), { oracle: "monotone-header" }, method.name);
  }
});

test("seen: a request is in the log twice", () => {
  const made = written();
  assert.throws(() => made.put("a", "v2", 3), { oracle: "exactly-once" });
});

// Watching.

type Event = Input<MessageOf<typeof m.Event>>;

const EVENTS: readonly Event[] = [
  { type: 0, kv: kv("a", [2, 2, 1], "v0") },
  { type: 0, kv: kv("c", [3, 3, 1], "v1") },
  { type: 0, kv: kv("a", [2, 4, 2], "v2"), prev_kv: kv("a", [2, 2, 1], "v0") },
  { type: 0, kv: kv("b", [5, 5, 1], "v3") },
  { type: 1, kv: { key: bytesOf("a"), mod_revision: 5 }, prev_kv: kv("a", [2, 4, 2], "v2") },
];

function response(
  revision: number,
  events: readonly Event[],
  more: Partial<WatchResponse> = {},
): WatchResponse {
  const { fragment = false, created = false } = more;
  const full = {
    header: { cluster_id: 1n, member_id: 1n, revision, raft_term: 1 },
    watch_id: 1n,
    created,
    canceled: false,
    compact_revision: 0,
    cancel_reason: "",
    fragment,
    events,
  };
  return full as unknown as WatchResponse;
}

function watching(responses: readonly WatchResponse[]): void {
  const range = { name: "watcher", key: "a", rangeEnd: "z", noPut: false, noDelete: false, prevKv: true };
  const oracle = new WatchOracle(written().truth, range, 1);
  for (const one of responses) oracle.onResponse(one);
  oracle.checkComplete();
}

test("a true stream passes, also in fragments and with progress", () => {
  watching([response(5, EVENTS)]);
  watching([
    response(2, EVENTS.slice(0, 1)),
    response(5, EVENTS.slice(1, 4), { fragment: true }),
    response(5, EVENTS.slice(4)),
    response(5, []),
  ]);
});

const WRONG_STREAMS: readonly (readonly [string, string, readonly WatchResponse[]])[] = [
  ["an event is lost", "watch-reliable", [response(5, [...EVENTS.slice(0, 1), ...EVENTS.slice(2)])]],
  ["the last event is lost", "watch-complete", [response(4, EVENTS.slice(0, 3))]],
  ["an event comes twice", "watch-unique", [response(3, EVENTS.slice(0, 2)), response(5, EVENTS.slice(1))]],
  [
    "events come in another order",
    "watch-reliable",
    [response(5, [EVENTS[1]!, EVENTS[0]!, ...EVENTS.slice(2)])],
  ],
  [
    "a revision comes in two messages",
    "watch-atomic",
    [response(5, EVENTS.slice(0, 4)), response(5, EVENTS.slice(4))],
  ],
  [
    "events of a revision change places",
    "watch-value",
    [response(5, [...EVENTS.slice(0, 3), EVENTS[4]!, EVENTS[3]!])],
  ],
  [
    "an event has another value",
    "watch-value",
    [response(5, [{ type: 0, kv: kv("a", [2, 2, 1], "v9") }, ...EVENTS.slice(1)])],
  ],
  [
    "a deletion is shown as a put",
    "watch-value",
    [response(5, [...EVENTS.slice(0, 4), { ...EVENTS[4]!, type: 0 }])],
  ],
  [
    "a previous value is missing",
    "watch-value",
    [response(5, [...EVENTS.slice(0, 4), { ...EVENTS[4]!, prev_kv: undefined }])],
  ],
  [
    "a previous value is another",
    "watch-value",
    [response(5, [...EVENTS.slice(0, 4), { ...EVENTS[4]!, prev_kv: kv("a", [2, 2, 1], "v0") }])],
  ],
  [
    "an event is from the future",
    "watch-phantom",
    [response(5, [...EVENTS, { type: 0, kv: kv("a", [6, 6, 1], "v9") }])],
  ],
  ["a header is from the future", "watch-phantom", [response(6, EVENTS)]],
  ["a header goes back", "watch-order", [response(5, EVENTS.slice(0, 2)), response(4, EVENTS.slice(2, 3))]],
  ["a header is below its events", "watch-order", [response(4, EVENTS)]],
  ["progress is ahead of the events", "watch-progress", [response(2, EVENTS.slice(0, 1)), response(5, [])]],
];

for (const [title, oracle, responses] of WRONG_STREAMS) {
  test(`seen: ${title}`, () => {
    assert.throws(
      () => watching(responses),
      (error: unknown) => error instanceof Violation && error.oracle === oracle,
    );
  });
}

// Leases.

function leaseOracle(now: () => number): LeaseOracle {
  return new LeaseOracle({ now, driftMax: 0.05, strayUs: 500_000, checkpointUs: 1_000_000 });
}

test("seen: a lease ends before its time, also when the renewal is acknowledged after that; not one that ends in time", () => {
  let nowUs = 0;
  const make = (): LeaseOracle => {
    nowUs = 0;
    const oracle = leaseOracle(() => nowUs);
    oracle.granted(1n, 2);
    oracle.acknowledged(1n, 1_000_000);
    return oracle;
  };
  const early = make();
  nowUs = 2_800_000;
  assert.throws(() => early.revoked(1n, false), { oracle: "lease-safety" });
  const late = make();
  nowUs = 3_000_000;
  late.revoked(1n, false);
  assert.throws(() => late.acknowledged(1n, 2_000_000), { oracle: "lease-safety" });
  const byClient = make();
  nowUs = 1_200_000;
  byClient.revoked(1n, true);
});

test("seen: a lease is reported gone while it lives, renewed though it was never granted, or lives on", () => {
  let nowUs = 0;
  const oracle = leaseOracle(() => nowUs);
  oracle.granted(1n, 2);
  assert.throws(() => oracle.reportedGone(1n), { oracle: "lease-safety" });
  assert.throws(() => oracle.acknowledged(2n, 0), { oracle: "lease-phantom" });
  nowUs = 3_000_000;
  oracle.checkExpired(0);
  oracle.renewalSent(1n);
  nowUs = 4_000_000;
  oracle.checkExpired(0); // it may be renewed at any moment
  oracle.renewalsLost(1n, 1);
  nowUs = 7_500_000;
  oracle.checkExpired(0);
  nowUs = 7_700_000;
  assert.throws(() => oracle.checkExpired(0), { oracle: "lease-liveness" });
});

test("seen: a new leader begins anew with a lease that the one before should have written down", () => {
  const NO_LEADER = {
    extensionUs: 300_000,
    handOverAskedUs: -1,
    beforeBeganUs: 0,
    beforeAwakeUs: 0,
    beforeDoneUs: -1,
  };
  let nowUs = 0;
  const make = (): LeaseOracle => {
    nowUs = 0;
    const oracle = leaseOracle(() => nowUs);
    oracle.granted(1n, 10);
    nowUs = 6_000_000;
    return oracle;
  };
  // Nothing is known of what the leader before did, or it had no time for a second round.
  make().promoted(NO_LEADER);
  make().promoted({ ...NO_LEADER, beforeDoneUs: 2_000_000 });
  assert.throws(() => make().promoted({ ...NO_LEADER, beforeDoneUs: 2_200_000 }), {
    oracle: "lease-liveness",
  });
  // A leader that was paused until a moment ago had no time for two rounds either.
  make().promoted({ ...NO_LEADER, beforeAwakeUs: 1_000_000, beforeDoneUs: 3_000_000 });
  assert.throws(() => make().promoted({ ...NO_LEADER, beforeAwakeUs: 1_000_000, beforeDoneUs: 3_200_000 }), {
    oracle: "lease-liveness",
  });
  assert.throws(() => make().promoted({ ...NO_LEADER, handOverAskedUs: 5_900_000 }), {
    oracle: "lease-liveness",
  });
  make().promoted({ ...NO_LEADER, handOverAskedUs: 5_000_000 }); // as if it were still renewed
  const written = make();
  written.checkpointed(1n, 5);
  written.promoted({ ...NO_LEADER, handOverAskedUs: 5_900_000, beforeDoneUs: 5_900_000 });
  nowUs = 12_500_000;
  written.checkExpired(0);
  nowUs = 12_600_000;
  assert.throws(() => written.checkExpired(0), { oracle: "lease-liveness" });
});
