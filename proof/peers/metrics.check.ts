/**
 * The names on our /metrics beside those of a real etcd 3.6, of one member and after the same requests: whoever draws
 * dashboards of an etcd finds them here, or finds here why not.
 */
import assert from "node:assert/strict";
import { Client } from "../../product/client/index.ts";
import { claim } from "./conversation.ts";
import { findPeer } from "./peers.ts";
import { httpGet } from "./server-process.ts";
import { startTarget } from "./target.ts";

/** What etcd has and we have not, by the part that it tells of. */
const EXPLAINED: readonly (readonly [names: RegExp, why: string])[] = [
  [/^etcd_debugging_disk_backend_commit_/, "phases of a commit of bbolt"],
  [/^etcd_debugging_store_/, "the v2 store"],
  [/^etcd_debugging_snap_save_|^etcd_snap_/, "snapshot files beside the database"],
  [/^etcd_debugging_mvcc_index_compaction_pause_/, "an index that is compacted apart from the data"],
  [/^etcd_debugging_mvcc_pending_events_total$/, "events are kept nowhere: watchers read the history"],
  [/^etcd_grpc_proxy_/, "the proxy"],
  [/^etcd_debugging_auth_revision$/, "authentication is not built yet"],
  [/^etcd_mvcc_hash_duration_seconds$/, "Maintenance.Hash is not built yet"],
  [/^etcd_disk_backend_snapshot_duration_seconds$/, "Maintenance.Snapshot is not built yet"],
  [/^etcd_server_feature_enabled$/, "no gate changes anything"],
  [/^etcd_server_go_version$/, "there is no Go; nodejs_version_info says what there is"],
];

interface Page {
  /** Type by name. */
  readonly types: ReadonlyMap<string, string>;
  /** Upper bounds of the buckets by name. */
  readonly bounds: ReadonlyMap<string, ReadonlySet<number>>;
  /** Series of grpc_server_handled_total, with labels in order. */
  readonly handled: ReadonlySet<string>;
}

function parse(text: string): Page {
  const types = new Map<string, string>();
  const bounds = new Map<string, Set<number>>();
  const handled = new Set<string>();
  for (const line of text.split("\n")) {
    const type = /^# TYPE (\S+) (\S+)$/.exec(line);
    if (type !== null) types.set(type[1]!, type[2]!);
    const bucket = /^(\w+)_bucket\{.*le="([^"]+)"\}/.exec(line);
    if (bucket !== null && bucket[2] !== "+Inf")
      bounds.set(bucket[1]!, (bounds.get(bucket[1]!) ?? new Set()).add(Number(bucket[2])));
    const series = /^grpc_server_handled_total\{(.*)\}/.exec(line);
    if (series !== null) handled.add(series[1]!.split(",").sort().join());
  }
  return { types, bounds, handled };
}

async function pageOf(kind: string): Promise<Page> {
  const target = await startTarget(kind);
  const client = Client.connect({ endpoints: [target.endpoint] });
  try {
    await client.kv.put("k", "v");
    await client.kv.get("k");
    const page = await httpGet(`http://${target.endpoint}/metrics`);
    assert.ok(page !== undefined, `${kind} shows its metrics`);
    return parse(page);
  } finally {
    client.close();
    await target.stop();
  }
}

function isWanted(name: string): boolean {
  return /^(?:etcd|grpc|process|os)_/.test(name);
}

async function compare(): Promise<void> {
  const etcd = await pageOf("etcd");
  const ours = await pageOf("holdfast");
  const wanted = [...etcd.types.keys()].filter(isWanted);
  const missing = wanted.filter((name) => !ours.types.has(name));
  await claim("metrics: every name that etcd has is there, or why not is known", async () => {
    const unexplained = missing.filter((name) => !EXPLAINED.some(([names]) => names.test(name)));
    assert.deepEqual(unexplained, []);
  });
  await claim("metrics: every explanation is needed", async () => {
    const needless = EXPLAINED.filter(([names]) => !missing.some((name) => names.test(name)));
    assert.deepEqual(needless, []);
  });
  await claim("metrics: a name that both have is of the same type, with the same buckets", async () => {
    for (const name of wanted.filter((it) => ours.types.has(it))) {
      assert.equal(ours.types.get(name), etcd.types.get(name), name);
      const bounds = (page: Page): number[] => [...(page.bounds.get(name) ?? [])].map((it) => rounded(it));
      assert.deepEqual(bounds(ours), bounds(etcd), name);
    }
  });
  await claim("metrics: every call and code that etcd counts is counted from the start", async () => {
    assert.deepEqual(
      [...etcd.handled].filter((series) => !ours.handled.has(series)),
      [],
    );
  });
  console.log(`note - ${wanted.length} names of etcd, ${missing.length} of them explained`);
}

/** Doubling 0.1 gives digits at the end that a printed bound need not have. */
function rounded(bound: number): number {
  return Number(bound.toPrecision(12));
}

if (findPeer("etcd") === undefined) console.log("left out - etcd 3.6 is not on this machine: npm run peers");
else await compare();
