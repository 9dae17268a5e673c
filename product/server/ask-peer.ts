// What a member's peer port says over HTTP, asked by a member that knows no more than a URL.

import http from "node:http";
import https from "node:https";
import { type Id64, id64FromBigInt, parseId64Hex } from "../../core/base/ids.ts";
import type { MemberInfo } from "../../core/member/membership.ts";
import { type PeerTls, peerClientTls } from "../../io/net/peer-tls.ts";

/** Far more than the list of any cluster. */
const ANSWER_SIZE_BYTES_MAX = 1024 * 1024;

export interface Listed {
  readonly clusterId: Id64;
  readonly members: readonly MemberInfo[];
}

export interface AskOptions {
  /** For https URLs. */
  readonly tls: PeerTls;
  readonly timeoutMs: number;
}

/** What the member at this peer URL says who is in the cluster. */
export async function fetchMembers(url: string, options: AskOptions): Promise<Listed> {
  const { status, clusterId, text } = await get(`${url}/members`, options);
  const id = parseId64Hex(clusterId);
  if (status !== 200 || id === undefined) throw new Error(`answered ${status}`);
  return { clusterId: id, members: parseMembers(text) };
}

interface Answer {
  readonly status: number;
  readonly clusterId: string;
  readonly text: string;
}

function get(url: string, { tls, timeoutMs }: AskOptions): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const { protocol, hostname } = new URL(url);
    const signal = AbortSignal.timeout(timeoutMs);
    const onResponse = (response: http.IncomingMessage): void => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        text += chunk;
        if (text.length > ANSWER_SIZE_BYTES_MAX) response.destroy(new Error("the answer does not end"));
      });
      response.on("error", reject);
      response.on("end", () => {
        const clusterId = response.headers["x-etcd-cluster-id"];
        resolve({ status: response.statusCode ?? 0, clusterId: String(clusterId ?? ""), text });
      });
    };
    // No agent: nothing is asked so often that a connection would be kept.
    const request =
      protocol === "https:"
        ? https.get(
            url,
            { agent: false, signal, ...peerClientTls(tls, hostname.replace(/^\[|\]$/g, "")) },
            onResponse,
          )
        : http.get(url, { agent: false, signal }, onResponse);
    request.on("error", (error) => {
      reject(signal.aborted ? new Error(`no answer within ${timeoutMs} ms`) : error);
    });
  });
}

/** JSON numbers lose the low bits of an id, so ids are cut out of the text. */
export function parseMembers(text: string): MemberInfo[] {
  const exact = text.replace(/"id":\s*(\d+)/g, '"id":"$1"');
  const list = JSON.parse(exact) as {
    id: string;
    name?: string;
    peerURLs: string[];
    clientURLs?: string[];
    isLearner?: boolean;
  }[];
  return list.map((member) => ({
    id: id64FromBigInt(BigInt(member.id)),
    name: member.name ?? "",
    peerUrls: member.peerURLs,
    clientUrls: member.clientURLs ?? [],
    isLearner: member.isLearner ?? false,
  }));
}
