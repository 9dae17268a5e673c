/**
 * What an operator does with a cluster, typed into etcdctl 3.6, to ours and to a real etcd at the same time: members are added,
 * promoted, updated and removed, the leader is moved and removed, and at the end most of them are killed. Every answer
 * must be etcd's.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { claim, runPeer, type Said } from "./conversation.ts";
import { findPeer, requirePeer } from "./peers.ts";
import { freePorts, makeMembers, ServerProcess } from "./server-process.ts";

const TIMEOUT_MS = 60_000;
/** Above every time limit of a server. */
const COMMAND_TIMEOUT = "--command-timeout=10s";

/** The same operations on one kind of server. */
class Cluster {
  readonly kind: string;
  readonly folder: string;
  readonly members: ServerProcess[];
  /** What was answered, by the name of the operation, without what differs from run to run. */
  readonly answers = new Map<string, string>();
  /** How long what a cluster without a quorum was asked took. */
  readonly seconds = new Map<string, number>();
  readonly #etcdctl = requirePeer("etcdctl");

  constructor(kind: string, folder: string, members: ServerProcess[]) {
    this.kind = kind;
    this.folder = folder;
    this.members = members;
  }

  static async make(kind: string, command?: readonly string[]): Promise<Cluster> {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), `holdfast-cluster-${kind}-`));
    return new Cluster(kind, folder, await makeMembers(3, { folder, command }));
  }

  say(at: readonly ServerProcess[], words: readonly string[]): Promise<Said> {
    const endpoints = at.map(({ endpoint }) => endpoint).join(",");
    return runPeer(this.#etcdctl, ["--endpoints", endpoints, COMMAND_TIMEOUT, ...words]);
  }

  /** Types a command and keeps what it printed; a failure throws. */
  async type(name: string, at: readonly ServerProcess[], words: readonly string[]): Promise<string> {
    const said = await this.say(at, words);
    assert.equal(said.exitCode, 0, `${this.kind}: ${words.join(" ")}: ${said.stdout}${said.stderr}`);
    this.answers.set(name, normal(said.stdout));
    return said.stdout;
  }

  /** Types it until it is not refused any more; keeps the refusals that it met. */
  async typeUntil(name: string, at: readonly ServerProcess[], words: readonly string[]): Promise<string> {
    const endMs = performance.now() + TIMEOUT_MS;
    for (;;) {
      const said = await this.say(at, words);
      if (said.exitCode === 0) {
        this.answers.set(name, normal(said.stdout));
        return said.stdout;
      }
      assert.ok(performance.now() < endMs, `${this.kind}: ${words.join(" ")}: ${said.stderr}`);
      await delay(100);
    }
  }

  /** Types a command that fails; keeps its words and how long it took. */
  async refused(name: string, at: readonly ServerProcess[], words: readonly string[]): Promise<void> {
    const startMs = performance.now();
    const said = await this.say(at, words);
    this.seconds.set(name, (performance.now() - startMs) / 1000);
    this.answers.set(name, `exit code ${said.exitCode}: ${normal(said.stdout + errorOf(said.stderr))}`);
  }

  async leader(): Promise<ServerProcess> {
    const endMs = performance.now() + TIMEOUT_MS;
    for (;;) {
      for (const member of this.members) if (await member.isLeader()) return member;
      assert.ok(performance.now() < endMs, `${this.kind} has a leader`);
      await delay(50);
    }
  }

  async idOf(member: ServerProcess): Promise<string> {
    const said = await this.say([member], ["endpoint", "status", "-w", "fields"]);
    const decimal = /"MemberID" : (\d+)/.exec(said.stdout)?.[1];
    assert.ok(decimal !== undefined, said.stdout + said.stderr);
    return BigInt(decimal).toString(16);
  }

  /** A process for a member that was added. */
  async newcomer(name: string): Promise<ServerProcess> {
    const [clientPort, peerPort] = await freePorts(2);
    const first = this.members[0]!.options;
    const own = {
      name,
      directory: path.join(this.folder, name),
      clientPort: clientPort!,
      peerPort: peerPort!,
    };
    const listed = [...this.members.map(({ options }) => options), own];
    const initialCluster = listed.map((it) => `${it.name}=http://127.0.0.1:${it.peerPort}`).join(",");
    return new ServerProcess({
      ...first,
      ...own,
      initialCluster,
      flags: ["--initial-cluster-state=existing"],
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.stop("SIGKILL")));
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Without ids, ports, times and sizes. */
function normal(text: string): string {
  return (
    text
      // Padded where one is shorter than others.
      .replace(/ *\b[0-9a-f]{12,16}\b/g, (id) => (id.startsWith(" ") ? " ID" : "ID"))
      .replace(/127\.0\.0\.1:\d+/g, "HOST")
      .replace(/took = [\d.]+m?s/g, "took TIME")
      .replace(/(?<=ETCD_INITIAL_CLUSTER=")[^"]+/, (list) => list.split(",").sort().join(","))
      .trim()
  );
}

/** The server's words: etcdctl logs what it was told before it gives up. */
function errorOf(stderr: string): string {
  const lines = stderr.trim().split("\n");
  return lines.filter((line) => !line.startsWith("{")).join("\n");
}

async function start(cluster: Cluster): Promise<void> {
  for (const member of cluster.members) member.start();
  await Promise.all(cluster.members.map((member) => member.ready()));
  await cluster.type("put", cluster.members, ["put", "key", "value"]);
}

async function status(cluster: Cluster): Promise<void> {
  const said = await cluster.say(cluster.members, ["endpoint", "status", "-w", "table"]);
  assert.equal(said.exitCode, 0, said.stderr);
  const rows = said.stdout.trim().split("\n");
  const cells = rows.map((row) => row.split("|").map((cell) => cell.trim()));
  cluster.answers.set("the columns of endpoint status", cells[1]!.join("|"));
  // Leader, learner, term, errors; not the sizes and indexes, which are each server's own.
  const leaders = cells.filter((row) => row.includes("true")).length;
  cluster.answers.set("the rows of endpoint status", `${rows.length} lines, ${leaders} with true`);
}

async function addAndPromote(cluster: Cluster): Promise<void> {
  const { members } = cluster;
  const learner = await cluster.newcomer("m4");
  const peerUrl = (member: ServerProcess): string =>
    `--peer-urls=http://127.0.0.1:${member.options.peerPort}`;
  await cluster.typeUntil("member add --learner", members, [
    "member",
    "add",
    "m4",
    "--learner",
    peerUrl(learner),
  ]);
  const second = ["member", "add", "m5", "--learner", "--peer-urls=http://127.0.0.1:1"];
  await cluster.refused("a second learner", members, second);
  const unstarted = await cluster.say(members, ["member", "list", "-w", "simple"]);
  cluster.answers.set(
    "an unstarted learner in the list",
    normal(unstarted.stdout.split("\n").find((line) => line.includes("unstarted")) ?? ""),
  );
  const id = /^([0-9a-f]+), unstarted/m.exec(unstarted.stdout)![1]!;
  await cluster.refused("the promotion of a learner that is not there", members, ["member", "promote", id]);
  learner.start();
  await learner.ready({ endpoint: "health?serializable=true" });
  await cluster.refused("a write at a learner", [learner], ["put", "key", "learner"]);
  await cluster.typeUntil("member promote", members, ["member", "promote", id]);
  members.push(learner);
  await cluster.refused("a promotion of a voter", members, ["member", "promote", id]);
  const voter = await cluster.newcomer("m5");
  await cluster.typeUntil("member add", members, ["member", "add", "m5", peerUrl(voter)]);
  voter.start();
  await voter.ready();
  members.push(voter);
  const voterId = await cluster.idOf(voter);
  const other = `--peer-urls=http://localhost:${voter.options.peerPort}`;
  await cluster.type("member update", members, ["member", "update", voterId, other]);
  const used = `--peer-urls=http://127.0.0.1:${learner.options.peerPort}`;
  await cluster.refused("an update to another's URL", members, ["member", "update", voterId, used]);
  const list = await cluster.say(members, ["member", "list", "-w", "simple"]);
  const lines = list.stdout
    .trim()
    .split("\n")
    .map((line) => normal(line).replace(/localhost:\d+/, "LOCALHOST"));
  cluster.answers.set("member list", lines.sort().join("\n"));
}

async function moveAndRemove(cluster: Cluster): Promise<void> {
  const { members } = cluster;
  const leader = await cluster.leader();
  const target = members.find((member) => member !== leader)!;
  const targetId = await cluster.idOf(target);
  await cluster.refused("move-leader at a follower", [target], ["move-leader", targetId]);
  await cluster.type("move-leader", [leader], ["move-leader", targetId]);
  assert.equal(await cluster.leader(), target);
  const others = members.filter((member) => member !== target);
  await cluster.typeUntil("member remove of the leader", others, ["member", "remove", targetId]);
  const end = await Promise.race([target.ended, delay(TIMEOUT_MS, undefined, { ref: false })]);
  cluster.answers.set("the end of a removed leader", JSON.stringify(end ?? "it goes on"));
  members.splice(members.indexOf(target), 1);
  await cluster.typeUntil("a write after it", members, ["put", "key", "after"]);
  const leaderNow = await cluster.leader();
  const follower = members.find((member) => member !== leaderNow)!;
  const followerId = await cluster.idOf(follower);
  const rest = members.filter((member) => member !== follower);
  await cluster.typeUntil("member remove of a follower", rest, ["member", "remove", followerId]);
  const endOfFollower = await Promise.race([follower.ended, delay(TIMEOUT_MS, undefined, { ref: false })]);
  cluster.answers.set("the end of a removed follower", JSON.stringify(endOfFollower ?? "it goes on"));
  members.splice(members.indexOf(follower), 1);
  await cluster.refused("the removal of somebody who is gone", members, ["member", "remove", followerId]);
  await cluster.type("get", members, ["get", "key"]);
}

/** Two of three are gone: one that leads or not is left. */
async function loseQuorum(cluster: Cluster): Promise<void> {
  const { members } = cluster;
  const leader = await cluster.leader();
  const last = members.find((member) => member !== leader)!;
  const granted = await cluster.say([last], ["lease", "grant", "600"]);
  const lease = /lease ([0-9a-f]+) granted/.exec(granted.stdout)![1]!;
  const watch = cluster.refused("a watch that needs a leader", [last], ["watch", "key"]);
  await delay(500);
  await Promise.all(members.filter((member) => member !== last).map((member) => member.stop("SIGKILL")));
  // Its watch is told when it has missed its leader for a while; what is asked then met none at all.
  await watch;
  await Promise.all([
    cluster.refused("a write", [last], ["put", "key", "nobody"]),
    cluster.refused("a linearizable read", [last], ["get", "key"]),
    cluster.type("a serializable read", [last], ["get", "key", "--consistency=s"]),
    cluster.refused("a lease", [last], ["lease", "grant", "60"]),
    cluster.refused("the end of a lease", [last], ["lease", "revoke", lease]),
    cluster.refused("member list", [last], ["member", "list"]),
    cluster.refused("endpoint health", [last], ["endpoint", "health"]),
  ]);
}

const STEPS: readonly (readonly [string, (cluster: Cluster) => Promise<void>])[] = [
  ["three members start", start],
  ["endpoint status", status],
  ["members are added, promoted and updated", addAndPromote],
  ["the leader is moved and removed, removed members end by themselves", moveAndRemove],
  ["most members are lost", loseQuorum],
];

async function compare(ours: Cluster, theirs: Cluster): Promise<void> {
  for (const [what, step] of STEPS) {
    await claim(`cluster: ${what}, in etcd's words`, async () => {
      for (const cluster of [ours, theirs]) {
        cluster.answers.clear();
        cluster.seconds.clear();
      }
      await Promise.all([step(ours), step(theirs)]);
      assert.deepEqual(sorted(ours.answers), sorted(theirs.answers));
    });
    if (step !== loseQuorum) continue;
    for (const [name, seconds] of ours.seconds) {
      console.log(
        `note - without a quorum: ${name}: ${seconds.toFixed(1)} s, etcd ${theirs.seconds.get(name)!.toFixed(1)} s`,
      );
    }
  }
}

function sorted(answers: ReadonlyMap<string, string>): Record<string, string> {
  return Object.fromEntries([...answers].sort(([a], [b]) => (a < b ? -1 : 1)));
}

const etcd = findPeer("etcd");
if (etcd === undefined || findPeer("etcdctl") === undefined) {
  console.log("left out - a cluster beside etcd 3.6: it is not built, because Go 1.24 or newer is not here");
} else {
  const ours = await Cluster.make("holdfast");
  const theirs = await Cluster.make("etcd", [etcd]);
  try {
    await compare(ours, theirs);
    if (process.exitCode === 1) {
      for (const { options, log } of ours.members) console.log(`${options.name} said:\n${log.slice(-1500)}`);
    }
  } finally {
    await ours.stop();
    await theirs.stop();
  }
}
