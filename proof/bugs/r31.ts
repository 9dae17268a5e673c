import type { PlantedBug } from "./planted-bug.ts";

/** Behind the end of the list of known traps: the shortcut that it is about is our own (reads.ts). */
export const r31: PlantedBug = {
  id: "R31",
  title: "a follower's question for a read is taken for a quorum's answer where it is none",
  file: "core/raft/tracker.ts",
  find: "    return isMajority(first, second, this.#voters) && isMajority(first, second, this.#outgoing);",
  replace: "    return true;",
  profile: "minorities",
};
