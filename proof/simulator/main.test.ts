import assert from "node:assert/strict";
import { test } from "node:test";
import { run } from "./main.ts";

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

test("several planted bugs are looked for one after the other, and one that is not found fails it", async () => {
  const found = await simulate("--bugs", "R13,W3", "--seeds", "4", "-w", "json");
  const lines = found.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    lines.map(({ bug, found: isFound, missed }) => bug ?? missed ?? isFound),
    ["R13", "W3", []],
  );
  assert.equal(found.code, 0);
  // Calm weather for a bug that needs a power loss.
  const missed = await simulate("--bugs", "S2", "--profile", "members", "--seeds", "1", "-w", "json");
  assert.deepEqual(
    [missed.code, (JSON.parse(missed.lines.at(-1)!) as { missed: string[] }).missed],
    [1, ["S2"]],
  );
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`what is interrupted by ${signal} tells what was seen`, async () => {
    const before = process.listenerCount(signal);
    const ends = simulate("--seeds", "1000000", "--workers", "1", "-w", "json");
    // As soon as it listens, the first seed is under way.
    while (process.listenerCount(signal) === before) await new Promise((resolve) => setImmediate(resolve));
    process.emit(signal);
    const { code, lines } = await ends;
    const { seeds, violations } = JSON.parse(lines.at(-1)!) as { seeds: number; violations: number };
    assert.deepEqual({ code, violations }, { code: 0, violations: 0 });
    assert.ok(seeds >= 1 && seeds <= 2);
    assert.equal(process.listenerCount(signal), before);
  });
}

test("a wrong command line is refused by name", async () => {
  for (const argv of [
    ["--sede", "1"],
    ["--bug", "R99"],
    ["--bugs", "R1,R99"],
    ["--seeds", "many"],
    ["--profile", "calm"],
    ["-w"],
  ]) {
    const { code, errors } = await simulate(...argv);
    assert.equal(code, 2, argv.join(" "));
    assert.match(errors, /^holdfast simulate: /);
  }
});
