import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ByteWriter } from "../base/byte-writer.ts";
import { headerSizeBytes, revisionHeaderSizeBytes, writeHeader, writeRevisionHeader } from "./header.ts";
import * as api from "./messages.ts";
import * as raft from "./raft-messages.ts";
import {
  beginAuthoredRequest,
  beginRequest,
  REQUEST_KIND,
  RequestEnvelope,
  writeRequestBody,
} from "./raft-request.ts";
import { WireError } from "./reader.ts";
import type { Input, NamedField, Schema } from "./schema.ts";
import { decode, decodeRequest, encode, encodedSizeBytes, REQUEST_ELEMENT_COUNT_MAX } from "./schema.ts";
import { isService, METHOD, methodByPath, METHODS } from "./service.ts";
import { CODE, STATUS, statusAsReason, statusByText } from "./status.ts";

function hex<T>(schema: Schema<T>, value: Input<T>): string {
  const writer = new ByteWriter();
  encode(schema, value, writer);
  assert.equal(writer.position, encodedSizeBytes(schema, value));
  return Buffer.from(writer.written()).toString("hex");
}

function unhex<T>(schema: Schema<T>, text: string): T {
  const bytes = Buffer.from(text, "hex");
  return decode(schema, bytes, 0, bytes.length);
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test("messages are written as a real etcd writes them", () => {
  // From a real data directory: a row of a put, a tombstone, a lease.
  const k2 = {
    key: utf8("k2"),
    create_revision: 4,
    mod_revision: 25,
    version: 4,
    value: utf8("v23"),
    lease: 0n,
  };
  assert.equal(hex(api.KeyValue, k2), "0a026b321004181920042a03763233");
  assert.deepEqual(unhex(api.KeyValue, "0a026b321004181920042a03763233"), {
    ...k2,
    key: new Uint8Array(k2.key),
    value: new Uint8Array(k2.value),
  });
  assert.equal(hex(api.KeyValue, { key: utf8("k4") }), "0a026b34");
  assert.equal(hex(raft.Lease, { ID: 0x1234n, TTL: 1000 }), "08b42410e807");
  // proto2: zero fields are there.
  assert.equal(hex(raft.HardState, {}), "080010001800");
  assert.equal(hex(raft.Entry, { Term: 1, Index: 2 }), "080010011802");
  assert.equal(hex(raft.ConfState, { voters: [1n, 2n] }), "080108022800");
  assert.equal(hex(raft.WalSnapshot, {}), "08001000");
  // A member of a oneof is there when it is zero.
  assert.equal(hex(api.Compare, { target: 1, key: utf8("a"), create_revision: 0 }), "10011a01612800");
  assert.equal(hex(api.WatchCreateRequest, { filters: [0, 1] }), "2a020001");
});

test("decode reads packed and unpacked numbers, the last of a oneof, and passes over what it does not know", () => {
  assert.deepEqual(unhex(api.WatchCreateRequest, "28002801").filters, [0, 1]);
  assert.deepEqual(unhex(raft.ConfState, "0a020102").voters, [1n, 2n]);
  const both = unhex(api.WatchRequest, "12020807" + "1a00");
  assert.equal(both.cancel_request, undefined);
  assert.ok(both.progress_request);
  assert.equal(unhex(api.PutRequest, "0a016178011a0118".slice(0, 10)).key.length, 1);
  assert.equal(unhex(api.StatusResponse, "20ffffffffffffffffff01").leader, 2n ** 64n - 1n);
  assert.equal(unhex(api.RangeRequest, "20ffffffffffffffffff01").revision, -1);
  assert.equal(
    unhex(api.RangeRequest, "208080808080808080 40".replace(" ", "")).revision,
    Number.MAX_SAFE_INTEGER,
  );
});

const tables: Schema<unknown>[] = [];
for (const it of [...Object.values(api), ...Object.values(raft)]) if ("fields" in it) tables.push(it);

/** Any value of a message, from its table. */
function arbitrary(schema: Schema<unknown>, depth: number): fc.Arbitrary<Record<string, unknown>> {
  const shape: Record<string, fc.Arbitrary<unknown>> = {};
  let oneofChoice = 0;
  for (const it of schema.fields) {
    const value = scalar(it, depth);
    if (it.presence === "repeated") shape[it.name] = fc.array(value, { maxLength: 3 });
    else if (it.presence === "oneof")
      shape[it.name] = oneofChoice++ === 0 ? fc.option(value, { nil: undefined }) : fc.constant(undefined);
    else
      shape[it.name] =
        it.kind === "message" && it.presence !== "required" ? fc.option(value, { nil: undefined }) : value;
  }
  return fc.record(shape);
}

function scalar(it: NamedField, depth: number): fc.Arbitrary<unknown> {
  switch (it.kind) {
    case "bytes":
      return fc.uint8Array({ maxLength: 5 });
    case "string":
      return fc.string({ unit: "grapheme", maxLength: 5 });
    case "bool":
      return fc.boolean();
    case "int64":
      return fc.maxSafeInteger();
    case "uint64":
      return fc.maxSafeNat();
    case "uint32":
      return fc.nat(2 ** 32 - 1);
    case "int32":
    case "enum":
      return fc.integer();
    case "id":
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case "unsignedId":
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    case "message":
      return depth === 0 && it.presence !== "required"
        ? fc.constant(undefined)
        : arbitrary(it.schema!(), Math.max(0, depth - 1));
  }
}

test("every message reads back what it writes", () => {
  assert.ok(tables.length > 140, `${tables.length} tables`);
  for (const schema of tables) {
    fc.assert(
      fc.property(arbitrary(schema, 2), (value) => {
        const writer = new ByteWriter();
        // An undefined element of a list is not a message.
        const clean = withoutUndefinedElements(value);
        encode(schema, clean, writer);
        assert.equal(writer.position, encodedSizeBytes(schema, clean), schema.name);
        assert.deepEqual(decode(schema, writer.bytes, 0, writer.position), clean, schema.name);
      }),
      { numRuns: 15 },
    );
  }
});

function withoutUndefinedElements(value: Record<string, unknown>): Record<string, unknown> {
  const clean: Record<string, unknown> = {};
  for (const [name, it] of Object.entries(value)) {
    clean[name] = Array.isArray(it) ? it.filter((e) => e !== undefined).map(cleanOne) : cleanOne(it);
  }
  return clean;
}

function cleanOne(it: unknown): unknown {
  if (typeof it !== "object" || it === null || it instanceof Uint8Array) return it;
  return withoutUndefinedElements(it as Record<string, unknown>);
}

/** A message that is always written comes back empty where it was missing. */
function withoutEmptyOf(written: unknown, read: unknown): unknown {
  if (read === undefined) return isEmpty(written) ? undefined : written;
  if (typeof written !== "object" || written === null || written instanceof Uint8Array) return written;
  const before = read as Record<string, unknown>;
  const entries = Object.entries(written).map(([key, value]) => [key, withoutEmptyOf(value, before[key])]);
  return Array.isArray(written) ? entries.map(([, value]) => value) : Object.fromEntries(entries);
}

/** Nothing but what is there without being written. */
function isEmpty(value: unknown): boolean {
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
  if (typeof value === "object" && value !== null) return Object.values(value).every(isEmpty);
  return value === undefined || value === 0 || value === 0n || value === false || value === "";
}

/** A few bytes replaced, left out or doubled. */
function mangle(bytes: Uint8Array, changes: readonly (readonly [number, number, number])[]): Uint8Array {
  const mangled = [...bytes];
  for (const [place, kind, value] of changes) {
    const at = place % (mangled.length + 1);
    if (kind === 0) mangled[at] = value;
    else if (kind === 1) mangled.splice(at, 1 + (value & 3));
    else mangled.splice(at, 0, ...mangled.slice(at, at + (value & 15)));
  }
  return Uint8Array.from(mangled);
}

test("what any message's bytes become when some are changed is read or refused, and what is read can be written", () => {
  const changes = fc.array(fc.tuple(fc.nat(200), fc.nat(2), fc.nat(255)), { minLength: 1, maxLength: 4 });
  let refusedCount = 0;
  let readCount = 0;
  for (const schema of tables) {
    const property = fc.property(arbitrary(schema, 2), changes, (value, how) => {
      const writer = new ByteWriter();
      encode(schema, withoutUndefinedElements(value), writer);
      const bytes = mangle(writer.copy(), how);
      let read: unknown;
      try {
        read = decode(schema, bytes, 0, bytes.length);
      } catch (error) {
        assert.ok(error instanceof WireError, `${schema.name}: ${String(error)}`);
        refusedCount++;
        return;
      }
      readCount++;
      const again = new ByteWriter();
      encode(schema, read as Input<unknown>, again);
      assert.deepEqual(
        withoutEmptyOf(decode(schema, again.bytes, 0, again.position), read),
        read,
        schema.name,
      );
    });
    fc.assert(property, { numRuns: 15 });
  }
  assert.ok(refusedCount > 200 && readCount > 200, `${refusedCount} refused, ${readCount} read`);
});

test("decode ends in a message or a WireError on arbitrary bytes", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...tables), (bytes, schema) => {
      try {
        decode<unknown>(schema, bytes, 0, bytes.length);
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
    { numRuns: 3000 },
  );
});

