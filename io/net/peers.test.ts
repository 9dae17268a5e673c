// The transport between members over real sockets: who is let in, what arrives, and what a break or a flood does.

import assert from "node:assert/strict";
import http from "node:http";
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { after, test } from "node:test";
import tls from "node:tls";
import { fileURLToPath } from "node:url";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import { crc32c } from "../../core/base/crc32c.ts";
import { type Id64, id64, id64Hex } from "../../core/base/ids.ts";
import {
  beginFrame,
  endFrame,
  FRAME_RAFT,
  GREETING_SIZE_BYTES,
  LANE_BULK,
  LANE_CONTROL,
  writeGreeting,
} from "../../core/member/peer-frames.ts";
import type { PeerTls } from "./peer-tls.ts";
import { PeerTransport, UNSENT_BYTES_MAX } from "./peers.ts";

const LIMITED = { timeout: 60_000 };
const CLUSTER = id64(7, 7);
const OTHER_CLUSTER = id64(8, 8);
const A = id64(1, 0xa);
const B = id64(1, 0xb);
const C = id64(1, 0xc);

const file = (name: string): string => fileURLToPath(new URL(`testdata/${name}.pem`, import.meta.url));
const OWN: PeerTls = { certFile: file("server"), keyFile: file("server-key") };
const MUTUAL: PeerTls = { ...OWN, caFile: file("ca"), clientCertAuth: true };

const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

interface Place {
  readonly memberId: Id64;
  readonly transport: PeerTransport;
  /** `from: text` of every frame, in the order of arrival. */
  readonly frames: string[];
  readonly connected: string[];
  readonly disconnected: string[];
  readonly warnings: string[];
  readonly url: string;
}

interface PlaceOptions {
  readonly clusterId?: Id64;
  readonly tls?: PeerTls;
  readonly isTls?: boolean;
  readonly onHttp?: (socket: net.Socket) => void;
}

async function open(memberId: Id64, options: PlaceOptions = {}): Promise<Place> {
  const frames: string[] = [];
  const connected: string[] = [];
  const disconnected: string[] = [];
  const warnings: string[] = [];
  const transport = new PeerTransport({
    clusterId: options.clusterId ?? CLUSTER,
    electionMs: 1000,
    memberId,
    listenUrls: [`${options.isTls === true ? "https" : "http"}://127.0.0.1:0`],
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    onFrame: (from, _kind, bytes, start, end) => {
      const size = end - start;
      frames.push(
        `${id64Hex(from)}: ${Buffer.from(bytes.slice(start, start + Math.min(size, 20))).toString()}`,
      );
    },
    onConnected: (peer) => connected.push(id64Hex(peer)),
    onDisconnected: (peer) => disconnected.push(id64Hex(peer)),
    onHttp: options.onHttp ?? ((socket) => socket.destroy()),
    warn: (message, fields) => warnings.push(`${message}: ${fields["reason"] ?? fields["error"] ?? ""}`),
  });
  closers.push(() => transport.close());
  await transport.listen();
  const url = transport.addresses[0]!;
  return { memberId, transport, frames, connected, disconnected, warnings, url };
}

/** Makes the one dial the other. */
function dial(from: Place, to: Place, url = to.url): void {
  from.transport.setPeers([{ id: to.memberId, urls: [url] }]);
}

/** False when there is no way to it now. */
function send(from: Place, to: Id64, { lane, text }: { lane: number; text: string }): boolean {
  const writer = from.transport.writer(to, lane);
  if (writer === undefined) return false;
  const frame = beginFrame(writer, FRAME_RAFT);
  writer.utf8(text);
  endFrame(writer, frame);
  from.transport.flush();
  return true;
}

async function until(what: string, isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + 20_000;
  while (!isSo()) {
    assert.ok(performance.now() < endMs, what);
    await delay(2);
  }
}

/** A socket that says these bytes, and what came back when it was closed. */
async function exchange(url: string, bytes: Uint8Array): Promise<Buffer> {
  const socket = net.connect(Number(new URL(url).port), "127.0.0.1");
  closers.push(() => socket.destroy());
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.on("error", () => undefined);
  socket.write(bytes);
  await new Promise((resolve) => socket.once("close", resolve));
  return Buffer.concat(chunks);
}

