import assert from "node:assert/strict";
import { test } from "node:test";
import { serverConfig } from "./config.ts";
import { FlagError, parseDurationMs, parseServerFlags } from "./flags.ts";

const parse = (argv: string[], env: Record<string, string> = {}) => parseServerFlags(argv, env);
const config = (argv: string[], env: Record<string, string> = {}) => serverConfig(parse(argv, env));

test("the defaults are etcd's", () => {
  const defaults = config([]);
  assert.equal(defaults.name, "default");
  assert.equal(defaults.dataDirectory, "default.etcd");
  assert.deepEqual(defaults.listenClientUrls, ["http://localhost:2379"]);
  assert.deepEqual([...defaults.initialCluster], [["default", ["http://localhost:2380"]]]);
  assert.equal(defaults.clusterToken, "etcd-cluster");
});

test("flags are taken with one dash or two, with = or as the next word", () => {
  assert.equal(config(["-name=a", "--data-dir", "d"]).name, "a");
  assert.equal(config(["--strict-reconfig-check=false"]).strictReconfigCheck, false);
  assert.equal(config(["--strict-reconfig-check"]).strictReconfigCheck, true);
});

test("an unknown flag, a stray word and a missing value end with etcd's usage code", () => {
  for (const argv of [["--nope"], ["stray"], ["--name"], ["--heartbeat-interval=x"]]) {
    assert.throws(
      () => parse(argv),
      (error) => error instanceof FlagError && error.exitCode === 2,
    );
  }
});

test("a flag that is not built is refused by its name instead of being ignored", () => {
  assert.throws(() => parse(["--discovery", "http://x"]), /--discovery is not supported yet/);
});

test("a flag without effect here is accepted and said", () => {
  assert.match(parse(["--backend-batch-limit=5"]).notes.join(), /--backend-batch-limit has no effect/);
});

test("a flag whose default alone is true here is refused by name with any other value", () => {
  parse([
    "--pre-vote",
    "--bcrypt-cost=10",
    "--cors=*",
    "--warning-unary-request-duration=0.3s",
    "--logger=zap",
  ]);
  const others = [
    "pre-vote=false",
    "auth-token=jwt",
    "auth-token-ttl=5",
    "bcrypt-cost=11",
    "cors=http://a:1",
  ];
  for (const flag of [
    ...others,
    "host-whitelist=a",
    "warning-unary-request-duration=1s",
    "logger=capnslog",
  ]) {
    assert.throws(() => parse([`--${flag}`]), new RegExp(`--${flag} is not supported yet`), flag);
  }
});

test("the experimental spelling of a flag is the flag, where etcd 3.6 has it", () => {
  assert.equal(config(["--experimental-watch-progress-notify-interval=5s"]).watchProgressMs, 5000);
  assert.equal(config([], { ETCD_EXPERIMENTAL_WARNING_APPLY_DURATION: "1s" }).warningApplyMs, 1000);
  parse(["--experimental-initial-corrupt-check", "--experimental-enable-lease-checkpoint=true"]);
  for (const name of ["experimental-name", "experimental-nope", "initial-corrupt-check"]) {
    assert.throws(() => parse([`--${name}=a`]), new RegExp(`flag provided but not defined: -${name}`));
  }
});

test("flags of releases long gone are ignored, with any value or none", () => {
  assert.match(parse(["--snapshot", "--v=3", "--name=a"]).notes.join(), /--snapshot has no effect/);
});

test("feature gates are taken where they change nothing, and are etcd's", () => {
  config(["--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true,StopGRPCServiceOnDefrag=false"]);
  assert.throws(() => config(["--feature-gates=AllAlpha=true"]), /AllAlpha=true is not supported yet/);
  assert.throws(() => config(["--feature-gates=Nope=true"]), /unrecognized feature gate: Nope/);
});

test("keep-alives, warnings, metrics and the log are configured by etcd's flags", () => {
  const given = config([
    "--grpc-keepalive-min-time=1s",
    "--grpc-keepalive-interval=10s",
    "--grpc-keepalive-timeout=3s",
    "--warning-apply-duration=20ms",
    "--metrics=extensive",
    "--log-format=console",
    "--log-outputs=stdout,/tmp/log",
  ]);
  assert.deepEqual(given.keepalive, { minTimeMs: 1000, intervalMs: 10_000, timeoutMs: 3000 });
  assert.equal(given.warningApplyMs, 20);
  assert.equal(given.metrics, "extensive");
  assert.equal(given.logFormat, "console");
  assert.deepEqual(given.logOutputs, ["stdout", "/tmp/log"]);
  assert.deepEqual(config([]).logOutputs, ["stderr"]);
  assert.throws(() => config(["--log-format=xml"]), /unknown --log-format: xml/);
  assert.throws(() => config(["--log-outputs=default,stdout"]), /multi logoutput/);
});

test("a variable stands for its flag, conflicts with it on the command line, and is noted when unknown", () => {
  assert.equal(config([], { ETCD_NAME: "n" }).name, "n");
  assert.throws(
    () => parse(["--name=a"], { ETCD_NAME: "n" }),
    (error) => error instanceof FlagError && error.exitCode === 1,
  );
  assert.match(parse([], { ETCD_NOPE: "1" }).notes.join(), /unrecognized environment variable ETCD_NOPE/);
});

test("contradictions between flags are named", () => {
  assert.throws(() => config(["--listen-client-urls=http://localhost:1"]), /advertise-client-urls/);
  assert.throws(() => config(["--heartbeat-interval=300"]), /5 times/);
  assert.throws(
    () => config(["--initial-cluster=b=http://localhost:2380"]),
    /couldn't find local name "default"/,
  );
  assert.throws(
    () => config(["--initial-cluster=default=http://localhost:9"]),
    /missing from --initial-advertise-peer-urls/,
  );
});

test("durations are Go's", () => {
  assert.equal(parseDurationMs("1h30m"), 5_400_000);
  assert.equal(parseDurationMs("100ms"), 100);
  assert.equal(parseDurationMs("1.5s"), 1500);
  assert.equal(parseDurationMs("5"), undefined);
  assert.equal(parseDurationMs(""), undefined);
});
