// The sending half of a connection: header blocks, messages, flow control, and whose bytes go next.
//
//   beginMessage --> out, in place --endMessage--> DATA frame          the usual case
//                \-> the stream's queue ---------> take() frames it    no window, no room, too large, others wait
//
// A small message is written straight behind a frame header that is patched once the size is known, or into the frame before it when
// that is the stream's own and has room: a frame costs the peer as much as a short message. What does not fit the windows or the
// slice waits in its stream's queue and is framed by `take`, most urgent first (send-queue.ts).

import { assert } from "../base/assert.ts";
import { ByteWriter } from "../base/byte-writer.ts";
import {
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_HEADER_SIZE_BYTES,
  FRAME_HEADERS,
  FRAME_PAYLOAD_SIZE_BYTES_MAX,
  patchFrameHeader,
  WINDOW_SIZE_DEFAULT,
  writeFrameHeader,
} from "./frames.ts";
import { HpackEncoder } from "./hpack-encode.ts";
import type { TransportLimits } from "./limits.ts";
import { SendQueue } from "./send-queue.ts";
import {
  END_DATA,
  END_NONE,
  END_TRAILERS,
  type EndMode,
  HALF_ENDED,
  HALF_OPEN,
  type Http2Stream,
  type Producer,
} from "./stream.ts";

/** What the sending half needs of the rest of the connection. */
export interface OutputHost {
  /** A stream's own direction has ended. */
  settle(stream: Http2Stream): void;
  /** There is room in the stream's queue again, after `isWritable` was false. */
  onRoom(stream: Http2Stream): void;
  /** The queue is empty: write the trailers now. */
  writeTrailers(stream: Http2Stream): void;
  sentHeaders(): void;
  /** A DATA frame; `isWorthy` when it was a whole message or of some size. */
  sentData(isWorthy: boolean): void;
}

const EMPTY = new Uint8Array(0);
const OUTPUT_SIZE_BYTES_FIRST = 2048;
/** Of each of the two buffers, while nothing is to be written: 1,000 quiet connections keep 64 MB at most. */
const OUTPUT_SIZE_BYTES_KEPT = 32768;
const FRAME_WORTHY_SIZE_BYTES = 256;

export class Http2Output {
  /** Bytes that are framed and may go out. */
  out = new ByteWriter(OUTPUT_SIZE_BYTES_FIRST);
  readonly encoder = new HpackEncoder();
  /** The writer of the message that is being written, and where it starts there. */
  messageWriter: ByteWriter = this.out;
  messageStart = 0;
  /** What the peer takes on all streams together before its next WINDOW_UPDATE. */
  windowBytes = WINDOW_SIZE_DEFAULT;
  /** Bytes in the queues of all streams. */
  queuedBytes = 0;
  /** Bytes that have left queues, ever. */
  dequeuedBytes = 0;

  readonly #host: OutputHost;
  readonly #limits: TransportLimits;
  readonly #connectionOutputBytesMax: number;
  readonly #sendQueue = new SendQueue();
  /** The buffer that was taken last and may still be on its way to the kernel. */
  #spare = new ByteWriter(OUTPUT_SIZE_BYTES_FIRST);
  /** Takes what is written to streams that are cut off. */
  readonly #scrap = new ByteWriter(64);
  #messageStream: Http2Stream | undefined = undefined;
  /** The message frame that was written last, while no later one is of a queue: whose it is, where its header starts, where it ends. */
  #frameStream: Http2Stream | undefined = undefined;
  #frameAt = 0;
  #frameEnd = 0;
  /** Streams that saw `isWritable` false since there was room last; some may have been told already. */
  #awaitingRoom: Http2Stream[] = [];

  constructor(host: OutputHost, limits: TransportLimits, connectionOutputBytesMax: number) {
    this.#host = host;
    this.#limits = limits;
    this.#connectionOutputBytesMax = connectionOutputBytesMax;
  }

