// How the members reach each other, and how that is broken. In the sandbox every member has a network of its own, joined
// by a bridge, and any ordered pair can be cut: a packet of the one to the other is lost, nobody is told. Elsewhere
// (proxy.ts) there is only one proxy before each member.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { PeerProxy } from "./proxy.ts";
import { freePorts } from "../peers/server-process.ts";

export interface MemberAddress {
  readonly host: string;
  readonly clientPort: number;
  /** Where the member listens for its peers, and what it tells them. */
  readonly listenPeerUrl: string;
  readonly peerUrl: string;
  /** What goes before the command that starts the member. */
  readonly launcher: readonly string[];
}

/** Indexes of members. */
export interface Pair {
  readonly from: number;
  readonly to: number;
}

export type Network = NamespaceNetwork | ProxyNetwork;

const SUBNET = "10.77.0";
const BRIDGE = "hfbridge";
const LOST_MAC = "02:48:46:ff:ff:ff";
const JOIN_TIMEOUT_MS = 5_000;

function macOf(index: number): string {
  return `02:48:46:00:00:${(index + 1).toString(16).padStart(2, "0")}`;
}

function hostOf(index: number): string {
  return `${SUBNET}.${index + 1}`;
}

/** Only in the sandbox: it changes the network it is in. */
export class NamespaceNetwork {
  readonly kind = "namespaces";
  /** Each keeps a member's network in being. */
  readonly #keepers: ChildProcess[] = [];
  #cut: readonly Pair[] = [];

  static async make(memberCount: number): Promise<NamespaceNetwork> {
    const network = new NamespaceNetwork();
    ip(undefined, [
      "link set lo up",
      `link add ${BRIDGE} type bridge`,
      `addr add ${SUBNET}.254/24 dev ${BRIDGE}`,
      `link set ${BRIDGE} up`,
    ]);
    for (let index = 0; index < memberCount; index++) await network.#addMember(index, memberCount);
    return network;
  }

  addresses(): MemberAddress[] {
    return this.#keepers.map((keeper, index) => ({
      host: hostOf(index),
      clientPort: 2379,
      listenPeerUrl: `http://${hostOf(index)}:2380`,
      peerUrl: `http://${hostOf(index)}:2380`,
      launcher: ["nsenter", `--net=${namespaceOf(keeper.pid!)}`],
    }));
  }

  /** What `from` sends to `to` is lost from now on. Nothing else is cut. */
  cut(pairs: readonly Pair[]): void {
    this.#mend();
    this.#cut = pairs;
    // A neighbour that nobody is: the packets leave, and no member takes them for its own.
    for (const { from, to } of pairs) this.#neighbour(from, to, LOST_MAC);
  }

  heal(): void {
    this.#mend();
    this.#cut = [];
  }

  close(): void {
    for (const keeper of this.#keepers) keeper.kill("SIGKILL");
  }

  #mend(): void {
    for (const { from, to } of this.#cut) this.#neighbour(from, to, macOf(to));
  }

  #neighbour(at: number, of: number, mac: string): void {
    ip(this.#keepers[at]!.pid, [`neigh replace ${hostOf(of)} lladdr ${mac} dev eth0 nud permanent`]);
  }

  async #addMember(index: number, memberCount: number): Promise<void> {
    const keeper = spawn("unshare", ["--net", "cat"], { stdio: ["pipe", "ignore", "ignore"] });
    this.#keepers.push(keeper);
    const pid = keeper.pid;
    if (pid === undefined) throw new Error("Cannot start unshare");
    await hasOwnNetwork(pid);
    ip(undefined, [
      `link add hf${index} type veth peer name eth0 netns ${pid} address ${macOf(index)}`,
      `link set hf${index} master ${BRIDGE}`,
      `link set hf${index} up`,
    ]);
    const others = Array.from({ length: memberCount }, (_, other) => other).filter((it) => it !== index);
    ip(pid, [
      "link set lo up",
      `addr add ${hostOf(index)}/24 dev eth0`,
      "link set eth0 up",
      ...others.map(
        (other) => `neigh replace ${hostOf(other)} lladdr ${macOf(other)} dev eth0 nud permanent`,
      ),
    ]);
  }
}

/** One proxy before each member: what others open to it can be stalled, and nothing finer. */
export class ProxyNetwork {
  readonly kind = "proxies";
  /** Why it is not the other kind. */
  readonly why: string;
  readonly #proxies: PeerProxy[] = [];
  readonly #addresses: MemberAddress[] = [];

  private constructor(why: string) {
    this.why = why;
  }

  static async make(memberCount: number, why: string): Promise<ProxyNetwork> {
    const network = new ProxyNetwork(why);
    const ports = await freePorts(2 * memberCount);
    for (let index = 0; index < memberCount; index++) {
      const peerPort = ports[memberCount + index]!;
      const proxy = new PeerProxy(peerPort);
      await proxy.listen();
      network.#proxies.push(proxy);
      network.#addresses.push({
        host: "127.0.0.1",
        clientPort: ports[index]!,
        listenPeerUrl: `http://127.0.0.1:${peerPort}`,
        peerUrl: `http://127.0.0.1:${proxy.port}`,
        launcher: [],
      });
    }
    return network;
  }

  addresses(): MemberAddress[] {
    return this.#addresses;
  }

  stall(index: number): void {
    this.#proxies[index]!.stall();
  }

  heal(): void {
    for (const proxy of this.#proxies) proxy.heal();
  }

  close(): void {
    for (const proxy of this.#proxies) proxy.close();
  }
}

/** Commands of `ip`, in the network of a process or in ours. */
function ip(pid: number | undefined, commands: readonly string[]): void {
  const [program, ...words] = [
    ...(pid === undefined ? [] : ["nsenter", `--net=${namespaceOf(pid)}`]),
    ...["ip", "-batch", "-"],
  ];
  execFileSync(program!, words, { input: commands.join("\n") + "\n", stdio: ["pipe", "ignore", "pipe"] });
}

function namespaceOf(pid: number): string {
  return `/proc/${pid}/ns/net`;
}

async function hasOwnNetwork(pid: number): Promise<void> {
  const ours = fs.readlinkSync("/proc/self/ns/net");
  const endMs = performance.now() + JOIN_TIMEOUT_MS;
  while (performance.now() < endMs) {
    if (fs.readlinkSync(namespaceOf(pid)) !== ours) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("Cannot make a network for a member: unshare does not come to it");
}
