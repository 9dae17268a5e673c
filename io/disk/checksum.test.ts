import assert from "node:assert/strict";
import { test } from "node:test";
import { checksum } from "./checksum.ts";

test("the checksum is CRC-32, of a part of the bytes", () => {
  // The check value of the catalogue of parametrised CRC algorithms, CRC-32/ISO-HDLC.
  const bytes = new TextEncoder().encode("x123456789x");
  assert.equal(checksum(bytes, 1, 10), 0xcbf43926);
  assert.equal(checksum(bytes, 1, 1), 0);
  assert.equal(checksum(bytes, 5, 10, checksum(bytes, 1, 5)), 0xcbf43926);
});
