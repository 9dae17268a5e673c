/**
 * The gate: the checks, a build, and every test. `npm test`; `npm test -- core/raft io` runs only the tests whose path
 * begins with one of the words, without the checks.
 *
 * The tests of core are pure, so they share processes, one per processor; starting one for each file would take longer
 * than the tests. All others have a process each, two at a time. The totals are printed at the end in the form of
 * node's own test runner.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { pathToFileURL } from "node:url";
import { check } from "./check.ts";
import { sourceFiles } from "./source-files.ts";
import { report, root, run, step } from "./steps.ts";

type Job = { readonly name: string; readonly files: readonly string[] };

type Totals = { tests: number; pass: number; fail: number; cancelled: number; skipped: number; todo: number };

/** Two cores are what the smallest machine has; more jobs than that make each other slow and late. */
const processCount = 2;

/** Longer than any honest file; a test that hangs should not hold the gate for ever. */
const jobDeadlineMs = 10 * 60 * 1000;

const stillRunningMs = 20 * 1000;

function testFiles(prefixes: readonly string[]): string[] {
  return sourceFiles(root)
    .filter((file) => /\.(?:test|fuzz)\.ts$/.test(file))
    .filter((file) => prefixes.length === 0 || prefixes.some((prefix) => file.startsWith(prefix)));
}

/** Spreads the files over shards of about equal size in bytes, which is the best guess of their time. */
function shards(files: readonly string[], count: number): Job[] {
  const bySize = files
    .map((file) => ({ file, sizeBytes: fs.statSync(path.join(root, file)).size }))
    .sort((a, b) => b.sizeBytes - a.sizeBytes);
  const bins = Array.from({ length: count }, () => ({ files: [] as string[], sizeBytes: 0 }));
  for (const { file, sizeBytes } of bySize) {
    const smallest = bins.reduce((a, b) => (b.sizeBytes < a.sizeBytes ? b : a));
    smallest.files.push(file);
    smallest.sizeBytes += sizeBytes;
  }
  return bins
    .filter((bin) => bin.files.length > 0)
    .map((bin, index) => ({ name: `core, part ${index + 1} (${bin.files.length} files)`, files: bin.files }));
}

function jobsOf(files: readonly string[]): Job[] {
  const isPure = (file: string): boolean => file.startsWith("core/");
  const others = files.filter((file) => !isPure(file)).map((file) => ({ name: file, files: [file] }));
  return [...shards(files.filter(isPure), processCount), ...others];
}

function commandOf(job: Job): string[] {
  const imports = job.files.map(
    (file) => `import ${JSON.stringify(pathToFileURL(path.join(root, file)).href)};`,
  );
  const node = [process.execPath, "--import", "tsx", "--test-reporter=spec"];
  const [only] = job.files;
  return job.files.length === 1 && only !== undefined
    ? [...node, only]
    : [...node, "--input-type=module", "--eval", imports.join("\n")];
}

/** Reads the lines "ℹ tests 12" and so on that node's spec reporter ends with. */
export function readTotals(output: string): Totals | undefined {
  const read = (name: string): number | undefined => {
    const match = new RegExp(`^ℹ ${name} (\\d+)$`, "m").exec(output);
    return match === null ? undefined : Number(match[1]);
  };
  const [tests, pass, fail] = [read("tests"), read("pass"), read("fail")];
  if (tests === undefined || pass === undefined || fail === undefined) {
    return undefined;
  }
  const rest = { cancelled: read("cancelled") ?? 0, skipped: read("skipped") ?? 0, todo: read("todo") ?? 0 };
  return { tests, pass, fail, ...rest };
}

/** What a failed job said that matters: the failures without the list of what passed. */
function failuresOf(output: string): string {
  const at = output.indexOf("✖ failing tests:");
  return at === -1 ? output : output.slice(at);
}

async function runJob(job: Job, totals: Totals): Promise<void> {
  const started = performance.now();
  const reminder = setInterval(() => {
    console.log(
      `      … ${job.name} has been running for ${Math.round((performance.now() - started) / 1000)} s`,
    );
  }, stillRunningMs);
  const { exitCode, output, seconds } = await run(commandOf(job), {
    env: { FORCE_COLOR: "0" },
    deadlineMs: jobDeadlineMs,
  });
  clearInterval(reminder);
  // A process that died before its summary, or after it, is a failure of its own.
  const counted = readTotals(output) ?? { tests: 1, pass: 0, fail: 1, cancelled: 0, skipped: 0, todo: 0 };
  const isOk = exitCode === 0 && counted.fail === 0;
  if (!isOk && counted.fail + counted.cancelled === 0) {
    counted.tests++;
    counted.fail++;
  }
  for (const name of ["tests", "pass", "fail", "cancelled", "skipped", "todo"] as const) {
    totals[name] += counted[name];
  }
  report(job.name, isOk, `${String(counted.tests).padStart(5)} tests  ${seconds.toFixed(1)} s`);
  if (!isOk) {
    console.log(failuresOf(output).trimEnd());
    console.log(`      (exit code ${exitCode ?? "none: killed"}; alone: npm test -- ${job.files[0] ?? ""})`);
  }
}

async function runTests(prefixes: readonly string[]): Promise<Totals> {
  const totals: Totals = { tests: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0 };
  const queue = jobsOf(testFiles(prefixes));
  const worker = async (): Promise<void> => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      await runJob(job, totals);
    }
  };
  await Promise.all(Array.from({ length: processCount }, worker));
  return totals;
}

function printTotals(totals: Totals, started: number): void {
  console.log("");
  for (const [name, count] of Object.entries(totals)) {
    console.log(`# ${name} ${count}`);
  }
  console.log(`# duration_ms ${Math.round(performance.now() - started)}`);
}

async function main(): Promise<void> {
  const started = performance.now();
  const prefixes = process.argv.slice(2).map((word) => word.replace(/^\.\//, ""));
  let isClean = true;
  if (prefixes.length === 0) {
    isClean = await check();
    isClean = (await step("build", [process.execPath, "--import", "tsx", "tools/build.ts"])) && isClean;
  }
  const totals = await runTests(prefixes);
  if (totals.tests === 0) {
    console.log("No test was found");
    isClean = false;
  } else if (!isClean) {
    console.log("\nThe tests are counted below, but a check above failed");
  }
  printTotals(totals, started);
  process.exitCode = isClean && totals.fail === 0 && totals.cancelled === 0 ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main();
}
