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
import { CheckpointError } from "../mvcc/checkpoint-format.ts";
import { FRAME_BARE_PIECE, FRAME_SNAPSHOT, FrameReader, LANE_BULK } from "./peer-frames.ts";
import { SNAPSHOT_PIECE } from "./snapshot-frames.ts";
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
  ["0000000000000004.seg", 1_600_000],
  ["manifest", 5_000],
];

const STATE = { state: { appliedIndex: 77 } } as ReceivedState;

/** Reads files that are no checkpoint: it wants the manifest first, and then the others, each as a whole. */
function reading(follower: SimulatedDisk, wanted: string[]): LoadReceived {
  return function* (_options, directory) {
    for (const name of ["manifest", ...FILES.slice(0, -1).map(([file]) => file)]) {
      yield name;
      wanted.push(name);
      const sizeBytes = FILES.find(([file]) => file === name)![1];
      assert.equal(contents(follower, `${directory}/${name}`).length, sizeBytes, `${name} is whole`);
    }
    return STATE;
  };
}

/** A leader and a follower with nothing between them but frames, which the test hands over or loses. */
class Stream {
  readonly clock = new SimulatedClock();
  readonly leaderDisk = newDisk(1, this.clock);
  readonly followerDisk = newDisk(2, this.clock);
  /** Files that were read, in order. */
  readonly read: string[] = [];
  readonly refused: string[] = [];
  readonly toFollower = new ByteWriter();
  readonly toLeader = new ByteWriter();
  isConnected = true;
  readonly reported: boolean[] = [];
  /** Indexes of the snapshots that consensus was told of. */
  readonly arrived: number[] = [];
  pieceBytes = 0;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;

  constructor(load?: LoadReceived) {
    this.writeFiles(1);
    this.sender = new SnapshotSender(this.#leader());
    this.receiver = new SnapshotReceiver(this.#follower(), load ?? reading(this.followerDisk, this.read));
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
      this.receiver.turn();
      isMoving = this.receiver.slice() || isMoving;
      if (this.pieceBytes - before >= pieceBytesMax) return;
    }
  }

  /** Lets what is under way at the disks end. */
  settle(): void {
    while (this.clock.step());
    this.receiver.turn();
  }

  deliver(): boolean {
    const down = this.toFollower.copy();
    this.toFollower.reset();
    const follow = (kind: number, bytes: Uint8Array, start: number, end: number): void => {
      assert.equal(kind, bytes[start] === SNAPSHOT_PIECE ? FRAME_BARE_PIECE : FRAME_SNAPSHOT);
      if (bytes[start] === SNAPSHOT_PIECE) this.pieceBytes += end - start;
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
    assert.deepEqual(this.arrived, [], "consensus is not told of what is not durable");
    this.settle();
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
      fail: (error: Error) => assert.fail(error),
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
    const warn = (_message: string, { reason }: { reason: string }): void => void this.refused.push(reason);
    return { disk, peers: { writer: writerOf }, events: { info: noOp, warn }, waker: { wake: noOp } };
  }
}

function newDisk(seed: number, clock: SimulatedClock): SimulatedDisk {
  const disk = new SimulatedDisk({ clock, prng: new Prng(seed) });
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
  stream.sender.slice();
  assert.ok(stream.toFollower.position > 0);
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
  stream.settle();
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

test("a snapshot is read while it arrives: the manifest first, then each file that is whole", () => {
  const stream = new Stream();
  stream.offer();
  stream.run(700_000);
  assert.deepEqual(stream.read, ["manifest"]);
  stream.run(900_000);
  assert.deepEqual(stream.read, ["manifest", "0000000000000001.seg"]);
  stream.run();
  assert.deepEqual(stream.read, ["manifest", ...FILES.slice(0, -1).map(([name]) => name)]);
  stream.assertComplete();
});

test("a snapshot of which a file is damaged is refused while the rest arrives, removed, and taken when it comes again", () => {
  let isDamaged = true;
  const stream: Stream = new Stream(function* () {
    yield "0000000000000001.seg";
    if (isDamaged) {
      const place = { file: "0000000000000001.seg", offset: 0 };
      throw new CheckpointError("damaged", place, "it does not match its checksum");
    }
    return STATE;
  });
  stream.offer();
  stream.run();
  stream.settle();
  assert.equal(stream.refused.length, 1);
  assert.match(stream.refused[0]!, /does not match its checksum/);
  assert.ok(stream.pieceBytes < TOTAL_BYTES, "the rest was not waited for");
  assert.deepEqual(stream.reported, [false]);
  assert.deepEqual(stream.arrived, []);
  const left = stream.followerDisk
    .list("member")
    .filter((name) => stream.followerDisk.list(`member/${name}`).length > 0);
  assert.deepEqual(left, [], "what was refused does not lie about");
  isDamaged = false;
  stream.offer();
  stream.run();
  stream.settle();
  assert.deepEqual(stream.arrived, [77]);
});

test("a snapshot of another index than consensus says is refused", () => {
  const stream = new Stream(function* () {
    yield "manifest";
    return { state: { appliedIndex: 78 } } as ReceivedState;
  });
  stream.offer();
  stream.run();
  stream.settle();
  assert.equal(stream.refused.length, 1);
  assert.deepEqual(stream.arrived, []);
});
