// P21 and P22: what clients feel while a store looks after itself (checkpoint, compaction, defragmentation) and while a
// new member catches up. One store a time holds the keys, and an open loop of puts and gets goes on beside each piece of
// work, latency from the intended start: a store that stands still for a second shows a latency of a second.

import { METHOD } from "../../core/wire/service.ts";
import {
  etcdLike,
  type Contender,
  loadBeside,
  loadOn,
  massKeys,
  type RowContext,
  type Running,
  sleep,
  withOne,
} from "./contenders.ts";
import type { Demands } from "./figures.ts";
import type { Cluster } from "./launch.ts";
import { lower, type ProcessRow, type Values } from "./process-row.ts";
import type { RunResult } from "./result.ts";
import { clockUs } from "./ticker.ts";
import { formatDuration } from "./units.ts";

/** 1,000 put/s, as P22 asks for, and a get for each four puts. */
const PUTS_PER_SECOND = 1000;
const LOAD = { rate: 1250, reads: 0.2 };
/** Small transactions fill the store soon and leave a log that is longer than what a follower is sent of it. */
const PUTS_PER_TXN = 20;
/** Entries between checkpoints: etcd 3.6's default, and fewer where fewer keys are loaded. */
const CHECKPOINT_ENTRIES = { full: 10_000, quick: 3000 };
/** After the load a store still flushes, and so does the disk. */
const SETTLE_MS = 3000;
const WORK_TIMEOUT_MS = 600_000;

const WORKS = ["checkpoint", "compaction", "snapshot to a new member", "defragmentation"] as const;
type Work = (typeof WORKS)[number];

const PAUSE: Demands = { gate: { value: 150 }, target: { value: 20 }, stretch: { value: 5 } };

export const UPKEEP_ROW: ProcessRow = {
  id: "P21",
  what: "longest pause in checkpoint, compaction, snapshot to a new member, defragmentation with 1 M keys",
  shares: { P22: "a new member catching up with 1 M keys while 1,000 put/s go on" },
  figures: [
    ...WORKS.flatMap((work) => [
      lower(`${work}: longest`, "ms", PAUSE),
      lower(`${work}: put p99 / quiet`, "x", { target: { value: 1.5 } }),
    ]),
    lower("P22 until level", "ms", { gate: { ratio: 0.6 }, target: { ratio: 0.3 } }),
    lower("P22 put p99 / quiet", "x", { target: { value: 2 } }),
  ],
  run: async (context, values) => {
    const keys = massKeys(context);
    const entries = CHECKPOINT_ENTRIES[context.options.suite];
    if (keys < 1_000_000) context.notes.push(`with ${keys} keys, not 1,000,000`);
    context.notes.push(
      `${LOAD.rate} operations a second beside it, ${PUTS_PER_SECOND} of them puts; --snapshot-count ${entries}`,
    );
    for (const who of etcdLike(context.options)) {
      const more = { spares: 1, flags: ["--snapshot-count", String(entries)] };
      await withOne(
        context,
        who,
        async (cluster, target) => new Upkeep(context, { who, cluster, target, values, keys }).run(entries),
        more,
      );
    }
  },
};

interface Setting {
  readonly who: Contender;
  readonly cluster: Cluster;
  readonly target: Running;
  readonly values: Values;
  readonly keys: number;
}

class Upkeep {
  readonly #context: RowContext;
  readonly #setting: Setting;
  #quietP99Us = Number.NaN;

  constructor(context: RowContext, setting: Setting) {
    this.#context = context;
    this.#setting = setting;
  }

