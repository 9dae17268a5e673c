import assert from "node:assert/strict";
import { test } from "node:test";

import { ByteWriter } from "../base/byte-writer.ts";
import { KeyValue } from "../wire/messages.ts";
import { encode } from "../wire/schema.ts";
import { keyValueSizeBytes, writeKeyValue } from "./key-value.ts";
import { RecordView } from "./record.ts";

const NUMBERS = [1, 127, 128, 2 ** 31, 2 ** 47];

function pattern(size: number, first: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => first + i * 7);
}

/** A record's view: key and value lie behind each other, somewhere in a segment. */
function viewOf(key: Uint8Array, value: Uint8Array, number: number): RecordView {
  const view = new RecordView();
  view.bytes = new Uint8Array(8 + key.length + value.length + 8).fill(0xee);
  view.bytes.set(key, 8);
  view.bytes.set(value, 8 + key.length);
  view.keyStart = 8;
  view.keyEnd = view.valueStart = 8 + key.length;
  view.valueEnd = view.valueStart + value.length;
  view.createRevision = view.modRevision = view.version = number;
  view.leaseLo = number % 2 === 0 ? 5 : 0;
  return view;
}

test("a key-value is the same bytes as by the schema, whatever the sizes of key and value", () => {
  for (const keySize of [1, 48, 49, 64, 127, 128, 3000]) {
    for (const valueSize of [0, 1, 48, 49, 128, 20_000]) {
      for (const number of NUMBERS) {
        for (const keysOnly of [false, true]) {
          const key = pattern(keySize, 3);
          const value = pattern(valueSize, 100);
          const view = viewOf(key, value, number);
          const written = new ByteWriter(1);
          written.raw(key, 0, 1);
          writeKeyValue(written, view, keysOnly);
          const expected = new ByteWriter();
          expected.raw(key, 0, 1);
          const revisions = { create_revision: number, mod_revision: number, version: number };
          const lease = view.leaseLo === 0 ? 0n : 5n;
          encode(KeyValue, { key, ...revisions, ...(keysOnly ? {} : { value }), lease }, expected);
          const what = `key of ${keySize}, value of ${valueSize}, ${number}, ${keysOnly ? "keys only" : "whole"}`;
          assert.ok(Buffer.from(written.copy()).equals(expected.copy()), what);
          assert.equal(keyValueSizeBytes(view, keysOnly), written.position - 1, what);
        }
      }
    }
  }
});
