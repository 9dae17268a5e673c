import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { Log, type LogOutput, openLogOutputs } from "./log.ts";

function kept(): { lines: string[]; output: LogOutput } {
  const lines: string[] = [];
  return { lines, output: { write: (text: string) => lines.push(text) } };
}

test("a line goes to every output, below the level to none", () => {
  const [one, other] = [kept(), kept()];
  const log = new Log([one.output, other.output], { level: "warn" });
  log.info("not said");
  log.warn("said", { count: 1 });
  assert.equal(one.lines.length, 1);
  const { ts, ...rest } = JSON.parse(one.lines[0]!) as Record<string, unknown>;
  assert.match(String(ts), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual(rest, { level: "warn", msg: "said", count: 1 });
  assert.deepEqual(other.lines, one.lines);
});

test("the console's format is columns, and the fields behind them", () => {
  const { lines, output } = kept();
  const log = new Log([output], { level: "info", format: "console" });
  log.info("ready");
  log.error("failed", { code: "EIO" });
  assert.match(lines[0]!, /^\S+Z\tinfo\tready\n$/);
  assert.match(lines[1]!, /^\S+Z\terror\tfailed\t\{"code":"EIO"\}\n$/);
});

test("outputs are the standard ones and files that are appended to", async () => {
  const folder = mkdtempSync(path.join(tmpdir(), "holdfast-log-"));
  const file = path.join(folder, "log");
  const [stdout, stderr] = [kept(), kept()];
  const standard = { stdout: stdout.output, stderr: stderr.output };
  for (const text of ["one\n", "two\n"]) {
    const outputs = openLogOutputs(["stdout", "stderr", file], standard);
    for (const output of outputs) output.write(text);
    await new Promise<void>((resolve) =>
      (outputs[2] as unknown as { end(done: () => void): void }).end(resolve),
    );
  }
  assert.equal(readFileSync(file, "utf8"), "one\ntwo\n");
  assert.deepEqual(
    [stdout.lines, stderr.lines],
    [
      ["one\n", "two\n"],
      ["one\n", "two\n"],
    ],
  );
  rmSync(folder, { recursive: true });
});
