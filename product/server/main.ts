// The commands that run members: `server` (one member, etcd's flags), `up` (a local cluster), `start` (what `npm start`
// runs: one of the two, with data in ./holdfast.data).

import { fileURLToPath } from "node:url";
import { SERVER_FLAGS } from "./flag-table.ts";
import { FlagError, parseServerFlags } from "./flags.ts";
import { serverConfig } from "./config.ts";
import { VERSION } from "../version.ts";
import type { ProgramIo } from "./program-io.ts";
import { REPORTED_VERSION, runServer } from "./server.ts";
import { MEMBER_COUNT_MAX, runUp } from "./up.ts";

const START_DIRECTORY = "holdfast.data";

/** `argv` starts with the command's name. Resolves to the exit code when the server has stopped. */
export async function run(argv: readonly string[], io: ProgramIo): Promise<number> {
  const [command, ...rest] = argv;
  if (rest.some((argument) => argument === "--help" || argument === "-h"))
    return help(command ?? "server", io);
  if (command === "server" && /^--?version(=true)?$/.test(rest[0] ?? "")) return version(io);
  try {
    if (command === "server") return await runServer(serverConfig(parseServerFlags(rest, io.env)), io);
    return await runStartOrUp(command === "up", rest, io);
  } catch (error) {
    if (!(error instanceof FlagError)) throw error;
    io.stderr.write(`${error.message}\n`);
    if (error.exitCode === 2) io.stderr.write(`Run 'holdfast ${command} --help' for the flags\n`);
    return error.exitCode;
  }
}

/** etcd's four lines: test suites read the first, which decides the flags that they pass. */
function version(io: ProgramIo): number {
  const platform = `${process.platform}/${process.arch === "x64" ? "amd64" : process.arch}`;
  io.stdout.write(
    `etcd Version: ${REPORTED_VERSION}\nGit SHA: none (holdfast ${VERSION})\nGo Version: none (Node.js ${process.version})\nGo OS/Arch: ${platform}\n`,
  );
  return 0;
}

async function runStartOrUp(isUp: boolean, argv: readonly string[], io: ProgramIo): Promise<number> {
  const { memberCount, dataDirectory, serverFlags } = splitUpFlags(argv, isUp ? 3 : 1);
  if (memberCount === 1) {
    // The environment is left alone on purpose: whoever has ETCD_* set up uses `server`.
    const config = serverConfig(parseServerFlags([`--data-dir=${dataDirectory}`, ...serverFlags], {}));
    return runServer(config, io, { announce: true });
  }
  const command = [process.execPath, ...process.execArgv, programPath(), "server"];
  return runUp({ memberCount, dataDirectory, serverFlags, command }, io);
}

function programPath(): string {
  // Bundled, this file is part of dist; the program that was started is what starts further members.
  return process.argv[1] ?? fileURLToPath(import.meta.url);
}

function splitUpFlags(
  argv: readonly string[],
  defaultCount: number,
): { memberCount: number; dataDirectory: string; serverFlags: string[] } {
  let memberCount = defaultCount;
  let dataDirectory = START_DIRECTORY;
  const serverFlags: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    const match = /^--?(members|data-dir)(?:=(.*))?$/.exec(argv[i]!);
    if (match === null) {
      serverFlags.push(argv[i]!);
      continue;
    }
    const value = match[2] ?? argv[++i];
    if (value === undefined) throw new FlagError(`flag needs an argument: -${match[1]}`, 2);
    if (match[1] === "data-dir") dataDirectory = value;
    else memberCount = parseMemberCount(value);
  }
  return { memberCount, dataDirectory, serverFlags };
}

function parseMemberCount(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= MEMBER_COUNT_MAX) return count;
  throw new FlagError(`invalid value "${text}" for flag -members: a number from 1 to ${MEMBER_COUNT_MAX}`, 2);
}

const USAGE: Readonly<Record<string, string>> = {
  server: "holdfast server [flags]\n\nRuns one member. Flags may also be set as ETCD_ variables.\n",
  up: `holdfast up [--members 3] [--data-dir ${START_DIRECTORY}] [server flags]\n\nRuns a local cluster, each member a process of its own.\n`,
  start: `holdfast start [--members 1] [--data-dir ${START_DIRECTORY}] [server flags]\n\nRuns one member or a local cluster with its data here.\n`,
};

function help(command: string, io: ProgramIo): number {
  io.stdout.write(`${USAGE[command] ?? USAGE.server}\nFlags:\n`);
  for (const flag of SERVER_FLAGS) {
    if (flag.state === "refused") continue;
    io.stdout.write(`  --${flag.name} '${flag.default}'\n        ${flag.help}\n`);
  }
  return 0;
}