function greeting(from: Id64, to: Id64, change: (bytes: Uint8Array) => void = () => undefined): Uint8Array {
  const writer = new ByteWriter(GREETING_SIZE_BYTES);
  writeGreeting(writer, { lane: LANE_CONTROL, clusterId: CLUSTER, from, to });
  const bytes = writer.copy();
  change(bytes);
  new DataView(bytes.buffer).setUint32(32, crc32c(bytes, 0, 32, 0));
  return bytes;
}

test("frames arrive from whom they are of, on both lanes, each in its order", LIMITED, async () => {
  const [a, b] = [await open(A), await open(B)];
  assert.equal(send(a, B, { lane: LANE_CONTROL, text: "nobody" }), false);
  dial(a, b);
  dial(b, a);
  await until("both connect", () => a.connected.length === 1 && b.connected.length === 1);
  const isOpen = (): boolean => a.transport.writer(B, LANE_BULK) !== undefined;
  await until("the bulk lane, too", isOpen);
  for (let i = 0; i < 100; i++) {
    assert.ok(send(a, B, { lane: LANE_CONTROL, text: `control ${i}` }));
    // Above the size from which a buffer is handed over, and more than one chunk of a socket.
    assert.ok(send(a, B, { lane: LANE_BULK, text: `bulk ${i} `.padEnd(i % 10 === 0 ? 300_000 : 30, ".") }));
  }
  assert.ok(send(b, A, { lane: LANE_CONTROL, text: "back" }));
  await until("all arrive", () => b.frames.length === 200 && a.frames.length === 1);
  const numbers = (lane: string): number[] =>
    b.frames.filter((text) => text.includes(lane)).map((text) => Number(/ (\d+)/.exec(text.slice(4))![1]));
  const counted = Array.from({ length: 100 }, (_, i) => i);
  assert.deepEqual(numbers("control"), counted);
  assert.deepEqual(numbers("bulk"), counted);
  assert.ok(b.frames.every((text) => text.startsWith(`${id64Hex(A)}: `)));
  assert.deepEqual(a.frames, [`${id64Hex(B)}: back`]);
});

test("members speak mutual TLS", LIMITED, async () => {
  const a = await open(A, { tls: MUTUAL, isTls: true });
  const b = await open(B, { tls: MUTUAL, isTls: true });
  dial(a, b);
  await until("it connects", () => a.connected.length === 1);
  assert.ok(send(a, B, { lane: LANE_CONTROL, text: "secret" }));
  await until("it arrives", () => b.frames.length === 1);
  assert.deepEqual([...a.warnings, ...b.warnings], []);
});

const DIALLERS: readonly {
  readonly what: string;
  readonly dialler: PeerTls | undefined;
  readonly listener: PeerTls;
  readonly warns: "dialler" | "listener";
  readonly why: RegExp;
}[] = [
  {
    what: "a listener of another authority",
    dialler: { ...MUTUAL, caFile: file("server-2") },
    listener: MUTUAL,
    warns: "dialler",
    why: /unable to verify|unable to get|self.signed/,
  },
  {
    what: "a listener whom the system's authorities do not know, when there is no CA",
    dialler: OWN,
    listener: OWN,
    warns: "dialler",
    why: /unable to verify|unable to get|self.signed/,
  },
  {
    what: "a dialler without a certificate, where a CA is known",
    dialler: { caFile: file("ca") },
    listener: { ...OWN, caFile: file("ca") },
    warns: "listener",
    why: /peer did not return a certificate/,
  },
  {
    what: "a dialler with a certificate of another authority",
    dialler: { caFile: file("ca"), certFile: file("other-client"), keyFile: file("other-client-key") },
    listener: MUTUAL,
    warns: "listener",
    why: /./,
  },
  {
    what: "a dialler whom the system's authorities do not know, when certificates are asked for without a CA",
    dialler: MUTUAL,
    listener: { ...OWN, clientCertAuth: true },
    warns: "listener",
    why: /./,
  },
];

