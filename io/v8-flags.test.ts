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
    compileSoon();
    collectLess();
    console.log("set");
  `;
  const child = spawnSync(process.execPath, ["--import", "tsx", "--input-type=module", "--eval", program], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    encoding: "utf8",
  });
  assert.deepEqual([child.stdout, child.stderr, child.status], ["set\n", "", 0]);
});