  async run(entries: number): Promise<void> {
    const { keys, who, values } = this.#setting;
    this.#say(`loading ${keys} keys`);
    await this.#fill("sequential", keys);
    // A fifth of them again, so that a compaction finds something.
    await this.#fill("uniform", keys / 5);
    await sleep(SETTLE_MS);
    this.#say("quiet");
    const quiet = await this.#beside(async () => sleep(this.#context.options.sliceSeconds * 1000));
    this.#quietP99Us = putsOf(quiet).p99Us;
    this.#context.notes.push(
      `${who.name}, quiet: put p99 ${formatDuration(this.#quietP99Us)}, longest ${formatDuration(quiet.maxUs)}`,
    );
    const before = await checkpointCount(this.#setting.cluster);
    // So many puts make one due.
    await this.#during("checkpoint", async () => sleep((entries / PUTS_PER_SECOND + 1) * 1000));
    // Not asked for meanwhile: the page itself costs the store some milliseconds.
    if ((await checkpointCount(this.#setting.cluster)) === before)
      throw new Error(`${who.name} took no checkpoint within ${entries} puts`);
    await this.#during("compaction", async () => this.#compact());
    let levelMs = Number.NaN;
    const joining = await this.#during("snapshot to a new member", async () => {
      levelMs = await this.#join();
    });
    values.add("P22 until level", who.name, levelMs);
    values.add("P22 put p99 / quiet", who.name, putsOf(joining).p99Us / this.#quietP99Us);
    await this.#leave();
    await this.#during("defragmentation", async () => {
      await this.#setting.cluster.withControl(0, async (control) =>
        control.call(METHOD.defragment, {}, WORK_TIMEOUT_MS),
      );
    });
  }

  #say(text: string): void {
    this.#context.say(`${text}: ${this.#setting.who.name}`);
  }

  async #fill(order: string, puts: number): Promise<void> {
    const { keys, target } = this.#setting;
    const flags = [
      ...["--keys", String(keys), "--order", order, "--txn-ops", String(PUTS_PER_TXN)],
      ...["--total", String(Math.ceil(puts / PUTS_PER_TXN)), "--clients", "16", "--timeout", "60s"],
    ];
    const result = await loadOn(this.#context, target, "txn", flags);
    if (result.errors > 0)
      throw new Error(`cannot load ${target.contender.name}: ${Object.keys(result.errorTexts)[0]}`);
  }

  async #beside(body: () => Promise<void>): Promise<RunResult> {
    const flags = [
      ...["--rate", String(LOAD.rate), "--reads", String(LOAD.reads)],
      ...["--keys", String(this.#setting.keys), "--order", "uniform", "--no-preload"],
    ];
    return loadBeside(this.#context, this.#setting.target, { workload: "mixed", flags }, body);
  }

  /** Does the work beside the load and keeps the longest latency and the puts' p99. */
  async #during(work: Work, body: () => Promise<void>): Promise<RunResult> {
    const { who, values } = this.#setting;
    this.#say(work);
    const startedUs = clockUs();
    const result = await this.#beside(body);
    const seconds = ((clockUs() - startedUs) / 1e6).toFixed(1);
    if (result.errors > 0)
      this.#context.notes.push(
        `${who.name}: ${result.errors} errors within the ${seconds} s of ${work}: ${Object.keys(result.errorTexts)[0]}`,
      );
    values.add(`${work}: longest`, who.name, result.maxUs / 1000);
    values.add(`${work}: put p99 / quiet`, who.name, putsOf(result).p99Us / this.#quietP99Us);
    return result;
  }

  async #compact(): Promise<void> {
    await this.#setting.cluster.withControl(0, async (control) => {
      const revision = (await control.call(METHOD.status, {})).header!.revision;
      await control.call(METHOD.compact, { revision, physical: true }, WORK_TIMEOUT_MS);
    });
  }

  /** Adds a learner and starts it; milliseconds from its start until it has applied what the leader had. */
  async #join(): Promise<number> {
    const { cluster } = this.#setting;
    const request = { peerURLs: [cluster.peerUrlOf(SPARE)], isLearner: true };
    await cluster.withControl(0, async (control) => control.call(METHOD.memberAdd, request));
    const sinceUs = clockUs();
    cluster.startMember(SPARE);
    for (;;) {
      const leaderIndex = await appliedIndex(cluster, 0);
      const index = await appliedIndex(cluster, SPARE).catch(() => 0n);
      const ms = (clockUs() - sinceUs) / 1000;
      if (leaderIndex > 0n && index >= leaderIndex) return ms;
      if (ms > WORK_TIMEOUT_MS) throw new Error(`the new member is at ${index} of ${leaderIndex}`);
      await sleep(POLL_MS);
    }
  }

  async #leave(): Promise<void> {
    const { cluster } = this.#setting;
    await cluster.withControl(0, async (control) => {
      const { members } = await control.call(METHOD.memberList, {});
      const learner = members.find((member) => member.isLearner);
      if (learner) await control.call(METHOD.memberRemove, { ID: learner.ID });
    });
    await cluster.stopMember(SPARE, "SIGKILL");
  }
}

/** Checkpoints of Holdfast, commits of etcd's backend. */
async function checkpointCount(cluster: Cluster): Promise<number> {
  const page = await (await fetch(`http://${cluster.endpointOf(0)}/metrics`)).text();
  return Number(/^etcd_disk_backend_commit_duration_seconds_count (\d+)/m.exec(page)?.[1]);
}

const SPARE = 1;
const POLL_MS = 20;

async function appliedIndex(cluster: Cluster, member: number): Promise<bigint> {
  return cluster.withControl(member, async (control) =>
    BigInt((await control.call(METHOD.status, {}, 1000)).raftAppliedIndex),
  );
}

function putsOf(result: RunResult): RunResult["kinds"][number] {
  return result.kinds.find((kind) => kind.name === "put")!;
}
