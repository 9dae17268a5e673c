// Many seeds, spread over worker threads.

import { Worker } from "node:worker_threads";
import { workerUrl } from "../../io/worker-url.ts";
import { PROFILES } from "./plan.ts";
import type { SeedResult } from "./run-seed.ts";
import type { SeedOrder } from "./seeds.worker.ts";

export interface SweepOptions {
  readonly workerCount: number;
  /** The code that runs; by default this program's own. */
  readonly worker?: URL;
  /** The next seed to run; undefined when there is none. */
  readonly next: () => SeedOrder | undefined;
  /** A result, in the order in which they come; true ends the sweep. */
  readonly onResult: (result: SeedResult) => boolean;
  readonly signal?: AbortSignal;
}

/** Three of four seeds are the uniform swarm, the fourth goes to one of the special situations in turn. */
export function profileOf(seed: number): string {
  const special = Object.keys(PROFILES).filter((name) => name !== "swarm");
  return seed % 4 === 0 ? special[(seed / 4) % special.length]! : "swarm";
}

/** Resolves when all seeds have run, or `onResult` said that it is enough. */
export async function sweep(options: SweepOptions): Promise<void> {
  const workers = Array.from(
    { length: options.workerCount },
    () => new Worker(options.worker ?? workerUrl("proof/simulator/seeds.worker.ts")),
  );
  let isEnough = false;
  const drive = async (worker: Worker): Promise<void> => {
    while (!isEnough && options.signal?.aborted !== true) {
      const order = options.next();
      if (order === undefined) return;
      const result = await ask(worker, order);
      if (!isEnough && options.onResult(result)) isEnough = true;
    }
  };
  try {
    await Promise.all(workers.map((worker) => drive(worker)));
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/**
 * Runs seeds again, in fresh threads; strays are those that give another trace than the first time. Once there is a hurry
 * it runs no more than one per thread.
 */
export async function rerun(
  results: readonly SeedResult[],
  options: Pick<SweepOptions, "workerCount" | "worker"> & { readonly isHurried: () => boolean },
): Promise<{ readonly strays: SeedResult[]; readonly rerunCount: number }> {
  const waiting = [...results];
  const strays: SeedResult[] = [];
  let rerunCount = 0;
  const isEnough = (): boolean =>
    options.isHurried() && results.length - waiting.length >= options.workerCount;
  await sweep({
    ...options,
    next: () => (isEnough() ? undefined : waiting.pop()),
    onResult: (again) => {
      rerunCount++;
      const first = results.find((result) => result.seed === again.seed)!;
      const message = `seed ${again.seed} gave trace ${first.traceHash}, and ${again.traceHash} when it was run again`;
      const violation = { oracle: "determinism", message, atMs: 0, narrative: [] };
      if (again.traceHash !== first.traceHash) strays.push({ ...again, violation });
      return false;
    },
  });
  return { strays, rerunCount };
}

function ask(worker: Worker, order: SeedOrder): Promise<SeedResult> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      worker.off("message", onMessage);
      worker.off("error", onError);
      worker.off("exit", onExit);
    };
    const onMessage = (result: SeedResult): void => {
      settle();
      resolve(result);
    };
    const onError = (error: Error): void => {
      settle();
      reject(error);
    };
    const onExit = (): void => {
      settle();
      reject(new Error(`The worker ended while it ran seed ${order.seed}`));
    };
    worker.on("message", onMessage);
    worker.on("error", onError);
    worker.on("exit", onExit);
    worker.postMessage(order);
  });
}
