// What a member counts and measures on its way, under etcd's names, so that its dashboards and alerts work unchanged; what
// somebody else keeps is read when it is asked for (gauges.ts). Names of parts that have no counterpart here (the bbolt file,
// the v2 store, Go's runtime) are not made up. Where our part is another than etcd's, its help says which.

import { type Counter, exponentialBounds, type Histogram, type Metrics } from "../base/metrics.ts";

/** Seconds from 1 ms, as most of etcd's histograms have them: 0.001·2^n. */
const FROM_1_MS = exponentialBounds(0.001, 2, 14);
/** The log is synced in less than that; these tell fast disks apart. */
const FROM_50_US = exponentialBounds(0.00005, 2, 16);

export class MemberCounters {
  readonly leaderChanges: Counter;
  readonly proposalsFailed: Counter;
  /** How often this member's state was found to be wrong. */
  readonly divergences: Counter;
  /** Writes that admission control (admission.ts) turned away. */
  readonly refused: Counter;
  readonly slowApply: Counter;
  readonly readIndexesFailed: Counter;
  readonly readIndexesSlow: Counter;
  readonly heartbeatsLate: Counter;
  readonly learnersPromoted: Counter;
  readonly leaseExpired: Counter;
  readonly leaseGranted: Counter;
  readonly leaseRevoked: Counter;
  readonly leaseRenewed: Counter;
  readonly leaseTtlSeconds: Histogram;
  readonly healthSuccess: Counter;
  readonly healthFailure: Counter;
  readonly walFsyncSeconds: Histogram;
  readonly walFsyncFineSeconds: Histogram;
  readonly walWriteSeconds: Histogram;
  readonly checkpointSeconds: Histogram;
  readonly checkpointSliceSeconds: Histogram;
  readonly compactionMs: Histogram;
  readonly compactionPauseMs: Histogram;
  readonly defragmentSeconds: Histogram;
  readonly hashSeconds: Histogram;
  /** When the last compaction ended, seconds since 1970; 0 before. */
  compactionLastSeconds = 0;

  constructor(metrics: Metrics) {
    const counter = (name: string, help: string): Counter => metrics.counter(`etcd_${name}`, help);
    this.leaderChanges = counter("server_leader_changes_seen_total", "The number of leader changes seen.");
    this.proposalsFailed = counter(
      "server_proposals_failed_total",
      "The total number of failed proposals seen.",
    );
    this.divergences = metrics.counter(
      "holdfast_server_divergences_total",
      "How often the state of this member differed from the majority's and was fetched anew.",
    );
    this.refused = metrics.counter(
      "holdfast_server_refused_total",
      "Writes that were refused at once because those that waited took too long.",
    );
    this.slowApply = counter(
      "server_slow_apply_total",
      "The total number of slow apply requests (likely overloaded from slow disk).",
    );
    this.readIndexesFailed = counter(
      "server_read_indexes_failed_total",
      "The total number of failed read indexes seen.",
    );
    this.readIndexesSlow = counter(
      "server_slow_read_indexes_total",
      "The total number of pending read indexes not in sync with leader's or timed out read index requests.",
    );
    this.heartbeatsLate = counter(
      "server_heartbeat_send_failures_total",
      "The total number of leader heartbeats that left more than an interval late.",
    );
    this.learnersPromoted = counter(
      "server_learner_promote_successes",
      "The total number of successful learner promotions seen by this member.",
    );
    this.healthSuccess = counter("server_health_success", "The total number of successful health checks.");
    this.healthFailure = counter("server_health_failures", "The total number of failed health checks.");
    ({
      expired: this.leaseExpired,
      granted: this.leaseGranted,
      revoked: this.leaseRevoked,
      renewed: this.leaseRenewed,
    } = leaseCounters(counter));
    const histogram = (name: string, help: string, bounds: readonly number[]): Histogram =>
      metrics.histogram(name, help, bounds);
    this.leaseTtlSeconds = histogram(
      "etcd_debugging_lease_ttl_total",
      "Bucketed histogram of lease TTLs.",
      exponentialBounds(1, 2, 24),
    );
    ({
      fsync: this.walFsyncSeconds,
      fsyncFine: this.walFsyncFineSeconds,
      write: this.walWriteSeconds,
      checkpoint: this.checkpointSeconds,
      checkpointSlice: this.checkpointSliceSeconds,
    } = diskHistograms(histogram));
    ({
      compaction: this.compactionMs,
      compactionPause: this.compactionPauseMs,
      defragment: this.defragmentSeconds,
      hash: this.hashSeconds,
    } = pastHistograms(histogram));
  }
}

type MakeCounter = (name: string, help: string) => Counter;
type MakeHistogram = (name: string, help: string, bounds: readonly number[]) => Histogram;

function leaseCounters(counter: MakeCounter): Record<"expired" | "granted" | "revoked" | "renewed", Counter> {
  return {
    expired: counter("debugging_server_lease_expired_total", "The total number of expired leases."),
    granted: counter("debugging_lease_granted_total", "The total number of granted leases."),
    revoked: counter("debugging_lease_revoked_total", "The total number of revoked leases."),
    renewed: counter("debugging_lease_renewed_total", "The number of renewed leases seen by the leader."),
  };
}

type DiskHistogram = "fsync" | "fsyncFine" | "write" | "checkpoint" | "checkpointSlice";

function diskHistograms(histogram: MakeHistogram): Record<DiskHistogram, Histogram> {
  return {
    fsync: histogram(
      "etcd_disk_wal_fsync_duration_seconds",
      "The latency distributions of writing to the log and syncing it.",
      FROM_1_MS,
    ),
    fsyncFine: histogram(
      "holdfast_wal_fsync_duration_seconds",
      "The same as etcd_disk_wal_fsync_duration_seconds, in finer buckets.",
      FROM_50_US,
    ),
    write: histogram(
      "etcd_disk_wal_write_duration_seconds",
      "The latency distributions of writes to the log that were synced at once.",
      FROM_1_MS,
    ),
    checkpoint: histogram(
      "holdfast_checkpoint_duration_seconds",
      "How long checkpoints took, while the member served.",
      exponentialBounds(0.005, 2, 14),
    ),
    checkpointSlice: histogram(
      "etcd_disk_backend_commit_duration_seconds",
      "The latency distributions of what a checkpoint holds up: its slices.",
      FROM_1_MS,
    ),
  };
}

type PastHistogram = "compaction" | "compactionPause" | "defragment" | "hash";

function pastHistograms(histogram: MakeHistogram): Record<PastHistogram, Histogram> {
  return {
    compaction: histogram(
      "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
      "Bucketed histogram of compaction total duration.",
      exponentialBounds(100, 2, 14),
    ),
    compactionPause: histogram(
      "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
      "Bucketed histogram of compaction pause duration: its slices.",
      exponentialBounds(1, 2, 13),
    ),
    defragment: histogram(
      "etcd_disk_backend_defrag_duration_seconds",
      "The latency distribution of defragmentation, from the request to its answer.",
      exponentialBounds(0.1, 2, 13),
    ),
    hash: histogram(
      "etcd_mvcc_hash_rev_duration_seconds",
      "The latency distribution of hashes by revision, from the request to its answer.",
      exponentialBounds(0.01, 2, 15),
    ),
  };
}
