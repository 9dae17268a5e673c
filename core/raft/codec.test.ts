import { test } from "node:test";
import assert from "node:assert/strict";
import fc from "fast-check";
import { ByteWriter } from "../base/byte-writer.ts";
import { WireError } from "../wire/reader.ts";
import { decodeMessage, encodeMessage, MESSAGE_VERSION, RaftMessageError } from "./codec.ts";
import {
  ADD_LEARNER,
  ADD_VOTER,
  confChange,
  confChangeEntryType,
  decodeConfChange,
  encodeConfChange,
  LEAVE_JOINT,
  REMOVE_MEMBER,
  TRANSITION_JOINT_EXPLICIT,
} from "./conf-change.ts";
import { EntryBatch } from "./entry-batch.ts";
import { RaftLog } from "./log.ts";
import * as kinds from "./message.ts";
import { RaftMessage } from "./message.ts";

const safe = fc.oneof(fc.nat(300), fc.maxSafeNat());
const half = fc.integer({ min: 0, max: 0xffffffff });
const id = fc.record({ hi: half, lo: half }).map(({ hi, lo }) => ({ hi, lo }));
const ids = fc.array(id, { maxLength: 5 });
const log = new RaftLog({ arenaBytes: 1000, compactedIndex: 0, compactedTerm: 0 });

/** Fields of each kind, as the table in message.ts has them. */
const FIELDS: readonly (readonly [number, readonly (keyof RaftMessage)[]])[] = [
  [kinds.MESSAGE_APPEND, ["index", "commit"]],
  [kinds.MESSAGE_APPEND_REPLY, ["index", "hintIndex", "hintTerm"]],
  [kinds.MESSAGE_HEARTBEAT, ["commit", "sequence"]],
  [kinds.MESSAGE_HEARTBEAT_REPLY, ["sequence"]],
  [kinds.MESSAGE_PRE_VOTE, ["index", "logTerm", "commit", "commitTerm"]],
  [kinds.MESSAGE_PRE_VOTE_REPLY, ["commit", "commitTerm"]],
  [kinds.MESSAGE_VOTE, ["index", "logTerm", "commit", "commitTerm"]],
  [kinds.MESSAGE_VOTE_REPLY, ["commit", "commitTerm"]],
  [kinds.MESSAGE_TIMEOUT_NOW, []],
  [kinds.MESSAGE_READ_INDEX, ["incarnation", "sequence"]],
  [kinds.MESSAGE_READ_INDEX_REPLY, ["incarnation", "sequence", "index"]],
  [kinds.MESSAGE_SNAPSHOT, ["index", "logTerm"]],
  [kinds.MESSAGE_FORWARD, ["incarnation", "sequence"]],
  [kinds.MESSAGE_FORWARD_REFUSED, ["incarnation", "sequence"]],
];

const messages = fc
  .record({
    fields: fc.constantFrom(...FIELDS),
    values: fc.array(safe, { minLength: 4, maxLength: 4 }),
    from: id.filter((from) => from.hi !== 0 || from.lo !== 0),
    to: id,
    term: fc.integer({ min: 3, max: 2 ** 48 - 1 }),
    reject: fc.boolean(),
    force: fc.boolean(),
    entries: fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }),
    confState: fc.record({
      voters: ids,
      votersOutgoing: ids,
      learners: ids,
      learnersNext: ids,
      autoLeave: fc.boolean(),
    }),
  })
  .map((draft) => {
    const message = new RaftMessage();
    const [kind, names] = draft.fields;
    message.kind = kind;
    names.forEach((name, i) => Object.assign(message, { [name]: draft.values[i] }));
    message.fromHi = draft.from.hi;
    message.fromLo = draft.from.lo;
    message.toHi = draft.to.hi;
    message.toLo = draft.to.lo;
    message.term = draft.term;
    message.reject = draft.reject;
    message.force = draft.force;
    if (kind === kinds.MESSAGE_SNAPSHOT) message.confState = { ...draft.confState };
    if (kind === kinds.MESSAGE_APPEND || kind === kinds.MESSAGE_FORWARD) {
      const batch = new EntryBatch();
      const term = kind === kinds.MESSAGE_FORWARD ? 0 : 2;
      for (const bytes of draft.entries) batch.add(0, term, bytes, 0, bytes.length);
      message.batch = batch;
      if (kind === kinds.MESSAGE_APPEND) message.logTerm = 1;
    }
    return message;
  });

function encoded(message: RaftMessage): Uint8Array {
  const writer = new ByteWriter(16);
  encodeMessage(writer, message, log);
  return writer.copy();
}

function entriesOf(batch: EntryBatch | undefined): string {
  if (batch === undefined) return "none";
  return `${batch.count}:${Buffer.from(batch.bytes.subarray(batch.start, batch.end)).toString("hex")}`;
}

test("every message survives its wire form, at any offset", () => {
  fc.assert(
    fc.property(messages, fc.nat(7), (message, offset) => {
      const bytes = encoded(message);
      const shifted = new Uint8Array(bytes.length + offset + 3).fill(255);
      shifted.set(bytes, offset);
      const decoded = decodeMessage(shifted, offset, offset + bytes.length);
      assert.equal(entriesOf(decoded.batch), entriesOf(message.batch));
      assert.deepEqual({ ...decoded, batch: undefined }, { ...message, batch: undefined });
    }),
    { numRuns: 1000 },
  );
});

