// The follower's side of a snapshot: pieces go into a directory of their own, durable before they are acknowledged; when
// all are there the checkpoint is read and verified, the pointer to the data directory is turned, and the state replaced.
//
//   member/data.<index>/   a received checkpoint; `member/current` names the directory in use (member/data without it)

import type { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64Equal, id64Hex } from "../base/ids.ts";
import type { DiskFile } from "../base/ports.ts";
import { CheckpointError } from "../mvcc/checkpoint-format.ts";
import { decodeMessage } from "../raft/codec.ts";
import type { RaftMessage } from "../raft/message.ts";
import type { SnapshotMeta } from "../raft/output.ts";
import { DATA_DIRECTORY_PREFIX, loadState, pointToData } from "./checkpoint-state.ts";
import { encodeConfState } from "./checkpointer.ts";
import { makeLessor } from "./lease-keeper.ts";
import type { Member } from "./member.ts";
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
}

export class SnapshotReceiver {
  readonly #member: Member;
  #incoming: Incoming | undefined;
  /** Complete, and stepped into the machine; it says when to install. */
  #complete: { readonly directory: string; readonly peer: Id64; readonly number: number } | undefined;
  #nextDirectory = 0;

  constructor(member: Member) {
    this.#member = member;
  }

  /** Pieces are expected: something came lately, and none is missing. */
  get isReceiving(): boolean {
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.isBroken) return false;
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
    incoming.heardMs = this.#member.nowMs;
    const { sizes } = incoming;
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    events.info("receiving database snapshot", {
      from: id64Hex(peer),
      files: sizes.length,
      "bytes-here": bytes,
    });
    this.#acknowledge(peer, number, ACK_HAVE, (writer) => sizes.forEach((size) => writeUint64(writer, size)));
  }

  #open(peer: Id64, offer: Offer): Incoming {
    const { disk } = this.#member.options;
    const directory = this.#freshDirectory();
    disk.makeDirectory(directory);
    const files = offer.files.map((file) => disk.create(`${directory}/${file.name}`, "bulk"));
    const sizes = offer.files.map(() => 0);
    const progress = { takenBytes: 0, ackedBytes: 0, heardMs: 0, isBroken: false };
    return { peer, number: 0, directory, offer, files, sizes, ...progress };
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

  /** All is there. `message` is consensus's; undefined when this member asked for the state. */
  #onEnd(incoming: Incoming, message: RaftMessage | undefined): void {
    if (incoming.isBroken) return;
    if (incoming.offer.files.some((file, i) => file.sizeBytes !== incoming.sizes[i]))
      return this.#refuse(incoming);
    const { disk } = this.#member.options;
    for (const file of incoming.files) {
      file.sync();
      file.close();
    }
    disk.syncDirectory(incoming.directory);
    disk.syncDirectory("member");
    this.#incoming = undefined;
    if (message === undefined) return this.#handState(incoming);
    this.#complete = { directory: incoming.directory, peer: incoming.peer, number: incoming.number };
    this.#member.raft.step(message, this.#member.nowMs);
  }

  #handState({ directory, peer, number }: Incoming): void {
    const { options, rejoin } = this.#member;
    // Another state was adopted meanwhile.
    if (!rejoin.isActive) return this.#acknowledge(peer, number, ACK_DONE, (writer) => writer.byte(0));
    const lessor = makeLessor(options);
    let isTaken = false;
    try {
      isTaken = rejoin.received({ state: loadState(options, directory, lessor), lessor, directory });
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw error;
      // Whoever sent it may be the one that is wrong next: asked for again, of whoever leads then.
      options.events.warn("a state that was fetched cannot be read", { reason: error.message });
    }
    this.#acknowledge(peer, number, ACK_DONE, (writer) => writer.byte(Number(isTaken)));
  }

  /** The machine wants it installed: it replaces log and state. */
  install(meta: SnapshotMeta): void {
    const complete = this.#complete;
    if (complete === undefined) throw new Error("a snapshot is installed when it has arrived");
    this.#complete = undefined;
    const member = this.#member;
    const { options } = member;
    const lessor = makeLessor(options);
    const state = loadState(options, complete.directory, lessor);
    if (state.appliedIndex !== meta.index) {
      const where = { file: `${complete.directory}/manifest`, offset: 0 };
      throw new CheckpointError(
        "damaged",
        where,
        `The received snapshot is at index ${state.appliedIndex}, not ${meta.index}`,
      );
    }
    // From here on a restart starts from it, though the log still ends before: see recovery.ts.
    pointToData(options.disk, { directory: complete.directory, receivedIndex: meta.index });
    member.adopt(state, { lessor, directory: complete.directory, meta });
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
    for (const file of incoming.offer.files)
      this.#member.options.disk.remove(`${incoming.directory}/${file.name}`);
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
