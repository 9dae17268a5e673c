/**
 * The same random requests to Holdfast and to a real etcd 3.6, every answer compared.
 *
 *   HOLDFAST_REQUESTS=100000 npx tsx proof/peers/conformance.check.ts     for a release; 5,000 by default
 */
import assert from "node:assert/strict";
import { Writable } from "node:stream";
import { CASES } from "../conformance/cases.ts";
import { type ConformanceResult, conformance } from "../conformance/main.ts";
import { claim } from "./conversation.ts";
import { findPeer } from "./peers.ts";
import { startTarget } from "./target.ts";

const requestCount = Number(process.env["HOLDFAST_REQUESTS"] ?? "5000");
const seed = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

async function compareWith(result: ConformanceResult): Promise<void> {
  await claim("conformance: every named case was run", async () =>
    assert.deepEqual(
      result.cases.map(({ name }) => name),
      CASES.map(({ name }) => name),
    ),
  );
  for (const { name, same } of result.cases) {
    await claim(`conformance: ${name}`, async () => assert.ok(same, describe(result)));
  }
  await claim(`conformance: ${result.requests} random requests are answered alike`, async () => {
    assert.equal(result.requests, requestCount);
    assert.equal(result.differences, 0, describe(result));
  });
  console.log(`note - ${result.compared} answers compared, seed ${seed}`);
}

function describe({ details }: ConformanceResult): string {
  const lines = details
    .slice(0, 5)
    .map(({ where, request, ours, theirs }) => `${where}: ${request}\n  ours: ${ours}\n  etcd: ${theirs}`);
  return `seed ${seed}\n${lines.join("\n")}`;
}

if (findPeer("etcd") === undefined) {
  console.log("left out - conformance with etcd 3.6: it is not built, because Go 1.24 or newer is not here");
} else {
  const ours = await startTarget("holdfast");
  const theirs = await startTarget("etcd");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  try {
    const options = { ours: ours.endpoint, theirs: theirs.endpoint, requestCount, seed };
    await compareWith(await conformance(options, { stdout: silent, stderr: silent }));
  } finally {
    await ours.stop();
    await theirs.stop();
  }
}
