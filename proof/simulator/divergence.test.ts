import assert from "node:assert/strict";
import { test } from "node:test";
import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { ALARM_CORRUPT } from "../../core/member/alarms.ts";
import { FORMAT_VERSION } from "../../core/member/format.ts";
import { PutRequest } from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { CODE } from "../../core/wire/status.ts";
import type { PowerLoss } from "./disk.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

const KILL: PowerLoss = { prng: new Prng(1), survivors: "all", tear: "sector" };
/** From the first entry that is applied on the wrong state. */
const DETECTED_MS_MAX = 1_000;

function put(cluster: SmallCluster, place: number, key: string): Outcome {
  const request = {
    key: encodeUtf8(key),
    value: encodeUtf8("value"),
    lease: 0n,
    prev_kv: false,
    ignore_value: false,
    ignore_lease: false,
  };
  return cluster.ask(place, METHOD.put, PutRequest, request);
}

function started(memberCount: number): SmallCluster {
  const cluster = new SmallCluster({ memberCount });
  const isWhole = (): boolean =>
    cluster.leader >= 0 && cluster.nodes.every((node) => node.member!.formatVersion === FORMAT_VERSION);
  assert.ok(cluster.runUntil(isWhole, 10_000) >= 0, "the cluster has a leader and a format");
  cluster.run(1_000);
  return cluster;
}

/** A bit that turned over, or a bug: a value that the log never held. */
function tamper(cluster: SmallCluster, place: number): void {
  const { store } = cluster.member(place);
  const key = encodeUtf8("tampered");
  store.beginRevision();
  store.put(key, 0, key.length, key, 0, key.length, 0, 0);
  store.endRevision();
}

function assertAgree(cluster: SmallCluster): void {
  const samples = cluster.nodes.map(({ member }) => {
    const { divergence, store, lessor, appliedIndex } = member!;
    return `${appliedIndex} ${divergence.effects.sample(store, lessor.count)} ${store.revision} ${store.keyCount}`;
  });
  assert.equal(new Set(samples).size, 1, samples.join("; "));
}

function names(cluster: SmallCluster, place: number): readonly string[] {
  return cluster
    .member(place)
    .alarms.list(ALARM_CORRUPT)
    .map((alarm) => cluster.nodes.find((node) => node.id.lo === alarm.memberId.lo)!.name);
}

function keepWriting(cluster: SmallCluster, place: number): { stop: () => void; outcomes: Outcome[] } {
  const outcomes: Outcome[] = [];
  let isOn = true;
  const write = (): void => {
    if (!isOn) return;
    if (cluster.nodes[place]!.isUp) outcomes.push(put(cluster, place, `key ${outcomes.length % 50}`));
    cluster.scheduler.after(7_000, { node: -1, kind: "write" }, write);
  };
  write();
  return { stop: () => void (isOn = false), outcomes };
}

function assertHeals(cluster: SmallCluster, victim: number, writer: number): void {
  const member = cluster.member(victim);
  const writing = keepWriting(cluster, writer);
  const detectedMs = cluster.runUntil(() => member.rejoin.isActive, 5_000);
  assert.ok(detectedMs >= 0 && detectedMs <= DETECTED_MS_MAX, `detected after ${detectedMs} ms`);
  const refused = put(cluster, victim, "refused");
  cluster.run(2);
  assert.equal(refused.code, CODE.unavailable);
  assert.match(refused.text, /state of this member differs/);
  const healedMs = cluster.runUntil(() => !member.rejoin.isActive, 10_000);
  assert.ok(healedMs >= 0, cluster.events.slice(-20).join("\n"));
  cluster.run(500);
  assert.deepEqual(names(cluster, writer), [`m${victim}`], "the alarm names the member that was wrong");
  writing.stop();
  cluster.run(500);
  assertAgree(cluster);
  const served = put(cluster, victim, "served");
  cluster.run(200);
  assert.equal(served.code, CODE.ok);
  // The others went on all the time.
  const failed = writing.outcomes.filter((outcome) => outcome.code !== CODE.ok);
  assert.deepEqual(failed, []);
  assert.ok(
    cluster.runUntil(() => names(cluster, writer).length === 0, 10_000) >= 0,
    "the alarm is taken back",
  );
  assert.ok(cluster.nodes.every((node) => !node.disk.exists("member/diverged")));
}

