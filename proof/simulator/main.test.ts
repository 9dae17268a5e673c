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
