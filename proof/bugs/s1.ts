import type { PlantedBug } from "./planted-bug.ts";

export const s1: PlantedBug = {
  id: "S1",
  title: "a batch counts as durable when it was handed to the disk, not when the disk has it",
  file: "core/member/member.ts",
  find: "    if (durable) raft.persisted(sequence);",
  replace: "    raft.persisted(sequence);",
  profile: "power",
};