test("a request of many empty elements is refused, and the next one is counted anew", () => {
  for (const [schema, element] of [
    [api.MemberAddRequest, [0x0a, 0]],
    [api.WatchCreateRequest, [0x28, 0]],
  ] as const) {
    const elements = (count: number): Uint8Array =>
      Uint8Array.from({ length: 2 * count }, (_, i) => element[i & 1]!);
    const fits = elements(REQUEST_ELEMENT_COUNT_MAX);
    const tooMany = elements(REQUEST_ELEMENT_COUNT_MAX + 1);
    for (let i = 0; i < 2; i++) {
      decodeRequest<unknown>(schema, fits, 0, fits.length);
      assert.throws(() => decodeRequest<unknown>(schema, tooMany, 0, tooMany.length), WireError);
    }
    decode<unknown>(schema, tooMany, 0, tooMany.length);
  }
});

test("the response header has the table's form and the announced size", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.maxSafeInteger(),
      fc.nat(),
      (id, revision, term) => {
        const [hi, lo] = [Number(id >> 32n), Number(id & 0xffffffffn)];
        const source = { clusterHi: hi, clusterLo: lo, memberHi: lo, memberLo: hi, term };
        const writer = new ByteWriter(1);
        writeHeader(writer, source, revision);
        assert.equal(writer.position, headerSizeBytes(source, revision));
        const answer = decode(api.PutResponse, writer.bytes, 0, writer.position);
        const member_id = (BigInt(lo) << 32n) | BigInt(hi);
        assert.deepEqual(answer.header, { cluster_id: id, member_id, revision, raft_term: term });

        writer.reset();
        writeRevisionHeader(writer, revision);
        assert.equal(writer.position, revisionHeaderSizeBytes(revision));
        const inner = decode(api.PutResponse, writer.bytes, 0, writer.position).header;
        assert.deepEqual(inner, { cluster_id: 0n, member_id: 0n, revision, raft_term: 0 });
      },
    ),
  );
});

