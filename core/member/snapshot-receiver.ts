// The follower's side of a snapshot: pieces go into a directory of their own, durable before they are acknowledged; when
// all are there the checkpoint is read and verified, the pointer to the data directory is turned, and the state replaced.
//
//   member/data.<index>/   a received checkpoint; `member/current` names the directory in use (member/data without it)

import type { ByteWriter } from "../base/byte-writer.ts";
import { type Id64, id64Hex } from "../base/ids.ts";
import type { DiskFile } from "../base/ports.ts";
import { CheckpointError } from "../mvcc/checkpoint-format.ts";
import { decodeMessage } from "../raft/codec.ts";
import type { RaftMessage } from "../raft/message.ts";
import type { SnapshotMeta } from "../raft/output.ts";
import { DEFAULT_LESSOR_OPTIONS, Lessor } from "../lease/lessor.ts";
import { DATA_DIRECTORY_PREFIX, loadState, pointToData } from "./checkpoint-state.ts";
import { encodeConfState } from "./checkpointer.ts";
import type { Member } from "./member.ts";
import { beginFrame, endFrame, FRAME_SNAPSHOT_ACK, LANE_CONTROL } from "./peer-frames.ts";
import {
  ACK_DONE,
  ACK_HAVE,
  ACK_TAKEN,
  FrameFields,
  type OfferedFile,
  readOffer,
  SNAPSHOT_END,
  SNAPSHOT_OFFER,
  SNAPSHOT_PIECE,
  writeUint64,
} from "./snapshot-frames.ts";

/** More files than any checkpoint has: 64 GiB of 8 MiB segments. */
const FILE_COUNT_MAX = 8_192;
/** Acknowledged after this much, so that the sender's window never closes for long. */
const ACK_EVERY_BYTES = 1024 * 1024;

interface Incoming {
  readonly peer: Id64;
  readonly number: number;
  readonly directory: string;
  readonly offered: readonly OfferedFile[];
  readonly files: DiskFile[];
  takenBytes: number;
  ackedBytes: number;
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

  onFrame(peer: Id64, bytes: Uint8Array, start: number, end: number): void {
    const fields = new FrameFields(bytes, start, end);
    const kind = fields.uint8();
    const number = fields.uint32();
    if (kind === SNAPSHOT_OFFER) return this.#onOffer(peer, number, readOffer(fields));
    const incoming = this.#incoming;
    if (incoming === undefined || incoming.number !== number) return;
    if (kind === SNAPSHOT_PIECE) this.#onPiece(incoming, fields, bytes);
    else if (kind === SNAPSHOT_END) this.#onEnd(incoming, decodeMessage(bytes, fields.position, end));
  }

  #onOffer(peer: Id64, number: number, offered: OfferedFile[] | undefined): void {
    const { disk, events } = this.#member.options;
    if (offered === undefined || offered.length > FILE_COUNT_MAX)
      return this.#acknowledge(peer, number, ACK_DONE, (writer) => writer.byte(0));
    this.#drop();
    const directory = this.#freshDirectory();
    disk.makeDirectory(directory);
    const files = offered.map((file) => disk.create(`${directory}/${file.name}`, "bulk"));
    this.#incoming = { peer, number, directory, offered, files, takenBytes: 0, ackedBytes: 0 };
    events.info("receiving database snapshot", { from: id64Hex(peer), files: offered.length });
    this.#acknowledge(peer, number, ACK_HAVE, (writer) => offered.forEach(() => writeUint64(writer, 0)));
  }

  #onPiece(incoming: Incoming, fields: FrameFields, bytes: Uint8Array): void {
    const file = incoming.files[fields.uint32()];
    const offset = fields.uint64();
    if (file === undefined) return;
    file.write(bytes, fields.position, fields.end, offset);
    incoming.takenBytes += fields.end - fields.position;
    if (incoming.takenBytes - incoming.ackedBytes < ACK_EVERY_BYTES) return;
    incoming.ackedBytes = incoming.takenBytes;
    this.#acknowledge(incoming.peer, incoming.number, ACK_TAKEN, (writer) =>
      writeUint64(writer, incoming.takenBytes),
    );
  }

  #onEnd(incoming: Incoming, message: RaftMessage): void {
    const { disk } = this.#member.options;
    for (const file of incoming.files) {
      file.sync();
      file.close();
    }
    disk.syncDirectory(incoming.directory);
    disk.syncDirectory("member");
    this.#incoming = undefined;
    this.#complete = { directory: incoming.directory, peer: incoming.peer, number: incoming.number };
    this.#member.raft.step(message, this.#member.nowMs);
  }

  /** The machine wants it installed: it replaces log and state. */
  install(meta: SnapshotMeta): void {
    const complete = this.#complete;
    if (complete === undefined) throw new Error("a snapshot is installed when it has arrived");
    this.#complete = undefined;
    const member = this.#member;
    const { options } = member;
    const lessor = new Lessor({
      ...DEFAULT_LESSOR_OPTIONS,
      ttlSecondsMin: member.lessor.ttlSecondsMin,
      seed: options.prng.uint32(),
    });
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
    for (const file of incoming.offered)
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
