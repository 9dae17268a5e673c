// P0, the deck's run: three members, one client, distinct keys of 64 bytes and values of 256, all stores up at once and
// loaded in alternating slices of keys; drawn as latency over seconds, one line a store.

import { Prng } from "../../core/base/prng.ts";
import { addNoteOnce, loadOn, type RowContext, type Running, withAll } from "./contenders.ts";
import { type FigurePlan, type FigureResult, partsResult } from "./figures.ts";
import { fromPairs, Histogram, toPairs } from "./histogram.ts";
import type { Live } from "./load.ts";
import type { RunResult } from "./result.ts";
import { type Mark, type Second, spikes } from "./series.ts";

/** What is drawn: one store's seconds one after another, whatever the others did meanwhile. */
export interface StoreLine {
  readonly name: string;
  readonly series: readonly Second[];
  readonly heat: RunResult["heat"];
  readonly histogram: readonly (readonly number[])[];
  readonly operations: number;
  readonly errors: number;
  /** What its leader did meanwhile, by its own word; results of versions before this one have none. */
  readonly marks?: readonly Mark[];
}

export interface Picture {
  readonly title: string;
  readonly stores: readonly StoreLine[];
}

const SLICE_KEYS = 50_000;
const FULL_KEYS = 1_000_000;
/** Keys of the quick suite: enough for tens of seconds a store. */
const QUICK_KEYS = 20_000;
const QUICK_SLICE_KEYS = 2_000;
/** Each store gets so many before its first slice: three seconds at most. */
export const WARM_UP_PUTS = 3_000;
/** With a time budget: enough to tell how long the others will take. */
const FIRST_TURN_KEYS = 5_000;

const lower = (name: string, demands: FigurePlan["demands"]): FigurePlan => ({
  name,
  unit: "us",
  better: "lower",
  demands,
});
/** Gate: p50 and the worst second better than both. Target: best in every figure. */
const best = { target: { ratio: 1 } };

const FIGURES: readonly FigurePlan[] = [
  lower("p50", { gate: { ratio: 1 }, stretch: { ratio: 0.4 } }),
  lower("worst second", { gate: { ratio: 1 } }),
  lower("p99", best),
  lower("p99.99", best),
  lower("slowest", { target: { ratio: 1 }, stretch: { value: 20_000 } }),
  {
    name: "seconds above 2x",
    unit: "s",
    better: "lower",
    demands: { target: { ratio: 1 }, stretch: { value: 0 } },
  },
];

export interface DeckResult {
  readonly figures: FigureResult[];
  readonly picture: Picture;
}

export async function runDeck(context: RowContext): Promise<DeckResult> {
  const { options } = context;
  const wanted = options.keys ?? (options.suite === "full" ? FULL_KEYS : QUICK_KEYS);
  const slice = Math.min(wanted, wanted >= 4 * SLICE_KEYS ? SLICE_KEYS : QUICK_SLICE_KEYS);
  const { lines, keys } = await withAll(context, 3, async (running) =>
    new Deck(context, running, { keys: wanted, slice }).run(),
  );
  context.notes.push(
    `all stores up at once, in alternating slices of ${slice.toLocaleString("en")} keys; intervals by drawing the slices again`,
  );
  context.notes.push(`each store was given ${WARM_UP_PUTS.toLocaleString("en")} puts before its first slice`);
  if (isDrawn(options))
    context.notes.push("each leader's metrics page was read once a second, for the marks below the picture");
  if (keys < FULL_KEYS)
    context.notes.push(
      `with ${keys.toLocaleString("en")} keys; the deck's run has 1,000,000 (--suite full)${keys < wanted ? `, and ${wanted.toLocaleString("en")} were asked for` : ""}`,
    );
  for (const line of lines)
    if (line.errors > 0) addNoteOnce(context.notes, `${line.name}: ${line.errors} errors`);
  const title = `Put latency over seconds: 3 members, 1 client, ${keys.toLocaleString("en")} distinct keys of 64 bytes, values of 256`;
  return {
    figures: figuresOf(lines, options.ours.name, options.seed),
    picture: { title, stores: lines.map((line) => line.stored()) },
  };
}