test("RequestEnvelope reads its own and etcd's order of fields", () => {
  const envelope = new RequestEnvelope();
  const put = Uint8Array.of(0x0a, 1, 65);
  const writer = new ByteWriter(1);
  beginAuthoredRequest(writer, 0xdeadbeef, 0xffffffff, { username: utf8("root"), authRevision: 300 });
  writeRequestBody(writer, REQUEST_KIND.put, put, 0, put.length);
  envelope.parse(writer.bytes, 0, writer.position);
  assert.deepEqual([envelope.kind, envelope.idHi, envelope.idLo], [REQUEST_KIND.put, 0xdeadbeef, 0xffffffff]);
  assert.deepEqual(writer.bytes.slice(envelope.payloadStart, envelope.payloadEnd), put);
  assert.equal(
    Buffer.from(writer.bytes.slice(envelope.usernameStart, envelope.usernameEnd)).toString(),
    "root",
  );
  assert.equal(envelope.authRevision, 300);
  assert.deepEqual(decode(raft.InternalRaftRequest, writer.bytes, 0, writer.position).header, {
    ID: 0xdeadbeefffffffffn,
    username: "root",
    auth_revision: 300,
  });

  writer.reset();
  encode(raft.InternalRaftRequest, { header: { ID: 77n }, cluster_version_set: { ver: "3.6.0" } }, writer);
  envelope.parse(writer.bytes, 0, writer.position);
  assert.deepEqual(
    [envelope.kind, envelope.idLo, envelope.usernameEnd],
    [REQUEST_KIND.clusterVersionSet, 77, 0],
  );

  writer.reset();
  beginRequest(writer, 0, 5);
  envelope.parse(writer.bytes, 0, writer.position);
  assert.deepEqual([envelope.kind, envelope.idLo], [REQUEST_KIND.none, 5]);
  writeRequestBody(writer, REQUEST_KIND.put, put, 0, 3);
  writeRequestBody(writer, REQUEST_KIND.txn, put, 0, 0);
  assert.throws(() => envelope.parse(writer.bytes, 0, writer.position), WireError);
});

test("REQUEST_KIND agrees with the table of InternalRaftRequest", () => {
  const numbers = new Set<number>(Object.values(REQUEST_KIND));
  for (const it of raft.InternalRaftRequest.fields) {
    if (it.name !== "ID" && it.name !== "header") assert.ok(numbers.has(it.number), it.name);
  }
});

test("the service table holds every RPC of etcd and finds it by path", () => {
  assert.equal(METHODS.length, 52);
  METHODS.forEach((it, index) => assert.equal(it.id, index));
  assert.equal(methodByPath("/etcdserverpb.KV/Range"), METHOD.range);
  assert.equal(METHOD.leaseKeepAlive.kind, "bidi");
  assert.equal(METHOD.snapshot.kind, "server");
  assert.equal(methodByPath("/etcdserverpb.KV/Nothing"), undefined);
  assert.ok(isService("v3lockpb.Lock") && !isService("v3lockpb.Nothing"));
});

test("status texts are unique, begin as etcd's do, and are found again", () => {
  const all = Object.values(STATUS);
  assert.equal(new Set(all.map((it) => it.text)).size, all.length);
  assert.equal(statusByText("etcdserver: mvcc: required revision has been compacted"), STATUS.compacted);
  assert.equal(STATUS.compacted.code, CODE.outOfRange);
  assert.equal(
    statusAsReason(STATUS.permissionDenied),
    "rpc error: code = PermissionDenied desc = etcdserver: permission denied",
  );
});
