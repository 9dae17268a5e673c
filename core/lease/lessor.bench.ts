// Run: npx tsx --expose-gc core/lease/lessor.bench.ts
//
// Leases alone: grants, renewals, memory a lease; 100,000 with a key each that end together (P23: etcd takes 100 s, the
// goal is 2 s with everything around it); the moment of promotion with a million leases.

import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Store } from "../mvcc/store.ts";
import { LeaseRequests, writeRevokeBatch } from "./lease-requests.ts";
import { LeaseIds, Lessor } from "./lessor.ts";

const header = { clusterHi: 1, clusterLo: 2, memberHi: 3, memberLo: 4, term: 5 };

function timed(title: string, count: number, run: () => void): void {
  // The processor's time, so that a busy machine does not count.
  const before = process.cpuUsage();
  run();
  const { user, system } = process.cpuUsage(before);
  const ms = (user + system) / 1000;
  console.log(
    `${title}: ${ms.toFixed(1)} ms, ${((ms * 1e6) / count).toFixed(0)} ns each, ${Math.round((count / ms) * 1000)}/s`,
  );
}

function request(ttl: number, lo: number): ByteWriter {
  const writer = new ByteWriter(32);
  writer.byte(0x08);
  writer.varint(ttl);
  writer.byte(0x10);
  writer.varint64(0x1234, lo);
  return writer;
}

function set(): { lessor: Lessor; store: Store; requests: LeaseRequests } {
  const lessor = new Lessor();
  const store = new Store({ segmentSizeBytes: DEFAULT_LIMITS.dataSegmentSizeBytes, hashSeed: 1 });
  store.leases = lessor;
  lessor.promote(0, 0);
  lessor.takeExpired(0, new LeaseIds(1));
  return { lessor, store, requests: new LeaseRequests(lessor, store, header) };
}

function grants(): void {
  const gc = (globalThis as { gc?: () => void }).gc ?? ((): void => undefined);
  const { lessor, requests } = set();
  const entries = Array.from({ length: 1_000_000 }, (_, i) => request(60, i + 1));
  const reply = new ByteWriter(256);
  gc();
  const before = process.memoryUsage().arrayBuffers;
  timed("grant, 1 M with answers", 1_000_000, () => {
    for (const entry of entries) {
      reply.reset();
      requests.applyGrant(entry.bytes, 0, entry.position, 0, reply);
    }
  });
  const bytes = process.memoryUsage().arrayBuffers - before;
  console.log(
    `memory: ${(bytes / 1e6).toFixed(0)} bytes a lease (tables say ${(lessor.table.sizeBytes / 1e6).toFixed(0)})`,
  );
  timed("renew, 1 M", 1_000_000, () => {
    for (let i = 1; i <= 1_000_000; i++) lessor.renew(0x1234, i, 10_000);
  });
  timed("image of 1 M leases, all at once", 1_000_000, () => lessor.image.take());
  lessor.demote();
  timed("promotion with 1 M leases", 1, () => lessor.promote(20_000, 1000));
  const ids = new LeaseIds(1);
  let longest = 0;
  timed("walk after the promotion", 1_000_000, () => {
    while (lessor.nextDeadlineMs() === 0) {
      const start = performance.now();
      lessor.takeExpired(20_000, ids);
      longest = Math.max(longest, performance.now() - start);
    }
  });
  console.log(`longest slice of it: ${longest.toFixed(2)} ms`);
}

function endTogether(count: number): void {
  const { lessor, store, requests } = set();
  const value = Buffer.alloc(64);
  for (let i = 1; i <= count; i++) {
    const entry = request(30, i);
    requests.applyGrant(entry.bytes, 0, entry.position, 0, null);
    const key = Buffer.from(`/leases/session-${i}`);
    store.beginRevision();
    store.put(key, 0, key.length, value, 0, value.length, 0x1234, i);
    store.endRevision();
  }
  const ids = new LeaseIds(500);
  const entry = new ByteWriter(16_384);
  let longest = 0;
  let portions = 0;
  timed(`${count} leases with a key each end together`, count, () => {
    while (lessor.count > 0) {
      const start = performance.now();
      lessor.takeExpired(31_000, ids);
      entry.reset();
      writeRevokeBatch(entry, ids);
      requests.applyRevokeBatch(entry.bytes, 0, entry.position);
      longest = Math.max(longest, performance.now() - start);
      portions++;
    }
  });
  console.log(`portions of 500: ${portions}, longest ${longest.toFixed(2)} ms; keys left: ${store.keyCount}`);
}

function listing(count: number): void {
  const { lessor, requests } = set();
  for (let i = 1; i <= count; i++) {
    const entry = request(30, i);
    requests.applyGrant(entry.bytes, 0, entry.position, 0, null);
  }
  // Renewed in no order, as sessions are.
  for (let i = 0; i < count; i++) lessor.renew(0x1234, ((i * 7919) % count) + 1, 1000 + i / 5);
  const reply = new ByteWriter(2 ** 21);
  for (let round = 0; round < 4; round++) {
    reply.reset();
    timed(`list ${count} leases`, count, () => requests.leases(2000, reply));
  }
}

function hugeLease(): void {
  const { store, requests } = set();
  const entry = request(30, 1);
  requests.applyGrant(entry.bytes, 0, entry.position, 0, null);
  for (let i = 0; i < 100_000; i++) {
    const key = Buffer.from(`/one/${(i * 7919) % 100_000}`);
    store.beginRevision();
    store.put(key, 0, key.length, key, 0, 0, 0x1234, 1);
    store.endRevision();
  }
  const revoke = new ByteWriter(32);
  revoke.byte(0x08);
  revoke.varint64(0x1234, 1);
  timed("revoke of a lease with 100,000 keys put in no order", 100_000, () =>
    requests.applyRevoke(revoke.bytes, 0, revoke.position, null),
  );
}

grants();
endTogether(100_000);
listing(100_000);
hugeLease();
