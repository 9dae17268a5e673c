// V8 says on stderr, as an error, when it does not know a flag; that differs between versions of Node.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** What a program of its own prints. */
function run(program: string, argument = ""): string {
  const args = ["--import", "tsx", "--input-type=module", "--eval", program, argument];
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const child = spawnSync(process.execPath, args, { cwd, encoding: "utf8" });
  assert.deepEqual([child.stderr, child.status], ["", 0]);
  return child.stdout;
}

const module = (name: string): string => JSON.stringify(new URL(name, import.meta.url).href);

test("V8 knows the flags that a server sets", () => {
  const program = `
    import { compileSoon } from ${module("./compile-soon.ts")};
    import { collectLess } from ${module("./collect-less.ts")};
    import { boundYoungGeneration } from ${module("./young-generation.ts")};
    compileSoon();
    collectLess();
    boundYoungGeneration();
    console.log("set");
  `;
  assert.equal(run(program), "set\n");
});

test("what a start leaves behind is given back, of a large store only", () => {
  const program = `
    import { collectAfterStart } from ${module("./collect-less.ts")};
    import { setTimeout } from "node:timers/promises";
    const kept = Array.from({ length: Number(process.argv[1]) }, () => new Uint8Array(1024 * 1024));
    const left = new WeakRef(new Uint8Array(1024 * 1024));
    await setTimeout(1);
    collectAfterStart();
    console.log(left.deref() === undefined, kept.length);
  `;
  assert.equal(run(program, "65"), "true 65\n");
  assert.equal(run(program, "4"), "false 4\n");
});

test("what survives in a burst does not make the young generation grow beyond its bound", () => {
  const program = `
    import { setTimeout } from "node:timers/promises";
    import { getHeapSpaceStatistics } from "node:v8";
    import { boundYoungGeneration } from ${module("./young-generation.ts")};
    if (process.argv[1] === "bound") boundYoungGeneration();
    for (let burst = 0; burst < 40; burst++) {
      const kept = [];
      for (let i = 0; i < 50_000; i++) kept.push({ i });
      await setTimeout(1);
    }
    console.log(getHeapSpaceStatistics().find((space) => space.space_name === "new_space").space_size);
  `;
  const youngBytes = (argument: string): number => Number(run(program, argument));
  assert.ok(youngBytes("free") >= 16 * 1024 * 1024, "without a bound it grows");
  // Several collections fit between two looks.
  assert.ok(youngBytes("bound") <= 8 * 1024 * 1024);
});
