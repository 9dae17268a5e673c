import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../proof/simulator/clock.ts";
import { SimulatedDisk } from "../../proof/simulator/disk.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64 } from "../base/ids.ts";
import type { Disk } from "../base/ports.ts";
import { Prng } from "../base/prng.ts";
import { EMPTY_CONF_STATE } from "../raft/configuration.ts";
import { MESSAGE_SNAPSHOT, RaftMessage } from "../raft/message.ts";
import type { Member } from "./member.ts";
import { FRAME_SNAPSHOT, FrameReader, LANE_BULK } from "./peer-frames.ts";
import type { ReceivedState } from "./rejoin.ts";
import { type LoadReceived, SnapshotReceiver } from "./snapshot-receiver.ts";
import { SnapshotSender } from "./snapshot-sender.ts";

const LEADER = id64(0, 1);
const FOLLOWER = id64(0, 2);
const DATA = "member/data";
const FILES: readonly (readonly [string, number])[] = [
  ["0000000000000001.seg", 1_300_000],
  ["0000000000000002.seg", 700_001],
  ["0000000000000003.seg", 0],
  ["manifest", 5_000],
];

/** These files are no checkpoint. */
const ARRIVED: LoadReceived = () => ({ state: { appliedIndex: 77 } }) as ReceivedState;

/** A leader and a follower with nothing between them but frames, which the test hands over or loses. */
class Stream {
  readonly leaderDisk = newDisk(1);
  readonly followerDisk = newDisk(2);
  readonly toFollower = new ByteWriter();
  readonly toLeader = new ByteWriter();
  isConnected = true;
  readonly reported: boolean[] = [];
  /** Indexes of the snapshots that consensus was told of. */
  readonly arrived: number[] = [];
  pieceBytes = 0;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;

  constructor() {
    this.writeFiles(1);
    this.sender = new SnapshotSender(this.#leader());
    this.receiver = new SnapshotReceiver(this.#follower(), ARRIVED);
  }

  writeFiles(seed: number): void {
    const prng = new Prng(seed);
    for (const [name, size] of FILES) {
      const path = `${DATA}/${name}`;
      if (this.leaderDisk.exists(path)) this.leaderDisk.remove(path);
      const file = this.leaderDisk.create(path, "bulk");
      const bytes = Uint8Array.from({ length: size }, () => prng.below(256));
      file.write(bytes, 0, size, 0);
      file.close();
    }
  }

  offer(): void {
    this.sender.want(FOLLOWER);
    this.sender.turn(0);
  }

  /** Sends and hands over until nothing moves, or until `pieceBytesMax` have been handed over. */
  run(pieceBytesMax = Number.POSITIVE_INFINITY): void {
    const before = this.pieceBytes;
    for (let isMoving = true; isMoving;) {
      isMoving = this.sender.slice();
      isMoving = this.deliver() || isMoving;
      if (this.pieceBytes - before >= pieceBytesMax) return;
    }
  }

  deliver(): boolean {
    const down = this.toFollower.copy();
    this.toFollower.reset();
    const follow = (kind: number, bytes: Uint8Array, start: number, end: number): void => {
      assert.equal(kind, FRAME_SNAPSHOT);
      if (bytes[start] === 2) this.pieceBytes += end - start;
      this.receiver.onFrame(LEADER, bytes, start, end);
    };
    new FrameReader(1 << 24).receive(down, 0, down.length, follow);
    const up = this.toLeader.copy();
    this.toLeader.reset();
    const lead = (_kind: number, bytes: Uint8Array, start: number, end: number): void =>
      this.sender.onAck(FOLLOWER, bytes, start, end);
    new FrameReader(1 << 24).receive(up, 0, up.length, lead);
    return down.length + up.length > 0;
  }

  /** The connection breaks, and what is on its way is lost. */
  break(): void {
    this.toFollower.reset();
    this.toLeader.reset();
    this.sender.disconnected(FOLLOWER);
  }

  assertComplete(): void {
    assert.deepEqual(this.arrived, [77]);
    const directories = this.followerDisk.list("member").filter((name) => name.startsWith("data."));
    assert.equal(directories.length, 1, "pieces were kept in one directory");
    for (const [name] of FILES) {
      const here = contents(this.followerDisk, `member/${directories[0]}/${name}`);
      assert.deepEqual(here, contents(this.leaderDisk, `${DATA}/${name}`), name);
    }
  }

  #leader(): Member {
    const member = {
      isLeader: true,
      nowMs: 0,
      dataDirectory: DATA,
      raft: {
        log: { compactedIndex: 50 },
        snapshotMessage: snapshotMessage,
        snapshotReported: (_peer: Id64, ok: boolean) => this.reported.push(ok),
      },
      housekeeping: {
        past: { isCheckpointing: false },
        checkpointer: { latest: { index: 77, term: 3, confState: EMPTY_CONF_STATE } },
      },
      options: this.#options(this.leaderDisk, this.toFollower, LANE_BULK),
    };
    return member as unknown as Member;
  }

  #follower(): Member {
    const member = {
      nowMs: 0,
      dataDirectory: DATA,
      raft: {
        term: 3,
        hasSnapshotToInstall: true,
        step: (message: RaftMessage) => this.arrived.push(message.index),
      },
      options: this.#options(this.followerDisk, this.toLeader, undefined),
    };
    return member as unknown as Member;
  }

