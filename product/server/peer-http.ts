// What the peer port answers over HTTP: who is in the cluster and which version this is. Joining members and operators'
// probes ask for it; everything else on that port is the peers' own protocol.

import http from "node:http";
import { id64Hex, id64ToBigInt } from "../../core/base/ids.ts";
import type { Member } from "../../core/member/member.ts";
import { membersWithPublished } from "../../core/member/published.ts";

export interface Versions {
  readonly server: string;
  readonly cluster: string;
  readonly storage: string;
}

/** A server without a port: connections are handed to it. */
export function makePeerHttp(member: () => Member, versions: () => Versions): http.Server {
  return http.createServer((request, response) => {
    const headers = {
      "content-type": "application/json",
      "x-etcd-cluster-id": id64Hex(member().options.clusterId),
      connection: "close",
    };
    if (request.method === "GET" && request.url === "/version") {
      const { server, cluster, storage } = versions();
      response
        .writeHead(200, headers)
        .end(JSON.stringify({ etcdserver: server, etcdcluster: cluster, storage }));
    } else if (request.method === "GET" && request.url === "/members") {
      response.writeHead(200, headers).end(membersJson(member()));
    } else {
      response.writeHead(404, { connection: "close" }).end("404 page not found\n");
    }
  });
}

// Ids are written as exact numbers, which JSON.stringify cannot do.
function membersJson(member: Member): string {
  const items = membersWithPublished(member).map((info) => {
    const fields = [
      `"id":${id64ToBigInt(info.id)}`,
      `"peerURLs":${JSON.stringify(info.peerUrls)}`,
      `"name":${JSON.stringify(info.name)}`,
      `"clientURLs":${JSON.stringify(info.clientUrls)}`,
    ];
    if (info.isLearner) fields.push(`"isLearner":true`);
    return `{${fields.join(",")}}`;
  });
  return `[${items.join(",")}]\n`;
}
