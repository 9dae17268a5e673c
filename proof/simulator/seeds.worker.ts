// Runs seeds for whoever started this thread: one message in, one result out. A thread is a realm of its own, and it
// stays busy for as long as a seed takes.

import { parentPort } from "node:worker_threads";
import { runSeed, type SeedResult } from "./run-seed.ts";

export interface SeedOrder {
  readonly seed: number;
  readonly profile: string;
}

if (parentPort === null) throw new Error("This file is started by the simulate command");
const port = parentPort;
port.on("message", (order: SeedOrder) => {
  const result: SeedResult = runSeed(order.seed, order.profile);
  port.postMessage(result);
});
