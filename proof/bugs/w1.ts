import type { PlantedBug } from "./planted-bug.ts";

export const w1: PlantedBug = {
  id: "W1",
  title: "progress is reported to a stream whose watchers have not had all events yet",
  file: "core/watch/hub.ts",
  find: "    if (stream.watcherCount === 0 || stream.firstLagging !== 0) return false;",
  replace: "    if (stream.watcherCount === 0) return false;",
  profile: "watches",
};
