import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../base/byte-writer.ts";
import { Prng } from "../base/prng.ts";
import * as m from "../wire/messages.ts";
import type { Input, Schema } from "../wire/schema.ts";
import { WireError } from "../wire/reader.ts";
import { RequestSource, TestBench, encoded } from "./test-bench.ts";
import { verifyStore } from "./verify-store.ts";

type TxnInput = Input<typeof m.TxnRequest extends Schema<infer T> ? T : never>;

/** Bytes changed, cut off, doubled or removed. */
function mangled(prng: Prng, bytes: Uint8Array): Uint8Array {
  if (bytes.length === 0) return bytes;
  const copy = [...bytes];
  for (let i = prng.below(4); i > 0; i--) {
    const at = prng.below(copy.length);
    const kind = prng.below(4);
    if (kind < 2) copy[at] = prng.below(256);
    else if (kind === 2) copy.splice(at, 1 + prng.below(3));
    else copy.splice(at, 0, ...copy.slice(at, at + prng.below(8)));
    if (copy.length === 0) break;
  }
  return Uint8Array.from(copy);
}

test("whatever the bytes are, they are refused or applied, and the store stays sound", () => {
  const seed = Math.floor(Math.random() * 1e9);
  console.log(`seed ${seed}`);
  const prng = new Prng(seed);
  const source = new RequestSource(prng, 20);
  const bench = new TestBench();
  for (let lease = 0; lease < 3; lease++) bench.leases.keys.push(new Set());
  const { machine, store } = bench;
  let refusedCount = 0;
  let appliedCount = 0;
  for (let step = 0; step < 6000; step++) {
    const kind = prng.below(4);
    const request = [
      () => encoded(m.PutRequest, source.put()),
      () => encoded(m.DeleteRangeRequest, source.delete()),
      () => encoded(m.TxnRequest, source.txn(store.revision) as TxnInput),
      () => encoded(m.RangeRequest, source.range(store.revision)),
    ][kind]!();
    const bytes = mangled(prng, request);
    const reply = new ByteWriter();
    const check = [machine.checkPut, machine.checkDelete, machine.checkTxn, machine.checkRange][kind]!;
    try {
      if (check.call(machine, bytes, 0, bytes.length) !== undefined) continue;
    } catch (error) {
      assert.ok(error instanceof WireError, `step ${step}: ${String(error)}`);
      refusedCount++;
      continue;
    }
    // What passed the check throws nothing any more.
    if (kind === 3) {
      const sink = { beginMessage: () => reply, endMessage: () => undefined, sendLarge: () => undefined };
      machine.range(bytes, 0, bytes.length, sink);
    } else {
      [machine.applyPut, machine.applyDelete, machine.applyTxn][kind]!.call(
        machine,
        bytes,
        0,
        bytes.length,
        reply,
      );
    }
    appliedCount++;
  }
  assert.ok(refusedCount > 100);
  assert.ok(appliedCount > 100);
  verifyStore(store);
});
