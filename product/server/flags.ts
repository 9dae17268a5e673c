// The server's flags: etcd's names, defaults and environment variables (ETCD_ and the name in capitals, `_` for `-`).
//
// Three kinds. `built` ones work. `idle` ones are accepted, because manifests and test suites pass them, but there is nothing
// here for them to act on (there is no bbolt file); the reason is logged when one is set. `refused` ones name a
// feature that is not built: the server stops and names the flag instead of pretending.

export type FlagType = "text" | "number" | "boolean" | "duration" | "list";

export interface FlagSpec {
  readonly name: string;
  readonly type: FlagType;
  readonly default: string;
  readonly help: string;
  readonly state: "built" | "idle" | "refused";
  /** For `idle` and `refused`: why. */
  readonly why?: string;
}

function built(name: string, type: FlagType, value: string, help: string): FlagSpec {
  return { name, type, default: value, help, state: "built" };
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
  idle("pre-vote", "boolean", "true", "pre-vote is always on"),
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
  idle("metrics", "text", "basic", "all metrics are shown"),
  idle("warning-apply-duration", "duration", "100ms", "slow applies are not logged one by one"),
  idle("warning-unary-request-duration", "duration", "300ms", "slow requests are not logged one by one"),
  idle("initial-election-tick-advance", "boolean", "true", "the first election does not wait for ticks"),
  idle("logger", "text", "zap", "there is one logger"),
  idle("log-outputs", "list", "default", "logs go to the standard error output"),
  idle("log-format", "text", "json", "logs are one line of JSON each"),
  idle("max-snapshots", "number", "5", "two checkpoints are kept, always"),
  idle("max-wals", "number", "5", "log segments behind a checkpoint are recycled"),
  idle("snapshot-catchup-entries", "number", "5000", "the log in memory is bounded by bytes"),
  idle("backend-batch-interval", "duration", "0", NO_BBOLT),
  idle("backend-batch-limit", "number", "0", NO_BBOLT),
  idle("backend-bbolt-freelist-type", "text", "map", NO_BBOLT),
  idle("bootstrap-defrag-threshold-megabytes", "number", "0", NO_BBOLT),
  idle("compaction-batch-limit", "number", "1000", "compaction runs in slices of about 2 ms"),
  idle("compaction-sleep-interval", "duration", "10ms", "compaction runs in slices of about 2 ms"),
  idle("v2-deprecation", "text", "write-only", "there is no v2 API"),
  idle("grpc-keepalive-min-time", "duration", "5s", "the default is in force"),
  idle("grpc-keepalive-interval", "duration", "2h", "the default is in force"),
  idle("grpc-keepalive-timeout", "duration", "20s", "the default is in force"),
  idle("raft-read-timeout", "duration", "5s", "peers speak a protocol of their own"),
  idle("raft-write-timeout", "duration", "5s", "peers speak a protocol of their own"),
  idle("corrupt-check-time", "duration", "0s", "members compare hashes all the time"),
  idle("compact-hash-check-time", "duration", "1m", "members compare hashes all the time"),
  idle("downgrade-check-time", "duration", "5s", "there is nothing to downgrade to"),
  idle("cors", "list", "*", "every origin is allowed"),
  idle("host-whitelist", "list", "*", "every host is allowed"),
  idle("enable-grpc-gateway", "boolean", "true", "the JSON gateway is not built yet"),
  idle("auth-token-ttl", "number", "300", "authentication is not built yet"),
  idle("bcrypt-cost", "number", "10", "authentication is not built yet"),
  idle("auth-token", "text", "simple", "authentication is not built yet"),
  idle("feature-gates", "text", "", "no gate changes anything here"),
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
];

