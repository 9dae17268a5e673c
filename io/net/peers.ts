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
  FRAME_REFUSAL,
  GREETING_MAGIC,
  GREETING_SIZE_BYTES,
  LANE_BULK,
  LANE_CONTROL,
  PeerError,
  beginFrame,
  endFrame,
  parseGreeting,
  refusalOf,
  writeGreeting,
} from "../../core/member/peer-frames.ts";

/** A frame larger than the largest append message and snapshot piece is damage or an attack. */
const FRAME_SIZE_BYTES_MAX = 16 * 1024 * 1024;
/** Unsent bytes of one connection above which messages to it are dropped. */
const UNSENT_BYTES_MAX = 32 * 1024 * 1024;
/** A connection that says nothing after it was opened is closed. */
const GREETING_TIMEOUT_MS = 5_000;
const RECONNECT_DELAY_MS_MIN = 10;
const RECONNECT_DELAY_MS_MAX = 500;

export interface PeerTransportOptions {
  readonly clusterId: Id64;
  readonly memberId: Id64;
  readonly listenUrls: readonly string[];
  /** For https URLs: server and client side use the same certificate. */
  readonly tls: tls.TlsOptions | undefined;
  readonly onFrame: (from: Id64, kind: number, bytes: Uint8Array, start: number, end: number) => void;
  readonly onConnected: (peer: Id64) => void;
  readonly onDisconnected: (peer: Id64) => void;
  /** A connection that starts with an HTTP request, its first bytes given back to it. */
  readonly onHttp: (socket: net.Socket) => void;
  readonly warn: (message: string, fields: Readonly<Record<string, string>>) => void;
}

export class PeerTransport implements PeerLinks {
  readonly #options: PeerTransportOptions;
  readonly #servers: net.Server[] = [];
  readonly #peers = new Map<string, Peer>();
  /** The same, to walk over. */
  #peerList: readonly Peer[] = [];
  readonly #inbound = new Set<net.Socket>();
  readonly traffic = new PeerTraffic();
  #closed = false;

  constructor(options: PeerTransportOptions) {
    this.#options = options;
  }

  /** Opens the listeners; rejects when one cannot be opened. */
  async listen(): Promise<void> {
    for (const url of this.#options.listenUrls) await this.#listenOn(new URL(url));
  }

  setPeers(peers: readonly PeerAddress[]): void {
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

  #listenOn(url: URL): Promise<void> {
    const accept = (socket: net.Socket): void => this.#accept(socket);
    const server =
      url.protocol === "https:"
        ? tls.createServer(this.#options.tls ?? {}, accept)
        : net.createServer({ noDelay: true }, accept);
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once("error", reject);
      server.listen(Number(url.port), url.hostname.replace(/^\[|\]$/g, ""), () => {
        server.off("error", reject);
        server.on("error", (error: Error) =>
          this.#options.warn("peer listener failed", { error: error.message }),
        );
        resolve();
      });
    });
  }

  #accept(socket: net.Socket): void {
    this.#inbound.add(socket);
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
    socket.on("error", () => socket.destroy());
    socket.on("close", () => {
      clearTimeout(timer);
      this.#inbound.delete(socket);
    });
  }

  #greet(socket: net.Socket, bytes: Buffer): void {
    const { clusterId, memberId, onFrame, onDisconnected, warn } = this.#options;
    try {
      const greeting = parseGreeting(bytes, 0);
      const refusal = refusalOf(greeting, { clusterId, memberId });
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
      const deliver = (kind: number, frame: Uint8Array, start: number, end: number): void =>
        onFrame(from, kind, frame, start, end);
      const received = this.traffic.received(from);
      const receive = (chunk: Uint8Array, start: number): void => {
        received.bytes += chunk.length - start;
        try {
          reader.receive(chunk, start, chunk.length, deliver);
        } catch (error) {
          if (!(error instanceof PeerError)) throw error;
          warn("closed a peer's connection", { peer: id64Hex(from), reason: error.message });
          socket.destroy();
        }
      };
      if (greeting.lane === LANE_CONTROL) socket.on("close", () => onDisconnected(from));
      socket.on("data", (chunk: Buffer) => receive(chunk, 0));
      if (bytes.length > GREETING_SIZE_BYTES) receive(bytes, GREETING_SIZE_BYTES);
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

  constructor(address: PeerAddress, options: PeerTransportOptions, traffic: PeerTraffic) {
    this.id = address.id;
    this.urls = address.urls;
    const sent = traffic.sent(address.id);
    this.#lanes = [
      new Lane(address, LANE_CONTROL, options, sent),
      new Lane(address, LANE_BULK, options, sent),
    ];
  }

  writer(lane: number): ByteWriter | undefined {
    return this.#lanes[lane]!.writer();
  }

  flush(): void {
    for (const lane of this.#lanes) lane.flush();
  }

  close(): void {
    for (const lane of this.#lanes) lane.close();
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
  #output = new ByteWriter(64 * 1024);
  #attempt = 0;
  #retry: NodeJS.Timeout | undefined;
  #closed = false;
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

  flush(): void {
    if (this.#output.position === 0 || this.#socket === undefined) return;
    this.#sent.bytes += this.#output.position;
    // Copied when small; a large buffer is handed over, because the socket reads from it after this turn.
    if (this.#output.position <= 64 * 1024) {
      this.#socket.write(this.#output.copy());
      this.#output.reset();
    } else {
      this.#socket.write(this.#output.written());
      this.#output = new ByteWriter(64 * 1024);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#socket?.destroy();
  }

  #connect(): void {
    if (this.#closed) return;
    const url = new URL(this.#urls[this.#attempt % this.#urls.length]!);
    const target = { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port), noDelay: true };
    const secure = url.protocol === "https:";
    const socket = secure
      ? tls.connect({ ...(this.#options.tls as tls.ConnectionOptions), ...target })
      : net.connect(target);
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.once(secure ? "secureConnect" : "connect", () => this.#sendGreeting(socket));
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
    socket.on("error", () => socket.destroy());
    socket.once("close", () => this.#onClose(socket));
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
      this.#ready = true;
      this.#attempt = 0;
      if (this.#lane === LANE_CONTROL) this.#options.onConnected(this.#peerId);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      const reason =
        answer.length > 9 && answer[8] === FRAME_REFUSAL ? answer.subarray(9).toString() : error.message;
      this.#options.warn("a peer refused the connection", { peer: id64Hex(this.#peerId), reason });
      socket.destroy();
    }
  }

  #onClose(socket: net.Socket): void {
    if (this.#socket !== socket) return;
    const wasReady = this.#ready;
    this.#ready = false;
    this.#socket = undefined;
    this.#output.reset();
    if (wasReady && this.#lane === LANE_CONTROL) this.#options.onDisconnected(this.#peerId);
    if (this.#closed) return;
    const delayMs = Math.min(
      RECONNECT_DELAY_MS_MIN * 2 ** Math.min(this.#attempt++, 10),
      RECONNECT_DELAY_MS_MAX,
    );
    this.#retry = setTimeout(() => this.#connect(), delayMs);
    this.#retry.unref();
  }
}
