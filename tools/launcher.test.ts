/** The launcher in a small tree of its own, where `node` is a script that says what it was asked. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const launcher = fileURLToPath(new URL("../holdfast", import.meta.url));

/** Says its arguments; as the build it makes the stamp, as the program it ends with code 7. */
const fakeNode = `#!/bin/sh
case "$*" in
  *tools/build.ts) echo "build chatter"; touch dist/.stamp ;;
  *) for word in "$@"; do echo "<$word>"; done; exit 7 ;;
esac
`;

function makeTree(context: TestContext): string {
  const root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), "launcher-")));
  context.after(() => {
    fs.rmSync(root, { recursive: true });
  });
  for (const folder of ["core", "io", "product", "proof", "tools", "dist", "bin", "node_modules"]) {
    fs.mkdirSync(path.join(root, folder));
  }
  fs.copyFileSync(launcher, path.join(root, "holdfast"));
  fs.writeFileSync(path.join(root, "bin/node"), fakeNode, { mode: 0o755 });
  for (const file of ["tools/build.ts", "package.json", "package-lock.json", "node_modules/.holdfast-lock"]) {
    fs.writeFileSync(path.join(root, file), "{}");
  }
  return root;
}

function launch(root: string, args: readonly string[], program = path.join(root, "holdfast"), cwd = root) {
  const env = { ...process.env, PATH: `${path.join(root, "bin")}:${process.env["PATH"] ?? ""}` };
  return spawnSync(program, args, { cwd, env, encoding: "utf8" });
}

test("the launcher builds once, then only when a source is newer, and keeps its words off stdout", (context) => {
  const root = makeTree(context);
  const said = (): readonly [boolean, boolean] => {
    const { stdout, stderr } = launch(root, ["get"]);
    return [stderr.includes("build chatter"), stdout.includes("chatter")];
  };
  assert.deepEqual(said(), [true, false], "no build yet");
  assert.deepEqual(said(), [false, false], "fresh");
  const later = new Date(Date.now() + 5000);
  fs.writeFileSync(path.join(root, "core/a.test.ts"), "");
  fs.utimesSync(path.join(root, "dist/.stamp"), later, later);
  assert.deepEqual(said(), [false, false], "older than the stamp");
  fs.writeFileSync(path.join(root, "core/a.ts"), "");
  const newest = new Date(later.getTime() + 5000);
  fs.utimesSync(path.join(root, "core/a.ts"), newest, newest);
  assert.deepEqual(said(), [true, false], "a source is newer");
});

test("the launcher passes words and exit code through, from any folder and through links", (context) => {
  const root = makeTree(context);
  fs.writeFileSync(path.join(root, "dist/.stamp"), "");
  const far = path.join(root, "far");
  const near = path.join(root, "bin/near");
  fs.symlinkSync("../holdfast", near);
  fs.symlinkSync(near, far);
  const { stdout, status } = launch(root, ["put", "a b", "", "$x"], far, os.tmpdir());
  assert.equal(stdout, `<${root}/dist/holdfast.js>\n<put>\n<a b>\n<>\n<$x>\n`);
  assert.equal(status, 7);
});

test("the launcher becomes the program, so that signals reach it", (context) => {
  const root = makeTree(context);
  fs.writeFileSync(path.join(root, "dist/.stamp"), "");
  fs.writeFileSync(path.join(root, "bin/node"), "#!/bin/sh\necho $$\n", { mode: 0o755 });
  const script = 'sh -c \'echo $$; exec "$0"\' "$1"';
  const env = { ...process.env, PATH: `${path.join(root, "bin")}:${process.env["PATH"] ?? ""}` };
  const output = execFileSync("sh", ["-c", script, "sh", path.join(root, "holdfast")], {
    env,
    encoding: "utf8",
  });
  const [before, after] = output.trim().split("\n");
  assert.equal(after, before);
});