function figuresOf(lines: readonly Line[], ours: string, seed: number): FigureResult[] {
  const prng = new Prng(seed);
  const slicesOf = new Map(
    lines.filter((line) => line.slices.length > 0).map((line) => [line.name, line.slices]),
  );
  const our = slicesOf.get(ours);
  if (!our) return [];
  slicesOf.delete(ours);
  return FIGURES.map((figure) =>
    partsResult(
      figure,
      { ours: our, rivals: slicesOf, statistic: (drawn) => statisticOf(figure.name, drawn) },
      prng,
    ),
  );
}

/** So much of the budget is left for the last turn to be late by. */
const BUDGET_SHARE = 0.97;
/** A turn of fewer keys than this is not worth its start. */
const TURN_KEYS_MIN = 500;
const PROGRESS_EVERY_SECONDS = 10;

/** The run itself: turns of one slice for each store. */
class Deck {
  readonly #context: RowContext;
  readonly #running: readonly Running[];
  readonly #lines: readonly Line[];
  readonly #plan: { readonly keys: number; readonly slice: number };
  readonly #startedMs = Date.now();
  /** Keys of whole slices, of all stores together. */
  #doneKeys = 0;

  constructor(
    context: RowContext,
    running: readonly Running[],
    plan: { readonly keys: number; readonly slice: number },
  ) {
    this.#context = context;
    this.#running = running;
    this.#plan = plan;
    this.#lines = running.map((target) => new Line(target.contender.name));
  }

