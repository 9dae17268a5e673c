import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import type { Command } from "./golden.ts";
import { runConversation } from "./golden.ts";

const story = "# adds\n\nadd 1 2\n----\n3\n\n# joins\njoin\na\nb\n----\na\n.\nb\n";

function answer({ words, input }: Command): string {
  return words[0] === "add" ? String(Number(words[1]) + Number(words[2])) : input.join("\n\n");
}

test("a golden conversation passes with the answers it had, fails with others, and can be rewritten", (context) => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "golden-"));
  context.after(() => {
    fs.rmSync(folder, { recursive: true });
    delete process.env["HOLDFAST_GOLDEN"];
  });
  const file = path.join(folder, "story.txt");
  fs.writeFileSync(file, story);
  runConversation(pathToFileURL(file), answer);
  assert.throws(() => {
    runConversation(pathToFileURL(file), () => "4");
  }, /story.txt:3: add 1 2/);
  fs.writeFileSync(file, story.replace("\n3\n", "\nwrong\n"));
  process.env["HOLDFAST_GOLDEN"] = "write";
  runConversation(pathToFileURL(file), answer);
  assert.equal(fs.readFileSync(file, "utf8"), story);
});
