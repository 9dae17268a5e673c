import assert from "node:assert/strict";
import { test } from "node:test";
import { id64, id64Hex, id64ToBigInt } from "../../core/base/ids.ts";
import { Prng } from "../../core/base/prng.ts";
import { FORMAT_VERSION, FORMAT_WITH_CHECKED_CHANGES } from "../../core/member/format.ts";
import { MemberAddRequest, MemberRemoveRequest, PutRequest } from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { CODE } from "../../core/wire/status.ts";
import { type Outcome, peerUrlOf, SmallCluster, type SmallClusterOptions } from "./small-cluster.ts";

const WAIT_MS = 20_000;

function clusterOf(memberCount: number, options?: Partial<SmallClusterOptions>): SmallCluster {
  const cluster = new SmallCluster({ memberCount, ...options });
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, WAIT_MS) >= 0, "there is a leader");
  cluster.run(1_000);
  return cluster;
}

/** Asks for something again and again until it is done. */
function untilDone(cluster: SmallCluster, ask: () => Outcome): void {
  const startMs = cluster.nowMs;
  for (;;) {
    const outcome = ask();
    cluster.runUntil(() => outcome.code !== undefined, WAIT_MS);
    if (outcome.code === CODE.ok) return;
    assert.ok(cluster.nowMs - startMs < WAIT_MS, `not done: ${outcome.text}`);
    cluster.run(50);
  }
}

function put(cluster: SmallCluster, place: number, lease = 0n): Outcome {
  const flags = { prev_kv: false, ignore_value: false, ignore_lease: false };
  const request = { key: Uint8Array.of(1), value: Uint8Array.of(2), lease, ...flags };
  return cluster.ask(place, METHOD.put, PutRequest, request);
}

function add(cluster: SmallCluster, place: number, newPlace: number, isLearner = false): Outcome {
  const request = { peerURLs: [peerUrlOf(newPlace)], isLearner };
  return cluster.ask(place, METHOD.memberAdd, MemberAddRequest, request);
}

function remove(cluster: SmallCluster, place: number, removed: number): Outcome {
  const ID = id64ToBigInt(cluster.nodes[removed]!.id);
  return cluster.ask(place, METHOD.memberRemove, MemberRemoveRequest, { ID });
}

function kill(cluster: SmallCluster, place: number): void {
  cluster.nodes[place]!.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
}

function isolate(cluster: SmallCluster, place: number): void {
  for (const { place: other } of cluster.nodes) {
    if (other === place) continue;
    cluster.network.close(place, other);
    cluster.network.close(other, place);
  }
  cluster.peers.resetClosedWays();
}

test("a member whose log names only members that are gone votes for one that it learns of", () => {
  const cluster = clusterOf(3);
  const { leader } = cluster;
  const [lagging, replaced] = [0, 1, 2].filter((place) => place !== leader) as [number, number];
  isolate(cluster, lagging);
  untilDone(cluster, () => add(cluster, leader, 3));
  cluster.join(leader);
  cluster.network.close(lagging, 3);
  cluster.network.close(3, lagging);
  untilDone(cluster, () => remove(cluster, leader, replaced));
  kill(cluster, replaced);
  kill(cluster, leader);
  cluster.run(1_000);
  // Two of the three members are here now, and one of them has never heard of the other.
  cluster.network.heal();
  assert.ok(cluster.runUntil(() => cluster.leader === 3, WAIT_MS) >= 0, "the two elect a leader");
  untilDone(cluster, () => put(cluster, lagging));
});

test("with the strict check a learner is added only while every voter has been here for a while, as in etcd", () => {
  const cluster = clusterOf(3, { strictReconfigCheck: true });
  cluster.run(5_000);
  const { leader } = cluster;
  const other = [0, 1, 2].find((place) => place !== leader)!;
  kill(cluster, other);
  cluster.run(100);
  const refused = add(cluster, leader, 3, true);
  cluster.run(100);
  assert.deepEqual(refused, { code: CODE.unavailable, text: "etcdserver: unhealthy cluster" });
  cluster.nodes[other]!.start();
  cluster.run(6_000);
  const added = add(cluster, leader, 3, true);
  cluster.run(100);
  assert.equal(added.code, CODE.ok);
});

test("two members whose ids end alike answer only their own calls", () => {
  // The low 16 bits are equal, and both are in their first life.
  const ids = [id64(1, 0x10007), id64(2, 0x20007), id64(3, 0x30007)];
  const cluster = clusterOf(3, { ids });
  const outcomes = [0, 1, 2].map((place) => put(cluster, place, place === 0 ? 0n : 7n));
  cluster.run(1_000);
  const texts = outcomes.map(({ code, text }) => (code === CODE.ok ? "ok" : text));
  assert.deepEqual(texts, ["ok", ...Array(2).fill("etcdserver: requested lease not found")]);
});

