/** `holdfast demo` is what a newcomer runs first: it ends well, in a minute, and leaves a page that needs no network. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { claim, runPeer } from "./conversation.ts";
import { ourCommand } from "./server-process.ts";

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-demo-check-"));
const page = path.join(folder, "demo.html");
await claim(
  "demo: the leader is killed, nothing is lost, a seed is replayed, a planted bug is found",
  async () => {
    const [program, ...words] = ourCommand();
    const said = await runPeer(program!, [...words, "demo", "--seconds", "9", "--page", page]);
    assert.equal(said.exitCode, 0, said.stdout + said.stderr);
    assert.match(said.stdout, /was killed: the cluster acknowledged nothing for \d+ ms/);
    assert.match(said.stdout, /^4\. 0 acknowledged writes lost/m);
    assert.match(said.stdout, /^5\. .*, equal;/m);
    assert.match(said.stdout, /^6\. Planted bug R3 .* was found/m);
    console.log(`note - ${/All as claimed, in \d+ s/.exec(said.stdout)?.[0] ?? "?"}`);
  },
);
await claim("demo: its page stands alone", async () => {
  const html = fs.readFileSync(page, "utf8");
  assert.match(html, /<title>/);
  assert.doesNotMatch(html, /(?:src|href)="https?:/);
});
fs.rmSync(folder, { recursive: true, force: true });
