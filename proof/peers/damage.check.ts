/**
 * Damage in what was acknowledged stops the start, with the file, the offset and what to do; a torn tail, which was not
 * acknowledged, is repaired. On copies of the directory of a real member that was stopped.
 */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { Prng } from "../../core/base/prng.ts";
import { Client } from "../../product/client/index.ts";
import { claim } from "./conversation.ts";
import { makeMembers, ServerProcess } from "./server-process.ts";

const KEY_COUNT = 4_000;
const SECTOR_BYTES = 512;
const SEED = Number(process.env["HOLDFAST_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Two checkpoints before the stop, and log behind the second. */
const FLAGS = ["--snapshot-count=1500", "--log-level=info"];
/** The last batch cannot be told from one that was being written: what is damaged here lies before it. */
const TAIL_BYTES = 8 * 1024;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "holdfast-damage-"));
const prng = new Prng(SEED);
let copies = 0;

type Damage = (file: string, usedBytes: number) => void;

function overwrite(file: string, at: number, change: (bytes: Buffer) => void, length: number): void {
  const handle = fs.openSync(file, "r+");
  const bytes = Buffer.alloc(length);
  fs.readSync(handle, bytes, 0, length, at);
  change(bytes);
  fs.writeSync(handle, bytes, 0, length, at);
  fs.closeSync(handle);
}

function flipAt(at: number): Damage {
  return (file) => overwrite(file, at, (bytes) => (bytes[0]! ^= 0x10), 1);
}

const flip: Damage = (file, usedBytes) => flipAt(prng.below(usedBytes))(file, usedBytes);

/** A sector that holds something: a zero that becomes a zero is no damage. */
const zeroSector: Damage = (file, usedBytes) => {
  for (let i = 0; i < 1000; i++) {
    const at = prng.below(Math.max(1, Math.floor(usedBytes / SECTOR_BYTES))) * SECTOR_BYTES;
    const length = Math.min(SECTOR_BYTES, usedBytes - at);
    const bytes = fs.readFileSync(file).subarray(at, at + length);
    if (bytes.every((byte) => byte === 0)) continue;
    return overwrite(file, at, (sector) => sector.fill(0), length);
  }
  throw new Error(`Cannot find a sector of ${file} that holds anything`);
};

const truncate: Damage = (file, usedBytes) => fs.truncateSync(file, prng.below(usedBytes));
const remove: Damage = (file) => fs.rmSync(file, { recursive: true });
/** The directory stays, as after `rm member/wal/*`. */
const empty: Damage = (file) => fs.readdirSync(file).forEach((name) => fs.rmSync(path.join(file, name)));

/** The end of what was written; a log segment has zeros behind it. */
function usedBytesOf(file: string): number {
  const bytes = fs.readFileSync(file);
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}

function copyOf(original: ServerProcess): ServerProcess {
  const directory = path.join(folder, `copy-${++copies}`);
  fs.cpSync(original.options.directory, directory, { recursive: true });
  return new ServerProcess({ ...original.options, directory });
}

async function readAll(server: ServerProcess): Promise<number> {
  const client = Client.connect({ endpoints: [server.endpoint] });
  try {
    const { kvs } = await client.kv.get("damage/", { prefix: true, timeoutMs: 20_000 });
    for (const kv of kvs) assert.equal(kv.version, 1);
    return kvs.length;
  } finally {
    client.close();
  }
}

/** Starts it and expects it to end by itself with a message that an operator can use. */
async function expectRefusal(server: ServerProcess, file: string): Promise<void> {
  server.start();
  const started = server.ready({ endpoint: "livez" }).then(
    () => "started",
    () => "ended",
  );
  const outcome = await Promise.race([started, server.ended.then(() => "ended")]);
  if (outcome === "started") {
    const count = await readAll(server);
    await server.stop("SIGKILL");
    assert.fail(`it started, with ${count} of ${KEY_COUNT} keys; it said ${server.log.slice(-600)}`);
  }
  const { exitCode } = await server.ended;
  assert.equal(exitCode, 1, server.log);
  const last = server.log.trimEnd().split("\n").at(-1)!;
  assert.match(last, /"level":"error"/);
  assert.ok(!server.log.includes("    at "), `a stack instead of a message: ${server.log}`);
  // Of a segment of the log the second half of the name is known only from the file itself.
  const name = file.endsWith(".wal") ? path.basename(file).slice(0, 17) : path.basename(file);
  assert.ok(last.includes(name), `the message names another file than ${file}: ${last}`);
  assert.match(last, /offset \d+|missing/, "where");
  assert.match(last, /restore|backup|add it again|add this member/i, "what to do");
}

async function refused(
  what: string,
  original: ServerProcess,
  [file, damage]: readonly [string, Damage],
): Promise<void> {
  await claim(`damage: ${what} of ${path.dirname(file).split("/").pop()} is refused`, async () => {
    const server = copyOf(original);
    const full = path.join(server.options.directory, file);
    const isFile = fs.statSync(full).isFile();
    const usedBytes = isFile ? usedBytesOf(full) - (file.endsWith(".wal") ? TAIL_BYTES : 0) : 0;
    damage(full, usedBytes);
    await expectRefusal(server, file);
    fs.rmSync(server.options.directory, { recursive: true });
  });
}

