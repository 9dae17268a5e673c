// Who runs the cluster: adds members and starts them, promotes learners, gives members other addresses, and removes members,
// which stop by themselves; replaces members whose disk is lost, and makes room when the quota is reached. What came of a request it sees in the committed log, so that an answer that was lost leaves nobody
// behind.

import { id64Hex, id64ToBigInt } from "../../core/base/ids.ts";
import { ALARM_NOSPACE } from "../../core/member/alarms.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import type { SimulatedNode } from "./node.ts";
import { ADDED_MEMBER_COUNT_MAX } from "./plan.ts";
import { bytesOf } from "./canonical.ts";
import { encodeTagged, keyName } from "./requests.ts";
import type { World } from "./world.ts";

const EVENT = { node: -1, kind: "operator" } as const;
const PROMOTE_PERIOD_US = 300_000;
const REPLACE_PERIOD_US = 500_000;
const MAKE_ROOM_PERIOD_US = 700_000;
const MAKE_ROOM_STEP_US = 60_000;
const ALARM_CLEAR = 2;
const TIMEOUT_MS = 3_000;
/** Of all requests that go to two members: what the second has not applied yet, it does not know. */
const ASKS_TWICE_SHARE = 0.3;
/** Of all new addresses that some member, perhaps another one, has already. */
const TAKEN_SHARE = 0.2;

interface Added {
  readonly place: number;
  readonly peerUrl: string;
  readonly startsAfterUs: number;
}

export class Operator {
  readonly #world: World;
  readonly #prng;
  /** Asked for and not in the log yet. */
  readonly #wanted = new Map<string, Added>();
  /** Ids that the log has or had. */
  readonly #known = new Set<string>();
  readonly #gone = new Set<string>();
  /** Whose disk was lost, and whose removal was asked for. */
  readonly #lost = new Set<string>();
  readonly #removed = new Set<string>();
  #makesRoom = false;
  #addedCount = 0;
  #moveCount = 0;

  constructor(world: World) {
    this.#world = world;
    this.#prng = world.prng.split("operator");
    world.truth.onMembersChanged = () => this.#onMembersChanged();
  }

  /** Whether this member belongs to the cluster: false once the log has removed it. */
  isWanted(node: SimulatedNode): boolean {
    return !this.#gone.has(id64Hex(node.id));
  }

