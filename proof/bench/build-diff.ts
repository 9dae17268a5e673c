// `holdfast bench diff OLD NEW` of two builds: both programs run under the same loads, in turns, and every figure gets a
// verdict. What a release publishes.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import type { CompareOptions, Contender, RowContext } from "./contenders.ts";
import { describeDiff, type DiffLine, diffResults } from "./diff.ts";
import { NO_TLS } from "./launch.ts";
import { LOAD_ROWS, loadGroups, type LoadRow, runLoadGroup } from "./load-rows.ts";
import { assertWritable, parseFlags, runDirectory, UsageError } from "./options.ts";
import { isInMemory } from "./probes.ts";
import type { RunResult } from "./result.ts";
import { parseCount } from "./units.ts";

const text = { type: "string" } as const;
export const DIFF_FLAGS = {
  "old-build": text,
  "new-build": text,
  rows: text,
  rounds: text,
  slice: text,
  seed: text,
  dir: text,
  save: text,
  quiet: { type: "boolean" },
  "write-out": { type: "string", short: "w" },
} as const;

/** Loads that tell most: one client and many, puts and gets, and a rate. */
const ROWS_DEFAULT = "P1,P4,P8,P9,P9B";
/** Of eight rounds a side the clearest difference is luck once in 6,435 times: enough for some dozen figures. */
const ROUNDS_DEFAULT = 8;
const SLICE_SECONDS_DEFAULT = 3;

export type DiffOptions =
  | {
      readonly kind: "files";
      readonly oldFile: string;
      readonly newFile: string;
      readonly json: boolean;
      readonly quiet: boolean;
    }
  | BuildDiffOptions;

export interface BuildDiffOptions {
  readonly kind: "builds";
  readonly oldBuild: string;
  readonly newBuild: string;
  readonly rows: readonly LoadRow[];
  readonly rounds: number;
  readonly sliceSeconds: number;
  readonly seed: number;
  readonly directory: string;
  /** Results are written to PREFIX.old.json and PREFIX.new.json, which `diff` reads again. */
  readonly savePrefix: string | undefined;
  readonly json: boolean;
  readonly quiet: boolean;
}

export function parseDiff(argv: readonly string[]): DiffOptions {
  const words = argv.filter((word, i) => !word.startsWith("-") && !takesNext(argv[i - 1]));
  const values = parseFlags(
    argv.filter((word, i) => word.startsWith("-") || takesNext(argv[i - 1])),
    DIFF_FLAGS,
  );
  const read = (name: keyof typeof DIFF_FLAGS): string | undefined =>
    typeof values[name] === "string" ? values[name] : undefined;
  const count = (name: "rounds" | "slice" | "seed", byDefault: number): number =>
    read(name) === undefined ? byDefault : parseCount(read(name)!);
  const oldOne = read("old-build") ?? words[0];
  const newOne = read("new-build") ?? words[1];
  if (oldOne === undefined || newOne === undefined || words.length > 2)
    throw new UsageError("diff needs two files of results or two programs: OLD NEW");
  const shared = { json: read("write-out") === "json", quiet: values["quiet"] === true };
  const programs = [oldOne, newOne].filter((file) => isProgram(file));
  const named = read("old-build") !== undefined || read("new-build") !== undefined;
  if (programs.length === 0 && !named) return { kind: "files", oldFile: oldOne, newFile: newOne, ...shared };
  if (programs.length < 2)
    throw new UsageError(`diff compares two programs or two files of results, not ${oldOne} with ${newOne}`);
  const savePrefix = read("save");
  if (savePrefix !== undefined) assertWritable(`${savePrefix}.old.json`);
  return {
    kind: "builds",
    oldBuild: path.resolve(oldOne),
    newBuild: path.resolve(newOne),
    rows: rowsOf(read("rows") ?? ROWS_DEFAULT),
    rounds: count("rounds", ROUNDS_DEFAULT),
    sliceSeconds: count("slice", SLICE_SECONDS_DEFAULT),
    seed: count("seed", 1),
    directory: runDirectory(read("dir")),
    savePrefix,
    ...shared,
  };
}

function takesNext(word: string | undefined): boolean {
  const name = word === "-w" ? "write-out" : /^--([^=]+)$/.exec(word ?? "")?.[1];
  return name !== undefined && (DIFF_FLAGS as Record<string, { type: string }>)[name]?.type === "string";
}

/** A file of results begins with an object; anything else that is there is a program. */
function isProgram(file: string): boolean {
  let handle: number;
  try {
    handle = fs.openSync(file, "r");
  } catch (error) {
    throw new UsageError(`Cannot read ${file}: ${(error as Error).message}`);
  }
  try {
    const start = Buffer.alloc(64);
    const size = fs.readSync(handle, start, 0, start.length, 0);
    const head = start.subarray(0, size).toString("latin1").trimStart();
    return head !== "" && !head.startsWith("{");
  } finally {
    fs.closeSync(handle);
  }
}

