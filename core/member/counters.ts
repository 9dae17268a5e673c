// Metrics under etcd's names, so that its dashboards and alerts work unchanged. Values that something else keeps are
// read when asked for; the few that are counted on the way are fields here. Names of parts that have no counterpart here
// (the bbolt file, the v2 store, Go's runtime) are not made up.

import { type Counter, exponentialBounds, type Histogram, type Metrics } from "../base/metrics.ts";
import { id64Hex } from "../base/ids.ts";
import { METHODS, type MethodKind } from "../wire/service.ts";
import { CODE_NAMES } from "../wire/status.ts";
import { ALARM_NAMES } from "./alarms.ts";
import type { Member } from "./member.ts";

const GRPC_TYPES: Readonly<Record<MethodKind, string>> = {
  unary: "unary",
  client: "client_stream",
  server: "server_stream",
  bidi: "bidi_stream",
};

export class MemberCounters {
  readonly leaderChanges: Counter;
  readonly proposalsFailed: Counter;
  /** How often this member's state was found to be wrong. */
  readonly divergences: Counter;
  readonly slowApply: Counter;
  readonly leaseExpired: Counter;
  readonly leaseGranted: Counter;
  readonly leaseRevoked: Counter;
  readonly leaseRenewed: Counter;
  readonly puts: Counter;
  readonly ranges: Counter;
  readonly deletes: Counter;
  readonly txns: Counter;
  readonly healthSuccess: Counter;
  readonly healthFailure: Counter;
  readonly walFsyncSeconds: Histogram;
  readonly checkpointSeconds: Histogram;
  readonly #started: Counter[] = [];
  readonly #handled: Map<number, Counter>[] = [];
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
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
    this.slowApply = counter("server_slow_apply_total", "The total number of slow apply requests.");
    this.leaseExpired = counter(
      "debugging_server_lease_expired_total",
      "The total number of expired leases.",
    );
    this.leaseGranted = counter("debugging_lease_granted_total", "The total number of granted leases.");
    this.leaseRevoked = counter("debugging_lease_revoked_total", "The total number of revoked leases.");
    this.leaseRenewed = counter(
      "debugging_lease_renewed_total",
      "The number of renewed leases seen by the leader.",
    );
    this.puts = counter("mvcc_put_total", "Total number of puts seen by this member.");
    this.ranges = counter("mvcc_range_total", "Total number of ranges seen by this member.");
    this.deletes = counter("mvcc_delete_total", "Total number of deletes seen by this member.");
    this.txns = counter("mvcc_txn_total", "Total number of txns seen by this member.");
    this.healthSuccess = counter("server_health_success", "The total number of successful health checks.");
    this.healthFailure = counter("server_health_failures", "The total number of failed health checks.");
    this.walFsyncSeconds = metrics.histogram(
      "etcd_disk_wal_fsync_duration_seconds",
      "The latency distributions of syncs of the log.",
      exponentialBounds(0.0001, 2, 17),
    );
    this.checkpointSeconds = metrics.histogram(
      "etcd_disk_backend_commit_duration_seconds",
      "The latency distributions of checkpoints.",
      exponentialBounds(0.001, 2, 14),
    );
    for (const method of METHODS) {
      const labels = {
        grpc_type: GRPC_TYPES[method.kind],
        grpc_service: method.service,
        grpc_method: method.name,
      };
      this.#started.push(
        metrics.counter("grpc_server_started_total", "Total number of RPCs started on the server.", labels),
      );
      this.#handled.push(new Map());
    }
  }

  /** A stream counts as started at once and as handled at its end; dashboards show the difference. */
  callStarted(methodId: number): void {
    this.#started[methodId]!.value++;
  }

  callHandled(methodId: number, code: number): void {
    const ofMethod = this.#handled[methodId]!;
    let counter = ofMethod.get(code);
    if (counter === undefined) ofMethod.set(code, (counter = this.#handledCounter(methodId, code)));
    counter.value++;
  }

  #handledCounter(methodId: number, code: number): Counter {
    const method = METHODS[methodId]!;
    const labels = {
      grpc_type: GRPC_TYPES[method.kind],
      grpc_service: method.service,
      grpc_method: method.name,
      grpc_code: CODE_NAMES[code] ?? String(code),
    };
    return this.#metrics.counter(
      "grpc_server_handled_total",
      "Total number of RPCs completed on the server.",
      labels,
    );
  }
}

