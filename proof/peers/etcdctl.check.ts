/** etcdctl, Debian's 3.4 and where it was built 3.6's: what an operator types on the first day. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Said } from "./conversation.ts";
import { claim, runPeer, withTarget } from "./conversation.ts";
import { findPeer, requirePeer } from "./peers.ts";

const watchDeadlineMs = 15_000;

/** What one etcdctl sees of one server; `name` is part of every key and claim. */
class Operator {
  readonly #program: string;
  readonly #endpoint: string;
  readonly name: string;

  constructor(name: string, program: string, endpoint: string) {
    this.name = name;
    this.#program = program;
    this.#endpoint = endpoint;
  }

  args(words: readonly string[]): string[] {
    return ["--endpoints", this.#endpoint, ...words];
  }

  say(words: readonly string[], input = ""): Promise<Said> {
    return runPeer(this.#program, this.args(words), input);
  }

  /** Types a command and returns what it printed; a failure throws. */
  async type(words: readonly string[], input = ""): Promise<string> {
    const said = await this.say(words, input);
    assert.equal(said.exitCode, 0, `${words.join(" ")}: ${said.stdout}${said.stderr}`);
    return said.stdout;
  }

  /** Types a command that is refused and returns what it said. */
  async refused(words: readonly string[]): Promise<string> {
    const said = await this.say(words);
    assert.notEqual(said.exitCode, 0, `${words.join(" ")} was not refused: ${said.stdout}`);
    return said.stderr;
  }

  /** Starts a watch and returns its first `lineCount` lines. */
  async watch(words: readonly string[], lineCount: number): Promise<string[]> {
    const child = spawn(this.#program, this.args(["watch", ...words]), {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: watchDeadlineMs,
    });
    let said = "";
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.split("\n").length > lineCount) {
        child.kill("SIGTERM");
      }
    });
    await once(child, "close");
    return said.split("\n").slice(0, lineCount);
  }
}

type Conversation = readonly [string, (operator: Operator, prefix: string) => Promise<void>];

const conversations: readonly Conversation[] = [
  [
    "put, get and del print what etcd prints",
    async (operator, prefix) => {
      assert.equal(await operator.type(["put", `${prefix}a`, "hello"]), "OK\n");
      assert.equal(await operator.type(["get", `${prefix}a`]), `${prefix}a\nhello\n`);
      assert.equal(await operator.type(["put", "--prev-kv", `${prefix}a`, "x"]), `OK\n${prefix}a\nhello\n`);
      assert.equal(await operator.type(["get", prefix, "--prefix", "--keys-only"]), `${prefix}a\n\n`);
      assert.equal(await operator.type(["del", prefix, "--prefix"]), "1\n");
      assert.equal(await operator.type(["get", `${prefix}a`]), "");
    },
  ],
  [
    "txn from stdin takes the branch of its compares",
    async (operator, prefix) => {
      const text = `create("${prefix}a") = "0"\n\nput ${prefix}a 1\n\nget ${prefix}a\n\n`;
      assert.equal(await operator.type(["txn"], text), "SUCCESS\n\nOK\n");
      assert.equal(await operator.type(["txn"], text), `FAILURE\n\n${prefix}a\n1\n`);
    },
  ],
  [
    "watch from an old revision sees history",
    async (operator, prefix) => {
      const first = await operator.type(["put", `${prefix}a`, "1", "-w", "json"]);
      const { revision } = (JSON.parse(first) as { header: { revision: number } }).header;
      await operator.type(["put", `${prefix}a`, "2"]);
      await operator.type(["del", `${prefix}a`]);
      const lines = await operator.watch([`${prefix}a`, `--rev=${revision}`], 8);
      assert.deepEqual(lines, ["PUT", `${prefix}a`, "1", "PUT", `${prefix}a`, "2", "DELETE", `${prefix}a`]);
    },
  ],
  [
    "lease grant, keep-alive, timetolive and revoke",
    async (operator, prefix) => {
      const granted = await operator.type(["lease", "grant", "60"]);
      const id = /^lease ([0-9a-f]+) granted with TTL\(60s\)/.exec(granted)?.[1];
      assert.ok(id !== undefined, granted);
      await operator.type(["put", `--lease=${id}`, `${prefix}a`, "leased"]);
      assert.match(await operator.type(["lease", "keep-alive", "--once", id]), /keepalived with TTL\(60\)/);
      const left = await operator.type(["lease", "timetolive", "--keys", id]);
      assert.ok(left.includes(`attached keys([${prefix}a])`), left);
      assert.match(await operator.type(["lease", "list"]), new RegExp(`\\b${id}\\b`));
      assert.equal(await operator.type(["lease", "revoke", id]), `lease ${id} revoked\n`);
      assert.equal(await operator.type(["get", `${prefix}a`]), "");
      assert.match(await operator.refused(["lease", "revoke", id]), /requested lease not found/);
    },
  ],
  [
    "compaction forgets what is older",
    async (operator, prefix) => {
      const first = await operator.type(["put", `${prefix}a`, "1", "-w", "json"]);
      const { revision } = (JSON.parse(first) as { header: { revision: number } }).header;
      await operator.type(["put", `${prefix}a`, "2"]);
      const at = String(revision + 1);
      assert.equal(await operator.type(["compaction", at, "--physical"]), `compacted revision ${at}\n`);
      const refusal = await operator.refused(["get", `${prefix}a`, `--rev=${revision}`]);
      assert.match(refusal, /required revision has been compacted/);
      assert.equal(await operator.type(["get", `${prefix}a`]), `${prefix}a\n2\n`);
    },
  ],
  [
    "endpoint health, status and hashkv, member list and alarm list answer",
    async (operator) => {
      // 3.4 says it on stderr, 3.6 on stdout.
      const health = await operator.say(["endpoint", "health"]);
      assert.match(health.stdout + health.stderr, /is healthy/);
      assert.match(await operator.type(["endpoint", "status", "-w", "table"]), /\| +true \|/);
      assert.match(await operator.type(["endpoint", "hashkv"]), /, \d+/);
      assert.match(await operator.type(["member", "list"]), /started/);
      assert.equal(await operator.type(["alarm", "list"]), "");
      assert.match(await operator.type(["defrag"]), /Finished defragmenting/);
    },
  ],
];

async function converse(operator: Operator): Promise<void> {
  for (const [name, hold] of conversations) {
    await claim(`${operator.name}: ${name}`, () =>
      hold(operator, `${operator.name.replace(" ", "-")}/${Date.now()}/`),
    );
  }
}

await withTarget(async ({ endpoint }) => {
  await converse(new Operator("etcdctl 3.4", requirePeer("etcdctl-debian"), endpoint));
  const newest = findPeer("etcdctl");
  if (newest === undefined) {
    console.log("left out - etcdctl 3.6: not built, because Go 1.24 or newer is not here");
  } else {
    await converse(new Operator("etcdctl 3.6", newest, endpoint));
  }
});
