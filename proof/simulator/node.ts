// One member's process in the simulation: the machine, its disk, its clock, its connections, and the loop that drives
// them as product/server/driver.ts does: all input of a moment, then a turn, one flush, a slice of background work.
//
// A process can be killed (its disk keeps what power loss or kill -9 leaves), paused (input waits, time goes on), and
// started again on what is left. What it throws ends it; unless the fault was ours, that is a violation.

import { type Id64, id64Equal, id64Hex } from "../../core/base/ids.ts";
import type { Limits } from "../../core/base/limits.ts";
import { Metrics } from "../../core/base/metrics.ts";
import { DiskError } from "../../core/base/ports.ts";
import type { Prng } from "../../core/base/prng.ts";
import type { Member } from "../../core/member/member.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import { DataLostError } from "../../core/member/past-lives.ts";
import { DataDirectoryError, openMember } from "../../core/member/recovery.ts";
import { PowerLossError, type PowerLoss, SimulatedDisk } from "./disk.ts";
import { NodeClock } from "./node-clock.ts";
import type { DialledPeers, Frame, PeerNetwork, PeerPlace } from "./peer-network.ts";
import type { Scheduled, Scheduler } from "./scheduler.ts";
import { Violation } from "./violation.ts";

/** A connection of a client, as its member sees it. */
export interface NodeSocket {
  /** Sends what the machine has put out. */
  flush(): void;
  nextDeadlineMs(): number;
  onDeadline(nowMs: number): void;
  /** The process is gone. */
  reset(): void;
}

export interface NodeOptions {
  readonly place: number;
  readonly info: MemberInfo;
  readonly clusterId: Id64;
  readonly initialMembers: readonly MemberInfo[];
  /** Was added to a cluster that exists. */
  readonly joins?: boolean;
  readonly strictReconfigCheck?: boolean;
  /** The format of entries that its first process knows; later ones know the newest. */
  readonly firstFormat?: number;
  readonly electionMs: number;
  readonly heartbeatMs: number;
  readonly syncUs: number;
  readonly limits: Limits;
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly hooks: NodeHooks;
}

export interface NodeHooks {
  /** A line for the narrative. */
  say(node: SimulatedNode, text: string): void;
  /** A member was opened on its disk; nothing has reached it yet. */
  started(node: SimulatedNode, member: Member): void;
  /** After everything that a member did. */
  touched(node: SimulatedNode, member: Member): void;
  /** The member says that it may not go on, and its process has ended. */
  stopped?(node: SimulatedNode, reason: string): void;
  /** The members, as this one's peer port lists them; undefined when it is down. */
  listed(id: Id64): readonly MemberInfo[] | undefined;
  /** The process ended by itself because of a fault of its disk. */
  died(node: SimulatedNode, reason: string): void;
}

/** How long a turn keeps the processor, at least and in addition at most, microseconds. */
const TURN_US = 20;
const TURN_JITTER_US = 60;
/** A request by HTTP on a connection of its own, and its answer. */
const ASK_US_MIN = 500;
const ASK_US_MAX = 20_000;

