import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { WatchRequest } from "../wire/messages.ts";
import { encode } from "../wire/schema.ts";
import { FakeCall, FakeStore } from "./fakes.ts";
import { WatchHub } from "./hub.ts";

const header = { clusterHi: 0, clusterLo: 1, memberHi: 0, memberLo: 1, term: 1 };

/** Feeds the requests to one stream; it goes on, or ends with Internal at the first malformed one, and leaks nothing. */
function feed(requests: readonly Uint8Array[]): void {
  const store = new FakeStore();
  store.change(["a", "1"], ["b", "2"]);
  const hub = new WatchHub({ store, header, limits: DEFAULT_LIMITS, progressMs: 1000 });
  const call = new FakeCall();
  hub.open(call);
  for (const bytes of requests) {
    hub.onMessage(call, bytes, 0, bytes.length);
    store.change(["a", "3"]);
    while (hub.turn(0));
    hub.assertConserved();
  }
  if (call.end === undefined) hub.close(call);
  else assert.equal((call.end as { code: number }).code, 13);
  while (hub.turn(0));
  assert.equal(hub.watcherCount, 0);
  hub.assertConserved();
}

test("any bytes as watch requests end the stream at worst", () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), feed), {
    numRuns: 500,
  });
});

test("requests with any field values, cut or changed anywhere, end the stream at worst", () => {
  const create = fc.record({
    key: fc.uint8Array({ maxLength: 5 }),
    range_end: fc.uint8Array({ maxLength: 5 }),
    start_revision: fc.oneof(fc.integer({ min: -3, max: 9 }), fc.maxSafeInteger()),
    progress_notify: fc.boolean(),
    filters: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 3 }),
    prev_kv: fc.boolean(),
    watch_id: fc.oneof(
      fc.bigInt({ min: -3n, max: 3n }),
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    ),
    fragment: fc.boolean(),
  });
  const request = fc.oneof(
    create.map((create_request) => ({ create_request })),
    fc.bigInt({ min: -3n, max: 3n }).map((watch_id) => ({ cancel_request: { watch_id } })),
    fc.constant({ progress_request: {} }),
  );
  const damaged = fc.tuple(
    request,
    fc.nat(60),
    fc.nat(255),
    fc.constantFrom("none", "none", "none", "cut", "change"),
  );
  fc.assert(
    fc.property(fc.array(damaged, { maxLength: 12 }), (all) => {
      const requests = all.map(([message, at, byte, how]) => {
        const writer = new ByteWriter();
        encode(WatchRequest, message, writer);
        const bytes = writer.copy();
        if (how === "cut") return bytes.subarray(0, Math.min(at, bytes.length));
        if (how === "change" && bytes.length > 0) bytes[at % bytes.length] = byte;
        return bytes;
      });
      feed(requests);
    }),
    { numRuns: 500 },
  );
});
