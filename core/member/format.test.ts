import assert from "node:assert/strict";
import { test } from "node:test";
import { type Id64, id64, id64Hex } from "../base/ids.ts";
import { REQUEST_KIND } from "../wire/raft-request.ts";
import { allowsKind, FORMAT_VERSION, Formats, formatVersionOf, PRIVATE_KIND } from "./format.ts";
import type { Member } from "./member.ts";

const ids = [id64(0, 1), id64(0, 2), id64(0, 3)];

interface Scene {
  readonly formats: Formats;
  readonly connected: Set<string>;
  readonly proposed: { kind: number; version: number }[];
}

/** A leader of three members, in a cluster of format 1. */
function leader(own?: number): Scene {
  const connected = new Set<string>();
  const proposed: Scene["proposed"] = [];
  const member = {
    isLeader: true,
    formatVersion: 1,
    options: { memberId: ids[0], formatVersion: own, waker: { wake: () => undefined } },
    membership: { list: () => ids.map((id) => ({ id })) },
    connectedForMs: (id: Id64) => (connected.has(id64Hex(id)) ? 1 : 0),
    proposals: {
      proposeAsLeader: (kind: number, bytes: Uint8Array, start: number, end: number) => {
        proposed.push({ kind, version: formatVersionOf(bytes, start, end) });
        return true;
      },
    },
  };
  return { formats: new Formats(member as unknown as Member), connected, proposed };
}

function announce(scene: Scene, id: Id64, version: number): void {
  scene.connected.add(id64Hex(id));
  scene.formats.announced(id, version);
}

test("every private kind has a format that allows it, and format 1 allows none", () => {
  for (const kind of Object.values(PRIVATE_KIND)) {
    assert.ok(!allowsKind(1, kind));
    assert.ok(allowsKind(FORMAT_VERSION, kind));
  }
  assert.ok(allowsKind(1, REQUEST_KIND.put));
  assert.ok(!allowsKind(FORMAT_VERSION, REQUEST_KIND.privateFirst + 999), "an unlisted kind waits for ever");
});

test("the format is raised once every member has said that it knows the new one", () => {
  const scene = leader();
  scene.formats.turn(0);
  announce(scene, ids[1]!, FORMAT_VERSION);
  scene.formats.turn(10);
  assert.deepEqual(scene.proposed, []);
  announce(scene, ids[2]!, FORMAT_VERSION);
  scene.formats.turn(20);
  assert.deepEqual(scene.proposed, [{ kind: PRIVATE_KIND.formatVersionSet, version: FORMAT_VERSION }]);
  // Not again while it is on its way.
  scene.formats.turn(30);
  assert.equal(scene.proposed.length, 1);
});

test("one member of the version before holds the format back", () => {
  const scene = leader();
  announce(scene, ids[1]!, FORMAT_VERSION);
  announce(scene, ids[2]!, 1);
  scene.formats.turn(0);
  assert.deepEqual(scene.proposed, []);
  // It was updated.
  announce(scene, ids[2]!, FORMAT_VERSION);
  scene.formats.turn(10);
  assert.equal(scene.proposed.length, 1);
});

test("a member that is away may come back as an older program, so the format waits", () => {
  const scene = leader();
  announce(scene, ids[1]!, FORMAT_VERSION);
  announce(scene, ids[2]!, FORMAT_VERSION);
  scene.connected.delete(id64Hex(ids[2]!));
  scene.formats.turn(0);
  assert.deepEqual(scene.proposed, []);
});

test("a leader raises the format only to what it knows itself", () => {
  const scene = leader(1);
  for (const id of ids.slice(1)) announce(scene, id, 2);
  scene.formats.turn(0);
  assert.deepEqual(scene.proposed, []);
});
