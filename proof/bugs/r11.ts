import type { PlantedBug } from "./planted-bug.ts";

export const r11: PlantedBug = {
  id: "R11",
  title: "what a follower knew to be equal with an earlier leader's log is acknowledged to the next",
  file: "core/raft/roles.ts",
  find: "    state.matchedIndex = 0;",
  replace: "",
  profile: "churn",
};