/** Metrics that are the member's state, read when somebody asks. */
export function registerGauges(member: Member, metrics: Metrics): void {
  const gauge: RegisterGauge = (name, help, read, labels) =>
    metrics.gauge(`etcd_${name}`, help, read, labels);
  registerServerGauges(member, gauge);
  registerStoreGauges(member, gauge);
  registerAlarmGauges(member, gauge);
}

type RegisterGauge = (
  name: string,
  help: string,
  read: () => number,
  labels?: Record<string, string>,
) => void;

function registerServerGauges(member: Member, gauge: RegisterGauge): void {
  const { raft } = member;
  gauge("server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.", () =>
    Number(member.hasLeader),
  );
  gauge("server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.", () =>
    Number(member.isLeader),
  );
  gauge("server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.", () =>
    Number(member.isLearner),
  );
  gauge(
    "server_proposals_committed_total",
    "The total number of consensus proposals committed.",
    () => raft.commitIndex,
  );
  gauge(
    "server_proposals_applied_total",
    "The total number of consensus proposals applied.",
    () => member.appliedIndex,
  );
  gauge(
    "server_proposals_pending",
    "The current number of pending proposals to commit.",
    () => member.pending.count,
  );
  gauge(
    "server_quota_backend_bytes",
    "Current backend storage quota size in bytes.",
    () => member.quotaBytes,
  );
  gauge(
    "server_id",
    "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
    () => 1,
    {
      server_id: id64Hex(member.options.memberId),
    },
  );
  gauge(
    "server_version",
    "Which version is running. 1 for 'server_version' label with current version.",
    () => 1,
    {
      server_version: member.options.reportedVersion,
    },
  );
  gauge(
    "cluster_version",
    "Which version is running. 1 for 'cluster_version' label with current cluster version",
    () => 1,
    {
      cluster_version: "3.6",
    },
  );
}

function registerStoreGauges(member: Member, gauge: RegisterGauge): void {
  gauge(
    "mvcc_db_total_size_in_bytes",
    "Total size of the data in bytes, superseded versions included.",
    () => member.store.sizeBytes,
  );
  gauge(
    "mvcc_db_total_size_in_use_in_bytes",
    "Size of the live data in bytes.",
    () => member.store.sizeInUseBytes,
  );
  gauge("debugging_mvcc_keys_total", "Total number of keys.", () => member.store.keyCount);
  gauge("debugging_mvcc_current_revision", "The current revision of store.", () => member.store.revision);
  gauge(
    "debugging_mvcc_compact_revision",
    "The revision of the last compaction in store.",
    () => member.store.compactedRevision,
  );
  gauge("debugging_mvcc_watcher_total", "Total number of watchers.", () => member.hub.watcherCount);
  gauge("debugging_mvcc_watch_stream_total", "Total number of watch streams.", () => member.hub.streamCount);
  gauge(
    "debugging_mvcc_slow_watcher_total",
    "Total number of unsynced slow watchers.",
    () => member.hub.laggingCount,
  );
}

function registerAlarmGauges(member: Member, gauge: RegisterGauge): void {
  for (const [type, name] of ALARM_NAMES.entries()) {
    if (type === 0) continue;
    const labels = { server_id: id64Hex(member.options.memberId), alarm_type: name };
    gauge(
      "debugging_server_alarms",
      "Alarms for every member in cluster. 1 for 'server_id' label with current ID.",
      () => Number(member.alarms.has(member.options.memberId, type)),
      labels,
    );
  }
}
