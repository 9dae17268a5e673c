import type { PlantedBug } from "./planted-bug.ts";

export const r22: PlantedBug = {
  id: "R22",
  title: "an old append cuts off entries that came later, although the logs agree",
  file: "core/raft/follower.ts",
  find: `      else if (log.term(index) === cursor.term) continue;
      else {
        assert(index > state.commitIndex, "what is committed is never replaced (Raft 5.4.3)");
        assert(index > state.matchedIndex, "a leader never replaces its own entries (Raft 5.3)");`,
  replace: `      else {
        assert(index > state.commitIndex, "what is committed is never replaced (Raft 5.4.3)");`,
  profile: "stale",
};
