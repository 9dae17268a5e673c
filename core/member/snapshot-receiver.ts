// The follower's side of a snapshot: pieces go into a directory of their own. Beside that, each file that is whole is synced in the
// background, and the checkpoint is read and verified as far as it is here, in slices. What does not fit is refused, and sent
// again. When all is here, read and durable, consensus hears of it, the pointer to the data directory is turned, and the
// state replaced.
//
//   pieces ──> file whole ──> synced in the background ──────────────┐
//                  └────────> read when the walk comes to it ──> loaded ──┴── end was heard ──> consensus ──> install
//
//   member/data.<index>/   a received checkpoint; `member/current` names the directory in use (member/data without it)

import { assert } from "../base/assert.ts";
import type { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64Equal, id64Hex } from "../base/ids.ts";
import type { DiskFile } from "../base/ports.ts";
import { CheckpointError } from "../mvcc/checkpoint-format.ts";
import type { LoadSteps } from "../mvcc/load-records.ts";
import { decodeMessage } from "../raft/codec.ts";
import type { RaftMessage } from "../raft/message.ts";
import type { SnapshotMeta } from "../raft/output.ts";
import { DATA_DIRECTORY_PREFIX, pointToData, stateSteps } from "./checkpoint-state.ts";
import { encodeConfState } from "./checkpointer.ts";
import { makeLessor } from "./lease-keeper.ts";
import type { MemberOptions } from "./options.ts";
import type { Adopter, ReceivedState, Rejoin } from "./rejoin.ts";
import { beginFrame, endFrame, FRAME_SNAPSHOT_ACK, LANE_CONTROL } from "./peer-frames.ts";
import {
  ACK_DONE,
  ACK_HAVE,
  ACK_TAKEN,
  FrameFields,
  isSameOffer,
  type Offer,
  readOffer,
  SNAPSHOT_END,
  SNAPSHOT_END_STATE,
  SNAPSHOT_OFFER,
  SNAPSHOT_PIECE,
  writeUint64,
} from "./snapshot-frames.ts";

/** More files than any checkpoint has: 64 GiB of 8 MiB segments. */
const FILE_COUNT_MAX = 8_192;
/** A stream that brings nothing for so long is not waited for any more; it may still go on. */
const SILENCE_MS = 3_000;
/** Acknowledged after this much, so that the sender's window never closes for long. */
const ACK_EVERY_BYTES = 1024 * 1024;

/** At the end of what is here: see snapshot-frames.ts. */
const TAKES_BARE_PIECES = 1;

interface Incoming {
  readonly peer: Id64;
  /** Another one when the stream is resumed. */
  number: number;
  readonly directory: string;
  readonly offer: Offer;
  readonly files: readonly DiskFile[];
  /** Of each file: bytes from its start that are there without a gap. */
  readonly sizes: number[];
  /** Of this transfer. */
  takenBytes: number;
  ackedBytes: number;
  /** When something of it came last. */
  heardMs: number;
  /** A piece was lost: nothing more is taken until it is offered anew. */
  isBroken: boolean;
  /** Files that are here as a whole and on their way to being durable. */
  syncCount: number;
  load: Load;
  /** The other side has sent all. `message` is consensus's; undefined when this member asked for the state. */
  end: { readonly message: RaftMessage | undefined } | undefined;
}

/** The checkpoint is read while it arrives. A step that was begun wants a file as a whole before the next one. */
type Load =
  | { kind: "loading"; readonly steps: LoadSteps<ReceivedState>; wants: string | undefined }
  | { kind: "loaded"; readonly received: ReceivedState };

export type LoadReceived = (options: MemberOptions, directory: string) => LoadSteps<ReceivedState>;

/** Throws CheckpointError when it is not as it should be. */
function* loadReceived(options: MemberOptions, directory: string): LoadSteps<ReceivedState> {
  const lessor = makeLessor(options);
  const state = yield* stateSteps(options, { directory, lessor, isArriving: true });
  return { state, lessor, directory };
}

