import type { PlantedBug } from "./planted-bug.ts";

export const l8: PlantedBug = {
  id: "L8",
  title: "what leases have left is never written down while one member leads",
  file: "core/lease/lessor.ts",
  find: "    this.#roundNextMs = nowMs + this.#options.checkpointMs;\n    this.#clearHi",
  replace: "    this.#roundNextMs = Infinity;\n    this.#clearHi",
  profile: "lease-moves",
};
