/**
 * The failure test's network is what its words say: a cut of an ordered pair loses all that the one sends to the other
 * and nothing else, and healing ends it. Members are replaced by programs that send each other datagrams.
 */
import assert from "node:assert/strict";
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { NamespaceNetwork, type Pair } from "../failure/network.ts";
import { findSandbox, isInSandbox, runInSandbox } from "../failure/sandbox.ts";
import { claim } from "./conversation.ts";

const MEMBER_COUNT = 3;
const PORT = 9000;
const ARRIVAL_TIMEOUT_MS = 5_000;
/** Datagrams within the machine take microseconds; what has not come by then was lost. */
const LOST_MS = 300;

/** Sends what a line says ("HOST TEXT"), prints what comes. */
const TALKER = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (bytes) => console.log(bytes.toString()));
  socket.bind(${PORT}, () => console.log("ready"));
  require("node:readline").createInterface(process.stdin).on("line", (line) => {
    const [host, text] = line.split(" ");
    socket.send(text, ${PORT}, host);
  });
`;

class Talker {
  readonly host: string;
  readonly #child: ChildProcessWithoutNullStreams;
  #said = "";

  constructor(host: string, launcher: readonly string[]) {
    this.host = host;
    const [program, ...words] = [...launcher, process.execPath, "-e", TALKER];
    this.#child = spawn(program!, words, { stdio: ["pipe", "pipe", "pipe"] });
    this.#child.stdout.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  get lines(): string[] {
    return this.#said.split("\n").filter((line) => line !== "");
  }

  send(to: Talker, text: string): void {
    this.#child.stdin.write(`${to.host} ${text}\n`);
  }

  async hears(text: string): Promise<void> {
    const endMs = performance.now() + ARRIVAL_TIMEOUT_MS;
    while (!this.lines.includes(text)) {
      assert.ok(performance.now() < endMs, `${this.host} does not hear "${text}"`);
      await delay(10);
    }
  }
}

const ALL_PAIRS: readonly Pair[] = [0, 1, 2].flatMap((from) =>
  [0, 1, 2].filter((to) => to !== from).map((to) => ({ from, to })),
);

/** Everybody sends to everybody: exactly the cut pairs must be silent. */
async function checkReach(talkers: readonly Talker[], cut: readonly Pair[], round: string): Promise<void> {
  const isCut = (pair: Pair): boolean => cut.some((it) => it.from === pair.from && it.to === pair.to);
  for (const { from, to } of ALL_PAIRS) talkers[from]!.send(talkers[to]!, `${round}:${from}>${to}`);
  for (const pair of ALL_PAIRS) {
    if (!isCut(pair)) await talkers[pair.to]!.hears(`${round}:${pair.from}>${pair.to}`);
  }
  await delay(LOST_MS);
  for (const { from, to } of cut) {
    const text = `${round}:${from}>${to}`;
    assert.ok(!talkers[to]!.lines.includes(text), `${text} came through a cut`);
  }
}

async function converse(): Promise<void> {
  const network = await NamespaceNetwork.make(MEMBER_COUNT);
  const talkers = network.addresses().map(({ host, launcher }) => new Talker(host, launcher));
  await Promise.all(talkers.map((talker) => talker.hears("ready")));
  const cuts: Readonly<Record<string, readonly Pair[]>> = {
    "nothing is lost before a cut": [],
    "one direction of one pair": [{ from: 0, to: 1 }],
    "nothing reaches a member": [1, 2].map((from) => ({ from, to: 0 })),
    "nothing leaves a member": [0, 1].map((to) => ({ from: 2, to })),
    "no pair at all": ALL_PAIRS,
  };
  for (const [name, pairs] of Object.entries(cuts)) {
    await claim(`failure network: cut, ${name}`, async () => {
      network.cut(pairs);
      await checkReach(talkers, pairs, name.replaceAll(" ", "-"));
    });
  }
  await claim("failure network: healed, everything arrives", async () => {
    network.heal();
    await checkReach(talkers, [], "healed");
  });
}

if (isInSandbox()) {
  await converse();
  // Its end ends everything that was started here.
  process.exit();
}
const sandbox = findSandbox();
if (sandbox.kind === "possible") process.exitCode = await runInSandbox(sandbox.command, []);
else console.log(`left out - failure network: no sandbox (${sandbox.why})`);
