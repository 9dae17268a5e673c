// Crash enumeration: power is lost before every call that the log makes, recovery included, and what was acknowledged is
// there afterwards, whatever subset of the unsynced survived.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { type PowerLoss, PowerLossError, SimulatedDisk } from "../../proof/simulator/disk.ts";
import { LogModel } from "../../proof/simulator/log-model.ts";
import { LogScenario } from "../../proof/simulator/log-scenario.ts";
import { Prng } from "../base/prng.ts";

interface Run {
  readonly disk: SimulatedDisk;
  readonly model: LogModel;
  /** False: power was lost on the way. */
  readonly isComplete: boolean;
}

interface World {
  readonly seed: number;
  readonly alignmentBytes: number;
  /** Above a millisecond the log soon syncs in the background. */
  readonly syncMs: number;
  readonly segmentSizeBytes: number;
}

function makeDisk(world: World, clock: SimulatedClock): SimulatedDisk {
  const { seed, alignmentBytes, syncMs } = world;
  return new SimulatedDisk({
    clock,
    prng: new Prng(seed).split("disk"),
    alignmentBytes,
    syncMs: () => syncMs,
  });
}

/** One life of a member. */
function live(world: World, crashBefore: number): Run {
  const clock = new SimulatedClock();
  const disk = makeDisk(world, clock);
  const model = new LogModel();
  const scenario = new LogScenario({
    disk,
    clock,
    model,
    seed: world.seed,
    segmentSizeBytes: world.segmentSizeBytes,
  });
  disk.crashBefore = crashBefore;
  const isComplete = untilPowerLoss(() => {
    scenario.create();
    scenario.append(12);
    scenario.settle();
    scenario.overwrite();
    scenario.append(8);
    scenario.checkpoint();
    scenario.append(10);
    scenario.overwrite();
    scenario.checkpoint();
    // Over more than one segment, into spares that were recycled.
    scenario.append(60);
    scenario.close();
  });
  return { disk, model, isComplete };
}

interface Before {
  readonly disk: SimulatedDisk;
  readonly model: LogModel;
}

/** Lives that found a segment whose name the power loss had taken. */
let unnamedCount = 0;

/** The next life: recovers, checks, appends, ends. Everything that the disk holds is durable before it. */
function liveOn(world: World, before: Before, crashBefore: number): Run {
  const clock = new SimulatedClock();
  const disk = before.disk.copy(clock);
  const model = before.model.copy();
  const scenario = new LogScenario({
    disk,
    clock,
    model,
    seed: world.seed + 1,
    segmentSizeBytes: world.segmentSizeBytes,
  });
  disk.crashBefore = crashBefore;
  const isComplete = untilPowerLoss(() => {
    scenario.restart();
    scenario.append(2);
    scenario.close();
  });
  if (scenario.foundUnnamed) unnamedCount++;
  return { disk, model, isComplete };
}

function untilPowerLoss(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (error instanceof PowerLossError) return false;
    throw error;
  }
}

function losses(world: World, at: number): PowerLoss[] {
  const prng = new Prng(world.seed).split(`loss ${at}`);
  return [
    { prng, survivors: "all", tear: "sector" },
    { prng, survivors: "none", tear: "sector" },
    { prng, survivors: "random", tear: "sector" },
    { prng, survivors: "random", tear: "byte" },
  ];
}

/** Every call of the first life, every outcome, and of the random outcomes every call of the second life. */
function enumerate(world: World, options: { stride: number }): { lives: number; points: number } {
  let lives = 0;
  let points = 0;
  for (let at = 1 + (world.seed % options.stride); ; at += options.stride) {
    if (live(world, at).isComplete) break;
    points++;
    for (const [number, loss] of losses(world, at).entries()) {
      const first = live(world, at);
      const disk = first.disk.afterPowerLoss(loss);
      const where = `seed ${world.seed}, alignment ${world.alignmentBytes}, sync ${world.syncMs} ms, before call ${at}, outcome ${number}`;
      lives += explain(where, () => secondLives(world, { disk, model: first.model }, loss));
    }
  }
  return { lives, points };
}

function secondLives(world: World, before: Before, loss: PowerLoss): number {
  const acknowledged = before.model.acknowledgedCount;
  let lives = 0;
  const crashes = loss.survivors === "random" ? Infinity : 0;
  for (let at = 1; at <= crashes; at += 2) {
    const life = liveOn(world, before, at);
    lives++;
    if (life.isComplete) break;
    assert.ok(life.model.acknowledgedCount >= acknowledged);
    const disk = life.disk.afterPowerLoss(loss);
    assert.ok(liveOn(world, { disk, model: life.model }, Infinity).isComplete);
  }
  const next = liveOn(world, before, Infinity);
  assert.ok(next.isComplete);
  assert.ok(liveOn(world, next, Infinity).isComplete);
  return lives + 2;
}

function explain<T>(where: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

const SEED = Number(process.env["HOLDFAST_SEED"] ?? 1);
/** 1 looks at every call; the gate takes every eighth, others for other seeds. */
const STRIDE = Number(process.env["HOLDFAST_STRIDE"] ?? 8);

for (const syncMs of [0.2, 2]) {
  for (const alignmentBytes of [1, 512, 4096]) {
    const how = `${syncMs < 1 ? "synced on the loop" : "synced in the background"}, alignment ${alignmentBytes}`;
    test(`log keeps what it acknowledged through a power loss at any call, ${how}`, (context) => {
      const world = { seed: SEED, alignmentBytes, syncMs, segmentSizeBytes: 16384 };
      const { lives, points } = enumerate(world, { stride: syncMs < 1 ? STRIDE : Math.ceil(STRIDE / 3) });
      context.diagnostic(`seed ${SEED}: ${points} calls, ${lives} second lives`);
    });
  }
}

// Of all four together: a sample of one of them may miss the few calls while a name is on its way.
test("a power loss took the name of a segment that was written to", (context) => {
  assert.ok(unnamedCount > 0);
  context.diagnostic(`seed ${SEED}: ${unnamedCount} second lives with a segment without its name`);
});
