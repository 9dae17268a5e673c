// One member as a process: its directory, its listeners, its turn, its end.

import { randomInt } from "node:crypto";
import { statSync } from "node:fs";
import path from "node:path";
import { DEFAULT_LIMITS, type Limits } from "../../core/base/limits.ts";
import { type Id64, id64Equal, id64Hex } from "../../core/base/ids.ts";
import { Metrics } from "../../core/base/metrics.ts";
import { DEFAULT_TRANSPORT_LIMITS, type TransportLimits } from "../../core/http2/limits.ts";
import { DiskError } from "../../core/base/ports.ts";
import { Prng } from "../../core/base/prng.ts";
import { bootstrapMemberId, clusterIdOf } from "../../core/member/identity.ts";
import type { Member } from "../../core/member/member.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import { DataDirectoryError, openMember, storedIdentity } from "../../core/member/recovery.ts";
import { CallCounters } from "../../core/grpc/call-counters.ts";
import type { ServerHandler } from "../../core/grpc/server-call.ts";
import { CODE, type Status } from "../../core/wire/status.ts";
import { WalError } from "../../core/wal/wal-error.ts";
import { collectAfterStart, collectLess } from "../../io/collect-less.ts";
import { boundYoungGeneration } from "../../io/young-generation.ts";
import { compileSoon } from "../../io/compile-soon.ts";
import { systemClock } from "../../io/clock.ts";
import { type DataDirectory, openDataDirectory } from "../../io/disk/data-directory.ts";
import type { PeerTls } from "../../io/net/peer-tls.ts";
import { PeerTransport } from "../../io/net/peers.ts";
import { type NetServer, serve } from "../../io/net/server.ts";
import type { ServerTls } from "../../io/net/tls.ts";
import { type AskOptions, fetchMembers } from "./ask-peer.ts";
import type { ServerConfig } from "./config.ts";
import { Driver } from "./driver.ts";
import { handleHttp, type HttpSources } from "./http.ts";
import { alreadyBootstrapped, JoinError, joinCluster, refuseAnotherLife } from "./join.ts";
import { Newcomer } from "./newcomer.ts";
import { Log, openLogOutputs } from "./log.ts";
import { observeTurns, registerPeerTraffic, registerProcessMetrics } from "./process-metrics.ts";
import { makePeerHttp } from "./peer-http.ts";
import type { ProgramIo } from "./program-io.ts";

/** The etcd release whose behaviour this program shows, as clients are told. */
export const REPORTED_VERSION = "3.6.16";

export interface RunOptions {
  /** Prints where it listens and a line to try, for people. */
  readonly announce?: boolean;
}

/** Runs one member until it is told to stop; resolves to the exit code. */
export async function runServer(
  config: ServerConfig,
  io: ProgramIo,
  options: RunOptions = {},
): Promise<number> {
  const log = new Log(openLogOutputs(config.logOutputs, io), {
    level: config.logLevel,
    format: config.logFormat,
  });
  for (const note of config.notes) log.warn(note);
  let server: RunningServer;
  boundYoungGeneration();
  try {
    server = await startServer(config, log, collectAfterStart);
  } catch (error) {
    if (!isOperatorsProblem(error)) throw error;
    log.error(error instanceof DiskError ? describeDiskError(error) : error.message);
    return 1;
  }
  // Not before: what a start leaves behind is to be collected as it arises.
  collectLess();
  compileSoon();
  if (options.announce === true) announce(config, io);
  const end = await Promise.race([signal(), server.ended]);
  await server.stop();
  return end.kind === "signal" ? dieBy(end.signal) : end.exitCode;
}

function announce(config: ServerConfig, io: ProgramIo): void {
  const url = config.advertiseClientUrls[0]!;
  // The client looks there by itself.
  const where = url === "http://localhost:2379" ? "" : `--endpoints=${url.replace(/^http:\/\//, "")} `;
  const { dataDirectory } = config;
  io.stdout.write(`listening on ${config.listenClientUrls.join(", ")}\n`);
  io.stdout.write(
    `data in ${path.isAbsolute(dataDirectory) ? dataDirectory : `./${path.normalize(dataDirectory)}`}\n`,
  );
  io.stdout.write(`try: ./holdfast ${where}put greeting hello\n`);
}

