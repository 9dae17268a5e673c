// One run: connect, preload, load, result.

import { Prng } from "../../core/base/prng.ts";
import { Control, statusOf } from "./control.ts";
import { EtcdStore } from "./etcd-store.ts";
import { DistinctCounter, KeyChooser, KeySpace } from "./keys.ts";
import { KubernetesWorkload } from "./kubernetes-workload.ts";
import { LeaseWorkload } from "./lease-workload.ts";
import { type Live, Load, type LoadResult, type LoopMode } from "./load.ts";
import { LockWorkload } from "./lock-workload.ts";
import type { RunOptions } from "./options.ts";
import { PointWorkload } from "./point-workload.ts";
import { ProcessSampler } from "./process-sampler.ts";
import { RangeWorkload } from "./range-workload.ts";
import { resultOf, type RunResult } from "./result.ts";
import type { Rpc } from "./rpc.ts";
import { readServerName } from "./server-metrics.ts";
import { openRpc } from "./rpc-client.ts";
import { SizeTable, ValuePool } from "./sizes.ts";
import { openForeignStore } from "./foreign-store.ts";
import { CasWorkload, TxnWorkload } from "./txn-workload.ts";
import { WatchWorkload } from "./watch-workload.ts";
import type { KeyValueStore, Material, Workload } from "./workload.ts";

export interface RunHooks {
  readonly signal: AbortSignal;
  readonly onSecond: (live: Live) => void;
  readonly onPhase: (text: string) => void;
  /** Keys are there and the load begins, with its warm-up. */
  readonly onLoad?: () => void;
  /** Name and version of the server, where they are known: else its metrics page is asked for them. */
  readonly server?: string;
  /** The servers' metrics pages are read every second, as for a report, so that marks say what a spike was. */
  readonly readsMetrics?: boolean;
}

/** Slots of the preload: enough to fill any store's batches. */
const PRELOAD_CLIENTS = 100;
const CONTROL_SLOTS = 64;

interface Opened {
  readonly rpc: Rpc | undefined;
  readonly control: Control | undefined;
  readonly store: KeyValueStore;
  readonly version: string;
  /** Its name and version, as far as it says them. */
  readonly server: string;
}

/** What a workload is made of that is none of the bench's own. */
export interface WorkloadParts {
  readonly rpc: Rpc;
  readonly control: Control;
  readonly material: Material;
  readonly store: KeyValueStore;
}

/**
 * Runs the workload to its end, or until `signal`; rejects when the store cannot be reached or refuses the set-up. Another
 * workload than the options name runs under the same load with `make`.
 */
export async function runOnce(
  options: RunOptions,
  hooks: RunHooks,
  make?: (parts: WorkloadParts) => Workload,
): Promise<RunResult> {
  const opened = await open(options, hooks.server);
  const { rpc, control, store } = opened;
  try {
    return await runOn(opened, { options, hooks }, (material, slots) => {
      if (!make) return workloadOf(opened, options, material, slots);
      if (!rpc || !control) throw new Error("This load needs a store that speaks etcd's API");
      return make({ rpc, control, material, store });
    });
  } finally {
    await opened.control?.close();
    await opened.store.close();
  }
}

async function runOn(
  opened: Opened,
  run: { readonly options: RunOptions; readonly hooks: RunHooks },
  make: (material: Material, slots: number) => Workload,
): Promise<RunResult> {
  const { options, hooks } = run;
  if (options.preload) await preload(opened, options, hooks);
  const sampler = new ProcessSampler({
    metricsEverySecond: options.reportFile !== undefined || hooks.readsMetrics === true,
    tls: options.tls,
  });
  const load: Load = newLoad(options, hooks, () => {
    sampler.begin();
    workload.beginMeasuring?.();
  });
  const written = new DistinctCounter(options.keys);
  const material = materialOf(options, {
    done: (slot, failure) => load.done(slot, failure),
    wrote: (slot, index) => {
      if (load.isMeasured(slot)) written.add(index);
    },
  });
  const workload = make(material, load.slots);
  await workload.prepare();
  await sampler.find(options.endpoints, options.pids);
  hooks.onPhase(`${options.workload}: running`);
  const startedAt = new Date();
  sampler.warmUp(options.warmupUs / 1000);
  hooks.onLoad?.();
  const result = await load.run(workload);
  const servers = await sampler.stop();
  const extras = workload.extras();
  await workload.finish();
  return resultOf({
    options,
    load: result,
    distinctKeys: written.count,
    extras,
    serverVersion: opened.version,
    server: opened.server,
    servers,
    samples: sampler.samples,
    marks: sampler.marks,
    startedAt,
  });
}

async function open(options: RunOptions, known: string | undefined): Promise<Opened> {
  if (options.store !== "etcd") {
    const store = await openForeignStore(options.store, options.endpoints, options.connections);
    const server = `${options.store} ${store.version}`;
    return { rpc: undefined, control: undefined, store, version: store.version, server };
  }
  const slots = Math.max(slotsOf(options), PRELOAD_CLIENTS);
  const shared = { endpoints: options.endpoints, tls: options.tls, user: options.user };
  const control = new Control(
    await openRpc({ ...shared, connectionCount: 1, slotCount: CONTROL_SLOTS }),
    CONTROL_SLOTS,
  );
  // A store that answers no status is loaded all the same; only its version stays unknown.
  const version = await statusOf(control).then(
    (status) => status.version,
    () => "unknown",
  );
  const rpc = await openRpc({ ...shared, connectionCount: options.connections, slotCount: slots });
  const store = new EtcdStore(rpc, { serializable: options.serializable });
  store.attach();
  const server =
    known ?? (await readServerName(options.endpoints[0]!, options.tls)) ?? `etcd's API ${version}`;
  return { rpc, control, store, version, server };
}

