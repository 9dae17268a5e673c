// What a seed stands for: how large the cluster is, what its clients do, how bad the network is, and every fault with its
// time, drawn up front. Each seed leaves out a random half of the kinds of trouble: uniform mixing hides bugs.

import { DEFAULT_LIMITS, type Limits } from "../../core/base/limits.ts";
import { Prng } from "../../core/base/prng.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "../../core/http2/limits.ts";
import type { NetworkWeather } from "./network.ts";
import type { Keyspace, Mix } from "./requests.ts";

/** A member, or whoever leads when the time comes (or somebody who does not). */
export type Target = number | "leader" | "follower";

export type Fault =
  | { readonly kind: "kill"; readonly target: Target; readonly survivors: Survivors; readonly downUs: number }
  | {
      readonly kind: "killAfter";
      readonly word: Word;
      readonly afterUs: number;
      readonly survivors: Survivors;
      readonly downUs: number;
    }
  | { readonly kind: "killAll"; readonly survivors: Survivors; readonly downUs: number }
  | { readonly kind: "pause"; readonly target: Target; readonly lastsUs: number }
  | {
      readonly kind: "isolate";
      readonly target: Target;
      readonly direction: Direction;
      readonly breaks: boolean;
      readonly lastsUs: number;
    }
  | { readonly kind: "split"; readonly breaks: boolean; readonly lastsUs: number }
  | {
      readonly kind: "cutWay";
      readonly from: number;
      readonly to: number;
      readonly both: boolean;
      readonly lastsUs: number;
    }
  | { readonly kind: "slowWay"; readonly target: Target; readonly delayUs: number; readonly lastsUs: number }
  | { readonly kind: "reset"; readonly from: number; readonly to: number }
  | { readonly kind: "clockRate"; readonly target: Target; readonly rate: number }
  | { readonly kind: "slowDisk"; readonly target: Target; readonly syncUs: number; readonly lastsUs: number }
  | { readonly kind: "failSync"; readonly target: Target; readonly downUs: number }
  | {
      readonly kind: "fullDisk";
      readonly target: Target;
      readonly spareBytes: number;
      readonly lastsUs: number;
    }
  | {
      readonly kind: "slowProcessor";
      readonly target: Target;
      readonly turnUs: number;
      readonly lastsUs: number;
    }
  | { readonly kind: "moveLeader" }
  | { readonly kind: "addMember"; readonly asLearner: boolean; readonly startsAfterUs: number }
  | { readonly kind: "removeMember"; readonly target: Target }
  | { readonly kind: "moveMember"; readonly target: Target }
  | RareFault;

/** Drawn apart from the others, so that those of a seed do not depend on them. */
export type RareFault =
  /** The store may grow by so much from now on; for so long, or until the end of everything. */
  | { readonly kind: "quota"; readonly spareBytes: number; readonly forUs: number }
  /** The directory is gone, and somebody starts the member as if it were a new one. */
  | { readonly kind: "wipeDisk"; readonly target: Target; readonly downUs: number };

export type FaultKind = Fault["kind"];
/** A promise on the wire: whoever gives it next loses its power soon after. */
export type Word = "vote" | "acknowledgement" | "candidacy";
export type Direction = "both" | "in" | "out";
/** What a crash leaves of unsynced writes: all is kill -9, the others are a power loss. */
export type Survivors = "all" | "none" | "random";

export interface TimedFault {
  readonly atUs: number;
  readonly fault: Fault;
}

export interface Plan {
  readonly seed: number;
  readonly profile: string;
  readonly memberCount: number;
  readonly clientCount: number;
  readonly watcherCount: number;
  readonly thinkUs: number;
  /** How long clients ask and faults happen. */
  readonly activeUs: number;
  readonly electionMs: number;
  readonly heartbeatMs: number;
  /** Off, changes of members are not refused while others are away. */
  readonly strictReconfigCheck: boolean;
  /** What a sync takes at most without trouble; at least a quarter of it. */
  readonly syncUs: number;
  readonly limits: Limits;
  readonly transportLimits: TransportLimits;
  readonly mix: Mix;
  readonly keyspace: Keyspace;
  /** How many of the first members run a program of the format before, until they are started again. */
  readonly olderCount: number;
  /** Of leases that clients ask for, least and most. */
  readonly leaseTtlSeconds: readonly [number, number];
  readonly weather: NetworkWeather;
  readonly faults: readonly TimedFault[];
}

