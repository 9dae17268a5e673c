// `holdfast bench compare`: rows of goals.md, us and our rivals side by side, in turns on the same machine.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { type CompareOptions, contender, makeDirectory, type RowContext } from "./contenders.ts";
import { type Picture, runDeck } from "./deck-row.ts";
import { CAPACITY_ROWS } from "./capacity-rows.ts";
import { DISK_ROW } from "./disk-row.ts";
import { FAILURE_ROWS } from "./failure-rows.ts";
import { LEASE_ROW } from "./lease-row.ts";
import { MEMORY_ROWS } from "./memory-rows.ts";
import { type FigureResult, rowResult, type RowResult } from "./figures.ts";
import type { ServerTls, StoreKind } from "./launch.ts";
import {
  type Limits,
  LOAD_ROWS,
  loadFigures,
  loadGroups,
  type LoadRow,
  measureLimits,
  runLoadGroup,
} from "./load-rows.ts";
import {
  assertWritable,
  ENDPOINT_FLAGS,
  parseEndpoints,
  parseFlags,
  runDirectory,
  tlsOf,
  UsageError,
} from "./options.ts";
import { type ProcessRow, processFigures, Values } from "./process-row.ts";
import { PROCESS_ROWS } from "./process-rows.ts";
import { isInMemory } from "./probes.ts";
import { type Machine, type RunResult, thisMachine } from "./result.ts";
import { parseCount } from "./units.ts";
import { UPKEEP_ROW } from "./upkeep-row.ts";
import { WATCHER_ROWS } from "./watcher-rows.ts";

const RIVALS: readonly StoreKind[] = ["etcd", "zookeeper", "consul"];
const QUICK_ROWS = ["P1", "P2", "P4", "P5", "P8", "P9", "P17", "P25", "P28"];
/** Every row of the goals. */
const ROWS = Array.from({ length: 32 }, (_, i) => `P${i}`);

/** Rows that are more than a load, in the order in which they are measured. */
const OTHER_ROWS: readonly ProcessRow[] = [
  ...CAPACITY_ROWS,
  ...MEMORY_ROWS,
  ...PROCESS_ROWS,
  DISK_ROW,
  UPKEEP_ROW,
  ...WATCHER_ROWS,
  LEASE_ROW,
  ...FAILURE_ROWS,
];

/** Rows that some measurement of this program is for, in order. */
export function measuredRows(): string[] {
  const others = OTHER_ROWS.flatMap((row) => [row.id, ...Object.keys(row.shares ?? {})]);
  const known = new Set(["P0", ...LOAD_ROWS.map((row) => row.id), ...others].map(rowOf));
  return [...known].sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));
}

const DECK_WHAT = "the deck's run: 3 members, 1 client, distinct keys of 64 bytes, values of 256";

export interface CompareResult {
  readonly format: 1;
  readonly kind: "compare";
  readonly suite: string;
  readonly machine: Machine;
  readonly startedAt: string;
  readonly contenders: readonly {
    readonly name: string;
    readonly version: string;
    readonly note: string | null;
  }[];
  readonly rounds: number;
  readonly sliceSeconds: number;
  readonly limits: Limits;
  readonly rows: readonly RowResult[];
  readonly pictures: readonly Picture[];
  /** Runs of the first round of each load, for the report's curves. */
  readonly curves: readonly { readonly row: string; readonly runs: readonly RunResult[] }[];
  /** What each store answered at every rate of the first climb; results of versions before this one have none. */
  readonly climb?: readonly RatePoint[];
  readonly notes: readonly string[];
}

