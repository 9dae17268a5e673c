/** Runs commands as named steps with their time, quiet when they succeed and with all their words when they fail. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

export type Outcome = {
  /** Null when the command was killed, also by our own deadline. */
  readonly exitCode: number | null;
  /** stdout and stderr as they came. */
  readonly output: string;
  readonly seconds: number;
};

export type RunOptions = {
  readonly env?: Readonly<Record<string, string>>;
  readonly deadlineMs?: number;
};

/** Runs one command in the root to its end. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(command[0] ?? "", command.slice(1), {
      cwd: root,
      env: { ...process.env, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: options.deadlineMs ?? 10 * 60 * 1000,
      killSignal: "SIGKILL",
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.on("error", reject);
    child.on("close", (exitCode) => {
      const output = Buffer.concat(chunks).toString("utf8");
      resolve({ exitCode, output, seconds: (performance.now() - started) / 1000 });
    });
  });
}

/** One line per finished step: `ok   types   4.3 s`. */
export function report(name: string, isOk: boolean, detail: string): void {
  console.log(`${isOk ? "ok  " : "FAIL"}  ${name.padEnd(44)}  ${detail}`);
}

/** Runs a command as a step; true when it succeeded. */
export async function step(name: string, command: readonly string[]): Promise<boolean> {
  const { exitCode, output, seconds } = await run(command);
  report(name, exitCode === 0, `${seconds.toFixed(1)} s`);
  if (exitCode !== 0) {
    console.log(output.trimEnd());
  }
  return exitCode === 0;
}
