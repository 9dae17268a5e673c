// A ladder of rates: the highest one that keeps the objectives.

import { type Objective, parseSlo } from "./slo.ts";
import type { RunOptions } from "./options.ts";
import type { RunResult } from "./result.ts";
import { type RunHooks, runOnce } from "./run.ts";
import { formatCount, formatDuration } from "./units.ts";

export interface Ladder {
  readonly format: 1;
  readonly kind: "ladder";
  readonly slo: readonly string[];
  /** Null: not even the lowest. */
  readonly highestRate: number | null;
  readonly steps: readonly RunResult[];
}

/** What is asked of a rate when nobody says: Kubernetes-like, and tight enough to find the knee. */
const SLO_DEFAULT: readonly Objective[] = parseSlo("p99<25ms,errors<0.01%");
/** A store that answers less than this share of what was offered does not keep up, whatever its latencies so far. */
const KEPT_UP_SHARE = 0.98;

/** Climbs until two rates in a row fail: one may have met a hiccup of the machine. */
export async function climb(
  options: RunOptions,
  hooks: RunHooks,
  runStep: typeof runOnce = runOnce,
): Promise<Ladder> {
  const slo = options.slo.length > 0 ? options.slo : SLO_DEFAULT;
  const steps: RunResult[] = [];
  let highestRate: number | null = null;
  let failures = 0;
  for (const rate of [...options.rates].sort((a, b) => a - b)) {
    if (hooks.signal.aborted || failures === 2) break;
    hooks.onPhase(`at ${formatCount(rate)}/s`);
    const result = await runStep(
      { ...options, ratePerSecond: rate, rates: [], slo, preload: options.preload && steps.length === 0 },
      hooks,
    );
    steps.push(result);
    if (keeps(result)) {
      highestRate = rate;
      failures = 0;
    } else failures++;
  }
  return { format: 1, kind: "ladder", slo: slo.map((one) => one.text), highestRate, steps };
}

/** The whole run's objectives decide; windows are reported, but a ladder asks for a rate, not for perfection. */
function keeps(result: RunResult): boolean {
  const kept = result.slo?.objectives.every((one) => one.kept) ?? true;
  return kept && result.published && result.rate >= KEPT_UP_SHARE * (result.targetRate ?? 0);
}

export function describeLadder(ladder: Ladder): string {
  const lines = [
    `  ${"offered".padStart(10)} ${"answered".padStart(10)} ${"p50".padStart(9)} ${"p99".padStart(9)} ${"p99.9".padStart(9)} ${"slowest".padStart(9)}  windows kept`,
  ];
  for (const step of ladder.steps) {
    const latencies = [step.p50Us, step.p99Us, step.p999Us, step.maxUs]
      .map((us) => formatDuration(us).padStart(9))
      .join(" ");
    const windows = step.slo ? `${step.slo.windowsKept} of ${step.slo.windows}` : "";
    const verdict = step.published ? (keeps(step) ? "kept" : "broken") : `void: ${step.refusal}`;
    lines.push(
      `  ${formatCount(step.targetRate ?? 0).padStart(8)}/s ${formatCount(step.rate).padStart(8)}/s ${latencies}  ${windows.padEnd(12)} ${verdict}`,
    );
  }
  lines.push(
    ladder.highestRate === null
      ? `  no rate keeps ${ladder.slo.join(", ")}`
      : `  ${formatCount(ladder.highestRate)}/s is the highest rate that keeps ${ladder.slo.join(", ")}`,
  );
  return `${lines.join("\n")}\n`;
}
