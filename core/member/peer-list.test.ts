import assert from "node:assert/strict";
import { test } from "node:test";
import { id64 } from "../base/ids.ts";
import type { PeerAddress } from "../base/ports.ts";
import type { Member } from "./member.ts";
import { type MemberInfo, Membership } from "./membership.ts";
import { PeerList } from "./peer-list.ts";

const self = info(1);

function info(number: number): MemberInfo {
  const peerUrls = [`http://m${number}:2380`];
  return { id: id64(0, number), name: "", peerUrls, clientUrls: [], isLearner: false };
}

/** Member 1, whose log names nobody yet, and whom it connects. */
function scene(initialMembers: readonly MemberInfo[]): {
  readonly list: PeerList;
  readonly membership: Membership;
  readonly connected: () => string;
} {
  let peers: readonly PeerAddress[] = [];
  const membership = new Membership();
  const options = {
    memberId: self.id,
    initialMembers,
    waker: { wake: () => undefined },
    peers: { setPeers: (wanted: readonly PeerAddress[]) => void (peers = wanted) },
  };
  const list = new PeerList({ options, membership } as unknown as Member);
  return {
    list,
    membership,
    connected: () => peers.map(({ id, urls }) => `${id.lo} ${urls.join()}`).join(", "),
  };
}

test("a member that joins knows whom it was told of until the log names or removes them", () => {
  const { list, membership, connected } = scene([self, info(2), info(3)]);
  assert.equal(connected(), "2 http://m2:2380, 3 http://m3:2380");
  // The first entries are old: they name a member that is gone since, and not yet those that are there.
  membership.put(info(9));
  list.changed();
  list.turn();
  assert.equal(connected(), "9 http://m9:2380, 2 http://m2:2380, 3 http://m3:2380");
  membership.put({ ...info(2), peerUrls: ["http://elsewhere:2380"] });
  membership.remove(id64(0, 3));
  membership.remove(id64(0, 9));
  list.changed();
  list.turn();
  assert.equal(connected(), "2 http://elsewhere:2380");
});

test("a stranger that says where it is is connected, unless the log knows better or it talks nonsense", () => {
  const { list, membership, connected } = scene([]);
  membership.put(info(2));
  membership.remove(id64(0, 3));
  list.introduced(id64(0, 2), ["http://liar:2380"]);
  list.introduced(id64(0, 3), ["http://m3:2380"]);
  list.introduced(id64(0, 4), ["http://m4:2380"]);
  list.introduced(id64(0, 5), ["not a URL"]);
  list.introduced(id64(0, 6), []);
  list.introduced(self.id, ["http://m1:2380"]);
  assert.equal(connected(), "", "not before the turn");
  list.turn();
  assert.equal(connected(), "2 http://m2:2380, 4 http://m4:2380");
});

test("no more strangers are connected than a cluster has members", () => {
  const { list, connected } = scene([]);
  for (let number = 2; number < 1_000; number++) list.introduced(id64(0, number), info(number).peerUrls);
  list.turn();
  assert.equal(connected().split(", ").length, 32);
});
