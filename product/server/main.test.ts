import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { startMember } from "./index.ts";
import { run } from "./main.ts";

class Collector extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

test("server --version prints etcd's four lines, and the first names the release that it answers like", async () => {
  const [stdout, stderr] = [new Collector(), new Collector()];
  const exitCode = await run(["server", "--version"], { stdout, stderr, stdin: Readable.from([]), env: {} });
  assert.equal(exitCode, 0);
  assert.match(
    stdout.text,
    /^etcd Version: \d+\.\d+\.\d+\nGit SHA: [^\n]+\nGo Version: [^\n]+\nGo OS\/Arch: \w+\/\w+\n$/,
  );
});

async function logOfStart(mode: number): Promise<string> {
  const directory = mkdtempSync(path.join(tmpdir(), "holdfast-mode-"));
  chmodSync(directory, mode);
  const log = new Collector();
  const member = await startMember({
    flags: [
      `--data-dir=${directory}`,
      "--listen-client-urls=http://127.0.0.1:0",
      "--advertise-client-urls=http://127.0.0.1:0",
      "--listen-peer-urls=http://127.0.0.1:0",
    ],
    log,
  });
  await member.stop();
  rmSync(directory, { recursive: true });
  return log.text;
}

test("a data directory that others can read is said at the start, in etcd's words", async () => {
  const said = await logOfStart(0o755);
  assert.match(
    said,
    /"msg":"check file permission","error":"directory .* exist, but the permission is \\"drwxr-xr-x\\"/,
  );
  assert.doesNotMatch(await logOfStart(0o700), /permission/);
});
