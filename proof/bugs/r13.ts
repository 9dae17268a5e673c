import type { PlantedBug } from "./planted-bug.ts";

export const r13: PlantedBug = {
  id: "R13",
  title: "a heartbeat carries the leader's commit index also to members that may lack those entries",
  file: "core/raft/heartbeat.ts",
  find: "  message.commit = Math.min(state.commitIndex, member.match);",
  replace: "  message.commit = state.commitIndex;",
  profile: "churn",
};