const KIB = 1024;

/** Members that may be added while a plan is played. */
export const ADDED_MEMBER_COUNT_MAX = 6;

/** Of a plan with a quota: what a compaction gives back is whole segments, so they are small beside what a quota leaves. */
export const QUOTA_SEGMENT_BYTES = 4 * KIB;

/** The most a clock may be wrong, as a share: what the lease oracle allows for. */
export const DRIFT_MAX = 0.05;

const FAULT_WEIGHTS: Readonly<Record<Exclude<FaultKind, RareFault["kind"]>, number>> = {
  kill: 6,
  killAfter: 3,
  killAll: 1,
  pause: 4,
  isolate: 4,
  split: 3,
  cutWay: 2,
  slowWay: 2,
  reset: 2,
  clockRate: 2,
  slowDisk: 2,
  failSync: 2,
  slowProcessor: 2,
  fullDisk: 1,
  moveLeader: 2,
  addMember: 1,
  removeMember: 1,
  moveMember: 1,
};

/** What a profile may fix; the rest is drawn. */
export interface Profile {
  readonly memberCounts?: readonly number[];
  readonly faultKinds?: readonly (keyof typeof FAULT_WEIGHTS)[];
  /** How many of the plans have such a fault, as a share. */
  readonly rareShares?: Readonly<Partial<Record<RareFault["kind"], number>>>;
  readonly faultCount?: readonly [number, number];
  readonly weather?: Partial<NetworkWeather>;
  readonly mix?: Partial<Mix>;
  readonly survivors?: readonly Survivors[];
  readonly syncUsMax?: number;
  /** Of every disk without trouble. */
  readonly syncUs?: readonly number[];
  readonly limits?: Partial<Limits>;
  readonly keyCount?: number;
  readonly leaseTtlSeconds?: readonly [number, number];
  readonly activeUs?: number;
  readonly electionMs?: number;
}

/** Situations that are rare under uniform trouble; for bugs that need them, and for a share of the nightly seeds. */
export const PROFILES: Readonly<Record<string, Profile>> = {
  swarm: { rareShares: { quota: 0.15, wipeDisk: 0.15 } },
  /** Leaders that come and go while some entries are only on a few members. */
  churn: {
    memberCounts: [5, 3],
    faultKinds: ["kill", "isolate", "split", "moveLeader"],
    faultCount: [12, 20],
  },
  /** Members that stop and go on, with messages that come twice and late. */
  stale: {
    memberCounts: [3],
    faultKinds: ["pause", "isolate", "moveLeader"],
    faultCount: [8, 14],
    weather: {
      duplicateShare: 0.2,
      duplicateUsMax: 2_000_000,
      tailShare: 0.1,
      tailUsMax: 500_000,
      reorderShare: 0.1,
    },
  },
  /** Leaders that keep a follower, not a majority, and do not know it for a while. */
  minorities: {
    memberCounts: [5],
    faultKinds: ["split"],
    faultCount: [12, 20],
    electionMs: 1_000,
    mix: { put: 30, range: 60 },
  },
  /** Power losses on slow disks. */
  power: {
    faultKinds: ["kill", "killAfter", "killAll", "slowDisk", "failSync"],
    faultCount: [10, 16],
    survivors: ["none", "random"],
    syncUsMax: 20_000,
    syncUs: [400, 3_000, 30_000],
  },
  /** Disks so slow that several writes are on their way when leaders change. */
  "slow-disks": {
    memberCounts: [3, 5],
    faultKinds: ["slowDisk", "isolate", "pause", "split", "kill"],
    faultCount: [12, 20],
    syncUsMax: 400_000,
  },
  /** Checkpoints all the time, in small slices, members that come back from them, and a past that is on disk only. */
  checkpoints: {
    faultKinds: ["kill", "killAll", "pause", "isolate", "failSync"],
    faultCount: [8, 14],
    limits: {
      checkpointEntryCount: 40,
      catchUpEntryCount: 5,
      checkpointLogBytes: 16 * KIB,
      sliceRecordCount: 10,
      dataSegmentSizeBytes: 32 * KIB,
      supersededBytesMax: 0,
    },
  },
  /** Members that are added, promoted and removed while leaders change. */
  members: {
    memberCounts: [1, 3, 3, 5, 7],
    faultKinds: ["addMember", "removeMember", "moveMember", "kill", "isolate", "moveLeader", "pause"],
    faultCount: [10, 18],
    rareShares: { wipeDisk: 0.4 },
  },
  /** Leases under wrong clocks and new leaders. */
  leases: {
    memberCounts: [3],
    faultKinds: ["pause", "isolate", "clockRate", "moveLeader", "kill"],
    faultCount: [6, 12],
    mix: { lease: 40, put: 40 },
  },
  /** Leases that outlive several leaders, which hand over, and some that are cut off. */
  "lease-moves": {
    memberCounts: [3],
    faultKinds: ["moveLeader", "moveLeader", "moveLeader", "isolate", "kill", "clockRate"],
    faultCount: [10, 18],
    mix: { lease: 40, put: 40 },
    leaseTtlSeconds: [4, 10],
    activeUs: 20_000_000,
    electionMs: 300,
  },
  /** Leaders that are not heard any more and cannot hear, with a remainder of every lease in the log. */
  "lease-cuts": {
    memberCounts: [3],
    faultKinds: ["isolate", "clockRate", "pause"],
    faultCount: [12, 20],
    mix: { lease: 40, put: 40 },
    leaseTtlSeconds: [2, 4],
    activeUs: 20_000_000,
    electionMs: 1_000,
    limits: { leaseCheckpointMs: 300 },
  },
  /** Watchers that lag, compactions under them. */
  watches: { mix: { compact: 4, txn: 30, deleteRange: 20, put: 40 }, keyCount: 8 },
};

