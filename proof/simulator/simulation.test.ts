import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { drawPlan, type Plan } from "./plan.ts";
import { runPlan, type SeedResult } from "./run-seed.ts";

/** A second of everything instead of ten. */
function short(seed: number, changes: Partial<Plan> = {}): Plan {
  const plan = drawPlan(seed);
  return {
    ...plan,
    electionMs: 200,
    activeUs: 1_000_000,
    faults: plan.faults.map(({ atUs, fault }) => ({ atUs: Math.round(atUs / 10), fault })),
    ...changes,
  };
}

test("the same seed gives the same trace, another seed another one", () => {
  const first = runPlan(short(11));
  assert.equal(first.violation, undefined, first.violation?.message);
  assert.ok(first.okOperations > 50, `${first.okOperations} operations went well`);
  assert.equal(runPlan(short(11)).traceHash, first.traceHash);
  assert.notEqual(runPlan(short(12)).traceHash, first.traceHash);
});

test("a fresh process gives the same trace", () => {
  const { traceHash } = runPlan(short(13));
  const url = (file: string): string => JSON.stringify(new URL(file, import.meta.url).href);
  const code = `import { runPlan } from ${url("./run-seed.ts")}; import { drawPlan } from ${url("./plan.ts")};
    const plan = drawPlan(13);
    const faults = plan.faults.map(({ atUs, fault }) => ({ atUs: Math.round(atUs / 10), fault }));
    console.log(runPlan({ ...plan, electionMs: 200, activeUs: 1_000_000, faults }).traceHash);`;
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const printed = execFileSync(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", code], {
    cwd: root,
    encoding: "utf8",
  });
  assert.equal(printed.trim(), traceHash);
});

test("one member alone, three and five come to rest without a violation", () => {
  for (const memberCount of [1, 3, 5]) {
    const result: SeedResult = runPlan(short(20 + memberCount, { memberCount, faults: [] }));
    assert.equal(result.violation, undefined, `${memberCount} members: ${result.violation?.message}`);
    assert.ok(result.okOperations > 50, `${result.okOperations} operations went well`);
  }
});
