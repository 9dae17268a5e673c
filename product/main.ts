// The program `holdfast`: the first word decides. Everything is loaded when it is needed, so that a `get` does not read
// the server. Client commands are in cli/, the rest is in the modules of the table below; each has
// `run(argv, io): Promise<number>`, where `argv` begins with the command's name for modules with several commands.

import * as fs from "node:fs";
import { pathToFileURL } from "node:url";
import type { CliIo } from "./cli/io.ts";
import { PART_SUMMARIES, type PartName } from "./parts.ts";

type Run = (argv: string[], io: CliIo) => Promise<number>;

interface Part {
  readonly load: () => Promise<{ readonly run: Run }>;
  /** Whether run() gets the command's name too. */
  readonly withName?: boolean;
}

const server = () => import("./server/main.ts");

const PARTS: Readonly<Record<PartName, Part>> = {
  start: { load: server, withName: true },
  up: { load: server, withName: true },
  server: { load: server, withName: true },
  bench: { load: () => import("../proof/bench/main.ts") },
  simulate: { load: () => import("../proof/simulator/main.ts") },
  "test conformance": { load: () => import("../proof/conformance/main.ts") },
  "test failure": { load: () => import("../proof/failure/main.ts") },
  profile: { load: () => import("../proof/profile/main.ts") },
  demo: { load: () => import("../proof/demo/main.ts") },
};

/** Runs the program; resolves to the exit code. */
export async function main(argv: string[], io: CliIo): Promise<number> {
  const [first = "--help", second = ""] = argv;
  for (const [name, wordCount] of [
    [`${first} ${second}`, 2],
    [first, 1],
  ] as const) {
    if (isPart(name)) return runPart(name, argv.slice(wordCount), io);
  }
  if (first === "test") return testHelp(second, io);
  if (first === "--help" || first === "-h" || (first === "help" && second === "")) {
    io.stdout.write(await help());
    return 0;
  }
  const isHelpOfPart = first === "help" && Object.keys(PARTS).some((it) => it.split(" ")[0] === second);
  if (isHelpOfPart) return main([...argv.slice(1), "--help"], io);
  const { runCli } = await import("./cli/main.ts");
  return runCli(first === "--version" ? ["version"] : argv, io);
}

/** `test` alone, or with a word that is no test. */
async function testHelp(word: string, io: CliIo): Promise<number> {
  const { summaryLines } = await import("./cli/help.ts");
  const tests = partSummaries().filter((it) => it.name.startsWith("test "));
  const isAsked = word === "" || word === "--help" || word === "-h";
  (isAsked ? io.stdout : io.stderr).write(
    `${isAsked ? "" : `Error: there is no test ${word}\n`}Tests:\n${summaryLines(tests).join("\n")}\n`,
  );
  return isAsked ? 0 : 1;
}

function isPart(name: string): name is PartName {
  return Object.hasOwn(PARTS, name);
}

async function runPart(name: PartName, rest: readonly string[], io: CliIo): Promise<number> {
  const part = PARTS[name];
  const { run } = await part.load();
  return run(part.withName === true ? [name, ...rest] : [...rest], io);
}

function partSummaries(): { name: string; summary: string }[] {
  return Object.entries(PART_SUMMARIES).map(([name, summary]) => ({ name, summary }));
}

async function help(): Promise<string> {
  const { overview } = await import("./cli/main.ts");
  return overview(partSummaries());
}

/** A reader that has gone away (`| head`) is no error of ours. */
function endQuietlyOnClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
}

/** Both streams may be pipes, which are written in the background: exit only when all is out. */
function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}

/** Also when it was started through a link, as package managers make them. */
function isProgram(): boolean {
  const started = process.argv[1];
  return started !== undefined && import.meta.url === pathToFileURL(fs.realpathSync(started)).href;
}

if (isProgram()) {
  process.stdout.on("error", endQuietlyOnClosedPipe);
  const { stdout, stderr, stdin, env } = process;
  main(process.argv.slice(2), { stdout, stderr, stdin, env }).then(
    async (exitCode) => {
      await Promise.all([flushed(stdout), flushed(stderr)]);
      process.exit(exitCode);
    },
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}
