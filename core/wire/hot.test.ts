import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../base/byte-writer.ts";
import {
  CompactFields,
  DeleteFields,
  LeaseGrantFields,
  LeaseIdFields,
  PutFields,
  RangeFields,
  WATCH_CANCEL,
  WATCH_CREATE,
  WATCH_NOTHING,
  WATCH_PROGRESS,
  WatchCreateFields,
  WatchRequestFields,
} from "./hot.ts";
import {
  CompactionRequest,
  DeleteRangeRequest,
  LeaseGrantRequest,
  LeaseTimeToLiveRequest,
  PutRequest,
  RangeRequest,
  WatchRequest,
} from "./messages.ts";
import { WireError } from "./reader.ts";
import type { Input, Schema } from "./schema.ts";
import { encode } from "./schema.ts";

/** The message between other bytes, so that offsets that start at 0 are noticed. */
function framed<T>(schema: Schema<T>, value: Input<T>): [Uint8Array, number, number] {
  const writer = new ByteWriter();
  writer.raw(Uint8Array.of(0xff, 0xff, 0xff), 0, 3);
  encode(schema, value, writer);
  const end = writer.position;
  writer.raw(Uint8Array.of(0xff, 0xff), 0, 2);
  return [writer.copy(), 3, end];
}

const slice = (bytes: Uint8Array, start: number, end: number): Uint8Array => bytes.slice(start, end);
const bigintOf = (hi: number, lo: number): bigint => BigInt.asIntN(64, (BigInt(hi) << 32n) | BigInt(lo));

const bytes = fc.uint8Array({ maxLength: 200 });
const flag = fc.boolean();
const lease = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const revision = fc.maxSafeInteger();

test("PutFields reads what the table writes", () => {
  const fields = new PutFields();
  const requests = fc.record({
    key: bytes,
    value: bytes,
    lease,
    prev_kv: flag,
    ignore_value: flag,
    ignore_lease: flag,
  });
  fc.assert(
    fc.property(requests, (request) => {
      const [source, start, end] = framed(PutRequest, request);
      fields.parse(source, start, end);
      assert.deepEqual(slice(source, fields.keyStart, fields.keyEnd), request.key);
      assert.deepEqual(slice(source, fields.valueStart, fields.valueEnd), request.value);
      assert.equal(bigintOf(fields.leaseHi, fields.leaseLo), request.lease);
      assert.deepEqual(
        [fields.prevKv, fields.ignoreValue, fields.ignoreLease],
        [request.prev_kv, request.ignore_value, request.ignore_lease],
      );
    }),
  );
});

test("RangeFields reads what the table writes", () => {
  const fields = new RangeFields();
  const requests = fc.record({
    key: bytes,
    range_end: bytes,
    limit: revision,
    revision,
    sort_order: fc.integer(),
    sort_target: fc.nat(9),
    serializable: flag,
    keys_only: flag,
    count_only: flag,
    min_mod_revision: revision,
    max_mod_revision: revision,
    min_create_revision: revision,
    max_create_revision: revision,
  });
  fc.assert(
    fc.property(requests, (request) => {
      const [source, start, end] = framed(RangeRequest, request);
      fields.parse(source, start, end);
      assert.deepEqual(slice(source, fields.keyStart, fields.keyEnd), request.key);
      assert.deepEqual(slice(source, fields.rangeEndStart, fields.rangeEndEnd), request.range_end);
      const { key: _key, range_end: _end, ...rest } = request;
      assert.deepEqual(
        {
          limit: fields.limit,
          revision: fields.revision,
          sort_order: fields.sortOrder,
          sort_target: fields.sortTarget,
          serializable: fields.serializable,
          keys_only: fields.keysOnly,
          count_only: fields.countOnly,
          min_mod_revision: fields.minModRevision,
          max_mod_revision: fields.maxModRevision,
          min_create_revision: fields.minCreateRevision,
          max_create_revision: fields.maxCreateRevision,
        },
        { ...rest },
      );
    }),
  );
});

test("DeleteFields, CompactFields and the lease readers read what the table writes", () => {
  const requests = fc.record({
    key: bytes,
    range_end: bytes,
    prev_kv: flag,
    revision,
    physical: flag,
    lease,
    ttl: revision,
  });
  const remove = new DeleteFields();
  const compact = new CompactFields();
  const grant = new LeaseGrantFields();
  const ttl = new LeaseIdFields();
  fc.assert(
    fc.property(requests, (r) => {
      let [source, start, end] = framed(DeleteRangeRequest, {
        key: r.key,
        range_end: r.range_end,
        prev_kv: r.prev_kv,
      });
      remove.parse(source, start, end);
      assert.deepEqual(slice(source, remove.keyStart, remove.keyEnd), r.key);
      assert.deepEqual(slice(source, remove.rangeEndStart, remove.rangeEndEnd), r.range_end);
      assert.equal(remove.prevKv, r.prev_kv);

      [source, start, end] = framed(CompactionRequest, { revision: r.revision, physical: r.physical });
      compact.parse(source, start, end);
      assert.deepEqual([compact.revision, compact.physical], [r.revision, r.physical]);

      [source, start, end] = framed(LeaseGrantRequest, { TTL: r.ttl, ID: r.lease });
      grant.parse(source, start, end);
      assert.deepEqual([grant.ttlSeconds, bigintOf(grant.leaseHi, grant.leaseLo)], [r.ttl, r.lease]);

      [source, start, end] = framed(LeaseTimeToLiveRequest, { ID: r.lease, keys: r.physical });
      ttl.parse(source, start, end);
      assert.deepEqual([bigintOf(ttl.leaseHi, ttl.leaseLo), ttl.keys], [r.lease, r.physical]);
    }),
  );
});