export function drawPlan(seed: number, profileName = "swarm"): Plan {
  const profile = PROFILES[profileName];
  if (profile === undefined)
    throw new Error(`Unknown profile ${profileName}: it is none of ${Object.keys(PROFILES).join(", ")}`);
  const prng = new Prng(seed);
  const shape = prng.split("shape");
  const memberCount = shape.pick(profile.memberCounts ?? [1, 3, 3, 3, 3, 3, 5, 5, 5, 7]);
  const activeUs = profile.activeUs ?? 10_000_000;
  const rareFaults = drawRareFaults(prng.split("rare faults"), profile, { memberCount, activeUs });
  const faults = [...drawFaults(prng.split("faults"), profile, { memberCount, activeUs }), ...rareFaults];
  const hasQuota = rareFaults.some(({ fault }) => fault.kind === "quota");
  return {
    seed,
    profile: profileName,
    memberCount,
    clientCount: 20,
    watcherCount: shape.between(3, 6),
    thinkUs: 45_000,
    activeUs,
    electionMs: profile.electionMs ?? shape.pick([300, 500, 1000]),
    heartbeatMs: shape.pick([50, 100]),
    strictReconfigCheck: shape.chance(0.2),
    syncUs: shape.pick(profile.syncUs ?? [400, 400, 400, 3_000]),
    limits: {
      ...drawLimits(prng.split("limits")),
      ...profile.limits,
      ...(hasQuota ? { dataSegmentSizeBytes: QUOTA_SEGMENT_BYTES } : {}),
    },
    transportLimits: {
      ...DEFAULT_TRANSPORT_LIMITS,
      // How much of a call waits before its writer is told to wait, and how much goes out in one piece.
      streamOutputBytesMax: shape.pick([2 * KIB, 16 * KIB, 256 * KIB]),
      outputSliceBytes: shape.pick([4 * KIB, 128 * KIB]),
    },
    mix: { ...drawMix(prng.split("mix")), ...profile.mix },
    keyspace: {
      keyCount: profile.keyCount ?? shape.pick([4, 20, 100]),
      valueSizeBytesMax: shape.pick([32, 256, 4096]),
    },
    olderCount: shape.chance(0.25) ? shape.between(1, memberCount) : 0,
    leaseTtlSeconds:
      profile.leaseTtlSeconds ??
      shape.pick<readonly [number, number]>([
        [2, 5],
        [2, 5],
        [4, 10],
      ]),
    weather: { ...drawWeather(prng.split("weather")), ...profile.weather },
    faults: faults.sort((a, b) => a.atUs - b.atUs),
  };
}

