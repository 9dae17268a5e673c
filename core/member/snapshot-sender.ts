// The leader's side of a snapshot: streams the files of its newest checkpoint to a peer whose log ends before ours begins.
// The files are opened first: what a later checkpoint removes can still be read.

import type { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64Equal, id64Hex } from "../base/ids.ts";
import type { DiskFile } from "../base/ports.ts";
import type { Housekeeping as PastHousekeeping } from "../mvcc/housekeeping.ts";
import { encodeMessage } from "../raft/codec.ts";
import type { RaftMessage } from "../raft/message.ts";
import type { Checkpointer } from "./checkpointer.ts";
import type { MemberState } from "./member-state.ts";
import { beginFrame, endFrame, FRAME_BARE_PIECE, FRAME_SNAPSHOT, LANE_BULK } from "./peer-frames.ts";
import {
  ACK_DONE,
  ACK_HAVE,
  ACK_TAKEN,
  FrameFields,
  PIECE_SIZE_BYTES,
  SNAPSHOT_END,
  SNAPSHOT_END_STATE,
  SNAPSHOT_OFFER,
  SNAPSHOT_PIECE,
  WINDOW_BYTES,
  writeOffer,
  writeUint64,
} from "./snapshot-frames.ts";

/** A manifest is read in pieces of this size. */
const CHECKSUM_STEP_BYTES = 64 * 1024;
/** Sent in one slice to one receiver: less than a millisecond's work. */
const PIECES_PER_SLICE = 4;
/** A receiver that says nothing for so long is given up; the stream is resumed when it wants a snapshot again. */
const SILENCE_MS = 10_000;

interface SentFile {
  readonly name: string;
  readonly file: DiskFile;
  readonly sizeBytes: number;
  offset: number;
}

interface Transfer {
  readonly peer: Id64;
  readonly number: number;
  /** What the snapshot holds. */
  readonly index: number;
  /** Undefined when it is not consensus that wants it, but a member whose state is wrong (rejoin.ts). */
  readonly message: RaftMessage | undefined;
  readonly files: readonly SentFile[];
  sentBytes: number;
  takenBytes: number;
  /** The receiver has said what it has. */
  started: boolean;
  /** It takes bare pieces. */
  isBare: boolean;
  ended: boolean;
  heardMs: number;
}

export interface SenderHost extends MemberState {
  readonly housekeeping: { readonly past: PastHousekeeping; readonly checkpointer: Checkpointer };
}

export class SnapshotSender {
  readonly #member: SenderHost;
  readonly #transfers: Transfer[] = [];
  readonly #wanted: Id64[] = [];
  /** Members whose state is wrong, and how old the new one may be. */
  readonly #statesWanted: { readonly peer: Id64; readonly index: number }[] = [];
  #nextNumber = 1;

  constructor(member: SenderHost) {
    this.#member = member;
  }

