// Makes the planned faults happen, and undoes them all in the end.

import { id64ToBigInt } from "../../core/base/ids.ts";
import { METHOD } from "../../core/wire/service.ts";
import {
  MESSAGE_APPEND_REPLY,
  MESSAGE_VOTE,
  MESSAGE_VOTE_REPLY,
  type RaftMessage,
} from "../../core/raft/message.ts";
import type { PowerLoss } from "./disk.ts";
import type { Client } from "./client.ts";
import type { SimulatedNode } from "./node.ts";
import type { Operator } from "./operator.ts";
import {
  describeFault,
  type Fault,
  QUOTA_SEGMENT_BYTES,
  type Survivors,
  type Target,
  type TimedFault,
  type Word,
} from "./plan.ts";
import { encodeTagged } from "./requests.ts";
import type { WatchClient } from "./watch-client.ts";
import type { World } from "./world.ts";

type KillAfter = Extract<Fault, { kind: "killAfter" }>;

const EVENT = { node: -1, kind: "fault" } as const;
/** What is left when everything is deleted and compacted: segments that are written to, and the newest revision's. */
const QUOTA_BYTES_MIN = 6 * QUOTA_SEGMENT_BYTES;

/** Who else acts in the world: faults strike clients, too, and the operator does some of them. */
export interface Company {
  readonly clients: readonly Client[];
  readonly watchers: readonly WatchClient[];
  readonly operator: Operator;
}

export class FaultInjector {
  readonly #world: World;
  readonly #company: Company;
  readonly #prng;
  /** What ends a fault that has not ended by itself. */
  readonly #undo = new Set<() => void>();
  readonly #downUs = new Map<number, number>();
  /** Kills that wait for somebody to say the word. */
  #armed: KillAfter[] = [];
  #isHealed = false;

  constructor(world: World, company: Company) {
    this.#world = world;
    this.#company = company;
    this.#prng = world.prng.split("faults");
  }

  schedule(faults: readonly TimedFault[]): void {
    for (const { atUs, fault } of faults) this.#world.scheduler.at(atUs, EVENT, () => this.#begin(fault));
  }

  /** A member ended by itself, because of a fault of its disk. */
  died(node: SimulatedNode, reason: string): void {
    this.#world.say(`member ${node.place} ended: ${reason}`);
    this.#startLater(node, this.#downUs.get(node.place) ?? 300_000);
  }

