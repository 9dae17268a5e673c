import type { PlantedBug } from "./planted-bug.ts";

export const r14: PlantedBug = {
  id: "R14",
  title: "a configuration change is proposed while another one is not applied yet, and before the term has committed anything",
  file: "core/raft/membership.ts",
  find: `  if (state.log.unappliedConfCount > 0) return "changePending";`,
  replace: "",
  also: [
    {
      file: "core/raft/membership.ts",
      find: `  if (state.commitIndex < state.termFirstIndex) return "notCommittedInTerm";`,
      replace: "",
    },
  ],
  profile: "members",
};
