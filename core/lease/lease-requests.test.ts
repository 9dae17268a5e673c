import { strict as assert } from "node:assert";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import { Prng } from "../base/prng.ts";
import { STATUS } from "../wire/status.ts";
import type { LeaseStore } from "./lease-requests.ts";
import { LeaseRequests, writeCheckpoint, writeRevoke, writeRevokeBatch } from "./lease-requests.ts";
import { LeaseIds, Lessor } from "./lessor.ts";

/** Keys are the decimal texts of their ids, so that their order differs from that of the ids. */
class FakeStore implements LeaseStore {
  revision = 1;
  readonly lessor: Lessor;
  readonly slots = new Map<number, number>();
  readonly revisions: string[][] = [];
  #deleted: string[] = [];

  constructor(lessor: Lessor) {
    this.lessor = lessor;
  }

  put(keyId: number, leaseLo: number): void {
    const slot = this.lessor.find(0, leaseLo);
    this.lessor.attach(slot, keyId);
    this.slots.set(keyId, slot);
  }

  beginRevision(): void {
    this.#deleted = [];
  }

  endRevision(): number {
    this.revisions.push(this.#deleted);
    return ++this.revision;
  }

  deleteKey(keyId: number): void {
    this.lessor.detach(this.slots.get(keyId)!, keyId);
    this.slots.delete(keyId);
    this.#deleted.push(String(keyId));
  }

  compareKeys(a: number, b: number): number {
    return String(a) < String(b) ? -1 : 1;
  }

  keySizeBytes(keyId: number): number {
    return String(keyId).length;
  }

  writeKey(writer: ByteWriter, keyId: number): void {
    writer.utf8(String(keyId));
  }
}

function set(): { lessor: Lessor; store: FakeStore; requests: LeaseRequests; prng: Prng } {
  const lessor = new Lessor();
  const store = new FakeStore(lessor);
  // Without ids and term a header with revision r is 0a 02 18 r.
  const header = { clusterHi: 0, clusterLo: 0, memberHi: 0, memberLo: 0, term: 0 };
  return { lessor, store, requests: new LeaseRequests(lessor, store, header), prng: new Prng(1) };
}

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  write(writer);
  return writer.copy();
}

