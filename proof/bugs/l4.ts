import type { PlantedBug } from "./planted-bug.ts";

export const l4: PlantedBug = {
  id: "L4",
  title: "the keys of a lease that ends go one by one, each in a revision of its own",
  file: "core/lease/lease-requests.ts",
  find: "      for (const keyId of keyIds) this.#store.deleteKey(keyId);",
  replace: `      for (const [i, keyId] of keyIds.entries()) {
        if (i > 0) {
          this.#store.endRevision();
          this.#store.beginRevision();
        }
        this.#store.deleteKey(keyId);
      }`,
  profile: "leases",
};
