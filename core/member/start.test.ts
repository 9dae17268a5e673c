// How a member starts: on what power losses leave at every point of its life, and on directories that lost files.

import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { type DiskClock, type PowerLoss, PowerLossError, SimulatedDisk } from "../../proof/simulator/disk.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Metrics } from "../base/metrics.ts";
import { Prng } from "../base/prng.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { PutRequest, RangeRequest, RangeResponse } from "../wire/messages.ts";
import { decode, encode, type Schema } from "../wire/schema.ts";
import { METHOD, type Method } from "../wire/service.ts";
import { bootstrapMemberId, clusterIdOf } from "./identity.ts";
import type { Member } from "./member.ts";
import { openMember, storedIdentity } from "./recovery.ts";
import { readSmallFile } from "./small-file.ts";

const SEED = Number(process.env["HOLDFAST_SEED"] ?? 1);
const PEER_URLS = ["http://m1:2380"];
const MEMBER_ID = bootstrapMemberId(PEER_URLS, "start");
/** Two checkpoints in a life of as many writes. */
const WRITE_COUNT = 16;
const LIMITS = {
  ...DEFAULT_LIMITS,
  checkpointEntryCount: 8,
  walSegmentSizeBytes: 16 * 1024,
  dataSegmentSizeBytes: 64 * 1024,
  raftArenaBytes: 64 * 1024,
};

/** So long that a life needs several segments of the log. */
function valueOf(key: string): string {
  return key.repeat(400);
}

/** A member alone with its disk. */
class Life {
  readonly clock = new SimulatedClock();
  readonly disk: SimulatedDisk;
  readonly member: Member;

  constructor(makeDisk: (clock: SimulatedClock) => SimulatedDisk, life: number, limits = LIMITS) {
    this.disk = makeDisk(this.clock);
    this.member = openMember({
      memberId: MEMBER_ID,
      clusterId: clusterIdOf([MEMBER_ID]),
      name: "m1",
      clientUrls: ["http://m1:2379"],
      initialMembers: [{ id: MEMBER_ID, name: "m1", peerUrls: PEER_URLS, clientUrls: [], isLearner: false }],
      joins: false,
      forceNewCluster: false,
      heartbeatMs: 100,
      electionMs: 1_000,
      strictReconfigCheck: true,
      learnerCountMax: 1,
      watchProgressMs: 1_000,
      autoCompaction: { mode: "periodic", periodMs: 0, revisions: 0 },
      reportedVersion: "3.6.0",
      limits,
      clock: this.clock,
      waker: { wake: () => undefined },
      prng: new Prng(SEED).split(`life ${life}`),
      disk: this.disk,
      peers: { setPeers: () => undefined, writer: () => undefined, flush: () => undefined },
      metrics: new Metrics(),
      events: { info: () => undefined, warn: () => undefined, stop: () => undefined },
    });
  }

  put(key: string): void {
    const request = { key: encodeUtf8(key), value: encodeUtf8(valueOf(key)), lease: 0n };
    const flags = { prev_kv: false, ignore_value: false, ignore_lease: false };
    this.#ask(METHOD.put, PutRequest, { ...request, ...flags });
  }

