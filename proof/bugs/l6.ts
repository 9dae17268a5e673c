import type { PlantedBug } from "./planted-bug.ts";

export const l6: PlantedBug = {
  id: "L6",
  title: "a renewal is answered while the entry that clears the lease's remainder is still on its way",
  file: "core/member/lease-api.ts",
  find: `    case "needs-clear":
    case "expired":`,
  replace: `    case "needs-clear": {
      member.housekeeping.wantClears();
      const ttlSeconds = member.lessor.table.ttlSeconds(member.lessor.find(hi, lo));
      member.reading.confirmLeadership((failure) => done(failure, hi, lo, ttlSeconds));
      return;
    }
    case "expired":`,
  profile: "lease-moves",
};
