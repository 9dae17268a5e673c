// P0, the deck's run: three members, one client, distinct keys of 64 bytes and values of 256, all stores up at once and
// loaded in alternating slices of keys; drawn as latency over seconds, one line a store.

import { Prng } from "../../core/base/prng.ts";
import { addNoteOnce, loadOn, type RowContext, type Running, withAll } from "./contenders.ts";
import { type FigurePlan, figureResult, type FigureResult } from "./figures.ts";
import { fromPairs, Histogram, toPairs } from "./histogram.ts";
import type { RunResult } from "./result.ts";
import { type Second, spikes } from "./series.ts";

/** What is drawn: one store's seconds one after another, whatever the others did meanwhile. */
export interface StoreLine {
  readonly name: string;
  readonly series: readonly Second[];
  readonly heat: RunResult["heat"];
  readonly histogram: readonly (readonly number[])[];
  readonly operations: number;
  readonly errors: number;
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

export async function runDeck(
  context: RowContext,
): Promise<{ figures: FigureResult[]; picture: Picture; keys: number }> {
  const { options } = context;
  const keys = options.keys ?? (options.suite === "full" ? FULL_KEYS : QUICK_KEYS);
  const slice = Math.min(keys, keys >= 4 * SLICE_KEYS ? SLICE_KEYS : QUICK_SLICE_KEYS);
  if (keys < FULL_KEYS) context.notes.push(`with ${keys} keys; the deck's run has 1,000,000 (--suite full)`);
  const lines = await withAll(context, 3, async (running) => {
    const collected = running.map((target) => new Line(target.contender.name));
    // Hot paths are compiled before the first measured slice.
    for (const target of running)
      await loadOn(context, target, "put", ["--prefix", "warm/", "--total", "300", "--keys", "300"]);
    for (let first = 0; first < keys; first += slice) {
      for (let i = 0; i < running.length; i++) {
        const at = (i + first / slice) % running.length;
        context.say(
          `${running[at]!.contender.name}: keys ${first} to ${Math.min(keys, first + slice)} of ${keys}`,
        );
        collected[at]!.add(
          await slicePuts(context, running[at]!, { first, count: Math.min(slice, keys - first) }),
        );
      }
    }
    return collected;
  });
  const prng = new Prng(options.seed);
  const ours = lines.find((line) => line.name === options.ours.name)!;
  const figures = FIGURES.map((figure) =>
    figureResult(
      figure,
      {
        ours: ours.values(figure.name),
        rivals: new Map(
          lines.filter((line) => line !== ours).map((line) => [line.name, line.values(figure.name)]),
        ),
      },
      prng,
    ),
  );
  for (const line of lines)
    if (line.errors > 0) addNoteOnce(context.notes, `${line.name}: ${line.errors} errors`);
  const title = `Put latency over seconds: 3 members, 1 client, ${keys.toLocaleString("en")} distinct keys of 64 bytes, values of 256`;
  return { figures, picture: { title, stores: lines.map((line) => line.stored()) }, keys };
}

async function slicePuts(
  context: RowContext,
  target: Running,
  keys: { first: number; count: number },
): Promise<RunResult> {
  const flags = [
    "--prefix",
    `p0/${keys.first}/`,
    "--keys",
    String(keys.count),
    "--clients",
    "1",
    "--timeout",
    "60s",
  ];
  return loadOn(context, target, "put", flags);
}

class Line {
  readonly name: string;
  readonly #series: Second[] = [];
  readonly #heat: (readonly (readonly number[])[])[] = [];
  readonly #latencies = new Histogram();
  #slowestUs = 0;
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
    for (const second of whole) this.#series.push({ ...second, second: this.#series.length });
    this.#heat.push(...result.heat.slice(0, whole.length));
    this.#latencies.add(fromPairs(result.histogram));
    this.#slowestUs = Math.max(this.#slowestUs, result.maxUs);
    this.errors += result.errors;
    this.operations += result.operations;
  }

  values(figure: string): number[] {
    const { worstSecondUs, secondsAboveTwice } = spikes(this.#series);
    switch (figure) {
      case "p50":
        return [this.#latencies.quantile(0.5)];
      case "p99":
        return [this.#latencies.quantile(0.99)];
      case "p99.99":
        return [this.#latencies.quantile(0.9999)];
      case "slowest":
        return [this.#slowestUs];
      case "worst second":
        return [worstSecondUs];
      default:
        return [secondsAboveTwice];
    }
  }

  stored(): StoreLine {
    return {
      name: this.name,
      series: this.#series,
      heat: this.#heat,
      histogram: toPairs(this.#latencies),
      operations: this.operations,
      errors: this.errors,
    };
  }
}
