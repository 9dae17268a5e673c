// What a member counts while it serves, seen on its page.

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

function cluster(memberCount: number): SmallCluster {
  const made = new SmallCluster({ memberCount });
  assert.ok(made.runUntil(() => made.leader >= 0, 10_000) >= 0, "somebody leads");
  made.run(1_000);
  return made;
}

/** The value of the series that begins so; 0 when it is not there yet. */
function value(world: SmallCluster, place: number, series: string): number {
  const page = world.member(place).options.metrics.render();
  const line = page.split("\n").find((it) => it.startsWith(`${series} `) || it.startsWith(`${series},`));
  return Number(line?.split(" ").at(-1) ?? 0);
}

const key = encodeUtf8("key");

test("puts, deletions and leases are counted by every member, renewals and expiries by the leader", () => {
  const world = cluster(3);
  const { leader } = world;
  const follower = (leader + 1) % 3;
  const ask = (outcome: Outcome): void => {
    world.run(200);
    assert.equal(outcome.code, 0, outcome.text);
  };
  ask(world.ask(leader, METHOD.leaseGrant, m.LeaseGrantRequest, { ID: 7n, TTL: 60 }));
  ask(world.ask(leader, METHOD.leaseGrant, m.LeaseGrantRequest, { ID: 8n, TTL: 60 }));
  ask(world.ask(leader, METHOD.put, m.PutRequest, { key, value: key }));
  ask(world.ask(leader, METHOD.deleteRange, m.DeleteRangeRequest, { key }));
  ask(world.ask(leader, METHOD.leaseKeepAlive, m.LeaseKeepAliveRequest, { ID: 7n }));
  ask(world.ask(leader, METHOD.leaseRevoke, m.LeaseRevokeRequest, { ID: 7n }));
  for (const place of [leader, follower]) {
    assert.equal(value(world, place, "etcd_mvcc_put_total"), 1);
    assert.equal(value(world, place, "etcd_mvcc_delete_total"), 1);
    assert.equal(value(world, place, "etcd_debugging_lease_granted_total"), 2);
    assert.equal(value(world, place, "etcd_debugging_lease_revoked_total"), 1);
    assert.equal(value(world, place, "etcd_debugging_lease_ttl_total_sum"), 120);
    assert.equal(
      value(
        world,
        place,
        'etcd_server_apply_duration_seconds_count{version="v3",op="LeaseGrant",success="true"}',
      ),
      2,
    );
  }
  assert.equal(value(world, leader, "etcd_debugging_lease_renewed_total"), 1);
  assert.equal(value(world, follower, "etcd_debugging_lease_renewed_total"), 0);
  world.run(70_000);
  assert.equal(value(world, leader, "etcd_debugging_server_lease_expired_total"), 1);
  assert.equal(value(world, follower, "etcd_debugging_lease_revoked_total"), 2);
});

test("a refused put is counted among the applied ones as refused", () => {
  const world = cluster(1);
  const outcome = world.ask(0, METHOD.put, m.PutRequest, { key, value: key, lease: 99n });
  world.run(100);
  assert.equal(outcome.text, STATUS.leaseNotFound.text);
  const series = 'etcd_server_apply_duration_seconds_count{version="v3",op="Put",success="false"}';
  assert.equal(value(world, 0, series), 1);
  assert.equal(value(world, 0, "etcd_mvcc_put_total"), 0);
});

test("members show whom they know and reach, and how long a heartbeat's way is", () => {
  const world = cluster(3);
  const { leader } = world;
  const page = (): string => world.member(leader).options.metrics.render();
  assert.equal(page().match(/^etcd_network_known_peers\{.*\} 1$/gm)?.length, 3);
  assert.equal(page().match(/^etcd_network_active_peers\{.*\} 1$/gm)?.length, 2);
  assert.equal(page().match(/^etcd_network_peer_round_trip_time_seconds_count\{.*\} [1-9]/gm)?.length, 2);
  world.nodes[(leader + 1) % 3]!.shutDown();
  world.run(2_000);
  assert.equal(page().match(/^etcd_network_active_peers\{.*\} 1$/gm)?.length, 1);
  assert.equal(page().match(/^etcd_network_disconnected_peers_total\{.*\} [1-9]/gm)?.length, 1);
});

test("compactions are measured and counted", () => {
  const world = cluster(1);
  for (let i = 0; i < 5; i++) {
    world.ask(0, METHOD.put, m.PutRequest, { key, value: key });
    world.run(20);
  }
  world.ask(0, METHOD.compact, m.CompactionRequest, { revision: 5, physical: true });
  world.run(500);
  assert.equal(value(world, 0, "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds_count"), 1);
  assert.equal(value(world, 0, "etcd_debugging_mvcc_db_compaction_keys_total"), 3);
  assert.ok(value(world, 0, "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds_count") > 0);
});