test("a change of members that the leader refuses to a follower fails at once", () => {
  const cluster = clusterOf(3);
  const { leader } = cluster;
  const followers = [0, 1, 2].filter((place) => place !== leader);
  const asked = followers.map((place) => add(cluster, place, 3 + place));
  // One change at a time: the second is refused, or comes when the first is applied.
  const isAnswered = (): boolean => asked.every(({ code }) => code !== undefined);
  assert.ok(cluster.runUntil(isAnswered, 200) >= 0, "both are answered");
  assert.deepEqual(asked.map(({ text }) => text).sort(), ["", "etcdserver: leader changed"]);
});

/** A leader, and a follower that hears of everything much later than it can ask the leader. */
function clusterWithLag(format = FORMAT_VERSION): {
  readonly cluster: SmallCluster;
  readonly leader: number;
  readonly lagging: number;
} {
  const cluster = new SmallCluster({ memberCount: 3 });
  for (const { formats } of [0, 1, 2].map((place) => cluster.member(place)))
    (formats as { own: number }).own = format;
  assert.ok(cluster.runUntil(() => cluster.leader >= 0, WAIT_MS) >= 0, "there is a leader");
  cluster.run(1_000);
  const { leader } = cluster;
  const lagging = [0, 1, 2].find((place) => place !== leader)!;
  assert.equal(cluster.member(lagging).formatVersion, format);
  cluster.network.slow(leader, lagging, 300_000);
  cluster.run(1_000);
  return { cluster, leader, lagging };
}

function assertSameMembers(cluster: SmallCluster, memberCount: number): void {
  cluster.network.heal();
  cluster.run(2_000);
  const seen = cluster.nodes.map(({ member }) => {
    const { voters, learners } = member!.raft.confState;
    const inConsensus = [...voters, ...learners].map(id64Hex).sort();
    const listed = member!.membership.list().map((info) => id64Hex(info.id));
    assert.deepEqual(listed.sort(), inConsensus);
    return listed.join();
  });
  assert.equal(new Set(seen).size, 1);
  assert.equal(cluster.member(0).membership.size, memberCount);
}

test("of two members that are added with the same peer URL the second is refused when it is applied", () => {
  const { cluster, leader, lagging } = clusterWithLag();
  const first = add(cluster, leader, 3);
  cluster.run(50);
  assert.equal(first.code, CODE.ok);
  assert.equal(cluster.member(lagging).membership.size, 3, "this one does not know it yet");
  const peerURLs = [peerUrlOf(3), "http://elsewhere:2380"];
  const second = cluster.ask(lagging, METHOD.memberAdd, MemberAddRequest, { peerURLs, isLearner: false });
  cluster.run(1_000);
  assert.deepEqual(second, {
    code: CODE.failedPrecondition,
    text: "etcdserver: Peer URLs already exists",
  });
  assertSameMembers(cluster, 4);
});

test("learners that are added at the same time are no more than there may be", () => {
  const { cluster, leader, lagging } = clusterWithLag();
  const first = add(cluster, leader, 3, true);
  cluster.run(50);
  const second = add(cluster, lagging, 4, true);
  cluster.run(1_000);
  assert.equal(first.code, CODE.ok);
  const text = "etcdserver: too many learner members in cluster";
  assert.deepEqual(second, { code: CODE.failedPrecondition, text });
  assertSameMembers(cluster, 4);
});

test("a cluster of an older format has no change in its log that may not be made", () => {
  const { cluster, leader, lagging } = clusterWithLag(FORMAT_WITH_CHECKED_CHANGES - 1);
  const first = add(cluster, leader, 3, true);
  cluster.run(50);
  const before = cluster.member(leader).raft.lastIndex;
  const others = [add(cluster, lagging, 3), add(cluster, lagging, 4, true)];
  cluster.run(1_000);
  assert.equal(first.code, CODE.ok);
  assert.deepEqual(
    others.map(({ text }) => text),
    Array(2).fill("etcdserver: leader changed"),
  );
  assert.equal(cluster.member(leader).raft.lastIndex, before);
  assertSameMembers(cluster, 4);
});

