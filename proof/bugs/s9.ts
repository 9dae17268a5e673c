import type { PlantedBug } from "./planted-bug.ts";

export const s9: PlantedBug = {
  id: "S9",
  title: "a checkpoint's applied index is taken when it ends, its data when it begins",
  file: "core/member/checkpointer.ts",
  find: "    const extra = (): Uint8Array => joinExtra(head, this.#leasesDone());",
  replace: `    const extra = (): Uint8Array => {
      const later = { appliedIndex: member.appliedIndex, appliedTerm: member.appliedTerm };
      return joinExtra(encodeHead({ ...later, confState, membership, alarms, clusterVersion }), head.length > 0 ? this.#leasesDone() : head);
    };`,
  profile: "checkpoints",
};
