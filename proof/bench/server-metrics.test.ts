import assert from "node:assert/strict";
import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { NO_TLS } from "./launch.ts";
import { ProcessSampler, ratesBetween, type Reading, saidBetween } from "./process-sampler.ts";
import {
  eventsBetween,
  loopLagBetween,
  grownBetween,
  parseServerMetrics,
  readMetrics,
  readServerName,
} from "./server-metrics.ts";
import { isTls } from "./rpc.ts";

/** A page's histogram from the counts of its buckets. */
function histogram(name: string, buckets: Readonly<Record<string, number>>, sum: number): string {
  let seen = 0;
  const lines = Object.entries(buckets).map(([bound, count]) => {
    seen += count;
    return `${name}_bucket{le="${bound}"} ${seen}`;
  });
  return [`# TYPE ${name} histogram`, ...lines, `${name}_sum ${sum}`, `${name}_count ${seen}`, ""].join("\n");
}

const FSYNC = "etcd_disk_wal_fsync_duration_seconds";
const quiet = { "0.001": 0, "0.016": 0, "0.064": 0, "0.256": 0, "+Inf": 0 };

function textsBetween(before: string, after: string): string[] {
  return eventsBetween(parseServerMetrics(before), parseServerMetrics(after)).map(
    ({ kind, text }) => `${kind}: ${text}`,
  );
}

test("metrics: one slow sync among two thousand quick ones is marked, whatever their average", () => {
  const before = histogram(FSYNC, { ...quiet, "0.001": 5000 }, 1.5);
  const after = histogram(FSYNC, { ...quiet, "0.001": 7000, "0.256": 1 }, 2.3);
  assert.deepEqual(textsBetween(before, after), ["fsync: the slowest of 2001 syncs took 64.0 ms to 256 ms"]);
  assert.deepEqual(textsBetween(before, histogram(FSYNC, { ...quiet, "0.001": 7000 }, 2)), []);
});

test("metrics: a slow sync before the interval is not marked in it", () => {
  const before = histogram(FSYNC, { ...quiet, "0.001": 10, "0.256": 3 }, 1);
  const after = histogram(FSYNC, { ...quiet, "0.001": 20, "0.256": 3 }, 1);
  assert.deepEqual(textsBetween(before, after), []);
});

test("metrics: without buckets the average stands for the slowest, and above the last bound it says so", () => {
  const summary = { count: 10, seconds: 1, upTo: [] };
  assert.deepEqual(grownBetween({ count: 8, seconds: 0, upTo: [] }, summary), {
    count: 2,
    seconds: 1,
    above: 0.5,
    upTo: 0.5,
  });
  const after = histogram(FSYNC, { ...quiet, "+Inf": 1 }, 9);
  assert.deepEqual(textsBetween(histogram(FSYNC, quiet, 0), after), [
    "fsync: the slowest of 1 syncs took more than 256 ms",
  ]);
});

test("metrics: garbage collections are summed over their kinds, as Node's exporters name them", () => {
  const page = (major: number, count: number): string =>
    `nodejs_gc_duration_seconds_sum{kind="minor"} 0.5\nnodejs_gc_duration_seconds_count{kind="minor"} 10\n` +
    `nodejs_gc_duration_seconds_sum{kind="major"} ${major}\nnodejs_gc_duration_seconds_count{kind="major"} ${count}\n`;
  assert.equal(parseServerMetrics(page(0.25, 3)).collections?.seconds, 0.75);
  assert.deepEqual(textsBetween(page(0.25, 3), page(0.3, 4)), ["gc: 1 garbage collections in 50.0 ms"]);
  assert.deepEqual(textsBetween(page(0.25, 3), page(0.255, 4)), []);
});

test("metrics: stalls of the loop come from a histogram or from an exporter's maximum, which is marked once", () => {
  const name = "nodejs_eventloop_delay_seconds";
  assert.deepEqual(
    textsBetween(histogram(name, quiet, 0), histogram(name, { ...quiet, "0.064": 1, "0.256": 1 }, 0.1)),
    ["stall: the loop's longest stall took 64.0 ms to 256 ms"],
  );
  const lag = (seconds: number): string => `nodejs_eventloop_lag_max_seconds ${seconds}\n`;
  assert.deepEqual(textsBetween(lag(0.001), lag(0.1)), ["stall: the loop stood still for 100 ms"]);
  assert.deepEqual(textsBetween(lag(0.1), lag(0.1)), []);
});

test("metrics: every checkpoint of Holdfast is marked, and only slow commits of etcd, which commits all the time", () => {
  const name = "etcd_disk_backend_commit_duration_seconds";
  const before = histogram(name, quiet, 0);
  const after = histogram(name, { ...quiet, "0.016": 10 }, 0.05);
  assert.deepEqual(textsBetween(before, after), []);
  const ours = "holdfast_server_divergences_total 0\n";
  assert.deepEqual(textsBetween(ours + before, ours + after), [
    "checkpoint: a checkpoint took 1.00 ms to 16.0 ms",
  ]);
  assert.deepEqual(textsBetween(before, histogram(name, { ...quiet, "0.256": 1 }, 0.1)), [
    "checkpoint: a commit took 64.0 ms to 256 ms",
  ]);
});

