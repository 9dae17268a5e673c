import assert from "node:assert/strict";
import { after, test } from "node:test";
import { id64, id64Hex } from "../../core/base/ids.ts";
import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import { bootstrapMemberId, clusterIdOf } from "../../core/member/identity.ts";
import { writeSmallFile } from "../../core/member/small-file.ts";
import { Wal } from "../../core/wal/wal.ts";
import { systemClock } from "../../io/clock.ts";
import { openDataDirectory } from "../../io/disk/data-directory.ts";
import { TestMembers } from "./test-members.ts";

const LIMITED = { timeout: 60_000 };
const closers: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

async function make(count: number): Promise<TestMembers> {
  const members = await TestMembers.make(count);
  closers.push(() => members.close());
  return members;
}

/** Members are changed at once here: else etcd's rule wants them to have been connected for five seconds. */
const AT_ONCE = "--strict-reconfig-check=false";

async function startAll(members: TestMembers): Promise<void> {
  await Promise.all([0, 1, 2].map((index) => members.start(index, AT_ONCE)));
  await members.ready(0, 1, 2);
}

test(
  "a member that lost its data does not start again under its id, and does when it was removed and added (M2)",
  LIMITED,
  async () => {
    const members = await make(3);
    await startAll(members);
    // One member: another one of a cluster this young may check an address before it has applied the removal.
    const client = members.client(0);
    closers.push(async () => client.close());
    await client.kv.put("key", "value");
    await members.stop(2);
    members.wipe(2);
    await assert.rejects(members.start(2), /member [0-9a-f]+ has already been bootstrapped.*member remove/);
    await assert.rejects(
      members.start(2, "--initial-cluster-state=existing"),
      /member [0-9a-f]+ has already been bootstrapped.*member remove/,
    );
    const listed = (await client.cluster.list()).members.find((member) => member.name === "m3")!;
    await client.cluster.remove(listed.id);
    await client.cluster.add([members.peerUrl(2)]);
    const { member } = await members.start(2, "--initial-cluster-state=existing");
    assert.notEqual(id64Hex(member.options.memberId), listed.id.toString(16));
    await members.ready(2);
    await members.stop(2);
    // Its directory says who it is: flags and state do not matter any more.
    await members.start(2);
    await members.ready(2);
  },
);

test(
  "a member that lost its data while all others were down stops when they come, and has listened to none of them (M2)",
  LIMITED,
  async () => {
    const members = await make(3);
    await startAll(members);
    // What a member has applied it knows again after a restart once a later batch is in its log.
    const client = members.client(1);
    for (let i = 0; i < 5; i++) await client.kv.put("key", String(i));
    client.close();
    await members.ready(0);
    for (const index of [2, 1, 0]) await members.stop(index);
    members.wipe(2);
    const { member, ended } = await members.start(2);
    await members.start(0);
    const end = await ended;
    assert.deepEqual(end, { kind: "end", exitCode: 1 });
    assert.match(members.log, /m3 .*"level":"error".*has already been bootstrapped/);
    // The other one cannot lead without it.
    assert.equal(member.raft.term, 1);
    await members.stop(2);
    // What it left of a first start is not taken for its data.
    const again = await members.start(2);
    assert.deepEqual(await again.ended, { kind: "end", exitCode: 1 });
    await members.stop(2);
    await members.start(1);
    await members.ready(0, 1);
  },
);

test("a first start that was cut short before the log had an entry is taken up again", LIMITED, async () => {
  const members = await make(1);
  const memberId = bootstrapMemberId([members.peerUrl(0)], "etcd-cluster");
  const clusterId = clusterIdOf([memberId]);
  const directory = await openDataDirectory(members.directory(0));
  const { disk } = directory;
  const options = { disk, directory: "member/wal", clock: systemClock };
  const log = { metadata: { memberId, clusterId }, logId: id64(1, 2) };
  Wal.create({ ...options, segmentSizeBytes: DEFAULT_LIMITS.walSegmentSizeBytes }, log).close();
  writeSmallFile(disk, "member/boot", "1\n");
  const identity = `holdfast 1\nmember ${id64Hex(memberId)}\ncluster ${id64Hex(clusterId)}\n`;
  writeSmallFile(disk, "member/identity", identity);
  await directory.close();
  await members.start(0);
  await members.ready(0);
});
