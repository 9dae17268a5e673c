// `holdfast test failure`: a cluster of real processes is broken in every way while clients work on it, and afterwards
// every history is checked (test.ts). With `--exec etcd` it does the same to etcd.

import * as fs from "node:fs";
import { parseArgs } from "node:util";
import { findPeer } from "../peers/peers.ts";
import { NamespaceNetwork, type Network, ProxyNetwork } from "./network.ts";
import { report } from "./report.ts";
import { findSandbox, isInSandbox, runInSandbox, type Sandbox, untilEnded } from "./sandbox.ts";
import { failureTest } from "./test.ts";

interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
}

const MEMBERS_MIN = 3;
const MEMBERS_MAX = 7;

const USAGE = `holdfast test failure [--members 3] [--minutes 3] [--exec PROGRAM]

Starts a cluster of real processes and breaks it: kill -9, pauses, full and one-way partitions, a single link cut,
restart storms, all members at once, a member replaced after its disk was lost, a slow disk, a full disk; each kind once
in random order, then again. Meanwhile clients write unique values, compare and set, read, delete, watch and hold leases:
ours, and etcdctl, Go's clientv3 and python3-etcd3 where they are installed (npm run peers).

Afterwards everything is checked: nothing acknowledged is lost, strict serializability by revisions, watch order and
completeness, leases that end neither too early nor too late, equal hashes at one revision, service after every fault.
The report has the faults in time, the times without service, what was checked, and every violation; a result file is
always written. A cluster that got stuck ends the test with a verdict, its data and logs are kept. Ctrl-C (or SIGTERM) ends
the faults, and what was seen until then is checked; a second one ends everything at once.

The exit code is 0, 1 for any violation, 2 when the words are wrong.

  --members N       ${MEMBERS_MIN} to ${MEMBERS_MAX} (default 3)
  --minutes M       of faults (default 3); starting and checking come on top, about 15 seconds
  --exec PROGRAM    the server to break: holdfast (default), etcd, or a path of one that takes etcd's flags
  --seed S          of the faults (default: drawn and printed)
  --clients N       of ours, per member (default 3)
  --network KIND    sandbox: every member in a network namespace of its own, any ordered pair can be cut, and the disk
                    that is filled is a small one of its own. Needs root or user namespaces, and ip (iproute2).
                    proxy: a proxy before each member; only what others open to it can be stalled, no full disk.
                    auto (default): sandbox where that is allowed, else proxy; the report says which and why
  --out FILE        the result (JSON) also there
  -w json           print the result as JSON

A slow disk is made with strace where it is installed, else other processes keep the disk busy.
`;

interface Asked {
  readonly memberCount: number;
  readonly durationMs: number;
  readonly exec: string;
  readonly seed: number;
  readonly clientsPerMember: number;
  readonly network: string;
  readonly out: string | undefined;
  readonly isJson: boolean;
}

export async function run(argv: readonly string[], io: Io): Promise<number> {
  const asked = parse(argv);
  if (asked === "help") {
    io.stdout.write(USAGE);
    return 0;
  }
  if (typeof asked === "string") {
    io.stderr.write(`Error: ${asked}; see holdfast test failure --help\n`);
    return 2;
  }
  const sandbox = sandboxFor(asked);
  if (sandbox.kind === "possible") {
    return runInSandbox(sandbox.command, ["test", "failure", ...argv]);
  }
  if (asked.network === "sandbox" && !isInSandbox()) {
    io.stderr.write(`Error: there can be no sandbox: ${sandbox.why}\n`);
    return 2;
  }
  const { signal, release } = untilEnded();
  const tell = (line: string): unknown => io.stderr.write(line);
  signal.addEventListener("abort", () =>
    tell("interrupted: no more faults, then what was seen is checked\n"),
  );
  const result = await failureTest({
    ...asked,
    command: commandOf(asked.exec),
    makeNetwork: () => networkFor(asked, sandbox.why),
    tell,
    signal,
  });
  release();
  if (asked.out !== undefined) fs.writeFileSync(asked.out, JSON.stringify(result, undefined, 2));
  io.stdout.write(asked.isJson ? `${JSON.stringify(result)}\n` : report(result));
  return result.violations.length > 0 ? 1 : 0;
}

/** What was asked for, or what is wrong with it. */
function parse(argv: readonly string[]): Asked | string {
  const { values } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      members: { type: "string", default: "3" },
      minutes: { type: "string", default: "3" },
      exec: { type: "string", default: "holdfast" },
      seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
      clients: { type: "string", default: "3" },
      network: { type: "string", default: "auto" },
      out: { type: "string" },
      "write-out": { type: "string", short: "w", default: "simple" },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) return "help";
  const [memberCount, minutes] = [Number(values.members), Number(values.minutes)];
  const [seed, clientsPerMember] = [Number(values.seed), Number(values.clients)];
  if (!isWithin(memberCount, MEMBERS_MIN, MEMBERS_MAX)) return `--members is ${values.members}`;
  if (!(minutes > 0)) return `--minutes is ${values.minutes}`;
  if (!isWithin(seed, 0, 2 ** 32)) return `--seed is ${values.seed}`;
  if (!isWithin(clientsPerMember, 1, 100)) return `--clients is ${values.clients}`;
  if (!["auto", "sandbox", "proxy"].includes(values.network)) return `--network is ${values.network}`;
  const isJson = values["write-out"] === "json";
  if (!isJson && values["write-out"] !== "simple") return `--write-out is ${values["write-out"]}`;
  const { exec, network, out } = values;
  return { memberCount, durationMs: minutes * 60_000, exec, seed, clientsPerMember, network, out, isJson };
}

function isWithin(value: number, first: number, last: number): boolean {
  return Number.isInteger(value) && value >= first && value <= last;
}

/** A sandbox to go to, or why this process stays where it is. */
function sandboxFor(asked: Asked): Sandbox {
  if (isInSandbox()) return { kind: "impossible", why: "this is the sandbox" };
  if (asked.network === "proxy") return { kind: "impossible", why: "--network proxy" };
  return findSandbox();
}

function networkFor({ memberCount }: Asked, why: string): Promise<Network> {
  return isInSandbox() ? NamespaceNetwork.make(memberCount) : ProxyNetwork.make(memberCount, why);
}

function commandOf(exec: string): string[] {
  if (exec === "holdfast") return [process.execPath, ...process.execArgv, process.argv[1]!, "server"];
  if (exec === "etcd") return [findPeer("etcd") ?? findPeer("etcd-debian") ?? "etcd"];
  return [exec];
}