  /** The log may not be given up beyond this while a stream is under way. */
  get logNeededFrom(): number {
    let index = Number.POSITIVE_INFINITY;
    for (const transfer of this.#transfers) index = Math.min(index, transfer.index);
    return index;
  }

  want(peer: Id64): void {
    if (!this.#wanted.some((other) => id64Equal(other, peer))) this.#wanted.push(peer);
  }

  /** A member wants the state itself, not older than `index`: its log is right. */
  wantState(peer: Id64, index: number): void {
    if (this.#statesWanted.some((it) => id64Equal(it.peer, peer))) return;
    if (!this.#isSendingTo(peer)) this.#statesWanted.push({ peer, index });
  }

  /** What was on its way is lost: it ends, and goes on with the next offer where the receiver has got to. */
  disconnected(peer: Id64): void {
    for (const transfer of [...this.#transfers])
      if (id64Equal(transfer.peer, peer)) this.#finish(transfer, false);
  }

  turn(nowMs: number): void {
    if (!this.#member.isLeader) return this.abandonAll();
    for (const transfer of [...this.#transfers]) {
      if (nowMs - transfer.heardMs >= SILENCE_MS) this.#finish(transfer, false);
    }
    if (this.#wanted.length > 0) this.#begin(nowMs);
    if (this.#statesWanted.length > 0) this.#beginStates(nowMs);
  }

  nextDeadlineMs(): number {
    let deadline = Number.POSITIVE_INFINITY;
    for (const transfer of this.#transfers) deadline = Math.min(deadline, transfer.heardMs + SILENCE_MS);
    return deadline;
  }

  /** A few pieces for every receiver that has room; true when there is more. */
  slice(): boolean {
    let more = false;
    for (const transfer of [...this.#transfers]) {
      let pieces = 0;
      while (pieces < PIECES_PER_SLICE && this.#sendPiece(transfer)) pieces++;
      more ||= pieces === PIECES_PER_SLICE;
    }
    return more;
  }

  onAck(peer: Id64, bytes: Uint8Array, start: number, end: number): void {
    const fields = new FrameFields(bytes, start, end);
    const kind = fields.uint8();
    const number = fields.uint32();
    const transfer = this.#transfers.find((it) => it.number === number && id64Equal(it.peer, peer));
    if (transfer === undefined) return;
    transfer.heardMs = this.#member.nowMs;
    if (kind === ACK_HAVE) {
      for (const file of transfer.files) file.offset = Math.min(file.sizeBytes, fields.uint64());
      transfer.isBare = fields.uint8() === 1;
      transfer.started = true;
    } else if (kind === ACK_TAKEN) transfer.takenBytes = fields.uint64();
    else if (kind === ACK_DONE) this.#finish(transfer, fields.uint8() === 1);
  }

  #begin(nowMs: number): void {
    const { housekeeping, raft } = this.#member;
    const { checkpointer } = housekeeping;
    // Not while its files are being written; and one that the log continues.
    if (housekeeping.past.isCheckpointing) return;
    if (checkpointer.latest === undefined || checkpointer.latest.index < raft.log.compactedIndex)
      return checkpointer.want();
    for (const peer of this.#wanted.splice(0)) {
      const message = raft.snapshotMessage(peer, checkpointer.latest);
      if (message === undefined || this.#isSendingTo(peer)) continue;
      this.#offer(peer, { message, index: message.index, nowMs });
    }
  }

  #beginStates(nowMs: number): void {
    const { housekeeping, appliedIndex } = this.#member;
    const { checkpointer } = housekeeping;
    if (housekeeping.past.isCheckpointing) return;
    const { latest } = checkpointer;
    for (const wanted of this.#statesWanted.splice(0)) {
      if (latest !== undefined && latest.index >= wanted.index) {
        if (!this.#isSendingTo(wanted.peer))
          this.#offer(wanted.peer, { message: undefined, index: latest.index, nowMs });
        continue;
      }
      // This member may lag behind the one that asks.
      if (appliedIndex >= wanted.index) checkpointer.want();
      this.#statesWanted.push(wanted);
    }
  }

  #isSendingTo(peer: Id64): boolean {
    return this.#transfers.some((it) => id64Equal(it.peer, peer));
  }

  #offer(peer: Id64, what: { message: RaftMessage | undefined; index: number; nowMs: number }): void {
    const { message, index, nowMs } = what;
    const transfer: Transfer = {
      peer,
      number: this.#nextNumber++,
      index,
      message,
      files: this.#openFiles(),
      sentBytes: 0,
      takenBytes: 0,
      started: false,
      isBare: false,
      ended: false,
      heardMs: nowMs,
    };
    this.#transfers.push(transfer);
    this.#member.options.events.info("sending database snapshot", { to: id64Hex(peer), index });
    const checksum = this.#manifestChecksum(transfer.files.at(-1)!.file);
    this.#frame(transfer, SNAPSHOT_OFFER, (writer) => writeOffer(writer, transfer.files, checksum));
  }

  #openFiles(): SentFile[] {
    const { disk } = this.#member.options;
    const directory = this.#member.dataDirectory;
    const names = disk.list(directory).filter((name) => name.endsWith(".seg"));
    return [...names, "manifest"].map((name) => {
      const file = disk.open(`${directory}/${name}`, "bulk");
      return { name, file, sizeBytes: file.sizeBytes(), offset: 0 };
    });
  }

  #sendPiece(transfer: Transfer): boolean {
    if (!transfer.started || transfer.ended) return false;
    if (transfer.sentBytes - transfer.takenBytes >= WINDOW_BYTES) return false;
    const index = nextFile(transfer.files);
    if (index < 0) {
      transfer.ended = this.#end(transfer);
      if (transfer.ended)
        this.#member.options.events.info("sent database snapshot", {
          to: id64Hex(transfer.peer),
          bytes: transfer.sentBytes,
        });
      return false;
    }
    const file = transfer.files[index]!;
    const count = Math.min(PIECE_SIZE_BYTES, file.sizeBytes - file.offset);
    const sent = this.#frame(transfer, SNAPSHOT_PIECE, (writer) => {
      writer.uint32Be(index);
      writeUint64(writer, file.offset);
      // Read where it is sent from.
      writer.ensure(count);
      file.file.read(writer.bytes, writer.position, writer.position + count, file.offset);
      writer.position += count;
    });
    if (!sent) return false;
    file.offset += count;
    transfer.sentBytes += count;
    return true;
  }

  #end(transfer: Transfer): boolean {
    const { message } = transfer;
    if (message === undefined) return this.#frame(transfer, SNAPSHOT_END_STATE, () => undefined);
    return this.#frame(transfer, SNAPSHOT_END, (writer) =>
      encodeMessage(writer, message, this.#member.raft.log),
    );
  }

  /** False when there is no connection: the transfer ends then. */
  #frame(transfer: Transfer, kind: number, write: (writer: ByteWriter) => void): boolean {
    const writer = this.#member.options.peers.writer(transfer.peer, LANE_BULK);
    if (writer === undefined) {
      this.#finish(transfer, false);
      return false;
    }
    const isBare = kind === SNAPSHOT_PIECE && transfer.isBare;
    const frame = beginFrame(writer, isBare ? FRAME_BARE_PIECE : FRAME_SNAPSHOT);
    writer.byte(kind);
    writer.uint32Be(transfer.number);
    write(writer);
    endFrame(writer, frame);
    return true;
  }

  #finish(transfer: Transfer, ok: boolean): void {
    const at = this.#transfers.indexOf(transfer);
    if (at < 0) return;
    this.#transfers.splice(at, 1);
    for (const file of transfer.files) file.file.close();
    if (transfer.message !== undefined) this.#member.raft.snapshotReported(transfer.peer, ok);
  }

  /** Two checkpoints of the same manifest are the same: it names and checks all its files. */
  #manifestChecksum(file: DiskFile): number {
    const { disk } = this.#member.options;
    const bytes = new Uint8Array(CHECKSUM_STEP_BYTES);
    let checksum = 0;
    for (let offset = 0; ;) {
      const count = file.read(bytes, 0, bytes.length, offset);
      if (count === 0) return checksum;
      checksum = disk.checksum(bytes, 0, count, checksum);
      offset += count;
    }
  }

  abandonAll(): void {
    this.#wanted.length = 0;
    this.#statesWanted.length = 0;
    for (const transfer of [...this.#transfers]) this.#finish(transfer, false);
  }
}

/** The manifest, which is the last of the list, and then one file after the other; -1 when all were sent. */
function nextFile(files: readonly SentFile[]): number {
  const isLeft = (file: SentFile): boolean => file.offset < file.sizeBytes;
  return isLeft(files.at(-1)!) ? files.length - 1 : files.findIndex(isLeft);
}
