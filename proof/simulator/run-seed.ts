// One seed, from its plan to its verdict.

import { drawPlan, type Plan } from "./plan.ts";
import { Simulation } from "./simulation.ts";
import { armTripwires } from "./tripwires.ts";
import { Violation } from "./violation.ts";
import type { World } from "./world.ts";

export interface SeedResult {
  readonly seed: number;
  readonly profile: string;
  readonly traceHash: string;
  readonly simulatedSeconds: number;
  /** Answers and watch messages that were checked. */
  readonly checkedOperations: number;
  readonly okOperations: number;
  readonly events: number;
  readonly members: number;
  readonly entries: number;
  readonly elections: number;
  readonly expiredLeases: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly violation: FoundViolation | undefined;
}

export interface FoundViolation {
  readonly oracle: string;
  readonly message: string;
  readonly atMs: number;
  /** The last lines of what happened. */
  readonly narrative: readonly string[];
}

const NARRATIVE_LINES = 40;

export function runSeed(seed: number, profile = "swarm"): SeedResult {
  return runPlan(drawPlan(seed, profile));
}

export function runPlan(plan: Plan): SeedResult {
  const simulation = new Simulation(plan);
  const { world } = simulation;
  const disarm = armTripwires();
  let violation: FoundViolation | undefined;
  try {
    simulation.run();
  } catch (error) {
    violation = foundViolation(world, error);
  } finally {
    disarm();
  }
  const { history, scheduler, truth, raft, leases, happenings } = world;
  return {
    seed: plan.seed,
    profile: plan.profile,
    traceHash: world.trace.hex(),
    simulatedSeconds: scheduler.nowUs / 1e6,
    checkedOperations: history.checkedCount + world.watchMessageCount + leases.checkedCount,
    okOperations: history.okCount,
    events: scheduler.count,
    members: plan.memberCount,
    entries: truth.committedIndex,
    elections: raft.electionCount,
    expiredLeases: leases.expiredCount,
    faults: Object.fromEntries([...happenings].sort(([a], [b]) => (a < b ? -1 : 1))),
    violation,
  };
}

function foundViolation(world: World, error: unknown): FoundViolation {
  const atMs = world.scheduler.nowUs / 1000;
  const narrative = world.narrative.slice(-NARRATIVE_LINES);
  if (error instanceof Violation) return { oracle: error.oracle, message: error.message, atMs, narrative };
  // A mistake of the simulator itself, or of core outside of any member's turn.
  const { message, stack } = error as Error;
  const where = (stack ?? "").split("\n").slice(1, 8).join("\n");
  return { oracle: "crash", message: `${message}\n${where}`, atMs, narrative };
}
