// The form "json": messages as Go's encoding/json writes etcd's structs: 64-bit integers as numbers, bytes in base64,
// zero fields left out. The answers about leases and watches are structs of etcd's client, with names of their own.

import * as m from "../../core/wire/messages.ts";
import type { NamedField, Schema } from "../../core/wire/schema.ts";
import { hex, jsonString } from "./go-text.ts";
import type { Form, Output } from "./print.ts";

type Values = Readonly<Record<string, unknown>>;

/** A message, field by field. */
export function goJson(schema: Schema<unknown>, message: unknown): string {
  return `{${members(schema, message as Values).join(",")}}`;
}

function members(schema: Schema<unknown>, values: Values): string[] {
  const parts: string[] = [];
  for (const field of schema.fields) {
    const value = values[field.name];
    if (isLeftOut(field, value)) continue;
    const part = `${jsonString(field.name)}:${fieldJson(field, value)}`;
    // etcd's library keeps the member of a oneof in a struct of its own; of these two only ResponseOp is ever shown.
    parts.push(field.presence === "oneof" && schema === m.ResponseOp ? `"Response":{${part}}` : part);
  }
  return parts;
}

function isLeftOut(field: NamedField, value: unknown): boolean {
  if (value === undefined) return true;
  if (field.presence === "repeated") return (value as readonly unknown[]).length === 0;
  if (field.kind === "bytes") return (value as Uint8Array).length === 0;
  return value === 0 || value === "" || value === false || value === 0n;
}

function fieldJson(field: NamedField, value: unknown): string {
  if (field.presence !== "repeated") return valueJson(field, value);
  return `[${(value as readonly unknown[]).map((it) => valueJson(field, it)).join(",")}]`;
}

function valueJson(field: NamedField, value: unknown): string {
  switch (field.kind) {
    case "message":
      return goJson(field.schema!(), value);
    case "bytes":
      return base64(value as Uint8Array);
    case "string":
      return jsonString(value as string);
    case "bool":
    case "int64":
    case "uint64":
    case "uint32":
    case "int32":
    case "id":
    case "unsignedId":
    case "enum":
      return String(value);
  }
}

function base64(bytes: Uint8Array): string {
  return `"${Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64")}"`;
}

function show<T>(schema: Schema<T>): (message: T, output: Output) => void {
  return (message, output) => output.line(goJson(schema, message));
}

/** The header's fields among those of the answer itself. */
function withHeader(header: unknown, parts: readonly string[]): string {
  const headerParts = header === undefined ? [] : members(m.ResponseHeader, header as Values);
  return `{${[...headerParts, ...parts].join(",")}}`;
}

export function jsonForm(isHex: boolean): Form {
  return {
    put: show(m.PutResponse),
    get: show(m.RangeResponse),
    del: show(m.DeleteRangeResponse),
    txn: show(m.TxnResponse),
    watch: showWatch,
    ...leaseForm,
    alarm: show(m.AlarmResponse),
    memberAdd: show(m.MemberAddResponse),
    memberRemove: ({ answer }, output) => output.line(goJson(m.MemberRemoveResponse, answer)),
    memberUpdate: ({ answer }, output) => output.line(goJson(m.MemberUpdateResponse, answer)),
    memberPromote: ({ answer }, output) => output.line(goJson(m.MemberPromoteResponse, answer)),
    memberList: isHex ? showMembersHex : show(m.MemberListResponse),
    moveLeader: ({ answer }, output) => output.line(goJson(m.MoveLeaderResponse, answer)),
    ...endpointForm,
  };
}

const showWatch: NonNullable<Form["watch"]> = (answer, output) => {
  const header = goJson(m.ResponseHeader, answer.header ?? {});
  const events = answer.events.map((it) => goJson(m.Event, it)).join(",");
  output.line(
    `{"Header":${header},"Events":[${events}],"CompactRevision":${answer.compact_revision},` +
      `"Canceled":${answer.canceled},"Created":${answer.created}}`,
  );
};

const leaseForm: Form = {
  grant(answer, output) {
    const error = jsonString(answer.error);
    output.line(withHeader(answer.header, [`"ID":${answer.ID}`, `"TTL":${answer.TTL}`, `"Error":${error}`]));
  },
  revoke({ answer }, output) {
    output.line(goJson(m.LeaseRevokeResponse, answer));
  },
  keepAlive(answer, output) {
    output.line(withHeader(answer.header, [`"ID":${answer.ID}`, `"TTL":${answer.TTL}`]));
  },
  timeToLive({ answer }, output) {
    const keys = answer.keys.length === 0 ? "null" : `[${answer.keys.map(base64).join(",")}]`;
    const parts = [
      `"id":${answer.ID}`,
      `"ttl":${answer.TTL}`,
      `"granted-ttl":${answer.grantedTTL}`,
      `"keys":${keys}`,
    ];
    output.line(withHeader(answer.header, parts));
  },
  leases(answer, output) {
    const list = answer.leases.map((it) => `{"id":${it.ID}}`).join(",");
    output.line(withHeader(answer.header, [`"leases":[${list}]`]));
  },
};

const endpointForm: Form = {
  endpointHealth(list, output) {
    const items = list.map(({ endpoint, isHealthy, took, error }) => {
      const tail = error === "" ? "" : `,"error":${jsonString(error)}`;
      return `{"endpoint":${jsonString(endpoint)},"health":${isHealthy},"took":${jsonString(took)}${tail}}`;
    });
    output.line(listJson(items));
  },
  endpointStatus(list, output) {
    output.line(
      listJson(
        list.map(
          ({ endpoint, status }) =>
            `{"Endpoint":${jsonString(endpoint)},"Status":${goJson(m.StatusResponse, status)}}`,
        ),
      ),
    );
  },
  endpointHash(list, output) {
    output.line(
      listJson(
        list.map(
          ({ endpoint, hash }) =>
            `{"Endpoint":${jsonString(endpoint)},"HashKV":${goJson(m.HashKVResponse, hash)}}`,
        ),
      ),
    );
  },
};

/** A Go slice that nothing was appended to is null. */
function listJson(items: readonly string[]): string {
  return items.length === 0 ? "null" : `[${items.join(",")}]`;
}

/** With --hex the ids are texts, and whether a member is a learner is not shown. */
const showMembersHex: NonNullable<Form["memberList"]> = (answer, output) => {
  const urls = (list: readonly string[]): string =>
    list.length === 0 ? "null" : `[${list.map(jsonString).join(",")}]`;
  const list = answer.members.map(
    (it) =>
      `{"ID":"${hex(it.ID)}","name":"${it.name}","peerURLs":${urls(it.peerURLs)},"clientURLs":${urls(it.clientURLs)}}`,
  );
  const { cluster_id = 0n, member_id = 0n, raft_term = 0 } = answer.header ?? {};
  const header = `{"cluster_id":"${hex(cluster_id)}","member_id":"${hex(member_id)}","raft_term":${raft_term}}`;
  output.line(`{"header":${header}${list.length === 0 ? "" : `,"members":[${list.join(",")}]`}}`);
};
