// The table of the server's flags: etcd's names and defaults.
//
// `built` ones work. `fixed` ones have one value that is true here; any other is refused. `idle` ones are accepted,
// because manifests and test suites pass them, but there is nothing here for them to act on (there is no bbolt file); the
// reason is logged when one is set. `refused` ones name a feature that is not built: the server stops and names the
// flag instead of pretending.

/** `anything` takes a value only with `=`, and any. */
export type FlagType = "text" | "number" | "boolean" | "duration" | "list" | "anything";

export interface FlagSpec {
  readonly name: string;
  readonly type: FlagType;
  readonly default: string;
  readonly help: string;
  readonly state: "built" | "fixed" | "idle" | "refused";
  /** For all but `built`: why. */
  readonly why?: string;
}

function built(name: string, type: FlagType, value: string, help: string): FlagSpec {
  return { name, type, default: value, help, state: "built" };
}

function fixed(name: string, type: FlagType, value: string, why: string): FlagSpec {
  return { name, type, default: value, help: `only '${value}': ${why}`, state: "fixed", why };
}

function idle(name: string, type: FlagType, value: string, why: string): FlagSpec {
  return { name, type, default: value, help: `accepted without effect: ${why}`, state: "idle", why };
}

function refused(names: string, why: string, type: FlagType = "text"): FlagSpec[] {
  return names
    .split(" ")
    .map((name) => ({ name, type, default: "", help: `not built yet: ${why}`, state: "refused", why }));
}

const NO_BBOLT = "there is no bbolt file";
const NO_AUTH = "authentication is not built yet";
const REMAINDERS = "what is left of a lease is always kept in the log";
const HASHES = "members compare hashes all the time";

/** Of releases long gone. */
const IGNORED = [
  ..."cluster-active-size cluster-remove-delay cluster-sync-interval config force max-result-buffer".split(
    " ",
  ),
  ..."max-retry-attempts peer-heartbeat-interval peer-election-timeout retry-interval snapshot v vv".split(
    " ",
  ),
];

