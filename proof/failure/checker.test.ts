import assert from "node:assert/strict";
import { test } from "node:test";
import { judge, type Watched } from "./checker.ts";
import { History, type OperationKind, type WatchedEvent } from "./history.ts";

// One client that puts "a", "b" and "c" to one key at revisions 2, 3 and 4, and two members that tell of it.
function put(history: History, value: string, revision: number): void {
  const operation = history.call("put", "0 (test)", "k", value);
  operation.applied = true;
  history.returned(operation, revision);
}

function written(): History {
  const history = new History();
  put(history, "a", 2);
  put(history, "b", 3);
  put(history, "c", 4);
  return history;
}

function events(): WatchedEvent[] {
  return ["a", "b", "c"].map((value, i) => ({ revision: i + 2, type: "put", key: "k", value }));
}

function watched(first: readonly WatchedEvent[], second = first): Watched[] {
  return [
    { member: "m1", events: first },
    { member: "m2", events: second },
  ];
}

function violations(history: History, told: Watched[]): string {
  return judge(history, told).violations.join("\n");
}

interface Seen {
  readonly kind: OperationKind;
  readonly revision: number;
  readonly value?: string;
  readonly modRevision: number;
  readonly applied?: boolean;
}

function see(history: History, seen: Seen): void {
  const isCas = seen.kind === "cas";
  const operation = history.call(seen.kind, "1 (test)", "k", isCas ? (seen.value ?? "") : "");
  operation.seenValue = isCas ? undefined : seen.value;
  operation.seenModRevision = seen.modRevision;
  operation.applied = seen.applied ?? false;
  history.returned(operation, seen.revision);
}

test("checker finds nothing in a history that is strictly serializable", () => {
  const history = written();
  see(history, { kind: "get", revision: 4, value: "c", modRevision: 4 });
  see(history, { kind: "cas", revision: 4, value: "d", modRevision: 3, applied: false });
  const unknown = history.call("put", "2 (test)", "k", "e");
  assert.equal(unknown.outcome, "unknown");
  const verdict = judge(history, watched(events()));
  assert.deepEqual(verdict.violations, []);
  assert.equal(verdict.checkedOperations, 6);
  assert.equal(verdict.checkedEvents, 6);
});

test("checker finds an acknowledged write that no watcher was told of", () => {
  assert.match(
    violations(written(), watched(events().slice(0, 2))),
    /LOST: put k=c, acknowledged at revision 4/,
  );
});

test("checker finds a write that took effect twice, and one that nobody made", () => {
  const told = [...events(), { revision: 5, type: "put", key: "k", value: "c" } as const];
  assert.match(violations(written(), watched(told)), /put k=c was written 2 times, at 4, 5/);
  const foreign = [...events(), { revision: 5, type: "put", key: "k", value: "z" } as const];
  assert.match(violations(written(), watched(foreign)), /value z was written by nobody/);
});

test("checker finds a refused write that is there", () => {
  const history = written();
  const refused = history.call("put", "1 (test)", "k", "d");
  refused.outcome = "failed";
  refused.error = "etcdserver: no leader";
  const told = [...events(), { revision: 5, type: "put", key: "k", value: "d" } as const];
  assert.match(
    violations(history, watched(told)),
    /k=d was refused \(etcdserver: no leader\) and is at revision 5/,
  );
});

test("checker finds a stale read and a read of what was not there", () => {
  const stale = written();
  see(stale, { kind: "get", revision: 3, value: "b", modRevision: 3 });
  assert.match(violations(stale, watched(events())), /STALE: get k .*at revision 3, though 4/);
  const wrong = written();
  see(wrong, { kind: "get", revision: 4, value: "b", modRevision: 3 });
  assert.match(violations(wrong, watched(events())), /saw b, there was c/);
});

test("checker finds a comparison that was judged wrongly", () => {
  const history = written();
  see(history, { kind: "cas", revision: 5, value: "d", modRevision: 3, applied: true });
  const told = [...events(), { revision: 5, type: "put", key: "k", value: "d" } as const];
  assert.match(violations(history, watched(told)), /was done, comparing 3 with 4/);
});

test("checker finds members that tell different things, in a wrong order, or not all", () => {
  const other = events();
  other[1] = { ...other[1]!, value: "x" };
  assert.match(violations(written(), watched(events(), other)), /differ at revision 3/);
  const [a, b, c] = events();
  assert.match(violations(written(), watched([a!, c!, b!])), /m1 went from revision 4 to 3/);
  assert.match(violations(written(), watched(events(), [a!, b!])), /m2 saw 2 events/);
});
