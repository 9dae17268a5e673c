import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { applyPatch, sourceRoot } from "../simulator/planted.ts";
import { PLANTS } from "./plants.ts";

for (const { id, title, patches = [] } of PLANTS) {
  if (patches.length === 0) continue;
  test(`planted bottleneck ${id} applies: ${title}`, () => {
    for (const patch of patches) {
      const text = fs.readFileSync(path.join(sourceRoot(), patch.file), "utf8");
      assert.notEqual(applyPatch(text, patch), text);
    }
  });
}

test("planted bottlenecks are ten at least, with ids of their own and many causes", () => {
  assert.ok(PLANTS.length >= 10);
  assert.equal(new Set(PLANTS.map(({ id }) => id)).size, PLANTS.length);
  assert.ok(new Set(PLANTS.map(({ cause }) => cause)).size >= 10);
});
