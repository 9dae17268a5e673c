// Members that are told to speak TLS to each other, and what the peer port says over HTTP.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { id64Hex, id64ToBigInt } from "../../core/base/ids.ts";
import { Client } from "../client/index.ts";
import { fetchMembers } from "./ask-peer.ts";
import { TestMembers } from "./test-members.ts";

const LIMITED = { timeout: 60_000 };
const file = (name: string): string =>
  fileURLToPath(new URL(`../../io/net/testdata/${name}.pem`, import.meta.url));
const MUTUAL = [
  `--peer-cert-file=${file("server")}`,
  `--peer-key-file=${file("server-key")}`,
  `--peer-trusted-ca-file=${file("ca")}`,
  "--peer-client-cert-auth",
  "--strict-reconfig-check=false",
];
const closers: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

async function make(count: number, scheme?: string): Promise<TestMembers> {
  const members = await TestMembers.make(count, scheme);
  closers.push(() => members.close());
  return members;
}

test(
  "three members speak mutual TLS, one that is added joins over it, and a wiped one is told so over it",
  LIMITED,
  async () => {
    const members = await make(3, "https");
    await Promise.all([0, 1, 2].map((index) => members.start(index, ...MUTUAL)));
    await members.ready(0, 1, 2);
    // One member: another one of a cluster this young may check an address before it has applied the removal.
    const client = members.client(0);
    closers.push(async () => client.close());
    await client.kv.put("key", "value");
    await members.stop(2);
    members.wipe(2);
    await assert.rejects(members.start(2, ...MUTUAL), /has already been bootstrapped/);
    const lost = (await client.cluster.list()).members.find((member) => member.name === "m3")!;
    await client.cluster.remove(lost.id);
    await client.cluster.add([members.peerUrl(2)]);
    await members.start(2, ...MUTUAL, "--initial-cluster-state=existing");
    await members.ready(2);
    const reader = members.client(2);
    closers.push(async () => reader.close());
    assert.equal((await reader.kv.get("key")).kvs.length, 1);
    // Without a certificate nobody is told anything.
    const stranger = { tls: { caFile: file("ca") }, timeoutMs: 5_000 };
    await assert.rejects(fetchMembers(members.peerUrl(0), stranger), /certificate|ECONNRESET|socket/);
    const known = { tls: { caFile: file("ca"), certFile: file("server"), keyFile: file("server-key") } };
    assert.equal((await fetchMembers(members.peerUrl(0), { ...stranger, ...known })).members.length, 3);
  },
);

test("an https URL to listen on for peers is refused without a certificate", LIMITED, async () => {
  const members = await make(1, "https");
  await assert.rejects(members.start(0), /cannot listen on TLS for 127.0.0.1:\d+: KeyFile and CertFile/);
});

test("the peer port says over HTTP who is in the cluster and which version this is", LIMITED, async () => {
  const members = await make(1);
  const { member } = await members.start(0);
  await members.ready(0);
  const url = members.peerUrl(0);
  const { memberId, clusterId } = member.options;
  const list = await fetch(`${url}/members`);
  assert.equal(list.headers.get("x-etcd-cluster-id"), id64Hex(clusterId));
  const text = await list.text();
  assert.match(
    text,
    new RegExp(`^\\[\\{"id":${id64ToBigInt(memberId)},"peerURLs":\\["${url}"\\],"name":"m1"`),
  );
  const version = (await (await fetch(`${url}/version`)).json()) as Record<string, string>;
  assert.deepEqual(Object.keys(version), ["etcdserver", "etcdcluster", "storage"]);
  assert.equal((await fetch(`${url}/health`)).status, 404);
  const { members: listed } = await fetchMembers(url, { tls: {}, timeoutMs: 5_000 });
  assert.deepEqual(listed, member.membership.list());
});

test(
  "clients are served on a socket in the file system, also after a process that was killed has left one",
  LIMITED,
  async () => {
    const members = await make(1);
    const socket = path.join(tmpdir(), `holdfast-${process.pid}.sock`);
    closers.push(async () => rmSync(socket, { force: true }));
    const urls = `unix://${socket}`;
    const flags = [`--listen-client-urls=${urls}`, `--advertise-client-urls=${urls}`];
    const listenAndDie = `net.createServer().listen("${socket}", () => process.kill(process.pid, "SIGKILL"))`;
    spawnSync(process.execPath, ["-e", listenAndDie]);
    assert.ok(existsSync(socket));
    await members.start(0, ...flags);
    const client = Client.connect({ endpoints: [urls] });
    closers.push(async () => client.close());
    await client.kv.put("key", "value", { timeoutMs: 20_000 });
    assert.equal((await client.cluster.list()).members[0]!.clientUrls[0], urls);
    await members.stop(0);
    // Not a socket: somebody's file is not taken away.
    rmSync(socket, { force: true });
    writeFileSync(socket, "a file");
    await assert.rejects(members.start(0, ...flags), /Cannot listen on unix/);
  },
);
