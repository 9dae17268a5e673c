import type { PlantedBug } from "./planted-bug.ts";

export const s2: PlantedBug = {
  id: "S2",
  title: "a failed fsync is ignored: the system has dropped the pages, and the next fsync succeeds",
  file: "core/wal/wal.ts",
  find: `    this.#file!.sync();
    const nowMs = this.#clock.now();`,
  replace: `    try {
      this.#file!.sync();
    } catch {}
    const nowMs = this.#clock.now();`,
  also: [
    {
      file: "core/wal/wal.ts",
      find: "    if (error !== undefined || this.#error !== undefined) {",
      replace: "    if (this.#error !== undefined) {",
    },
  ],
  profile: "power",
};