test("the watch readers read what the table writes, filters packed or not", () => {
  const request = new WatchRequestFields();
  const create = new WatchCreateFields();
  const creates = fc.record({
    key: bytes,
    range_end: bytes,
    start_revision: revision,
    progress_notify: flag,
    filters: fc.array(fc.nat(2), { maxLength: 3 }),
    prev_kv: flag,
    watch_id: lease,
    fragment: flag,
  });
  fc.assert(
    fc.property(creates, (value) => {
      const [source, start, end] = framed(WatchRequest, { create_request: value });
      request.parse(source, start, end);
      assert.equal(request.kind, WATCH_CREATE);
      create.parse(source, request.payloadStart, request.payloadEnd);
      assert.deepEqual(slice(source, create.keyStart, create.keyEnd), value.key);
      assert.deepEqual(slice(source, create.rangeEndStart, create.rangeEndEnd), value.range_end);
      assert.equal(bigintOf(create.watchHi, create.watchLo), value.watch_id);
      assert.deepEqual(
        [
          create.startRevision,
          create.progressNotify,
          create.noPut,
          create.noDelete,
          create.prevKv,
          create.fragment,
        ],
        [
          value.start_revision,
          value.progress_notify,
          value.filters.includes(0),
          value.filters.includes(1),
          value.prev_kv,
          value.fragment,
        ],
      );
    }),
  );
  create.parse(Uint8Array.of(0x28, 0, 0x28, 1, 0x40, 1), 0, 6);
  assert.deepEqual([create.noPut, create.noDelete, create.fragment], [true, true, true]);

  let [source, start, end] = framed(WatchRequest, { cancel_request: { watch_id: -5n } });
  request.parse(source, start, end);
  assert.deepEqual([request.kind, bigintOf(request.watchHi, request.watchLo)], [WATCH_CANCEL, -5n]);
  [source, start, end] = framed(WatchRequest, { progress_request: {} });
  request.parse(source, start, end);
  assert.equal(request.kind, WATCH_PROGRESS);
  request.parse(source, 0, 0);
  assert.equal(request.kind, WATCH_NOTHING);
});

test("readers take the last occurrence, pass over unknown fields and forget the request before", () => {
  const fields = new PutFields();
  const request = Uint8Array.of(0x0a, 1, 65, 0x12, 1, 66, 0x20, 1, 0x0a, 2, 67, 68, 0x7a, 1, 1, 0x20, 0);
  fields.parse(request, 0, request.length);
  assert.deepEqual(slice(request, fields.keyStart, fields.keyEnd), Uint8Array.of(67, 68));
  assert.equal(fields.prevKv, false);
  fields.parse(request, 0, 0);
  assert.deepEqual(
    [fields.keyEnd - fields.keyStart, fields.valueEnd - fields.valueStart, fields.leaseLo],
    [0, 0, 0],
  );
});

test("every reader ends in a result or a WireError on arbitrary bytes, with offsets inside them", () => {
  const put = new PutFields();
  const range = new RangeFields();
  const others = [
    new DeleteFields(),
    new CompactFields(),
    new WatchRequestFields(),
    new WatchCreateFields(),
    new LeaseGrantFields(),
    new LeaseIdFields(),
  ];
  // Tags of known fields, so that random bytes get past the first one.
  const likely = fc.oneof(
    fc.constantFrom(0x0a, 0x12, 0x18, 0x20, 0x28, 0x30, 0x38, 0x2a, 1, 2, 0),
    fc.nat(255),
  );
  fc.assert(
    fc.property(fc.array(likely, { maxLength: 30 }), fc.nat(5), (values, start) => {
      const source = Uint8Array.from(values);
      if (start > source.length) return;
      for (const reader of [put, range, ...others]) {
        try {
          reader.parse(source, start, source.length);
        } catch (error) {
          assert.ok(error instanceof WireError, String(error));
          continue;
        }
        for (const [name, value] of Object.entries(reader)) {
          if (name.endsWith("Start") || name.endsWith("End"))
            assert.ok(value >= start && value <= source.length, name);
        }
      }
    }),
    { numRuns: 3000 },
  );
});
