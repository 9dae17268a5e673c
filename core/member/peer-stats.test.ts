import assert from "node:assert/strict";
import { test } from "node:test";
import { Metrics } from "../base/metrics.ts";
import { PeerStatistics } from "./peer-stats.ts";

const PEER = { hi: 0, lo: 2 };

function scene(): { metrics: Metrics; late: () => number; statistics: PeerStatistics } {
  const metrics = new Metrics();
  const heartbeatsLate = metrics.counter("late", "L.");
  const self = { hi: 0, lo: 1 };
  const statistics = new PeerStatistics({ self, metrics, heartbeatsLate, heartbeatMs: 100 });
  return { metrics, late: () => heartbeatsLate.value, statistics };
}

function roundTrips(metrics: Metrics): string | undefined {
  return /round_trip_time_seconds_sum\{To="2"\} (\S+)\n.*_count\{To="2"\} (\d+)/
    .exec(metrics.render())
    ?.slice(1)
    .join();
}

test("a round trip is from a heartbeat to the first answer to it or to a later one", () => {
  const { metrics, statistics } = scene();
  statistics.heartbeatSent(PEER, 5, 1000);
  statistics.heartbeatSent(PEER, 6, 1050);
  statistics.heartbeatAnswered(PEER, 4, 1060);
  assert.equal(roundTrips(metrics), "0,0");
  statistics.heartbeatAnswered(PEER, 5, 1080);
  statistics.heartbeatAnswered(PEER, 6, 1090);
  assert.equal(roundTrips(metrics), "0.08,1");
});

test("a heartbeat that wants no answer, and one whose connection broke, are not waited for", () => {
  const { metrics, statistics } = scene();
  statistics.heartbeatSent(PEER, 0, 0);
  statistics.heartbeatAnswered(PEER, 1, 10);
  statistics.heartbeatSent(PEER, 2, 20);
  statistics.disconnected(PEER);
  statistics.heartbeatAnswered(PEER, 2, 30);
  assert.equal(roundTrips(metrics), "0,0");
  assert.match(metrics.render(), /disconnected_peers_total\{Local="1",Remote="2"\} 1/);
});

test("heartbeats that leave more than an interval late are counted, but not those of another term", () => {
  const { late, statistics } = scene();
  statistics.heartbeatSent(PEER, 1, 0);
  statistics.heartbeatSent(PEER, 1, 190);
  assert.equal(late(), 0);
  statistics.heartbeatSent(PEER, 1, 400);
  assert.equal(late(), 1);
  statistics.leaderChanged();
  statistics.heartbeatSent(PEER, 1, 5000);
  assert.equal(late(), 1);
});
