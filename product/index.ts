/** The library, `holdfast`: the client for any cluster that speaks etcd's API. */

export * from "./client/index.ts";
