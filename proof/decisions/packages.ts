// The packages that were weighed: installed by npm, in exact versions, into a folder outside the repository that later
// runs find again. They are in no package.json of ours. One that cannot be had is left out, and the report says so.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { createRequire } from "node:module";
import * as os from "node:os";
import * as path from "node:path";

/** Those of November 2026 that run on Node 20. */
export const WEIGHED = {
  "@grpc/grpc-js": "1.14.7",
  lmdb: "3.5.6",
  "classic-level": "3.0.0",
  "@nxtedition/rocksdb": "12.2.12",
  "better-sqlite3": "12.11.1",
} as const;

export type WeighedName = keyof typeof WEIGHED;

/** better-sqlite3 is compiled where its prebuilt binary cannot be downloaded. */
const INSTALL_TIMEOUT_MS = 600_000;

export function defaultPackagesFolder(): string {
  return path.join(os.tmpdir(), "holdfast-weighed");
}

/** Installs one unless it is there; says why not. */
export function install(folder: string, name: WeighedName): string | undefined {
  const home = path.join(folder, name);
  if (installedVersion(home, name) === WEIGHED[name]) return undefined;
  fs.mkdirSync(home, { recursive: true });
  fs.writeFileSync(path.join(home, "package.json"), '{ "private": true }\n');
  const args = ["install", "--no-audit", "--no-fund", "--save-exact", `${name}@${WEIGHED[name]}`];
  const { status, stderr } = spawnSync("npm", args, {
    cwd: home,
    encoding: "utf8",
    timeout: INSTALL_TIMEOUT_MS,
  });
  if (status === 0) return undefined;
  return stderr.split("\n").find((line) => line.includes("error")) ?? `npm ended with ${status}`;
}

function installedVersion(home: string, name: string): string | undefined {
  try {
    const text = fs.readFileSync(path.join(home, "node_modules", name, "package.json"), "utf8");
    return (JSON.parse(text) as { version: string }).version;
  } catch {
    return undefined;
  }
}

/** The module of a package that `install` has put there, as the caller describes it. */
export function load<T>(folder: string, name: WeighedName): T {
  return createRequire(path.join(folder, name, "package.json"))(name) as T;
}

/** Size of what npm put there, bytes: what a user of ours would have to download and unpack. */
export function installedBytes(folder: string, name: WeighedName): number {
  return directoryBytes(path.join(folder, name, "node_modules"));
}

export function directoryBytes(directory: string): number {
  let sum = 0;
  for (const entry of fs.readdirSync(directory, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) sum += fs.statSync(path.join(entry.parentPath, entry.name)).size;
  }
  return sum;
}
