// The connections between members, as io/net/peers.ts makes them: each member dials every other and sends on what it
// dialled; both sides notice when a connection ends. Frames are cut from what a member wrote and travel one by one.
//
// Raft's messages may be lost, doubled and overtaken, which TCP would not do: Raft promises to bear it. What is not
// Raft's to repeat (forwarded proposals, calls, snapshot pieces) travels as TCP carries it, and nothing overtakes the first
// frames of a connection, in which members say who they are.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { hashBytes } from "../../core/base/bytes.ts";
import { type Id64, id64Hex } from "../../core/base/ids.ts";
import type { PeerAddress, PeerLinks } from "../../core/base/ports.ts";
import { FRAME_RAFT, FrameReader } from "../../core/member/peer-frames.ts";
import { decodeMessage } from "../../core/raft/codec.ts";
import { MESSAGE_FORWARD, MESSAGE_FORWARD_REFUSED, type RaftMessage } from "../../core/raft/message.ts";
import { type Network, Pipe } from "./network.ts";

const FRAME_SIZE_BYTES_MAX = 16 * 1024 * 1024;
const LANE_COUNT = 2;
const RETRY_US_MIN = 10_000;
const RETRY_US_MAX = 500_000;
/** How long a side that hears nothing takes to notice that the other is gone. */
const HALF_OPEN_US = 3_000_000;

/** What the network needs of a member's process. */
export interface PeerPlace {
  readonly place: number;
  readonly id: Id64;
  readonly isUp: boolean;
  /** Counts the starts. */
  readonly incarnation: number;
  /** How much later than now what it writes leaves it: its work takes time. */
  readonly outputLaterUs: number;
  peerFrame(from: Id64, frame: Frame): void;
  peerConnected(peer: Id64): void;
  peerDisconnected(peer: Id64): void;
  /** This peer refuses the connection, because this member was removed. */
  peerRefused(peer: Id64): void;
}

export interface Frame {
  readonly kind: number;
  readonly bytes: Uint8Array;
}

/** Told of every Raft message when it is sent; the message is valid during the call. */
export type RaftTap = (from: PeerPlace, message: RaftMessage) => void;

export class PeerNetwork {
  readonly network: Network;
  readonly places: readonly PeerPlace[];
  readonly tap: RaftTap;
  readonly #sides: DialledPeers[] = [];

  constructor(network: Network, places: readonly PeerPlace[], tap: RaftTap) {
    this.network = network;
    this.places = places;
    this.tap = tap;
  }

  /** The links of a member that starts. */
  start(place: PeerPlace): DialledPeers {
    const side = new DialledPeers(this, place);
    this.#sides[place.place] = side;
    return side;
  }

