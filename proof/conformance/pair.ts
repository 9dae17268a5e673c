// The two sides together: the same request to both at once, answers compared, differences kept.

import type { WatchRequest } from "../../core/wire/messages.ts";
import type { Input, MessageOf } from "../../core/wire/schema.ts";
import { METHOD, type Method } from "../../core/wire/service.ts";
import { canonical } from "./canonical.ts";
import { EXPLAINED } from "./explained.ts";
import type { Outcome, Side, WatchAnswer } from "./side.ts";

export interface Difference {
  readonly where: string;
  readonly request: string;
  readonly ours: string;
  readonly theirs: string;
}

/** Differences kept in full; further ones are counted. */
const KEPT_MAX = 200;
/** Revisions that aligning writes at most. */
const ALIGN_MAX = 200_000;
const WATCH_WAIT_MS = 5_000;

export class Pair {
  readonly ours: Side;
  readonly theirs: Side;
  readonly differences: Difference[] = [];
  differenceCount = 0;
  /** Known differences by name. */
  readonly explained = new Map<string, number>();
  comparedCount = 0;
  /** As the last answers said. */
  revision = 0;
  compactedRevision = 0;

  constructor(ours: Side, theirs: Side) {
    this.ours = ours;
    this.theirs = theirs;
  }

  /** Brings both to the same revision and compacts there, so that histories are the same from then on. */
  async align(scratchKey: Uint8Array): Promise<void> {
    const [a, b] = await Promise.all([revisionOf(this.ours), revisionOf(this.theirs)]);
    if (Math.abs(a - b) > ALIGN_MAX)
      throw new Error(`The clusters' revisions ${a} and ${b} are too far apart: use fresh ones`);
    const [behind, count] = a < b ? [this.ours, b - a] : [this.theirs, a - b];
    // One more on both: the key is there and then gone on both.
    for (let i = 0; i < count; i++) await behind.call(METHOD.put, { key: scratchKey, value: scratchKey });
    for (const side of [this.ours, this.theirs]) {
      await side.call(METHOD.put, { key: scratchKey, value: scratchKey });
      await side.call(METHOD.deleteRange, { key: scratchKey });
    }
    this.revision = Math.max(a, b) + 2;
    await Promise.all(
      [this.ours, this.theirs].map((side) =>
        side.call(METHOD.compact, { revision: this.revision, physical: true }),
      ),
    );
    this.compactedRevision = this.revision;
  }

  /** Sends the same to both and compares. Returns our outcome. */
  async send<Q, S>(where: string, method: Method<Q, S>, request: Input<Q>): Promise<Outcome> {
    const [a, b] = await Promise.all([this.ours.call(method, request), this.theirs.call(method, request)]);
    this.comparedCount++;
    this.compare(where, () => `${method.name} ${canonical(request)}`, show(a), show(b));
    const header = a.kind === "answer" ? (a.message as { header?: { revision: number } }).header : undefined;
    if (header !== undefined && header.revision > this.revision) this.revision = header.revision;
    return a;
  }

  // Four parameters: what, of what, and the two sides.
  compare(where: string, request: () => string, ours: string, theirs: string): void {
    if (ours === theirs) return;
    const explained = EXPLAINED.find((it) => it.matches(request(), ours, theirs));
    if (explained !== undefined) {
      this.explained.set(explained.id, (this.explained.get(explained.id) ?? 0) + 1);
      return;
    }
    this.differenceCount++;
    if (this.differences.length < KEPT_MAX)
      this.differences.push({ where, request: request(), ours, theirs });
  }

  watch(request: Input<MessageOf<typeof WatchRequest>>): void {
    this.ours.watch(request);
    this.theirs.watch(request);
  }

  /** Waits until both watch streams have brought what they owe, and compares them watch by watch. */
  async compareWatches(where: string, requests: string): Promise<void> {
    await Promise.all([quiet(this.ours), quiet(this.theirs)]);
    this.comparedCount++;
    this.compare(where, () => requests, watchText(this.ours), watchText(this.theirs));
    this.ours.endWatch();
    this.theirs.endWatch();
  }
}

function show(outcome: Outcome): string {
  return outcome.kind === "error" ? `error ${outcome.code} ${outcome.text}` : canonical(outcome.message);
}

async function revisionOf(side: Side): Promise<number> {
  const outcome = await side.call(METHOD.range, { key: Uint8Array.of(1), count_only: true });
  if (outcome.kind === "error") throw new Error(`${side.endpoint} answered: ${outcome.text}`);
  return (outcome.message as { header: { revision: number } }).header.revision;
}

/** Nothing new for a while: there is no barrier that works while a watcher waits for the future. */
async function quiet(side: Side): Promise<void> {
  const endMs = performance.now() + WATCH_WAIT_MS;
  let seen = -1;
  let calm = 0;
  while (performance.now() < endMs && calm < 4) {
    await new Promise((resolve) => setTimeout(resolve, 40));
    calm = side.watched.length === seen ? calm + 1 : 0;
    seen = side.watched.length;
  }
}

/** What each watch was told, in its order: how events are cut into messages is the server's business. */
function watchText(side: Side): string {
  const byId = new Map<string, string[]>();
  for (const answer of side.watched) {
    const id = String(answer.watch_id);
    const told = byId.get(id) ?? [];
    byId.set(id, told);
    told.push(...answerTexts(answer));
  }
  const lines = [...byId]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([id, told]) => `${id}: ${told.join(" ")}`);
  if (side.watchEnd !== undefined) lines.push(`ended ${side.watchEnd}`);
  return lines.join("\n");
}

function answerTexts(answer: WatchAnswer): string[] {
  const texts: string[] = [];
  const { header, created, canceled, compact_revision, cancel_reason } = answer;
  const revision = header?.revision ?? -1;
  // What the store was at; of events only so much, since it depends on how they are cut.
  if (created) texts.push(`created at ${revision}`);
  const last = answer.events.at(-1)?.kv?.mod_revision ?? 0;
  if (revision < last) texts.push(`header ${revision} behind the event of ${last}`);
  if (!created && !canceled && answer.events.length === 0) texts.push(`progress at ${revision}`);
  for (const event of answer.events) texts.push(canonical(event));
  if (canceled) texts.push(`canceled(${compact_revision},${cancel_reason})`);
  return texts;
}
