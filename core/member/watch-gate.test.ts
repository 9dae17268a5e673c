import assert from "node:assert/strict";
import { test } from "node:test";
import type { Call } from "./call.ts";
import type { Member } from "./member.ts";
import type { ReadProbe } from "./reads.ts";
import { WatchGate } from "./watch-gate.ts";

test("after a restart watch requests wait, in order and at most so many, until all that was shown is applied", () => {
  const log: string[] = [];
  const probes: ReadProbe[] = [];
  const reading = { showsItsPast: false, afterPast: (probe: ReadProbe) => void probes.push(probe) };
  const member = {
    reading,
    limits: { watchControlBacklogMax: 2 },
    hub: {
      onMessage: (_call: Call, bytes: Uint8Array, start: number) => void log.push(`request ${bytes[start]}`),
      refuse: () => void log.push("refused"),
    },
    options: { waker: { wake: () => undefined } },
  };
  const gate = new WatchGate(member as unknown as Member);
  const call = {} as Call;
  const input = Uint8Array.of(1, 2, 3, 4);
  gate.onMessage(call, input, 0, 1);
  gate.onMessage(call, input, 1, 2);
  gate.onMessage(call, input, 2, 3);
  gate.turn();
  gate.turn();
  assert.equal(probes.length, 1, "one question for all");
  probes[0]!({ code: 14, text: "no leader" });
  gate.turn();
  assert.equal(probes.length, 2, "and again when it cannot be answered");
  assert.deepEqual(log, ["refused"]);
  input.fill(0); // the connection's buffer is used again
  reading.showsItsPast = true;
  gate.turn();
  gate.onMessage(call, Uint8Array.of(4), 0, 1);
  assert.deepEqual(log, ["refused", "request 1", "request 2", "request 4"]);
});
