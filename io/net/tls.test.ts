// TLS between our client and our server, and what an https port makes of everything else. The certificates in testdata/
// are valid for a hundred years; their authorities' keys were thrown away.

import assert from "node:assert/strict";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import tls from "node:tls";
import { fileURLToPath } from "node:url";

import { DEFAULT_LIMITS } from "../../core/base/limits.ts";
import type { ServerCall } from "../../core/grpc/server-call.ts";
import { DEFAULT_TRANSPORT_LIMITS } from "../../core/http2/limits.ts";
import { METHOD } from "../../core/wire/service.ts";
import { systemClock } from "../clock.ts";
import { NetClient } from "./client.ts";
import { EchoHandler } from "./echo-handler.ts";
import { type NetServer, serve } from "./server.ts";
import type { ClientTls, ServerTls } from "./tls.ts";

const file = (name: string): string => fileURLToPath(new URL(`testdata/${name}.pem`, import.meta.url));
const SERVER: ServerTls = { certFile: file("server"), keyFile: file("server-key") };
const CA: ClientTls = { caFile: file("ca") };
const closers: (() => void)[] = [];
after(() => {
  for (const close of closers) close();
});

/** Answers with the common name of the client's certificate. */
class NamingHandler extends EchoHandler {
  override onUnary(call: ServerCall): void {
    call.beginMessage().utf8(call.peerCommonName);
    call.endMessage();
    call.finish();
  }
}

async function start(serverTls: ServerTls, url = "https://127.0.0.1:0"): Promise<NetServer> {
  const server = await serve({
    urls: [url],
    tls: serverTls,
    handler: new NamingHandler(),
    onHttp: (_, respond) => respond(200, {}, "over TLS"),
    limits: DEFAULT_LIMITS,
    transportLimits: { ...DEFAULT_TRANSPORT_LIMITS, handshakeMs: 300 },
    clock: systemClock,
  });
  closers.push(() => server.close());
  return server;
}

/** What a call over a new connection answers: the common name, or the code and text it failed with. */
function ask(server: NetServer, clientTls: ClientTls, endpoint?: string): Promise<string> {
  const client = new NetClient({ endpoint: endpoint ?? server.addresses[0]!, tls: clientTls });
  closers.push(() => client.close());
  return new Promise((resolve) => {
    let name = "";
    const call = client.call(METHOD.range, {
      onMessage: (_call, bytes, from, to) => (name = `name ${Buffer.from(bytes.slice(from, to)).toString()}`),
      onEnd: (_call, code, text) => resolve(code === 0 ? name : `${code} ${text}`),
    });
    call.send(new Uint8Array(0), 0, 0);
    call.halfClose();
  });
}

test("a client that knows the CA is served; one that does not is not", async () => {
  const server = await start(SERVER);
  assert.equal(await ask(server, CA), "name ");
  assert.match(await ask(server, {}), /^14 .*certificate/);
  assert.equal(await ask(server, { insecureSkipVerify: true }), "name ");
  assert.match(await ask(server, { ...CA, serverName: "elsewhere" }), /^14 .*altnames/);
});

test("a required client certificate must come from the CA, and its common name is known", async () => {
  const server = await start({ ...SERVER, trustedCaFile: file("ca"), clientCertAuth: true });
  assert.match(await ask(server, CA), /^14 /);
  const stranger = { ...CA, certFile: file("other-client"), keyFile: file("other-client-key") };
  assert.match(await ask(server, stranger), /^14 /);
  const alice = { ...CA, certFile: file("client"), keyFile: file("client-key") };
  assert.equal(await ask(server, alice), "name alice");
});

test("a client certificate that is not required is verified when given", async () => {
  const server = await start({ ...SERVER, trustedCaFile: file("ca") });
  assert.equal(await ask(server, CA), "name ");
  const stranger = { ...CA, certFile: file("other-client"), keyFile: file("other-client-key") };
  assert.match(await ask(server, stranger), /^14 /);
});

test("a rotated certificate is used by the next handshake, and half-written files change nothing", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "holdfast-tls-"));
  closers.push(() => rmSync(directory, { recursive: true }));
  const certFile = path.join(directory, "cert.pem");
  const keyFile = path.join(directory, "key.pem");
  copyFileSync(file("server"), certFile);
  copyFileSync(file("server-key"), keyFile);
  const server = await start({ certFile, keyFile });
  assert.equal(await serverName(server), "server");
  copyFileSync(file("server-2"), certFile);
  assert.equal(await serverName(server), "server"); // the key does not fit yet
  copyFileSync(file("server-2-key"), keyFile);
  assert.equal(await serverName(server), "server-2");
});

function serverName(server: NetServer): Promise<string> {
  const { port } = new URL(server.addresses[0]!);
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host: "127.0.0.1", port: Number(port), rejectUnauthorized: false }, () => {
      const name = socket.getPeerCertificate().subject.CN;
      socket.destroy();
      resolve(String(name));
    });
    socket.on("error", reject);
  });
}

test("HTTP/1.1 over TLS reaches onHttp by ALPN", async () => {
  const server = await start(SERVER);
  const body = await new Promise<string>((resolve, reject) => {
    https
      .get(`${server.addresses[0]}/health`, { rejectUnauthorized: false, agent: false }, (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => (text += chunk.toString()));
        response.on("end", () => resolve(text));
      })
      .on("error", reject);
  });
  assert.equal(body, "over TLS");
});

test("an https port never answers cleartext, nor an http port TLS", async () => {
  const secure = await start(SERVER);
  const insecure = await start(SERVER, "http://127.0.0.1:0");
  const port = (server: NetServer): number => Number(new URL(server.addresses[0]!).port);
  for (const first of [
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
    "GET /health HTTP/1.1\r\nhost: a\r\n\r\n",
  ]) {
    const answer = await exchange(port(secure), first);
    assert.ok(!answer.includes("HTTP/1.1 200") && !answer.includes("\0\0\0\x04"), JSON.stringify(answer));
  }
  assert.match(await ask(insecure, CA, `https://127.0.0.1:${port(insecure)}`), /^14 /);
});

test("GHSA-6vch-q96h-7gc3: a TLS handshake that does not go on is cut off", async () => {
  const server = await start(SERVER);
  assert.equal(await exchange(Number(new URL(server.addresses[0]!).port), "\x16\x03\x01"), "");
  assert.equal(server.connectionCount, 0);
});

/** Sends bytes and returns all that comes back until the server closes. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = net.connect(port, "127.0.0.1", () => socket.write(text, "latin1"));
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString("latin1")));
    socket.on("error", () => undefined);
    socket.on("close", () => setImmediate(() => resolve(answer)));
  });
}
