import type { PlantedBug } from "./planted-bug.ts";

export const m3: PlantedBug = {
  id: "M3",
  title: "a member that missed its removal does not believe those that refuse it, and runs on for ever",
  file: "core/member/removal.ts",
  find: "    this.#tellers.add(id64Hex(by));",
  replace: "    this.#stopMs = Number.POSITIVE_INFINITY;",
  profile: "members",
};
