// What a client connects to, from the many ways in which endpoints are written.

import type net from "node:net";

export interface Endpoint {
  /** As it was given. */
  readonly text: string;
  readonly isTls: boolean;
  readonly host: string;
  /** For the `:authority` field. */
  readonly authority: string;
  readonly target: net.NetConnectOpts;
}

const PORT_DEFAULT = 2379;

/** Throws when the text is no endpoint. Without a scheme, `isTlsDefault` decides. */
export function parseEndpoint(text: string, isTlsDefault: boolean): Endpoint {
  const unix = /^(unixs?):(?:\/\/)?(.+)$/.exec(text);
  if (unix !== null) {
    const path = unix[2]!;
    return { text, isTls: unix[1] === "unixs", host: "localhost", authority: "localhost", target: { path } };
  }
  const hasScheme = /^[a-z]+:\/\//.test(text);
  const url = parseUrl(hasScheme ? text : `${isTlsDefault ? "https" : "http"}://${text}`, text);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new Error(`Not an endpoint: ${text}`);
  const isTls = url.protocol === "https:";
  const host = url.hostname.replace(/^\[|\]$/g, "");
  // URL drops a port that is the scheme's default.
  const port = url.port !== "" ? Number(url.port) : /:\d+\/?$/.test(text) ? (isTls ? 443 : 80) : PORT_DEFAULT;
  return { text, isTls, host, authority: `${url.hostname}:${port}`, target: { host, port } };
}

function parseUrl(url: string, text: string): URL {
  try {
    return new URL(url);
  } catch (cause) {
    throw new Error(`Not an endpoint: ${text}`, { cause });
  }
}