/** A rate that was offered, and what came of it. */
export interface RatePoint {
  readonly store: string;
  readonly offered: number;
  readonly rate: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

const text = { type: "string" } as const;
/** Stores that are started here have no users. */
const { user: _user, ...GIVEN_FLAGS } = ENDPOINT_FLAGS;
export const COMPARE_FLAGS = {
  ...GIVEN_FLAGS,
  rival: text,
  suite: text,
  rows: text,
  rounds: text,
  slice: text,
  keys: text,
  minutes: text,
  seed: text,
  ours: text,
  "ours-endpoints": text,
  "rival-endpoints": text,
  "zookeeper-client": text,
  dir: text,
  report: text,
  picture: text,
  save: text,
  quiet: { type: "boolean" },
  "write-out": { type: "string", short: "w" },
} as const;

export function parseCompare(argv: readonly string[]): CompareOptions {
  const values = parseFlags(argv, COMPARE_FLAGS);
  const read = (name: keyof typeof COMPARE_FLAGS): string | undefined =>
    typeof values[name] === "string" ? values[name] : undefined;
  const number = (name: keyof typeof COMPARE_FLAGS, byDefault: number): number =>
    read(name) === undefined ? byDefault : parseCount(read(name)!);
  const positive = (name: keyof typeof COMPARE_FLAGS): number => {
    const value = number(name, 0);
    if (!(value > 0)) throw new UsageError(`--${name} is ${read(name)}: it must be above 0`);
    return value;
  };
  const suite = read("suite") ?? "quick";
  if (suite !== "quick" && suite !== "full")
    throw new UsageError(`--suite is ${suite}: it must be quick or full`);
  const rivals = (read("rival") ?? "etcd").split(",").map((name) => {
    const kind = RIVALS.find((one) => one === name);
    if (kind === undefined) throw new UsageError(`--rival ${name} is none of ${RIVALS.join(", ")}`);
    return kind;
  });
  const given = read("rival-endpoints");
  if (given !== undefined && rivals.length > 1)
    throw new UsageError("--rival-endpoints goes with one --rival");
  const zooKeeperClient = read("zookeeper-client") ?? "light";
  if (zooKeeperClient !== "npm" && zooKeeperClient !== "light")
    throw new UsageError(`--zookeeper-client is ${zooKeeperClient}: it must be npm or light`);
  for (const file of [read("report"), read("picture"), read("save")])
    if (file !== undefined) assertWritable(file);
  const oursGiven = read("ours-endpoints") ?? read("endpoints");
  return {
    ours: contender("holdfast", {
      command: read("ours"),
      endpoints: oursGiven === undefined ? undefined : parseEndpoints(oursGiven),
    }),
    rivals: rivals.map((kind) =>
      contender(kind, { endpoints: given === undefined ? undefined : parseEndpoints(given) }),
    ),
    suite,
    rows: read("rows")
      ?.split(",")
      .map((row) => row.trim().toUpperCase()),
    rounds: number("rounds", 5),
    sliceSeconds: number("slice", suite === "full" ? 10 : 3),
    keys: read("keys") === undefined ? undefined : positive("keys"),
    minutes: read("minutes") === undefined ? undefined : positive("minutes"),
    seed: number("seed", 1),
    directory: runDirectory(read("dir")),
    json: read("write-out") === "json",
    reportFile: read("report"),
    pictureFile: read("picture"),
    saveFile: read("save"),
    quiet: values["quiet"] === true,
    tls: tlsOf(read, values["insecure-skip-tls-verify"] === true),
    zooKeeperClient,
  };
}

/** `P9b` is a part of `P9`. */
function rowOf(id: string): string {
  return id.replace(/[a-z]$/, "");
}

function isWanted(options: CompareOptions, id: string): boolean {
  const row = rowOf(id);
  if (options.rows) return options.rows.includes(row);
  return options.suite === "full" || (QUICK_ROWS.includes(row) && id !== "P8b");
}

/** The row itself or one that is measured along with it. */
function isWantedRow(options: CompareOptions, row: ProcessRow): boolean {
  return [row.id, ...Object.keys(row.shares ?? {})].some((id) => isWanted(options, id));
}

export interface CompareHooks {
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
}

/** Measures all rows that were asked for. A row that cannot be measured says why and does not end the others. */
export async function compare(options: CompareOptions, hooks: CompareHooks): Promise<CompareResult> {
  checkRows(options);
  makeDirectory(options.directory);
  const notes = machineNotes(options);
  const startedAt = new Date();
  const collector = new Collector(options, hooks);
  try {
    const limits = await measureLimits(options.directory, 1);
    if (isWanted(options, "P0") && (options.rows || options.suite === "full")) await collector.deck();
    for (const group of loadGroups(LOAD_ROWS.filter((row) => isWanted(options, row.id))))
      await collector.load(group);
    for (const row of OTHER_ROWS) if (isWantedRow(options, row)) await collector.process(row);
    return {
      format: 1,
      kind: "compare",
      suite: options.suite,
      machine: thisMachine(),
      startedAt: startedAt.toISOString(),
      contenders: [options.ours, ...options.rivals].map((one) => ({
        name: one.name,
        version: one.installed.version,
        note: one.installed.note ?? null,
      })),
      rounds: options.rounds,
      sliceSeconds: options.sliceSeconds,
      limits,
      rows: collector.rows(options.rows ?? (options.suite === "full" ? ROWS : [])),
      pictures: collector.pictures,
      curves: collector.curves,
      climb: collector.climb,
      notes,
    };
  } finally {
    fs.rmSync(options.directory, { recursive: true, force: true });
  }
}

function checkRows(options: CompareOptions): void {
  for (const row of options.rows ?? [])
    if (!ROWS.includes(row)) throw new UsageError(`Row ${row} is none of ${ROWS.join(", ")}`);
}

function machineNotes(options: CompareOptions): string[] {
  const notes = options.rivals.flatMap((one) => (one.installed.note ? [one.installed.note] : []));
  if (options.zooKeeperClient === "npm" && options.rivals.some((one) => one.kind === "zookeeper"))
    notes.push(
      "zookeeper is loaded by node-zookeeper-client, which costs the client more than the others' do",
    );
  if (options.rounds < 5) notes.push(`${options.rounds} rounds; the goals ask for five or more`);
  if (isInMemory(options.directory))
    notes.push(
      `${options.directory} lies in memory: syncs cost nothing there, no figure is one of a durable store (--dir)`,
    );
  const busy = fs.readFileSync("/proc/loadavg", "utf8").split(" ")[0] ?? "0";
  if (Number(busy) > 1)
    notes.push(`the machine was busy at the start (load ${busy}): only ratios mean something, tails least`);
  return notes;
}

/** One of the measurements of a row. */
interface Part {
  readonly id: string;
  readonly what: string;
  readonly figures: readonly FigureResult[];
  readonly notes: readonly string[];
  readonly seconds: number;
}

class Collector {
  readonly #options: CompareOptions;
  readonly #hooks: CompareHooks;
  readonly #parts: Part[] = [];
  readonly pictures: Picture[] = [];
  readonly curves: { row: string; runs: readonly RunResult[] }[] = [];
  readonly climb: RatePoint[] = [];
  #tls: Omit<ServerTls, "mutual"> | undefined;

