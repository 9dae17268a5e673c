// P8b: the highest rate of an open loop that a store keeps, found by a ladder that all climb side by side: at each rate
// one after the other, so that a disturbance of the machine meets them alike, and the whole of it `rounds` times.

import { loadOn, publishedOf, type RowContext, type Running, withAll } from "./contenders.ts";
import { higher, type ProcessRow } from "./process-row.ts";
import type { RunResult } from "./result.ts";

const RATES = [
  500, 1000, 2000, 4000, 6000, 8000, 12_000, 16_000, 20_000, 24_000, 32_000, 40_000, 50_000, 64_000, 80_000,
  100_000,
];
export const P99_US_MAX = 25_000;
/** A store that answers less than this share of what was offered does not keep up, whatever its latencies so far. */
const KEPT_UP_SHARE = 0.98;
/** Rates in a row that must fail: one may have met a hiccup of the machine. */
const FAILURES_MAX = 2;
/** Later rounds begin this many steps below the highest rate so far. */
const STEPS_BACK = 3;

const FIGURE = "highest rate";

export const HIGHEST_RATE: ProcessRow = {
  id: "P8b",
  what: "highest open-loop rate with p99 <= 25 ms, 1 member",
  figures: [higher(FIGURE, "/s", { gate: { ratio: 2 }, target: { ratio: 4 } })],
  run: async (context, values) => {
    await withAll(context, 1, async (running) => {
      const load: LoadAt = (target, rate, round) =>
        loadOn(context, target, "put", flagsOf(context, rate, round));
      const found = await climbInTurns(context, running, load);
      for (const [name, rates] of found) for (const rate of rates) values.add(FIGURE, name, rate);
    });
  },
};

type LoadAt = (target: Running, rate: number, round: number) => Promise<RunResult>;

function flagsOf(context: RowContext, rate: number, round: number): string[] {
  return [
    ...["--rate", String(rate), "--duration", `${context.options.sliceSeconds}s`],
    ...["--prefix", `l${round}-${rate}/`, "--keys", "1000000"],
  ];
}

/** By contender, the highest rate of each round. */
export async function climbInTurns(
  context: RowContext,
  running: readonly Running[],
  load: LoadAt,
): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>(running.map((one) => [one.contender.name, []]));
  for (let round = 0; round < context.options.rounds; round++) {
    // The order turns round, so that nobody is always first.
    const order = running.map((_, i) => running[(i + round) % running.length]!);
    const climbers = order.map((target) => new Climber(target, found.get(target.contender.name)!));
    for (const rate of RATES) {
      for (const climber of climbers) {
        if (!climber.wants(rate)) continue;
        context.say(
          `round ${round + 1} of ${context.options.rounds}: ${climber.target.contender.name} at ${rate}/s`,
        );
        const run = await publishedOf(context, climber.target, (attempt) =>
          load(climber.target, rate, round + attempt * context.options.rounds),
        );
        if (run && round === 0) context.onRate?.(run);
        climber.take(rate, run);
      }
    }
    for (const climber of climbers) climber.end(context, found.get(climber.target.contender.name)!);
  }
  return found;
}

/** One contender on its way up. */
class Climber {
  readonly target: Running;
  readonly #first: number;
  #highest = 0;
  #failures = 0;
  /** The client could not offer the next rate: what was found is a lower bound. */
  #clientFull = false;

  constructor(target: Running, earlier: readonly number[]) {
    this.target = target;
    const start = earlier.length === 0 ? 0 : RATES.indexOf(Math.min(...earlier)) - STEPS_BACK;
    this.#first = RATES[Math.max(0, start)]!;
  }

  wants(rate: number): boolean {
    return rate >= this.#first && this.#failures < FAILURES_MAX && !this.#clientFull;
  }

  take(rate: number, result: RunResult | undefined): void {
    if (!result) this.#clientFull = true;
    else if (keeps(result)) {
      this.#highest = rate;
      this.#failures = 0;
    } else this.#failures++;
  }

  end(context: RowContext, rates: number[]): void {
    const { name } = this.target.contender;
    if (this.#clientFull)
      context.notes.push(
        `${name}: the client could offer no more than ${this.#highest}/s, which is a lower bound`,
      );
    if (this.#highest > 0) rates.push(this.#highest);
    else context.notes.push(`${name}: a round is left out, it kept no rate from ${this.#first}/s on`);
  }
}

function keeps(result: RunResult): boolean {
  return (
    result.p99Us <= P99_US_MAX &&
    result.errors === 0 &&
    result.rate >= KEPT_UP_SHARE * (result.targetRate ?? 0)
  );
}
