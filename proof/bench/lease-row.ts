// P23: many leases that end together: how long until they are gone, and what puts feel meanwhile.

import { ByteWriter } from "../../core/base/byte-writer.ts";
import { LeaseKeepAliveRequest } from "../../core/wire/messages.ts";
import { encode } from "../../core/wire/schema.ts";
import { METHOD } from "../../core/wire/service.ts";
import { etcdLike, loadOn, prepare, type RowContext, type Running } from "./contenders.ts";
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
  await new Promise((resolve) => setTimeout(resolve, (TTL_SECONDS - 1.5) * 1000));
  // Puts run through the end and some seconds beyond it.
  const meanwhile = puts(8);
  const gone = await untilGone(control, endUs);
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

/** Milliseconds after `endUs` until no lease is listed any more. */
async function untilGone(control: Control, endUs: number): Promise<number> {
  for (;;) {
    const { leases } = await control.call(METHOD.leaseLeases, {}, 30_000);
    const lateMs = (clockUs() - endUs) / 1000;
    if (leases.length === 0) return Math.max(1, lateMs);
    if (lateMs > GIVE_UP_SECONDS * 1000)
      throw new Error(`${leases.length} leases are still there after ${GIVE_UP_SECONDS} s`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
