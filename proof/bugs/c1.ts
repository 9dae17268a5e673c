import type { PlantedBug } from "./planted-bug.ts";

export const c1: PlantedBug = {
  id: "C1",
  title: "a write that may be in the log is refused as one that its leader has certainly not taken",
  file: "core/member/member.ts",
  find: "    this.forwarding.failAll(STATUS.leaderChanged);",
  replace: `    this.forwarding.failAll(STATUS.leaderChanged);
    for (let call = this.pending.takeAny(); call !== undefined; call = this.pending.takeAny())
      call.fail(STATUS.leaderChanged);`,
  profile: "churn",
};