for (const { what, dialler, listener, warns, why } of DIALLERS) {
  test(`TLS between members refuses ${what}, and says so once`, LIMITED, async () => {
    const a = await open(A, dialler === undefined ? {} : { tls: dialler });
    const b = await open(B, { tls: listener, isTls: true });
    const attempts = { count: 0 };
    const proxy = net.createServer((socket) => {
      attempts.count++;
      const onward = net.connect(Number(new URL(b.url).port), "127.0.0.1");
      for (const one of [socket, onward]) one.on("error", () => undefined);
      socket.pipe(onward).pipe(socket);
      closers.push(() => socket.destroy());
    });
    await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
    closers.push(() => proxy.close());
    dial(a, b, `https://127.0.0.1:${(proxy.address() as net.AddressInfo).port}`);
    const { warnings } = warns === "dialler" ? a : b;
    await until("it is refused", () => warnings.some((text) => why.test(text)));
    await until("it is tried again", () => attempts.count >= 8);
    assert.deepEqual([...a.connected, ...b.frames], []);
    assert.equal(a.transport.writer(B, LANE_CONTROL), undefined);
    // Once a lane.
    assert.ok(a.warnings.length <= 2, a.warnings.join("\n"));
  });
}

test("an https listener needs a certificate, and both its files", LIMITED, async () => {
  await assert.rejects(open(A, { isTls: true }), /cannot listen on TLS for .* are not presented/);
  const half = { certFile: file("server") };
  await assert.rejects(open(A, { isTls: true, tls: half }), /KeyFile and CertFile must both be present/);
});

test("a plain connection to an https listener is not answered", LIMITED, async () => {
  const b = await open(B, { tls: MUTUAL, isTls: true });
  const answer = await exchange(b.url, greeting(A, B));
  assert.ok(!answer.toString("latin1").includes("HFPEER"));
  assert.deepEqual(b.frames, []);
});

test("a member of another cluster is refused on both sides, by name", LIMITED, async () => {
  const a = await open(A);
  const b = await open(B, { clusterId: OTHER_CLUSTER });
  dial(a, b);
  const reason = /cluster ID mismatch: the peer has 700000007, this member 800000008/;
  await until("it is refused", () => a.warnings.length > 0);
  assert.match(a.warnings[0]!, reason);
  assert.match(b.warnings[0]!, reason);
  assert.deepEqual(a.connected, []);
});

test("a member that is not the one that was looked for is refused, by name", LIMITED, async () => {
  const [a, b] = [await open(A), await open(B)];
  a.transport.setPeers([{ id: C, urls: [b.url] }]);
  await until("it is refused", () => a.warnings.length > 0);
  assert.match(a.warnings[0]!, /member ID mismatch: the peer looks for 10000000c, this is 10000000b/);
  assert.deepEqual(a.connected, []);
});

test("somebody who answers in another's name is not taken for it", LIMITED, async () => {
  const a = await open(A);
  const impostor = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.write(greeting(C, A)));
  });
  await new Promise<void>((resolve) => impostor.listen(0, "127.0.0.1", resolve));
  closers.push(() => impostor.close());
  const { port } = impostor.address() as net.AddressInfo;
  a.transport.setPeers([{ id: B, urls: [`http://127.0.0.1:${port}`] }]);
  await until("it is noticed", () => a.warnings.length > 0);
  assert.match(a.warnings[0]!, /another member answered/);
  assert.deepEqual(a.connected, []);
});

test("a greeting of a newer version is refused by name, a damaged one too", LIMITED, async () => {
  const b = await open(B);
  await exchange(
    b.url,
    greeting(A, B, (bytes) => (bytes[6] = 2)),
  );
  assert.match(b.warnings[0]!, /The peer speaks protocol version 2, this member up to 1/);
  const damaged = greeting(A, B);
  damaged[20]! ^= 1;
  await exchange(b.url, damaged);
  assert.match(b.warnings[1]!, /greeting is damaged/);
});

test("garbage, damaged and oversized frames end their connection, and nobody else's", LIMITED, async () => {
  const [a, b] = [await open(A), await open(B)];
  dial(a, b);
  await until("it connects", () => a.connected.length === 1);
  const frame = new ByteWriter(64);
  endFrame(frame, (frame.reset(), beginFrame(frame, FRAME_RAFT)));
  const whole = Buffer.concat([greeting(C, B), frame.copy()]);
  const damaged = Buffer.from(whole);
  damaged[damaged.length - 1]! ^= 1;
  await exchange(b.url, damaged);
  assert.match(b.warnings.at(-1)!, /A frame is damaged/);
  const oversized = Buffer.concat([greeting(C, B), Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 1)]);
  await exchange(b.url, oversized);
  assert.match(b.warnings.at(-1)!, /A frame of 4294967295 bytes is above the limit/);
  // What does not begin like a greeting is taken for HTTP.
  assert.equal((await exchange(b.url, Buffer.from("\0\0garbage"))).length, 0);
  assert.ok(send(a, B, { lane: LANE_CONTROL, text: "still here" }));
  await until("the other connection lives", () => b.frames.some((text) => text.endsWith("still here")));
  assert.deepEqual(a.disconnected, []);
});

