import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { test } from "node:test";
import { id64, id64Equal } from "../../core/base/ids.ts";
import { PeerTransport, type PeerTransportOptions } from "./peers.ts";

const CLUSTER_ID = id64(7, 7);
const STAYING = id64(0, 1);
const REMOVED = id64(0, 2);

async function freeUrl(): Promise<string> {
  const probe = net.createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  return `http://127.0.0.1:${port}`;
}

function transport(
  what: Pick<PeerTransportOptions, "memberId" | "listenUrls"> & Partial<PeerTransportOptions>,
) {
  return new PeerTransport({
    clusterId: CLUSTER_ID,
    electionMs: 1000,
    onFrame: () => undefined,
    onConnected: () => undefined,
    onDisconnected: () => undefined,
    onHttp: (socket) => socket.destroy(),
    warn: () => undefined,
    ...what,
  });
}

test("a member that is removed while it is connected is closed, and told why when it connects again", async () => {
  const url = await freeUrl();
  const staying = transport({ memberId: STAYING, listenUrls: [url] });
  await staying.listen();
  const events: string[] = [];
  let wake = (): void => undefined;
  const heard = async (event: string): Promise<void> => {
    while (!events.includes(event)) await new Promise<void>((resolve) => (wake = resolve));
  };
  const note = (event: string) => () => {
    events.push(event);
    wake();
  };
  const removed = transport({
    memberId: REMOVED,
    listenUrls: [],
    onConnected: note("connected"),
    onDisconnected: note("disconnected"),
    onRemoved: note("removed"),
  });
  try {
    removed.setPeers([{ id: STAYING, urls: [url] }], () => false);
    await heard("connected");
    staying.setPeers([], (id) => id64Equal(id, REMOVED));
    await heard("disconnected");
    await heard("removed");
    assert.equal(events.filter((event) => event === "connected").length, 1, "it does not get in again");
  } finally {
    removed.close();
    staying.close();
  }
});
