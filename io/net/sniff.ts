// Which protocol a cleartext connection speaks, by its first bytes: HTTP/2's preface begins with "PRI ", which no
// method of HTTP/1.1 does.

import type net from "node:net";

const PREFACE_START = [0x50, 0x52, 0x49, 0x20];

export type Protocol = "http2" | "http1";

/** Calls back once, with the socket paused and the bytes read so far; gives the connection up after `timeoutMs`. */
export function sniffProtocol(
  socket: net.Socket,
  timeoutMs: number,
  onProtocol: (protocol: Protocol, first: Uint8Array) => void,
): void {
  let first = new Uint8Array(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  const onClose = (): void => clearTimeout(timer);
  const onData = (chunk: Uint8Array): void => {
    const joined = new Uint8Array(first.length + chunk.length);
    joined.set(first);
    joined.set(chunk, first.length);
    first = joined;
    const known = PREFACE_START.findIndex((byte, i) => first[i] !== byte);
    if (known >= 0 && known >= first.length) return; // too short to tell
    clearTimeout(timer);
    socket.off("close", onClose);
    socket.off("data", onData);
    socket.pause();
    onProtocol(known < 0 ? "http2" : "http1", first);
  };
  socket.on("close", onClose);
  socket.on("data", onData);
}