export class SimulatedNode implements PeerPlace {
  readonly place: number;
  readonly id: Id64;
  readonly name: string;
  readonly clock: NodeClock;
  disk: SimulatedDisk;
  member: Member | undefined = undefined;
  incarnation = 0;
  isPaused = false;
  /** It said that it may not go on; nobody starts it again. */
  hasStopped = false;
  /** Its disk was replaced by another one: it may be refused, and end. */
  #hasOtherDisk = false;
  /** Its disk was lost; nobody of its cluster may take it for the one that it was. */
  isWiped = false;
  /** It has not heard of any leader yet, and asks whoever speaks to it what the cluster knows of it. */
  #isNewcomer = false;
  /** Others that were asked; those that do not know it from an earlier life. */
  readonly #asked = new Set<string>();
  readonly #admitted = new Set<string>();
  /** Of a sync, microseconds: least and most. */
  syncUs: { least: number; most: number };
  /** Added to every turn: a slow or crowded processor. */
  slowUs = 0;
  readonly sockets = new Set<NodeSocket>();
  readonly #options: NodeOptions;
  readonly #scheduler: Scheduler;
  readonly #chance: Prng;
  peers: PeerNetwork | undefined = undefined;
  #links: DialledPeers | undefined = undefined;
  #backlog: (() => void)[] = [];
  #busyUntilUs = 0;
  #startCount = 0;
  /** Why the member wants its process to end. */
  #stopReason = "";
  #turnScheduled = false;
  #deadline: Scheduled | undefined = undefined;
  #deadlineAtUs = Number.POSITIVE_INFINITY;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.#scheduler = options.scheduler;
    this.#chance = options.prng.split("process");
    this.place = options.place;
    this.id = options.info.id;
    this.name = options.info.name;
    this.clock = new NodeClock(options.scheduler, options.prng.split("clock").between(1, 100_000_000));
    this.syncUs = { least: options.syncUs >> 2, most: options.syncUs };
    this.disk = this.#newDisk();
  }

  get isUp(): boolean {
    return this.member !== undefined;
  }

  /** Whether clients go to it. */
  get isServing(): boolean {
    return this.isUp && !this.isWiped;
  }

  get outputLaterUs(): number {
    return this.clock.busyUs;
  }

  start(): void {
    if (this.member !== undefined || this.hasStopped) return;
    this.incarnation++;
    const incarnation = this.incarnation;
    this.#backlog = [];
    this.#turnScheduled = false;
    this.#busyUntilUs = this.#scheduler.nowUs;
    this.isPaused = false;
    this.#links = this.peers!.start(this);
    try {
      this.member = openMember(this.#memberOptions(this.#links, incarnation));
    } catch (error) {
      this.#ended(error, "recovery");
      return;
    }
    this.#isNewcomer = this.member.raft.term <= 1;
    this.#asked.clear();
    this.#admitted.clear();
    this.#options.hooks.started(this, this.member);
    this.wake();
  }

  /** kill -9 or a power loss. */
  crash(loss: PowerLoss): void {
    if (this.member === undefined) return;
    this.#stop();
    this.disk = this.disk.afterPowerLoss(loss);
  }

  /** The process ends without being killed; everything it wrote stays. */
  shutDown(): void {
    this.#stopReason = "";
    this.crash({ prng: this.#chance, survivors: "all", tear: "sector" });
  }

  /** The process is down, and its disk is another one when it starts again. */
  replaceDisk(disk: SimulatedDisk): void {
    this.disk = disk;
    this.#hasOtherDisk = true;
  }

  /** The process is down, and its directory is lost. */
  wipe(): void {
    this.replaceDisk(this.#newDisk());
    this.isWiped = true;
  }

  pause(): void {
    if (this.member !== undefined) this.isPaused = true;
  }

  resume(): void {
    if (!this.isPaused) return;
    this.isPaused = false;
    // What waited is read first or after a first look at the clock: a real loop may do either.
    if (this.#chance.chance(0.5)) this.#run(() => this.#turn());
    this.#drain();
  }

  /** The next sync fails, and drops what it should have made durable. */
  failNextSync(): void {
    this.disk.failSyncAt = this.disk.syncCount + 1;
  }

  /** Something for this process: now, or when it is able to. */
  input(action: () => void): void {
    if (this.member === undefined) return;
    if (!this.isPaused && this.#backlog.length === 0 && this.#scheduler.nowUs >= this.#busyUntilUs)
      return this.#run(action);
    this.#backlog.push(action);
    if (!this.isPaused && this.#backlog.length === 1) this.#drainLater();
  }

  wake(): void {
    if (this.#turnScheduled || this.member === undefined) return;
    this.#turnScheduled = true;
    const { incarnation } = this;
    const delayUs = TURN_US + this.#chance.below(TURN_JITTER_US) + this.clock.busyUs;
    this.#scheduler.after(delayUs, { node: this.place, kind: "turn" }, () => {
      if (incarnation === this.incarnation) this.input(() => this.#turn());
    });
  }

  peerFrame(from: Id64, frame: Frame): void {
    if (this.#isNewcomer && !this.#admits(from)) return;
    this.input(() => this.member!.onPeerFrame(from, frame.kind, frame.bytes, 0, frame.bytes.length));
  }

  peerConnected(peer: Id64): void {
    if (this.#isNewcomer) this.#admits(peer);
    this.input(() => this.member!.onPeerConnected(peer));
  }

  peerDisconnected(peer: Id64): void {
    this.input(() => this.member!.onPeerDisconnected(peer));
  }

  peerRefused(peer: Id64): void {
    this.input(() => this.member!.removal.told(peer));
  }

  /** As product/server/newcomer.ts: whoever speaks is asked what it knows, and what it says until it has answered is lost. */
  #admits(from: Id64): boolean {
    const hex = id64Hex(from);
    if (this.#admitted.has(hex) || this.member!.housekeeping.hasAnnounced) return true;
    if (this.#asked.has(hex)) return false;
    this.#asked.add(hex);
    const { incarnation } = this;
    const delayUs = this.#chance.between(ASK_US_MIN, ASK_US_MAX);
    this.#scheduler.after(delayUs, { node: this.place, kind: "asked" }, () => {
      if (incarnation === this.incarnation) this.input(() => this.#answered(from));
    });
    return false;
  }

  #answered(from: Id64): void {
    const hex = id64Hex(from);
    const listed = this.#options.hooks.listed(from);
    // It is down: asked again with its next word.
    if (listed === undefined) return void this.#asked.delete(hex);
    const own = listed.find((info) => id64Equal(info.id, this.id));
    const isKnown = own !== undefined && own.clientUrls.length > 0;
    if (isKnown && !this.member!.housekeeping.hasAnnounced)
      return this.#refused("it has already been bootstrapped, but its data is not here");
    this.#admitted.add(hex);
    this.member!.onPeerAdmitted(from);
  }

  /** Whether it dials the other one, or would if it ran. */
  dials(other: SimulatedNode): boolean {
    return this.#links?.dials(other.id) ?? false;
  }

  #turn(): void {
    const { member } = this;
    if (member === undefined) return;
    this.#turnScheduled = false;
    this.clock.busyUs += this.slowUs;
    const nowMs = this.clock.now();
    for (const socket of this.sockets) if (nowMs >= socket.nextDeadlineMs()) socket.onDeadline(nowMs);
    member.turn();
    this.#flush();
    const more = member.background();
    this.#flush();
    if (more) this.wake();
    else this.#arm();
  }

  #flush(): void {
    this.#links!.flush();
    for (const socket of this.sockets) socket.flush();
  }

  #arm(): void {
    let deadlineMs = this.member!.nextDeadlineMs();
    for (const socket of this.sockets) deadlineMs = Math.min(deadlineMs, socket.nextDeadlineMs());
    const atUs = this.#scheduler.nowUs + this.clock.busyUs + this.clock.untilUs(deadlineMs);
    if (this.#deadlineAtUs <= atUs && this.#deadlineAtUs > this.#scheduler.nowUs) return;
    this.#deadline?.cancel();
    this.#deadlineAtUs = atUs;
    const { incarnation } = this;
    this.#deadline = this.#scheduler.at(atUs, { node: this.place, kind: "deadline" }, () => {
      this.#deadlineAtUs = Number.POSITIVE_INFINITY;
      if (incarnation === this.incarnation) this.input(() => this.wake());
    });
  }

  #run(action: () => void): void {
    const { member } = this;
    this.clock.busyUs = 0;
    try {
      action();
    } catch (error) {
      this.clock.busyUs = 0;
      return this.#ended(error, "running");
    }
    this.#busyUntilUs = this.#scheduler.nowUs + this.clock.busyUs;
    this.clock.busyUs = 0;
    if (member === undefined || this.member !== member) return;
    this.#options.hooks.touched(this, member);
    if (this.#stopReason !== "") this.#stopByItself();
  }

  #stopByItself(): void {
    const reason = this.#stopReason;
    this.shutDown();
    this.hasStopped = true;
    this.#options.hooks.stopped?.(this, reason);
  }

  #drainLater(): void {
    const { incarnation } = this;
    this.#scheduler.at(this.#busyUntilUs, { node: this.place, kind: "drain" }, () => {
      if (incarnation === this.incarnation) this.#drain();
    });
  }

  #drain(): void {
    while (this.#backlog.length > 0 && !this.isPaused && this.member !== undefined) {
      if (this.#scheduler.nowUs < this.#busyUntilUs) return this.#drainLater();
      this.#run(this.#backlog.shift()!);
    }
  }

  /** The process threw. Faults that we put into its disk end it as they should; everything else is a bug. */
  #ended(error: unknown, when: string): void {
    if (error instanceof Violation) throw error;
    if (this.#hasOtherDisk && (error instanceof DataLostError || error instanceof DataDirectoryError))
      return this.#refused(error.message);
    const isOurs = error instanceof DiskError && (error.code === "EIO" || error.code === "ENOSPC");
    if (!isOurs || error instanceof PowerLossError) {
      const { message, stack } = error as Error;
      const where = (stack ?? "").split("\n").slice(1, 8).join("\n");
      const failure = new Violation(
        "crash",
        `member ${this.place} ended while ${when}: ${message}\n${where}`,
      );
      failure.cause = error;
      throw failure;
    }
    this.#stop();
    this.disk = this.disk.afterPowerLoss({ prng: this.#chance, survivors: "all", tear: "sector" });
    this.#options.hooks.died(this, `${(error as DiskError).code} at ${(error as DiskError).path}`);
  }

  /** The process ended, because its disk is not what it was. */
  #refused(reason: string): void {
    this.#stop();
    this.disk = this.disk.afterPowerLoss({ prng: this.#chance, survivors: "all", tear: "sector" });
    this.hasStopped = true;
    this.#options.hooks.stopped?.(this, reason);
  }

  #stop(): void {
    this.member = undefined;
    this.incarnation++;
    this.isPaused = false;
    this.#backlog = [];
    this.#deadline?.cancel();
    this.#deadlineAtUs = Number.POSITIVE_INFINITY;
    const sockets = [...this.sockets];
    this.sockets.clear();
    for (const socket of sockets) socket.reset();
    this.peers!.stop(this);
  }

  #newDisk(): SimulatedDisk {
    const { scheduler, prng } = this.#options;
    const chance = prng.split("disk");
    const syncMs = (): number =>
      (this.syncUs.least + chance.below(this.syncUs.most - this.syncUs.least + 1)) / 1000;
    return new SimulatedDisk({
      prng: chance,
      syncMs,
      clock: {
        advance: (delayMs) => void (this.clock.busyUs += Math.round(delayMs * 1000)),
        now: () => scheduler.nowUs / 1000,
        at: (timeMs, action) => {
          const { incarnation } = this;
          scheduler.at(Math.round(timeMs * 1000), { node: this.place, kind: "disk" }, () => {
            if (incarnation === this.incarnation) this.input(action);
          });
        },
      },
    });
  }

  #memberOptions(links: DialledPeers, incarnation: number): Parameters<typeof openMember>[0] {
    const { info, clusterId, initialMembers, electionMs, heartbeatMs, limits, hooks } = this.#options;
    const { firstFormat } = this.#options;
    const isFirst = this.#startCount++ === 0;
    const say = (message: string, fields?: Readonly<Record<string, string | number>>): void =>
      hooks.say(this, fields === undefined ? message : `${message} ${JSON.stringify(fields)}`);
    return {
      memberId: info.id,
      clusterId,
      name: info.name,
      clientUrls: info.clientUrls,
      initialMembers,
      joins: this.#options.joins ?? false,
      forceNewCluster: false,
      heartbeatMs,
      electionMs,
      strictReconfigCheck: this.#options.strictReconfigCheck ?? true,
      learnerCountMax: 1,
      watchProgressMs: 1_000,
      ...(isFirst && firstFormat !== undefined ? { formatVersion: firstFormat } : {}),
      autoCompaction: { mode: "periodic", periodMs: 0, revisions: 0 },
      reportedVersion: "3.6.0",
      limits,
      clock: this.clock,
      waker: { wake: () => this.wake() },
      prng: this.#options.prng.split(`member ${incarnation}`),
      disk: this.disk,
      peers: links,
      metrics: new Metrics(),
      events: {
        info: say,
        warn: say,
        stop: (reason) => void (this.#stopReason = reason),
      },
    };
  }
}