export const SERVER_FLAGS: readonly FlagSpec[] = [
  built("name", "text", "default", "name of this member, as in --initial-cluster"),
  built("data-dir", "text", "", "directory of all data; ${name}.etcd when empty"),
  built("listen-client-urls", "list", "http://localhost:2379", "where clients are served, gRPC and HTTP"),
  built("advertise-client-urls", "list", "http://localhost:2379", "client URLs told to others"),
  built("listen-peer-urls", "list", "http://localhost:2380", "where other members are served"),
  built("initial-advertise-peer-urls", "list", "http://localhost:2380", "peer URLs told to others"),
  built("initial-cluster", "text", "", "name=url pairs of the first members"),
  built("initial-cluster-state", "text", "new", "new or existing"),
  built("initial-cluster-token", "text", "etcd-cluster", "makes the ids of this cluster its own"),
  built("listen-metrics-urls", "list", "", "further URLs for /metrics and the health paths alone"),
  built("heartbeat-interval", "number", "100", "milliseconds between a leader's heartbeats"),
  built("election-timeout", "number", "1000", "milliseconds without a leader after which an election starts"),
  built(
    "snapshot-count",
    "number",
    "10000",
    "entries after which a checkpoint may be taken; 50,000 when left at the default",
  ),
  built(
    "quota-backend-bytes",
    "number",
    "0",
    "size of the data that raises the NOSPACE alarm; 0 is 2 GiB, negative none",
  ),
  built("max-txn-ops", "number", "128", "operations of a transaction"),
  built("max-request-bytes", "number", "1572864", "largest request"),
  built("max-concurrent-streams", "number", "4294967295", "streams of one connection"),
  built("cert-file", "text", "", "certificate of the client port (https)"),
  built("key-file", "text", "", "key of the client port"),
  built("trusted-ca-file", "text", "", "authority of client certificates"),
  built("client-cert-auth", "boolean", "false", "demand a certificate of every client"),
  built("peer-cert-file", "text", "", "certificate of the peer port (https)"),
  built("peer-key-file", "text", "", "key of the peer port"),
  built("peer-trusted-ca-file", "text", "", "authority of peers' certificates"),
  built("peer-client-cert-auth", "boolean", "false", "demand a certificate of every peer"),
  built(
    "watch-progress-notify-interval",
    "duration",
    "10m",
    "between progress notifications of an idle watch",
  ),
  built("strict-reconfig-check", "boolean", "true", "refuse member changes that would lose the quorum"),
  fixed("pre-vote", "boolean", "true", "pre-vote is always on"),
  built("force-new-cluster", "boolean", "false", "keep the data, forget all other members"),
  built("max-learners", "number", "1", "learners at a time"),
  built("auto-compaction-mode", "text", "periodic", "periodic or revision"),
  built(
    "auto-compaction-retention",
    "text",
    "0",
    "history kept: hours, a duration, or a number of revisions; 0 is off",
  ),
  built("log-level", "text", "info", "debug, info, warn or error"),
  built("log-format", "text", "json", "json or console"),
  built("log-outputs", "list", "default", "stderr (the default), stdout, or files that are appended to"),
  built("metrics", "text", "basic", "basic, or extensive: with a histogram of every call's duration"),
  built(
    "warning-apply-duration",
    "duration",
    "100ms",
    "an entry that takes longer to be applied is logged and counted",
  ),
  fixed("warning-unary-request-duration", "duration", "300ms", "slow requests are not logged one by one"),
  idle("initial-election-tick-advance", "boolean", "true", "the first election does not wait for ticks"),
  fixed("logger", "text", "zap", "there is one logger"),
  idle("max-snapshots", "number", "5", "two checkpoints are kept, always"),
  idle("max-wals", "number", "5", "log segments behind a checkpoint are recycled"),
  idle("snapshot-catchup-entries", "number", "5000", "the log in memory is bounded by bytes"),
  idle("backend-batch-interval", "duration", "0", NO_BBOLT),
  idle("backend-batch-limit", "number", "0", NO_BBOLT),
  idle("backend-bbolt-freelist-type", "text", "map", NO_BBOLT),
  idle("bootstrap-defrag-threshold-megabytes", "number", "0", NO_BBOLT),
  idle("compaction-batch-limit", "number", "1000", "compaction runs in slices of about 2 ms"),
  idle("compaction-sleep-interval", "duration", "10ms", "compaction runs in slices of about 2 ms"),
  fixed("v2-deprecation", "text", "write-only", "there is no v2 API"),
  built("grpc-keepalive-min-time", "duration", "5s", "a client that pings more often is disconnected"),
  built("grpc-keepalive-interval", "duration", "2h", "silence after which a client is pinged"),
  built("grpc-keepalive-timeout", "duration", "20s", "a client that does not answer such a ping is gone"),
  idle("raft-read-timeout", "duration", "5s", "peers speak a protocol of their own"),
  idle("raft-write-timeout", "duration", "5s", "peers speak a protocol of their own"),
  idle("corrupt-check-time", "duration", "0s", HASHES),
  idle("compact-hash-check-time", "duration", "1m", HASHES),
  idle("downgrade-check-time", "duration", "5s", "there is nothing to downgrade to"),
  fixed("cors", "list", "*", "every origin is allowed"),
  fixed("host-whitelist", "list", "*", "every host is allowed"),
  idle("enable-grpc-gateway", "boolean", "true", "the JSON gateway is not built yet"),
  fixed("auth-token", "text", "simple", NO_AUTH),
  fixed("auth-token-ttl", "number", "300", NO_AUTH),
  fixed("bcrypt-cost", "number", "10", NO_AUTH),
  built("feature-gates", "text", "", "Name=true|false pairs; those that would change anything are refused"),
  ...refused("unsafe-no-fsync", "every acknowledged write is synced", "boolean"),
  ...refused("config-file", "a configuration file"),
  ...refused("wal-dir", "a log directory of its own"),
  ...refused("listen-client-http-urls", "a port for HTTP alone", "list"),
  ...refused("auto-tls peer-auto-tls", "certificates made at the start", "boolean"),
  ...refused(
    "client-cert-file client-key-file peer-client-cert-file peer-client-key-file",
    "separate client certificates",
  ),
  ...refused("client-crl-file peer-crl-file", "revocation lists"),
  ...refused(
    "client-cert-allowed-hostname peer-cert-allowed-cn peer-cert-allowed-hostname",
    "checks of certificate names",
  ),
  ...refused(
    "peer-skip-client-san-verification socket-reuse-port socket-reuse-address memory-mlock",
    "this option",
    "boolean",
  ),
  ...refused("cipher-suites tls-min-version tls-max-version self-signed-cert-validity", "TLS parameters"),
  ...refused(
    "discovery discovery-proxy discovery-token discovery-endpoints discovery-dial-timeout discovery-request-timeout",
    "discovery",
  ),
  ...refused(
    "discovery-keepalive-time discovery-keepalive-timeout discovery-cert discovery-key discovery-cacert",
    "discovery",
  ),
  ...refused(
    "discovery-user discovery-password discovery-fallback discovery-srv discovery-srv-name",
    "discovery",
  ),
  ...refused("discovery-insecure-transport discovery-insecure-skip-tls-verify", "discovery", "boolean"),
  ...refused("enable-pprof enable-log-rotation enable-distributed-tracing", "this option", "boolean"),
  ...refused(
    "log-rotation-config-json distributed-tracing-address distributed-tracing-service-name",
    "this option",
  ),
  ...refused("distributed-tracing-instance-id distributed-tracing-sampling-rate", "this option"),
  // Twins of feature gates, for as long as etcd 3.6 takes them.
  idle("experimental-initial-corrupt-check", "boolean", "false", HASHES),
  idle("experimental-compact-hash-check-enabled", "boolean", "false", HASHES),
  idle("experimental-enable-lease-checkpoint", "boolean", "false", REMAINDERS),
  idle("experimental-enable-lease-checkpoint-persist", "boolean", "false", REMAINDERS),
  idle("experimental-txn-mode-write-with-shared-buffer", "boolean", "true", NO_BBOLT),
  ...refused("experimental-stop-grpc-service-on-defrag", "a defragmentation stops nothing", "boolean"),
  ...IGNORED.map((name) => idle(name, "anything", "", "etcd ignores it, too")),
];