function rowsOf(list: string): LoadRow[] {
  const ids = list.split(",").map((id) => id.trim().toUpperCase());
  // A certificate is not what differs between builds of a store.
  const usable = LOAD_ROWS.filter((row) => row.tls === undefined);
  const unknown = ids.find((id) => !usable.some((row) => row.id.toUpperCase() === id));
  if (unknown !== undefined)
    throw new UsageError(`Row ${unknown} is none of ${usable.map((row) => row.id).join(", ")}`);
  return usable.filter((row) => ids.includes(row.id.toUpperCase()));
}

export interface BuildDiff {
  readonly format: 1;
  readonly kind: "diff";
  readonly old: { readonly program: string; readonly version: string };
  readonly new: { readonly program: string; readonly version: string };
  readonly rounds: number;
  readonly sliceSeconds: number;
  readonly lines: readonly DiffLine[];
  readonly notes: readonly string[];
}

/**
 * Each round starts both afresh: what two processes differ in by luck (their memory, where a checkpoint falls) would
 * otherwise be the same in all rounds of a build, and pass for the build's.
 */
export async function diffBuilds(
  options: BuildDiffOptions,
  hooks: { readonly signal: AbortSignal; readonly say: (text: string) => void },
): Promise<BuildDiff> {
  const before = contenderOf("old", options.oldBuild);
  const after = contenderOf("new", options.newBuild);
  const notes: string[] = [];
  fs.mkdirSync(options.directory, { recursive: true, mode: 0o700 });
  if (isInMemory(options.directory))
    notes.push(`${options.directory} lies in memory: syncs cost nothing there (--dir)`);
  const old: RunResult[] = [];
  const now: RunResult[] = [];
  try {
    for (const group of loadGroups(options.rows)) {
      const label = group.map((row) => row.id).join(", ");
      for (let round = 0; round < options.rounds; round++) {
        const context: RowContext = {
          options: compareOptions(options, round % 2 === 0 ? [before, after] : [after, before]),
          signal: hooks.signal,
          say: (words) => hooks.say(`${label}, ${round + 1} of ${options.rounds}: ${words}`),
          notes,
        };
        // Both speak etcd's API, whatever rivals a row is for.
        const { results } = await runLoadGroup(context, { ...group[0]!, etcdOnly: false }, undefined);
        const named = (name: string): RunResult[] =>
          (results.get(name) ?? []).map((run) => ({ ...run, workload: `${label} ${run.workload}` }));
        old.push(...named("old"));
        now.push(...named("new"));
      }
    }
  } finally {
    fs.rmSync(options.directory, { recursive: true, force: true });
  }
  if (options.savePrefix !== undefined) {
    writeLines(`${options.savePrefix}.old.json`, old);
    writeLines(`${options.savePrefix}.new.json`, now);
  }
  return {
    format: 1,
    kind: "diff",
    old: { program: options.oldBuild, version: before.installed.version },
    new: { program: options.newBuild, version: after.installed.version },
    rounds: options.rounds,
    sliceSeconds: options.sliceSeconds,
    lines: diffResults(old, now),
    notes,
  };
}

/** Who the two are, and the lines. */
export function describeBuildDiff(found: BuildDiff): string {
  const head = [
    `old ${found.old.version} (${found.old.program})`,
    `new ${found.new.version} (${found.new.program})`,
    `${found.rounds} rounds of ${found.sliceSeconds} s each, in turns`,
    ...found.notes.map((note) => `note: ${note}`),
  ];
  return `${head.join("\n")}\n\n${describeDiff(found.lines)}`;
}

function writeLines(file: string, results: readonly RunResult[]): void {
  fs.writeFileSync(file, results.map((result) => `${JSON.stringify(result)}\n`).join(""));
}

function contenderOf(name: string, program: string): Contender {
  const command = /\.[cm]?js$/.test(program) ? [process.execPath, program] : [program];
  const [file, ...args] = command;
  let version: string;
  try {
    const answer = execFileSync(file!, [...args, "version"], { encoding: "utf8", timeout: 20_000 });
    version = answer.split("\n")[0] ?? "";
  } catch (error) {
    throw new UsageError(`${program} is no build of Holdfast: ${(error as Error).message.split("\n")[0]}`);
  }
  const installed = { kind: "holdfast", command: [...command, "server"], version, note: undefined } as const;
  return { name, kind: "holdfast", installed, endpoints: undefined };
}

/** One turn of each, in this order. */
function compareOptions(
  options: BuildDiffOptions,
  [first, second]: readonly [Contender, Contender],
): CompareOptions {
  return {
    ours: first,
    rivals: [second],
    suite: "quick",
    rows: undefined,
    rounds: 1,
    sliceSeconds: options.sliceSeconds,
    keys: undefined,
    minutes: undefined,
    seed: options.seed,
    directory: options.directory,
    json: options.json,
    reportFile: undefined,
    pictureFile: undefined,
    saveFile: undefined,
    quiet: options.quiet,
    tls: NO_TLS,
    zooKeeperClient: "light",
  };
}
