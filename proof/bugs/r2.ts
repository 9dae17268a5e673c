import type { PlantedBug } from "./planted-bug.ts";

export const r2: PlantedBug = {
  id: "R2",
  title: "a new leader answers linearizable reads before it has committed an entry of its term",
  file: "core/raft/reads.ts",
  find: "  if (state.commitIndex < state.termFirstIndex) return;",
  replace: "",
  profile: "churn",
};
