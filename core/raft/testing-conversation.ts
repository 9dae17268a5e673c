// For tests: the golden conversations. A file is a list of commands, each followed by what it made happen:
//
//   # comment
//   propose 1 hello
//   ----
//   1: persist #3, entries 2/1:hello
//   1->2 append term=1 after=1/1 commit=1 entries=1
//
// Commands:
//   cluster voters=3 [learners=n] [spares=n] [sync=manual] [append=bytes] [inflight=count]     the first command
//   elect N (quietly, everything delivered) · campaign N · order N (no pre-vote, past leases) · propose N text… · read N · transfer N M · compact N index
//   change N add M | remove M | learner M …  ("leave" alone leaves a joint configuration)
//   deliver [filter…] · drop [filter…] · duplicate [filter…]    filters: N->M, a kind of message, first=count
//   sync N [batches] · crash N [kept] · restart N · advance ms (delivers nothing) · live ms (delivers all) · settle
//   cut N M (both ways) · heal · disconnected N M (N saw M's connection close) · unreachable N M
//   state [N] · log N · network

import { id64Hex } from "../base/ids.ts";
import { ADD_LEARNER, ADD_VOTER, LEAVE_JOINT, type MemberChange, REMOVE_MEMBER } from "./conf-change.ts";
import { formatConfState } from "./configuration.ts";
import { MESSAGE_NAMES } from "./message.ts";
import { type FlyingPacket, formatPacket, TestCluster } from "./testing-cluster.ts";
import { formatEntry, testId, type TestNode } from "./testing-node.ts";

type Command = (conversation: Conversation, words: readonly string[]) => void;

/** Runs a conversation; returns the text with what happens now in place of what was written. */
export function replayConversation(text: string): string {
  const conversation = new Conversation();
  const output: string[] = [];
  for (const block of text.trimEnd().split(/\n\n+/)) {
    const lines = block.split("\n");
    const separator = lines.indexOf("----");
    const head = separator < 0 ? lines : lines.slice(0, separator);
    const commands = head.filter((line) => line !== "" && !line.startsWith("#"));
    for (const command of commands) conversation.run(command);
    const said = conversation.takeSaid();
    output.push(commands.length === 0 ? head.join("\n") : [...head, "----", ...said].join("\n"));
  }
  return `${output.join("\n\n")}\n`;
}

class Conversation {
  #cluster: TestCluster | undefined = undefined;
  #said: string[] = [];

  get cluster(): TestCluster {
    if (this.#cluster === undefined) throw new Error("A conversation starts with: cluster voters=n");
    return this.#cluster;
  }

  say(text: string): void {
    this.#said.push(text);
  }

  takeSaid(): string[] {
    const said = collapsed(this.#said);
    this.#said = [];
    return said.length > 0 ? said : ["nothing"];
  }

  create(cluster: TestCluster): void {
    this.#cluster = cluster;
    cluster.listener = (text) => this.say(text);
  }

  run(line: string): void {
    const [name, ...words] = line.split(" ");
    const command = COMMANDS.get(name!);
    if (command === undefined) throw new Error(`There is no command: ${line}`);
    command(this, words);
  }
}

/** Equal heartbeats of one command are one line. */
function collapsed(lines: readonly string[]): string[] {
  const isHeartbeat = (line: string): boolean => line.includes("-") && line.includes(" heartbeat");
  const count = (line: string): number => lines.filter((other) => other === line).length;
  const kept = lines.filter((line, i) => !isHeartbeat(line) || lines.indexOf(line) === i);
  return kept.map((line) => (isHeartbeat(line) && count(line) > 1 ? `${line} (${count(line)} times)` : line));
}

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ["cluster", create],
  ["elect", elect],
  ["order", (it, [id]) => it.cluster.order(Number(id))],
  ["campaign", (it, [id]) => it.cluster.campaign(Number(id))],
  ["propose", propose],
  ["read", (it, [id]) => void it.cluster.read(Number(id))],
  ["transfer", transfer],
  ["compact", compact],
  ["change", change],
  ["deliver", (it, words) => chosen(it.cluster, words).forEach((packet) => it.cluster.deliver(packet))],
  [
    "duplicate",
    (it, words) => chosen(it.cluster, words).forEach((packet) => it.cluster.deliver(packet, true)),
  ],
  ["drop", drop],
  ["sync", (it, [id, count]) => it.cluster.sync(Number(id), count === undefined ? undefined : Number(count))],
  ["crash", (it, [id, kept]) => it.cluster.crash(Number(id), Number(kept ?? 0))],
  ["restart", (it, [id]) => it.cluster.restart(Number(id))],
  ["advance", (it, [ms]) => it.cluster.advance(Number(ms), false)],
  ["live", (it, [ms]) => it.cluster.advance(Number(ms), true)],
  ["settle", (it) => it.cluster.settle()],
  ["cut", (it, [a, b]) => it.cluster.partition([Number(a)], [Number(b)])],
  ["isolate", (it, [id]) => it.cluster.isolate(Number(id))],
  ["heal", (it) => it.cluster.heal()],
  ["disconnected", disconnected],
  ["unreachable", unreachable],
  ["state", state],
  ["log", (it, [id]) => it.say(it.cluster.node(Number(id)).entries.map(formatEntry).join(" "))],
  ["network", (it) => it.cluster.packets.forEach((packet) => it.say(formatPacket(packet)))],
]);

