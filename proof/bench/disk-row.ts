// P24: what a store writes to the device for a byte that it stores, by the counters of the whole disk: with many clients,
// with one, and while keys are overwritten and compacted from time to time, by many clients as fast as they can and one put
// at a time; and what it keeps of that. One put at a time writes whole sectors of the log for each, and what a file system adds
// to a synced write, so that its figure says more about these than about what is stored. Each part begins with a
// start and ends with a clean stop and a sync, so that what a store puts off, a checkpoint of dozens of MB, counts with
// the puts that it was for, and not with those of the next part.

import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { METHOD } from "../../core/wire/service.ts";
import { all, loadOn, massKeys, type RowContext, type Running, withOne } from "./contenders.ts";
import type { Cluster } from "./launch.ts";
import { isInMemory, sectorsWritten } from "./probes.ts";
import { lower, type ProcessRow, type Values } from "./process-row.ts";
import type { RunResult } from "./result.ts";

const PAYLOAD_BYTES = 64 + 256;
const SECTOR_BYTES = 512;
/** Of what lies between two compactions, a third of the keys: enough to matter, and a disk of 1.5 times the live data can hold it. */
const OVERWRITTEN_SHARE = 1 / 3;
const DISTINCT_KEYS = {
  full: { many: 1_000_000, one: 50_000 },
  quick: { many: 500_000, one: 20_000 },
};
const COMPACTIONS = { full: { everySeconds: 300, count: 2 }, quick: { everySeconds: 6, count: 2 } };

export const DISK_ROW: ProcessRow = {
  id: "P24",
  what: "device sectors written per byte stored: 100 clients; 1 client; a third of the keys overwritten between compactions, by 100 clients and one put at a time over 5 minutes (whole disk: keep it otherwise quiet)",
  figures: [
    lower("100 clients", "x", { gate: { ratio: 0.75 }, target: { ratio: 0.6 }, stretch: { value: 2 } }),
    lower("1 client", "x", { gate: { ratio: 0.9 }, target: { ratio: 0.4 } }),
    // Less is asked for than one client may write without any overwrites, so it is many clients that are meant.
    lower("overwrites", "x", { gate: { value: 5 }, target: { value: 4 }, stretch: { value: 3 } }),
    // The goals name no bound for it: judged as one client that overwrites nothing.
    lower("overwrites, one at a time", "x", { gate: { ratio: 0.9 }, target: { ratio: 0.4 } }),
    lower("disk / live data", "x", { target: { value: 1.5 } }),
  ],
  run: async (context, values) => {
    if (sectorsWritten() === undefined) throw new Error("this machine has no /proc/diskstats");
    const { directory } = context.options;
    if (isInMemory(directory)) throw new Error(`${directory} lies in memory, no sector is written (--dir)`);
    const { everySeconds, count } = COMPACTIONS[context.options.suite];
    context.notes.push(
      `overwrites: ${massKeys(context)} keys, a third of them again before each of ${count} compactions; one at a time over ${everySeconds} s${everySeconds < 300 ? " (--suite full: 5 minutes)" : ""}`,
    );
    for (const who of all(context.options)) {
      await withOne(
        context,
        who,
        async (cluster, target) => {
          await distinctKeys(context, { cluster, target, values });
          if (who.kind === "holdfast" || who.kind === "etcd")
            await overwrites(context, { cluster, target, values });
        },
        { start: false },
      );
    }
  },
};

interface Store {
  readonly cluster: Cluster;
  readonly target: Running;
  readonly values: Values;
}

async function distinctKeys(context: RowContext, { cluster, target, values }: Store): Promise<void> {
  const counts = DISTINCT_KEYS[context.options.suite];
  for (const { name, prefix, count, clients } of [
    {
      name: "100 clients",
      prefix: "many/",
      count: counts.many,
      clients: ["--clients", "100", "--conns", "10"],
    },
    { name: "1 client", prefix: "one/", count: counts.one, clients: ["--clients", "1"] },
  ]) {
    context.say(`writing ${count} keys with ${name}: ${target.contender.name}`);
    const keys = ["--prefix", prefix, "--keys", String(count), "--total", String(count)];
    const written = await writtenBy(cluster, async () =>
      loadOn(context, target, "put", [...keys, ...clients]),
    );
    values.add(name, target.contender.name, written);
  }
}

async function overwrites(context: RowContext, { cluster, target, values }: Store): Promise<void> {
  const { name } = target.contender;
  const { everySeconds, count } = COMPACTIONS[context.options.suite];
  const keys = massKeys(context);
  const shared = ["--prefix", "over/", "--keys", String(keys)];
  context.say(`loading ${keys} keys: ${name}`);
  cluster.startMember(0);
  await cluster.ready();
  const fill = ["--txn-ops", "20", "--total", String(Math.ceil(keys / 20)), "--clients", "16"];
  await loadOn(context, target, "txn", [...shared, ...fill, "--timeout", "60s"]);
  await cluster.stopMember(0);
  const third = Math.round(keys * OVERWRITTEN_SHARE);
  const paced = ["--rate", String(third / everySeconds), "--duration", `${everySeconds}s`];
  for (const { figure, load } of [
    { figure: "overwrites", load: ["--clients", "100", "--conns", "10", "--total", String(third)] },
    { figure: "overwrites, one at a time", load: paced },
  ]) {
    const ratio = await writtenBy(cluster, async () => {
      let operations = 0;
      for (let i = 1; i <= count; i++) {
        context.say(`${figure}, until compaction ${i} of ${count}: ${name}`);
        const options = [...shared, "--order", "uniform", "--warmup", "0s", ...load];
        operations += (await loadOn(context, target, "put", options)).operations;
        await compact(cluster);
      }
      return { operations };
    });
    values.add(figure, name, ratio);
  }
  // What was stored for the rows before lies there, too.
  const before = DISTINCT_KEYS[context.options.suite];
  const live = keys + before.many + before.one;
  values.add("disk / live data", name, allocatedBytes(cluster.directories[0]!) / (live * PAYLOAD_BYTES));
}

/** Up to now, and waits until it is carried out. */
async function compact(cluster: Cluster): Promise<void> {
  await cluster.withControl(0, async (control) => {
    const revision = (await control.call(METHOD.status, {})).header!.revision;
    await control.call(METHOD.compact, { revision, physical: true }, 120_000);
  });
}

/** Bytes that reached the device during `load`, for each byte that it stored. The store does not run before, and not afterwards. */
async function writtenBy(
  cluster: Cluster,
  load: () => Promise<Pick<RunResult, "operations">>,
): Promise<number> {
  cluster.startMember(0);
  await cluster.ready();
  execFileSync("sync");
  const before = sectorsWritten()!;
  const { operations } = await load();
  await cluster.stopMember(0);
  execFileSync("sync");
  return ((sectorsWritten()! - before) * SECTOR_BYTES) / (operations * PAYLOAD_BYTES);
}

function allocatedBytes(directory: string): number {
  let bytes = 0;
  for (const entry of fs.readdirSync(directory, { withFileTypes: true, recursive: true })) {
    const file = path.join(entry.parentPath, entry.name);
    // A file that a store has just given up is gone.
    const stat = entry.isFile() ? fs.statSync(file, { throwIfNoEntry: false }) : undefined;
    bytes += (stat?.blocks ?? 0) * SECTOR_BYTES;
  }
  return bytes;
}
