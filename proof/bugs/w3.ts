import type { PlantedBug } from "./planted-bug.ts";

export const w3: PlantedBug = {
  id: "W3",
  title: "a watcher that shares a catch-up pass with one further behind gets events a second time",
  file: "core/watch/delivery.ts",
  find: "    return !this.#watchers.has(slot, filter) && this.#watchers.cursor(slot) <= revision;",
  replace: "    return !this.#watchers.has(slot, filter);",
  profile: "watches",
};