/** Small ones, so that every boundary is crossed in ten seconds. */
function drawLimits(prng: Prng): Limits {
  return {
    ...DEFAULT_LIMITS,
    quotaBytes: -1,
    checkpointEntryCount: prng.pick([100, 500, 5_000]),
    catchUpEntryCount: prng.pick([0, 20, 200, 5_000]),
    checkpointLogBytes: prng.pick([32 * KIB, 256 * KIB, 16 * 1024 * KIB]),
    walSegmentSizeBytes: prng.pick([64 * KIB, 256 * KIB]),
    dataSegmentSizeBytes: prng.pick([128 * KIB, 256 * KIB]),
    sliceRecordCount: prng.pick([10, 100, 2_000]),
    raftAppendBytesMax: prng.pick([256, 4 * KIB, 64 * KIB]),
    raftInflightCountMax: prng.pick([2, 16, 512]),
    raftArenaBytes: 64 * KIB,
    raftMemoryBytesMax: 512 * KIB,
    watchSliceUnits: prng.pick([4, 64, 4_096]),
    watchBatchBytes: prng.pick([512, 16 * KIB, 1024 * KIB]),
    commitNoticeDelayMs: prng.pick([0, 1, 1, 10]),
    watchGroupCount: prng.pick([1, 8, 512]),
    watchPassRevisionCount: prng.pick([5, 100, 1_000]),
    supersededBytesMax: prng.pick([0, 64 * KIB, 64 * 1024 * KIB]),
    leaseCheckpointMs: prng.pick([300, 1_000, 60_000]),
    admittedMs: prng.pick([2, 20, 100]),
    admittedCountMin: prng.pick([4, 1_000]),
    sparedDelayMs: prng.pick([0, 2, 2, 20]),
  };
}

function drawMix(prng: Prng): Mix {
  // Off, some, much: each kind of request on its own.
  const draw = (some: number): number => some * prng.pick([0, 1, 1, 2, 3]);
  return {
    put: 5 + draw(15),
    deleteRange: draw(6),
    range: 5 + draw(12),
    serializable: draw(6),
    txn: draw(10),
    readTxn: draw(4),
    compact: prng.pick([0, 0, 1, 2]),
    state: draw(4),
    lease: prng.pick([0, 4, 12]),
  };
}

function drawWeather(prng: Prng): NetworkWeather {
  return {
    delayUs: prng.pick([100, 300, 1_000]),
    tailShare: prng.pick([0, 0, 0.01, 0.05]),
    tailUsMax: prng.pick([5_000, 100_000, 400_000]),
    lossShare: prng.pick([0, 0, 0.01, 0.05]),
    duplicateShare: prng.pick([0, 0, 0.02, 0.1]),
    reorderShare: prng.pick([0, 0, 0.02, 0.1]),
    duplicateUsMax: prng.pick([1_000, 50_000, 2_000_000]),
  };
}

/** A renewal whose answer was lost may wait twice, at a member and on the way to the leader, for as long as troubles last. */
export function strayUsOf({ faults, weather }: Plan): number {
  const lastsUs = faults.map(({ fault }) => ("lastsUs" in fault ? fault.lastsUs : 0));
  return 2 * Math.max(0, ...lastsUs) + weather.tailUsMax + 1_000_000;
}

interface FaultFrame {
  readonly memberCount: number;
  readonly activeUs: number;
}

function drawFaults(prng: Prng, profile: Profile, frame: FaultFrame): TimedFault[] {
  const all = Object.keys(FAULT_WEIGHTS) as (keyof typeof FAULT_WEIGHTS)[];
  const kinds = profile.faultKinds ?? all.filter(() => prng.chance(0.5));
  if (kinds.length === 0) return [];
  const [least, most] =
    profile.faultCount ??
    prng.pick([
      [0, 2],
      [2, 8],
      [6, 16],
    ] as const);
  const total = kinds.reduce((sum, kind) => sum + FAULT_WEIGHTS[kind], 0);
  const faults: TimedFault[] = [];
  for (let i = prng.between(least, most); i > 0; i--) {
    let at = prng.below(total);
    const kind = kinds.find((one) => (at -= FAULT_WEIGHTS[one]) < 0)!;
    const fault = drawFault(prng, kind, profile, frame);
    faults.push({ atUs: drawTime(prng, frame), fault });
  }
  return faults;
}

