// A row of goals.md that needs more than a load: what it is, its values, and the small questions that such rows ask of a
// store's process.

import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { METHOD } from "../../core/wire/service.ts";
import { type RowContext, sleep } from "./contenders.ts";
import { type Demands, type FigurePlan, figureResult, type FigureResult } from "./figures.ts";
import { openForeignStore } from "./foreign-store.ts";
import type { Cluster } from "./launch.ts";
import { readProcess } from "./process-sampler.ts";
import { clockUs } from "./ticker.ts";

/** A row that needs more than a load. `run` fills in values by figure and contender, one a sample. */
export interface ProcessRow {
  readonly id: string;
  readonly what: string;
  readonly figures: readonly FigurePlan[];
  /** Rows that are measured along with this one, whose figures are named "P18 …", and what they are. */
  readonly shares?: Readonly<Record<string, string>>;
  /** What was added before a failure is kept. */
  readonly run: (context: RowContext, values: Values) => Promise<void>;
}

export class Values {
  readonly #values = new Map<string, Map<string, number[]>>();

  add(figure: string, contender: string, value: number): void {
    let byContender = this.#values.get(figure);
    if (!byContender) this.#values.set(figure, (byContender = new Map<string, number[]>()));
    byContender.set(contender, [...(byContender.get(contender) ?? []), value]);
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  of(figure: string, contender: string): readonly number[] {
    return this.#values.get(figure)?.get(contender) ?? [];
  }
}

/** The figures of what was measured. `failed`: a figure without a value of ours is then one that is not met. */
export function processFigures(
  context: RowContext,
  row: ProcessRow,
  found: { values: Values; failed: boolean },
): FigureResult[] {
  const prng = new Prng(context.options.seed);
  const { values, failed } = found;
  const ours = context.options.ours.name;
  return row.figures
    .filter((figure) => failed || values.of(figure.name, ours).length > 0)
    .map((figure) => {
      const rivals = context.options.rivals.filter((one) => values.of(figure.name, one.name).length > 0);
      return figureResult(
        figure,
        {
          ours: values.of(figure.name, ours),
          rivals: new Map(rivals.map((one) => [one.name, values.of(figure.name, one.name)])),
        },
        prng,
      );
    });
}

const START_TIMEOUT_MS = 60_000;

/** Tries again and again until a put is acknowledged. Milliseconds since `sinceUs`. */
export async function untilPut(cluster: Cluster, sinceUs: number): Promise<number> {
  for (;;) {
    if (cluster.pids().length === 0) throw new Error(`${cluster.kind} ended at its start`);
    if (await tryPut(cluster)) return (clockUs() - sinceUs) / 1000;
    if ((clockUs() - sinceUs) / 1000 > START_TIMEOUT_MS)
      throw new Error(`${cluster.kind} acknowledged no put within ${START_TIMEOUT_MS} ms`);
    await sleep(5);
  }
}

async function tryPut(cluster: Cluster): Promise<boolean> {
  const endpoint = cluster.endpoints[0]!;
  try {
    if (cluster.kind === "zookeeper" || cluster.kind === "consul") {
      const store = await openForeignStore(cluster.kind, [endpoint], 1);
      const key = encodeUtf8(`first${process.hrtime.bigint()}`);
      const ended = new Promise<string | undefined>((resolve) => {
        store.sink = { onEnd: (_slot, failure) => resolve(failure) };
        setTimeout(resolve, 2000, "no answer in time");
      });
      store.put(0, key, key.length, key, 0, key.length);
      const failure = await ended;
      await store.close();
      return failure === undefined;
    }
    await cluster.withControl(0, async (control) =>
      control.call(METHOD.put, { key: encodeUtf8("first"), value: encodeUtf8("put") }, 2000),
    );
    return true;
  } catch {
    return false;
  }
}

export function residentBytes(cluster: Cluster): number {
  return cluster.pids().reduce((sum, pid) => sum + (readProcess(pid)?.rssBytes ?? 0), 0);
}

export const MB = 1e6;

export function lower(name: string, unit: string, demands: Demands): FigurePlan {
  return { name, unit, better: "lower", demands };
}

export function higher(name: string, unit: string, demands: Demands): FigurePlan {
  return { name, unit, better: "higher", demands };
}