test("a member that is removed twice is not found the second time", () => {
  const { cluster, leader, lagging } = clusterWithLag();
  const other = [0, 1, 2].find((place) => place !== leader && place !== lagging)!;
  untilDone(cluster, () => add(cluster, leader, 3));
  cluster.join(leader);
  cluster.run(1_000);
  const first = remove(cluster, leader, other);
  cluster.run(50);
  const second = remove(cluster, lagging, other);
  cluster.run(1_000);
  assert.equal(first.code, CODE.ok);
  assert.deepEqual(second, { code: CODE.notFound, text: "etcdserver: member not found" });
});

const REMOVED = "the member has been permanently removed from the cluster";

function stops(cluster: SmallCluster, place: number): boolean {
  return cluster.events.includes(`m${place} stopped: ${REMOVED}`);
}

test("a member that was away while it was removed stops when it comes back, and again when it is restarted", () => {
  const cluster = clusterOf(3);
  const { leader } = cluster;
  const away = [0, 1, 2].find((place) => place !== leader)!;
  isolate(cluster, away);
  untilDone(cluster, () => remove(cluster, leader, away));
  cluster.run(3_000);
  assert.ok(!stops(cluster, away), "it cannot know yet");
  cluster.network.heal();
  assert.ok(cluster.runUntil(() => stops(cluster, away), 3_000) >= 0, "it stops");
  assert.ok(cluster.events.some((line) => line.includes("data-dir used by this member must be removed")));
  assert.ok(cluster.leader >= 0, "the others go on");
  cluster.events.length = 0;
  cluster.nodes[away]!.hasStopped = false;
  cluster.nodes[away]!.start();
  assert.ok(cluster.runUntil(() => stops(cluster, away), 3_000) >= 0, "it stops again");
});

test("a member that is removed while everybody is there stops soon, a leader that is removed hands over first", () => {
  for (const removesLeader of [false, true]) {
    const cluster = clusterOf(4);
    const { leader } = cluster;
    const removed = removesLeader ? leader : (leader + 1) % 4;
    untilDone(cluster, () => remove(cluster, leader, removed));
    assert.ok(cluster.runUntil(() => stops(cluster, removed), 1_000) >= 0, "it stops");
    assert.ok(cluster.runUntil(() => cluster.leader >= 0, 100) >= 0, "and somebody leads");
    untilDone(cluster, () => put(cluster, (removed + 1) % 4));
  }
});

test("a member that is removed goes on voting until the others know that the change is committed", () => {
  const cluster = clusterOf(4);
  const { leader, network } = cluster;
  const [removed, knowing, lagging] = [1, 2, 3].map((step) => (leader + step) % 4) as [
    number,
    number,
    number,
  ];
  network.close(leader, lagging);
  const before = cluster.member(leader).raft.lastIndex;
  remove(cluster, leader, removed);
  const has = (place: number): boolean => cluster.member(place).raft.durableIndex > before;
  assert.ok(
    runFinely(cluster, () => has(knowing)),
    "the change is on its way to be committed",
  );
  network.close(leader, knowing);
  assert.ok(
    runFinely(cluster, () => cluster.member(removed).membership.size === 3),
    "it is committed",
  );
  assert.equal(cluster.member(knowing).membership.size, 4, "and only two members know that");
  kill(cluster, leader);
  // Of the four that these two know one is dead: they need the vote of the one that was removed.
  const isLed = (): boolean => [knowing, lagging].includes(cluster.leader);
  assert.ok(cluster.runUntil(isLed, WAIT_MS) >= 0, "the others elect a leader");
  untilDone(cluster, () => put(cluster, lagging));
  assert.ok(cluster.runUntil(() => stops(cluster, removed), 1_000) >= 0, "then it stops");
});

test("a member that is removed and hears of nobody stops after some elections", () => {
  const cluster = clusterOf(3);
  const { leader } = cluster;
  const others = [0, 1, 2].filter((place) => place !== leader);
  const [removed, other] = others as [number, number];
  // Only the leader can tell it: one of two is no majority.
  cluster.network.close(removed, other);
  untilDone(cluster, () => remove(cluster, leader, removed));
  const hasHeard = (): boolean => cluster.events.some((line) => line.includes("this member was removed"));
  assert.ok(cluster.runUntil(hasHeard, 1_000) >= 0, "it hears of it");
  isolate(cluster, removed);
  kill(cluster, leader);
  kill(cluster, other);
  cluster.run(2_000);
  assert.ok(!stops(cluster, removed), "somebody may still need it");
  assert.ok(cluster.runUntil(() => stops(cluster, removed), 5_000) >= 0, "nobody came");
});

/** In steps that are shorter than a message is on its way. */
function runFinely(cluster: SmallCluster, isTrue: () => boolean): boolean {
  for (let step = 0; step < 10_000 && !isTrue(); step++) cluster.run(0.02);
  return isTrue();
}
