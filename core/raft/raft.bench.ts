// What consensus costs a member alone: propose, take output, persist at once, apply. And a leader of three with its
// followers in the same loop, messages encoded and decoded. Run: npx tsx core/raft/raft.bench.ts

import { ByteWriter } from "../base/byte-writer.ts";
import { DEFAULT_LIMITS } from "../base/limits.ts";
import { Prng } from "../base/prng.ts";
import { decodeMessage, encodeMessage } from "./codec.ts";
import { RaftLog } from "./log.ts";
import { RaftMessage } from "./message.ts";
import { EMPTY_HARD_STATE } from "./output.ts";
import { Raft } from "./raft.ts";

const PAYLOAD = new Uint8Array(350).fill(7);

function create(id: number, voters: number): Raft {
  const ids = Array.from({ length: voters }, (_, i) => ({ hi: 0, lo: i + 1 }));
  return new Raft({
    id: { hi: 0, lo: id },
    incarnation: 1,
    prng: new Prng(id),
    nowMs: 0,
    electionMs: 1000,
    heartbeatMs: 100,
    limits: DEFAULT_LIMITS,
    log: new RaftLog({ arenaBytes: DEFAULT_LIMITS.raftArenaBytes, compactedIndex: 0, compactedTerm: 0 }),
    hardState: EMPTY_HARD_STATE,
    confState: { voters: ids, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
    appliedIndex: 0,
  });
}

const writer = new ByteWriter(1 << 20);
const incoming = new RaftMessage();

/** Takes output until there is none; messages go straight to their members. */
function pump(raft: Raft, all: readonly Raft[]): void {
  for (;;) {
    const output = raft.takeOutput(0);
    if (output === undefined) return;
    const { sequence, applyIndex } = output;
    const packets: Uint8Array[] = [];
    for (const message of output.messages) {
      writer.reset();
      encodeMessage(writer, message, raft.log);
      packets.push(writer.copy());
    }
    if (sequence !== 0) raft.persisted(sequence);
    if (applyIndex > raft.appliedIndex) raft.appliedTo(applyIndex);
    for (const bytes of packets) {
      const message = decodeMessage(bytes, 0, bytes.length, incoming);
      const target = all[message.toLo - 1]!;
      target.step(message, 0);
    }
    if (packets.length > 0) for (const other of all) if (other !== raft) pump(other, all);
  }
}

function measure(voters: number, batch: number, total: number): void {
  const all = Array.from({ length: voters }, (_, i) => create(i + 1, voters));
  all[0]!.campaign(0);
  pump(all[0]!, all);
  if (!all[0]!.isLeader) throw new Error("no leader");
  const run = (count: number): number => {
    const started = process.hrtime.bigint();
    for (let done = 0; done < count; done += batch) {
      for (let i = 0; i < batch; i++)
        if (all[0]!.propose(PAYLOAD, 0, PAYLOAD.length) === 0) throw new Error(all[0]!.refusal);
      pump(all[0]!, all);
    }
    return Number(process.hrtime.bigint() - started) / count;
  };
  run(total / 10);
  const runs = [run(total), run(total), run(total)].sort((a, b) => a - b);
  const ns = runs[1]!;
  console.log(
    `${voters} voters, batches of ${batch}: ${Math.round(1e9 / ns).toLocaleString("en")} proposals/s, ${ns.toFixed(0)} ns each`,
  );
  if (all[0]!.appliedIndex !== all[0]!.lastIndex) throw new Error("not everything was applied");
}

measure(1, 1, 400_000);
measure(1, 100, 1_000_000);
measure(3, 1, 50_000);
measure(3, 100, 400_000);