  keys(): string[] {
    const answer = this.#ask(METHOD.range, RangeRequest, {
      key: Uint8Array.of(0),
      range_end: Uint8Array.of(0),
    });
    return decode(RangeResponse, answer, 0, answer.length).kvs.map(({ key, value }) => {
      const name = decodeUtf8(key, 0, key.length);
      assert.equal(decodeUtf8(value, 0, value.length), valueOf(name));
      return name;
    });
  }

  /** All that is due, and what follows from it. */
  settle(): void {
    for (let i = 0; i < 400; i++) this.#step();
  }

  close(): void {
    this.member.stop();
    this.member.close();
  }

  #ask<T>(method: Method, schema: Schema<T>, request: Parameters<typeof encode<T>>[1]): Uint8Array {
    const writer = new ByteWriter(256);
    encode(schema, request, writer);
    const reply = new ByteWriter(256);
    let outcome: string | undefined;
    this.member.onUnary(
      {
        method,
        slot: 0,
        state: undefined,
        cancelled: false,
        deadlineMs: Number.POSITIVE_INFINITY,
        priority: 0,
        writable: true,
        metadata: () => undefined,
        beginMessage: () => reply,
        endMessage: () => undefined,
        flush: () => undefined,
        sendLarge: () => undefined,
        finish: () => void (outcome = ""),
        fail: (status) => void (outcome = status.text),
        abort: (status) => void (outcome = status.text),
      },
      writer.bytes,
      0,
      writer.position,
    );
    for (let i = 0; outcome === undefined && i < 20_000; i++) this.#step();
    assert.equal(outcome, "");
    return reply.copy();
  }

  #step(): void {
    this.member.turn();
    this.member.background();
    this.clock.after(1, () => undefined);
    this.clock.step();
  }
}

interface Past {
  readonly disk: SimulatedDisk;
  readonly acknowledged: readonly string[];
  /** The request ids of this boot may have been used. */
  readonly boot: number;
  readonly isComplete: boolean;
}

function freshDisk(clock: SimulatedClock): SimulatedDisk {
  return new SimulatedDisk({ clock: timeOf(clock), prng: new Prng(SEED).split("disk") });
}

/** A life of writes with checkpoints in between, which ends before a call to its disk. */
function live(crashBefore: number): Past {
  const acknowledged: string[] = [];
  let disk: SimulatedDisk | undefined;
  let boot = 0;
  const isComplete = untilPowerLoss(() => {
    const life = new Life((clock) => {
      disk = freshDisk(clock);
      disk.crashBefore = crashBefore;
      return disk;
    }, 1);
    boot = 1;
    for (let i = 0; i < WRITE_COUNT; i++) {
      const key = `key ${i}`;
      life.put(key);
      acknowledged.push(key);
    }
    life.settle();
    life.close();
  });
  return { disk: disk!, acknowledged, boot, isComplete };
}

function untilPowerLoss(action: () => void): boolean {
  try {
    action();
    return true;
  } catch (error) {
    if (!(error instanceof PowerLossError)) throw error;
    return false;
  }
}

/** The next life on what is left: everything acknowledged is there, and the member serves. */
function liveOn(past: Past, disk: SimulatedDisk): void {
  const life = new Life((clock) => onClock(disk, clock), 2);
  const boot = Number(readSmallFile(life.disk, "member/boot"));
  assert.ok(boot > past.boot, `boot ${boot} after ${past.boot}: request ids are used twice`);
  assert.notEqual(storedIdentity(life.disk), undefined);
  life.put("zz last");
  const keys = life.keys();
  for (const key of past.acknowledged) assert.ok(keys.includes(key), `${key} was acknowledged`);
  assert.ok(keys.includes("zz last"));
  life.close();
}

/** Calls that wait for the device take no time. */
function timeOf(clock: SimulatedClock): DiskClock {
  return { now: () => clock.now(), at: (timeMs, action) => clock.at(timeMs, action) };
}

/** The same disk under the clock of another life. */
function onClock(disk: SimulatedDisk, clock: SimulatedClock): SimulatedDisk {
  return disk.copy(timeOf(clock));
}

const LOSSES: readonly PowerLoss[] = (["none", "all", "random"] as const).map((survivors) => ({
  prng: new Prng(SEED).split(survivors),
  survivors,
  tear: "sector",
}));

function explain(where: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
  }
}

test("member starts on what a power loss leaves before any call to its disk, with all that it acknowledged", (context) => {
  const whole = live(Number.POSITIVE_INFINITY);
  const last = whole.disk.callCount;
  assert.ok(whole.disk.exists("member/data/manifest"), "the life has a checkpoint");
  const isFirst = (name: string): boolean => name.startsWith("0000000000000000-");
  assert.ok(!whole.disk.list("member/wal").some(isFirst), "the log before it is given up");
  for (let at = 1; at <= last; at++) {
    const past = live(at);
    assert.equal(past.isComplete, false);
    for (const loss of LOSSES) {
      const disk = past.disk.afterPowerLoss(loss);
      explain(`power lost before call ${at} of ${last}, survivors ${loss.survivors}`, () =>
        liveOn(past, disk),
      );
    }
  }
  context.diagnostic(`seed ${SEED}: ${last} calls`);
});

