// What the flags mean: one checked value from which a member is started.

import { FEATURE_GATES } from "./flag-table.ts";
import { FlagError, isTrue, parseDurationMs, type ParsedFlags } from "./flags.ts";

export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  readonly clientCertAuth: boolean;
}

export interface ServerConfig {
  readonly name: string;
  readonly dataDirectory: string;
  readonly listenClientUrls: readonly string[];
  readonly advertiseClientUrls: readonly string[];
  readonly listenPeerUrls: readonly string[];
  readonly advertisePeerUrls: readonly string[];
  readonly listenMetricsUrls: readonly string[];
  /** Name to peer URLs of the first members; own name included. */
  readonly initialCluster: ReadonlyMap<string, readonly string[]>;
  readonly isNewCluster: boolean;
  readonly clusterToken: string;
  readonly forceNewCluster: boolean;
  readonly heartbeatMs: number;
  readonly electionMs: number;
  readonly strictReconfigCheck: boolean;
  readonly learnerCountMax: number;
  readonly checkpointEntryCount: number;
  readonly quotaBytes: number;
  readonly txnOperationCountMax: number;
  readonly requestSizeBytesMax: number;
  readonly streamCountMax: number;
  readonly clientTls: TlsFiles;
  readonly peerTls: TlsFiles;
  readonly watchProgressMs: number;
  readonly autoCompaction: {
    readonly mode: "periodic" | "revision";
    readonly periodMs: number;
    readonly revisions: number;
  };
  readonly keepalive: {
    readonly minTimeMs: number;
    readonly intervalMs: number;
    readonly timeoutMs: number;
  };
  readonly warningApplyMs: number;
  readonly metrics: "basic" | "extensive";
  readonly logLevel: string;
  readonly logFormat: "json" | "console";
  /** `stderr`, `stdout` and files. */
  readonly logOutputs: readonly string[];
  readonly notes: readonly string[];
}

/** Throws FlagError when the flags contradict each other. */
export function serverConfig(flags: ParsedFlags): ServerConfig {
  const text = (name: string): string => flags.values.get(name)!;
  const number = (name: string): number => Number(text(name));
  const duration = (name: string): number => parseDurationMs(text(name))!;
  const name = text("name");
  const advertisePeerUrls = urls("initial-advertise-peer-urls", text("initial-advertise-peer-urls"));
  checkAdvertised(flags);
  checkFeatureGates(text("feature-gates"));
  const listenClientUrls = urls("listen-client-urls", text("listen-client-urls"));
  const config: ServerConfig = {
    name,
    dataDirectory: text("data-dir") || `${name}.etcd`,
    listenClientUrls,
    advertiseClientUrls: urls("advertise-client-urls", text("advertise-client-urls")),
    listenPeerUrls: urls("listen-peer-urls", text("listen-peer-urls")),
    advertisePeerUrls,
    listenMetricsUrls: urls("listen-metrics-urls", text("listen-metrics-urls")),
    initialCluster: parseInitialCluster(
      text("initial-cluster") || advertisePeerUrls.map((url) => `${name}=${url}`).join(","),
    ),
    isNewCluster: clusterState(text("initial-cluster-state")) === "new",
    clusterToken: text("initial-cluster-token"),
    forceNewCluster: isTrue(text("force-new-cluster")),
    heartbeatMs: number("heartbeat-interval"),
    electionMs: number("election-timeout"),
    strictReconfigCheck: isTrue(text("strict-reconfig-check")),
    learnerCountMax: number("max-learners"),
    checkpointEntryCount: flags.set.has("snapshot-count") ? number("snapshot-count") : 50_000,
    quotaBytes: number("quota-backend-bytes"),
    txnOperationCountMax: number("max-txn-ops"),
    requestSizeBytesMax: number("max-request-bytes"),
    streamCountMax: number("max-concurrent-streams"),
    clientTls: tlsFiles(text, ""),
    peerTls: tlsFiles(text, "peer-"),
    watchProgressMs: Math.max(duration("watch-progress-notify-interval"), 100),
    autoCompaction: autoCompaction(text("auto-compaction-mode"), text("auto-compaction-retention")),
    keepalive: {
      // 0 leaves each to the library in etcd: these are its defaults.
      minTimeMs: duration("grpc-keepalive-min-time") || 300_000,
      intervalMs: duration("grpc-keepalive-interval") || 7_200_000,
      timeoutMs: duration("grpc-keepalive-timeout") || 20_000,
    },
    warningApplyMs: duration("warning-apply-duration"),
    metrics: oneOf(["basic", "extensive"], "metrics", text),
    logLevel: text("log-level"),
    logFormat: oneOf(["json", "console"], "log-format", text),
    logOutputs: logOutputs(text("log-outputs")),
    notes: flags.notes,
  };
  checkTimers(config);
  checkOwnEntry(config);
  return config;
}

function checkAdvertised(flags: ParsedFlags): void {
  if (flags.set.has("listen-client-urls") && !flags.set.has("advertise-client-urls")) {
    throw new FlagError("--advertise-client-urls is required when --listen-client-urls is set explicitly", 1);
  }
}

