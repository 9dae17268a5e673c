// A connection to a peer on which nothing arrives any more is made anew. The peer is a listener that answers as much as
// the test wants; the election timeout, which measures patience, is short.

import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, test } from "node:test";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { type Id64, id64 } from "../../core/base/ids.ts";
import {
  beginFrame,
  endFrame,
  FRAME_RAFT,
  GREETING_SIZE_BYTES,
  LANE_BULK,
  LANE_CONTROL,
  parseGreeting,
  writeGreeting,
} from "../../core/member/peer-frames.ts";
import { PeerTransport } from "./peers.ts";

const [CLUSTER, SELF, OTHER] = [id64(1, 1), id64(2, 2), id64(3, 3)];
const ELECTION_MS = 40;
const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

/** The other member's listener. */
class Listener {
  readonly #server = net.createServer((socket) => this.#accept(socket));
  readonly #answers: boolean;
  readonly #open = new Set<net.Socket>();
  /** Connections for control so far. */
  dialed = 0;

  constructor(options: { readonly answers: boolean }) {
    this.#answers = options.answers;
    closers.push(() => {
      this.#server.close();
      for (const socket of this.#open) socket.destroy();
    });
  }

  async url(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as net.AddressInfo).port}`;
  }

  #accept(socket: net.Socket): void {
    this.#open.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("data", (bytes: Buffer) => {
      const greeting = parseGreeting(bytes, 0);
      if (greeting.lane === LANE_CONTROL) this.dialed++;
      if (!this.#answers) return;
      const answer = new ByteWriter(GREETING_SIZE_BYTES);
      writeGreeting(answer, { ...greeting, from: OTHER, to: SELF });
      socket.write(answer.copy());
    });
  }
}

interface Started {
  readonly transport: PeerTransport;
  readonly connections: { count: number };
  readonly url: string;
}

async function startTransport(
  peerUrl: string,
  own?: { id: Id64; url: string; peer: Id64 },
): Promise<Started> {
  const url = own?.url ?? `http://127.0.0.1:${await freePort()}`;
  const connections = { count: 0 };
  const transport = new PeerTransport({
    clusterId: CLUSTER,
    memberId: own?.id ?? SELF,
    listenUrls: [url],
    electionMs: ELECTION_MS,
    onFrame: () => undefined,
    onConnected: () => connections.count++,
    onDisconnected: () => undefined,
    onHttp: (socket) => socket.destroy(),
    warn: () => undefined,
  });
  closers.push(() => transport.close());
  await transport.listen();
  transport.setPeers([{ id: own?.peer ?? OTHER, urls: [peerUrl] }]);
  return { transport, connections, url };
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function writeFrame(writer: ByteWriter): void {
  const frame = beginFrame(writer, FRAME_RAFT);
  writer.byte(0);
  endFrame(writer, frame);
}

function send(transport: PeerTransport, to: Id64 = OTHER): void {
  const writer = transport.writer(to, LANE_CONTROL);
  if (writer !== undefined) writeFrame(writer);
  transport.flush();
}

/** Looks again and again; the runner's limit ends it when it never comes. */
async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("a peer that does not answer the greeting is dialed again", { timeout: 20_000 }, async () => {
  const listener = new Listener({ answers: false });
  await startTransport(await listener.url());
  await until(() => listener.dialed >= 3);
});

test(
  "a peer that is silent after something was sent to it is dialed again",
  { timeout: 20_000 },
  async () => {
    const listener = new Listener({ answers: true });
    const { transport, connections } = await startTransport(await listener.url());
    await until(() => connections.count === 1);
    send(transport);
    await until(() => connections.count === 2);
    assert.equal(listener.dialed, 2);
  },
);

test("a peer to which nothing was sent, or that answers, is left alone", { timeout: 20_000 }, async () => {
  const listener = new Listener({ answers: true });
  const { transport, connections, url } = await startTransport(await listener.url());
  await until(() => connections.count === 1);
  const peer = net.connect(Number(new URL(url).port), "127.0.0.1");
  closers.push(() => peer.destroy());
  const greeting = new ByteWriter(GREETING_SIZE_BYTES);
  writeGreeting(greeting, { lane: LANE_BULK, clusterId: CLUSTER, from: OTHER, to: SELF });
  peer.write(greeting.copy());
  await once(peer, "data");
  // Far longer than the patience, in looks of the same event loop.
  for (let i = 0; i < 60; i++) {
    if (i % 2 === 0) {
      send(transport);
      const answer = new ByteWriter(16);
      writeFrame(answer);
      peer.write(answer.copy());
    }
    await new Promise((resolve) => setTimeout(resolve, ELECTION_MS / 4));
  }
  await new Promise((resolve) => setTimeout(resolve, ELECTION_MS * 6));
  assert.equal(connections.count, 1);
  assert.equal(listener.dialed, 1);
});

test(
  "members that have said all they have to say stay connected, in silence",
  { timeout: 20_000 },
  async () => {
    const [ownUrl, otherUrl] = [
      `http://127.0.0.1:${await freePort()}`,
      `http://127.0.0.1:${await freePort()}`,
    ];
    const own = await startTransport(otherUrl, { id: SELF, url: ownUrl, peer: OTHER });
    const other = await startTransport(ownUrl, { id: OTHER, url: otherUrl, peer: SELF });
    await until(() => own.connections.count > 0 && other.connections.count > 0);
    // Followers tell each other who they are when they connect, and nothing after that.
    send(own.transport);
    await until(() => other.transport.traffic.received(SELF).bytes > 0);
    send(other.transport, SELF);
    const sentBytes = (): number =>
      own.transport.traffic.sent(OTHER).bytes + other.transport.traffic.sent(SELF).bytes;
    await new Promise((resolve) => setTimeout(resolve, ELECTION_MS * 10));
    const settledBytes = sentBytes();
    await new Promise((resolve) => setTimeout(resolve, ELECTION_MS * 10));
    assert.deepEqual([own.connections.count, other.connections.count], [1, 1]);
    assert.equal(sentBytes(), settledBytes);
  },
);
