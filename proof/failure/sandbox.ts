// The test in a sandbox: namespaces of its own for network, mounts and processes. What it makes there (a bridge, small
// file systems, servers) nobody else sees, and all of it is gone with the last process, also when the test is killed.
// Root may do that everywhere, anybody else where user namespaces are allowed.

import { spawn, spawnSync } from "node:child_process";
import { untilInterrupted } from "../bench/interrupt.ts";

const MARK = "HOLDFAST_FAILURE_SANDBOX";
/** In the sandbox our processes are reached by other numbers; the first one is the test itself. */
const FIRST_PID = 1;
const INTERRUPTS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** All that the test will need there; the first part that does not work says why there is no sandbox. */
const PROBE = [
  "ip link add hfprobe type bridge",
  "ip link add hfprobe0 type veth peer name hfprobe1",
  "mount -t tmpfs -o size=65536 tmpfs /mnt",
  "nsenter --net=/proc/self/ns/net true",
].join(" && ");

export type Sandbox =
  | { readonly kind: "possible"; readonly command: readonly string[] }
  | { readonly kind: "impossible"; readonly why: string };

export function isInSandbox(): boolean {
  return process.env[MARK] === "1" && process.pid === FIRST_PID;
}

export function findSandbox(): Sandbox {
  const namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
  if (process.getuid?.() !== 0) namespaces.push("--user", "--map-root-user");
  // unshare ends its child when it ends, setpriv ends unshare when we end.
  const command = ["setpriv", "--pdeathsig", "KILL", "unshare", ...namespaces];
  const [program, ...words] = [...command, "sh", "-c", PROBE];
  const { status, stderr, error } = spawnSync(program!, words, { encoding: "utf8", env: withTools() });
  if (status === 0) return { kind: "possible", command };
  const said = error?.message ?? stderr.trim().split("\n")[0];
  return { kind: "impossible", why: said || `${program} ended with ${status}` };
}

/** Runs this program again with these words, in the sandbox; resolves to its exit code. */
export function runInSandbox(command: readonly string[], argv: readonly string[]): Promise<number> {
  const [program, ...words] = [...command, process.execPath, ...process.execArgv, process.argv[1]!, ...argv];
  // A terminal's Ctrl-C goes to its whole process group: not to this one, or it would end the members.
  const child = spawn(program!, words, {
    stdio: ["pipe", "inherit", "inherit"],
    env: { ...withTools(), [MARK]: "1" },
    detached: true,
  });
  child.stdin!.on("error", () => undefined); // it has ended already
  const end = (): void => {
    if (child.stdin!.writableEnded) child.kill("SIGKILL");
    else child.stdin!.end();
  };
  for (const signal of INTERRUPTS) process.on(signal, end);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      for (const signal of INTERRUPTS) process.off(signal, end);
      resolve(code ?? 130);
    });
  });
}

/**
 * Aborted when the user wants the test to end: here by a signal, in the sandbox by the end of the input, with which the
 * process outside passes it on. A second signal ends the program at once.
 */
export function untilEnded(): ReturnType<typeof untilInterrupted> {
  if (!isInSandbox()) return untilInterrupted(INTERRUPTS);
  const controller = new AbortController();
  const interrupt = (): void => controller.abort();
  process.stdin.once("end", interrupt).resume();
  return { signal: controller.signal, release: () => process.stdin.off("end", interrupt).destroy() };
}

/** `ip` and `mount` are where not everybody looks. */
function withTools(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env["PATH"] ?? "/usr/bin:/bin"}:/usr/sbin:/sbin` };
}