async function repaired(
  what: string,
  original: ServerProcess,
  damage: (file: string) => void,
): Promise<void> {
  await claim(`damage: ${what} is repaired and nothing is lost`, async () => {
    const server = copyOf(original);
    damage(path.join(server.options.directory, logFile(server)));
    server.start();
    await server.ready();
    assert.equal(await readAll(server), KEY_COUNT);
    assert.match(server.log, /repaired a torn tail/);
    await server.stop();
    server.start();
    await server.ready();
    assert.equal(await readAll(server), KEY_COUNT, "once more");
    await server.stop();
    fs.rmSync(server.options.directory, { recursive: true });
  });
}

function logFile(server: ServerProcess): string {
  const names = fs
    .readdirSync(path.join(server.options.directory, "member/wal"))
    .filter((name) => name.endsWith(".wal"));
  return path.join("member/wal", names.sort().at(-1)!);
}

/** Files of the newest checkpoint, the manifest among them. */
function checkpointFiles(server: ServerProcess): string[] {
  const found: string[] = [];
  const walk = (at: string): void => {
    for (const entry of fs.readdirSync(path.join(server.options.directory, at), { withFileTypes: true })) {
      if (entry.isDirectory()) walk(path.join(at, entry.name));
      else if (entry.name === "manifest" || entry.name.endsWith(".seg"))
        found.push(path.join(at, entry.name));
    }
  };
  walk("member/data");
  return found.filter((file) => usedBytesOf(path.join(server.options.directory, file)) > 0);
}

async function fill(server: ServerProcess, keyCount: number): Promise<void> {
  const client = Client.connect({ endpoints: [server.endpoint] });
  const value = "v".repeat(300);
  for (let first = 0; first < keyCount; first += 100) {
    const keys = Array.from({ length: 100 }, (_, i) => `damage/${String(first + i).padStart(6, "0")}`);
    await Promise.all(keys.map((key) => client.kv.put(key, value + key)));
  }
  client.close();
}

/** A member that has stopped, with so many keys. */
async function stopped(directory: string, keyCount: number): Promise<ServerProcess> {
  const [server] = await makeMembers(1, { folder: path.join(folder, directory), flags: FLAGS });
  server!.start();
  await server!.ready();
  await fill(server!, keyCount);
  await server!.stop();
  return server!;
}

async function refusesWithoutFiles(server: ServerProcess, when: string): Promise<void> {
  await refused(`the loss of all files ${when}`, server, ["member/wal", empty]);
  await refused(`the loss of the directory ${when}`, server, ["member/wal", remove]);
  await refused(`the loss of the boot counter ${when}`, server, ["member/boot", remove]);
  await refused(`the loss of the identity ${when}`, server, ["member/identity", remove]);
}

async function main(): Promise<void> {
  const server = await stopped("original", KEY_COUNT);
  await refusesWithoutFiles(server, "behind a checkpoint");
  await refusesWithoutFiles(await stopped("young", 100), "before the first checkpoint");

  const log = logFile(server);
  const usedBytes = usedBytesOf(path.join(server.options.directory, log));
  await refused("a flipped bit at the head", server, [log, flipAt(20)]);
  for (const tenth of [1, 3, 5, 7, 9]) {
    const at = Math.floor(((usedBytes - TAIL_BYTES) * tenth) / 10) + prng.below(100);
    await refused(`a flipped bit after ${tenth} tenths`, server, [log, flipAt(at)]);
  }
  for (let i = 0; i < 3; i++) await refused("a zeroed sector", server, [log, zeroSector]);
  await refused("a truncated file", server, [log, truncate]);
  await refused("the missing file", server, [log, remove]);
  const files = checkpointFiles(server);
  await claim("damage: the member has a checkpoint of a manifest and segments", async () => {
    assert.ok(
      files.some((file) => file.endsWith("manifest")) && files.some((file) => file.endsWith(".seg")),
      files.join(),
    );
  });
  for (const file of files) {
    const kind = file.endsWith("manifest") ? "the manifest" : "a segment";
    for (let i = 0; i < 3; i++) await refused(`a flipped bit in ${kind}`, server, [file, flip]);
    await refused(`a zeroed sector in ${kind}`, server, [file, zeroSector]);
    await refused(`${kind} truncated`, server, [file, truncate]);
    await refused(`${kind} missing`, server, [file, remove]);
  }
  await repaired("a batch that was cut off behind the end", server, (file) => {
    const end = usedBytesOf(file);
    // Begins like the record before it and ends in the middle.
    const start = (end + 7) & ~7;
    const handle = fs.openSync(file, "r+");
    fs.writeSync(handle, Buffer.from([200, 1, 0, 0, 0, 0, 0, 0, 8, 2, 16, 77, 9, 9]), 0, 14, start);
    fs.closeSync(handle);
  });
}

try {
  await main();
} finally {
  if (process.exitCode === 1) console.log(`seed ${SEED}, data in ${folder}`);
  else fs.rmSync(folder, { recursive: true, force: true });
}
