// The commands that are not etcdctl's: what --help shows and what shells complete. What they load is in main.ts.

export const PART_SUMMARIES = {
  start: "Starts a member with its data in ./holdfast.data",
  up: "Starts a cluster of three members on this machine",
  server: "Runs a member; takes etcd's flags",
  bench: "Measures a cluster, with verdicts",
  simulate: "Runs a cluster in a world of faults, from a seed",
  "test conformance": "Sends the same requests to two clusters and compares every answer",
  "test failure": "Kills and cuts off members of a cluster under load, and checks what clients saw",
  profile: "Shows where a member's time goes, and what holds it back",
  demo: "Shows in a minute what Holdfast does, and proves it",
} as const;

export type PartName = keyof typeof PART_SUMMARIES;