test("a follower whose state differs stops serving within a second and comes back with the others' state", () => {
  const cluster = started(3);
  for (let i = 0; i < 40; i++) put(cluster, 0, `before ${i}`);
  cluster.run(200);
  const victim = (cluster.leader + 1) % 3;
  tamper(cluster, victim);
  assertHeals(cluster, victim, cluster.leader);
});

test("a leader whose state differs hands its leadership over and comes back", () => {
  const cluster = started(3);
  for (let i = 0; i < 40; i++) put(cluster, 0, `before ${i}`);
  cluster.run(200);
  const victim = cluster.leader;
  tamper(cluster, victim);
  const member = cluster.member(victim);
  const writing = keepWriting(cluster, (victim + 1) % 3);
  const detectedMs = cluster.runUntil(() => member.rejoin.isActive, 5_000);
  assert.ok(detectedMs >= 0 && detectedMs <= DETECTED_MS_MAX, `detected after ${detectedMs} ms`);
  assert.ok(
    cluster.runUntil(() => !member.rejoin.isActive, 10_000) >= 0,
    cluster.events.slice(-20).join("\n"),
  );
  assert.notEqual(cluster.leader, victim);
  writing.stop();
  cluster.run(500);
  assertAgree(cluster);
  assert.deepEqual(names(cluster, cluster.leader), [`m${victim}`]);
});

test("two of five whose states differ come back", () => {
  const cluster = started(5);
  for (let i = 0; i < 40; i++) put(cluster, 0, `before ${i}`);
  cluster.run(200);
  const victims = [1, 2].map((step) => (cluster.leader + step) % 5);
  for (const victim of victims) tamper(cluster, victim);
  const writing = keepWriting(cluster, cluster.leader);
  const areActive = (isActive: boolean): boolean =>
    victims.every((victim) => cluster.member(victim).rejoin.isActive === isActive);
  const detectedMs = cluster.runUntil(() => areActive(true), 5_000);
  assert.ok(detectedMs >= 0 && detectedMs <= DETECTED_MS_MAX, `detected after ${detectedMs} ms`);
  assert.ok(cluster.runUntil(() => areActive(false), 10_000) >= 0, cluster.events.slice(-20).join("\n"));
  writing.stop();
  cluster.run(500);
  assertAgree(cluster);
  assert.ok(writing.outcomes.every((outcome) => outcome.code === CODE.ok));
});

test("a member that is killed with a wrong state does not serve it when it comes back", () => {
  const cluster = started(3);
  for (let i = 0; i < 40; i++) put(cluster, 0, `before ${i}`);
  cluster.run(200);
  cluster.run(1_000); // no round is under way that would find it at once
  const victim = (cluster.leader + 1) % 3;
  tamper(cluster, victim);
  const node = cluster.nodes[victim]!;
  // What is on its disk is wrong, too.
  cluster.member(victim).housekeeping.checkpointer.want();
  cluster.run(100);
  const writing = keepWriting(cluster, cluster.leader);
  assert.ok(cluster.runUntil(() => node.member!.rejoin.isActive, 5_000) >= 0);
  const { term } = cluster.member(victim).raft.hardState;
  node.crash(KILL);
  node.start();
  assert.ok(cluster.member(victim).rejoin.isActive, "the marker outlives the crash");
  assert.ok(cluster.member(victim).raft.term >= term, "the term does, too");
  assert.ok(
    cluster.runUntil(() => !node.member!.rejoin.isActive, 10_000) >= 0,
    cluster.events.slice(-20).join("\n"),
  );
  writing.stop();
  cluster.run(500);
  assertAgree(cluster);
  // The received state is what a restart finds.
  node.crash(KILL);
  node.start();
  cluster.run(3_000);
  assert.ok(!cluster.member(victim).rejoin.isActive);
  assertAgree(cluster);
});

test("writes are refused only when no majority agrees", () => {
  const cluster = started(3);
  for (let i = 0; i < 10; i++) put(cluster, 0, `before ${i}`);
  cluster.run(200);
  tamper(cluster, 0);
  tamper(cluster, 1);
  tamper(cluster, 1);
  put(cluster, cluster.leader, "after");
  assert.ok(cluster.runUntil(() => cluster.member(cluster.leader).alarms.isCorrupt, 2_000) >= 0);
  const refused = put(cluster, cluster.leader, "refused");
  cluster.run(500);
  assert.equal(refused.code, CODE.dataLoss);
  assert.deepEqual(names(cluster, cluster.leader).length, 3);
});