function isOperatorsProblem(error: unknown): error is Error {
  if (error instanceof WalError || error instanceof DataDirectoryError || error instanceof JoinError)
    return true;
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

function describeDiskError(error: DiskError): string {
  const remedy = error.code === "ENOSPC" ? "; make room on the disk that holds the data directory" : "";
  return `Cannot start: ${error.message} (file ${error.path})${remedy}`;
}

type End =
  | { readonly kind: "signal"; readonly signal: NodeJS.Signals }
  | { readonly kind: "end"; readonly exitCode: number };

function signal(): Promise<End> {
  return new Promise((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const)
      process.once(name, () => resolve({ kind: "signal", signal: name }));
  });
}

// etcd dies by the signal after a clean stop: a shell sees 143, and test suites look for it.
function dieBy(name: NodeJS.Signals): number {
  process.removeAllListeners(name);
  process.kill(process.pid, name);
  return name === "SIGINT" ? 130 : 143;
}

export interface RunningServer {
  readonly member: Member;
  /** When the member stops by itself: it was removed, or its disk failed. */
  readonly ended: Promise<End>;
  stop(): Promise<void>;
}

/**
 * Starts one member in this process. Rejects when the directory, a port or the cluster is not as it should be. `onLoaded`: its data
 * has been read, and nobody is served yet.
 */
export async function startServer(
  config: ServerConfig,
  log: Log,
  onLoaded: () => void = () => {},
): Promise<RunningServer> {
  warnOfOpenDirectory(config.dataDirectory, log);
  const directory = await openDataDirectory(config.dataDirectory);
  const server = new ServerProcess(config, log, directory);
  try {
    return await server.start(onLoaded);
  } catch (error) {
    server.abandon();
    await directory.close();
    throw error;
  }
}

// What we create is 0700; what was there already is left as it is, and said, as etcd does.
function warnOfOpenDirectory(directory: string, log: Log): void {
  const mode = statSync(directory, { throwIfNoEntry: false })?.mode;
  if (mode === undefined || (mode & 0o777) === 0o700) return;
  log.warn("check file permission", {
    error: `directory "${directory}" exist, but the permission is "${modeText(mode)}". The recommended permission is "-rwx------" to prevent possible unprivileged access to the data`,
  });
}

/** `drwxr-xr-x`. */
function modeText(mode: number): string {
  const letters = "rwxrwxrwx".split("").map((letter, i) => ((mode >> (8 - i)) & 1 ? letter : "-"));
  return `d${letters.join("")}`;
}

/** How long a stopping member waits for its leadership to be taken over, for its calls to end, and for a last checkpoint. */
const HAND_OVER_MS = 1_000;
const DRAIN_MS = 500;
/** As long as it takes at most to apply again what a last checkpoint would save: a slower disk gains nothing. */
const LAST_CHECKPOINT_MS = 1_000;
/** Between two questions where an unknown member is. */
const ASK_AGAIN_MS = 500;
const ASK_TIMEOUT_MS = 3_000;

/** A port for metrics answers no calls. */
const REFUSE_CALLS: ServerHandler = {
  onUnary: (call) => call.fail(NO_CALLS),
  onStreamOpen: (call) => call.fail(NO_CALLS),
  onStreamMessage: () => {},
  onStreamHalfClose: () => {},
  onCancel: () => {},
  onWritable: () => {},
};
const NO_CALLS: Status = { code: CODE.unimplemented, text: "this port serves metrics and health only" };

type MemberIdentity = {
  memberId: Id64;
  clusterId: Id64;
  initialMembers: readonly MemberInfo[];
  joins: boolean;
};

class ServerProcess implements RunningServer {
  readonly #config: ServerConfig;
  readonly #log: Log;
  readonly #directory: DataDirectory;
  readonly #metrics = new Metrics();
  readonly ended: Promise<End>;
  #end: (end: End) => void = () => {};
  #driver!: Driver;
  #net!: NetServer;
  #metricsNet: NetServer | undefined;
  #peers!: PeerTransport;
  member!: Member;
  #askAgainMs = 0;
  /** While this member has not taken part in anything. */
  #newcomer: Newcomer | undefined;
  #endObservation: () => void = () => {};