  constructor(options: CompareOptions, hooks: CompareHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  async deck(): Promise<void> {
    await this.#measure([{ id: "P0", what: DECK_WHAT }], async (context) => {
      const { figures, picture } = await runDeck(context);
      this.pictures.push(picture);
      return [figures];
    });
  }

  async load(group: readonly LoadRow[]): Promise<void> {
    await this.#measure(group, async (context) => {
      const first = group[0]!;
      if (first.note !== undefined) context.notes.push(first.note);
      const tls = first.tls && {
        ...(this.#tls ??= makeCertificate(this.#options.directory)),
        mutual: first.tls === "mutual",
      };
      const result = await runLoadGroup(context, first, tls);
      this.curves.push({
        row: group.map((row) => row.id).join(", "),
        runs: [...result.results.values()].flatMap((runs) => runs.slice(0, 1)),
      });
      return group.map((row) => loadFigures(context, row, result));
    });
  }

  async process(row: ProcessRow): Promise<void> {
    // One load may serve several rows: a figure named "P18 restart" belongs to P18.
    const owner = (name: string): string => /^(P\d+) /.exec(name)?.[1] ?? row.id;
    const rows = [
      { id: row.id, what: row.what },
      ...Object.entries(row.shares ?? {}).map(([id, what]) => ({ id, what })),
    ];
    await this.#measure(rows, async (context) => {
      const values = new Values();
      let failed = false;
      try {
        await row.run(context, values);
      } catch (error) {
        failed = true;
        const how = values.isEmpty ? "not measured" : "not measured to its end";
        context.notes.push(`${how}: ${(error as Error).message}`);
      }
      const figures = values.isEmpty ? [] : processFigures(context, row, { values, failed });
      return rows.map(({ id }) =>
        figures
          .filter((figure) => owner(figure.name) === id)
          .map((figure) => ({ ...figure, name: figure.name.replace(/^P\d+ /, "") })),
      );
    });
  }

  /** Parts of a row become one. A row that was `asked` for is there, whatever came of it. */
  rows(asked: readonly string[]): RowResult[] {
    const ids = [...new Set([...this.#parts.map((part) => rowOf(part.id)), ...asked])].sort(
      (a, b) => Number(a.slice(1)) - Number(b.slice(1)),
    );
    return ids.map((id) => {
      const found = this.#parts.filter((part) => rowOf(part.id) === id);
      const parts = found.length > 0 ? found : [notMeasured(id)];
      const figures = parts.flatMap((part) =>
        part.figures.map((figure) => ({ ...figure, name: nameAmong(parts, part, figure.name) })),
      );
      const rivals = this.#options.rivals.map((one) => one.name).join(",");
      const frame = {
        row: id,
        what: parts.map((part) => part.what).join("; "),
        command: `holdfast bench compare --rival ${rivals} --suite ${this.#options.suite} --rows ${id}`,
        seconds: parts.reduce((sum, part) => sum + part.seconds, 0),
        notes: [...new Set(parts.flatMap((part) => part.notes))],
      };
      return rowResult(frame, figures);
    });
  }

  async #measure(
    rows: readonly { id: string; what: string }[],
    run: (context: RowContext) => Promise<FigureResult[][]>,
  ): Promise<void> {
    if (this.#hooks.signal.aborted) return;
    const names = rows.map((row) => row.id).join(", ");
    const context: RowContext = {
      options: this.#options,
      signal: this.#hooks.signal,
      say: (said) => this.#hooks.say(`${names}: ${said}`),
      notes: [],
      onRate: ({ title, targetRate, rate, p50Us, p99Us }) =>
        this.climb.push({ store: title, offered: targetRate ?? rate, rate, p50Us, p99Us }),
    };
    const startedAt = Date.now();
    let figures: FigureResult[][] = [];
    try {
      figures = await run(context);
    } catch (error) {
      context.notes.push(`not measured: ${(error as Error).message}`);
    }
    const seconds = (Date.now() - startedAt) / 1000;
    for (const [i, row] of rows.entries())
      this.#parts.push({
        id: row.id,
        what: row.what,
        figures: figures[i] ?? [],
        notes: context.notes,
        seconds: seconds / rows.length,
      });
  }
}

