import type { PlantedBug } from "./planted-bug.ts";

export const r10: PlantedBug = {
  id: "R10",
  title: "what a quorum has is read from values that were not sorted",
  file: "core/raft/quorum.ts",
  find: "    while (at > 0 && values[at - 1]! < value) {",
  replace: "    while (at > 1 && values[at - 1]! < value) {",
  profile: "churn",
};
