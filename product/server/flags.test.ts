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

test("the experimental spelling of a flag is the flag", () => {
  assert.equal(config(["--experimental-watch-progress-notify-interval=5s"]).watchProgressMs, 5000);
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
