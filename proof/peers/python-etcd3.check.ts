/** python3-etcd3, a client on another gRPC implementation (grpc's C core). */
import { fileURLToPath } from "node:url";
import { passOn, runPeer, withTarget } from "./conversation.ts";
import { requirePeer } from "./peers.ts";

const python = requirePeer("python3-etcd3");
const script = fileURLToPath(new URL("python-etcd3-check.py", import.meta.url));

await withTarget(async ({ endpoint }) => {
  const [host = "", port = ""] = endpoint.split(":");
  passOn("python3-etcd3", await runPeer(python, [script, host, port]));
});
