// WatchResponse, written by hand: { 1 header, 2 watch_id, 3 created, 4 canceled, 5 compact_revision, 6 cancel_reason,
// 7 fragment, 11 events }. Each function writes one whole message to a call, fragments excepted, which are several.

import { ByteWriter } from "../base/byte-writer.ts";
import type { HeaderSource } from "../wire/header.ts";
import { writeHeader } from "../wire/header.ts";
import type { EventBatch } from "./event-batch.ts";
import type { WatchCall } from "./watch-call.ts";

/** The id of messages that concern no watcher, or all of the stream: -1. */
const NO_ID = 0xffffffff;

export class WatchMessages {
  readonly #source: HeaderSource;
  readonly #fragmentSizeBytes: number;
  /** The header of `#headerRevision`: watchers of one key get the same one, a thousand times. */
  readonly #header = new ByteWriter(64);
  #headerRevision = -1;
  #headerTerm = -1;

  constructor(source: HeaderSource, fragmentSizeBytes: number) {
    this.#source = source;
    this.#fragmentSizeBytes = fragmentSizeBytes;
  }

  created(call: WatchCall, revision: number, idHi: number, idLo: number): void {
    const out = this.#begin(call, revision, idHi, idLo);
    out.byte(0x18);
    out.byte(1);
    call.endMessage();
  }

  /** A creation that failed: created and canceled at once, with the id -1. */
  refused(call: WatchCall, revision: number, reason: string): void {
    const out = this.#begin(call, revision, NO_ID, NO_ID);
    out.byte(0x18);
    out.byte(1);
    out.byte(0x20);
    out.byte(1);
    const size = new ByteWriter(reason.length * 3 + 1);
    size.utf8(reason);
    out.byte(0x32);
    out.varint(size.position);
    out.raw(size.bytes, 0, size.position);
    call.endMessage();
  }

  canceled(call: WatchCall, revision: number, idHi: number, idLo: number): void {
    const out = this.#begin(call, revision, idHi, idLo);
    out.byte(0x20);
    out.byte(1);
    call.endMessage();
  }

  /** What the watcher lacks was compacted. The header has revision 0, there is no reason. */
  compacted(call: WatchCall, idHi: number, idLo: number, compactedRevision: number): void {
    const out = this.#begin(call, 0, idHi, idLo);
    out.byte(0x20);
    out.byte(1);
    out.byte(0x28);
    out.varint(compactedRevision);
    call.endMessage();
  }

  progress(call: WatchCall, revision: number, idHi: number, idLo: number): void {
    this.#begin(call, revision, idHi, idLo);
    call.endMessage();
  }

  /** Progress of all watchers of the stream. */
  progressOfAll(call: WatchCall, revision: number): void {
    this.progress(call, revision, NO_ID, NO_ID);
  }

  /** The events of one group; `revision` is not below the last of them. */
  // oxlint-disable-next-line max-params -- once per watcher and event, no object for it
  events(
    call: WatchCall,
    revision: number,
    id: { hi: number; lo: number },
    batch: EventBatch,
    group: number,
  ): void {
    const out = this.#begin(call, revision, id.hi, id.lo);
    batch.write(out, batch.firstHit(group), -1);
    call.endMessage();
  }

  /**
   * The same for a watcher that allows fragments: split between events when the message would reach the limit, one event
   * at least in each, all but the last marked. They are written here in one go, so that nothing comes in between.
   */
  // oxlint-disable-next-line max-params -- as events()
  fragments(
    call: WatchCall,
    revision: number,
    id: { hi: number; lo: number },
    batch: EventBatch,
    group: number,
  ): void {
    const headSize = 64; // header, id and mark, generously
    let first = batch.firstHit(group);
    if (headSize + batch.sizeOf(group) < this.#fragmentSizeBytes)
      return this.events(call, revision, id, batch, group);
    while (first !== -1) {
      let size = headSize + batch.sizeOfHit(first);
      let end = batch.nextHit(first);
      for (; end !== -1; end = batch.nextHit(end)) {
        size += batch.sizeOfHit(end);
        if (size >= this.#fragmentSizeBytes) break;
      }
      const out = this.#begin(call, revision, id.hi, id.lo);
      if (end !== -1) {
        out.byte(0x38);
        out.byte(1);
      }
      batch.write(out, first, end);
      call.endMessage();
      first = end;
    }
  }

  #begin(call: WatchCall, revision: number, idHi: number, idLo: number): ByteWriter {
    if (revision !== this.#headerRevision || this.#source.term !== this.#headerTerm) {
      this.#header.reset();
      writeHeader(this.#header, this.#source, revision);
      this.#headerRevision = revision;
      this.#headerTerm = this.#source.term;
    }
    const out = call.beginMessage();
    out.raw(this.#header.bytes, 0, this.#header.position);
    if ((idHi | idLo) !== 0) {
      out.byte(0x10);
      out.varint64(idHi, idLo);
    }
    return out;
  }
}
