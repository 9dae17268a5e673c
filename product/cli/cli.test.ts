import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { Readable, Writable } from "node:stream";
import { test } from "node:test";
import { COMMANDS } from "./commands.ts";
import { completedCommands, completionScript } from "./completion.ts";
import { GLOBAL_FLAGS } from "./command.ts";
import { FlagValues, parseFlags, UsageError } from "./flags.ts";
import { CommandError } from "./io.ts";
import { splitWords } from "./lines.ts";
import { runCli } from "./main.ts";
import { draw } from "./print-table.ts";
import { parseCompare } from "./txn-command.ts";

class Collector extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

async function cli(words: string[], env: Record<string, string> = {}) {
  const [stdout, stderr] = [new Collector(), new Collector()];
  const exitCode = await runCli(words, { stdout, stderr, stdin: Readable.from([]), env });
  return { exitCode, stdout: stdout.text, stderr: stderr.text };
}

test("flags are read in every way in which they may be written", () => {
  const values = new FlagValues(GLOBAL_FLAGS);
  const words = [
    "a",
    "--hex",
    "-w=json",
    "--endpoints",
    "x",
    "--endpoints=y,z",
    "--debug=false",
    "b",
    "--",
    "--hex=no",
  ];
  assert.deepEqual(parseFlags(words, values), ["a", "b", "--hex=no"]);
  assert.deepEqual(
    [values.bool("hex"), values.text("write-out"), values.bool("debug")],
    [true, "json", false],
  );
  assert.deepEqual(values.list("endpoints"), ["x", "y", "z"]);
  const short = new FlagValues(GLOBAL_FLAGS);
  assert.deepEqual(parseFlags(["-wtable", "-w", "fields", "-"], short), ["-"]);
  assert.equal(short.text("write-out"), "fields");
});

test("flags that are wrong are refused in etcdctl's words", () => {
  const table: [string[], string][] = [
    [["--nothing"], "unknown flag: --nothing"],
    [["-x"], "unknown shorthand flag: 'x' in -x"],
    [["--write-out"], "flag needs an argument: --write-out"],
    [["-w"], "flag needs an argument: 'w' in -w"],
    [
      ["--hex=maybe"],
      'invalid argument "maybe" for "--hex" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
    ],
    [["--=x"], "bad flag syntax: --=x"],
  ];
  for (const [words, message] of table) {
    assert.throws(() => parseFlags(words, new FlagValues(GLOBAL_FLAGS)), new UsageError(message));
  }
});

test("every command shows its help, and none has a flag twice", async () => {
  for (const command of COMMANDS) {
    const said = await cli([...command.name.split(" "), "--help"]);
    assert.equal(said.exitCode, 0);
    assert.ok(said.stdout.startsWith(command.summary), command.name);
    assert.equal(
      new Set([...command.flags, ...GLOBAL_FLAGS].map((it) => it.name)).size,
      command.flags.length + GLOBAL_FLAGS.length,
    );
  }
});

