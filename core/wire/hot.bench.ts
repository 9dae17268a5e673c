// Run: npx tsx core/wire/hot.bench.ts. Goal: 20 M put requests parsed a second on one core.

import { bench, run, summary } from "mitata";
import { ByteWriter } from "../base/byte-writer.ts";
import type { HeaderSource } from "./header.ts";
import { writeHeader } from "./header.ts";
import { LeaseIdFields, PutFields, RangeFields } from "./hot.ts";
import { PutRequest, RangeRequest, TxnRequest } from "./messages.ts";
import { decode, encode } from "./schema.ts";
import { TxnChecker } from "./txn.ts";

const key = Buffer.from("/registry/pods/default/nginx-5d59d67564-abcde/123456789012345678".slice(0, 64));
const value = new Uint8Array(256).fill(65);

function encoded(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  write(writer);
  return writer.copy();
}

const put = encoded((w) => encode(PutRequest, { key, value, lease: 0x1234567890abcdefn }, w));
const range = encoded((w) => encode(RangeRequest, { key, range_end: key, limit: 500, revision: 123456 }, w));
const txn = encoded((w) =>
  encode(
    TxnRequest,
    {
      compare: [{ target: 2, key, mod_revision: 77 }],
      success: [{ request_put: { key, value } }],
      failure: [{ request_range: { key } }],
    },
    w,
  ),
);

const putFields = new PutFields();
const rangeFields = new RangeFields();
const checker = new TxnChecker();
const leaseFields = new LeaseIdFields();
const lease = Uint8Array.of(8, 0xef, 0x9b, 0xaf, 0x85, 0x89, 0xcf, 0x95, 0x9a, 0x12);
const source: HeaderSource = {
  clusterHi: 0xdc50b8da,
  clusterLo: 0xae93b3e0,
  memberHi: 0x66788015,
  memberLo: 0x7b8812c8,
  term: 3,
};
const out = new ByteWriter(1 << 16);

summary(() => {
  bench("put: parse", () => putFields.parse(put, 0, put.length));
  bench("range: parse", () => rangeFields.parse(range, 0, range.length));
  bench("lease id: parse", () => leaseFields.parse(lease, 0, lease.length));
  bench("txn (compare, put, range): check", () => checker.check(txn, 0, txn.length));
  bench("header: write", () => {
    out.reset();
    writeHeader(out, source, 1_234_567);
  });
  bench("put: table decode", () => decode(PutRequest, put, 0, put.length));
});

await run();
