// Answers as text that can be compared: ids and terms left out.

import { crc32c } from "../../core/base/crc32c.ts";

const KEPT_ZERO = new Set(["succeeded", "more", "count", "deleted"]);

/** Fields that the two sides cannot agree on. */
const LEFT_OUT = new Set(["cluster_id", "member_id", "raft_term"]);

/** Lists in no order that etcd promises: leases by remaining time, which differs by what the calls took; a lease's keys. */
const UNORDERED = new Set(["leases", "keys"]);

/** JSON with sorted fields; absent and zero are the same, as on the wire. */
export function canonical(value: unknown): string {
  return JSON.stringify(plain(value)) ?? "null";
}

function plain(value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Uint8Array) return printable(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const name of Object.keys(value).sort()) {
    if (LEFT_OUT.has(name)) continue;
    const item = plain((value as Record<string, unknown>)[name]);
    if (UNORDERED.has(name) && Array.isArray(item))
      item.sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
    if (KEPT_ZERO.has(name) || !isZero(item)) result[name] = item;
  }
  if ("grantedTTL" in value) hideElapsed(result);
  return result;
}

/** Of a lease that lives, what it has left: less than a minute has passed on both sides, not the same number of seconds. */
function hideElapsed(answer: Record<string, unknown>): void {
  const { TTL, grantedTTL } = answer;
  if (typeof TTL !== "number" || typeof grantedTTL !== "number") return;
  if (TTL > 0 && TTL <= grantedTTL) answer["TTL"] = "left";
}

function isZero(item: unknown): boolean {
  return (
    item === undefined ||
    item === 0 ||
    item === "0" ||
    item === "" ||
    item === false ||
    (Array.isArray(item) && item.length === 0)
  );
}

function printable(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("latin1");
  return text.length > 80
    ? `${text.slice(0, 60)}…(${text.length} bytes, ${crc32c(bytes, 0, bytes.length).toString(16)})`
    : text;
}
