import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as path from "node:path";
import { test } from "node:test";
import { applyPatch, patchesOf, sourceRoot } from "../simulator/planted.ts";
import { PROFILES } from "../simulator/plan.ts";
import { PLANTED_BUGS } from "./catalogue.ts";

for (const bug of PLANTED_BUGS) {
  test(`planted bug ${bug.id} applies: ${bug.title}`, () => {
    for (const patch of patchesOf(bug)) {
      const text = fs.readFileSync(path.join(sourceRoot(), patch.file), "utf8");
      assert.notEqual(applyPatch(text, patch), text);
    }
    assert.ok(bug.profile === undefined || bug.profile in PROFILES);
  });
}

test("planted bugs have ids of their own, and every file of a bug is in the catalogue", () => {
  const ids = PLANTED_BUGS.map((bug) => bug.id);
  assert.equal(new Set(ids).size, ids.length);
  const folder = path.join(sourceRoot(), "proof/bugs");
  const files = fs.readdirSync(folder).filter((name) => /^[a-z]\d+\.ts$/.test(name));
  assert.deepEqual(files.map((name) => name.slice(0, -3)).sort(), ids.map((id) => id.toLowerCase()).sort());
});
