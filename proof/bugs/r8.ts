import type { PlantedBug } from "./planted-bug.ts";

export const r8: PlantedBug = {
  id: "R8",
  title: "a write that a later one replaced vouches for the entries that replaced it (asynchronous append, ABA)",
  file: "core/raft/persistence.ts",
  find: `    for (let i = this.#head; i < this.#tail; i++) {
      if (this.#lastIndexes[i]! > index) this.#lastIndexes[i] = index;
    }`,
  replace: "",
  profile: "slow-disks",
};