test("names of commands may be shortened as long as they are clear", async () => {
  assert.match((await cli(["compl", "bash"])).stdout, /^# bash completion/);
  assert.match((await cli(["le", "--help"])).stdout, /lease grant/);
  assert.match((await cli(["lease", "nothing"])).stdout, /lease grant/);
  const unclear = await cli(["e"]);
  assert.equal(
    unclear.stderr,
    `Error: unknown command "e" for "holdfast"\nRun 'holdfast --help' for usage.\n`,
  );
  assert.equal(unclear.exitCode, 1);
});

test("a flag set in the environment and on the command line is an error", async () => {
  const said = await cli(["get", "a", "--endpoints", "x"], { ETCDCTL_ENDPOINTS: "y" });
  assert.equal(
    said.stderr,
    "Error: conflicting environment variable ETCDCTL_ENDPOINTS is shadowed by --endpoints\n",
  );
  assert.equal(said.exitCode, 1);
  const wrong = await cli(["version"], { ETCDCTL_HEX: "perhaps", ETCDCTL_API: "3" });
  assert.match(wrong.stderr, /^Error: invalid value "perhaps" for ETCDCTL_HEX/);
});

test("commands and flags of etcdctl that are not built say so, with what to use instead", async () => {
  for (const name of [
    "make-mirror",
    "snapshot save",
    "auth enable",
    "user add",
    "role list",
    "downgrade cancel",
  ]) {
    const said = await cli([...name.split(" "), "a", "b"]);
    assert.equal(said.stderr, `Error: ${name} is not built yet; against an etcd use etcdctl ${name}\n`);
    assert.equal(said.exitCode, 1);
  }
  assert.match((await cli(["user"])).stdout, /user grant-role/);
  const said = await cli(["get", "a", "-d", "example.com"]);
  assert.equal(said.stderr, "Error: --discovery-srv is not built yet; name the members with --endpoints\n");
});

test("a bound of requests above that of answers is refused, as in etcdctl", async () => {
  const said = await cli(["get", "a", "--max-recv-bytes=1000", "--max-request-bytes=5000"]);
  assert.equal(
    said.stderr,
    "Error: gRPC message recv limit (1000 bytes) must be greater than send limit (5000 bytes)\n",
  );
});

test("comparisons of a transaction are read as etcdctl reads them", () => {
  const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
  const key = bytes("k");
  assert.deepEqual(parseCompare('mod("k") > "7"'), { key, result: 1, target: 2, mod_revision: 7 });
  assert.deepEqual(parseCompare('ver("k")="0"'.replace("=", " = ")), {
    key,
    result: 0,
    target: 0,
    version: 0,
  });
  assert.deepEqual(parseCompare('val("k") != "a \\"b"'), { key, result: 3, target: 3, value: bytes('a "b') });
  assert.deepEqual(parseCompare('lease("k") < "ff"'), { key, result: 2, target: 4, lease: 255n });
  for (const line of [
    "",
    "mod",
    'mod("k")',
    'mod("k") ~ "1"',
    'mod(k) = "1"',
    'x("k") = "1"',
    'mod("k") = "x"',
  ]) {
    assert.throws(() => parseCompare(line), CommandError, line);
  }
});

test("splitWords takes quotes apart as etcdctl does", () => {
  assert.deepEqual(splitWords(`put key "a \\"b\\" \\x41" 'c d' e`), ["put", "key", 'a "b" A', "c d", "e"]);
  assert.deepEqual(splitWords(""), []);
});

test("a table has etcdctl's shape", () => {
  const lines: string[] = [];
  const output = { line: (text: string) => lines.push(text), bytesLine() {}, raw() {}, errorLine() {} };
  draw(
    {
      header: ["ID", "is_leader"],
      rows: [
        ["8e9e05c52164694d", "true"],
        ["1", "a text that is too wide for one line"],
      ],
    },
    output,
  );
  assert.deepEqual(lines, [
    "+------------------+-----------------------------+",
    "|        ID        |          IS LEADER          |",
    "+------------------+-----------------------------+",
    "| 8e9e05c52164694d |                        true |",
    "|                1 | a text that is too wide for |",
    "|                  |                    one line |",
    "+------------------+-----------------------------+",
  ]);
});

test("completion scripts are accepted by the shells that are here", () => {
  const commands = completedCommands(COMMANDS);
  for (const shell of ["bash", "zsh", "fish"]) {
    const script = completionScript(shell, "holdfast", commands)!;
    for (const command of commands) assert.ok(script.includes(command.name.split(" ").at(-1)!), command.name);
    const checked = spawnSync(shell, ["-n"], { input: script, encoding: "utf8" });
    if (checked.error === undefined) assert.equal(checked.stderr, "", shell);
  }
  assert.equal(completionScript("powershell", "holdfast", commands), undefined);
});

test("bash completes groups, flags and values, of every command", () => {
  const commands = completedCommands(COMMANDS);
  const script = completionScript("bash", "holdfast", commands)!;
  const complete = (...words: string[]): string[] => {
    const text = `${script}\nCOMP_WORDS=(holdfast ${words.map((it) => `'${it}'`).join(" ")}); COMP_CWORD=${words.length}; _holdfast; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return spawnSync("bash", ["-c", text], { encoding: "utf8" }).stdout.trim().split("\n");
  };
  assert.deepEqual(complete("lease", "g"), ["grant"]);
  assert.deepEqual(complete("get", "--pre"), ["--prefix"]);
  assert.deepEqual(complete("get", "a", "-w", "j"), ["json"]);
  for (const word of ["watch", "server", "bench", "test", "user"])
    assert.ok(complete("").includes(word), word);
  assert.deepEqual(complete("test", "c"), ["conformance"]);
  assert.deepEqual(complete("server", "--listen-c"), ["--listen-client-urls"]);
});
