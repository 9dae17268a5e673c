// The rows about losing a leader: how long no put is acknowledged.

import { encodeUtf8 } from "../../core/base/utf8.ts";
import { METHOD } from "../../core/wire/service.ts";
import { type Acknowledged, type CostOfMove, costOfMove } from "./ack-gaps.ts";
import { etcdLike, prepare, type RowContext } from "./contenders.ts";
import { Control } from "./control.ts";
import type { Cluster } from "./launch.ts";
import type { ProcessRow } from "./process-row.ts";
import { openRpc } from "./rpc-client.ts";
import { clockUs, Ticker } from "./ticker.ts";

/**
 * A put so often, to one member after the other: no gap can be seen that is shorter, and a store that is close to its capacity shows the load
 * instead of the move. Node's timers, of whole milliseconds, would send in bursts with 2 ms and more between them.
 */
const PUT_EVERY_US = 667;
const GIVE_UP_MS = 20_000;
/** Before a put that failed is sent to the next member. */
const AGAIN_AFTER_MS = 2;
const SLOTS = 8192;
const WARM_UP_MS = 5_000;

/** Sends puts to some members all the time, and notes when they are acknowledged; what fails is sent again, to the next one. */
class Prober {
  readonly #controls: Control[] = [];
  readonly #ticker = new Ticker({ precise: false, onTick: () => this.#onTick() });
  #putCount = 0;
  #dueUs = 0;
  /** In order of the ends. */
  readonly #acknowledged: Acknowledged[] = [];
  /** When the puts began that have no answer yet. */
  readonly #open = new Set<number>();
  #isStopped = false;
  failureCount = 0;

  async start(endpoints: readonly string[], cluster: Cluster): Promise<void> {
    for (const endpoint of endpoints) {
      const rpc = await openRpc({
        endpoints: [endpoint],
        connectionCount: 1,
        slotCount: SLOTS,
        tls: cluster.tls,
        user: undefined,
      });
      this.#controls.push(new Control(rpc, SLOTS));
    }
    await this.#ticker.ready;
    this.#dueUs = clockUs();
    this.#onTick();
  }

