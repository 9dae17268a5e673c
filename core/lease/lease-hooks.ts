// What the store needs of the leases while it applies puts and deletions.

export interface LeaseHooks {
  /** The slot of a lease, -1 when there is none. A slot is stable while its lease exists. */
  find(hi: number, lo: number): number;
  attach(slot: number, keyId: number): void;
  detach(slot: number, keyId: number): void;
}
