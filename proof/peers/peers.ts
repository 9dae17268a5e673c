/** Finds the real peers that tools/peers.sh brought onto this machine. */
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";

export type PeerName =
  /** etcd 3.6 and its tools, and our program on its Go client; there only where Go is. */
  | "etcd"
  | "etcdctl"
  | "etcdutl"
  | "benchmark"
  | "clientv3"
  /** Reads a write-ahead log with etcd's own reader. */
  | "walcheck"
  /** Our program on etcd's Java client; there only where a JDK and Maven are. */
  | "jetcd"
  /** Debian's packages: etcd 3.4, and the Python that has etcd3. Required. */
  | "etcd-debian"
  | "etcdctl-debian"
  | "python3-etcd3"
  /** Opens the pages of reports; installed where Debian's packages can be. */
  | "chromium";

const debianPaths: Partial<Record<PeerName, string>> = {
  "etcd-debian": "/usr/bin/etcd",
  "etcdctl-debian": "/usr/bin/etcdctl",
  "python3-etcd3": "/usr/bin/python3",
  chromium: "/usr/bin/chromium",
};

/** The folder of the built ones; the same rule is in tools/peers.sh. */
export function peersFolder(): string {
  const cache = process.env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache");
  return process.env["HOLDFAST_PEERS"] ?? path.join(cache, "holdfast/peers/bin");
}

/** The program's path, or undefined when it is not on this machine. */
export function findPeer(name: PeerName): string | undefined {
  const file = debianPaths[name] ?? path.join(peersFolder(), name);
  return fs.existsSync(file) ? file : undefined;
}

/** For those that must be there. */
export function requirePeer(name: PeerName): string {
  const file = findPeer(name);
  if (file === undefined) {
    throw new Error(`Cannot find ${name}: run npm run peers`);
  }
  return file;
}