function notMeasured(id: string): Part {
  const row = OTHER_ROWS.find((one) => one.id === id) ?? LOAD_ROWS.find((one) => one.id === id);
  const notes = ["not measured: interrupted before its turn"];
  return { id, what: row?.what ?? (id === "P0" ? DECK_WHAT : ""), figures: [], notes, seconds: 0 };
}

/** A figure's name, with what tells its part of the row from the others: "p50 (100 clients on 10 connections)". */
function nameAmong(parts: readonly Part[], part: Part, name: string): string {
  if (parts.length === 1) return name;
  const load = (of: Part): string | undefined =>
    /\d[\d,]* clients?(?: on \d+ connections)?/.exec(of.what)?.[0];
  const namesakes = parts.filter(
    (other) => other !== part && other.figures.some((figure) => figure.name === name),
  );
  if (namesakes.some((other) => load(other) === load(part))) return `${name} (${part.what})`;
  return load(part) === undefined ? name : `${name} (${load(part)})`;
}

/** A certificate for 127.0.0.1, made by openssl, for the TLS rows. */
function makeCertificate(directory: string): Omit<ServerTls, "mutual"> {
  const files = {
    caFile: path.join(directory, "ca.pem"),
    certFile: path.join(directory, "ca.pem"),
    keyFile: path.join(directory, "key.pem"),
  };
  execFileSync(
    "openssl",
    [
      ...[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=127.0.0.1",
      ],
      ...[
        "-addext",
        "subjectAltName=IP:127.0.0.1,DNS:localhost",
        "-keyout",
        files.keyFile,
        "-out",
        files.certFile,
      ],
    ],
    { stdio: "ignore" },
  );
  return files;
}