  /** Output waits that may go out now. */
  get hasOutput(): boolean {
    return this.out.position > 0 || (this.#sendQueue.count > 0 && this.windowBytes > 0);
  }

  /** The socket, not the peer's windows, is what output waits for, and much of it waits. */
  get isBlockedBySocket(): boolean {
    if (this.out.position > this.#limits.outputPendingBytesMax) return true;
    const isFramable = this.#sendQueue.count > 0 && this.windowBytes > 0;
    return isFramable && this.unsentBytes > this.#connectionOutputBytesMax;
  }

  get unsentBytes(): number {
    return this.out.position + this.queuedBytes;
  }

  /** Starts a HEADERS frame; write the block into `out` with `encoder`, then `endHeaders`. */
  beginHeaders(): void {
    assert(this.#messageStream === undefined, "no header block inside of a message");
    this.messageStart = this.out.position + FRAME_HEADER_SIZE_BYTES;
    this.out.ensure(FRAME_HEADER_SIZE_BYTES);
    this.out.position = this.messageStart;
    this.encoder.beginBlock(this.out);
  }

  endHeaders(stream: Http2Stream, isEnd: boolean): void {
    const sizeBytes = this.out.position - this.messageStart;
    const endFlag = isEnd ? FLAG_END_STREAM : 0;
    const at = this.messageStart - FRAME_HEADER_SIZE_BYTES;
    this.#host.sentHeaders();
    stream.headersSent = true;
    if (isEnd) stream.local = HALF_ENDED;
    if (sizeBytes <= FRAME_PAYLOAD_SIZE_BYTES_MAX) {
      patchFrameHeader(this.out.bytes, at, sizeBytes, FRAME_HEADERS, FLAG_END_HEADERS | endFlag, stream.id);
      return;
    }
    const block = this.out.bytes.slice(this.messageStart, this.out.position);
    this.out.position = at;
    this.#writeLongBlock(stream.id, block, endFlag);
  }

  #writeLongBlock(id: number, block: Uint8Array, endFlag: number): void {
    for (let start = 0; start < block.length; start += FRAME_PAYLOAD_SIZE_BYTES_MAX) {
      const end = Math.min(block.length, start + FRAME_PAYLOAD_SIZE_BYTES_MAX);
      const flags = (start === 0 ? endFlag : 0) | (end === block.length ? FLAG_END_HEADERS : 0);
      writeFrameHeader(this.out, end - start, start === 0 ? FRAME_HEADERS : FRAME_CONTINUATION, flags, id);
      this.out.raw(block, start, end);
    }
  }

  /** Whether the stream should write more; false asks for `onRoom`. */
  isWritable(stream: Http2Stream): boolean {
    if (stream.queuedBytes() < this.#limits.streamOutputBytesMax && stream.producer === undefined) {
      if (this.unsentBytes < this.#connectionOutputBytesMax) return true;
    }
    // A cut-off stream takes everything, into nowhere.
    if (stream.local !== HALF_OPEN) return true;
    if (!stream.isAwaitingRoom) this.#awaitingRoom.push(stream);
    stream.isAwaitingRoom = true;
    return false;
  }

  /** Starts message bytes of a stream. Write them into what comes back, then `endMessage`; nothing else in between. */
  beginMessage(stream: Http2Stream): ByteWriter {
    assert(this.#messageStream === undefined, "one message at a time");
    this.#messageStream = stream;
    const writer = this.#writerFor(stream);
    this.messageWriter = writer;
    if (writer === this.out && !this.#isBehindFrameOf(stream)) {
      writer.ensure(FRAME_HEADER_SIZE_BYTES);
      writer.position += FRAME_HEADER_SIZE_BYTES;
    }
    this.messageStart = writer.position;
    return writer;
  }

  /** The output ends with a DATA frame of this stream. */
  #isBehindFrameOf(stream: Http2Stream): boolean {
    return this.#frameStream === stream && this.#frameEnd === this.out.position;
  }

  #writerFor(stream: Http2Stream): ByteWriter {
    if (stream.local !== HALF_OPEN || stream.endMode !== END_NONE) {
      this.#scrap.reset();
      return this.#scrap;
    }
    assert(stream.producer === undefined, "nothing is written behind a large message before it is complete");
    // While others wait their turn, direct writers get half of the slice at most, so that none starves.
    const slice =
      this.#sendQueue.count === 0 ? this.#limits.outputSliceBytes : this.#limits.outputSliceBytes / 2;
    const hasWindow = stream.sendWindowBytes > 0 && this.windowBytes > 0;
    if (hasWindow && stream.queuedBytes() === 0 && this.out.position < slice) return this.out;
    return this.#queueOf(stream);
  }

  /** The stream's queue, its sent part removed when that is most of it. */
  #queueOf(stream: Http2Stream): ByteWriter {
    if (stream.queue === undefined) stream.queue = new ByteWriter(1024);
    const queue = stream.queue;
    if (stream.queueStart > 4096 && stream.queueStart > queue.position / 2) {
      queue.bytes.copyWithin(0, stream.queueStart, queue.position);
      queue.position -= stream.queueStart;
      stream.queueStart = 0;
    }
    return queue;
  }

  endMessage(stream: Http2Stream): void {
    assert(this.#messageStream === stream, "the message that ends is the one that began");
    const writer = this.messageWriter;
    this.#messageStream = undefined;
    if (writer === this.#scrap) return;
    const sizeBytes = writer.position - this.messageStart;
    if (writer !== this.out) {
      this.queuedBytes += sizeBytes;
      return this.schedule(stream);
    }
    const isWithinFrame = this.#frameStream === stream && this.#frameEnd === this.messageStart;
    const isFitting = sizeBytes <= FRAME_PAYLOAD_SIZE_BYTES_MAX && sizeBytes <= stream.sendWindowBytes;
    if (!isFitting || sizeBytes > this.windowBytes) {
      this.#moveToQueue(stream, sizeBytes);
      this.out.position = isWithinFrame ? this.messageStart : this.messageStart - FRAME_HEADER_SIZE_BYTES;
      return;
    }
    if (!isWithinFrame) this.#frameAt = this.messageStart - FRAME_HEADER_SIZE_BYTES;
    else if (writer.position - this.#frameAt - FRAME_HEADER_SIZE_BYTES > FRAME_PAYLOAD_SIZE_BYTES_MAX)
      this.#openFrame();
    this.#frameStream = stream;
    this.#frameEnd = writer.position;
    const frameSizeBytes = this.#frameEnd - this.#frameAt - FRAME_HEADER_SIZE_BYTES;
    patchFrameHeader(writer.bytes, this.#frameAt, frameSizeBytes, FRAME_DATA, 0, stream.id);
    this.#countData(stream, sizeBytes);
  }

  /** The message at the end of the output gets a frame of its own. */
  #openFrame(): void {
    const { out } = this;
    this.#frameAt = this.messageStart;
    out.ensure(FRAME_HEADER_SIZE_BYTES);
    out.bytes.copyWithin(this.messageStart + FRAME_HEADER_SIZE_BYTES, this.messageStart, out.position);
    out.position += FRAME_HEADER_SIZE_BYTES;
  }

  #countData(stream: Http2Stream, sizeBytes: number): void {
    stream.sendWindowBytes -= sizeBytes;
    this.windowBytes -= sizeBytes;
    // Frames of a few bytes earn no credit, or a client could have us send them one by one (CVE-2019-9511).
    this.#host.sentData(sizeBytes >= FRAME_WORTHY_SIZE_BYTES || stream.queuedBytes() === 0);
  }

  #moveToQueue(stream: Http2Stream, sizeBytes: number): void {
    const queue = this.#queueOf(stream);
    queue.raw(this.out.bytes, this.messageStart, this.out.position);
    this.queuedBytes += sizeBytes;
    this.schedule(stream);
  }

  /** Hands over bytes that are pulled while the peer takes them. Nothing but `endStream` may follow before they are. */
  sendLarge(stream: Http2Stream, producer: Producer): void {
    assert(stream.producer === undefined, "one large message at a time");
    if (stream.local !== HALF_OPEN) return producer.abandon();
    stream.producer = producer;
    this.schedule(stream);
  }

  /** Ends our direction once everything before is out. */
  endStream(stream: Http2Stream, mode: EndMode): void {
    if (stream.local !== HALF_OPEN) return;
    assert(stream.endMode === END_NONE, "a stream ends once");
    stream.endMode = mode;
    if (stream.queuedBytes() === 0 && stream.producer === undefined) this.#writeEnd(stream);
  }

  #writeEnd(stream: Http2Stream): void {
    if (stream.endMode === END_TRAILERS) this.#host.writeTrailers(stream);
    else writeFrameHeader(this.out, 0, FRAME_DATA, FLAG_END_STREAM, stream.id);
    stream.local = HALF_ENDED;
  }

  /** Client: ends our direction with the DATA frame that was written last, if it is still at the end of the output. */
  endStreamWithLastFrame(stream: Http2Stream): void {
    if (stream.local !== HALF_OPEN) return;
    if (this.#frameStream !== stream || stream.queuedBytes() > 0 || stream.producer !== undefined) {
      return this.endStream(stream, END_DATA);
    }
    this.out.bytes[this.#frameAt + 4] = FLAG_END_STREAM;
    stream.local = HALF_ENDED;
  }

  schedule(stream: Http2Stream): void {
    if (stream.isScheduled || stream.local !== HALF_OPEN || stream.sendWindowBytes <= 0) return;
    if (stream.queuedBytes() > 0 || stream.producer !== undefined) this.#sendQueue.push(stream);
  }

  /** All output that may go out now, as one view that is valid until the next call; empty when there is none. */
  take(): Uint8Array {
    assert(this.#messageStream === undefined, "no output in the middle of a message");
    this.messageWriter = this.#scrap;
    this.#frameQueued();
    if (this.#awaitingRoom.length > 0 && this.unsentBytes < this.#connectionOutputBytesMax) {
      this.#tellAllRoom();
      this.#frameQueued();
    }
    const taken = this.out;
    if (taken.position === 0) return EMPTY;
    this.#frameStream = undefined;
    const isOversized = this.#spare.bytes.length > 4 * this.#limits.outputSliceBytes;
    this.out = isOversized ? new ByteWriter(OUTPUT_SIZE_BYTES_FIRST) : this.#spare;
    this.out.reset();
    this.#spare = taken;
    return taken.written();
  }

  /** Forgets what waits in a stream's queue. */
  drop(stream: Http2Stream): void {
    this.#sendQueue.remove(stream);
    this.queuedBytes -= stream.queuedBytes();
    stream.queueStart = 0;
    stream.queue?.reset();
    const producer = stream.producer;
    stream.producer = undefined;
    producer?.abandon();
  }

  /** What was taken has been written: large buffers of a burst do not stay with a connection that has gone quiet. */
  trim(): void {
    if (this.out.position > 0 || this.#messageStream !== undefined) return;
    if (this.out.bytes.length > OUTPUT_SIZE_BYTES_KEPT) this.out = new ByteWriter(OUTPUT_SIZE_BYTES_FIRST);
    if (this.#spare.bytes.length > OUTPUT_SIZE_BYTES_KEPT)
      this.#spare = new ByteWriter(OUTPUT_SIZE_BYTES_FIRST);
  }

  #frameQueued(): void {
    while (this.#sendQueue.count > 0 && this.windowBytes > 0) {
      if (this.out.position >= this.#limits.outputSliceBytes) return;
      this.#sendNext(this.#sendQueue.shift());
    }
  }

  /** Streams that wait for the connection rather than for their own queue. */
  #tellAllRoom(): void {
    const waiting = this.#awaitingRoom;
    this.#awaitingRoom = [];
    for (const stream of waiting) {
      this.#tellRoom(stream);
      if (stream.isAwaitingRoom) this.#awaitingRoom.push(stream);
    }
  }

  /** One DATA frame of a stream whose turn it is. */
  #sendNext(stream: Http2Stream): void {
    // SETTINGS took its window while it was waiting; WINDOW_UPDATE brings it back.
    if (stream.sendWindowBytes <= 0) return;
    const roomBytes = Math.min(stream.sendWindowBytes, this.windowBytes, FRAME_PAYLOAD_SIZE_BYTES_MAX);
    const { out } = this;
    const at = out.position;
    this.#frameStream = undefined;
    out.ensure(FRAME_HEADER_SIZE_BYTES);
    out.position += FRAME_HEADER_SIZE_BYTES;
    this.#takeQueued(stream, roomBytes);
    const payloadEnd = at + FRAME_HEADER_SIZE_BYTES + roomBytes;
    if (stream.producer !== undefined && out.position < payloadEnd) this.#pull(stream, payloadEnd);
    const sizeBytes = out.position - at - FRAME_HEADER_SIZE_BYTES;
    assert(sizeBytes > 0, "a stream in the send queue has bytes");
    this.dequeuedBytes += sizeBytes;
    const isLast = stream.queuedBytes() === 0 && stream.producer === undefined;
    const isEnd = isLast && stream.endMode === END_DATA;
    patchFrameHeader(out.bytes, at, sizeBytes, FRAME_DATA, isEnd ? FLAG_END_STREAM : 0, stream.id);
    this.#countData(stream, sizeBytes);
    if (isEnd) stream.local = HALF_ENDED;
    else if (isLast && stream.endMode === END_TRAILERS) this.#writeEnd(stream);
    if (stream.local !== HALF_OPEN) return this.#host.settle(stream);
    this.schedule(stream);
  }

  #tellRoom(stream: Http2Stream): void {
    if (!stream.isAwaitingRoom || stream.producer !== undefined) return;
    if (stream.queuedBytes() > this.#limits.streamOutputBytesMax / 2) return;
    if (this.unsentBytes >= this.#connectionOutputBytesMax) return;
    stream.isAwaitingRoom = false;
    this.#host.onRoom(stream);
  }

  /** Moves bytes of the stream's queue, `roomBytes` at most, to the end of the output. */
  #takeQueued(stream: Http2Stream, roomBytes: number): void {
    const sizeBytes = Math.min(stream.queuedBytes(), roomBytes);
    if (sizeBytes === 0) return;
    const queue = stream.queue!;
    this.out.raw(queue.bytes, stream.queueStart, stream.queueStart + sizeBytes);
    stream.queueStart += sizeBytes;
    this.queuedBytes -= sizeBytes;
    if (stream.queueStart < queue.position) return;
    queue.reset();
    stream.queueStart = 0;
  }

  /**
   * Has the frame at the end of the output filled up to `payloadEnd`, in place: a large answer is copied once, from where it is
   * stored. What is too much, the end of a record, waits in the stream's queue, which is empty, for the next frame.
   */
  #pull(stream: Http2Stream, payloadEnd: number): void {
    const { out } = this;
    const before = out.position;
    if (stream.producer!.pull(out, payloadEnd - before)) stream.producer = undefined;
    assert(out.position > before, "a producer writes something each time");
    if (out.position <= payloadEnd) return;
    this.#queueOf(stream).raw(out.bytes, payloadEnd, out.position);
    this.queuedBytes += out.position - payloadEnd;
    out.position = payloadEnd;
  }
}
