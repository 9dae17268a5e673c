import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { run } from "./main.ts";
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

interface Printed {
  readonly code: number;
  readonly lines: string[];
  readonly errors: string;
}

async function simulate(...argv: string[]): Promise<Printed> {
  let out = "";
  let errors = "";
  const io = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (errors += text) },
    stdin: undefined,
    env: {},
  };
  const code = await run(argv, io);
  return { code, lines: out.trimEnd().split("\n"), errors };
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

test("a list of the planted bugs has their ids", async () => {
  const { code, lines } = await simulate("--list-bugs", "-w", "json");
  const list = JSON.parse(lines.at(-1)!) as { id: string; title: string }[];
  assert.equal(code, 0);
  assert.ok(list.length >= 16);
  assert.ok(list.every(({ id, title }) => /^[A-Z]\d+$/.test(id) && title.length > 10));
});

test("a planted bug is found, and its seed is clean without it", async () => {
  const { code, lines } = await simulate("--bug", "r13", "--seeds", "3", "-w", "json");
  const { found, seedsTried, violations } = JSON.parse(lines.at(-1)!) as {
    found: boolean;
    seedsTried: number;
    violations: number;
  };
  assert.deepEqual({ code, found, violations }, { code: 0, found: true, violations: 1 });
  assert.ok(seedsTried <= 3);
  const violation = JSON.parse(lines[0]!) as { seed: number; replay: string; narrative: string[] };
  assert.match(violation.replay, /^holdfast simulate --seed \d+ --profile churn --bug R13$/);
});

test("a wrong command line is refused by name", async () => {
  for (const argv of [
    ["--sede", "1"],
    ["--bug", "R99"],
    ["--seeds", "many"],
    ["--profile", "calm"],
    ["-w"],
  ]) {
    const { code, errors } = await simulate(...argv);
    assert.equal(code, 2, argv.join(" "));
    assert.match(errors, /^holdfast simulate: /);
  }
});
