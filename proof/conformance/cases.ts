// Named cases: what random requests meet too seldom. Each sends its requests to both sides; the answers are compared.

import { encodeUtf8 } from "../../core/base/utf8.ts";
import { METHOD } from "../../core/wire/service.ts";
import type { Pair } from "./pair.ts";

export interface Case {
  readonly name: string;
  readonly run: (pair: Pair, key: (suffix: string) => Uint8Array) => Promise<void>;
}

const EMPTY = new Uint8Array(0);
const NUL = Uint8Array.of(0);
const text = encodeUtf8;

function oneCall(name: string, run: Case["run"]): Case {
  return { name, run };
}

export const CASES: readonly Case[] = [
  oneCall("an empty key is refused by every KV request", async (pair) => {
    await pair.send("case", METHOD.range, { key: EMPTY });
    await pair.send("case", METHOD.put, { key: EMPTY, value: text("v") });
    await pair.send("case", METHOD.deleteRange, { key: EMPTY });
    await pair.send("case", METHOD.txn, { compare: [{ key: EMPTY }] });
    await pair.send("case", METHOD.txn, { success: [{ request_put: { key: EMPTY } }] });
  }),
  oneCall("an empty transaction succeeds and changes nothing", async (pair) => {
    await pair.send("case", METHOD.txn, {});
  }),
  oneCall("an operation without a request is refused", async (pair) => {
    await pair.send("case", METHOD.txn, { success: [{}] });
    await pair.send("case", METHOD.txn, { failure: [{}] });
  }),
  oneCall("128 operations pass, 129 do not", async (pair, key) => {
    const ops = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ request_put: { key: key(`op${i}`), value: text("v") } }));
    await pair.send("case", METHOD.txn, { success: ops(128) });
    await pair.send("case", METHOD.txn, { success: ops(129) });
    await pair.send("case", METHOD.txn, { success: ops(100), failure: ops(129) });
  }),
  oneCall(
    "a key put twice in a branch is refused, even in the branch that would not run",
    async (pair, key) => {
      const twice = [{ request_put: { key: key("d") } }, { request_put: { key: key("d") } }];
      await pair.send("case", METHOD.txn, { success: twice });
      await pair.send("case", METHOD.txn, { failure: twice });
      await pair.send("case", METHOD.txn, {
        success: [{ request_put: { key: key("d") } }],
        failure: [{ request_put: { key: key("d") } }],
      });
    },
  ),
  oneCall("a put inside a deleted range is refused, whatever their order", async (pair, key) => {
    const put = { request_put: { key: key("m") } };
    const range = { request_delete_range: { key: key("a"), range_end: key("z") } };
    await pair.send("case", METHOD.txn, { success: [put, range] });
    await pair.send("case", METHOD.txn, { success: [range, put] });
  }),
  oneCall("the duplicate check of nested siblings depends on their order", async (pair, key) => {
    const nestedPut = { request_txn: { success: [{ request_put: { key: key("n"), value: text("v") } }] } };
    const nestedDelete = { request_txn: { success: [{ request_delete_range: { key: key("n") } }] } };
    await pair.send("case", METHOD.txn, { success: [nestedPut, nestedDelete] });
    await pair.send("case", METHOD.txn, { success: [nestedDelete, nestedPut] });
  }),
  oneCall("put and delete of one key in nested transactions give both", async (pair, key) => {
    await pair.send("case", METHOD.put, { key: key("pd"), value: text("1") });
    await pair.send("case", METHOD.txn, {
      success: [
        { request_range: { key: key("pd") } },
        { request_txn: { success: [{ request_put: { key: key("pd"), value: text("2"), prev_kv: true } }] } },
        { request_range: { key: key("pd") } },
      ],
    });
  }),
  oneCall("a VALUE compare of a missing key is false, for = and for != alike", async (pair, key) => {
    for (const result of [0, 1, 2, 3]) {
      await pair.send("case", METHOD.txn, {
        compare: [{ target: 3, result, key: key("missing"), value: EMPTY }],
      });
      await pair.send("case", METHOD.txn, {
        compare: [{ target: 3, result, key: key("missing"), value: text("x") }],
      });
    }
  }),
  oneCall(
    "compares over a range hold for every key, and an empty range is compared once",
    async (pair, key) => {
      await pair.send("case", METHOD.put, { key: key("r1"), value: text("1") });
      await pair.send("case", METHOD.put, { key: key("r2"), value: text("2") });
      for (const result of [0, 1, 2, 3]) {
        await pair.send("case", METHOD.txn, {
          compare: [{ target: 0, result, key: key("r"), range_end: key("s"), version: 1 }],
        });
        await pair.send("case", METHOD.txn, {
          compare: [{ target: 2, result, key: key("e"), range_end: key("f"), mod_revision: 0 }],
        });
        await pair.send("case", METHOD.txn, {
          compare: [{ target: 3, result, key: key("e"), range_end: key("f"), value: text("1") }],
        });
      }
    },
  ),
  oneCall("ignore_value and ignore_lease say what is missing or too much", async (pair, key) => {
    await pair.send("case", METHOD.put, { key: key("iv"), ignore_value: true });
    await pair.send("case", METHOD.put, { key: key("iv"), value: text("x"), ignore_value: true });
    await pair.send("case", METHOD.put, { key: key("iv"), ignore_lease: true });
    await pair.send("case", METHOD.put, { key: key("iv"), lease: 5n, ignore_lease: true });
    await pair.send("case", METHOD.txn, {
      success: [{ request_put: { key: key("iv"), ignore_value: true } }],
    });
  }),
  oneCall("sorting and limits: a target without an order is cut before it is sorted", async (pair, key) => {
    for (const [name, value] of [
      ["s1", "c"],
      ["s2", "a"],
      ["s3", "b"],
    ] as const) {
      await pair.send("case", METHOD.put, { key: key(name), value: text(value) });
    }
    for (const sort_target of [0, 1, 2, 3, 4]) {
      for (const sort_order of [0, 1, 2]) {
        if (sort_target === 1) continue; // equal versions: in no promised order
        await pair.send("case", METHOD.range, {
          key: key("s"),
          range_end: key("t"),
          sort_target,
          sort_order,
          limit: 2,
        });
      }
    }
    await pair.send("case", METHOD.range, { key: key("s"), range_end: key("t"), sort_order: 7 });
    await pair.send("case", METHOD.range, {
      key: key("s"),
      range_end: key("t"),
      sort_target: 9,
      sort_order: 1,
    });
  }),
  oneCall("negative and future revisions, in ranges and in transactions", async (pair, key) => {
    for (const revision of [-1, -5, pair.revision + 10, Number.MAX_SAFE_INTEGER]) {
      await pair.send("case", METHOD.range, { key: key("a"), revision });
      await pair.send("case", METHOD.txn, { success: [{ request_range: { key: key("a"), revision } }] });
      await pair.send("case", METHOD.compact, { revision });
    }
  }),
  oneCall("leases: the bounds of the TTL, double grants, unknown ids", async (pair) => {
    const id = 0x5000_0000_0000_0001n;
    for (const TTL of [0, -1, 1, 2, 9_000_000_001]) {
      await pair.send("case", METHOD.leaseGrant, { ID: id, TTL });
      await pair.send("case", METHOD.leaseRevoke, { ID: id });
    }
    await pair.send("case", METHOD.leaseGrant, { ID: id, TTL: 1000 });
    await pair.send("case", METHOD.leaseGrant, { ID: id, TTL: 1000 });
    await pair.send("case", METHOD.leaseGrant, { ID: -7n, TTL: 1000 });
    await pair.send("case", METHOD.leaseRevoke, { ID: -7n });
    await pair.send("case", METHOD.leaseRevoke, { ID: id });
    await pair.send("case", METHOD.leaseRevoke, { ID: 0n });
    await pair.send("case", METHOD.leaseKeepAlive, { ID: 12345n });
    await pair.send("case", METHOD.leaseTimeToLive, { ID: 12345n, keys: true });
  }),
  oneCall("revoking a lease deletes its keys in one revision", async (pair, key) => {
    const id = 0x5000_0000_0000_0002n;
    await pair.send("case", METHOD.leaseGrant, { ID: id, TTL: 1000 });
    for (const name of ["l3", "l1", "l2"])
      await pair.send("case", METHOD.put, { key: key(name), value: text("v"), lease: id });
    await pair.send("case", METHOD.put, { key: key("l2"), value: text("w") }); // detached
    await pair.send("case", METHOD.leaseRevoke, { ID: id });
    await pair.send("case", METHOD.range, { key: key("l"), range_end: key("m") });
  }),
  oneCall("alarms: listing none, raising nothing", async (pair) => {
    await pair.send("case", METHOD.alarm, {});
    await pair.send("case", METHOD.alarm, { action: 1, alarm: 0 });
  }),
  oneCall("members: unknown ids and bad URLs are refused", async (pair) => {
    await pair.send("case", METHOD.memberRemove, { ID: 1n });
    await pair.send("case", METHOD.memberPromote, { ID: 1n });
    await pair.send("case", METHOD.memberUpdate, { ID: 1n, peerURLs: ["http://127.0.0.1:1"] });
    await pair.send("case", METHOD.memberAdd, { peerURLs: [] });
    await pair.send("case", METHOD.memberAdd, { peerURLs: ["nonsense"] });
    await pair.send("case", METHOD.moveLeader, { targetID: 1n });
  }),
  oneCall("a request that is too large is refused with etcd's text", async (pair, key) => {
    await pair.send("case", METHOD.put, { key: key("big"), value: new Uint8Array(1_572_864) });
    await pair.send("case", METHOD.put, { key: key("big"), value: new Uint8Array(2_200_000) });
  }),
  oneCall("watches: duplicate ids, empty ranges, negative starts, unknown cancels", async (pair, key) => {
    const create = (fields: object) => pair.watch({ create_request: { key: key("w"), ...fields } });
    create({ watch_id: 5n });
    create({ watch_id: 5n });
    create({ range_end: key("a") });
    create({ start_revision: -1 });
    create({ key: EMPTY });
    create({ start_revision: Math.max(1, pair.compactedRevision - 1) });
    create({ start_revision: pair.compactedRevision });
    pair.watch({ cancel_request: { watch_id: 99n } });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await pair.send("case", METHOD.put, { key: key("w"), value: text("1") });
    await pair.send("case", METHOD.deleteRange, { key: key("w") });
    await pair.compareWatches("case", "duplicate ids, empty ranges, negative starts");
  }),
  oneCall(
    "watches: the id of one that a compaction ended stays taken until it is cancelled",
    async (pair, key) => {
      const create = (fields: object) => pair.watch({ create_request: { key: key("w"), ...fields } });
      for (const value of ["1", "2"])
        await pair.send("case", METHOD.put, { key: key("w"), value: text(value) });
      await pair.send("case", METHOD.compact, { revision: pair.revision, physical: true });
      pair.compactedRevision = pair.revision;
      create({ watch_id: 1n, start_revision: pair.compactedRevision - 1 });
      // Etcd looks ten times a second for watchers to end.
      await new Promise((resolve) => setTimeout(resolve, 300));
      create({ watch_id: 1n });
      create({});
      create({});
      await new Promise((resolve) => setTimeout(resolve, 100));
      for (let i = 0; i < 2; i++) pair.watch({ cancel_request: { watch_id: 1n } });
      await new Promise((resolve) => setTimeout(resolve, 100));
      create({ watch_id: 1n });
      await new Promise((resolve) => setTimeout(resolve, 100));
      await pair.send("case", METHOD.put, { key: key("w"), value: text("3") });
      await pair.compareWatches("case", "ids after a compaction");
    },
  ),
  oneCall("watches: filters, previous values and cancellation", async (pair, key) => {
    for (const filters of [[], [0], [1], [0, 1]])
      pair.watch({ create_request: { key: key("f"), range_end: key("g"), filters, prev_kv: true } });
    await new Promise((resolve) => setTimeout(resolve, 200));
    await pair.send("case", METHOD.put, { key: key("f1"), value: text("1") });
    await pair.send("case", METHOD.put, { key: key("f1"), value: text("2") });
    await pair.send("case", METHOD.txn, {
      success: [
        { request_put: { key: key("f2"), value: text("1") } },
        { request_delete_range: { key: key("f1") } },
      ],
    });
    pair.watch({ cancel_request: { watch_id: 0n } });
    await new Promise((resolve) => setTimeout(resolve, 100));
    await pair.send("case", METHOD.put, { key: key("f3"), value: text("1") });
    await pair.compareWatches("case", "filters and previous values");
  }),
  oneCall("a whole key space is ranged from the zero byte", async (pair) => {
    await pair.send("case", METHOD.range, { key: NUL, range_end: NUL, count_only: true });
    await pair.send("case", METHOD.range, { key: NUL, range_end: NUL, limit: 3, keys_only: true });
  }),
  oneCall("watches: progress on demand, and a compaction under watchers that run", async (pair, key) => {
    for (const progress_notify of [false, true])
      pair.watch({ create_request: { key: key("p"), range_end: key("q"), progress_notify } });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await pair.send("case", METHOD.put, { key: key("p1"), value: text("1") });
    await pair.send("case", METHOD.put, { key: key("p1"), value: text("2") });
    await pair.send("case", METHOD.deleteRange, { key: key("p1") });
    await pair.send("case", METHOD.compact, { revision: pair.revision, physical: true });
    pair.compactedRevision = pair.revision;
    await pair.send("case", METHOD.put, { key: key("p2"), value: text("3") });
    await new Promise((resolve) => setTimeout(resolve, 300));
    pair.watch({ progress_request: {} });
    await pair.compareWatches("case", "progress on demand, compaction under watchers");
  }),
  oneCall("from-key ranges, deletions and watches", async (pair, key) => {
    pair.watch({ create_request: { key: key("k2"), range_end: NUL } });
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (const name of ["k1", "k2", "k3"])
      await pair.send("case", METHOD.put, { key: key(name), value: text("v") });
    await pair.send("case", METHOD.range, { key: key("k2"), range_end: NUL });
    await pair.send("case", METHOD.txn, {
      compare: [{ target: 0, result: 0, key: key("k2"), range_end: NUL, version: 1 }],
    });
    await pair.send("case", METHOD.deleteRange, { key: key("k2"), range_end: NUL, prev_kv: true });
    await pair.send("case", METHOD.range, { key: key("k1"), range_end: NUL });
    await pair.compareWatches("case", "from a key on");
  }),
  oneCall("revisions and numbers near the end of int64", async (pair, key) => {
    for (const revision of [2 ** 62, -(2 ** 62), 2 ** 53]) {
      await pair.send("case", METHOD.range, { key: key("a"), revision });
      await pair.send("case", METHOD.range, { key: key("a"), max_mod_revision: revision });
      await pair.send("case", METHOD.range, {
        key: key("a"),
        min_create_revision: revision,
        limit: revision,
      });
      await pair.send("case", METHOD.compact, { revision });
      await pair.send("case", METHOD.hashKV, { revision });
      await pair.send("case", METHOD.leaseGrant, { ID: 0x5000_0000_0000_0003n, TTL: revision });
    }
    for (const revision of [-1, -2]) await pair.send("case", METHOD.hashKV, { revision });
  }),
  oneCall("a lease that ends takes its keys along in one revision", async (pair, key) => {
    const id = 0x5000_0000_0000_0004n;
    await pair.send("case", METHOD.leaseGrant, { ID: id, TTL: 2 });
    for (const name of ["e2", "e1"])
      await pair.send("case", METHOD.put, { key: key(name), value: text("v"), lease: id });
    await pair.send("case", METHOD.leaseTimeToLive, { ID: id, keys: true });
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await pair.send("case", METHOD.range, { key: key("e"), range_end: key("f") });
    await pair.send("case", METHOD.leaseTimeToLive, { ID: id, keys: true });
    await pair.send("case", METHOD.leaseKeepAlive, { ID: id });
  }),
  oneCall("defragmentation answers, and changes nothing", async (pair, key) => {
    await pair.send("case", METHOD.put, { key: key("d"), value: text("v") });
    await pair.send("case", METHOD.defragment, {});
    await pair.send("case", METHOD.range, { key: key("d") });
    await pair.send("case", METHOD.hashKV, {});
  }),
  oneCall(
    "a NOSPACE alarm refuses what grows and passes what shrinks, until it is disarmed",
    async (pair, key) => {
      await pair.send("case", METHOD.put, { key: key("n"), value: text("v") });
      await pair.send("case", METHOD.alarm, { action: 1, alarm: 1 });
      await pair.send("case", METHOD.alarm, {});
      await pair.send("case", METHOD.put, { key: key("n"), value: text("w") });
      await pair.send("case", METHOD.txn, {
        success: [{ request_put: { key: key("n"), value: text("w") } }],
      });
      await pair.send("case", METHOD.txn, { success: [{ request_range: { key: key("n") } }] });
      await pair.send("case", METHOD.leaseGrant, { ID: 0x5000_0000_0000_0005n, TTL: 1000 });
      await pair.send("case", METHOD.deleteRange, { key: key("n") });
      await pair.send("case", METHOD.range, { key: key("n") });
      await pair.send("case", METHOD.alarm, { action: 2, alarm: 1 });
      await pair.send("case", METHOD.alarm, { action: 2, alarm: 1 });
      await pair.send("case", METHOD.put, { key: key("n"), value: text("x") });
      await pair.send("case", METHOD.leaseRevoke, { ID: 0x5000_0000_0000_0005n });
    },
  ),
];
