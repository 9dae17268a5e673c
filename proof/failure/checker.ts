// Judges a history afterwards. The ground truth is what the watchers saw: which revision wrote what. With it strict
// serializability needs no search: every operation must show a revision that is not before any revision that was shown
// before its call, and exactly what the ground truth gives at that revision.

import type { History, Operation, WatchedEvent } from "./history.ts";

export interface Watched {
  readonly member: string;
  readonly events: readonly WatchedEvent[];
}

export interface Verdict {
  readonly checkedOperations: number;
  readonly checkedEvents: number;
  readonly violations: readonly string[];
}

const VIOLATIONS_MAX = 50;

class Findings {
  readonly list: string[] = [];
  count = 0;
  add(text: string): void {
    this.count++;
    if (this.list.length < VIOLATIONS_MAX) this.list.push(text);
  }
}

export function judge(history: History, watched: readonly Watched[]): Verdict {
  const findings = new Findings();
  for (const { member, events } of watched) checkOrder(member, events, findings);
  const truth = groundTruth(watched, findings);
  checkWrites(history.operations, truth, findings);
  for (const operation of history.operations)
    if (operation.outcome === "ok") checkOperation(operation, truth, findings);
  const checkedEvents = watched.reduce((sum, { events }) => sum + events.length, 0);
  return { checkedOperations: history.operations.length, checkedEvents, violations: findings.list };
}

interface Truth {
  readonly byRevision: ReadonlyMap<number, WatchedEvent>;
  /** Of each key, ascending revisions. */
  readonly byKey: ReadonlyMap<string, readonly WatchedEvent[]>;
}

function checkOrder(member: string, events: readonly WatchedEvent[], findings: Findings): void {
  for (let i = 1; i < events.length; i++) {
    const [before, event] = [events[i - 1]!, events[i]!];
    // One key a revision in this load: an equal revision is an event told twice.
    if (event.revision <= before.revision)
      findings.add(`the watch at ${member} went from revision ${before.revision} to ${event.revision}`);
  }
}

function groundTruth(watched: readonly Watched[], findings: Findings): Truth {
  const longest = watched.reduce((best, it) => (it.events.length > best.events.length ? it : best));
  const byRevision = new Map(longest.events.map((event) => [event.revision, event]));
  for (const { member, events } of watched) {
    if (events.length !== longest.events.length) {
      findings.add(
        `the watch at ${member} saw ${events.length} events, the one at ${longest.member} ${longest.events.length}`,
      );
    }
    for (const event of events) {
      const other = byRevision.get(event.revision);
      if (other === undefined || !isSame(other, event))
        findings.add(`${member} and ${longest.member} differ at revision ${event.revision}`);
    }
  }
  const byKey = new Map<string, WatchedEvent[]>();
  for (const event of longest.events) {
    const list = byKey.get(event.key) ?? [];
    byKey.set(event.key, list);
    list.push(event);
  }
  return { byRevision, byKey };
}

function isSame(a: WatchedEvent, b: WatchedEvent): boolean {
  return a.type === b.type && a.key === b.key && a.value === b.value;
}

/** Acknowledged writes are there, once, where they said; refused ones are not; nothing else is. */
function checkWrites(operations: readonly Operation[], truth: Truth, findings: Findings): void {
  const revisionsOf = new Map<string, number[]>();
  for (const event of truth.byRevision.values()) {
    if (event.type !== "put") continue;
    const list = revisionsOf.get(event.value) ?? [];
    revisionsOf.set(event.value, list);
    list.push(event.revision);
  }
  const known = new Set<string>();
  for (const operation of operations) {
    if (operation.kind === "get" || operation.kind === "delete") continue;
    known.add(operation.value);
    const revisions = revisionsOf.get(operation.value) ?? [];
    const where = `${operation.kind} ${operation.key}=${operation.value}`;
    if (revisions.length > 1)
      findings.add(`${where} was written ${revisions.length} times, at ${revisions.join(", ")}`);
    const acknowledged = operation.outcome === "ok" && operation.applied;
    if (acknowledged && revisions[0] !== operation.revision)
      findings.add(
        `LOST: ${where}, acknowledged at revision ${operation.revision}, is at ${revisions[0] ?? "none"}`,
      );
    const refused = operation.outcome === "failed" || (operation.outcome === "ok" && !operation.applied);
    if (refused && revisions.length > 0)
      findings.add(
        `${where} was refused (${operation.error || "compare failed"}) and is at revision ${revisions[0]}`,
      );
    if (revisions.length === 1 && revisions[0]! <= operation.floor)
      findings.add(
        `${where} is at revision ${revisions[0]}, before ${operation.floor} which was shown before its call`,
      );
  }
  for (const value of revisionsOf.keys())
    if (!known.has(value)) findings.add(`value ${value} was written by nobody`);
}

function checkOperation(operation: Operation, truth: Truth, findings: Findings): void {
  const where = `${operation.kind} ${operation.key} of client ${operation.client} at revision ${operation.revision}`;
  const wrote = operation.kind !== "get" && operation.applied;
  const isFresh = wrote ? operation.revision > operation.floor : operation.revision >= operation.floor;
  if (!isFresh) findings.add(`STALE: ${where}, though ${operation.floor} was shown before its call`);
  if (operation.kind === "get") return checkRead(operation, where, truth, findings);
  if (operation.kind === "delete" && operation.applied) {
    const event = truth.byRevision.get(operation.revision);
    if (event === undefined || event.type !== "delete" || event.key !== operation.key)
      findings.add(`LOST: ${where}`);
  }
  if (operation.kind === "cas") checkCompareAndSet(operation, where, truth, findings);
}

// (operation, where, truth, findings): what, its name, against what, and where to say it.
function checkRead(operation: Operation, where: string, truth: Truth, findings: Findings): void {
  const version = versionAt(truth, operation.key, operation.revision);
  const expected = version?.type === "put" ? version : undefined;
  if (expected?.value !== operation.seenValue || (expected?.revision ?? 0) !== operation.seenModRevision) {
    findings.add(
      `${where} saw ${operation.seenValue ?? "nothing"}, there was ${expected?.value ?? "nothing"}`,
    );
  }
}

function checkCompareAndSet(operation: Operation, where: string, truth: Truth, findings: Findings): void {
  const version = versionAt(
    truth,
    operation.key,
    operation.applied ? operation.revision - 1 : operation.revision,
  );
  const modRevision = version?.type === "put" ? version.revision : 0;
  if ((modRevision === operation.seenModRevision) !== operation.applied) {
    findings.add(
      `${where} was ${operation.applied ? "done" : "refused"}, comparing ${operation.seenModRevision} with ${modRevision}`,
    );
  }
}

/** The newest event of a key that is not above a revision. */
function versionAt(truth: Truth, key: string, revision: number): WatchedEvent | undefined {
  const events = truth.byKey.get(key) ?? [];
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle]!.revision <= revision) low = middle + 1;
    else high = middle;
  }
  return events[low - 1];
}