  /** A member sent a Raft message. */
  said(place: number, message: RaftMessage): void {
    if (this.#armed.length === 0) return;
    const word = wordOf(message);
    const at = this.#armed.findIndex((fault) => fault.word === word);
    if (at < 0) return;
    const fault = this.#armed.splice(at, 1)[0]!;
    this.#world.scheduler.after(fault.afterUs, EVENT, () => {
      if (this.#isHealed) return;
      this.#world.say(`member ${place} is killed after its ${fault.word}`);
      this.#kill(
        this.#world.nodes.find((node) => node.place === place)!,
        fault.survivors,
        fault.downUs,
      );
    });
  }

  heal(): void {
    this.#isHealed = true;
    this.#armed = [];
    this.#world.say("all faults end");
    for (const undo of [...this.#undo]) undo();
    this.#world.network.heal();
    for (const node of this.#world.nodes) {
      node.disk.failSyncAt = Number.POSITIVE_INFINITY;
      node.clock.setRate(1);
      node.start();
    }
  }

  #begin(fault: Fault): void {
    if (this.#isHealed) return;
    this.#world.happened(fault.kind);
    this.#world.say(describeFault(fault));
    switch (fault.kind) {
      case "kill":
        return this.#kill(this.#node(fault.target), fault.survivors, fault.downUs);
      case "killAfter":
        return void this.#armed.push(fault);
      case "killAll":
        for (const node of this.#world.nodes)
          this.#kill(node, fault.survivors, fault.downUs + this.#prng.below(50_000));
        return;
      case "pause":
        return this.#pause(this.#node(fault.target), fault.lastsUs);
      case "isolate":
        return this.#isolate(this.#node(fault.target).place, fault);
      case "split":
        return this.#split(fault);
      case "cutWay":
        return this.#close(
          fault.both
            ? [
                [fault.from, fault.to],
                [fault.to, fault.from],
              ]
            : [[fault.from, fault.to]],
          fault.lastsUs,
        );
      case "slowWay":
        return this.#slowWay(this.#node(fault.target).place, fault);
      case "reset":
        return this.#world.peers.reset(fault.from, fault.to);
      case "clockRate":
        return this.#node(fault.target).clock.setRate(fault.rate);
      case "slowDisk":
        return this.#slowDisk(this.#node(fault.target), fault);
      case "failSync": {
        const node = this.#node(fault.target);
        this.#downUs.set(node.place, fault.downUs);
        return node.failNextSync();
      }
      case "fullDisk":
        return this.#fullDisk(this.#node(fault.target), fault);
      case "slowProcessor":
        return this.#slowProcessor(this.#node(fault.target), fault);
      case "moveLeader":
        return this.#moveLeader();
      case "addMember":
        return this.#company.operator.add(fault.asLearner, fault.startsAfterUs);
      case "removeMember":
        return this.#company.operator.remove(this.#node(fault.target));
      case "moveMember":
        return this.#company.operator.move(this.#node(fault.target));
      case "quota":
        return this.#limitSpace(fault);
      case "wipeDisk":
        return this.#wipe(this.#node(fault.target), fault.downUs);
    }
  }

  #node(target: Target): SimulatedNode {
    const { nodes, leader } = this.#world;
    if (typeof target === "number") return nodes[target]!;
    if (target === "leader") return leader ?? this.#prng.pick(nodes);
    const others = nodes.filter((node) => node !== leader);
    return others.length === 0 ? nodes[0]! : this.#prng.pick(others);
  }

  #kill(node: SimulatedNode, survivors: Survivors, downUs: number): void {
    if (!node.isUp) return;
    const loss: PowerLoss = { prng: this.#prng, survivors, tear: this.#prng.chance(0.5) ? "byte" : "sector" };
    node.crash(loss);
    this.#startLater(node, downUs);
  }

  #startLater(node: SimulatedNode, downUs: number): void {
    this.#world.scheduler.after(downUs, EVENT, () => {
      // A removed one, too: whoever starts it again may not know.
      if (node.isUp || node.hasStopped) return;
      this.#world.say(`member ${node.place} starts`);
      node.start();
    });
  }

  #pause(node: SimulatedNode, lastsUs: number): void {
    if (!node.isUp || node.isPaused) return;
    node.pause();
    this.#endLater(lastsUs, () => {
      if (node.isPaused) this.#world.leadership.resumed(node.place);
      node.resume();
    });
  }

  #isolate(place: number, fault: Extract<Fault, { kind: "isolate" }>): void {
    const ways: [number, number][] = [];
    for (const node of this.#world.nodes) {
      if (node.place === place) continue;
      if (fault.direction !== "in") ways.push([place, node.place]);
      if (fault.direction !== "out") ways.push([node.place, place]);
    }
    this.#close(ways, fault.lastsUs);
    if (fault.breaks) this.#world.peers.resetClosedWays();
  }

  /** Members and clients fall into two groups that do not reach each other. */
  #split(fault: Extract<Fault, { kind: "split" }>): void {
    const { nodes, clientPlace } = this.#world;
    const { clients, watchers } = this.#company;
    const places = [...nodes, ...clients, ...watchers].map((one) => one.place);
    const side = new Map(places.map((place) => [place, this.#prng.chance(0.5)]));
    const ways: [number, number][] = [];
    for (const from of places) {
      for (const to of places)
        if (side.get(from) !== side.get(to) && (from < clientPlace || to < clientPlace))
          ways.push([from, to]);
    }
    this.#close(ways, fault.lastsUs);
    if (fault.breaks) this.#world.peers.resetClosedWays();
  }

  #slowWay(place: number, fault: Extract<Fault, { kind: "slowWay" }>): void {
    const { network, nodes } = this.#world;
    const set = (delayUs: number): void => {
      for (const node of nodes) {
        network.slow(place, node.place, delayUs);
        network.slow(node.place, place, delayUs);
      }
    };
    set(fault.delayUs);
    this.#endLater(fault.lastsUs, () => set(0));
  }

  #slowDisk(node: SimulatedNode, fault: Extract<Fault, { kind: "slowDisk" }>): void {
    const { syncUs } = node;
    node.syncUs = { least: fault.syncUs >> 2, most: fault.syncUs };
    this.#endLater(fault.lastsUs, () => void (node.syncUs = syncUs));
  }

  #fullDisk(node: SimulatedNode, fault: Extract<Fault, { kind: "fullDisk" }>): void {
    node.disk.capacityBytes = node.disk.usedBytes() + fault.spareBytes;
    // A disk that is swapped in by a restart keeps the limit until then.
    this.#endLater(fault.lastsUs, () => void (node.disk.capacityBytes = Number.POSITIVE_INFINITY));
  }

  /** All members' quota; the operator makes room when it is reached, and it stays, so that the room must suffice. */
  #limitSpace({ spareBytes, forUs }: Extract<Fault, { kind: "quota" }>): void {
    const { nodes, limits, plan, scheduler } = this.#world;
    const sizes = nodes.map((node) => node.member?.store.sizeBytes ?? 0);
    limits.quotaBytes = Math.max(QUOTA_BYTES_MIN, Math.max(...sizes) + spareBytes);
    this.#company.operator.makeRoomLater();
    if (forUs === Number.POSITIVE_INFINITY) return;
    scheduler.after(forUs, EVENT, () => void (limits.quotaBytes = plan.limits.quotaBytes));
  }

  /** Its directory is lost, and it is started under its id, which must be refused. */
  #wipe(node: SimulatedNode, downUs: number): void {
    const { operator } = this.#company;
    if (!operator.mayLose(node)) return;
    operator.lost(node);
    this.#world.happened("wiped");
    node.crash({ prng: this.#prng, survivors: "none", tear: "sector" });
    node.wipe();
    this.#startLater(node, downUs);
  }

  #slowProcessor(node: SimulatedNode, fault: Extract<Fault, { kind: "slowProcessor" }>): void {
    node.slowUs = fault.turnUs;
    this.#endLater(fault.lastsUs, () => void (node.slowUs = 0));
  }

  #moveLeader(): void {
    const { leader, nodes } = this.#world;
    const others = nodes.filter((node) => node !== leader);
    if (leader === undefined || others.length === 0) return;
    const target = this.#prng.pick(others);
    const request = encodeTagged(METHOD.moveLeader, { targetID: id64ToBigInt(target.id) }, 0);
    const { place } = this.#company.clients[0]!;
    const link = this.#world.connect(place, leader, this.#prng.split("link"), () => undefined);
    const call = link.call(
      METHOD.moveLeader,
      {
        onMessage: () => undefined,
        onEnd: (_call, code, text) => {
          this.#world.say(`leadership to member ${target.place}: ${code === 0 ? "moved" : text}`);
          if (code === 0) this.#world.happened("moved");
          link.close();
        },
      },
      3_000,
    );
    this.#world.leadership.asked(leader.place, target.place);
    call.send(request, 0, request.length);
    call.halfClose();
  }

  #close(ways: readonly (readonly [number, number])[], lastsUs: number): void {
    const { network } = this.#world;
    for (const [from, to] of ways) network.close(from, to);
    this.#endLater(lastsUs, () => {
      for (const [from, to] of ways) network.open(from, to);
    });
  }

  #endLater(lastsUs: number, end: () => void): void {
    const once = (): void => {
      if (this.#undo.delete(once)) end();
    };
    this.#undo.add(once);
    this.#world.scheduler.after(lastsUs, EVENT, once);
  }
}

function wordOf(message: RaftMessage): Word | undefined {
  if (message.kind === MESSAGE_VOTE) return "candidacy";
  if (message.reject) return undefined;
  if (message.kind === MESSAGE_VOTE_REPLY) return "vote";
  return message.kind === MESSAGE_APPEND_REPLY ? "acknowledgement" : undefined;
}
