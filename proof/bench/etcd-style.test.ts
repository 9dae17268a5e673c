// etcd's own words against a real store: its subcommands, its published command lines, the letters of its output.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startCluster, type TestCluster } from "../../product/testing/index.ts";
import { parseEtcdFlags } from "./etcd-flags.ts";
import { etcdReport, goDuration, type Measured, measuredFrom } from "./etcd-report.ts";
import { Histogram } from "./histogram.ts";
import { run } from "./main.ts";
import { UsageError } from "./options.ts";

let cluster: TestCluster;

before(async () => {
  cluster = await startCluster();
});

after(async () => {
  await cluster.stop();
});

async function etcdStyle(words: string): Promise<{ status: number; out: string; err: string }> {
  let out = "";
  let err = "";
  const io = {
    stdout: { write: (text: string) => (out += text) },
    stderr: { write: (text: string) => (err += text) },
    stdin: undefined,
    env: {},
  };
  const argv = words.replaceAll("ENDPOINT", cluster.endpoints[0]!).split(" ");
  return { status: await run(["--etcd-style", ...argv], io), out, err };
}

/** What is the same in every run: names, tabs, empty lines. */
function formOf(out: string): string[] {
  return out
    .split("\nWhat this output hides:")[0]!
    .replaceAll(/\d+(?:\.\d+)?(?:e-\d+)?(?:µs|ms|s)?/g, "N")
    .replaceAll(/∎+/g, "")
    .split("\n")
    .filter((line) => !line.includes("% in N"));
}

const HISTOGRAM = ["Response time histogram:", ...Array.from({ length: 11 }, () => "  N [N]\t|"), ""];
const FIGURES = ["Total", "Slowest", "Fastest", "Average", "Stddev"].map((name) => `  ${name}:\tN secs.`);
const SUMMARY = ["", "Summary:", ...FIGURES, "  Requests/sec:\tN", "", ...HISTOGRAM, "Latency distribution:"];
const SAMPLES = [
  "",
  "Sample in one second (unix latency throughput):",
  "UNIX-SECOND,MIN-LATENCY-MS,AVG-LATENCY-MS,MAX-LATENCY-MS,AVG-THROUGHPUT",
  "N,N,N,N,N",
  "",
];
const HASH = [
  "HashKV Summary:",
  "\tHashKV: N",
  "\tEndpoint: N.N:N",
  "\tTime taken to get hashkv: N",
  "\tDB size: N kB",
];

const FORMS: readonly (readonly [words: string, form: readonly string[]])[] = [
  // As etcd's documentation has them, with other totals.
  [
    "--endpoints=ENDPOINT --conns=1 --clients=1 put --key-size=8 --sequential-keys --total=50 --val-size=256",
    [...SUMMARY, "", ""],
  ],
  [
    "--endpoints=ENDPOINT --target-leader --conns=10 --clients=20 put --key-size=8 --sequential-keys --total=90 --val-size=256",
    [...SUMMARY, "", ""],
  ],
  [
    "--endpoints=ENDPOINT --conns=1 --clients=1 range YOUR_KEY --consistency=l --total=50",
    ["bench with linearizable range", ...SUMMARY, ""],
  ],
  [
    "--endpoints=ENDPOINT range a z --consistency=s --total=50 --count-only --limit 3",
    ["bench with serializable range", ...SUMMARY, ""],
  ],
  ["put --sample=true --precise --total 20 --endpoints ENDPOINT", [...SUMMARY, ...SAMPLES, "", ""]],
  [
    "put --total 20 --check-hashkv --dial-timeout 5s --compact-interval 10ms --endpoints ENDPOINT",
    [...SUMMARY, "", ...HASH, ""],
  ],
  ["txn-put --total 20 --txn-ops 4 --key-space-size 9 --endpoints ENDPOINT", [...SUMMARY, "", ""]],
  [
    "txn-mixed k --total 60 --rw-ratio 1.5 --limit 5 --endpoints ENDPOINT",
    [
      "bench with linearizable range",
      "Total Read Ops: N",
      "Details:",
      ...SUMMARY.slice(1),
      "",
      "Total Write Ops: N",
      "Details:",
      ...SUMMARY.slice(1),
      "",
      "",
    ],
  ],
  ...["c", "r", "s", "ss"].map(
    (isolation) =>
      [
        `stm --total 30 --keys 3 --keys-per-txn 2 --clients 4 --isolation ${isolation} --endpoints ENDPOINT`,
        [...SUMMARY, ""],
      ] as const,
  ),
  [
    "watch --put-total 20 --streams 2 --watch-per-stream 3 --watched-key-total 4 --key-space-size 9 --endpoints ENDPOINT",
    ["Watch creation summary:", ...SUMMARY, "Watch events received summary:", ...SUMMARY, ""],
  ],
  ["watch-get --watchers 20 --events 3 --endpoints ENDPOINT", ["Get during watch summary:", ...SUMMARY, ""]],
  [
    "watch-latency --put-total 20 --put-rate 500 --streams 2 --watchers-per-stream 2 --prevkv --endpoints ENDPOINT",
    ["", "Put summary:", ...SUMMARY, "", "Watch events summary:", ...SUMMARY, ""],
  ],
  ["lease-keepalive --total 30 --clients 2 --endpoints ENDPOINT", [...SUMMARY, ""]],
  ["mvcc put --total 200 --txn --txn-ops 10", [...SUMMARY, ""]],
];

