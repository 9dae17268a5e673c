import type { PlantedBug } from "./planted-bug.ts";

export const l2: PlantedBug = {
  id: "L2",
  title: "a keep-alive is answered by a leader that does not know whether it still leads",
  file: "core/member/lease-api.ts",
  find: "      member.reading.confirmLeadership((failure) => done(failure, hi, lo, ttlSeconds));",
  replace: "      done(undefined, hi, lo, ttlSeconds);",
  profile: "lease-cuts",
};
