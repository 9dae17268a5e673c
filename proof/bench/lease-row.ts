// P23: many leases that end together: how long until they are gone, and what puts feel meanwhile.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { LeaseKeepAliveRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import { etcdLike, loadOn, prepare, type RowContext, type Running, sleep } from "./contenders.ts";
import { Control } from "./control.ts";
import type { ProcessRow } from "./process-row.ts";
import type { Rpc } from "./rpc.ts";
import { openRpc } from "./rpc-client.ts";
import { clockUs } from "./ticker.ts";

const FULL_LEASES = 100_000;
const QUICK_LEASES = 10_000;
/** Longer than granting and renewing all of them takes. */
const TTL_SECONDS = 30;
const AT_ONCE = 200;
const STREAMS = 10;
const GIVE_UP_SECONDS = 300;
/** Leases that are asked for one by one, and how often. */
const SAMPLES = 20;
const POLL_MS = 100;

export const LEASE_ROW: ProcessRow = {
  id: "P23",
  what: "100,000 leases ending together: time until gone; put p99 meanwhile against quiet",
  figures: [
    {
      name: "until gone",
      unit: "ms",
      better: "lower",
      demands: { gate: { ratio: 0.2 }, target: { ratio: 0.02 } },
    },
    { name: "put p99 / quiet", unit: "x", better: "lower", demands: { target: { value: 2 } } },
  ],
  run: async (context, values) => {
    const count = context.options.suite === "full" ? FULL_LEASES : QUICK_LEASES;
    if (count < FULL_LEASES) context.notes.push(`with ${count} leases, not ${FULL_LEASES}`);
    for (const who of etcdLike(context.options)) {
      const cluster = await prepare(context, who, 1);
      const open = async (connectionCount: number, slotCount: number): Promise<Rpc> =>
        openRpc({
          endpoints: [cluster.endpoints[0]!],
          connectionCount,
          slotCount,
          tls: cluster.tls,
          user: undefined,
        });
      try {
        cluster.startMember(0);
        await cluster.ready();
        const target = { contender: who, cluster, endpoint: cluster.endpoints[0]!, tls: cluster.tls };
        const rpc = await open(STREAMS, AT_ONCE);
        const control = new Control(rpc, AT_ONCE);
        const figures = await endTogether(context, { target, rpc, control, count });
        values.add("until gone", who.name, figures.goneMs);
        values.add("put p99 / quiet", who.name, figures.p99Ratio);
        await control.close();
      } finally {
        await cluster.stop();
      }
    }
  },
};

interface Setting {
  readonly target: Running;
  readonly rpc: Rpc;
  readonly control: Control;
  readonly count: number;
}

async function endTogether(
  context: RowContext,
  setting: Setting,
): Promise<{ goneMs: number; p99Ratio: number }> {
  const { target, rpc, control, count } = setting;
  const puts = (seconds: number): Promise<{ p99Us: number }> =>
    loadOn(context, target, "put", ["--rate", "500", "--duration", `${seconds}s`, "--keys", "100000"]);
  const quiet = await puts(5);
  context.say(`${target.contender.name}: granting ${count} leases`);
  const leases: bigint[] = [];
  while (leases.length < count) {
    const batch = Array.from({ length: Math.min(AT_ONCE, count - leases.length) }, () =>
      control.call(METHOD.leaseGrant, { TTL: TTL_SECONDS }),
    );
    for (const grant of await Promise.all(batch)) leases.push(grant.ID);
  }
  await renewAll(rpc, leases);
  const endUs = clockUs() + TTL_SECONDS * 1e6;
  context.say(`${target.contender.name}: waiting for their end`);
  await sleep((TTL_SECONDS - 1.5) * 1000);
  // Puts run through the end and some seconds beyond it.
  const meanwhile = puts(8);
  const gone = await untilGone(control, leases, endUs);
  return { goneMs: gone, p99Ratio: (await meanwhile).p99Us / quiet.p99Us };
}

/** Renews all as fast as the store answers, so that they end within that time. */
async function renewAll(rpc: Rpc, leases: readonly bigint[]): Promise<void> {
  let left = leases.length;
  await new Promise<void>((resolve, reject) => {
    const streams = Array.from({ length: STREAMS }, (_, i) =>
      rpc.stream(i, METHOD.leaseKeepAlive, {
        onMessage: () => {
          if (--left === 0) resolve();
        },
        onEnd: (text) => {
          if (left > 0) reject(new Error(`keep-alives ended: ${text}`));
        },
      }),
    );
    const message = new ByteWriter(32);
    for (const [i, ID] of leases.entries()) {
      message.reset();
      encode(LeaseKeepAliveRequest, { ID }, message);
      streams[i % STREAMS]!.send(message);
    }
  });
}

/**
 * Milliseconds after `endUs` until no lease is listed any more. While one of a few is still there nobody asks for the list: one of
 * 100,000 takes a store and this process tens of milliseconds, which the puts would feel.
 */
async function untilGone(control: Control, leases: readonly bigint[], endUs: number): Promise<number> {
  const step = Math.max(1, Math.floor(leases.length / SAMPLES));
  let samples = leases.filter((_, i) => i % step === 0);
  await sleep(Math.max(0, (endUs - clockUs()) / 1000));
  for (;;) {
    const answers = await Promise.all(samples.map((ID) => control.call(METHOD.leaseTimeToLive, { ID })));
    samples = samples.filter((_, i) => answers[i]!.TTL !== -1);
    const isGone =
      samples.length === 0 && (await control.call(METHOD.leaseLeases, {}, 30_000)).leases.length === 0;
    const lateMs = (clockUs() - endUs) / 1000;
    if (isGone) return Math.max(1, lateMs);
    if (lateMs > GIVE_UP_SECONDS * 1000) throw new Error(`leases are still there after ${GIVE_UP_SECONDS} s`);
    await sleep(POLL_MS);
  }
}