  constructor(config: ServerConfig, log: Log, directory: DataDirectory) {
    this.#config = config;
    this.#log = log;
    this.#directory = directory;
    this.ended = new Promise((resolve) => (this.#end = resolve));
  }

  async start(onLoaded: () => void): Promise<this> {
    const identity = await this.#identity();
    const limits = limitsOf(this.#config);
    // The machine and what drives it know each other: the member is opened last.
    this.#driver = this.#makeDriver();
    this.#peers = this.#makePeers(identity);
    registerPeerTraffic(this.#peers.traffic, this.#metrics);
    this.#endObservation = registerProcessMetrics(this.#metrics);
    this.member = this.#openMember(identity, limits);
    onLoaded();
    this.#newcomer = this.#makeNewcomer(identity);
    // Whoever asks who is in the cluster hears what is in the log.
    this.member.turn();
    await this.#peers.listen();
    await this.#serveClients(limits);
    this.#driver.wake();
    this.#log.info("ready to serve client requests", {
      "member-id": id64Hex(identity.memberId),
      "cluster-id": id64Hex(identity.clusterId),
    });
    return this;
  }

  #makeDriver(): Driver {
    const machine = {
      turn: () => this.member.turn(),
      background: () => this.member.background(),
      nextDeadlineMs: () => this.member.nextDeadlineMs(),
    };
    return new Driver({
      machine,
      now: () => systemClock.now(),
      flush: () => this.#flush(),
      onTurn: observeTurns(this.#metrics),
      onFatal: (error) => this.#fail(error),
    });
  }

  #makePeers(identity: MemberIdentity): PeerTransport {
    const config = this.#config;
    const peerHttp = makePeerHttp(
      () => this.member,
      () => this.#versions(),
    );
    return new PeerTransport({
      clusterId: identity.clusterId,
      memberId: identity.memberId,
      listenUrls: config.listenPeerUrls,
      ...peerTlsOf(config),
      electionMs: config.electionMs,
      onFrame: (from, kind, bytes, start, end) => {
        if (!this.#peers.knows(from)) this.#askWhereIs(from);
        if (this.#newcomer !== undefined && !this.#newcomer.admits(from)) return;
        this.member.onPeerFrame(from, kind, bytes, start, end);
      },
      onConnected: (peer) => {
        // At once, so that its first word is not lost.
        this.#newcomer?.admits(peer);
        this.member.onPeerConnected(peer);
      },
      onDisconnected: (peer) => this.member.onPeerDisconnected(peer),
      onHttp: (socket) => peerHttp.emit("connection", socket),
      onRemoved: (peer) => this.member.removal.told(peer),
      warn: (message, fields) => this.#log.warn(message, fields),
    });
  }

  #makeNewcomer({ memberId, clusterId, initialMembers }: MemberIdentity): Newcomer | undefined {
    const { member } = this;
    // No leader has term 1: whoever has heard of one was listened to, and has its vote and its entries on its disk.
    if (member.raft.term > 1) return undefined;
    const known = (): MemberInfo[] =>
      [...initialMembers, ...member.membership.list()].filter((info) => !id64Equal(info.id, memberId));
    return new Newcomer({
      memberId,
      clusterId,
      urlsOf: (peer) => {
        const exactly = known().filter((info) => id64Equal(info.id, peer));
        return (exactly.length > 0 ? exactly : known()).flatMap((info) => info.peerUrls);
      },
      ask: (url) => fetchMembers(url, this.#askOptions()),
      hasSpoken: () => member.housekeeping.hasAnnounced,
      onAdmitted: (peer) => member.onPeerAdmitted(peer),
      onKnown: () => {
        this.#log.error(alreadyBootstrapped(memberId).message);
        this.#end({ kind: "end", exitCode: 1 });
      },
    });
  }

  #askOptions(): AskOptions {
    return { tls: peerTlsOf(this.#config).tls, timeoutMs: ASK_TIMEOUT_MS };
  }

  #openMember(identity: MemberIdentity, limits: Limits): Member {
    const config = this.#config;
    return openMember({
      ...identity,
      name: config.name,
      clientUrls: config.advertiseClientUrls,
      forceNewCluster: config.forceNewCluster,
      heartbeatMs: config.heartbeatMs,
      electionMs: config.electionMs,
      strictReconfigCheck: config.strictReconfigCheck,
      learnerCountMax: config.learnerCountMax,
      watchProgressMs: config.watchProgressMs,
      warningApplyMs: config.warningApplyMs,
      autoCompaction: config.autoCompaction,
      reportedVersion: REPORTED_VERSION,
      limits,
      clock: systemClock,
      waker: this.#driver,
      prng: new Prng(randomInt(2 ** 47)),
      disk: this.#directory.disk,
      peers: this.#peers,
      metrics: this.#metrics,
      events: {
        info: (message, fields) => this.#log.info(message, fields),
        warn: (message, fields) => this.#log.warn(message, fields),
        stop: (reason) => this.#stopItself(reason),
      },
    });
  }

  // Somebody speaks whom the log has not named here yet, because this member lags.
  #askWhereIs(stranger: Id64): void {
    const { member } = this;
    const nowMs = systemClock.now();
    if (nowMs < this.#askAgainMs || member.membership.isRemoved(stranger)) return;
    this.#askAgainMs = nowMs + ASK_AGAIN_MS;
    const { initialCluster, advertisePeerUrls } = this.#config;
    const urls = new Set(
      [...initialCluster.values(), ...member.membership.list().map((info) => info.peerUrls)].flat(),
    );
    for (const url of advertisePeerUrls) urls.delete(url);
    for (const url of urls) {
      fetchMembers(url, this.#askOptions()).then(
        ({ clusterId, members }) => {
          if (id64Equal(clusterId, member.options.clusterId)) member.learnAddresses(members);
        },
        () => {
          // Asked again with the stranger's next word.
        },
      );
    }
  }

  async #serveClients(limits: Limits): Promise<void> {
    const config = this.#config;
    const clock = systemClock;
    const sources = this.#httpSources();
    this.#net = await serve({
      urls: config.listenClientUrls,
      ...tlsOf(config),
      handler: this.member,
      onHttp: (request, respond) => handleHttp(sources, "client", request, respond),
      counters: new CallCounters(this.#metrics, { isExtensive: config.metrics === "extensive" }),
      limits,
      transportLimits: transportLimitsOf(config),
      clock,
      waker: this.#driver,
    });
    if (config.listenMetricsUrls.length > 0) {
      this.#metricsNet = await serve({
        urls: config.listenMetricsUrls,
        ...tlsOf(config),
        handler: REFUSE_CALLS,
        onHttp: (request, respond) => handleHttp(sources, "metrics", request, respond),
        limits,
        clock,
      });
    }
  }

  /** Gives up a start that failed half way: a program that embeds members goes on. */
  abandon(): void {
    this.#net?.close();
    this.#driver?.stop();
    this.#peers?.close();
    this.member?.close();
  }

  async stop(): Promise<void> {
    await this.#handOver();
    this.member.stop();
    this.#flush();
    await Promise.all([this.#net.drain(DRAIN_MS), this.#lastCheckpoint()]);
    this.#metricsNet?.close();
    this.#driver.stop();
    this.member.close();
    this.#peers.close();
    this.#endObservation();
    await this.#directory.close();
  }

  #flush(): void {
    this.#net?.flush();
    this.#peers.flush();
  }

  #fail(error: unknown): void {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log.error("the member stops: it cannot go on safely", { error: text });
    // At once: nothing that was not answered yet may be answered now.
    process.exit(1);
  }

  #stopItself(reason: string): void {
    this.#log.info("stopping", { reason });
    this.#end({ kind: "end", exitCode: 0 });
  }

  // A member that leads hands over first, so that its stop is no gap for writers.
  async #handOver(): Promise<void> {
    const { member } = this;
    const target = member.handOverTarget();
    if (target === undefined) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, HAND_OVER_MS);
      member.transferLeadership(target, () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  // Once nobody waits for this member any more: what is a checkpoint now is not read and applied again at the next start.
  async #lastCheckpoint(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LAST_CHECKPOINT_MS);
      this.member.housekeeping.checkpointer.beforeStop(() => {
        clearTimeout(timer);
        resolve();
      });
      this.#driver.wake();
    });
  }

  #versions(): { server: string; cluster: string; storage: string } {
    const cluster = this.member.clusterVersion;
    return { server: REPORTED_VERSION, cluster: cluster || "not_decided", storage: cluster || "unknown" };
  }

  #httpSources(): HttpSources {
    const { member } = this;
    return {
      health: {
        hasLeader: () => member.hasLeader,
        isLearner: () => member.isLearner,
        alarms: () => member.healthAlarms,
        probeRead: (linearizable, done) => {
          if (linearizable) member.reading.linearizableRead((failure) => done(failure?.text));
          else done(undefined);
        },
      },
      versions: () => this.#versions(),
      renderMetrics: () => this.#metrics.render(),
      countHealth: (ok) => (ok ? member.counters.healthSuccess : member.counters.healthFailure).add(1),
    };
  }

  async #identity(): Promise<MemberIdentity> {
    const config = this.#config;
    const initialMembers = [...config.initialCluster].map(([name, peerUrls]) => ({
      id: bootstrapMemberId(peerUrls, config.clusterToken),
      name,
      peerUrls,
      clientUrls: [],
      isLearner: false,
    }));
    const memberId = bootstrapMemberId(config.advertisePeerUrls, config.clusterToken);
    const clusterId = clusterIdOf(initialMembers.map((info) => info.id));
    const first = { memberId, clusterId, initialMembers, joins: false };
    const { tls } = peerTlsOf(config);
    const stored = storedIdentity(this.#directory.disk);
    if (stored !== undefined) {
      // A first start that was cut short is taken up again; else the log says everything.
      const isFirst = id64Equal(stored.memberId, memberId) && id64Equal(stored.clusterId, clusterId);
      return isFirst && config.isNewCluster ? first : { ...stored, initialMembers: [], joins: true };
    }
    if (!config.isNewCluster) return joinCluster(config, tls);
    await refuseAnotherLife(config, { memberId, tls });
    return first;
  }
}

