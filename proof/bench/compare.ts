// `holdfast bench compare`: rows of goals.md, us and our rivals side by side, in turns on the same machine.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { type CompareOptions, contender, makeDirectory, type RowContext } from "./contenders.ts";
import { type Picture, runDeck } from "./deck-row.ts";
import { FAILURE_ROWS } from "./failure-rows.ts";
import { LEASE_ROW } from "./lease-row.ts";
import { type FigureResult, rowResult, type RowResult } from "./figures.ts";
import { HIGHEST_RATE } from "./highest-rate-row.ts";
import type { StoreKind } from "./launch.ts";
import {
  type Limits,
  LOAD_ROWS,
  loadFigures,
  loadGroups,
  type LoadRow,
  measureLimits,
  runLoadGroup,
  type TlsMaterial,
} from "./load-rows.ts";
import { assertWritable, ENDPOINT_FLAGS, parseEndpoints, parseFlags, tlsOf, UsageError } from "./options.ts";
import { PROCESS_ROWS, processFigures } from "./process-rows.ts";
import { isInMemory } from "./probes.ts";
import { type Machine, type RunResult, thisMachine } from "./result.ts";
import { parseCount } from "./units.ts";

const RIVALS: readonly StoreKind[] = ["etcd", "zookeeper", "consul"];
const QUICK_ROWS = ["P1", "P2", "P4", "P5", "P8", "P9", "P17", "P25", "P28"];
/** Rows that this program cannot measure yet, so that asking for one says so. */
const MISSING_ROWS = ["P12", "P15", "P21", "P22", "P30", "P31"];

/** Rows that are measured along with another. */
const SHARED_ROWS: Readonly<Record<string, string>> = {
  P18: "restart with 1 M keys, clean and after kill -9",
  P27: "rate over the last 10 % of 1 M keys / over the first 10 %",
};

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
  readonly notes: readonly string[];
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
  seed: text,
  ours: text,
  "ours-endpoints": text,
  "rival-endpoints": text,
  "zookeeper-client": text,
  dir: text,
  report: text,
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
  for (const file of [read("report"), read("save")]) if (file !== undefined) assertWritable(file);
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
    keys: read("keys") === undefined ? undefined : number("keys", 0),
    seed: number("seed", 1),
    directory: path.resolve(read("dir") ?? `holdfast-bench-${process.pid}.data`),
    json: read("write-out") === "json",
    reportFile: read("report"),
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
  // P18 and P27 come out of the load that P11 needs.
  const wanted = (name: string): boolean =>
    name === row || (row === "P11" && (name === "P18" || name === "P27"));
  if (options.rows) return options.rows.some(wanted);
  return options.suite === "full" || (QUICK_ROWS.includes(row) && id !== "P8b");
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
    const limits = await measureLimits(options.directory);
    if (isWanted(options, "P0") && (options.rows || options.suite === "full")) await collector.deck();
    for (const group of loadGroups(LOAD_ROWS.filter((row) => isWanted(options, row.id))))
      await collector.load(group);
    for (const row of [HIGHEST_RATE, ...PROCESS_ROWS, LEASE_ROW, ...FAILURE_ROWS])
      if (isWanted(options, row.id)) await collector.process(row);
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
      rows: collector.rows(),
      pictures: collector.pictures,
      curves: collector.curves,
      notes,
    };
  } finally {
    fs.rmSync(options.directory, { recursive: true, force: true });
  }
}

function checkRows(options: CompareOptions): void {
  const known = new Set(
    [...LOAD_ROWS, HIGHEST_RATE, ...PROCESS_ROWS, LEASE_ROW, ...FAILURE_ROWS]
      .map((row) => rowOf(row.id))
      .concat("P0", "P18", "P27"),
  );
  for (const row of options.rows ?? []) {
    if (MISSING_ROWS.includes(row)) throw new UsageError(`Row ${row} cannot be measured by this program yet`);
    if (!known.has(row)) throw new UsageError(`Row ${row} is none of ${[...known].join(", ")}`);
  }
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

class Collector {
  readonly #options: CompareOptions;
  readonly #hooks: CompareHooks;
  readonly #parts: {
    id: string;
    what: string;
    figures: readonly FigureResult[];
    notes: readonly string[];
    seconds: number;
  }[] = [];
  readonly pictures: Picture[] = [];
  readonly curves: { row: string; runs: readonly RunResult[] }[] = [];
  #tls: TlsMaterial | undefined;

  constructor(options: CompareOptions, hooks: CompareHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  async deck(): Promise<void> {
    const what = "the deck's run: 3 members, 1 client, distinct keys of 64 bytes, values of 256";
    await this.#measure([{ id: "P0", what }], async (context) => {
      const { figures, picture } = await runDeck(context);
      this.pictures.push(picture);
      return [figures];
    });
  }

  async load(group: readonly LoadRow[]): Promise<void> {
    await this.#measure(group, async (context) => {
      const first = group[0]!;
      const tls = first.tls ? (this.#tls ??= makeCertificate(this.#options.directory)) : undefined;
      const result = await runLoadGroup(context, first, tls);
      this.curves.push({
        row: group.map((row) => row.id).join(", "),
        runs: [...result.results.values()].flatMap((runs) => runs.slice(0, 1)),
      });
      return group.map((row) => loadFigures(context, row, result));
    });
  }

  async process(row: (typeof PROCESS_ROWS)[number]): Promise<void> {
    // One load may serve several rows: a figure named "P18 restart" belongs to P18.
    const owner = (name: string): string => /^(P\d+) /.exec(name)?.[1] ?? row.id;
    const ids = [...new Set(row.figures.map((figure) => owner(figure.name)))];
    const rows = ids.map((id) => ({ id, what: id === row.id ? row.what : (SHARED_ROWS[id] ?? row.what) }));
    await this.#measure(rows, async (context) => {
      const figures = processFigures(context, row, await row.run(context));
      return ids.map((id) =>
        figures
          .filter((figure) => owner(figure.name) === id)
          .map((figure) => ({ ...figure, name: figure.name.replace(/^P\d+ /, "") })),
      );
    });
  }

  /** Parts of a row become one. */
  rows(): RowResult[] {
    const ids = [...new Set(this.#parts.map((part) => rowOf(part.id)))].sort(
      (a, b) => Number(a.slice(1)) - Number(b.slice(1)),
    );
    return ids.map((id) => {
      const parts = this.#parts.filter((part) => rowOf(part.id) === id);
      const figures = parts.flatMap((part) =>
        part.figures.map((figure) =>
          parts.length > 1 ? { ...figure, name: `${figure.name} (${partName(part.what)})` } : figure,
        ),
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

/** What tells one part of a row from another: "100 clients on 10 connections". */
function partName(what: string): string {
  return /\d[\d,]* clients?(?: on \d+ connections)?/.exec(what)?.[0] ?? what;
}

/** A certificate for 127.0.0.1, made by openssl, for the TLS rows. */
function makeCertificate(directory: string): TlsMaterial {
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
