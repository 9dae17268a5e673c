// Consensus: what our Raft core costs by itself, from its own benchmark. There is nothing to set beside it: see
// docs/decisions/0001-what-we-wrote-ourselves.md.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Row } from "./measure.ts";

const LINE = /^(\d+ voters, batches of \d+): ([\d,]+) proposals\/s, (\d+) ns each$/;

export function measureConsensus(): Row[] {
  const script = fileURLToPath(new URL("../../core/raft/raft.bench.ts", import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, [...process.execArgv, script], { encoding: "utf8" });
  const rows = stdout.split("\n").flatMap((line) => {
    const found = LINE.exec(line);
    if (found === null) return [];
    const rate = Number(found[2]!.replaceAll(",", ""));
    return [{ name: found[1]!, figures: { "proposals/s": rate, "us each": Number(found[3]) / 1000 } }];
  });
  if (rows.length === 0) throw new Error(`raft.bench.ts printed no figures: ${stderr}`);
  return rows;
}
