// The planted bottlenecks. Each patch is a mistake that is seen in real servers, made as large as it takes to be what
// holds this one back.

import type { Plant } from "./plant.ts";

const PUTS = ["put", "--clients", "64", "--conns", "4"];
/** Large enough that what is done for each byte shows. */
const PUTS_OF_1_KB = [...PUTS, "--val-size", "1000"];
/** Far from what a member can do. */
const FEW_PUTS = ["put", "--rate", "300", "--conns", "2"];

export const PLANTS: readonly Plant[] = [
  {
    id: "slow-disk",
    title: "every sync of the log takes 8 ms longer",
    cause: "log sync",
    load: PUTS,
    trouble: { kind: "slow disk", of: "leader", delayMs: 8 },
  },
  {
    id: "slow-network",
    title: "members are 10 ms away from each other",
    cause: "quorum",
    members: 3,
    load: PUTS,
    trouble: { kind: "slow network", delayMs: 10 },
  },
  {
    id: "slow-apply",
    title: "each applied put is checked against a long list of rules, one after the other",
    cause: "apply",
    load: PUTS,
    patches: [
      {
        file: "core/mvcc/kv-machine.ts",
        find: `    store.beginRevision();
    operations.put(bytes);
    const revision`,
        replace: `    let broken = 0;
    for (let rule = 0; rule < 100_000; rule++)
      broken += bytes[start + ((rule * 7) % (end - start))]! === 0xff ? rule & 1 : 0;
    if (broken === 100_000) return STATUS.keyNotFound;
    store.beginRevision();
    operations.put(bytes);
    const revision`,
      },
    ],
  },
  {
    id: "slow-followers",
    title: "every sync of both followers takes 20 ms longer",
    cause: "quorum",
    members: 3,
    load: PUTS,
    trouble: { kind: "slow disk", of: "followers", delayMs: 20 },
  },
  {
    id: "busy-machine",
    title: "three programs a core compute beside the server",
    cause: "the machine",
    load: PUTS,
    trouble: { kind: "busy machine", programsPerCore: 3 },
  },
  {
    id: "idle-client",
    title: "the client asks for 300 puts a second",
    cause: "the client",
    load: FEW_PUTS,
  },
  {
    id: "large-lists",
    title: "clients list 20,000 keys again and again",
    cause: "reads",
    before: ["put", "--clients", "64", "--keys", "20000", "--total", "20000"],
    load: ["list", "--keys", "20000", "--no-preload", "--clients", "4", "--keys-only"],
  },
  {
    id: "text-encoding",
    title: "requests are turned into text and back",
    cause: "encoding",
    load: PUTS_OF_1_KB,
    patches: [
      {
        file: "core/wire/hot.ts",
        find: `    this.prevKv = this.ignoreValue = this.ignoreLease = false;
    const reader = this.#reader;
    reader.reset(bytes, start, end);`,
        replace: `    this.prevKv = this.ignoreValue = this.ignoreLease = false;
    const reader = this.#reader;
    const text = JSON.stringify(Array.from(bytes.subarray(start, end)));
    bytes.set(JSON.parse(text) as number[], start);
    reader.reset(bytes, start, end);`,
      },
    ],
  },
  {
    id: "garbage",
    title: "the last requests are kept as objects, for a page that nobody reads",
    cause: "garbage collection",
    load: PUTS_OF_1_KB,
    patches: [
      {
        file: "core/member/dispatch.ts",
        find: "  const handler = UNARY[call.method.id];",
        replace: `  const parts: unknown[] = [];
  for (let at = start; at < end; at += 8)
    parts.push({ at, a: { b: { c: {}, d: {} }, e: { f: {}, g: {} } }, h: { i: { j: {}, k: {} }, l: { m: {}, n: {} } } });
  const held = globalThis as unknown as { recent?: unknown[]; recentCount?: number };
  held.recentCount = ((held.recentCount ?? 0) + 1) % 2_000;
  (held.recent ??= [])[held.recentCount] = { method: call.method.name, parts };
  const handler = UNARY[call.method.id];`,
      },
    ],
  },
  {
    id: "copying-watch",
    title: "each watcher's event is encoded anew, number by number",
    cause: "watch",
    load: ["watch-fanout", "--watchers", "300", "--streams", "10", "--clients", "4"],
    patches: [
      {
        file: "core/watch/watch-messages.ts",
        find: "    batch.write(out, batch.firstHit(group), -1);",
        replace: `    const own = new ByteWriter(64);
    batch.write(own, batch.firstHit(group), -1);
    const numbers = Array.from(own.bytes.subarray(0, own.position));
    out.raw(Uint8Array.from(numbers), 0, numbers.length);`,
      },
    ],
  },
  {
    id: "timer-queue",
    title: "requests wait for a timer, to be worked off in batches",
    cause: "queue",
    load: PUTS,
    patches: [
      {
        file: "product/server/driver.ts",
        find: "setImmediate(this.#onImmediate);",
        replace: "setTimeout(this.#onImmediate, 15);",
      },
    ],
  },
  {
    id: "stalling-upkeep",
    title: "once in 700 ms something is counted in one go, for 50 ms and more",
    cause: "housekeeping",
    load: FEW_PUTS,
    patches: [
      {
        file: "core/member/housekeeping.ts",
        find: "const ALARM_RETRY_MS = 1_000;",
        replace: `const ALARM_RETRY_MS = 1_000;
let countedMs = 0;
let counted = 0;
function countAll(nowMs: number): void {
  if (nowMs - countedMs < 700) return;
  countedMs = nowMs;
  for (let i = 0; i < 50_000_000; i++) counted = (counted * 31 + i) | 0;
}`,
      },
      {
        file: "core/member/housekeeping.ts",
        find: "    this.largeAnswers.turn(nowMs);",
        replace: "    this.largeAnswers.turn(nowMs);\n    countAll(nowMs);",
      },
    ],
  },
  {
    id: "copying-sockets",
    title: "what a socket reads is copied byte by byte",
    cause: "transport",
    load: PUTS_OF_1_KB,
    patches: [
      {
        file: "io/net/server-socket.ts",
        find: "    connection.receive(bytes, 0, end);",
        replace: `    const copy = [...bytes.subarray(0, end)].map((byte) => byte & 0xff);
    connection.receive(Uint8Array.from(copy), 0, end);`,
      },
    ],
  },
];
