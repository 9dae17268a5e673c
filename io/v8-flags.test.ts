// V8 says on stderr, as an error, when it does not know a flag; that differs between versions of Node.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

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
  const child = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    encoding: "utf8",
  });
  assert.deepEqual([child.stdout, child.stderr, child.status], ["set\n", "", 0]);
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
  const youngBytes = (argument: string): number => {
    const args = ["--import", "tsx", "--input-type=module", "--eval", program, argument];
    const child = spawnSync(process.execPath, args, {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      encoding: "utf8",
    });
    assert.deepEqual([child.stderr, child.status], ["", 0]);
    return Number(child.stdout);
  };
  assert.ok(youngBytes("free") >= 16 * 1024 * 1024, "without a bound it grows");
  // Several collections fit between two looks.
  assert.ok(youngBytes("bound") <= 8 * 1024 * 1024);
});
