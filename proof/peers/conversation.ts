/** How a `*.check.ts` tells tools/peer-checks.ts what it found: one line per claim, and an exit code. */
import { spawn } from "node:child_process";
import type { Target } from "./target.ts";
import { startTarget } from "./target.ts";

export type Said = { readonly exitCode: number | null; readonly stdout: string; readonly stderr: string };

/** Longer than any single command of a peer takes on a busy machine. */
const commandDeadlineMs = 120_000;

/** Runs a peer's program to its end. */
export function runPeer(program: string, args: readonly string[], input = ""): Promise<Said> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe"],
      timeout: commandDeadlineMs,
      killSignal: "SIGKILL",
    });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    child.on("error", reject);
    child.on("close", (exitCode) => {
      resolve({ exitCode, stdout, stderr });
    });
    child.stdin.on("error", () => {
      // The program did not want to hear more; its exit code tells whether that is wrong.
    });
    child.stdin.end(input);
  });
}

/** Passes on the "ok - …" and "not ok - …" lines of a program that checks by itself. */
export function passOn(name: string, said: Said): void {
  const lines = said.stdout.split("\n").filter((line) => /^(?:not )?ok - /.test(line));
  for (const line of lines) {
    console.log(line.replace(" - ", ` - ${name}: `));
  }
  const isFailed = said.exitCode !== 0;
  if (lines.length === 0 || (isFailed && !lines.some((line) => line.startsWith("not ok")))) {
    console.log(`not ok - ${name}: ended with ${said.exitCode ?? "a signal"}: ${said.stderr.trim()}`);
  }
  if (isFailed) {
    process.exitCode = 1;
  }
}

/** One claim; what it throws is why it does not hold. */
export async function claim(name: string, check: () => Promise<void>): Promise<void> {
  try {
    await check();
    console.log(`ok - ${name}`);
  } catch (error) {
    console.log(`not ok - ${name}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

/** Starts a server, holds the conversations, stops it. */
export async function withTarget(converse: (target: Target) => Promise<void>): Promise<void> {
  const target = await startTarget();
  try {
    await converse(target);
  } finally {
    if (process.exitCode === 1) {
      console.log(`The server's last words:\n${target.log().split("\n").slice(-20).join("\n")}`);
    }
    await target.stop();
  }
}
