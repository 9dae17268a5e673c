// --force-new-cluster: the last member of a cluster that is lost goes on alone, with everything that is in its log.

import assert from "node:assert/strict";
import { after, test } from "node:test";
import type { Client } from "../client/index.ts";
import type { RunningServer } from "./server.ts";
import { TestMembers } from "./test-members.ts";

const LIMITED = { timeout: 60_000 };
const AT_ONCE = "--strict-reconfig-check=false";
const closers: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

function clientOf(members: TestMembers, ...indexes: readonly number[]): Client {
  const client = members.client(...indexes);
  closers.push(async () => client.close());
  return client;
}

async function keys(client: Client): Promise<string[]> {
  const { kvs } = await client.kv.get("k", { prefix: true, timeoutMs: 20_000 });
  return kvs.map(({ key, value }) => `${Buffer.from(key).toString()}=${Buffer.from(value).toString()}`);
}

async function leaderOf(servers: readonly RunningServer[]): Promise<number> {
  for (;;) {
    const leader = servers.findIndex(({ member }) => member.isLeader);
    if (leader >= 0) return leader;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const checkpoints of [false, true]) {
  const how = checkpoints ? "behind a checkpoint" : "from the log alone";
  test(
    `a member of three goes on alone ${how}, with its uncommitted tail, and is joined by others`,
    LIMITED,
    async () => {
      const members = await TestMembers.make(3);
      closers.push(() => members.close());
      const flags = [AT_ONCE, ...(checkpoints ? ["--snapshot-count=20"] : [])];
      const servers = await Promise.all([0, 1, 2].map((index) => members.start(index, ...flags)));
      await members.ready(0, 1, 2);
      const last = await leaderOf(servers);
      const others = [0, 1, 2].filter((index) => index !== last);
      const client = clientOf(members, last);
      for (let i = 0; i < 50; i++) await client.kv.put(`k${i % 10}`, String(i));
      const before = await keys(client);
      const { members: listedBefore } = await client.cluster.list();
      for (const index of others) await members.stop(index);
      // Written to the log of the last one. That nobody has committed it only the others could say.
      await assert.rejects(client.kv.put("k-tail", "unknown", { timeoutMs: 300 }));
      const { raft } = servers[last]!.member;
      assert.ok(raft.log.lastIndex > raft.commitIndex, "there is a tail that is not committed");
      await members.stop(last);

      const { member } = await members.start(last, ...flags, "--force-new-cluster");
      const alone = clientOf(members, last);
      const kept = ["k-tail=unknown", ...before].sort();
      assert.deepEqual(await keys(alone), kept);
      const { members: listed } = await alone.cluster.list();
      const own = listedBefore.find(({ name }) => name === members.name(last))!;
      assert.deepEqual(
        listed.map(({ id, name }) => [id, name]),
        [[own.id, own.name]],
      );
      assert.ok(member.isLeader);
      await alone.kv.put("k-alone", "new");
      // Without the flag it stays what it is now.
      await members.stop(last);
      await members.start(last, ...flags);
      await members.ready(last);

      for (const index of others) {
        members.wipe(index);
        await clientOf(members, last).cluster.add([members.peerUrl(index)], { timeoutMs: 20_000 });
        await members.start(index, ...flags, "--initial-cluster-state=existing");
        await members.ready(index);
      }
      for (const index of [0, 1, 2]) {
        const found = await keys(clientOf(members, index));
        assert.deepEqual(found, [...kept, "k-alone=new"].sort());
      }
      // Two of the new three are enough.
      await members.stop(last);
      await clientOf(members, ...others).kv.put("k-after", "1", { timeoutMs: 20_000 });
    },
  );
}
