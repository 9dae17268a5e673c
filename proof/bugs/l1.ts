import type { PlantedBug } from "./planted-bug.ts";

export const l1: PlantedBug = {
  id: "L1",
  title: "a new leader does not extend leases, whose renewals it may not know",
  file: "core/lease/lessor.ts",
  find: "    this.#promotedMs = Math.ceil(nowMs + extensionMs);",
  replace: "    this.#promotedMs = 0;",
  profile: "leases",
};