test("a connection that breaks is noticed on both sides and opened again", LIMITED, async () => {
  const [a, b] = [await open(A), await open(B)];
  const sockets: net.Socket[] = [];
  const proxy = net.createServer((socket) => {
    const onward = net.connect(Number(new URL(b.url).port), "127.0.0.1");
    for (const one of [socket, onward]) {
      sockets.push(one);
      one.on("error", () => undefined);
      one.on("close", () => (socket.destroy(), onward.destroy()));
    }
    socket.pipe(onward).pipe(socket);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  closers.push(() => proxy.close());
  dial(a, b, `http://127.0.0.1:${(proxy.address() as net.AddressInfo).port}`);
  await until("it connects", () => a.connected.length === 1);
  for (const socket of sockets.splice(0)) socket.destroy();
  await until("both notice", () => a.disconnected.length === 1 && b.disconnected.length === 1);
  await until("it connects again", () => a.connected.length === 2);
  assert.ok(send(a, B, { lane: LANE_CONTROL, text: "again" }));
  await until("it arrives", () => b.frames.length === 1);
  // A member that is not a peer any more is left alone.
  a.transport.setPeers([]);
  await until("both notice", () => b.disconnected.length === 2);
  for (const socket of sockets) socket.destroy();
  assert.equal(a.transport.knows(B), false);
});

test("what a peer does not take is bounded, and goes on when it does", LIMITED, async () => {
  const a = await open(A);
  let taken = 0;
  const held: net.Socket[] = [];
  const slow = net.createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (chunk: Buffer) => {
      // The lane as it was said; from now on nothing is read.
      const lane = chunk[7]!;
      socket.pause();
      socket.write(greeting(B, A, (bytes) => (bytes[7] = lane)));
      if (lane === LANE_BULK) held.push(socket);
    });
    closers.push(() => socket.destroy());
  });
  await new Promise<void>((resolve) => slow.listen(0, "127.0.0.1", resolve));
  closers.push(() => slow.close());
  a.transport.setPeers([{ id: B, urls: [`http://127.0.0.1:${(slow.address() as net.AddressInfo).port}`] }]);
  await until("both lanes open", () => [0, 1].every((lane) => a.transport.writer(B, lane) !== undefined));
  const text = "x".repeat(1024 * 1024);
  let sent = 0;
  const countMax = (4 * UNSENT_BYTES_MAX) / text.length;
  while (sent < countMax && send(a, B, { lane: LANE_BULK, text })) {
    sent++;
    // The kernel takes its part first.
    await delay(0);
  }
  assert.ok(sent < countMax, "it is never refused");
  assert.ok(sent * text.length > UNSENT_BYTES_MAX);
  assert.ok(send(a, B, { lane: LANE_CONTROL, text: "the other lane is free" }));
  held[0]!.on("data", (chunk: Buffer) => (taken += chunk.length)).resume();
  await until("everything arrives", () => taken >= sent * text.length);
  assert.ok(send(a, B, { lane: LANE_BULK, text }));
});

test("an HTTP request to the peer port is handed on whole, over TLS as well", LIMITED, async () => {
  for (const isTls of [false, true]) {
    const server = http.createServer((request, response) => response.end(`${request.method} ${request.url}`));
    const onHttp = (socket: net.Socket): void => void server.emit("connection", socket);
    const b = await open(B, { onHttp, isTls, ...(isTls ? { tls: OWN } : {}) });
    const { port } = new URL(b.url);
    const socket = isTls
      ? tls.connect({ port: Number(port), host: "127.0.0.1", rejectUnauthorized: false })
      : net.connect(Number(port), "127.0.0.1");
    const chunks: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    // In pieces, the first too short to tell what it is.
    socket.write("H");
    await delay(5);
    socket.write("EAD /members HTTP/1.1\r\nhost: b\r\n");
    socket.write("connection: close\r\n\r\n");
    await new Promise((resolve) => socket.once("close", resolve));
    assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1.1 200 OK/);
  }
});