  #onTick(): void {
    const nowUs = clockUs();
    for (; this.#dueUs <= nowUs; this.#dueUs += PUT_EVERY_US) {
      this.#open.add(this.#dueUs);
      this.#put(this.#putCount++, this.#dueUs);
    }
    this.#ticker.wakeAt(this.#dueUs);
  }

  /** A put that was due at `startUs`: a client that failed it and repeats it waits since then. */
  #put(member: number, startUs: number): void {
    const control = this.#controls[member % this.#controls.length]!;
    const request = { key: encodeUtf8("probe"), value: encodeUtf8(String(startUs)) };
    control.call(METHOD.put, request, GIVE_UP_MS).then(
      ({ header }) => {
        this.#open.delete(startUs);
        this.#acknowledged.push({ startUs, endUs: clockUs(), term: Number(header?.raft_term ?? 0) });
      },
      () => {
        this.failureCount++;
        if (!this.#isStopped) setTimeout(() => this.#put(member + 1, startUs), AGAIN_AFTER_MS);
      },
    );
  }

  /** Waits until all puts that were due by now are acknowledged. */
  async answered(): Promise<void> {
    const nowUs = clockUs();
    while ([...this.#open].some((startUs) => startUs <= nowUs)) {
      if ((clockUs() - nowUs) / 1000 > GIVE_UP_MS)
        throw new Error(`a put was not acknowledged for ${GIVE_UP_MS} ms`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Milliseconds from `sinceUs` to the first acknowledgement of a put that was started after it. */
  async firstAfter(sinceUs: number): Promise<number> {
    for (;;) {
      const found = this.#acknowledged.find((one) => one.startUs > sinceUs);
      if (found) return (found.endUs - sinceUs) / 1000;
      if ((clockUs() - sinceUs) / 1000 > GIVE_UP_MS)
        throw new Error(`no put was acknowledged for ${GIVE_UP_MS} ms`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  costOfMove(sinceUs: number): CostOfMove {
    const cost = costOfMove(this.#acknowledged, sinceUs);
    if (cost === undefined) throw new Error("no put was acknowledged by the new leader");
    return cost;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#ticker.stop();
    for (const control of this.#controls) await control.close();
  }
}

async function withThree(
  context: RowContext,
  body: (cluster: Cluster, name: string) => Promise<void>,
): Promise<void> {
  for (const who of etcdLike(context.options)) {
    const cluster = await prepare(context, who, 3);
    try {
      for (let i = 0; i < 3; i++) cluster.startMember(i);
      await cluster.ready();
      context.say(`${who.name}: some seconds of load`);
      await warmUp(cluster);
      await body(cluster, who.name);
    } finally {
      await cluster.stop();
    }
  }
}

/** A cluster that loses its leader has served for a while; one that began a second ago still compiles. */
async function warmUp(cluster: Cluster): Promise<void> {
  const prober = new Prober();
  await prober.start(cluster.endpoints, cluster);
  await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
  await prober.answered();
  await prober.stop();
}

function trials(context: RowContext): number {
  return context.options.suite === "full" ? 20 : 5;
}

/** Loses the leader `lose`, measures the gap at the others, and brings it back. */
async function gapOf(cluster: Cluster, lose: "SIGKILL" | "SIGSTOP"): Promise<number> {
  const leader = await cluster.leader();
  const survivors = cluster.endpoints.filter((_, i) => i !== leader);
  const prober = new Prober();
  await prober.start(survivors, cluster);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const sinceUs = clockUs();
  cluster.signal(leader, lose);
  try {
    return await prober.firstAfter(sinceUs);
  } finally {
    await prober.stop();
    if (lose === "SIGSTOP") cluster.signal(leader, "SIGCONT");
    else {
      await cluster.stopMember(leader, "SIGKILL");
      cluster.startMember(leader);
    }
    await cluster.ready();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

const KILL: ProcessRow = {
  id: "P19",
  what: "kill -9 of the leader to the first acknowledged put, 3 members, default timers",
  figures: [
    {
      name: "gap",
      unit: "ms",
      better: "lower",
      demands: { gate: { ratio: 1 }, target: { ratio: 0.15 }, stretch: { value: 50 } },
    },
  ],
  run: async (context, values) => {
    await withThree(context, async (cluster, name) => {
      for (let trial = 0; trial < trials(context); trial++) {
        context.say(`${name}: killing the leader, ${trial + 1} of ${trials(context)}`);
        values.add("gap", name, await gapOf(cluster, "SIGKILL"));
      }
    });
  },
};

const SILENT: ProcessRow = {
  id: "P20",
  what: "silent leader (SIGSTOP); graceful move of leadership: write gap, 3 members",
  figures: [
    {
      name: "silent leader",
      unit: "ms",
      better: "lower",
      demands: { gate: { ratio: 1 }, target: { ratio: 0.9 } },
    },
    {
      name: "graceful move",
      unit: "ms",
      better: "lower",
      demands: { gate: { ratio: 0.5 }, target: { value: 50 }, stretch: { value: 20 } },
    },
    {
      name: "graceful move: longest put",
      unit: "ms",
      better: "lower",
      demands: { gate: { ratio: 0.5 }, target: { value: 50 }, stretch: { value: 20 } },
    },
  ],
  run: async (context, values) => {
    await withThree(context, async (cluster, name) => {
      let failures = 0;
      for (let trial = 0; trial < Math.min(5, trials(context)); trial++) {
        context.say(`${name}: moving the leader, ${trial + 1}`);
        const { cost, failureCount } = await move(cluster);
        values.add("graceful move", name, cost.gapUs / 1000);
        values.add("graceful move: longest put", name, cost.longestPutUs / 1000);
        failures += failureCount;
        context.say(`${name}: silencing the leader, ${trial + 1}`);
        values.add("silent leader", name, await gapOf(cluster, "SIGSTOP"));
      }
      context.notes.push(`${name}: ${failures} puts failed during the moves, and were sent again`);
    });
  },
};

async function move(cluster: Cluster): Promise<{ cost: CostOfMove; failureCount: number }> {
  const leader = await cluster.leader();
  const next = (leader + 1) % 3;
  const prober = new Prober();
  await prober.start(cluster.endpoints, cluster);
  const open = (endpoint: string) =>
    openRpc({ endpoints: [endpoint], connectionCount: 1, slotCount: 2, tls: cluster.tls, user: undefined });
  const target = new Control(await open(cluster.endpoints[next]!), 2);
  const control = new Control(await open(cluster.endpoints[leader]!), 2);
  try {
    const targetId = (await target.call(METHOD.status, {})).header!.member_id;
    await new Promise((resolve) => setTimeout(resolve, 300));
    const sinceUs = clockUs();
    await control.call(METHOD.moveLeader, { targetID: targetId });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    await prober.answered();
    return { cost: prober.costOfMove(sinceUs), failureCount: prober.failureCount };
  } finally {
    await prober.stop();
    await target.close();
    await control.close();
  }
}

export const FAILURE_ROWS: readonly ProcessRow[] = [KILL, SILENT];
