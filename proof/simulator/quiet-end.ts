// The end of a simulation: nothing is broken any more, and nobody asks. Now the cluster must find a leader, take a write,
// answer everything that waits, bring every member and every watcher up to date, and let every unused lease end.

import { id64Hex } from "../../core/base/ids.ts";
import { AssertionError } from "../../core/base/assert.ts";
import { verifyStore } from "../../core/mvcc/verify-store.ts";
import * as m from "../../core/wire/messages.ts";
import { decode } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { CODE, STATUS } from "../../core/wire/status.ts";
import { bytesOf, canonical } from "./canonical.ts";
import { type Answer, type Operation } from "./history.ts";
import type { SimulatedNode } from "./node.ts";
import { encodeTagged } from "./requests.ts";
import { promise } from "./violation.ts";
import type { Client } from "./client.ts";
import type { Operator } from "./operator.ts";
import type { WatchClient } from "./watch-client.ts";
import type { World } from "./world.ts";

/** From the end of all faults to the first write. Elections take some rounds of at most twice their timeout. */
const FIRST_WRITE_US_MAX = 15_000_000;
/** After that: until everybody has caught up and waiting calls are answered (the server's limit is 7 s). */
const SETTLE_US = 9_000_000;
/** Leases end at last so long after their TTL: an election, its extension, and the slack of the oracle. */
const LEASE_END_US = 4_000_000;
const LEASE_CHECK_PERIOD_US = 500_000;

const EVERYTHING = { key: bytesOf("\0"), range_end: bytesOf("\0") };

const RANGE_OF_ALL = {
  ...EVERYTHING,
  limit: 0,
  revision: 0,
  sort_order: 0,
  sort_target: 0,
  serializable: true,
  keys_only: false,
  count_only: false,
  min_mod_revision: 0,
  max_mod_revision: 0,
  min_create_revision: 0,
  max_create_revision: 0,
};

/** Of whom the end demands something, and who knows which members are left. */
export interface Guests {
  readonly clients: readonly Client[];
  readonly watchers: readonly WatchClient[];
  readonly operator: Operator;
}

export class QuietEnd {
  readonly #world: World;
  readonly #guests: Guests;
  readonly #place: number;

  constructor(world: World, guests: Guests) {
    this.#world = world;
    this.#guests = guests;
    this.#place = world.operatorPlace;
  }

  run(): void {
    const world = this.#world;
    const { scheduler } = world;
    const healedUs = scheduler.nowUs;
    for (const node of this.#members) if (!isLearner(world, node)) this.#firstWrite(node, healedUs);
    const writtenUs = scheduler.nowUs;
    world.say("every member has taken a write");
    this.#runAndCheckLeases(writtenUs, writtenUs + SETTLE_US);
    for (const client of this.#guests.clients) {
      promise(
        client.pendingCount === 0,
        "stuck-call",
        () =>
          `client ${client.number} still waits for an answer ${SETTLE_US / 1e6} s after everything is well`,
      );
    }
    const [, ttlSecondsMax] = world.plan.leaseTtlSeconds;
    this.#runAndCheckLeases(writtenUs, writtenUs + ttlSecondsMax * 1.1e6 + LEASE_END_US);
    promise(
      world.leases.livingCount === 0,
      "lease-liveness",
      () => `${world.leases.livingCount} leases are left when all must have ended`,
    );
    this.#checkMembers();
    this.#checkRemoved();
    for (const watcher of this.#guests.watchers) for (const oracle of watcher.oracles) oracle.checkComplete();
  }

  #runAndCheckLeases(quietSinceUs: number, untilUs: number): void {
    const { scheduler, leases } = this.#world;
    while (scheduler.nowUs < untilUs) {
      this.#world.runUntil(Math.min(untilUs, scheduler.nowUs + LEASE_CHECK_PERIOD_US));
      leases.checkExpired(quietSinceUs);
    }
  }

  get #members(): SimulatedNode[] {
    return this.#world.nodes.filter((node) => this.#guests.operator.isWanted(node));
  }

