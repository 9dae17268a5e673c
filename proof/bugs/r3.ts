import type { PlantedBug } from "./planted-bug.ts";

export const r3: PlantedBug = {
  id: "R3",
  title: "the name of a read request is used again, so that an old answer confirms a new read",
  file: "core/raft/reads.ts",
  find: "  state.readNumber++;",
  replace: "  state.readNumber = 1;",
  profile: "stale",
};
