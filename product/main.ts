// The program `holdfast`: the first word decides. Everything is loaded when it is needed, so that a `get` does not read
// the server. Client commands are in cli/, the rest is in the modules of the table below; each has
// `run(argv, io): Promise<number>`, where `argv` begins with the command's name for modules with several commands.

import * as fs from "node:fs";
import { pathToFileURL } from "node:url";
import type { CliIo } from "./cli/io.ts";

type Run = (argv: string[], io: CliIo) => Promise<number>;

interface Part {
  readonly summary: string;
  /** Undefined while it is not built. */
  readonly load: (() => Promise<{ readonly run: Run }>) | undefined;
  /** Whether run() gets the command's name too. */
  readonly withName?: boolean;
}

const server = () => import("./server/main.ts");

const PARTS: Readonly<Record<string, Part>> = {
  start: { summary: "Starts a member with its data in ./holdfast.data", load: server, withName: true },
  up: { summary: "Starts a cluster of three members on this machine", load: server, withName: true },
  server: { summary: "Runs a member; takes etcd's flags", load: server, withName: true },
  bench: { summary: "Measures a cluster, with verdicts", load: () => import("../proof/bench/main.ts") },
  simulate: {
    summary: "Runs a cluster in a world of faults, from a seed",
    load: () => import("../proof/simulator/main.ts"),
  },
  "test conformance": {
    summary: "Sends the same requests to two clusters and compares every answer",
    load: () => import("../proof/conformance/main.ts"),
  },
  "test failure": {
    summary: "Kills and cuts off members of a cluster under load, and checks what clients saw",
    load: () => import("../proof/failure/main.ts"),
  },
  profile: {
    summary: "Shows where a member's time goes, and what holds it back",
    load: () => import("../proof/profile/main.ts"),
  },
  demo: {
    summary: "Shows in a minute what Holdfast does, and proves it",
    load: () => import("../proof/demo/main.ts"),
  },
};

/** Runs the program; resolves to the exit code. */
export async function main(argv: string[], io: CliIo): Promise<number> {
  const [first = "--help", second = ""] = argv;
  for (const [name, wordCount] of [
    [`${first} ${second}`, 2],
    [first, 1],
  ] as const) {
    const part = PARTS[name];
    if (part !== undefined) return runPart(name, part, { rest: argv.slice(wordCount), io });
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

async function runPart(name: string, part: Part, given: { rest: string[]; io: CliIo }): Promise<number> {
  if (part.load === undefined) {
    given.io.stderr.write(`Error: ${name} is not built yet\n`);
    return 1;
  }
  const { run } = await part.load();
  return run(part.withName === true ? [name, ...given.rest] : given.rest, given.io);
}

function partSummaries(): { name: string; summary: string }[] {
  return Object.entries(PARTS).map(([name, part]) => ({
    name,
    summary: part.summary + (part.load === undefined ? " (not built yet)" : ""),
  }));
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
