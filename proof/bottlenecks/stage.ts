// Puts a planted bottleneck before real servers, loads them, and asks `holdfast profile` what holds them back.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { delaySyncs, type DiskLoad } from "../failure/slow-disk.ts";
import { freePorts, ourCommand, ServerProcess } from "../peers/server-process.ts";
import type { ProfileResult } from "../profile/profiler.ts";
import { bundleProgramWith } from "../simulator/planted.ts";
import { DelayProxy } from "./delay-proxy.ts";
import type { Plant, Trouble } from "./plant.ts";

const PROFILE_SECONDS = 4;
/** Code is compiled, connections are made, the log has noticed how slow its disk is. */
const WARM_UP_MS = 2_000;
/** A load ends by itself when the check is killed. */
const LOAD_SECONDS = 30;

/** What the profiler said of the plant's servers. */
export async function profilePlant(plant: Plant, folder: string): Promise<ProfileResult> {
  const stage = new Stage(plant, folder);
  try {
    await stage.set();
    return await stage.profile();
  } finally {
    await stage.clear();
  }
}

class Stage {
  readonly #plant: Plant;
  readonly #folder: string;
  readonly #members: ServerProcess[] = [];
  readonly #proxies: DelayProxy[] = [];
  readonly #disks: DiskLoad[] = [];
  readonly #programs: ChildProcess[] = [];

  constructor(plant: Plant, folder: string) {
    this.#plant = plant;
    this.#folder = folder;
    fs.mkdirSync(folder, { recursive: true });
  }

  async set(): Promise<void> {
    const { before, trouble } = this.#plant;
    await this.#start();
    if (before !== undefined) await ended(bench([...before, "--duration", "60s", ...this.#to()]));
    if (trouble !== undefined) await this.#cause(trouble);
  }

  async profile(): Promise<ProfileResult> {
    this.#programs.push(bench([...this.#plant.load, "--duration", `${LOAD_SECONDS}s`, ...this.#to()]));
    await delay(WARM_UP_MS);
    const [program, ...words] = ourCommand();
    const output = path.join(this.#folder, "profile");
    const flags = ["--seconds", String(PROFILE_SECONDS), "--output", output, "-w", "json"];
    const child = spawn(program!, [...words, "profile", ...this.#endpoints(), ...flags], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    return JSON.parse(await ended(child)) as ProfileResult;
  }

  async clear(): Promise<void> {
    for (const child of this.#programs) child.kill("SIGKILL");
    for (const disk of this.#disks) await disk.stop();
    await Promise.all(this.#members.map((member) => member.stop("SIGKILL")));
    for (const proxy of this.#proxies) proxy.close();
    fs.rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    const { members: count = 1, patches, trouble } = this.#plant;
    const [program] = ourCommand();
    const command =
      patches === undefined
        ? [...ourCommand(), "server"]
        : [program!, await bundleProgramWith(patches, path.join(this.#folder, "build")), "server"];
    const ports = await freePorts(2 * count);
    const peerPorts = ports.slice(count);
    const seenPorts =
      trouble?.kind === "slow network" ? await this.#proxiesOf(peerPorts, trouble.delayMs) : peerPorts;
    const urls = seenPorts.map((port) => `http://127.0.0.1:${port}`);
    for (let i = 0; i < count; i++)
      this.#members.push(
        new ServerProcess({
          name: `m${i + 1}`,
          directory: path.join(this.#folder, `m${i + 1}`),
          clientPort: ports[i]!,
          peerPort: peerPorts[i]!,
          initialCluster: urls.map((url, other) => `m${other + 1}=${url}`).join(","),
          flags: ["--log-level=info", `--initial-advertise-peer-urls=${urls[i]!}`],
          command,
        }),
      );
    for (const member of this.#members) member.start();
    await Promise.all(this.#members.map((member) => member.ready()));
  }

  async #proxiesOf(ports: readonly number[], delayMs: number): Promise<number[]> {
    const seen: number[] = [];
    for (const port of ports) {
      const proxy = new DelayProxy(port, delayMs);
      this.#proxies.push(proxy);
      seen.push(await proxy.listen());
    }
    return seen;
  }

  async #cause(trouble: Trouble): Promise<void> {
    if (trouble.kind === "busy machine") {
      const script = `const end = Date.now() + ${LOAD_SECONDS * 1000}; while (Date.now() < end);`;
      for (let i = 0; i < trouble.programsPerCore * os.cpus().length; i++)
        this.#programs.push(spawn(process.execPath, ["-e", script], { stdio: "ignore" }));
    } else if (trouble.kind === "slow disk") {
      const isLeader = await Promise.all(this.#members.map((member) => member.isLeader()));
      const slow = this.#members.filter((_, i) => isLeader[i] === (trouble.of === "leader"));
      for (const member of slow) this.#disks.push(delaySyncs(member.pid!, trouble.delayMs));
    }
  }

  #endpoints(): string[] {
    return ["--endpoints", this.#members.map((member) => member.endpoint).join(",")];
  }

  /** What every load says. */
  #to(): string[] {
    return [...this.#endpoints(), "--warmup", "0s", "--quiet", "--publish-anyway"];
  }
}

function bench(words: readonly string[]): ChildProcess {
  const [program, ...first] = ourCommand();
  return spawn(program!, [...first, "bench", ...words], { stdio: ["ignore", "pipe", "pipe"] });
}

/** What a program printed; throws what it complained of when it failed. */
async function ended(child: ChildProcess): Promise<string> {
  let printed = "";
  let said = "";
  child.stdout!.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr!.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const [exitCode] = (await once(child, "close")) as [number | null];
  if (exitCode !== 0) throw new Error(`${child.spawnargs.slice(2).join(" ")}: ${said || printed}`);
  return printed;
}