  add(asLearner: boolean, startsAfterUs: number): void {
    const { nodes, plan } = this.#world;
    if (this.#addedCount >= ADDED_MEMBER_COUNT_MAX || nodes.length === 0) return;
    const place = plan.memberCount + this.#addedCount++;
    const peerUrl = `http://m${place}:2380`;
    this.#wanted.set(peerUrl, { place, peerUrl, startsAfterUs });
    this.#ask(METHOD.memberAdd, { peerURLs: [peerUrl], isLearner: asLearner });
  }

  remove(node: SimulatedNode): void {
    const hex = id64Hex(node.id);
    // Without one that is lost and another one that goes there may be no quorum any more.
    if (!this.#isMember(hex) || this.#voterCount < 2 || this.#isAnyLost) return;
    this.#removed.add(hex);
    this.#ask(METHOD.memberRemove, { ID: id64ToBigInt(node.id) });
  }

  /** Whether the cluster can go on without this one for good, and everybody knows of it. */
  mayLose(node: SimulatedNode): boolean {
    const hex = id64Hex(node.id);
    if (!this.#isMember(hex) || this.#voterCount < 3 || this.#isAnyLost) return false;
    // One whose removal may still be committed would be missing, too.
    if ([...this.#removed].some((other) => this.#isMember(other))) return false;
    return this.#world.nodes.every((other) => {
      if (other === node || !this.isWanted(other)) return true;
      return (other.member?.membership.get(node.id)?.clientUrls.length ?? 0) > 0;
    });
  }

  lost(node: SimulatedNode): void {
    this.#lost.add(id64Hex(node.id));
  }

  /** A member that lost its disk was refused: it is removed, and another one added in its place. */
  replace(node: SimulatedNode): void {
    if (!this.#isMember(id64Hex(node.id))) {
      this.#world.happened("replaced");
      return this.add(this.#prng.chance(0.5), 0);
    }
    this.#ask(METHOD.memberRemove, { ID: id64ToBigInt(node.id) });
    this.#world.scheduler.after(REPLACE_PERIOD_US, EVENT, () => this.replace(node));
  }

  get #voterCount(): number {
    return [...this.#world.truth.members.values()].filter((member) => !member.isLearner).length;
  }

  get #isAnyLost(): boolean {
    return [...this.#lost].some((hex) => this.#isMember(hex));
  }

  #isMember(hex: string): boolean {
    return this.#world.truth.members.has(hex);
  }

  /** While there is no space: deletes, compacts, defragments and clears the alarm, as an operator of etcd does. */
  makeRoomLater(): void {
    if (this.#makesRoom) return;
    this.#makesRoom = true;
    this.#world.scheduler.after(MAKE_ROOM_PERIOD_US, EVENT, () => {
      this.#makesRoom = false;
      if (this.#world.isQuiet) return;
      if (this.#world.truth.model.noSpace.size > 0) this.#makeRoom();
      this.makeRoomLater();
    });
  }

  #makeRoom(): void {
    const { truth, nodes, scheduler, plan } = this.#world;
    this.#world.say("the operator makes room");
    this.#world.happened("madeRoom");
    const first = this.#prng.below(plan.keyspace.keyCount);
    this.#ask(METHOD.deleteRange, { key: bytesOf(keyName(first)), range_end: bytesOf("l"), prev_kv: false });
    scheduler.after(MAKE_ROOM_STEP_US, EVENT, () => {
      this.#ask(METHOD.compact, { revision: truth.revision, physical: true });
      scheduler.after(MAKE_ROOM_STEP_US, EVENT, () => {
        for (const node of nodes) if (node.isServing) this.#askOf(node, METHOD.defragment, {});
        scheduler.after(MAKE_ROOM_STEP_US, EVENT, () => {
          for (const memberID of truth.model.noSpace)
            this.#ask(METHOD.alarm, { action: ALARM_CLEAR, memberID, alarm: ALARM_NOSPACE });
        });
      });
    });
  }

  /** Gives a member another address, sometimes one that somebody else has, which must be refused. */
  move(node: SimulatedNode): void {
    const { members } = this.#world.truth;
    if (!this.#isMember(id64Hex(node.id))) return;
    const other = this.#prng.pick([...members.values()]);
    const isTaken = this.#prng.chance(TAKEN_SHARE);
    const peerUrl = isTaken ? other.peerUrl : `http://m${node.place}-${++this.#moveCount}:2380`;
    this.#ask(METHOD.memberUpdate, { ID: id64ToBigInt(node.id), peerURLs: [peerUrl] });
  }

  /** Promotes whoever is a learner, again and again. */
  promoteLater(): void {
    this.#world.scheduler.after(PROMOTE_PERIOD_US, EVENT, () => {
      if (this.#world.isQuiet) return;
      for (const { id, isLearner } of this.#world.truth.members.values()) {
        if (isLearner) this.#ask(METHOD.memberPromote, { ID: id64ToBigInt(id) });
      }
      this.promoteLater();
    });
  }

  #onMembersChanged(): void {
    const { truth, nodes } = this.#world;
    for (const [hex, { peerUrl }] of truth.members) {
      this.#known.add(hex);
      const added = this.#wanted.get(peerUrl);
      if (added === undefined || nodes.some((node) => id64Hex(node.id) === hex)) continue;
      this.#wanted.delete(peerUrl);
      this.#startLater(added, hex);
    }
    for (const node of nodes) {
      const hex = id64Hex(node.id);
      if (!this.#known.has(hex) || truth.members.has(hex) || this.#gone.has(hex)) continue;
      this.#gone.add(hex);
      this.#world.say(`member ${node.place} is removed`);
    }
  }

  #startLater(added: Added, hex: string): void {
    const { place, startsAfterUs } = added;
    this.#world.say(`member ${place} is added as ${hex}`);
    this.#world.scheduler.after(startsAfterUs, EVENT, () => {
      const { members } = this.#world.truth;
      const own = members.get(hex);
      if (own === undefined) return; // removed again
      const infos = [...members.values()].map((member): MemberInfo => ({
        id: member.id,
        name: "",
        peerUrls: [member.peerUrl],
        clientUrls: [],
        isLearner: member.isLearner,
      }));
      const info = {
        ...infos.find((one) => id64Hex(one.id) === hex)!,
        name: `m${place}`,
        clientUrls: [`http://m${place}:2379`],
      };
      this.#world.addNode({ place, info, initialMembers: infos, joins: true }).start();
    });
  }

  /** Asks the leader, or anybody, and sometimes a second member as well; nobody waits for the answer. */
  #ask(method: Method, request: unknown): void {
    const { leader, nodes } = this.#world;
    const up = nodes.filter((node) => node.isServing);
    if (up.length === 0) return;
    this.#askOf(leader ?? this.#prng.pick(up), method, request);
    if (this.#prng.chance(ASKS_TWICE_SHARE)) this.#askOf(this.#prng.pick(up), method, request);
  }

  #askOf(target: SimulatedNode, method: Method, request: unknown): void {
    const { operatorPlace } = this.#world;
    const link = this.#world.connect(operatorPlace, target, this.#prng.split("link"), () => undefined);
    const onEnd = (_call: unknown, code: number, text: string): void => {
      this.#world.say(`${method.name} at member ${target.place}: ${code === 0 ? "done" : text}`);
      link.close();
    };
    const call = link.call(method, { onMessage: () => undefined, onEnd }, TIMEOUT_MS);
    const bytes = encodeTagged(method, request, 0);
    call.send(bytes, 0, bytes.length);
    call.halfClose();
  }
}
