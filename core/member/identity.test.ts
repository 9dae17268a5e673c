import assert from "node:assert/strict";
import { test } from "node:test";
import { id64Hex, id64ToBigInt } from "../base/ids.ts";
import { bootstrapMemberId, clusterIdOf } from "./identity.ts";

test("member and cluster ids are etcd's for one member", () => {
  const id = bootstrapMemberId(["http://127.0.0.1:42380"], "etcd-cluster");
  assert.equal(id64Hex(id), "667880157b8812c8");
  assert.equal(id64ToBigInt(clusterIdOf([id])), 15875391935852295136n);
});

test("the cluster token is part of the ids", () => {
  const id = bootstrapMemberId(["http://127.0.0.1:42380"], "tok");
  assert.equal(id64ToBigInt(id), 3517084396909456240n);
  assert.equal(id64ToBigInt(clusterIdOf([id])), 5414723697397369249n);
});

test("member and cluster ids are etcd's for three members, in whatever order they are named", () => {
  const ids = [5, 3, 4].map((n) => bootstrapMemberId([`http://127.0.0.1:4${n}380`], "etcd-cluster"));
  assert.deepEqual(ids.map(id64Hex), ["ef12a2ed4f459e98", "4e95e8bf5c055843", "e6e4bd439b602766"]);
  assert.equal(id64ToBigInt(clusterIdOf(ids)), 9733150074027420106n);
});
