import type { PlantedBug } from "./planted-bug.ts";

export const l7: PlantedBug = {
  id: "L7",
  title: "leadership is handed over without a word of what leases have left",
  file: "core/member/lease-keeper.ts",
  find: "    if (!lessor.isPrimary || lessor.count === 0 || raft.isTransferring) return handOverNow();",
  replace: "    if (lessor.count >= 0 || raft.isTransferring) return handOverNow();",
  profile: "lease-moves",
};
