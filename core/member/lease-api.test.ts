import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import { Metrics } from "../base/metrics.ts";
import { METHOD } from "../wire/service.ts";
import type { Call } from "./call.ts";
import { MemberCounters } from "./counters.ts";
import { leaseKeepAliveOnce, leaseTimeToLive } from "./lease-api.ts";
import type { Member } from "./member.ts";

/** A leader whose store is behind its log: the lease appears when the read is confirmed. */
function laggingLeader(): { member: Member; confirm: () => void; log: string[] } {
  const log: string[] = [];
  let isApplied = false;
  const probes: (() => void)[] = [];
  const member = {
    isLeader: true,
    nowMs: 0,
    clock: { now: () => 1_000, unixSeconds: () => 0 },
    counters: new MemberCounters(new Metrics()),
    lessor: {
      renewedTtlSeconds: 5,
      find: () => (isApplied ? 1 : -1),
      renew: (_hi: number, _lo: number, nowMs: number) => {
        log.push(`at ${nowMs}`);
        return isApplied ? "renewed" : "unknown";
      },
    },
    leases: {
      writeKeepAlive: (_writer: ByteWriter, _hi: number, _lo: number, ttlSeconds: number) =>
        log.push(`keep-alive ${ttlSeconds}`),
      timeToLive: () => log.push(isApplied ? "time to live" : "unknown"),
    },
    reading: {
      showsItsPast: true,
      afterPast: (probe: (failure: undefined) => void) => probe(undefined),
      confirmLeadership: (probe: (failure: undefined) => void) => probe(undefined),
      linearizableRead: (probe: (failure: undefined) => void) => probes.push(() => probe(undefined)),
    },
  };
  const confirm = (): void => {
    isApplied = true;
    for (const probe of probes.splice(0)) probe();
  };
  return { member: member as unknown as Member, confirm, log };
}

function call(): Call {
  const writer = new ByteWriter(64);
  const noOp = (): void => undefined;
  return {
    method: METHOD.leaseKeepAlive,
    beginMessage: () => writer,
    endMessage: noOp,
    finish: noOp,
    fail: noOp,
  } as unknown as Call;
}

const LEASE_7 = Uint8Array.of(0x08, 7);

test("a keep-alive is not told that a lease is gone which its leader has not applied yet", () => {
  const { member, confirm, log } = laggingLeader();
  leaseKeepAliveOnce(member, call(), LEASE_7, 0, LEASE_7.length);
  assert.deepEqual(log, ["at 1000"]);
  confirm();
  assert.deepEqual(log.at(-1), "keep-alive 5");
});

test("a renewal counts from when it is read, not from the turn before a pause", () => {
  const { member, confirm, log } = laggingLeader();
  confirm();
  leaseKeepAliveOnce(member, call(), LEASE_7, 0, LEASE_7.length);
  assert.deepEqual(log, ["at 1000", "keep-alive 5"]);
});

test("the time to live of a lease that the leader has not applied yet waits for it", () => {
  const { member, confirm, log } = laggingLeader();
  leaseTimeToLive(member, call(), LEASE_7, 0, LEASE_7.length);
  assert.deepEqual(log, []);
  confirm();
  assert.deepEqual(log, ["time to live"]);
});
