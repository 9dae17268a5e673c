/** `holdfast up --members 3`: a local cluster with one command, which starts again what dies and stops cleanly. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as net from "node:net";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { memberPorts } from "../../product/server/up.ts";
import { Client } from "../../product/client/index.ts";
import { claim } from "./conversation.ts";
import { httpGet, ourCommand } from "./server-process.ts";

const MEMBER_COUNT = 3;
const TIMEOUT_MS = 30_000;
const ports = Array.from({ length: MEMBER_COUNT }, (_, i) => memberPorts(i));
const endpoints = ports.map(({ client }) => `localhost:${client}`);

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "localhost", () => server.close(() => resolve(true)));
  });
}

async function takenPorts(): Promise<number[]> {
  const taken: number[] = [];
  for (const { client, peer } of ports) {
    for (const port of [client, peer]) if (!(await isFree(port))) taken.push(port);
  }
  return taken;
}

async function eventually(what: string, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = performance.now() + TIMEOUT_MS;
  while (!(await isSo())) {
    assert.ok(performance.now() < endMs, `${what} within ${TIMEOUT_MS / 1000} s`);
    await delay(50);
  }
}

async function areWell(): Promise<boolean> {
  const answers = await Promise.all(endpoints.map((endpoint) => httpGet(`http://${endpoint}/health`)));
  return answers.every((answer) => answer !== undefined);
}

/** Of the processes that `pid` started. */
function childrenOf(pid: number): number[] {
  const text = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function converse(folder: string): Promise<void> {
  const [program, ...words] = ourCommand();
  const child = spawn(
    program!,
    [...words, "up", "--members", String(MEMBER_COUNT), "--data-dir", path.join(folder, "data")],
    {
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const ended = once(child, "exit");
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const clients = endpoints.map((endpoint) => Client.connect({ endpoints: [endpoint] }));
  try {
    await claim("up: three members serve on etcd's well-known ports, and it says where", async () => {
      await eventually("all are well", areWell);
      assert.match(stdout, /3 members, clients at localhost:2379,localhost:22379,localhost:32379/);
      assert.match(stdout, /\.\/holdfast .*put greeting hello/);
      assert.match(stderr, /^m1 \| /m);
      assert.match(stderr, /^m3 \| /m);
      // The members' states are compared from the newest format on.
      const raised = (): boolean =>
        ["m1", "m2", "m3"].every((name) => new RegExp(`^${name} \\| .*set format version`, "m").test(stderr));
      await eventually("the cluster has the newest format", async () => raised());
      await clients[0]!.kv.put("up", "1");
      for (const client of clients) assert.equal((await client.kv.get("up")).kvs.length, 1);
    });
    await claim("up: a member that is killed is started again and catches up", async () => {
      const [victim] = childrenOf(child.pid!);
      process.kill(victim!, "SIGKILL");
      await eventually(
        "another is there",
        () => childrenOf(child.pid!).length === MEMBER_COUNT && !isAlive(victim!),
      );
      await eventually("all are well", areWell);
      await clients[1]!.kv.put("up", "2", { timeoutMs: TIMEOUT_MS });
      for (const client of clients) {
        const { kvs } = await client.kv.get("up", { timeoutMs: TIMEOUT_MS });
        assert.equal(Buffer.from(kvs[0]!.value).toString(), "2");
      }
      assert.match(stderr, /ended \(SIGKILL\), starting it again/);
    });
    await claim("up: a member that was removed ends, and is not started again", async () => {
      const { members } = await clients[0]!.cluster.list();
      await clients[0]!.cluster.remove(members.find((member) => member.name === "m3")!.id);
      await eventually("it says so", () => /m3 \| .*ended by itself, and stays so/.test(stderr));
      await delay(2_000);
      assert.equal(childrenOf(child.pid!).length, MEMBER_COUNT - 1);
      await clients[0]!.kv.put("up", "3", { timeoutMs: TIMEOUT_MS });
    });
    await claim("up: a signal stops all of them cleanly", async () => {
      const members = childrenOf(child.pid!);
      child.kill("SIGTERM");
      const [exitCode] = (await ended) as [number | null];
      assert.equal(exitCode, 0, stderr.slice(-1000));
      assert.deepEqual(members.filter(isAlive), []);
    });
  } finally {
    for (const client of clients) client.close();
    if (child.exitCode === null) {
      const members = childrenOf(child.pid!);
      child.kill("SIGKILL");
      for (const pid of members) if (isAlive(pid)) process.kill(pid, "SIGKILL");
    }
    if (process.exitCode === 1) console.log(`it said:\n${stdout}${stderr.slice(-3000)}`);
  }
}

const taken = await takenPorts();
if (taken.length > 0) {
  console.log(`left out - up: port ${taken.join(", ")} of the local cluster is taken`);
} else if (process.platform !== "linux") {
  console.log("left out - up: its members are found through /proc, which is Linux's");
} else {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-up-"));
  await converse(folder);
  fs.rmSync(folder, { recursive: true, force: true });
}
