import type { PlantedBug } from "./planted-bug.ts";

export const r23: PlantedBug = {
  id: "R23",
  title: "a longer log counts as newer, whatever the terms of its last entries are (Raft 5.4.1)",
  file: "core/raft/log.ts",
  find: "    return lastTerm > own || (lastTerm === own && lastIndex >= this.lastIndex);",
  replace: "    return lastIndex > this.lastIndex || (lastIndex === this.lastIndex && lastTerm >= own);",
  profile: "churn",
};
