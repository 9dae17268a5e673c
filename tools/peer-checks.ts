/**
 * Runs the checks against real peers, proof/peers/*.check.ts, one after another, each in a process of its own.
 *
 *   tsx tools/peer-checks.ts [WORD…]     only the checks whose name contains one of the words
 *
 * A check prints "ok - claim" or "not ok - claim: why", "left out - why" and "note - figures" lines; the last line
 * here counts the claims.
 */
import { report, root, run } from "./steps.ts";
import { sourceFiles } from "./source-files.ts";

/** Above the longest one, the failure test, with room for a slow machine. */
const checkDeadlineMs = 8 * 60 * 1000;

async function runCheck(file: string): Promise<{ passed: number; failed: number }> {
  const { exitCode, output, seconds } = await run([process.execPath, "--import", "tsx", file], {
    deadlineMs: checkDeadlineMs,
  });
  const lines = output.split("\n");
  const passed = lines.filter((line) => line.startsWith("ok - ")).length;
  let failed = lines.filter((line) => line.startsWith("not ok - ")).length;
  if (exitCode !== 0 && failed === 0) {
    failed = 1;
  }
  const isOk = failed === 0;
  report(file, isOk, `${String(passed).padStart(5)} claims ${seconds.toFixed(1)} s`);
  for (const line of isOk ? lines.filter((said) => /^(?:left out|note) /.test(said)) : lines) {
    console.log(`      ${line}`);
  }
  return { passed, failed };
}

const words = process.argv.slice(2);
const files = sourceFiles(root, ["proof/peers"])
  .filter((file) => file.endsWith(".check.ts"))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)));

let passed = 0;
let failed = files.length === 0 ? 1 : 0;
for (const file of files) {
  const counts = await runCheck(file);
  passed += counts.passed;
  failed += counts.failed;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