function peerTlsOf(config: ServerConfig): { readonly tls: PeerTls } {
  const { certFile, keyFile, caFile, clientCertAuth } = config.peerTls;
  return {
    tls: {
      ...(certFile === "" ? {} : { certFile }),
      ...(keyFile === "" ? {} : { keyFile }),
      ...(caFile === "" ? {} : { caFile }),
      clientCertAuth,
    },
  };
}

function tlsOf(config: ServerConfig): { tls?: ServerTls } {
  const { certFile, keyFile, caFile, clientCertAuth } = config.clientTls;
  if (certFile === "") return {};
  // With a CA every client needs a certificate: etcd 3.6 has it so, whatever --client-cert-auth says.
  const isRequired = clientCertAuth || caFile !== "";
  const ca = caFile === "" ? {} : { trustedCaFile: caFile };
  return { tls: { certFile, keyFile, ...ca, clientCertAuth: isRequired } };
}

function limitsOf(config: ServerConfig): Limits {
  return {
    ...DEFAULT_LIMITS,
    requestSizeBytesMax: config.requestSizeBytesMax,
    txnOperationCountMax: config.txnOperationCountMax,
    streamCountMax: Math.min(config.streamCountMax, DEFAULT_LIMITS.streamCountMax),
    quotaBytes: config.quotaBytes,
    checkpointEntryCount: config.checkpointEntryCount,
  };
}

function transportLimitsOf({ keepalive }: ServerConfig): TransportLimits {
  return {
    ...DEFAULT_TRANSPORT_LIMITS,
    keepaliveMinTimeMs: keepalive.minTimeMs,
    keepaliveIntervalMs: keepalive.intervalMs,
    keepaliveTimeoutMs: keepalive.timeoutMs,
  };
}