  #firstWrite(node: SimulatedNode, healedUs: number): void {
    const world = this.#world;
    // Somebody may still be removed: the request was under way.
    while (this.#guests.operator.isWanted(node)) {
      for (const memberID of world.truth.model.noSpace) {
        this.#ask(node, METHOD.alarm, { request: { action: 2, memberID, alarm: 1 }, tag: 0 });
      }
      const value = bytesOf(`end ${world.scheduler.nowUs}`);
      const request = {
        key: bytesOf(`end${node.place}`),
        value,
        lease: 0n,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
      };
      const { code, text } = this.#ask(node, METHOD.put, { request, tag: world.nextTag() });
      if (code === CODE.ok) return;
      if (text === STATUS.noSpace.text) this.#makeRoom(node);
      const waitedUs = world.scheduler.nowUs - healedUs;
      promise(waitedUs < FIRST_WRITE_US_MAX, "liveness", () => {
        const states = world.nodes.map(({ place, member }) =>
          member === undefined
            ? `${place} down`
            : `${place} ${member.raft.role} term ${member.raft.term} commit ${member.raft.commitIndex}/${member.raft.lastIndex} applied ${member.appliedIndex}`,
        );
        return `no write at member ${node.place} ${Math.round(waitedUs / 1000)} ms after everything is well: ${states.join("; ")}`;
      });
      world.runUntil(world.scheduler.nowUs + 50_000);
    }
  }

  /** What an operator does whose store is full: it must help, since the quota may be still what it was. */
  #makeRoom(node: SimulatedNode): void {
    const { truth } = this.#world;
    this.#world.happened("madeRoom");
    this.#ask(node, METHOD.deleteRange, {
      request: { ...EVERYTHING, prev_kv: false },
      tag: this.#world.nextTag(),
    });
    const compaction = { revision: truth.revision, physical: true };
    this.#ask(node, METHOD.compact, { request: compaction, tag: this.#world.nextTag() });
    for (const one of this.#members)
      if (one.isServing) this.#ask(one, METHOD.defragment, { request: {}, tag: 0 });
  }

  /** Every member has applied everything and holds what the model holds. */
  #checkMembers(): void {
    const world = this.#world;
    const { model } = world.truth;
    const hashes = new Set<string>();
    for (const node of this.#members) {
      const applied = node.member?.appliedIndex ?? -1;
      promise(
        applied === world.truth.committedIndex,
        "converged",
        () =>
          `member ${node.place} has applied ${applied} of ${world.truth.committedIndex} entries long after everything is well`,
      );
      const all = this.#ask(node, METHOD.range, { request: RANGE_OF_ALL, tag: 0 });
      promise(all.code === CODE.ok, "converged", () => `member ${node.place} does not answer: ${all.text}`);
      verifyStoreOf(node);
      if (isLearner(world, node)) continue;
      const hash = this.#ask(node, METHOD.hashKV, { request: { revision: 0 }, tag: 0 });
      if (hash.code === CODE.ok) {
        const { header: _header, ...rest } = decode(m.HashKVResponse, hash.message!, 0, hash.message!.length);
        hashes.add(canonical(rest));
      } else
        promise(
          hash.code === CODE.unimplemented,
          "equal-hashes",
          () => `member ${node.place} has no hash: ${hash.text}`,
        );
    }
    promise(
      hashes.size <= 1,
      "equal-hashes",
      () => `the members' hashes differ at revision ${model.revision}: ${[...hashes].join(" ")}`,
    );
  }

  /** Members that were removed have stopped, unless they know nobody who could have told them. */
  #checkRemoved(): void {
    const members = this.#members;
    for (const node of this.#world.nodes) {
      if (this.#guests.operator.isWanted(node) || !node.isUp) continue;
      promise(
        !members.some((member) => node.dials(member)),
        "removed-stops",
        () => `member ${node.place} was removed and still runs long after everything is well`,
      );
    }
  }

  /** Asks and waits; the answer goes to the oracles like any other. */
  #ask(node: SimulatedNode, method: Method, what: { request: unknown; tag: number }): Answer {
    const world = this.#world;
    const { scheduler, history } = world;
    const link = world.connect(this.#place, node, world.prng.split("end"), () => undefined);
    const operation: Operation = {
      ...what,
      method,
      client: -1,
      node: node.place,
      calledUs: scheduler.nowUs,
      floor: history.highestReturned,
    };
    let message: Uint8Array | undefined;
    let answer: Answer | undefined;
    const call = link.call(
      method,
      {
        onMessage: (_call, bytes, start, end) => void (message = bytes.slice(start, end)),
        onEnd: (_call, code, text) => {
          answer = { code, text, message };
          world.returned(operation, answer);
        },
      },
      2_000,
    );
    const bytes = encodeTagged(method, what.request, what.tag);
    call.send(bytes, 0, bytes.length);
    call.halfClose();
    while (answer === undefined) world.runUntil(scheduler.nowUs + 1_000);
    link.close();
    return answer;
  }
}

function isLearner(world: World, node: SimulatedNode): boolean {
  return world.truth.members.get(id64Hex(node.id))?.isLearner ?? false;
}

/** What its indexes, its memory and its files say of each other. */
function verifyStoreOf(node: SimulatedNode): void {
  const { store, housekeeping } = node.member!;
  if (housekeeping.past.compaction.isRunning) return;
  try {
    verifyStore(store);
  } catch (error) {
    if (!(error instanceof AssertionError)) throw error;
    promise(
      false,
      "sound-store",
      () => `the store of member ${node.place} contradicts itself: ${error.message}`,
    );
  }
}
