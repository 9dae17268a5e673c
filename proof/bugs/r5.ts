import type { PlantedBug } from "./planted-bug.ts";

export const r5: PlantedBug = {
  id: "R5",
  title: "votes and terms are answered before they are durable",
  file: "core/raft/persistence.ts",
  find: "    return !this.hardStateDirty && this.ackedSequence >= this.#hardStateSequence;",
  replace: "    return true;",
  profile: "power",
};