/** Flags that etcd 3.6 takes with `experimental-` before their name, too; test suites and manifests use both. */
export const EXPERIMENTAL_TWINS: ReadonlySet<string> = new Set([
  "bootstrap-defrag-threshold-megabytes",
  "compact-hash-check-time",
  "compaction-batch-limit",
  "compaction-sleep-interval",
  "corrupt-check-time",
  "distributed-tracing-address",
  "distributed-tracing-instance-id",
  "distributed-tracing-sampling-rate",
  "distributed-tracing-service-name",
  "downgrade-check-time",
  "enable-distributed-tracing",
  "memory-mlock",
  "peer-skip-client-san-verification",
  "snapshot-catchup-entries",
  "warning-apply-duration",
  "warning-unary-request-duration",
  "watch-progress-notify-interval",
]);

/** etcd 3.6's gates, and of each the values that are taken here. */
export const FEATURE_GATES: ReadonlyMap<string, readonly boolean[]> = new Map([
  ["AllAlpha", [false]],
  ["AllBeta", [false, true]],
  ["StopGRPCServiceOnDefrag", [false]],
  ["SetMemberLocalAddr", [false]],
  // Members compare hashes all the time, and the remainders of leases are kept in the log, whatever these say.
  ["InitialCorruptCheck", [false, true]],
  ["CompactHashCheck", [false, true]],
  ["LeaseCheckpoint", [false, true]],
  ["LeaseCheckpointPersist", [false, true]],
  // Of the bbolt file.
  ["TxnModeWriteWithSharedBuffer", [false, true]],
]);
