/**
 * The failure test as a check: real clusters are broken while clients work, and every history is checked afterwards.
 * Three members for minutes, five for a moment, and as long real etcd, so that it is known that the test itself is right.
 *
 *   HOLDFAST_FAILURE_MINUTES=30 npx tsx proof/peers/failure.check.ts     for a release; 2.5 by default
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import type { FailureResult } from "../failure/report.ts";
import { claim } from "./conversation.ts";
import { findPeer } from "./peers.ts";
import { ourCommand } from "./server-process.ts";

const MINUTES = Number(process.env["HOLDFAST_FAILURE_MINUTES"] ?? "2.5");
const MOMENT_MINUTES = 0.4;
const SEED = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** What starting, checking and a stuck cluster may add. */
const REST_MINUTES = 2;

interface Run {
  readonly exec: string;
  readonly members: number;
  readonly minutes: number;
}

/** `onFault` is called at the first one. */
async function failureTest(
  { exec, members, minutes }: Run,
  onFault?: (test: ChildProcess) => void,
): Promise<FailureResult> {
  const [program, ...words] = ourCommand();
  const flags = { exec, members, minutes, seed: SEED, "write-out": "json" };
  const child = spawn(
    program!,
    [...words, "test", "failure", ...Object.entries(flags).map(([name, value]) => `--${name}=${value}`)],
    { stdio: ["ignore", "pipe", "pipe"], timeout: (minutes + REST_MINUTES) * 60_000 },
  );
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(-5000)));
  if (onFault !== undefined) child.stderr.once("data", () => onFault(child));
  await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  assert.ok(stdout.endsWith("}\n"), `no result; it said:\n${stderr}`);
  return JSON.parse(stdout) as FailureResult;
}

function tell(result: FailureResult): void {
  const { exec, members, timeline, operations, acknowledgedWrites, checkedEvents, leases } = result;
  console.log(
    `note - ${exec}, ${members} members, seed ${SEED}: ${timeline.length} faults of ${kindsOf(result).size} kinds, ` +
      `${operations} operations (${acknowledgedWrites} acknowledged writes), ${checkedEvents} watch events, ` +
      `${leases.kept} and ${leases.ended} checks of leases, longest gap ${result.longestGaps[0]?.lengthMs ?? 0} ms`,
  );
  console.log(`note - clients: ${result.clients.map((it) => `${it.clients} x ${it.program}`).join(", ")}`);
  // A server that ends, as etcd does, is as safe as one that raises the alarm and stays, as ours should.
  const full = timeline.filter((it) => it.fault === "full disk").map((it) => it.note);
  if (full.length > 0) console.log(`note - full disk: ${full.join(", ")}`);
  for (const text of result.leftOut) console.log(`left out - ${text}`);
}

function kindsOf({ timeline }: FailureResult): Set<string> {
  return new Set(timeline.map((it) => it.fault));
}

async function claimKept(run: Run, more: (result: FailureResult) => void = () => undefined): Promise<void> {
  const name = `failure: ${run.members} members of ${run.exec}, broken for ${run.minutes} minutes, keep every promise`;
  await claim(name, async () => {
    const result = await failureTest(run);
    tell(result);
    const { violations, directory, acknowledgedWrites, timeline, leases } = result;
    assert.deepEqual(violations.slice(0, 20), [], `seed ${SEED}, data and logs in ${directory}`);
    assert.ok(acknowledgedWrites > 100, "hardly anything was written");
    assert.ok(timeline.length > 0, "nothing was broken");
    assert.ok(leases.kept > 0, "no lease was held");
    more(result);
    fs.rmSync(directory, { recursive: true });
  });
}

await claimKept({ exec: "holdfast", members: 3, minutes: MINUTES }, (result) => {
  const missing = result.kinds.filter((kind) => !kindsOf(result).has(kind));
  assert.deepEqual(missing, [], "kinds of faults that did not happen");
});
await claimKept({ exec: "holdfast", members: 5, minutes: MOMENT_MINUTES });
if (findPeer("etcd") === undefined) console.log("left out - failure: etcd 3.6 is not on this machine");
else await claimKept({ exec: "etcd", members: 3, minutes: MOMENT_MINUTES });
await claim("failure: an interrupted test checks what was seen until then", async () => {
  const run = { exec: "holdfast", members: 3, minutes: MINUTES };
  const result = await failureTest(run, (test) => test.kill("SIGINT"));
  assert.deepEqual([result.isInterrupted, result.timeline.length, result.violations], [true, 1, []]);
  assert.ok(result.acknowledgedWrites > 0 && result.hashes.length === 3);
  fs.rmSync(result.directory, { recursive: true });
});