  /** A member's process is gone: the others notice, unless the way to them is closed. */
  stop(place: PeerPlace): void {
    this.#sides[place.place]?.stop();
    for (const side of this.#sides) side?.otherStopped(place);
  }

  /** Whether `to` refuses what `from` dials: it knows that `from` was removed. */
  refuses(to: PeerPlace, from: PeerPlace): boolean {
    return this.#sides[to.place]?.isRemoved(from.id) === true;
  }

  /** Closes what removed members have dialled to this one. */
  closeRemoved(at: PeerPlace): void {
    for (const side of this.#sides)
      if (side !== undefined && this.refuses(at, side.place)) side.otherStopped(at);
  }

  /** Breaks the connection that `from` dialled. */
  reset(from: number, to: number): void {
    this.#sides[from]?.reset(to);
  }

  /** Breaks every connection between two members whose ways are not both open. */
  resetClosedWays(): void {
    for (const a of this.places) {
      for (const b of this.places) {
        const isOpen = this.network.isOpen(a.place, b.place) && this.network.isOpen(b.place, a.place);
        if (a !== b && !isOpen) this.reset(a.place, b.place);
      }
    }
  }
}

/** What one member has dialled. */
export class DialledPeers implements PeerLinks {
  readonly #network: PeerNetwork;
  readonly place: PeerPlace;
  readonly #links = new Map<string, Link>();
  isRemoved: (id: Id64) => boolean = () => false;

  constructor(network: PeerNetwork, place: PeerPlace) {
    this.#network = network;
    this.place = place;
  }

  /** Whether it dials this one. */
  dials(id: Id64): boolean {
    return this.#links.has(id64Hex(id));
  }

  writer(to: Id64, lane: number): ByteWriter | undefined {
    return this.#links.get(id64Hex(to))?.writer(lane);
  }

  setPeers(peers: readonly PeerAddress[], isRemoved: (id: Id64) => boolean): void {
    this.isRemoved = isRemoved;
    this.#network.closeRemoved(this.place);
    const wanted = new Map(peers.map((peer) => [id64Hex(peer.id), peer.urls.join()]));
    for (const [hex, link] of this.#links) {
      if (wanted.get(hex) === link.urls) continue;
      link.hangUp();
      this.#links.delete(hex);
    }
    for (const [hex, urls] of wanted) {
      if (!this.#links.has(hex)) this.#links.set(hex, new Link(this.#network, this.place, { hex, urls }));
    }
  }

  /** Sends what was written in this turn. */
  flush(): void {
    for (const link of this.#links.values()) link.flush();
  }

  stop(): void {
    for (const link of this.#links.values()) link.stop();
  }

  otherStopped(place: PeerPlace): void {
    this.#links.get(id64Hex(place.id))?.otherStopped();
  }

  reset(to: number): void {
    const place = this.#network.places.find((one) => one.place === to);
    if (place !== undefined) this.#links.get(id64Hex(place.id))?.reset();
  }
}

/** What a member dials to one other, and dials again when it ends. */
class Link {
  readonly #peers: PeerNetwork;
  readonly #from: PeerPlace;
  readonly #toHex: string;
  /** Where it is dialled: a connection to another address is another one. Whoever moves is found at both. */
  readonly urls: string;
  /** Undefined until a member with this id exists: one that was just added is not started yet. */
  #to: PeerPlace | undefined;
  readonly #writers: ByteWriter[] = [];
  #pipes: Pipe<Frame>[] = [];
  #readers: FrameReader[] = [];
  #attempt = 0;
  /** Counts the connections; events of an earlier one are void. */
  #generation = 0;
  #stopped = false;

  constructor(peers: PeerNetwork, from: PeerPlace, to: { readonly hex: string; readonly urls: string }) {
    this.#peers = peers;
    this.#from = from;
    this.#toHex = to.hex;
    this.urls = to.urls;
    for (let lane = 0; lane < LANE_COUNT; lane++) this.#writers.push(new ByteWriter(4096));
    this.#dial(0);
  }

  writer(lane: number): ByteWriter | undefined {
    return this.#pipes.length === 0 ? undefined : this.#writers[lane];
  }

  flush(): void {
    for (let lane = 0; lane < this.#pipes.length; lane++) {
      const writer = this.#writers[lane]!;
      if (writer.position === 0) continue;
      const pipe = this.#pipes[lane]!;
      this.#readers[lane]!.receive(writer.bytes, 0, writer.position, (kind, bytes, start, end) => {
        this.#send(pipe, { kind, bytes: bytes.slice(start, end) });
      });
      writer.reset();
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#end("dialler");
  }

  /** The member does not want this connection any more; it is told when it is closed, as of any other. */
  hangUp(): void {
    const from = this.#from;
    const to = this.#to;
    const isConnected = this.#pipes.length > 0;
    this.stop();
    if (!isConnected || to === undefined) return;
    const { incarnation } = from;
    this.#peers.network.scheduler.after(1, { node: from.place, kind: "peer-closed" }, () => {
      if (from.isUp && from.incarnation === incarnation) from.peerDisconnected(to.id);
    });
  }

  otherStopped(): void {
    const { network } = this.#peers;
    const to = this.#to;
    if (this.#pipes.length === 0 || to === undefined) return;
    const isTold = network.isOpen(to.place, this.#from.place);
    const generation = this.#generation;
    const delayUs = isTold ? network.delayUs(to.place, this.#from.place) : HALF_OPEN_US;
    network.scheduler.after(delayUs, { node: this.#from.place, kind: "peer-lost" }, () => {
      if (generation === this.#generation && !this.#stopped) this.#end("acceptor");
    });
  }

  reset(): void {
    if (this.#pipes.length > 0 && !this.#stopped) this.#end("both");
  }

  #send(pipe: Pipe<Frame>, frame: Frame): void {
    const { network } = this.#peers;
    const digest = hashBytes(frame.bytes, 0, frame.bytes.length);
    const laterUs = this.#from.outputLaterUs;
    if (frame.kind !== FRAME_RAFT) return pipe.send(frame, digest, laterUs);
    const message = decodeMessage(frame.bytes, 0, frame.bytes.length);
    this.#peers.tap(this.#from, message);
    if (message.kind === MESSAGE_FORWARD || message.kind === MESSAGE_FORWARD_REFUSED)
      return pipe.send(frame, digest, laterUs);
    const { lossShare, duplicateShare, reorderShare, duplicateUsMax } = network.weather;
    if (network.chance(duplicateShare))
      pipe.sendLoose(frame, digest, laterUs + network.below(duplicateUsMax));
    if (network.chance(lossShare)) return;
    if (network.chance(reorderShare)) return pipe.sendLoose(frame, digest, laterUs + network.below(20_000));
    pipe.send(frame, digest, laterUs);
  }

  #dial(delayUs: number): void {
    const { network, places } = this.#peers;
    this.#to ??= places.find((place) => id64Hex(place.id) === this.#toHex);
    const from = this.#from.place;
    const to = this.#to;
    const tripUs = to === undefined ? 0 : network.delayUs(from, to.place) + network.delayUs(to.place, from);
    network.scheduler.after(delayUs + tripUs, { node: from, kind: "peer-dial" }, () => {
      if (this.#stopped) return;
      const isOpen = to?.isUp === true && network.isOpen(from, to.place) && network.isOpen(to.place, from);
      const isRefused = isOpen && this.#peers.refuses(to, this.#from);
      if (isOpen && !isRefused) return this.#connected(to);
      if (isRefused) this.#from.peerRefused(to.id);
      this.#dial(Math.min(RETRY_US_MIN * 2 ** Math.min(this.#attempt++, 10), RETRY_US_MAX));
    });
  }

  #connected(to: PeerPlace): void {
    this.#attempt = 0;
    this.#generation++;
    const { network } = this.#peers;
    const { incarnation } = to;
    const from = this.#from.id;
    let isIntroduced = false;
    const deliver = (frame: Frame): void => {
      if (frame.kind !== FRAME_RAFT) isIntroduced = true;
      if (isIntroduced && to.isUp && to.incarnation === incarnation) to.peerFrame(from, frame);
    };
    const ends = { from: this.#from.place, to: to.place, kind: "peer-frame" };
    this.#pipes = this.#writers.map(() => new Pipe<Frame>(network, ends, deliver));
    this.#readers = this.#writers.map(() => new FrameReader(FRAME_SIZE_BYTES_MAX));
    this.#from.peerConnected(to.id);
  }

  /** `whose`: who noticed already, and need not be told. */
  #end(whose: "dialler" | "acceptor" | "both"): void {
    const to = this.#to;
    if (this.#pipes.length === 0 || to === undefined) return;
    const { network } = this.#peers;
    const from = this.#from;
    for (const pipe of this.#pipes) {
      if (whose === "both" && network.chance(0.5)) pipe.close();
      else pipe.abandon();
    }
    const isAcceptorUp = to.isUp;
    const incarnation = to.incarnation;
    this.#pipes = [];
    for (const writer of this.#writers) writer.reset();
    if (whose !== "acceptor" && isAcceptorUp) {
      const delayUs = network.isOpen(from.place, to.place)
        ? network.delayUs(from.place, to.place)
        : HALF_OPEN_US;
      network.scheduler.after(delayUs, { node: to.place, kind: "peer-gone" }, () => {
        if (to.isUp && to.incarnation === incarnation) to.peerDisconnected(from.id);
      });
    }
    if (whose === "dialler") return;
    from.peerDisconnected(to.id);
    this.#dial(RETRY_US_MIN);
  }
}