function checkTimers(config: ServerConfig): void {
  if (config.heartbeatMs <= 0)
    throw new FlagError(`--heartbeat-interval must be >0 (set to ${config.heartbeatMs}ms)`, 1);
  if (config.electionMs <= 0)
    throw new FlagError(`--election-timeout must be >0 (set to ${config.electionMs}ms)`, 1);
  if (config.electionMs < 5 * config.heartbeatMs) {
    throw new FlagError(
      `--election-timeout[${config.electionMs}ms] should be at least as 5 times as --heartbeat-interval[${config.heartbeatMs}ms]`,
      1,
    );
  }
  if (config.electionMs > 50_000) {
    throw new FlagError(
      `--election-timeout[${config.electionMs}ms] is too long, and should be set less than 50000ms`,
      1,
    );
  }
}

function checkOwnEntry(config: ServerConfig): void {
  const own = config.initialCluster.get(config.name);
  if (own === undefined) {
    throw new FlagError(`couldn't find local name "${config.name}" in the initial cluster configuration`, 1);
  }
  const same = [...own].sort().join(",") === [...config.advertisePeerUrls].sort().join(",");
  if (!same) {
    throw new FlagError(
      `--initial-cluster has ${config.name}=${own.join(",")} but missing from --initial-advertise-peer-urls=${config.advertisePeerUrls.join(",")}`,
      1,
    );
  }
}

function checkFeatureGates(list: string): void {
  for (const pair of list.split(",").filter((part) => part !== "")) {
    const [name, value] = pair.split("=") as [string, string?];
    const taken = FEATURE_GATES.get(name.trim());
    const spelled = `invalid value "${list}" for flag -feature-gates`;
    if (taken === undefined) throw new FlagError(`${spelled}: unrecognized feature gate: ${name}`, 2);
    if (value === undefined) throw new FlagError(`${spelled}: missing bool value for ${name}`, 2);
    if (!taken.includes(isTrue(value)))
      throw new FlagError(`--feature-gates=${name}=${value} is not supported yet`, 2);
  }
}

function oneOf<const T extends string>(
  values: readonly T[],
  flag: string,
  text: (name: string) => string,
): T {
  const value = values.find((it) => it === text(flag));
  if (value !== undefined) return value;
  throw new FlagError(`unknown --${flag}: ${text(flag)}, supported values ${values.join(", ")}`, 1);
}

function logOutputs(list: string): string[] {
  const outputs = list.split(",").filter((part) => part !== "");
  if (outputs.length > 1 && outputs.includes("default"))
    throw new FlagError(`multi logoutput for "default" is not supported yet`, 1);
  for (const output of outputs)
    if (output.startsWith("systemd/"))
      throw new FlagError(`--log-outputs=${output} is not supported yet (the journal)`, 2);
  return outputs.map((output) => (output === "default" ? "stderr" : output));
}

function urls(flag: string, list: string): string[] {
  const result: string[] = [];
  for (const item of list.split(",").filter((part) => part !== "")) {
    // A socket in the file system is for clients on this machine; members are dialled.
    if (/^unixs?:\/\/./.test(item) && /client|metrics/.test(flag)) {
      result.push(item);
      continue;
    }
    const match = /^(https?):\/\/([^/]+)\/?$/.exec(item);
    if (match === null)
      throw new FlagError(
        `invalid value "${item}" for flag -${flag}: not an http or https URL with host and port`,
        2,
      );
    if (!/:\d+$/.test(match[2]!))
      throw new FlagError(
        `invalid value "${item}" for flag -${flag}: URL address does not have the form "host:port"`,
        2,
      );
    result.push(item.replace(/\/$/, ""));
  }
  return result;
}

function parseInitialCluster(text: string): Map<string, string[]> {
  const members = new Map<string, string[]>();
  for (const pair of text.split(",").filter((part) => part !== "")) {
    const equals = pair.indexOf("=");
    if (equals <= 0)
      throw new FlagError(`invalid value "${text}" for flag -initial-cluster: '${pair}' is not name=url`, 2);
    const name = pair.slice(0, equals);
    const known = members.get(name) ?? [];
    members.set(name, [...known, ...urls("initial-cluster", pair.slice(equals + 1))]);
  }
  return members;
}

function clusterState(text: string): "new" | "existing" {
  if (text === "new" || text === "existing") return text;
  throw new FlagError(`invalid value "${text}" for flag -initial-cluster-state: invalid value "${text}"`, 2);
}

function tlsFiles(text: (name: string) => string, prefix: string): TlsFiles {
  return {
    certFile: text(`${prefix}cert-file`),
    keyFile: text(`${prefix}key-file`),
    caFile: text(`${prefix}trusted-ca-file`),
    clientCertAuth: isTrue(text(`${prefix}client-cert-auth`)),
  };
}

function autoCompaction(mode: string, retention: string): ServerConfig["autoCompaction"] {
  if (mode === "revision") {
    if (!/^\d+$/.test(retention))
      throw new FlagError(`error parsing auto-compaction-retention: "${retention}"`, 1);
    return { mode, periodMs: 0, revisions: Number(retention) };
  }
  if (mode !== "periodic") throw new FlagError(`unknown auto-compaction-mode "${mode}"`, 1);
  // A bare number is hours, as etcd has it.
  const periodMs = /^\d+$/.test(retention) ? Number(retention) * 3_600_000 : parseDurationMs(retention);
  if (periodMs === undefined || periodMs < 0)
    throw new FlagError(`error parsing auto-compaction-retention: "${retention}"`, 1);
  return { mode: "periodic", periodMs, revisions: 0 };
}