  #options(disk: Disk, writer: ByteWriter, lane: number | undefined): unknown {
    const noOp = (): void => undefined;
    const writerOf = (_to: Id64, asked: number): ByteWriter | undefined => {
      if (lane !== undefined) assert.equal(asked, lane);
      return this.isConnected ? writer : undefined;
    };
    return { disk, peers: { writer: writerOf }, events: { info: noOp, warn: noOp } };
  }
}

function newDisk(seed: number): SimulatedDisk {
  const disk = new SimulatedDisk({ clock: new SimulatedClock(), prng: new Prng(seed) });
  disk.makeDirectory(DATA);
  return disk;
}

function contents(disk: Disk, path: string): Uint8Array {
  const file = disk.open(path, "bulk");
  const bytes = new Uint8Array(file.sizeBytes());
  file.read(bytes, 0, bytes.length, 0);
  file.close();
  return bytes;
}

function snapshotMessage(): RaftMessage {
  const message = new RaftMessage();
  message.kind = MESSAGE_SNAPSHOT;
  message.fromLo = LEADER.lo;
  message.toLo = FOLLOWER.lo;
  message.term = 3;
  message.index = 77;
  message.logTerm = 3;
  message.confState = EMPTY_CONF_STATE;
  return message;
}

const TOTAL_BYTES = FILES.reduce((sum, [, size]) => sum + size, 0);

test("a snapshot arrives as it is", () => {
  const stream = new Stream();
  stream.offer();
  stream.run();
  stream.assertComplete();
});

test("a snapshot goes on where its stream broke", () => {
  const stream = new Stream();
  stream.offer();
  stream.run(900_000);
  assert.ok(stream.pieceBytes < TOTAL_BYTES);
  stream.break();
  assert.deepEqual(stream.reported, [false]);
  stream.offer();
  stream.run();
  stream.assertComplete();
  // Frames' own bytes, and nothing of a piece twice.
  assert.ok(stream.pieceBytes < TOTAL_BYTES + 1_000, `${stream.pieceBytes} bytes were sent`);
});

test("a snapshot of which a piece was lost is not installed, and only the rest is sent again", () => {
  const stream = new Stream();
  stream.offer();
  stream.run(500_000);
  stream.sender.slice();
  stream.toFollower.reset(); // lost, and nobody was told
  stream.run();
  assert.deepEqual(stream.arrived, []);
  assert.deepEqual(stream.reported, [false]);
  stream.offer();
  stream.run();
  stream.assertComplete();
});

test("a snapshot whose last pieces were lost is not installed", () => {
  const stream = new Stream();
  stream.offer();
  stream.run(1_900_000);
  while (stream.toFollower.position === 0) stream.sender.slice();
  stream.toFollower.reset();
  stream.run();
  assert.deepEqual(stream.arrived, []);
  stream.offer();
  stream.run();
  stream.assertComplete();
});

test("a snapshot of another checkpoint starts anew", () => {
  const stream = new Stream();
  stream.offer();
  stream.run(900_000);
  stream.break();
  stream.writeFiles(2);
  stream.offer();
  stream.run();
  assert.deepEqual(stream.arrived, [77]);
  const [directory] = stream.followerDisk
    .list("member")
    .filter((name) => stream.followerDisk.exists(`member/${name}/manifest`) && name !== "data");
  for (const [name] of FILES) {
    const here = contents(stream.followerDisk, `member/${directory}/${name}`);
    assert.deepEqual(here, contents(stream.leaderDisk, `${DATA}/${name}`), name);
  }
});

test("without a connection a stream ends and is reported", () => {
  const stream = new Stream();
  stream.offer();
  stream.run(300_000);
  stream.isConnected = false;
  stream.run();
  assert.deepEqual(stream.reported, [false]);
});