function grantRequest(ttl: number, hi: number, lo: number): Uint8Array {
  return written((writer) => {
    writer.byte(0x08);
    writer.int64(ttl);
    writer.byte(0x10);
    writer.varint64(hi, lo);
  });
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

test("grant: a TTL below the minimum, zero and negative are raised to it, the largest is taken, above it is refused", () => {
  const { requests, lessor, prng } = set();
  const cases = [
    [1, 2],
    [0, 2],
    [-5, 2],
    [2, 2],
    [3, 3],
    [9_000_000_000, 9_000_000_000],
  ] as const;
  for (const [i, [asked, granted]] of cases.entries()) {
    const request = grantRequest(asked, 0, i + 1);
    const entry = new ByteWriter();
    assert.equal(requests.prepareGrant(request, 0, request.length, entry, prng), undefined);
    assert.equal(requests.applyGrant(entry.bytes, 0, entry.position, 0, null), undefined);
    assert.equal(lessor.table.ttlSeconds(lessor.find(0, i + 1)), granted);
  }
  const request = grantRequest(9_000_000_001, 0, 77);
  assert.equal(
    requests.prepareGrant(request, 0, request.length, new ByteWriter(), prng),
    STATUS.leaseTtlTooLarge,
  );
  assert.equal(requests.applyGrant(request, 0, request.length, 0, null), STATUS.leaseTtlTooLarge);
});

test("grant: a given id is used, also a negative one; an existing one is refused; 0 gets a fresh positive one", () => {
  const { requests, lessor, prng } = set();
  const negative = grantRequest(5, 0xffffffff, 0xfffffffe);
  assert.equal(requests.applyGrant(negative, 0, negative.length, 0, null), undefined);
  assert.ok(lessor.find(0xffffffff, 0xfffffffe) > 0);
  assert.equal(requests.applyGrant(negative, 0, negative.length, 0, null), STATUS.leaseExists);
  const entry = new ByteWriter();
  const zero = grantRequest(5, 0, 0);
  assert.equal(requests.prepareGrant(zero, 0, zero.length, entry, prng), undefined);
  assert.equal(requests.applyGrant(entry.bytes, 0, entry.position, 0, null), undefined);
  const slot = lessor.listByRemaining(0).find((at) => lessor.table.idHi(at) !== 0xffffffff)!;
  assert.ok(lessor.table.idHi(slot) < 0x80000000);
  assert.ok((lessor.table.idHi(slot) | lessor.table.idLo(slot)) !== 0);
});

test("grant answers header, id and the real TTL, and does not change the revision", () => {
  const { requests, store } = set();
  const request = grantRequest(60, 0, 5);
  const reply = new ByteWriter();
  requests.applyGrant(request, 0, request.length, 0, reply);
  assert.equal(hex(reply.copy()), "0a021801" + "1005" + "183c");
  assert.equal(store.revision, 1);
});

test("L4: revoke deletes all keys in one revision, in the order of the keys, and then the lease is gone", () => {
  const { requests, store, lessor } = set();
  const request = grantRequest(60, 0, 5);
  requests.applyGrant(request, 0, request.length, 0, null);
  for (const key of [9, 100, 20, 3]) store.put(key, 5);
  const revoke = written((writer) => writeRevoke(writer, 0, 5));
  const reply = new ByteWriter();
  assert.equal(requests.applyRevoke(revoke, 0, revoke.length, reply), undefined);
  assert.deepEqual(store.revisions, [["100", "20", "3", "9"]]);
  assert.equal(hex(reply.copy()), "0a021802");
  assert.equal(requests.applyRevoke(revoke, 0, revoke.length, null), STATUS.leaseNotFound);
  lessor.assertConserved();
  const none = new Uint8Array(0);
  assert.equal(requests.applyRevoke(none, 0, 0, null), STATUS.leaseNotFound);
});

test("a batch of revocations is one revision a lease, none for a lease without keys, and skips unknown ones", () => {
  const { requests, store, lessor } = set();
  for (let id = 1; id <= 4; id++) {
    const request = grantRequest(60, 0, id);
    requests.applyGrant(request, 0, request.length, 0, null);
    if (id !== 3) store.put(id, id);
  }
  const ids = new LeaseIds(5);
  for (const id of [2, 3, 9, 1]) ids.push(0, id, 0);
  const batch = written((writer) => writeRevokeBatch(writer, ids));
  assert.equal(requests.applyRevokeBatch(batch, 0, batch.length), 3);
  assert.deepEqual(store.revisions, [["2"], ["1"]]);
  assert.equal(lessor.count, 1);
});

test("checkpoint entries set and clear remainders", () => {
  const { requests, lessor } = set();
  const request = grantRequest(60, 0x12345678, 0x9abcdef0);
  requests.applyGrant(request, 0, request.length, 0, null);
  const slot = lessor.find(0x12345678, 0x9abcdef0);
  for (const remainder of [40, 0, 60]) {
    const ids = new LeaseIds(2);
    ids.push(0x12345678, 0x9abcdef0, remainder);
    ids.push(0, 99, 7);
    const entry = written((writer) => writeCheckpoint(writer, ids));
    requests.applyCheckpoint(entry, 0, entry.length);
    assert.equal(lessor.table.remainderSeconds(slot), remainder);
  }
});

test("time to live: unknown is TTL -1 with the id; else whole seconds left, granted TTL, and keys when asked", () => {
  const { requests, store, lessor } = set();
  const ask = (id: number, keys: boolean, now: number): string =>
    hex(
      written((writer) => {
        const request = written((inner) => {
          inner.byte(0x08);
          inner.varint(id);
          if (keys) inner.raw(Uint8Array.of(0x10, 1), 0, 2);
        });
        requests.timeToLive(request, 0, request.length, now, writer);
      }),
    );
  assert.equal(ask(7, true, 0), "0a021801" + "1007" + "18ffffffffffffffffff01");
  lessor.promote(0, 0);
  const request = grantRequest(60, 0, 7);
  requests.applyGrant(request, 0, request.length, 0, null);
  store.put(20, 7);
  store.put(100, 7);
  assert.equal(ask(7, false, 500), "0a021801" + "1007" + "183b" + "203c");
  assert.equal(ask(7, true, 500), "0a021801" + "1007" + "183b" + "203c" + "2a03313030" + "2a023230");
  assert.equal(ask(7, false, 100_000), "0a021801" + "1007" + "203c");
});

test("leases answers all ids, keep-alive answers TTL 0 for one that is gone", () => {
  const { requests } = set();
  for (const [id, ttl] of [
    [1, 60],
    [2, 30],
  ] as const) {
    const request = grantRequest(ttl, 0, id);
    requests.applyGrant(request, 0, request.length, 0, null);
  }
  assert.equal(hex(written((writer) => requests.leases(0, writer))), "0a021801" + "12020802" + "12020801");
  assert.equal(
    hex(written((writer) => requests.writeKeepAlive(writer, 0, 1, 60))),
    "0a021801" + "1001" + "183c",
  );
  assert.equal(hex(written((writer) => requests.writeKeepAlive(writer, 0, 3, 0))), "0a021801" + "1003");
});

test("a malformed revocation is refused before it is proposed", () => {
  const { requests } = set();
  const malformed = Uint8Array.of(0x08, 0xff);
  assert.throws(() => requests.checkRevoke(malformed, 0, 2), { name: "WireError" });
  assert.throws(() => requests.prepareGrant(malformed, 0, 2, new ByteWriter(), new Prng(1)), {
    name: "WireError",
  });
});