function create(it: Conversation, words: readonly string[]): void {
  const value = (name: string): string | undefined =>
    words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  const number = (name: string): number | undefined =>
    value(name) === undefined ? undefined : Number(value(name));
  const append = number("append");
  const inflight = number("inflight");
  it.create(
    new TestCluster({
      voters: number("voters") ?? 3,
      learners: number("learners") ?? 0,
      spares: number("spares") ?? 0,
      autoSync: value("sync") !== "manual",
      limits: {
        ...(append === undefined ? {} : { raftAppendBytesMax: append }),
        ...(inflight === undefined ? {} : { raftInflightCountMax: inflight }),
      },
    }),
  );
  it.say("ok");
}

function elect(it: Conversation, [id]: readonly string[]): void {
  it.cluster.listener = undefined;
  it.cluster.elect(Number(id));
  it.cluster.listener = (text) => it.say(text);
  it.say("ok");
}

function propose(it: Conversation, [id, ...values]: readonly string[]): void {
  for (const value of values) {
    const result = it.cluster.propose(Number(id), value);
    if (result === 0) it.say(`${id}: refused: ${it.cluster.node(Number(id)).raft.refusal}`);
  }
}

function transfer(it: Conversation, [id, target]: readonly string[]): void {
  const node = it.cluster.node(Number(id));
  if (!node.raft.transferLeader(testId(Number(target)))) it.say(`${id}: refused: ${node.raft.refusal}`);
  node.pump(it.cluster.nowMs);
  it.cluster.check();
}

function compact(it: Conversation, [id, index]: readonly string[]): void {
  it.cluster.node(Number(id)).compact(Number(index));
  it.say(`${id}: log starts after ${it.cluster.node(Number(id)).raft.log.compactedIndex}`);
}

function change(it: Conversation, [id, ...words]: readonly string[]): void {
  const node = it.cluster.node(Number(id));
  const changes: MemberChange[] = [];
  for (let i = 0; i + 1 < words.length; i += 2) {
    const type = words[i] === "add" ? ADD_VOTER : words[i] === "remove" ? REMOVE_MEMBER : ADD_LEARNER;
    changes.push({ type, id: testId(Number(words[i + 1])) });
  }
  const index =
    words[0] === "leave"
      ? node.proposeConfChange(LEAVE_JOINT, it.cluster.nowMs)
      : it.cluster.change(Number(id), changes);
  if (index === 0) it.say(`${id}: refused: ${node.raft.refusal}`);
}

function drop(it: Conversation, words: readonly string[]): void {
  const packets = chosen(it.cluster, words);
  for (const packet of packets) it.say(`lost: ${formatPacket(packet)}`);
  it.cluster.dropMatching((packet) => packets.includes(packet));
}

function disconnected(it: Conversation, [id, peer]: readonly string[]): void {
  const node = it.cluster.node(Number(id));
  node.raft.peerDisconnected(testId(Number(peer)), it.cluster.nowMs);
  node.pump(it.cluster.nowMs);
}

function unreachable(it: Conversation, [id, peer]: readonly string[]): void {
  const node = it.cluster.node(Number(id));
  node.raft.reportUnreachable(testId(Number(peer)));
  node.pump(it.cluster.nowMs);
}

function state(it: Conversation, [id]: readonly string[]): void {
  const nodes = id === undefined ? it.cluster.nodes : [it.cluster.node(Number(id))];
  for (const node of nodes) it.say(describe(node));
}

function describe(node: TestNode): string {
  if (!node.isUp) return `${node.id}: down`;
  const { raft } = node;
  const commit = `commit=${raft.commitIndex} applied=${raft.appliedIndex} durable=${raft.durableIndex} last=${raft.lastIndex}`;
  return `${node.id}: ${raft.role} term=${raft.term} leader=${id64Hex(raft.leader)} ${commit} ${formatConfState(raft.confState)}`;
}

/** Packets that are on the way now and pass all filters. */
function chosen(cluster: TestCluster, words: readonly string[]): FlyingPacket[] {
  let packets = [...cluster.packets];
  for (const word of words) {
    if (word.includes("->")) {
      const [from, to] = word.split("->");
      packets = packets.filter(
        (packet) => (from === "" || packet.from === Number(from)) && (to === "" || packet.to === Number(to)),
      );
    } else if (word.startsWith("first=")) packets = packets.slice(0, Number(word.slice(6)));
    else if (MESSAGE_NAMES.includes(word))
      packets = packets.filter((packet) => MESSAGE_NAMES[packet.kind] === word);
    else throw new Error(`There is no filter ${word}`);
  }
  return packets;
}