for (const [words, form] of FORMS) {
  test(`etcd-style: ${words}`, async () => {
    const { status, out, err } = await etcdStyle(words);
    assert.equal(status, 0, err);
    assert.deepEqual(formOf(out), [...form]);
    assert.match(out, /\nWhat this output hides:\n {2}\S/);
    assert.equal(out.split("What this output hides").length, 2, "one note");
  });
}

test("etcd-style: every event of every watcher is counted, and every put", async () => {
  const words =
    "watch-latency --put-total 20 --put-rate 0 --streams 2 --watchers-per-stream 3 --endpoints ENDPOINT";
  const { out } = await etcdStyle(words);
  const counted = out
    .split("Watch events summary:")
    .map((part) => [...part.matchAll(/ \[(\d+)\]\t/g)].reduce((sum, match) => sum + Number(match[1]), 0));
  assert.deepEqual(counted, [20, 120]);
});

test("etcd-style: what is not supported or not known is refused by name", async () => {
  for (const [words, expected] of [
    ["put --report-perfdash", /--report-perfdash is not supported/],
    ["--auto-sync-interval 1s put", /--auto-sync-interval is not supported/],
    ["stm --stm-locker lock-rpc", /--stm-locker lock-rpc is not supported/],
    ["mvcc put --cpuprofile f", /--cpuprofile is not supported/],
    ["mvcc get", /mvcc get is not supported/],
    ["put --watchers 3", /put: .*--watchers/],
    ["put extra", /put takes 0 words/],
    ["range", /range takes 1 to 2 words/],
    ["range k --consistency x", /--consistency is x/],
    ["put --total ten", /--total is ten/],
    [
      "txn-put --txn-ops 4",
      /expected --txn-ops no larger than --key-space-size, got txn-ops\(4\) key-space-size\(1\)/,
    ],
    ["snapshot", /snapshot is none of put, range/],
  ] as const) {
    const { status, err, out } = await etcdStyle(words);
    assert.equal(status, 2, words);
    assert.match(err, expected, words);
    assert.equal(out, "");
  }
});

test("etcd-style: global flags stand where they like, and a value may be called like a command", () => {
  const flags = parseEtcdFlags([
    "--user",
    "put",
    "--endpoints",
    "a:1",
    "put",
    "--endpoints=b:2",
    "--precise",
  ]);
  assert.deepEqual([flags.command, flags.text("user"), flags.text("endpoints")], ["put", "put", "a:1,b:2"]);
  assert.equal(flags.is("precise"), true);
  assert.equal(parseEtcdFlags(["put", "--sample=false"]).is("sample"), false);
  assert.throws(() => parseEtcdFlags([]), UsageError);
});

test("etcd-style: nobody there within --dial-timeout is an error", async () => {
  const { status, err } = await etcdStyle("put --dial-timeout 100ms --total 1 --endpoints 127.0.0.1:1");
  assert.equal(status, 1);
  assert.match(err, /127\.0\.0\.1:1/);
});

test("etcd-style: durations are Go's", () => {
  const printed = [0, 0.25, 783.635, 2636.55, 70_827.745, 1_500_000, 60_000_000, 62_000_001].map(goDuration);
  assert.deepEqual(printed, [
    "0s",
    "250ns",
    "783.635µs",
    "2.63655ms",
    "70.827745ms",
    "1.5s",
    "1m0s",
    "1m2.000001s",
  ]);
});

function measured(...us: number[]): Measured {
  const histogram = new Histogram();
  for (const one of us) histogram.record(one);
  return measuredFrom(histogram, 2);
}

test("etcd-style: percentiles by nearest rank, left out where too few operations reach them; bars are cut, not rounded", () => {
  const report = etcdReport(measured(...Array.from({ length: 99 }, () => 1000), 11_000), {
    precise: false,
    sample: false,
  });
  assert.match(report, /^ {2}0\.0010 \[99\]\t\|∎{40}$/m);
  // 1 of 99 in 40 columns is not half a column.
  assert.match(report, /^ {2}0\.0110 \[1\]\t\|$/m);
  assert.match(report, /^ {2}99% in 0\.0110 secs\.$/m);
  assert.doesNotMatch(report, /99\.9%/);
  assert.match(report, /Requests\/sec:\t50\.0000/);
  assert.doesNotMatch(etcdReport(measured(1000, 2000), { precise: false, sample: false }), /75%/);
});

test("etcd-style: all digits with --precise, as Go's %g has them", () => {
  const report = etcdReport(measured(20, 2000), { precise: true, sample: false });
  assert.match(report, /Fastest:\t2e-05 secs\./);
  assert.match(report, /Slowest:\t0\.002 secs\./);
});
