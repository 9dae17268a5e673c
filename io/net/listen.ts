// From a listen URL to a bound server.

import { lookup } from "node:dns/promises";
import { rmSync, statSync } from "node:fs";
import net from "node:net";

export interface Listener {
  readonly server: net.Server;
  /** What it is bound to, as a URL. */
  readonly address: string;
}

/** A URL that cannot be listened on; the text is for the operator. */
export class ListenError extends Error {
  override readonly name = "ListenError";
  readonly code = "ELISTEN";
}

/** Binds what the URL names. `create` makes the server; it learns whether TLS is spoken. */
export async function listenOn(url: string, create: (isTls: boolean) => net.Server): Promise<Listener> {
  const { scheme, isTls, target } = parseListenUrl(url);
  const bound = await resolved(url, target);
  if (target.path !== undefined) removeStaleSocket(target.path);
  const server = create(isTls);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(new ListenError(`Cannot listen on ${url}: ${cause.message}`, { cause })),
    );
    server.listen(bound, () => resolve());
  });
  server.removeAllListeners("error");
  server.on("error", () => undefined); // accepting failed (EMFILE); the next attempt may succeed
  return { server, address: `${scheme}://${describe(server, target)}` };
}

// What a process that was killed has left; etcd takes its place, too.
function removeStaleSocket(path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() === true) rmSync(path);
}

/** A name as its IPv4 address where it has one, as Go does: clients of `localhost` mostly mean 127.0.0.1. */
async function resolved(url: string, target: net.ListenOptions): Promise<net.ListenOptions> {
  const { host } = target;
  if (host === undefined || net.isIP(host) !== 0) return target;
  try {
    return { ...target, host: (await lookup(host, { verbatim: false })).address };
  } catch (cause) {
    throw new ListenError(`Cannot listen on ${url}: ${(cause as Error).message}`, { cause });
  }
}

interface ListenUrl {
  readonly scheme: string;
  readonly isTls: boolean;
  readonly target: net.ListenOptions;
}

function parseListenUrl(url: string): ListenUrl {
  const match = /^(https?|unixs?):\/\/(.+)$/.exec(url);
  if (match === null)
    throw new ListenError(`Cannot listen on ${url}: the URL needs http, https, unix or unixs`);
  const [, scheme, rest] = match as unknown as [string, string, string];
  const isTls = scheme === "https" || scheme === "unixs";
  if (scheme.startsWith("unix")) return { scheme, isTls, target: { path: rest } };
  const { hostname, port } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, "");
  return { scheme, isTls, target: { host, port: Number(port || "0"), backlog: 4096 } };
}

function describe(server: net.Server, target: net.ListenOptions): string {
  const address = server.address();
  if (address === null || typeof address === "string") return target.path ?? "";
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `${host}:${address.port}`;
}
