// Connections between members. Each member opens two connections to every other, one for control and one for bulk, and
// sends on those it opened; what it receives comes on those that were opened to it. So a dead process is noticed at
// once on both sides, and no append waits before a heartbeat. The bytes are core/member/peer-frames.ts.

import net from "node:net";
import tls from "node:tls";
import { type ByteCount, PeerTraffic } from "./peer-traffic.ts";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { type Id64, id64Equal, id64Hex } from "../../core/base/ids.ts";
import type { PeerAddress, PeerLinks } from "../../core/base/ports.ts";
import {
  FrameReader,
  FRAME_HEARD,
  FRAME_REFUSAL,
  GREETING_MAGIC,
  GREETING_SIZE_BYTES,
  LANE_BULK,
  LANE_CONTROL,
  PeerError,
  beginFrame,
  endFrame,
  isRemovedRefusal,
  parseGreeting,
  refusalOf,
  writeGreeting,
} from "../../core/member/peer-frames.ts";
import { parseEndpoint } from "./endpoint.ts";
import { listenOn } from "./listen.ts";
import { type PeerTls, peerClientTls, peerServerTls } from "./peer-tls.ts";
import { readBytes } from "./read-bytes.ts";
import { createTlsServer } from "./tls.ts";

/** A frame larger than the largest append message and snapshot piece is damage or an attack. */
const FRAME_SIZE_BYTES_MAX = 16 * 1024 * 1024;
/** Unsent bytes of one connection above which messages to it are dropped. */
export const UNSENT_BYTES_MAX = 32 * 1024 * 1024;
/** Output up to this is copied to be sent; the writer of more is handed over, and kept for later when it is no larger than this. */
const SMALL_BYTES = 64 * 1024;
const SPARE_BYTES_MAX = 2 * 1024 * 1024;
/** A connection that says nothing after it was opened is closed. */
const GREETING_TIMEOUT_MS = 5_000;
/**
 * In election timeouts: how long a peer may take to answer a greeting, and how long it may be silent after something was
 * sent to it, before the connection is made anew. After a partition the system tries an old connection again only as late
 * as the partition was long (retransmissions back off, connecting, too): two members could then reach each other, and
 * would not.
 */
const GREETING_PATIENCE = 1.5;
const SILENCE_PATIENCE = 3;
const LOOKS_PER_ELECTION = 4;
const RECONNECT_DELAY_MS_MIN = 10;
const RECONNECT_DELAY_MS_MAX = 500;

export interface PeerTransportOptions {
  readonly clusterId: Id64;
  readonly memberId: Id64;
  readonly listenUrls: readonly string[];
  /** Election timeout: the measure of how long a peer may be silent. */
  readonly electionMs: number;
  /** For https URLs. */
  readonly tls?: PeerTls;
  readonly onFrame: (from: Id64, kind: number, bytes: Uint8Array, start: number, end: number) => void;
  readonly onConnected: (peer: Id64) => void;
  readonly onDisconnected: (peer: Id64) => void;
  /** This peer refuses this member because it was removed from the cluster. */
  readonly onRemoved?: (peer: Id64) => void;
  /** A connection that starts with an HTTP request, its first bytes given back to it. */
  readonly onHttp: (socket: net.Socket) => void;
  readonly warn: (message: string, fields: Readonly<Record<string, string>>) => void;
}

export class PeerTransport implements PeerLinks {
  readonly #options: PeerTransportOptions;
  /** What each listener is bound to, in the order of the URLs. */
  readonly addresses: string[] = [];
  readonly #servers: net.Server[] = [];
  readonly #peers = new Map<string, Peer>();
  /** The same, to walk over. */
  #peerList: readonly Peer[] = [];
  readonly #inbound = new Set<net.Socket>();
  /** Whose connection each is that has passed its greeting. */
  readonly #greeted = new Map<net.Socket, Id64>();
  #isRemoved: (id: Id64) => boolean = () => false;
  /** The newest connection for control that each peer opened. */
  readonly #control = new Map<string, net.Socket>();
  readonly traffic = new PeerTraffic();
  #closed = false;