test("metrics: compactions and elections are marked, and a page that appears later is no election", () => {
  const page = (revision: number, changes: number): string =>
    `etcd_debugging_mvcc_compact_revision ${revision}\netcd_server_leader_changes_seen_total ${changes}\n`;
  assert.deepEqual(textsBetween(page(5, 1), page(900, 2)), [
    "compaction: compacted to revision 900",
    "election: a change of leader",
  ]);
  assert.deepEqual(textsBetween("", page(900, 2)), []);
  const name = "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds";
  assert.deepEqual(textsBetween(histogram(name, { "100": 0 }, 0), histogram(name, { "100": 1 }, 75)), [
    "compaction: a compaction ended after 75.0 ms",
  ]);
});

test("metrics: Holdfast's own histograms come before etcd's names, and what is under way is marked", () => {
  const fine = "holdfast_wal_fsync_duration_seconds";
  const page = (slow: number, running: number): string =>
    histogram(FSYNC, { ...quiet, "0.256": slow }, 0) +
    histogram(fine, { "0.02": 0, "0.025": slow }, 0) +
    `holdfast_checkpoint_running ${running}\nholdfast_compaction_running ${running}\n`;
  assert.deepEqual(textsBetween(page(0, 0), page(1, 1)), [
    "fsync: the slowest of 1 syncs took 20.0 ms to 25.0 ms",
    "checkpoint: a checkpoint is under way",
    "compaction: a compaction is under way",
  ]);
  const checkpoint = "holdfast_checkpoint_duration_seconds";
  assert.deepEqual(
    textsBetween(histogram(checkpoint, quiet, 0), histogram(checkpoint, { ...quiet, "0.256": 1 }, 0.1)),
    ["checkpoint: a checkpoint took 64.0 ms to 256 ms"],
  );
});

test("metrics: what a page does not have is no figure, rather than none", () => {
  const nothing = parseServerMetrics("");
  assert.deepEqual(saidBetween(nothing, nothing), { fsyncs: null, gcSeconds: null, allocatedBytes: null });
  const one = parseServerMetrics(histogram(FSYNC, { ...quiet, "0.001": 4 }, 0.1));
  assert.deepEqual(saidBetween(one, one), { fsyncs: 0, gcSeconds: null, allocatedBytes: null });
});

test("metrics: how late the loop was is known while an exporter starts anew, and Holdfast's does", () => {
  const lag = (seconds: number): ReturnType<typeof parseServerMetrics> =>
    parseServerMetrics(`nodejs_eventloop_lag_max_seconds ${seconds}\n`);
  assert.equal(loopLagBetween(lag(0.004), lag(0.05)), 0.05);
  assert.equal(loopLagBetween(lag(0.05), lag(0.05)), null);
  assert.equal(loopLagBetween(lag(0.05), parseServerMetrics("")), null);
  assert.equal(loopLagBetween(lag(0.05), undefined), null);
});

test("sampler: amounts are for a second, however long the interval was", () => {
  const reading = (seconds: number, bytes: number): Reading => ({
    userSeconds: seconds,
    systemSeconds: 0,
    rssBytes: 1,
    writtenBytes: bytes,
    contextSwitches: bytes,
  });
  const rates = ratesBetween(reading(1, 0), reading(3, 8000), 4);
  assert.deepEqual(rates, { cpuPercent: 50, rssBytes: 1, writtenBytes: 2000, contextSwitches: 2000 });
});

test("sampler: a process without an endpoint is sampled, and says nothing of its syncs", async () => {
  const sampler = new ProcessSampler({ metricsEverySecond: true, tls: NO_TLS });
  await sampler.find([], [process.pid]);
  sampler.begin();
  const [use] = await sampler.stop();
  assert.equal(use?.pid, process.pid);
  assert.ok(use.rssBytes > 1e6);
  assert.deepEqual([use.fsyncs, use.gcSeconds], [null, null]);
});

test("metrics: a page is read over HTTP, and one that is not there is undefined", async () => {
  const server = http.createServer((request, response) => {
    response.statusCode = request.url === "/metrics" ? 200 : 404;
    response.end(histogram(FSYNC, { ...quiet, "0.001": 4 }, 0.1));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  assert.equal((await readMetrics(endpoint, NO_TLS))?.syncs?.count, 4);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await readMetrics(endpoint, NO_TLS), undefined);
});

test("metrics: a server says which one it is; Holdfast, whose page has etcd's series too, by its own", async () => {
  let text = 'etcd_server_version{server_version="3.6.16"} 1\n';
  const server = http.createServer((_, response) => response.end(text));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const endpoint = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  assert.equal(await readServerName(endpoint, NO_TLS), "etcd 3.6.16");
  text += 'holdfast_build_info{version="1.2.3"} 1\n';
  assert.equal(await readServerName(endpoint, NO_TLS), "holdfast 1.2.3");
  text = "up 1\n";
  assert.equal(await readServerName(endpoint, NO_TLS), undefined);
  await new Promise((resolve) => server.close(resolve));
  assert.equal(await readServerName(endpoint, NO_TLS), undefined);
});

test("tls: an endpoint without a scheme is TLS when files are named, and a plain one stays plain", () => {
  const files = { ...NO_TLS, caFile: "ca.pem" };
  assert.deepEqual(
    [isTls("h:1", files), isTls("http://h:1", files), isTls("https://h:1", NO_TLS), isTls("h:1", NO_TLS)],
    [true, false, true, false],
  );
});
