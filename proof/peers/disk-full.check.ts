/**
 * A full disk: the data directory is on a small file system of its own, which is filled. The member raises the NOSPACE
 * alarm and goes on reading, deleting and compacting; after there is room again and the alarm is disarmed it takes
 * writes, and nothing that was acknowledged is lost, also after a restart.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Client, EtcdError } from "../../product/client/index.ts";
import { claim } from "./conversation.ts";
import { makeMembers, type ServerProcess } from "./server-process.ts";

/** Three segments of the log (64 MB each), and room for checkpoints that is used up in seconds. */
const DISK_BYTES = Number(process.env["HOLDFAST_DISK_MIB"] ?? 256) * 1024 * 1024;
/** Given back later: what a checkpoint of that store takes. */
const BALLAST_BYTES = 64 * 1024 * 1024;
const VALUE = "x".repeat(60_000);
const WRITE_COUNT_MAX = 20_000;
/** Together several segments of the log. */
const LARGE_BYTES = 1_400_000;
const LARGE_WRITERS = 40;
const NO_SPACE = "etcdserver: mvcc: database space exceeded";
const TIMEOUT_MS = 20_000;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-full-"));

function mount(): string | undefined {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${DISK_BYTES}`, "tmpfs", folder], { stdio: "pipe" });
    return undefined;
  } catch (error) {
    return (error as Error).message.split("\n")[0];
  }
}

/** Key to revision, of acknowledged writes that were not deleted. */
type Written = Map<string, number>;

/** Writes until the member refuses; returns the refusal. */
async function fillUp(client: Client, written: Written): Promise<string> {
  for (let i = 0; i < WRITE_COUNT_MAX; i++) {
    const key = `full/${String(i).padStart(6, "0")}`;
    try {
      const { header } = await client.kv.put(key, VALUE, { timeoutMs: TIMEOUT_MS });
      written.set(key, header.revision);
    } catch (error) {
      if (error instanceof EtcdError) return error.message;
      throw error;
    }
  }
  return "nothing: it never refused";
}

async function checkKept(client: Client, written: Written): Promise<void> {
  const found = new Map<string, number>();
  const { kvs } = await client.kv.get("full/", { prefix: true, keysOnly: true, timeoutMs: TIMEOUT_MS });
  for (const kv of kvs) found.set(Buffer.from(kv.key).toString(), kv.modRevision);
  for (const [key, revision] of written)
    assert.equal(found.get(key), revision, `LOST: ${key}, acknowledged at ${revision}`);
}

async function converse(server: ServerProcess): Promise<void> {
  const client = Client.connect({ endpoints: [server.endpoint] });
  const written: Written = new Map();
  const ballast = path.join(folder, "ballast");
  fs.writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES));
  await claim(
    "full disk: a write is refused as etcd refuses it, after every one before it was acknowledged",
    async () => {
      assert.equal(await fillUp(client, written), NO_SPACE);
      assert.ok(written.size > 100, `only ${written.size} were taken`);
      const { bavail, bsize } = fs.statfsSync(folder);
      console.log(
        `note - refused after ${written.size} writes of 60 kB, with ${Math.round((bavail * bsize) / 1024)} KiB left`,
      );
    },
  );
  await claim("full disk: the alarm is raised and the member stays alive", async () => {
    const alarms = await client.maintenance.alarms({ timeoutMs: TIMEOUT_MS });
    assert.deepEqual(
      alarms.map((it) => it.kind),
      ["nospace"],
    );
    assert.notEqual(server.pid, undefined, server.log);
  });
  await claim(
    "full disk: reads, deletes and a compaction work, and everything acknowledged is there",
    async () => {
      await checkKept(client, written);
      for (const key of [...written.keys()].slice(0, Math.floor(written.size * 0.7))) {
        const { deleted } = await client.kv.delete(key, { timeoutMs: TIMEOUT_MS });
        assert.equal(deleted, 1, key);
        written.delete(key);
      }
      const { header } = await client.kv.get("full/", {
        prefix: true,
        countOnly: true,
        timeoutMs: TIMEOUT_MS,
      });
      await client.kv.compact(header.revision, { physical: true, timeoutMs: TIMEOUT_MS });
      await checkKept(client, written);
    },
  );
  await claim(
    "full disk: killed and started with room again it has everything acknowledged, and still its alarm",
    async () => {
      await server.stop("SIGKILL");
      // What a start writes has its place, but for a log without a spare: that says so.
      server.start();
      const outcome = await server.ready({ endpoint: "livez" }).then(
        () => "started",
        () => server.log,
      );
      if (outcome !== "started") assert.match(outcome, /ENOSPC.*\(file .*make room/);
      await server.stop("SIGKILL");
      fs.rmSync(ballast);
      server.start();
      await server.ready({ endpoint: "livez" });
      await checkKept(client, written);
      const alarms = await client.maintenance.alarms({ timeoutMs: TIMEOUT_MS });
      assert.deepEqual(
        alarms.map((it) => it.kind),
        ["nospace"],
      );
      await assert.rejects(client.kv.put("full/refused", "x", { timeoutMs: TIMEOUT_MS }), {
        message: NO_SPACE,
      });
    },
  );
  await claim("full disk: with room again and the alarm disarmed, writes work", async () => {
    await client.maintenance.defragment({ timeoutMs: TIMEOUT_MS });
    for (const alarm of await client.maintenance.alarms({ timeoutMs: TIMEOUT_MS })) {
      await client.maintenance.disarm(alarm, { timeoutMs: TIMEOUT_MS });
    }
    for (let i = 0; i < 50; i++) {
      const { header } = await client.kv.put(`full/after/${i}`, VALUE, { timeoutMs: TIMEOUT_MS });
      written.set(`full/after/${i}`, header.revision);
    }
    await checkKept(client, written);
  });
  await claim("full disk: after one more restart everything acknowledged is there", async () => {
    await server.stop();
    server.start();
    await server.ready();
    await checkKept(client, written);
  });
  await claim(
    "full disk: forty writers of 1.4 MB at once are refused in time, and deletes still work",
    async () => {
      const value = "y".repeat(LARGE_BYTES);
      const refusals = new Set<string>();
      const write = async (writer: number): Promise<void> => {
        for (let i = 0; i < WRITE_COUNT_MAX; i++) {
          const key = `full/large/${writer}/${i}`;
          try {
            const { header } = await client.kv.put(key, value, { timeoutMs: TIMEOUT_MS });
            written.set(key, header.revision);
          } catch (error) {
            refusals.add((error as Error).message);
            return;
          }
        }
      };
      await Promise.all(Array.from({ length: LARGE_WRITERS }, (_, writer) => write(writer)));
      assert.deepEqual([...refusals], [NO_SPACE], server.log);
      await checkKept(client, written);
      const { deleted } = await client.kv.delete("full/large/", { prefix: true, timeoutMs: TIMEOUT_MS });
      assert.equal(deleted, [...written.keys()].filter((key) => key.startsWith("full/large/")).length);
    },
  );
  client.close();
}

const refusal = mount();
if (refusal !== undefined) {
  console.log(`left out - full disk: a file system of its own cannot be mounted here (${refusal})`);
  fs.rmSync(folder, { recursive: true });
} else {
  const [server] = await makeMembers(1, {
    folder,
    flags: ["--snapshot-count=500", "--quota-backend-bytes=-1"],
  });
  try {
    server!.start();
    await server!.ready();
    await converse(server!);
    if (process.exitCode === 1) console.log(`what the server said:\n${server!.history.slice(-6000)}`);
  } finally {
    await server!.stop("SIGKILL");
    execFileSync("umount", [folder]);
    fs.rmSync(folder, { recursive: true });
  }
}
