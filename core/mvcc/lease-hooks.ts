// What the store tells the leases, which live in a layer below this one.

export interface LeaseHooks {
  /** The slot of a lease, -1 when there is none. A slot is stable while its lease exists. */
  find(hi: number, lo: number): number;
  attach(slot: number, keyId: number): void;
  detach(slot: number, keyId: number): void;
}

/** A store without leases: for tests, and until the lessor is there. */
export const NO_LEASES: LeaseHooks = {
  find: () => -1,
  attach: () => undefined,
  detach: () => undefined,
};
