import assert from "node:assert/strict";
import { once } from "node:events";
import * as http from "node:http";
import { test } from "node:test";
import { Client } from "../client/index.ts";
import { startCluster } from "./index.ts";

async function page(endpoint: string): Promise<string> {
  const [response] = (await once(http.get(`http://${endpoint}/metrics`, { agent: false }), "response")) as [
    http.IncomingMessage,
  ];
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += String(chunk);
  return text;
}

test("a member's page tells of its calls, its peers and its process", async () => {
  const cluster = await startCluster({ members: 3, flags: ["--metrics=extensive"] });
  const client = Client.connect({ endpoints: [cluster.endpoints[0]!] });
  await client.kv.put("k", "v".repeat(100));
  const text = await page(cluster.endpoints[0]!);
  for (const line of [
    /^grpc_server_handled_total\{.*"Put",grpc_code="OK"\} 1$/m,
    /^grpc_server_handling_seconds_count\{.*"Put"\} 1$/m,
    /^etcd_network_client_grpc_received_bytes_total [1-9]\d\d/m,
    /^etcd_network_peer_sent_bytes_total\{To="[0-9a-f]+"\} [1-9]/m,
    /^etcd_network_peer_received_bytes_total\{From="[0-9a-f]+"\} [1-9]/m,
    /^process_resident_memory_bytes [1-9]/m,
    /^process_cpu_seconds_total 0?[1-9.]/m,
    /^nodejs_gc_duration_seconds_count\{kind="minor"\} \d/m,
    /^nodejs_eventloop_lag_max_seconds \d/m,
    /^holdfast_checkpoint_running 0$/m,
    /^holdfast_server_refused_total 0$/m,
    /^holdfast_turn_duration_seconds_count [1-9]/m,
  ])
    assert.match(text, line);
  client.close();
  await cluster.stop();
});
