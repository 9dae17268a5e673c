/**
 * Our client commands beside the real etcdctl 3.6: the same commands against two fresh servers of the same kind must
 * print the same, byte for byte, and end with the same code. Identifiers, ports and durations differ by nature and are
 * replaced by their order of appearance.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { runCli } from "../../product/cli/main.ts";
import type { Said } from "./conversation.ts";
import { claim, runPeer } from "./conversation.ts";
import { findPeer } from "./peers.ts";
import { startTarget } from "./target.ts";

const program = fileURLToPath(new URL("../../product/main.ts", import.meta.url));
const streamDeadlineMs = 20_000;

/** A command; `$lease` and `$member` stand for what the side saw last. */
type Step = {
  readonly words: readonly string[];
  readonly input?: string;
  /** Of a command that does not end by itself: how many lines to wait for before it is interrupted. */
  readonly lineCount?: number;
  /** Help differs on purpose: only the exit code and the error count. */
  readonly isHelpFree?: boolean;
  /** Members come in the order of their ids, which are random. */
  readonly isUnordered?: boolean;
};

function step(text: string, more: Omit<Step, "words"> = {}): Step {
  const words = (text.match(/"[^"]*"|\S+/g) ?? []).map((word) => word.replace(/^"(.*)"$/s, "$1"));
  return { words, ...more };
}

/** One side: how commands are run, and against which server. */
abstract class Side {
  readonly endpoint: string;
  #lease = "0";
  #member = "0";

  constructor(endpoint: string) {
    this.endpoint = endpoint;
  }

  abstract run(words: readonly string[], input: string): Promise<Said>;
  abstract command(words: readonly string[]): readonly [string, string[]];

  async take(one: Step, form: string): Promise<Said> {
    const words = one.words.map((it) => it.replace("$lease", this.#lease).replace("$member", this.#member));
    const hasEndpoint = words.includes("--endpoints");
    const all = [...(hasEndpoint ? [] : ["--endpoints", this.endpoint]), "-w", form, ...words];
    const said =
      one.lineCount === undefined
        ? await this.run(all, one.input ?? "")
        : await this.#stream(all, one.input, one.lineCount);
    this.#lease = /^lease ([0-9a-f]{16}) granted/.exec(said.stdout)?.[1] ?? this.#lease;
    this.#member = /([0-9a-f]{13,16}), unstarted/.exec(said.stdout)?.[1] ?? this.#member;
    return said;
  }

  async #stream(words: readonly string[], input: string | undefined, lineCount: number): Promise<Said> {
    const [file, args] = this.command(words);
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], timeout: streamDeadlineMs });
    if (input !== undefined) child.stdin.write(input);
    let stdout = "";
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.split("\n").length > lineCount) child.kill("SIGTERM");
    });
    await once(child, "close");
    // What ended it is the signal; lock and elect give back what they hold and end well.
    const lines = stdout.split("\n").slice(0, lineCount);
    return { exitCode: child.exitCode, stdout: lines.join("\n"), stderr };
  }
}

class Etcdctl extends Side {
  readonly #file: string;

  constructor(file: string, endpoint: string) {
    super(endpoint);
    this.#file = file;
  }