  constructor(options: PeerTransportOptions) {
    this.#options = options;
  }

  /** Opens the listeners; rejects when one cannot be opened. */
  async listen(): Promise<void> {
    for (const url of this.#options.listenUrls) await this.#listenOn(url);
  }

  setPeers(peers: readonly PeerAddress[], isRemoved: (id: Id64) => boolean = () => false): void {
    this.#isRemoved = isRemoved;
    for (const [socket, id] of this.#greeted) if (isRemoved(id)) socket.destroy();
    const wanted = new Map(peers.map((peer) => [id64Hex(peer.id), peer]));
    for (const [hex, peer] of this.#peers) {
      const address = wanted.get(hex);
      if (address === undefined || address.urls.join() !== peer.urls.join()) {
        peer.close();
        this.#peers.delete(hex);
      }
    }
    for (const [hex, address] of wanted) {
      if (!this.#peers.has(hex) && !this.#closed)
        this.#peers.set(hex, new Peer(address, this.#options, this.traffic));
    }
    this.#peerList = [...this.#peers.values()];
  }

  /** Whether a message to this member has a way. */
  knows(id: Id64): boolean {
    for (const peer of this.#peerList) if (id64Equal(peer.id, id)) return true;
    return false;
  }

  // Asked for every message: a few members are compared quicker than a name is made of the id.
  writer(to: Id64, lane: number): ByteWriter | undefined {
    for (const peer of this.#peerList) if (id64Equal(peer.id, to)) return peer.writer(lane);
    return undefined;
  }

  /** Sends what this turn wrote, one write per connection. */
  flush(): void {
    for (const peer of this.#peerList) peer.flush();
  }

  close(): void {
    this.#closed = true;
    for (const server of this.#servers) server.close();
    for (const peer of this.#peers.values()) peer.close();
    for (const socket of this.#inbound) socket.destroy();
    this.#peers.clear();
    this.#peerList = [];
  }

  /** A member that was just started listens from now on: no more waiting for it. */
  #isThere(from: Id64): void {
    for (const peer of this.#peerList) if (id64Equal(peer.id, from)) peer.isThere();
  }

  #heard(from: Id64, isWord: boolean): void {
    for (const peer of this.#peerList) if (id64Equal(peer.id, from)) peer.heard(isWord);
  }

  async #listenOn(url: string): Promise<void> {
    const { warn } = this.#options;
    const { server, address } = await listenOn(url, (isTls) => this.#createServer(isTls, url));
    this.addresses.push(address);
    server.on("error", (error: Error) => warn("peer listener failed", { error: error.message }));
    this.#servers.push(server);
  }

  #createServer(isTls: boolean, url: string): net.Server {
    if (!isTls) return net.createServer({ noDelay: true }, (socket) => this.#accept(socket));
    return createTlsServer(peerServerTls(this.#options.tls, url), GREETING_TIMEOUT_MS, {
      onConnection: (socket) => this.#hold(socket),
      onSecure: (socket) => this.#accept(socket),
      onRefused: (reason, { remoteAddress }) =>
        this.#options.warn("rejected connection on peer endpoint", {
          "remote-addr": remoteAddress ?? "",
          error: reason,
        }),
    });
  }

  /** What is closed with this transport. */
  #hold(socket: net.Socket): boolean {
    this.#inbound.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#inbound.delete(socket));
    return true;
  }

  #accept(socket: net.Socket): void {
    this.#hold(socket);
    socket.setNoDelay(true);
    const timer = setTimeout(() => socket.destroy(), GREETING_TIMEOUT_MS);
    let held: Buffer = Buffer.alloc(0);
    const onData = (chunk: Buffer): void => {
      held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
      const isPeer = held.subarray(0, GREETING_MAGIC.length).equals(GREETING_MAGIC.subarray(0, held.length));
      if (isPeer && held.length < GREETING_SIZE_BYTES) return;
      clearTimeout(timer);
      socket.off("data", onData);
      if (isPeer) this.#greet(socket, held);
      else {
        socket.pause();
        socket.unshift(held);
        this.#options.onHttp(socket);
        socket.resume();
      }
    };
    socket.on("data", onData);
    socket.on("close", () => clearTimeout(timer));
  }

  #greet(socket: net.Socket, bytes: Buffer): void {
    const { clusterId, memberId, onFrame, onDisconnected, warn } = this.#options;
    try {
      const greeting = parseGreeting(bytes, 0);
      const refusal = refusalOf(greeting, { clusterId, memberId, isRemoved: this.#isRemoved });
      const answer = new ByteWriter(128);
      if (refusal !== undefined) {
        const frame = beginFrame(answer, FRAME_REFUSAL);
        answer.utf8(refusal);
        endFrame(answer, frame);
        warn("refused a peer", { reason: refusal });
        socket.end(answer.copy());
        return;
      }
      writeGreeting(answer, { ...greeting, from: memberId, to: greeting.from });
      socket.write(answer.copy());
      const reader = new FrameReader(FRAME_SIZE_BYTES_MAX);
      const from = greeting.from;
      this.#greeted.set(socket, from);
      this.#isThere(from);
      socket.on("close", () => this.#greeted.delete(socket));
      let isWord = false;
      const deliver = (kind: number, frame: Uint8Array, start: number, end: number): void => {
        if (kind === FRAME_HEARD) return;
        isWord = true;
        onFrame(from, kind, frame, start, end);
      };
      const received = this.traffic.received(from);
      const receive = (chunk: Uint8Array, start: number, end: number): void => {
        isWord = false;
        received.bytes += end - start;
        try {
          reader.receive(chunk, start, end, deliver);
        } catch (error) {
          if (!(error instanceof PeerError)) throw error;
          warn("closed a peer's connection", { peer: id64Hex(from), reason: error.message });
          socket.destroy();
        }
        this.#heard(from, isWord);
      };
      if (greeting.lane === LANE_CONTROL) {
        this.#control.set(id64Hex(from), socket);
        // The end of one that was given up may come long after the next one was opened.
        socket.on("close", () => {
          if (this.#control.get(id64Hex(from)) === socket) onDisconnected(from);
        });
      }
      if (bytes.length > GREETING_SIZE_BYTES) receive(bytes, GREETING_SIZE_BYTES, bytes.length);
      readBytes(socket, (chunk, end) => receive(chunk, 0, end));
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      warn("refused a peer", { reason: error.message });
      socket.destroy();
    }
  }
}

/** One other member: the two connections that this one opens to it. */
class Peer {
  readonly id: Id64;
  readonly urls: readonly string[];
  readonly #lanes: readonly Lane[];
  readonly #looks: NodeJS.Timeout;
  /** Looks since the last word from it after which it was silent although something had been sent to it. */
  #silentLooks = 0;
  /** It said something, and nothing was said to it since; and that was so at the last look, too. */
  #isOwed = false;
  #isOverdue = false;

  constructor(address: PeerAddress, options: PeerTransportOptions, traffic: PeerTraffic) {
    this.id = address.id;
    this.urls = address.urls;
    const sent = traffic.sent(address.id);
    this.#lanes = [
      new Lane(address, LANE_CONTROL, options, sent),
      new Lane(address, LANE_BULK, options, sent),
    ];
    // Counted in looks, not in time: after this process itself stood still it looks once, and then hears what has come.
    this.#looks = setInterval(() => this.#look(), options.electionMs / LOOKS_PER_ELECTION);
    this.#looks.unref();
  }

  /** With a word, or only that it has heard ours. */
  heard(isWord: boolean): void {
    this.#silentLooks = 0;
    if (isWord) this.#isOwed = true;
    for (const lane of this.#lanes) lane.isUnanswered = false;
  }

  writer(lane: number): ByteWriter | undefined {
    return this.#lanes[lane]!.writer();
  }

  flush(): void {
    for (const lane of this.#lanes) if (lane.flush()) this.#isOwed = this.#isOverdue = false;
  }

  isThere(): void {
    for (const lane of this.#lanes) lane.connectNow();
  }

  close(): void {
    clearInterval(this.#looks);
    for (const lane of this.#lanes) lane.close();
  }

  #look(): void {
    this.#answer();
    if (!this.#lanes.some((lane) => lane.isUnanswered)) this.#silentLooks = 0;
    else if (++this.#silentLooks > SILENCE_PATIENCE * LOOKS_PER_ELECTION) {
      this.heard(false);
      for (const lane of this.#lanes) lane.renew();
    }
  }

  // Followers tell each other who they are and then nothing until the next election: without an answer each would take the
  // other for gone. Between a leader and a follower the next heartbeat comes before the second look.
  #answer(): void {
    if (this.#isOwed && this.#isOverdue) {
      this.#lanes[LANE_CONTROL]!.sayHeard();
      this.#isOwed = false;
    }
    this.#isOverdue = this.#isOwed;
  }
}

class Lane {
  readonly #peerId: Id64;
  readonly #urls: readonly string[];
  readonly #lane: number;
  readonly #options: PeerTransportOptions;
  #socket: net.Socket | undefined;
  /** The other side has answered the greeting: frames may go out. */
  #ready = false;
  #output = new ByteWriter(SMALL_BYTES);
  /** Takes the next frames when `#output` is being sent from. */
  #spare: ByteWriter | undefined;
  #attempt = 0;
  /** Until the next attempt, or for the end of this one. */
  #timer: NodeJS.Timeout | undefined;
  /** The last complaint: the same one is not repeated with every attempt. */
  #complaint = "";
  #closed = false;
  /** Something was sent since the peer was last heard. */
  isUnanswered = false;
  readonly #sent: ByteCount;

  constructor(peer: PeerAddress, lane: number, options: PeerTransportOptions, sent: ByteCount) {
    this.#peerId = peer.id;
    this.#urls = peer.urls;
    this.#lane = lane;
    this.#options = options;
    this.#sent = sent;
    this.#connect();
  }

  writer(): ByteWriter | undefined {
    if (!this.#ready || this.#socket === undefined) return undefined;
    return this.#socket.writableLength > UNSENT_BYTES_MAX ? undefined : this.#output;
  }

  /** Whether there was something to send. */
  flush(): boolean {
    if (!this.#send()) return false;
    this.isUnanswered = true;
    return true;
  }

  #send(): boolean {
    if (this.#output.position === 0 || this.#socket === undefined) return false;
    this.#sent.bytes += this.#output.position;
    // Copied when small; a large buffer is handed over, because the socket reads from it after this turn.
    const output = this.#output;
    if (output.position <= SMALL_BYTES) {
      this.#socket.write(output.copy());
      output.reset();
    } else {
      this.#socket.write(output.written(), () => this.#keep(output));
      this.#output = this.#spare ?? new ByteWriter(SMALL_BYTES);
      this.#spare = undefined;
    }
    return true;
  }

  /** Between turns, when nothing else waits to be sent. It asks for no answer itself. */
  sayHeard(): void {
    const output = this.writer();
    if (output === undefined || output.position > 0) return;
    endFrame(output, beginFrame(output, FRAME_HEARD));
    this.#send();
  }

  /** Memory that was sent from is used again: fresh memory for each piece of a snapshot costs as much as sending it. */
  #keep(sent: ByteWriter): void {
    if (sent.bytes.length > SPARE_BYTES_MAX) return;
    sent.reset();
    this.#spare = sent;
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }

  /** Does not wait any longer when it waits for the next attempt. */
  connectNow(): void {
    if (this.#socket !== undefined) return;
    clearTimeout(this.#timer);
    this.#attempt = 0;
    this.#connect();
  }

  /** Gives up a connection on which nothing seems to arrive, and makes another. */
  renew(): void {
    if (this.#ready) this.#socket?.destroy();
  }

  #connect(): void {
    if (this.#closed) return;
    let socket: net.Socket;
    try {
      socket = this.#open(this.#urls[this.#attempt % this.#urls.length]!);
    } catch (error) {
      // A certificate that cannot be read while it is exchanged.
      this.#complain("cannot connect to a peer", (error as Error).message);
      return this.#retryLater();
    }
    this.#socket = socket;
    this.#timer = setTimeout(() => socket.destroy(), GREETING_PATIENCE * this.#options.electionMs).unref();
    let answer: Buffer = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      if (this.#ready) return;
      answer = Buffer.concat([answer, chunk]);
      if (
        answer.length >= GREETING_SIZE_BYTES ||
        !answer.subarray(0, 6).equals(GREETING_MAGIC.subarray(0, answer.length))
      ) {
        this.#onAnswer(socket, answer);
      }
    });
    socket.on("error", (error) => {
      // Nobody there is an everyday thing; a certificate that does not fit is the operator's.
      if (socket instanceof tls.TLSSocket && !isOfTheNetwork(error))
        this.#complain("cannot connect to a peer", error.message);
      socket.destroy();
    });
    socket.once("close", () => this.#onClose(socket));
  }

  #open(url: string): net.Socket {
    const { isTls, host, target } = parseEndpoint(url, false);
    if (!isTls) {
      const socket = net.connect(target);
      return socket.setNoDelay(true).once("connect", () => this.#sendGreeting(socket));
    }
    const options = peerClientTls(this.#options.tls, host);
    const socket = tls.connect({ ...options, ...(target as net.TcpNetConnectOpts) });
    return socket.setNoDelay(true).once("secureConnect", () => this.#sendGreeting(socket));
  }

  #sendGreeting(socket: net.Socket): void {
    const greeting = new ByteWriter(GREETING_SIZE_BYTES);
    const { clusterId, memberId } = this.#options;
    writeGreeting(greeting, { lane: this.#lane, clusterId, from: memberId, to: this.#peerId });
    socket.write(greeting.copy());
  }

  #onAnswer(socket: net.Socket, answer: Buffer): void {
    try {
      const greeting = parseGreeting(answer, 0);
      if (!id64Equal(greeting.from, this.#peerId)) throw new PeerError("another member answered");
      clearTimeout(this.#timer);
      this.#ready = true;
      this.#attempt = 0;
      this.#complaint = "";
      if (this.#lane === LANE_CONTROL) this.#options.onConnected(this.#peerId);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (isRemovedRefusal(answer)) this.#options.onRemoved?.(this.#peerId);
      // A greeting begins with its magic, a frame with a length that is far below it.
      const isRefusal = answer.length > 9 && answer[0] === 0 && answer[8] === FRAME_REFUSAL;
      const reason = isRefusal ? answer.subarray(9).toString() : error.message;
      this.#complain("a peer refused the connection", reason);
      socket.destroy();
    }
  }

  #onClose(socket: net.Socket): void {
    if (this.#socket !== socket) return;
    const wasReady = this.#ready;
    this.#ready = false;
    this.isUnanswered = false;
    this.#socket = undefined;
    this.#output.reset();
    if (wasReady && this.#lane === LANE_CONTROL) this.#options.onDisconnected(this.#peerId);
    clearTimeout(this.#timer);
    if (!this.#closed) this.#retryLater();
  }

  #retryLater(): void {
    const delayMs = Math.min(
      RECONNECT_DELAY_MS_MIN * 2 ** Math.min(this.#attempt++, 10),
      RECONNECT_DELAY_MS_MAX,
    );
    this.#timer = setTimeout(() => this.#connect(), delayMs).unref();
  }

  #complain(message: string, reason: string): void {
    if (reason === this.#complaint) return;
    this.#complaint = reason;
    this.#options.warn(message, { peer: id64Hex(this.#peerId), reason });
  }
}

/** ECONNREFUSED and its like, as opposed to what TLS has to say. */
function isOfTheNetwork(error: Error): boolean {
  return "syscall" in error || (error as NodeJS.ErrnoException).code === "ECONNRESET";
}
