import type { PlantedBug } from "./planted-bug.ts";

export const w4: PlantedBug = {
  id: "W4",
  title: "events are lost while a watch stream takes no messages",
  file: "core/watch/delivery.ts",
  find: `      if (!isPending && (stream.isBlocked || batch.hitCount >= hitCountMax))
        this.demote(stream, slot, revision);`,
  replace: `      if (!isPending && stream.isBlocked) continue;
      if (!isPending && batch.hitCount >= hitCountMax) this.demote(stream, slot, revision);`,
  profile: "watches",
};