/** The endpoint of the leader; the first one when none of them is, or says so. */
export async function leaderOf(options: RunOptions): Promise<string> {
  const { endpoints, tls, user } = options;
  if (endpoints.length === 1 || options.store !== "etcd") return endpoints[0]!;
  for (const endpoint of endpoints) {
    // A member that is down leads nothing.
    const leads = await isLeader({ endpoints: [endpoint], tls, user }).catch(() => false);
    if (leads) return endpoint;
  }
  return endpoints[0]!;
}

async function isLeader(one: Pick<RunOptions, "endpoints" | "tls" | "user">): Promise<boolean> {
  const control = new Control(await openRpc({ ...one, connectionCount: 1, slotCount: 1 }), 1);
  try {
    return (await statusOf(control)).isLeader;
  } finally {
    await control.close();
  }
}

function slotsOf(options: RunOptions): number {
  return options.ratePerSecond === undefined ? options.clients : options.inFlightMax;
}

function modeOf(options: RunOptions): LoopMode {
  if (options.ratePerSecond === undefined) return { kind: "closed", clients: options.clients };
  const { arrival, precise } = options;
  return { kind: "open", ratePerSecond: options.ratePerSecond, arrival, slots: options.inFlightMax, precise };
}

function newLoad(options: RunOptions, hooks: RunHooks, onMeasured: () => void): Load {
  return new Load({
    mode: modeOf(options),
    durationUs: options.durationUs,
    operationsMax: options.operationsMax,
    warmupUs: options.warmupUs,
    timeoutUs: options.timeoutUs,
    prng: new Prng(options.seed).split("schedule"),
    signal: hooks.signal,
    onSecond: hooks.onSecond,
    onMeasured,
  });
}

function materialOf(options: RunOptions, ends: Pick<Material, "done" | "wrote">): Material {
  const prng = new Prng(options.seed);
  const valueSizes = new SizeTable(options.valueSize, prng.split("value sizes"));
  const keys = new KeySpace({
    count: options.keys,
    prefix: options.prefix,
    sizes: new SizeTable(options.keySize, prng.split("key sizes")),
  });
  return {
    keys,
    chooser: new KeyChooser(options.order, options.keys, prng.split("keys")),
    values: new ValuePool(valueSizes.max, prng.split("values")),
    valueSizes,
    prng: prng.split("mix"),
    ...ends,
  };
}

/** Writes every key once, in order, in a closed loop. */
async function preload(opened: Opened, options: RunOptions, hooks: RunHooks): Promise<void> {
  hooks.onPhase(`preloading ${options.keys} keys`);
  const clients = Math.min(PRELOAD_CLIENTS, options.keys);
  const load = new Load({
    mode: { kind: "closed", clients },
    durationUs: Number.POSITIVE_INFINITY,
    operationsMax: options.keys,
    warmupUs: 0,
    timeoutUs: Math.max(options.timeoutUs, 30_000_000),
    prng: new Prng(options.seed),
    signal: hooks.signal,
  });
  const material = materialOf(
    { ...options, order: "sequential" },
    { done: (slot, failure) => load.done(slot, failure), wrote: () => undefined },
  );
  const result: LoadResult = await load.run(new PointWorkload(opened.store, material, 0));
  if (result.errors > 0) throw new Error(`Cannot preload: ${[...result.errorTexts.keys()].join("; ")}`);
}

function workloadOf(opened: Opened, options: RunOptions, material: Material, slots: number): Workload {
  const { rpc, control, store } = opened;
  if (options.workload === "put") return new PointWorkload(store, material, 0);
  if (options.workload === "mixed") return new PointWorkload(store, material, options.readShare);
  if (options.workload === "range" && options.rangeMode === "single")
    return new PointWorkload(store, material, 1);
  if (!rpc || !control) throw new Error(`Workload ${options.workload} needs a store that speaks etcd's API`);
  switch (options.workload) {
    case "range":
      return new RangeWorkload(rpc, material, {
        ...options,
        mode: options.rangeMode === "paged" ? "paged" : "prefix",
      });
    case "list":
      return new RangeWorkload(rpc, material, { ...options, mode: "list" });
    case "txn":
      return new TxnWorkload(rpc, material, options.txnPuts);
    case "cas":
      return new CasWorkload(rpc, material, options);
    case "watch-latency":
    case "watch-fanout":
      return new WatchWorkload(rpc, material, options);
    case "lease-keepalive":
      return new LeaseWorkload(rpc, control, material, options.leases);
    case "lock":
      return new LockWorkload(rpc, control, material, { locks: options.locks, slots });
    case "kubernetes":
      return new KubernetesWorkload(rpc, material);
  }
}