export interface ReceiverHost extends Adopter {
  readonly rejoin: Rejoin;
}

export class SnapshotReceiver {
  readonly #member: ReceiverHost;
  #incoming: Incoming | undefined;
  /** Complete, and stepped into the machine; it says when to install. */
  #complete: { readonly received: ReceivedState; readonly peer: Id64; readonly number: number } | undefined;
  #nextDirectory = 0;
  readonly #load: LoadReceived;

  /** `load` reads what has arrived. */
  constructor(member: ReceiverHost, load: LoadReceived = loadReceived) {
    this.#member = member;
    this.#load = load;
  }

  /** Pieces are expected: something came lately, and none is missing; or all are here, and are being read. */
  get isReceiving(): boolean {
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.isBroken) return false;
    if (incoming.end !== undefined) return true;
    return this.#member.nowMs - incoming.heardMs < SILENCE_MS;
  }

  onFrame(peer: Id64, bytes: Uint8Array, start: number, end: number): void {
    const fields = new FrameFields(bytes, start, end);
    const kind = fields.uint8();
    const number = fields.uint32();
    if (kind === SNAPSHOT_OFFER) return this.#onOffer(peer, number, readOffer(fields));
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.number !== number || !id64Equal(incoming.peer, peer)) return;
    incoming.heardMs = this.#member.nowMs;
    if (kind === SNAPSHOT_PIECE) this.#onPiece(incoming, fields, bytes);
    else if (kind === SNAPSHOT_END) this.#onEnd(incoming, decodeMessage(bytes, fields.position, end));
    else if (kind === SNAPSHOT_END_STATE) this.#onEnd(incoming, undefined);
  }

  #onOffer(peer: Id64, number: number, offer: Offer | undefined): void {
    const { events } = this.#member.options;
    if (offer === undefined || offer.files.length > FILE_COUNT_MAX)
      return this.#acknowledge(peer, number, ACK_DONE, (writer) => writer.byte(0));
    let incoming = this.#incoming;
    if (incoming === undefined || !id64Equal(incoming.peer, peer) || !isSameOffer(incoming.offer, offer)) {
      this.#drop();
      incoming = this.#incoming = this.#open(peer, offer);
    }
    // What came before a break is kept.
    incoming.number = number;
    incoming.takenBytes = incoming.ackedBytes = 0;
    incoming.isBroken = false;
    incoming.end = undefined;
    incoming.heardMs = this.#member.nowMs;
    const { sizes } = incoming;
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    events.info("receiving database snapshot", {
      from: id64Hex(peer),
      files: sizes.length,
      "bytes-here": bytes,
    });
    this.#acknowledge(peer, number, ACK_HAVE, (writer) => {
      for (const size of sizes) writeUint64(writer, size);
      writer.byte(TAKES_BARE_PIECES);
    });
  }

  #open(peer: Id64, offer: Offer): Incoming {
    const { disk } = this.#member.options;
    const directory = this.#freshDirectory();
    disk.makeDirectory(directory);
    const files = offer.files.map((file) => disk.create(`${directory}/${file.name}`, "bulk"));
    const sizes = offer.files.map(() => 0);
    const load: Load = {
      kind: "loading",
      steps: this.#load(this.#member.options, directory),
      wants: undefined,
    };
    const progress = { takenBytes: 0, ackedBytes: 0, heardMs: 0, isBroken: false };
    return {
      ...{ peer, number: 0, directory, offer, files, sizes },
      ...progress,
      ...{ syncCount: 0, load, end: undefined },
    };
  }

  #onPiece(incoming: Incoming, fields: FrameFields, bytes: Uint8Array): void {
    const index = fields.uint32();
    const offset = fields.uint64();
    const file = incoming.files[index];
    if (file === undefined || incoming.isBroken) return;
    // A connection that broke and came back within a turn took pieces with it.
    if (offset !== incoming.sizes[index]) return this.#refuse(incoming);
    const sizeBytes = fields.end - fields.position;
    if (offset + sizeBytes > incoming.offer.files[index]!.sizeBytes) return this.#refuse(incoming);
    file.write(bytes, fields.position, fields.end, offset);
    incoming.sizes[index] = offset + sizeBytes;
    incoming.takenBytes += sizeBytes;
    if (isWhole(incoming, index)) this.#syncLater(incoming, file);
    if (incoming.takenBytes - incoming.ackedBytes < ACK_EVERY_BYTES) return;
    incoming.ackedBytes = incoming.takenBytes;
    this.#acknowledge(incoming.peer, incoming.number, ACK_TAKEN, (writer) =>
      writeUint64(writer, incoming.takenBytes),
    );
  }

  /** Nothing more of this stream is taken; what is here is kept for the next offer. */
  #refuse(incoming: Incoming): void {
    incoming.isBroken = true;
    this.#acknowledge(incoming.peer, incoming.number, ACK_DONE, (writer) => writer.byte(0));
  }

  // While the rest arrives: a sync of all at the end would be waited for.
  #syncLater(incoming: Incoming, file: DiskFile): void {
    const member = this.#member;
    incoming.syncCount++;
    file.syncLater((error) => {
      incoming.syncCount--;
      if (error !== undefined) member.fail(error);
      else member.options.waker.wake();
    });
  }

  #onEnd(incoming: Incoming, message: RaftMessage | undefined): void {
    if (incoming.isBroken) return;
    if (incoming.sizes.some((_, i) => !isWhole(incoming, i))) return this.#refuse(incoming);
    incoming.end = { message };
  }

  /** A step of reading what has arrived. True when something is to be done at once. */
  slice(): boolean {
    const incoming = this.#incoming;
    if (incoming === undefined) return false;
    if (canRead(incoming)) this.#readOn(incoming);
    return canRead(incoming) || this.#isReady;
  }

  #readOn(incoming: Incoming): void {
    const { load } = incoming;
    assert(load.kind === "loading", "what is read is not read yet");
    try {
      const step = load.steps.next();
      if (step.done === true) incoming.load = { kind: "loaded", received: step.value };
      else load.wants = step.value;
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      this.#refuseContent(incoming, { reason: error.message });
    }
  }

  /** Whoever sent it may be the one that is wrong, and it is asked for again, of whoever leads then. */
  #refuseContent(incoming: Incoming, why: Readonly<Record<string, string | number>>): void {
    this.#member.options.events.warn("a received snapshot is refused", why);
    this.#drop();
    this.#acknowledge(incoming.peer, incoming.number, ACK_DONE, (writer) => writer.byte(0));
  }

  /** All is here, was read, and is durable, but for names. */
  get #isReady(): boolean {
    const incoming = this.#incoming;
    return incoming?.end !== undefined && incoming.load.kind === "loaded" && incoming.syncCount === 0;
  }

  /** Hands on what is ready. */
  turn(): void {
    const incoming = this.#incoming;
    if (!this.#isReady || incoming?.end === undefined || incoming.load.kind !== "loaded") return;
    const { received } = incoming.load;
    const { message } = incoming.end;
    const { appliedIndex } = received.state;
    if (message !== undefined && appliedIndex !== message.index)
      return this.#refuseContent(incoming, { index: appliedIndex, expected: message.index });
    const { disk } = this.#member.options;
    for (const file of incoming.files) {
      // An empty one got no piece.
      file.sync();
      file.close();
    }
    disk.syncDirectory(incoming.directory);
    disk.syncDirectory("member");
    this.#incoming = undefined;
    if (message === undefined) return this.#handState(incoming, received);
    this.#handSnapshot(incoming, received, message);
  }

  // It was read before consensus hears of it: from then on the log is gone, and what cannot be read could not be refused.
  #handSnapshot(incoming: Incoming, received: ReceivedState, message: RaftMessage): void {
    const { peer, number } = incoming;
    const { raft, nowMs } = this.#member;
    this.#complete = { received, peer, number };
    raft.step(message, nowMs);
    if (raft.hasSnapshotToInstall) return;
    // Overtaken by appends, or of a leader that is deposed.
    this.#complete = undefined;
    this.#remove(incoming);
    this.#acknowledge(peer, number, ACK_DONE, (writer) => writer.byte(1));
  }

  #handState(incoming: Incoming, received: ReceivedState): void {
    const { peer, number } = incoming;
    // Another state may have been adopted meanwhile.
    const isTaken = this.#member.rejoin.received(received);
    if (!isTaken) this.#remove(incoming);
    this.#acknowledge(peer, number, ACK_DONE, (writer) => writer.byte(Number(isTaken)));
  }

  /** The machine wants it installed: it replaces log and state. */
  install(meta: SnapshotMeta): void {
    const complete = this.#complete;
    assert(complete !== undefined, "a snapshot is installed when it has arrived");
    this.#complete = undefined;
    const member = this.#member;
    const { options } = member;
    const { state, lessor, directory } = complete.received;
    assert(state.appliedIndex === meta.index, "what is installed is what consensus was told of");
    // From here on a restart starts from it, though the log still ends before: see recovery.ts.
    pointToData(options.disk, { directory, receivedIndex: meta.index });
    member.adopt(state, { lessor, directory, meta });
    options.events.info("applied snapshot", { index: meta.index, term: meta.term });
    this.#acknowledge(complete.peer, complete.number, ACK_DONE, (writer) => writer.byte(1));
  }

  /** The snapshot's configuration, as the log's marker keeps it. */
  markerOf(meta: SnapshotMeta): { index: number; term: number; confState: Uint8Array } {
    return { index: meta.index, term: meta.term, confState: encodeConfState(meta.confState) };
  }

  #freshDirectory(): string {
    const { disk } = this.#member.options;
    for (;;) {
      const directory = `${DATA_DIRECTORY_PREFIX}.${this.#member.raft.term}-${this.#nextDirectory++}`;
      if (disk.list(directory).length === 0 && directory !== this.#member.dataDirectory) return directory;
    }
  }

  #drop(): void {
    const incoming = this.#incoming;
    if (incoming === undefined) return;
    this.#incoming = undefined;
    for (const file of incoming.files) file.close();
    this.#remove(incoming);
  }

  /** Its files, which are closed. What the manifest did not name was removed when it was read. */
  #remove({ directory, offer }: Incoming): void {
    const { disk } = this.#member.options;
    for (const { name } of offer.files)
      if (disk.exists(`${directory}/${name}`)) disk.remove(`${directory}/${name}`);
  }

  // Four parameters: to whom, of what, which kind, and what it says.
  #acknowledge(peer: Id64, number: number, kind: number, write: (writer: ByteWriter) => void): void {
    const writer = this.#member.options.peers.writer(peer, LANE_CONTROL);
    if (writer === undefined) return;
    const frame = beginFrame(writer, FRAME_SNAPSHOT_ACK);
    writer.byte(kind);
    writer.uint32Be(number);
    write(writer);
    endFrame(writer, frame);
  }
}

function isWhole({ offer, sizes }: Incoming, index: number): boolean {
  return sizes[index] === offer.files[index]!.sizeBytes;
}

/** Whether the next step finds what it wants. What was not offered will not come: the step says what that means. */
function canRead(incoming: Incoming): boolean {
  const { load, offer } = incoming;
  if (load.kind === "loaded") return false;
  if (load.wants === undefined) return true;
  const index = offer.files.findIndex((file) => file.name === load.wants);
  return index < 0 || isWhole(incoming, index);
}
