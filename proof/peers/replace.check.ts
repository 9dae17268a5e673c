/**
 * Every member of a cluster is replaced, one after the other, each with an empty disk: at the end no first member is left,
 * and newcomers read in the log of a cluster whose members are all others. Then one comes back with an older copy of its
 * directory.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Client } from "../../product/client/index.ts";
import { claim } from "./conversation.ts";
import { makeMembers, ServerProcess } from "./server-process.ts";

const TIMEOUT_MS = 15_000;
const KEY_COUNT = 200;
/** More than one message of entries: a newcomer answers after each while it reads of members that are gone. */
const VALUE = "x".repeat(20_000);
const ROUNDS = 2;

async function retry<T>(action: () => Promise<T>): Promise<T> {
  const endMs = performance.now() + TIMEOUT_MS;
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await delay(100);
    }
  }
}

async function replace(members: ServerProcess[], index: number, folder: string): Promise<void> {
  const old = members[index]!;
  const { name, peerPort } = old.options;
  await old.stop("SIGKILL");
  const client = Client.connect({ endpoints: members.filter((it) => it !== old).map((it) => it.endpoint) });
  try {
    const options = { timeoutMs: TIMEOUT_MS };
    const { members: listed } = await retry(() => client.cluster.list(options));
    await retry(() => client.cluster.remove(listed.find((it) => it.name === name)!.id, options));
    await retry(() => client.cluster.add([`http://127.0.0.1:${peerPort}`], options));
  } finally {
    client.close();
  }
  const directory = path.join(folder, `${name}-${Date.now()}`);
  const flags = [...old.options.flags!, "--initial-cluster-state=existing"];
  members[index] = new ServerProcess({ ...old.options, directory, flags });
  members[index].start();
  // Not waiting until it has caught up: the next one is replaced while it may still lag.
  await members[index].ready({ endpoint: "health?serializable=true" });
}

async function write(members: readonly ServerProcess[], round: number): Promise<void> {
  const client = Client.connect({ endpoints: members.map((it) => it.endpoint) });
  for (let i = 0; i < KEY_COUNT; i++) {
    await client.kv.put(`replace/${round}/${i}`, VALUE, { timeoutMs: TIMEOUT_MS });
  }
  client.close();
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-replace-"));
const members = await makeMembers(3, { folder, flags: ["--log-level=warn"] });
try {
  for (const member of members) member.start();
  await Promise.all(members.map((member) => member.ready()));
  for (let round = 0; round < ROUNDS && process.exitCode !== 1; round++) {
    await claim(
      `replace: every member gets an empty disk, one after the other, round ${round + 1}`,
      async () => {
        await write(members, round);
        for (const index of members.keys()) await replace(members, index, folder);
      },
    );
  }
  await claim("replace: every acknowledged write is on every member", async () => {
    for (const { endpoint } of members) {
      const client = Client.connect({ endpoints: [endpoint] });
      const { count } = await client.kv.get("replace/", {
        prefix: true,
        countOnly: true,
        timeoutMs: TIMEOUT_MS,
      });
      client.close();
      assert.equal(count, KEY_COUNT * ROUNDS, endpoint);
    }
  });
  await claim(
    "replace: a member with an older copy of its directory stops, and is not started again",
    async () => {
      const member = members[2]!;
      const { directory } = member.options;
      const copy = path.join(folder, "copy");
      await member.stop();
      fs.cpSync(directory, copy, { recursive: true });
      member.start();
      await member.ready();
      await write(members, ROUNDS);
      await member.stop("SIGKILL");
      fs.rmSync(directory, { recursive: true });
      fs.renameSync(copy, directory);
      member.start();
      assert.equal((await member.ended).exitCode, 1, member.log);
      assert.match(member.log, /another member has heard from this one in start/);
      member.start();
      assert.equal((await member.ended).exitCode, 1, member.log);
      assert.match(member.log, /The data directory may not be used: .*remove this member/);
      await write(members.slice(0, 2), ROUNDS + 1);
    },
  );
  if (process.exitCode === 1) {
    for (const member of members) console.log(`${member.options.name} said:\n${member.log.slice(-1500)}`);
  }
} finally {
  await Promise.all(members.map((member) => member.stop("SIGKILL")));
  fs.rmSync(folder, { recursive: true, force: true });
}
