// Golden conversations: testdata/*.txt. HOLDFAST_GOLDEN=write writes what happens now into the files; a change of one is
// explained in its commit. The language is described in testing-conversation.ts.

import { test } from "node:test";
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { replayConversation } from "./testing-conversation.ts";

const folder = new URL("./testdata/", import.meta.url);

for (const name of readdirSync(folder).sort()) {
  if (!name.endsWith(".txt")) continue;
  test(`conversation ${name.slice(0, -4)} goes as written`, () => {
    const url = new URL(name, folder);
    const written = readFileSync(url, "utf8");
    const actual = replayConversation(written);
    if (process.env["HOLDFAST_GOLDEN"] === "write") writeFileSync(url, actual);
    else assert.equal(actual, written);
  });
}