  run(words: readonly string[], input: string): Promise<Said> {
    return runPeer(this.#file, words, input);
  }

  command(words: readonly string[]): readonly [string, string[]] {
    return [this.#file, [...words]];
  }
}

class Ours extends Side {
  async run(words: readonly string[], input: string): Promise<Said> {
    const out = new Collector();
    const err = new Collector();
    const io = {
      stdout: out,
      stderr: err,
      stdin: Readable.from(input === "" ? [] : [Buffer.from(input)]),
      env: {},
    };
    const exitCode = await runCli(words, io);
    return { exitCode, stdout: out.text, stderr: err.text };
  }

  command(words: readonly string[]): readonly [string, string[]] {
    return [process.execPath, ["--import", "tsx", program, ...words]];
  }
}

class Collector extends Writable {
  readonly #parts: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#parts.push(chunk);
    done();
  }

  get text(): string {
    return Buffer.concat(this.#parts).toString();
  }
}

/** Replaces what differs by nature. */
function normalised(text: string): string {
  const seen = new Map<string, string>();
  const numbered = (kind: string) => (found: string) => {
    if (!seen.has(found)) seen.set(found, `<${kind} ${seen.size + 1}>`);
    return seen.get(found)!;
  };
  // An id is printed 16 wide, and one in sixteen begins with a zero.
  return (
    text
      .replace(/127\.0\.0\.1:\d+/g, numbered("address"))
      .replace(/\b\d{17,20}\b/g, numbered("number"))
      .replace(/ ( +[0-9a-f]{13,15})\b/g, (all, wide: string) =>
        wide.length === 16 ? ` ${wide.trimStart()}` : all,
      )
      .replace(/\b[0-9a-f]{13,16}\b/g, numbered("id"))
      .replace(/(took(?: = | |":"))[\d.]+(?:µs|ms|s)/g, "$1<time>")
      .replace(/("Took" : )[\d.]+(?:µs|ms|s)/g, "$1<time>")
      .replace(/\| +[\d.]+(?:µs|ms) \|/g, "| <time> |")
      // etcd's file grows when its batch is written, up to 100 ms after the answer.
      .replace(/("DBSize(?:InUse)?" : |"dbSize(?:InUse)?":)\d+/g, "$1<size>")
      .replace(/\b[\d.]+ kB\b/g, "<size> kB")
      .replace(/\b\d+%/g, "<part>%")
      .replace(/remaining\(\d+s\)|"ttl":4\d\d\b|"TTL" : 4\d\d\b/g, "<remaining>")
      .replace(
        /"key":"[^"]*"(,"create_revision":\d+,"mod_revision":\d+,"version":1,(?:"value":"djE=",)?"lease")/g,
        '"key":<lock>$1',
      )
  );
}

/** Pieces of lines and of JSON lists, sorted; ids and addresses all alike. */
function unordered(text: string): string {
  const alike = normalised(text).replace(/<(\w+) \d+>/g, "<$1>");
  return alike
    .split(/(\n|\},\{|\[\{|\}\]|[,"])/)
    .sort()
    .join("\n");
}

/** Columns are as wide as what differs. */
function withoutWidths(text: string): string {
  return text.replace(/ +/g, " ").replace(/-+/g, "-");
}

function errorsOf(said: Said): string[] {
  return said.stderr
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("{") && !/^(?:Run '|Warning: )/.test(line));
}

/** HOLDFAST_CLI_TARGET=holdfast also compares the servers: etcdctl talks to etcd, ours to Holdfast. */
const subject = process.env["HOLDFAST_CLI_TARGET"] ?? "etcd";
const isSameServer = subject === "etcd";

const txnText = `mod("a") > "0"
value("a") = "2"

put a "new value"
get a
put b x --prev-kv
get "" --prefix --keys-only
del nothing --prev-kv

`;

/** Run in each form. */
const everywhere: readonly Step[] = [
  step("put a first"),
  step("put a 2 --prev-kv"),
  step("put", { isHelpFree: true }),
  step("put fromstdin", { input: "line\nanother\x01\xff<&>\n" }),
  step("put -- -dash -value"),
  step("get a"),
  step("get -- -dash"),
  step('get "" --prefix'),
  step('get "" --prefix --limit 1 --order DESCEND --sort-by MODIFY'),
  step('get "" --from-key --keys-only'),
  step("get a b"),
  step("get a --hex"),
  step("get fromstdin"),
  step("get nothing"),
  step("put big 0123456789 --max-request-bytes 10"),
  step("get a --max-recv-bytes 10 --max-request-bytes 11"),
  step("get a --count-only"),
  step("get a --print-value-only"),
  step("get a --rev 999999"),
  step("get a --rev 2 --consistency s"),
  step("get a --order sideways"),
  step("get a --consistency x"),
  step("get a --prefix --from-key"),
  step("get a b --prefix"),
  step("get a --min-mod-rev 5 --max-mod-rev 2"),
  step("txn", { input: `${txnText}\n` }),
  step("txn", { input: 'version("a") = "0"\n\n\nput c d\n\n' }),
  step("txn -i", { input: "\n\n\n" }),
  step("txn", { input: 'nonsense("a") = "0"\n\n\n\n' }),
  step("txn", { input: 'mod("a") = "x"\n\n\n\n' }),
  step("txn", { input: "\nfoo bar\n\n\n" }),
  step("txn", { input: "\nput a 1\nput a 2\n\n\n" }),
  step("txn", { input: "cut off" }),
  step("txn argument"),
  step("del b --prev-kv"),
  step("del nothing"),
  step("del c d e"),
  step("lease timetolive 123"),
  step("lease timetolive zz"),
  step("lease keep-alive 123"),
  step("lease keep-alive --once 123"),
  step("lease revoke 77"),
  step("lease grant x"),
  step("lease list"),
  step("member list"),
  step("member list --hex"),
  step("member list --consistency s"),
  step("member remove 123"),
  step("member remove zz"),
  step("member add"),
  step("member add name"),
  step("member add name http://127.0.0.1:1"),
  step("member promote 123"),
  step("endpoint health"),
  step("endpoint status"),
  step("endpoint hashkv"),
  step("endpoint hashkv --rev 2"),
  step("endpoint hashkv --rev 999999"),
  step("endpoint health --endpoints 127.0.0.1:1 --command-timeout 300ms"),
  step("endpoint status --endpoints 127.0.0.1:1 --command-timeout 300ms"),
  step("get a --endpoints 127.0.0.1:1 --command-timeout 300ms"),
  step("alarm list"),
  step("alarm list argument"),
  step("compaction"),
  step("compaction x"),
  step("compaction 999999"),
  step("move-leader 123"),
  step("move-leader zz"),
  step("move-leader"),
  step("lock"),
  step("elect"),
  step("elect name"),
  step("elect name value -l"),
  step("watch"),
  step("check perf --load enormous"),
  step("nosuchcommand", { isHelpFree: true }),
  step("get a --nosuchflag", { isHelpFree: true }),
  step("get a --limit x", { isHelpFree: true }),
  step("get a -x", { isHelpFree: true }),
  step("get a --limit", { isHelpFree: true }),
];

const leases: readonly Step[] = [
  step("put l leased --lease=$lease"),
  step("put l leased --lease=99"),
  step("put l leased --lease=zz"),
  step("get l"),
  step("get l --hex"),
  step("lease timetolive $lease"),
  step("lease timetolive $lease --keys"),
  step("lease timetolive $lease --hex"),
  step("lease list"),
  step("lease keep-alive --once $lease"),
  step("lease revoke $lease"),
];

const members: readonly Step[] = [
  step("member list", { isUnordered: true }),
  step("member list --hex", { isUnordered: true }),
  step("member update $member --peer-urls http://127.0.0.1:22090", { isUnordered: true }),
  step("member promote $member"),
  step("member remove $member", { isUnordered: true }),
];

const streams: readonly Step[] = [
  step("watch w --rev $revision --prev-kv", { lineCount: 8 }),
  step("watch w --rev $revision -- echo an event", { lineCount: 10 }),
  step("watch -i", { input: "watch w --rev $revision\n", lineCount: 8 }),
  step("lock l", { lineCount: 1 }),
  step("lock l -- echo held", {}),
  step("elect e v1", { lineCount: 1 }),
];

class Comparison {
  readonly #sides: readonly [Side, Side];

  constructor(real: Side, ours: Side) {
    this.#sides = [real, ours];
  }

  async same(one: Step, form: string): Promise<void> {
    await claim(`-w ${form} ${one.words.join(" ")}${one.input === undefined ? "" : " < input"}`, async () => {
      const [real, ours] = await this.both(one, form);
      assert.equal(ours.exitCode, real.exitCode, `exit code, with ${ours.stderr}${real.stderr}`);
      const shown = (said: Said): string => {
        const text = one.isUnordered === true ? unordered(said.stdout) : normalised(said.stdout);
        return form === "table" ? withoutWidths(text) : text;
      };
      if (one.isHelpFree !== true) assert.equal(shown(ours), shown(real));
      assert.deepEqual(errorsOf(ours).map(unnamed), errorsOf(real).map(unnamed));
    });
  }

  async both(one: Step, form: string): Promise<[Said, Said]> {
    const [real, ours] = this.#sides;
    return [await real.take(one, form), await ours.take(one, form)];
  }
}

/** The program's own name is ours. */
function unnamed(line: string): string {
  return normalised(line).replace(/etcdctl|holdfast/g, "<program>");
}

async function compareAll(comparison: Comparison): Promise<void> {
  for (const form of ["simple", "fields", "json", "table", "protobuf", "nosuchform"]) {
    // In the binary form ids cannot be told from the rest: only what fails is compared.
    const steps =
      form === "protobuf" || form === "nosuchform" ? [step("get"), step("get a --order x")] : everywhere;
    for (const one of steps) {
      // Sizes and log positions are the server's own.
      if (isSameServer || !one.words.includes("status")) await comparison.same(one, form);
    }
  }
  for (const form of ["simple", "fields", "json"]) {
    await comparison.both(step("lease grant 500"), "simple");
    for (const one of leases) await comparison.same(one, form);
    await comparison.same(step("lease grant 100"), form);
  }
  await comparison.same(step("compaction 3 --physical"), "simple");
  await comparison.same(step("get a --rev 2"), "simple");
  await comparison.same(step("compaction 2"), "simple");
  await comparison.same(step("watch a --rev 2"), "simple");
  await comparison.same(step("watch a --rev 2"), "json");
  await comparison.same(step("defrag"), "simple");
  await compareStreams(comparison);
  await compareMembers(comparison);
}

async function compareStreams(comparison: Comparison): Promise<void> {
  for (const form of ["simple", "fields", "json"]) {
    const [before] = await comparison.both(step("put w 1"), "json");
    const revision = /"revision":(\d+)/.exec(before.stdout)?.[1] ?? "0";
    await comparison.both(step("put w 2"), "json");
    await comparison.both(step("del w"), "json");
    for (const one of streams) {
      const words = one.words.map((it) => it.replace("$revision", revision));
      const input = one.input === undefined ? {} : { input: one.input.replace("$revision", revision) };
      const lineCount =
        one.lineCount === undefined || form === "simple" ? {} : { lineCount: form === "json" ? 1 : 12 };
      await comparison.same({ ...one, ...input, ...lineCount, words }, form);
    }
  }
}

async function compareMembers(comparison: Comparison): Promise<void> {
  for (const [index, form] of ["simple", "fields", "json", "table"].entries()) {
    // Another URL each time: the id is made of it and of the second, and a removed id never comes back.
    const add = `member add x --peer-urls http://127.0.0.1:2210${index} --learner`;
    await comparison.same(step(add, { isUnordered: true }), form);
    await comparison.both(step("member list"), "simple");
    for (const one of members) await comparison.same(one, form);
    // A form that cannot show an answer has asked the server all the same: nothing is left of it here.
    await comparison.both(step("member remove $member"), "simple");
  }
}

const etcdctl = findPeer("etcdctl");
if (etcdctl === undefined || findPeer("etcd") === undefined) {
  console.log(
    "left out - our commands beside etcdctl 3.6: etcd is not built, because Go 1.24 or newer is not here",
  );
} else {
  const targets = [await startTarget("etcd"), await startTarget(subject)] as const;
  try {
    const [real, ours] = [new Etcdctl(etcdctl, targets[0].endpoint), new Ours(targets[1].endpoint)];
    await compareAll(new Comparison(real, ours));
  } finally {
    for (const target of targets) await target.stop();
  }
}
