import type { PlantedBug } from "./planted-bug.ts";

export const r7: PlantedBug = {
  id: "R7",
  title: "a follower acknowledges entries before its disk has them",
  file: "core/raft/follower.ts",
  find: "  const durable = Math.min(state.matchedIndex, state.persistence.durableIndex);",
  replace: "  const durable = state.matchedIndex;",
  profile: "power",
};
