import type { PlantedBug } from "./planted-bug.ts";

export const r6: PlantedBug = {
  id: "R6",
  title: "a leader counts its own entries before its disk has them, and a single voter commits and applies them",
  file: "core/raft/replication.ts",
  find: "  const durable = state.persistence.durableIndex;",
  replace: "  const durable = state.persistence.handedIndex;",
  profile: "power",
};