/** A flag that cannot be used as given; the text is for the user. */
export class FlagError extends Error {
  override readonly name = "FlagError";
  readonly exitCode: number;
  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

export interface ParsedFlags {
  /** Every built flag's value, defaults included. */
  readonly values: ReadonlyMap<string, string>;
  /** The names that were set, on the command line or in the environment. */
  readonly set: ReadonlySet<string>;
  /** Lines for the log: flags without effect, unknown variables. */
  readonly notes: readonly string[];
}

/** Reads the command line and ETCD_* variables. Throws FlagError (exit code 2: usage; 1: conflict). */
export function parseServerFlags(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedFlags {
  const specs = new Map(SERVER_FLAGS.map((spec) => [spec.name, spec]));
  const given = readCommandLine(argv, specs);
  const notes = readEnvironment(env, specs, given);
  const values = new Map<string, string>();
  for (const spec of SERVER_FLAGS) {
    const value = given.get(spec.name);
    if (value !== undefined) notes.push(...checkGiven(spec, value));
    if (spec.state === "built") values.set(spec.name, value ?? spec.default);
  }
  return { values, set: new Set(given.keys()), notes };
}

function readCommandLine(argv: readonly string[], specs: ReadonlyMap<string, FlagSpec>): Map<string, string> {
  const given = new Map<string, string>();
  for (let i = 0; i < argv.length; i++) {
    const argument = argv[i]!;
    const match = /^--?([a-z0-9][a-z0-9-]*)(?:=(.*))?$/s.exec(argument);
    if (match === null) throw new FlagError(`'${argument}' is not a valid flag`, 2);
    const spec = specs.get(normalName(match[1]!));
    if (spec === undefined) throw new FlagError(`flag provided but not defined: -${match[1]}`, 2);
    let value = match[2];
    if (value === undefined && spec.type === "boolean") value = "true";
    if (value === undefined) value = argv[++i];
    if (value === undefined) throw new FlagError(`flag needs an argument: -${match[1]}`, 2);
    given.set(spec.name, value);
  }
  return given;
}

// etcd 3.6 takes the experimental spelling beside the new one; test suites and manifests use both.
function normalName(name: string): string {
  return name.startsWith("experimental-") ? name.slice("experimental-".length) : name;
}

function readEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  specs: ReadonlyMap<string, FlagSpec>,
  given: Map<string, string>,
): string[] {
  const notes: string[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith("ETCD_") || value === undefined || value === "") continue;
    const spec = specs.get(normalName(variable.slice(5).toLowerCase().replaceAll("_", "-")));
    if (spec === undefined) notes.push(`unrecognized environment variable ${variable}=${value}`);
    else if (given.has(spec.name)) {
      throw new FlagError(
        `conflicting environment variable "${variable}" is shadowed by corresponding command-line flag (either unset environment variable or disable flag)`,
        1,
      );
    } else given.set(spec.name, value);
  }
  return notes;
}

function checkGiven(spec: FlagSpec, value: string): string[] {
  if (spec.state === "refused" && value !== "" && value !== "false") {
    throw new FlagError(`--${spec.name} is not supported yet (${spec.why})`, 2);
  }
  if (spec.type === "number" && !/^-?\d+$/.test(value)) throw invalid(spec, value);
  if (spec.type === "boolean" && !/^(true|false|1|0|t|f|T|F|TRUE|FALSE|True|False)$/.test(value))
    throw invalid(spec, value);
  if (spec.type === "duration" && parseDurationMs(value) === undefined) throw invalid(spec, value);
  return spec.state === "idle" ? [`--${spec.name} has no effect: ${spec.why}`] : [];
}

function invalid(spec: FlagSpec, value: string): FlagError {
  return new FlagError(`invalid value "${value}" for flag -${spec.name}: parse error`, 2);
}

export function isTrue(value: string): boolean {
  return /^(true|1|t)$/i.test(value);
}

/** Go's durations (`1h30m`, `100ms`, `0`); undefined when it is none. */
export function parseDurationMs(text: string): number | undefined {
  if (text === "0") return 0;
  const unitsMs: Record<string, number> = {
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  };
  const sign = text.startsWith("-") ? -1 : 1;
  const body = text.replace(/^[+-]/, "");
  if (!/^(\d+(\.\d*)?(ns|us|µs|ms|s|m|h))+$/.test(body)) return undefined;
  let total = 0;
  for (const part of body.matchAll(/(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)/g))
    total += Number(part[1]) * unitsMs[part[2]!]!;
  return sign * total;
}