function drawRareFaults(prng: Prng, profile: Profile, frame: FaultFrame): TimedFault[] {
  const { quota = 0, wipeDisk = 0 } = profile.rareShares ?? {};
  const faults: TimedFault[] = [];
  if (prng.chance(quota)) {
    const spareBytes = prng.pick([0, 1, 4, 16]) * KIB;
    // One in two lasts until the end.
    const forUs = prng.chance(0.5) ? prng.between(1_000_000, 5_000_000) : Number.POSITIVE_INFINITY;
    faults.push({ atUs: drawTime(prng, frame), fault: { kind: "quota", spareBytes, forUs } });
  }
  if (prng.chance(wipeDisk)) {
    const target: Target = prng.chance(0.5) ? "leader" : prng.below(frame.memberCount);
    const fault: Fault = { kind: "wipeDisk", target, downUs: prng.between(10_000, 2_000_000) };
    // Whoever is not known to have been there is new.
    faults.push({ atUs: Math.max(2_000_000, drawTime(prng, frame)), fault });
  }
  return faults;
}

function drawTime(prng: Prng, { activeUs }: FaultFrame): number {
  return prng.between(400_000, activeUs - 100_000);
}

function drawFault(
  prng: Prng,
  kind: keyof typeof FAULT_WEIGHTS,
  profile: Profile,
  { memberCount }: FaultFrame,
): Fault {
  const target: Target = prng.chance(0.5)
    ? "leader"
    : prng.chance(0.3)
      ? "follower"
      : prng.below(memberCount);
  const survivors = prng.pick<Survivors>(profile.survivors ?? ["all", "all", "none", "random"]);
  // Many short troubles, some long ones.
  const lastsUs = prng.chance(0.7) ? prng.between(50_000, 1_500_000) : prng.between(1_000_000, 5_000_000);
  const downUs = prng.chance(0.7) ? prng.between(10_000, 1_000_000) : prng.between(500_000, 4_000_000);
  switch (kind) {
    case "kill":
      return { kind, target, survivors, downUs };
    case "killAfter":
      return {
        kind,
        word: prng.pick<Word>(["vote", "acknowledgement", "candidacy"]),
        afterUs: prng.below(5_000),
        survivors,
        downUs: prng.between(1_000, downUs),
      };
    case "killAll":
      return { kind, survivors, downUs };
    case "pause":
      return { kind, target, lastsUs };
    case "isolate":
      return {
        kind,
        target,
        direction: prng.pick(["both", "both", "in", "out"]),
        breaks: prng.chance(0.5),
        lastsUs,
      };
    case "split":
      return { kind, breaks: prng.chance(0.5), lastsUs };
    case "cutWay":
    case "reset": {
      const from = prng.below(memberCount);
      const to = (from + 1 + prng.below(Math.max(1, memberCount - 1))) % memberCount;
      return kind === "reset" ? { kind, from, to } : { kind, from, to, both: prng.chance(0.5), lastsUs };
    }
    case "slowWay":
      return { kind, target, delayUs: prng.between(5_000, 400_000), lastsUs };
    case "clockRate":
      return { kind, target, rate: 1 + (prng.float() * 2 - 1) * DRIFT_MAX };
    case "slowDisk":
      return { kind, target, syncUs: prng.between(1_000, profile.syncUsMax ?? 100_000), lastsUs };
    case "failSync":
      return { kind, target, downUs };
    case "fullDisk":
      return { kind, target, spareBytes: prng.pick([0, 8, 64, 512]) * KIB, lastsUs };
    case "slowProcessor":
      return { kind, target, turnUs: prng.between(500, 20_000), lastsUs };
    case "moveLeader":
      return { kind };
    case "addMember":
      return { kind, asLearner: prng.chance(0.6), startsAfterUs: prng.below(500_000) };
    case "removeMember":
    case "moveMember":
      return { kind, target };
  }
}

/** One line for the narrative. */
export function describeFault(fault: Fault): string {
  const { kind, ...rest } = fault;
  const parts = Object.entries(rest).map(
    ([name, value]) =>
      `${name} ${typeof value === "number" && name.endsWith("Us") ? `${Math.round(value / 1000)} ms` : String(value)}`,
  );
  return parts.length === 0 ? kind : `${kind}: ${parts.join(", ")}`;
}