test("member reads its log when others have begun to read segments, and before it waits for the first of them", () => {
  const past = live(Number.POSITIVE_INFINITY);
  const calls: string[] = [];
  const again = new Life((clock) => noting(onClock(past.disk, clock), calls), 2);
  assert.deepEqual(again.keys().sort(), [...past.acknowledged].sort());
  const order = calls.filter((call, i) => call !== calls[i - 1]).slice(0, 3);
  assert.deepEqual(order, ["read ahead", "log", "take"]);
});

/** The same disk, which notes what a start reads. */
function noting(disk: SimulatedDisk, calls: string[]): SimulatedDisk {
  const { readAhead, open } = disk;
  disk.readAhead = (files) => {
    calls.push("read ahead");
    const ahead = readAhead.call(disk, files);
    const take = (index: number): ReturnType<typeof ahead.take> => {
      calls.push("take");
      return ahead.take(index);
    };
    return { take, close: () => ahead.close() };
  };
  disk.open = (path, lane) => {
    if (path.endsWith(".wal")) calls.push("log");
    return open.call(disk, path, lane);
  };
  return disk;
}

test("member starts after a power loss before any call of a start", () => {
  const whole = live(Number.POSITIVE_INFINITY);
  // Before the checkpoint, within it, behind it; and a first start that was cut short.
  for (const crash of [20, Math.floor(whole.disk.callCount / 2), whole.disk.callCount]) {
    const past = live(crash);
    const left = past.disk.afterPowerLoss(LOSSES[2]!);
    for (let at = 1; ; at++) {
      let disk: SimulatedDisk | undefined;
      const isComplete = untilPowerLoss(() => {
        new Life((clock) => {
          disk = onClock(left, clock);
          disk.crashBefore = at;
          return disk;
        }, 3);
      });
      if (isComplete) break;
      explain(`first crash before call ${crash}, second before call ${at} of the start`, () =>
        liveOn(past, disk!.afterPowerLoss(LOSSES[2]!)),
      );
    }
  }
});

/** The files below a directory that a test takes away. */
function lose(disk: SimulatedDisk, directory: string, isLost: (name: string) => boolean): void {
  for (const name of disk.list(directory)) if (isLost(name)) disk.lose(`${directory}/${name}`);
}

const REMEDY = /restore the directory from a backup, or remove this member from its cluster/;

for (const { what, directory, name, message } of [
  { what: "log", directory: "member/wal", name: /./, message: /log in member\/wal is missing/ },
  { what: "boot counter", directory: "member", name: /^boot$/, message: /file member\/boot is missing/ },
  { what: "identity", directory: "member", name: /^identity$/, message: /file member\/identity is missing/ },
]) {
  for (const when of ["before the first checkpoint", "after a checkpoint"]) {
    test(`member whose ${what} is lost ${when} is not started as a new one`, () => {
      const count = when === "after a checkpoint" ? WRITE_COUNT : 2;
      // The first checkpoint after a start is due after a random part of the interval: a start and two writes may reach a short one.
      const checkpointEntryCount = count === WRITE_COUNT ? LIMITS.checkpointEntryCount : 1_000;
      const first = new Life(freshDisk, 1, { ...LIMITS, checkpointEntryCount });
      for (let i = 0; i < count; i++) first.put(`key ${i}`);
      first.settle();
      assert.equal(first.disk.exists("member/data/manifest"), count === WRITE_COUNT);
      first.close();
      lose(first.disk, directory, (file) => name.test(file));
      const start = (): Life => new Life((clock) => onClock(first.disk, clock), 2);
      assert.throws(start, message);
      assert.throws(start, REMEDY);
    });
  }
}
