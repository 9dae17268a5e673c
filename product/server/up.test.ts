import assert from "node:assert/strict";
import { test } from "node:test";
import { MEMBER_COUNT_MAX, memberPorts } from "./up.ts";

test("the members of a local cluster have ports of their own, the first ones etcd's well-known ones", () => {
  const ports = Array.from({ length: MEMBER_COUNT_MAX }, (_, index) => memberPorts(index));
  assert.deepEqual(
    ports.map(({ client }) => client),
    [2379, 22379, 32379, 42379, 52379, 62379, 12379],
  );
  assert.ok(ports.every(({ client, peer }) => peer === client + 1 && peer < 65_536));
});