  /** Whatever ends it early, what was measured stays. */
  async run(): Promise<{ lines: readonly Line[]; keys: number }> {
    const { keys, slice } = this.#plan;
    // Hot paths are compiled before the first measured slice: the driver's above all, which the first store alone would pay for.
    for (const target of this.#running) await this.#warmUp(target);
    let first = 0;
    for (let turn = 0; first < keys && !this.#context.signal.aborted; turn++) {
      const count = this.#turnKeys(Math.min(slice, keys - first));
      if (count === 0) break;
      for (let i = 0; i < this.#running.length; i++)
        await this.#slice((i + turn) % this.#running.length, { first, count });
      if (this.#context.signal.aborted || this.#lines.every((line) => line.failures > turn)) break;
      first += count;
    }
    return { lines: this.#lines, keys: first };
  }

  async #warmUp(target: Running): Promise<void> {
    try {
      const total = String(WARM_UP_PUTS);
      await loadOn(this.#context, target, "put", ["--prefix", "warm/", "--total", total, "--keys", total]);
    } catch {
      // A store that does not answer says so in its first slice.
    }
  }

  /** Keys of the next turn: as many as the time budget leaves room for. */
  #turnKeys(wanted: number): number {
    const { minutes } = this.#context.options;
    if (minutes === undefined) return wanted;
    const elapsedMs = Date.now() - this.#startedMs;
    const leftMs = minutes * 60_000 * BUDGET_SHARE - elapsedMs;
    // Before anything was measured a first turn must not be all there is.
    const count =
      this.#doneKeys === 0
        ? Math.min(wanted, FIRST_TURN_KEYS)
        : Math.min(wanted, Math.floor((leftMs * this.#doneKeys) / elapsedMs / this.#running.length));
    return count >= Math.min(wanted, TURN_KEYS_MIN) ? count : 0;
  }

  async #slice(at: number, keys: { first: number; count: number }): Promise<void> {
    const target = this.#running[at]!;
    const line = this.#lines[at]!;
    if (this.#context.signal.aborted) return;
    const context = {
      ...this.#context,
      onSecond: this.#progress(line.name, keys),
      readsMetrics: isDrawn(this.#context.options),
    };
    try {
      const leader = await target.cluster?.leader();
      const endpoint = leader === undefined ? target.endpoint : target.cluster!.endpoints[leader]!;
      if (endpoint !== line.endpoint && line.endpoint !== undefined)
        addNoteOnce(context.notes, `${line.name}: another member became leader at key ${keys.first}`);
      line.endpoint = endpoint;
      line.add(await slicePuts(context, { ...target, endpoint }, keys));
      this.#doneKeys += keys.count;
    } catch (error) {
      line.failures++;
      addNoteOnce(
        context.notes,
        `${line.name}: keys ${keys.first} to ${keys.first + keys.count} are missing: ${(error as Error).message}`,
      );
    }
  }

  /** Says how far it is, and how long it will take at the pace so far. */
  #progress(name: string, keys: { first: number; count: number }): (live: Live) => void {
    let done = 0;
    const say = (): void => {
      const key = keys.first + Math.min(keys.count, done);
      const all = this.#plan.keys.toLocaleString("en");
      this.#context.say(
        `${name}: key ${key.toLocaleString("en")} of ${all}${this.#left(this.#doneKeys + key - keys.first)}`,
      );
    };
    say();
    return (live) => {
      done += live.ended;
      if (live.second % PROGRESS_EVERY_SECONDS === 0) say();
    };
  }

  #left(doneKeys: number): string {
    if (doneKeys === 0) return "";
    const elapsedMs = Date.now() - this.#startedMs;
    const allKeys = this.#plan.keys * this.#running.length;
    const leftMs = (elapsedMs / doneKeys) * (allKeys - doneKeys);
    const { minutes } = this.#context.options;
    const budgetMs = minutes === undefined ? Number.POSITIVE_INFINITY : minutes * 60_000 - elapsedMs;
    const text = `, about ${Math.max(1, Math.ceil(Math.min(leftMs, budgetMs) / 60_000))} min left`;
    return budgetMs < leftMs ? `${text} of the budget` : text;
  }
}

/** A metrics page costs its server some milliseconds, one put in a thousand: only marks that somebody will see are worth it. */
function isDrawn(options: RowContext["options"]): boolean {
  return [options.reportFile, options.pictureFile, options.saveFile].some((file) => file !== undefined);
}

async function slicePuts(
  context: RowContext,
  target: Running,
  keys: { first: number; count: number },
): Promise<RunResult> {
  const flags = ["--prefix", `p0/${keys.first}/`, "--keys", String(keys.count)];
  return loadOn(context, target, "put", [...flags, "--clients", "1", "--timeout", "60s"]);
}

/** What a slice leaves for the figures. */
interface Slice {
  readonly series: readonly Second[];
  readonly latencies: Histogram;
  readonly slowestUs: number;
}

/** A figure of the whole run, or of any draw of its slices. */
function statisticOf(figure: string, slices: readonly Slice[]): number {
  const quantile = (share: number): number => {
    const all = new Histogram();
    for (const slice of slices) all.add(slice.latencies);
    return all.quantile(share);
  };
  const second = (): ReturnType<typeof spikes> => spikes(slices.flatMap((slice) => slice.series));
  switch (figure) {
    case "p50":
      return quantile(0.5);
    case "p99":
      return quantile(0.99);
    case "p99.99":
      return quantile(0.9999);
    case "slowest":
      return Math.max(...slices.map((slice) => slice.slowestUs));
    case "worst second":
      return second().worstSecondUs;
    default:
      return second().secondsAboveTwice;
  }
}

class Line {
  readonly name: string;
  /** Where the slice before went. */
  endpoint: string | undefined;
  readonly slices: Slice[] = [];
  /** Slices that could not be measured. */
  failures = 0;
  readonly #heat: (readonly (readonly number[])[])[] = [];
  readonly #marks: Mark[] = [];
  errors = 0;
  operations = 0;

  constructor(name: string) {
    this.name = name;
  }

  add(result: RunResult): void {
    // A slice ends within a second; an average over a few operations is no second of the picture.
    const whole =
      result.series.length > 1 && result.seconds % 1 < 0.5
        ? result.series.slice(0, Math.floor(result.seconds))
        : result.series;
    this.slices.push({
      series: whole,
      latencies: fromPairs(result.histogram),
      slowestUs: result.maxUs,
    });
    const before = this.#heat.length;
    this.#heat.push(...result.heat.slice(0, whole.length));
    for (const mark of result.marks)
      if (mark.atSecond < whole.length)
        this.#marks.push({ ...mark, atSecond: Math.round((before + mark.atSecond) * 100) / 100 });
    this.errors += result.errors;
    this.operations += result.operations;
  }

  stored(): StoreLine {
    const latencies = new Histogram();
    for (const slice of this.slices) latencies.add(slice.latencies);
    return {
      name: this.name,
      series: this.slices.flatMap((slice) => slice.series).map((one, second) => ({ ...one, second })),
      heat: this.#heat,
      histogram: toPairs(latencies),
      operations: this.operations,
      errors: this.errors,
      marks: this.#marks,
    };
  }
}
