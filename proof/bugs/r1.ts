import type { PlantedBug } from "./planted-bug.ts";

export const r1: PlantedBug = {
  id: "R1",
  title: "a leader commits entries of older terms by counting replicas (Raft 5.4.2, figure 8)",
  file: "core/raft/replication.ts",
  find: `  if (index <= state.commitIndex || index < state.termFirstIndex) return;
  assert(index !== Infinity, "a leader has voters");
  assert(state.log.term(index) === state.term, "entries from the leader's first on are of its term");`,
  replace: `  if (index <= state.commitIndex) return;
  assert(index !== Infinity, "a leader has voters");`,
  profile: "churn",
};