test("entries by reference to the log and entries by value have one wire form", () => {
  const source = new RaftLog({ arenaBytes: 40, compactedIndex: 4, compactedTerm: 1 });
  const batch = new EntryBatch();
  for (let i = 0; i < 9; i++) {
    const bytes = Buffer.from(`entry ${i}`);
    source.append(0, 2, bytes, 0, bytes.length);
    batch.add(0, 2, bytes, 0, bytes.length);
  }
  const byValue = new RaftMessage();
  byValue.kind = kinds.MESSAGE_APPEND;
  byValue.fromLo = 1;
  byValue.term = 2;
  byValue.index = 4;
  byValue.logTerm = 1;
  byValue.batch = batch;
  const expected = encoded(byValue);
  byValue.batch = undefined;
  byValue.entriesFirst = 5;
  byValue.entriesLast = 13;
  const writer = new ByteWriter(16);
  encodeMessage(writer, byValue, source);
  assert.deepEqual(writer.copy(), expected);
});

test("arbitrary, cut and damaged bytes are messages or clear errors, never anything else", () => {
  const check = (bytes: Uint8Array): void => {
    try {
      decodeMessage(bytes, 0, bytes.length);
    } catch (error) {
      assert.ok(error instanceof RaftMessageError, String(error));
      assert.match(error.message, /^Cannot decode a raft message: ./);
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), check), { numRuns: 2000 });
  fc.assert(
    fc.property(messages, fc.nat(200), fc.nat(255), fc.nat(200), (message, at, value, cut) => {
      const bytes = encoded(message);
      bytes[at % bytes.length] = value;
      check(bytes);
      check(bytes.subarray(0, cut % bytes.length));
    }),
    { numRuns: 3000 },
  );
});

test("a message that is cut anywhere is refused", () => {
  fc.assert(
    fc.property(messages, fc.nat(1000), (message, cut) => {
      const bytes = encoded(message);
      const length = cut % bytes.length;
      assert.throws(() => decodeMessage(bytes, 0, length), RaftMessageError);
    }),
  );
});

function append(build: (message: RaftMessage, batch: EntryBatch) => void): Uint8Array {
  const message = new RaftMessage();
  message.kind = kinds.MESSAGE_APPEND;
  message.fromLo = 1;
  message.term = 5;
  message.index = 1;
  message.logTerm = 3;
  const batch = new EntryBatch();
  message.batch = batch;
  build(message, batch);
  return encoded(message);
}

test("what is wrong with a message is named", () => {
  const none = new Uint8Array(0);
  const refused = (bytes: Uint8Array, pattern: RegExp): void => {
    assert.throws(() => decodeMessage(bytes, 0, bytes.length), pattern);
  };
  const good = append((_, batch) => batch.add(0, 4, none, 0, 0));
  assert.equal(decodeMessage(good, 0, good.length).batch!.count, 1);
  refused(Uint8Array.from([MESSAGE_VERSION + 1, ...good.subarray(1)]), /version 2 is not known here, 1 is/);
  refused(Uint8Array.from([MESSAGE_VERSION, 99, ...good.subarray(2)]), /kind 99 is not known here/);
  refused(Uint8Array.from([...good, 0]), /1 bytes too many/);
  refused(
    append((_, batch) => batch.add(0, 2, none, 0, 0)),
    /an entry of term 2 follows one of term 3/,
  );
  refused(
    append((_, batch) => batch.add(0, 6, none, 0, 0)),
    /an entry of term 6 comes from a leader of term 5/,
  );
  refused(
    append((_, batch) => batch.add(9, 4, none, 0, 0)),
    /type 9 is no entry's/,
  );
  refused(
    append((message) => (message.fromLo = 0)),
    /a message from nobody/,
  );
});

test("configuration changes survive their wire form, which is etcd's", () => {
  const single = confChange(
    [{ type: ADD_LEARNER, id: { hi: 0x8e9e05c5, lo: 0x2164694d } }],
    Buffer.from("{}"),
    { hi: 0, lo: 7 },
  );
  const bytes = encodeConfChange(single);
  assert.equal(Buffer.from(bytes).toString("hex"), "0807100318cdd2" + "91" + "8bd2b881cf8e01" + "22027b7d");
  for (const change of [
    single,
    LEAVE_JOINT,
    confChange([
      { type: REMOVE_MEMBER, id: { hi: 0, lo: 1 } },
      { type: ADD_VOTER, id: { hi: 1, lo: 0 } },
    ]),
    { ...confChange([{ type: ADD_VOTER, id: { hi: 0, lo: 5 } }]), transition: TRANSITION_JOINT_EXPLICIT },
  ]) {
    const coded = encodeConfChange(change);
    const decoded = decodeConfChange(confChangeEntryType(change), coded, 0, coded.length);
    assert.deepEqual(
      { ...decoded, context: [...decoded.context] },
      { ...change, context: [...change.context] },
    );
  }
});

test("arbitrary bytes are a configuration change or a clear error", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.integer({ min: 1, max: 2 }), (bytes, type) => {
      try {
        decodeConfChange(type, bytes, 0, bytes.length);
      } catch (error) {
        assert.ok(error instanceof WireError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
