// A disk that is full at every stage of the log's life: the member refuses what would grow, and lives; what frees room works, and so
// does a restart without any room.

import assert from "node:assert/strict";
import { test } from "node:test";
import { id64ToBigInt } from "../../core/base/ids.ts";
import { Prng } from "../../core/base/prng.ts";
import { encodeUtf8 } from "../../core/base/utf8.ts";
import { ALARM_NOSPACE } from "../../core/member/alarms.ts";
import * as m from "../../core/wire/messages.ts";
import { METHOD } from "../../core/wire/service.ts";
import { STATUS } from "../../core/wire/status.ts";
import { type Outcome, SmallCluster } from "./small-cluster.ts";

const KIB = 1024;
const SEED = Number(process.env["HOLDFAST_SEED"] ?? 1);
const LIMITS = { walSegmentSizeBytes: 2048 * KIB, dataSegmentSizeBytes: 512 * KIB, checkpointEntryCount: 40 };
const VALUE = new Uint8Array(8 * KIB);
const PUT_COUNT_MAX = 3_000;
/** So many puts wait at once: what they take together is less than the log's reserve, or more than it and half a segment. */
const BURSTS = { small: { puts: 8, rooms: 24 }, large: { puts: 200, rooms: 6 } };
/** Between two bursts: 30 MB a second, so that the log's background has its chance between two segments. */
const BURST_MS = 2;

class Member {
  readonly world: SmallCluster;
  readonly kept = new Set<number>();
  #next = 0;
  readonly #burst: number;

  constructor(seed: number, burst: number) {
    this.#burst = burst;
    this.world = new SmallCluster({ memberCount: 1, limits: LIMITS, seed });
    this.lead();
  }

  get disk() {
    return this.world.nodes[0]!.disk;
  }

  lead(): void {
    assert.ok(this.world.runUntil(() => this.world.leader === 0, 10_000) >= 0, this.said());
    this.world.run(1_000);
  }

  said(): string {
    return this.world.events.join("\n");
  }

  /** Waits for the answer, which comes whatever the disk does. */
  end(outcome: Outcome): Outcome {
    const took = this.world.runUntil(() => outcome.code !== undefined, 20_000);
    assert.ok(took >= 0, `no answer\n${this.said()}`);
    return outcome;
  }

  /** Some puts at once; why one was refused, the first. */
  burst(): string {
    const first = this.#next;
    const outcomes = Array.from({ length: this.#burst }, () =>
      this.world.ask(0, METHOD.put, m.PutRequest, { key: keyOf(this.#next++), value: VALUE }),
    );
    this.world.run(BURST_MS);
    let refusal = "";
    for (const [i, outcome] of outcomes.entries()) {
      if (this.end(outcome).code === 0) this.kept.add(first + i);
      else refusal ||= outcome.text;
    }
    return refusal;
  }

  /** Puts until one is refused. */
  fillUp(): string {
    for (let i = 0; i < PUT_COUNT_MAX; i += this.#burst) {
      const refusal = this.burst();
      if (refusal !== "") return refusal;
    }
    return "";
  }

  delete(number: number): void {
    const { code, text } = this.end(
      this.world.ask(0, METHOD.deleteRange, m.DeleteRangeRequest, { key: keyOf(number) }),
    );
    assert.equal(code, 0, text);
    this.kept.delete(number);
  }

  compact(): void {
    const { revision } = this.world.member(0).store;
    const { code, text } = this.end(
      this.world.ask(0, METHOD.compact, m.CompactionRequest, { revision, physical: true }),
    );
    assert.equal(code, 0, text);
  }

  defragment(): void {
    const { code, text } = this.end(this.world.ask(0, METHOD.defragment, m.DefragmentRequest, {}));
    assert.equal(code, 0, text);
  }

  disarm(): void {
    for (const { memberId } of this.world.member(0).alarms.list(ALARM_NOSPACE)) {
      const request = { action: 2, memberID: id64ToBigInt(memberId), alarm: 1 };
      assert.equal(this.end(this.world.ask(0, METHOD.alarm, m.AlarmRequest, request)).code, 0);
    }
  }

  restart(): void {
    const node = this.world.nodes[0]!;
    const { capacityBytes } = node.disk;
    node.crash({ prng: new Prng(1), survivors: "all", tear: "sector" });
    node.disk.capacityBytes = capacityBytes;
    node.start();
    this.lead();
  }

  checkKept(): void {
    const { store } = this.world.member(0);
    for (const number of this.kept) {
      const key = keyOf(number);
      assert.ok(store.findKey(key, 0, key.length) >= 0, `LOST: ${number}`);
    }
  }
}

function keyOf(number: number): Uint8Array {
  return encodeUtf8(`key ${number}`);
}

for (const [size, { puts, rooms }] of Object.entries(BURSTS)) {
  test(`a member whose disk is full refuses puts in ${size} bursts, lives, and takes them again when there is room`, () => {
    for (let i = 0; i < rooms; i++) fillAndFree(i, puts);
  });
}

function fillAndFree(i: number, burst: number): void {
  const member = new Member(SEED + i, burst);
  const { disk } = member;
  // Nobody fills a disk in the first milliseconds of a member's life: the log has had time for its spares.
  member.burst();
  member.world.run(1_000);
  // Two segments of the log and a checkpoint fit, with a little more each time.
  disk.capacityBytes = disk.usedBytes() + (7_000 + 173 * i) * KIB;
  assert.equal(member.fillUp(), STATUS.noSpace.text, `room ${i}\n${member.said()}`);
  member.world.run(100);
  assert.ok(member.world.member(0).alarms.isNoSpace, "the alarm is raised");
  // Who disarms before there is room is refused all the same.
  member.disarm();
  for (let k = 0; k < 100; k++) member.burst();
  member.checkKept();
  const numbers = [...member.kept];
  for (const number of numbers.slice(0, Math.floor(numbers.length * 0.7))) member.delete(number);
  member.compact();
  member.restart();
  member.checkKept();
  // Not much room, but enough for what is left: attempts that failed must not have taken it.
  member.disk.capacityBytes = member.disk.usedBytes() + 4_000 * KIB;
  member.defragment();
  member.disarm();
  assert.equal(member.burst(), "", `room ${i}: takes puts again\n${member.said()}`);
  member.world.run(12_000);
  assert.ok(!member.world.member(0).alarms.isNoSpace, `room ${i}: the alarm is back\n${member.said()}`);
  member.checkKept();
}
