import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { DirectoryLockedError, lockDataDirectory } from "./directory-lock.ts";

function temporary(): string {
  return path.join(fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-lock-")), "data");
}

test("the directory is created for its owner alone", async () => {
  const directory = temporary();
  const lock = await lockDataDirectory(directory);
  assert.equal(fs.statSync(directory).mode & 0o777, 0o700);
  await lock.release();
});

test("a directory in use is refused with the holder's pid, by any path, and free after the release", async () => {
  const directory = temporary();
  const lock = await lockDataDirectory(directory);
  const link = `${directory}-link`;
  fs.symlinkSync(directory, link);
  await assert.rejects(lockDataDirectory(link), (error: unknown) => {
    assert.ok(error instanceof DirectoryLockedError);
    assert.equal(error.holderPid, process.pid);
    assert.match(error.message, new RegExp(`process ${process.pid} uses it already`));
    return true;
  });
  await lock.release();
  await (await lockDataDirectory(link)).release();
});

test("a holder file that was left behind locks nothing", async () => {
  const directory = temporary();
  fs.mkdirSync(directory, { recursive: true });
  const gone = spawnSync(process.execPath, ["-e", ""]).pid;
  fs.writeFileSync(path.join(directory, "holder"), `${gone}\n`);
  await (await lockDataDirectory(directory)).release();
});
