// The form "fields": every field on a line of its own, `"Name" : value`.

import type { KeyValue, ResponseHeader } from "../../core/wire/messages.ts";
import type { MessageOf } from "../../core/wire/schema.ts";
import { hex, hex16, quote } from "./go-text.ts";
import type { Answers, Form, Output } from "./print.ts";
import { alarmName } from "./print-simple.ts";

type Header = MessageOf<typeof ResponseHeader>;
type Kv = MessageOf<typeof KeyValue>;

export function fieldsForm(isHex: boolean): Form {
  const fields = new Fields(isHex);
  return { ...kvForm(fields), ...leaseForm(fields), ...clusterForm(fields) };
}

/** The parts that several answers have in common. */
class Fields {
  readonly #isHex: boolean;

  constructor(isHex: boolean) {
    this.#isHex = isHex;
  }

  /** A member's or cluster's id. */
  id(id: bigint): string {
    return this.#isHex ? hex(id) : id.toString();
  }

  lease(id: bigint): string {
    return this.#isHex ? hex16(id) : id.toString();
  }

  header(header: Header | undefined, output: Output): void {
    output.line(`"ClusterID" : ${this.id(header?.cluster_id ?? 0n)}`);
    output.line(`"MemberID" : ${this.id(header?.member_id ?? 0n)}`);
    // Answers about the cluster have no revision.
    if (header !== undefined && header.revision > 0) output.line(`"Revision" : ${header.revision}`);
    output.line(`"RaftTerm" : ${header?.raft_term ?? 0}`);
  }

  keyValue(prefix: string, kv: Kv, output: Output): void {
    output.line(`"${prefix}Key" : ${quote(kv.key)}`);
    output.line(`"${prefix}CreateRevision" : ${kv.create_revision}`);
    output.line(`"${prefix}ModRevision" : ${kv.mod_revision}`);
    output.line(`"${prefix}Version" : ${kv.version}`);
    output.line(`"${prefix}Value" : ${quote(kv.value)}`);
    output.line(`"${prefix}Lease" : ${this.lease(kv.lease)}`);
  }
}

function kvForm(fields: Fields): Form {
  const get = (answer: Answers["get"], output: Output): void => {
    fields.header(answer.header, output);
    for (const kv of answer.kvs) fields.keyValue("", kv, output);
    output.line(`"More" : ${answer.more}`);
    output.line(`"Count" : ${answer.count}`);
  };
  const put = (answer: Answers["put"], output: Output): void => {
    fields.header(answer.header, output);
    if (answer.prev_kv !== undefined) fields.keyValue("Prev", answer.prev_kv, output);
  };
  const del = (answer: Answers["del"], output: Output): void => {
    fields.header(answer.header, output);
    output.line(`"Deleted" : ${answer.deleted}`);
    for (const kv of answer.prev_kvs) fields.keyValue("Prev", kv, output);
  };
  return {
    get,
    put,
    del,
    txn(answer, output) {
      fields.header(answer.header, output);
      output.line(`"Succeeded" : ${answer.succeeded}`);
      for (const op of answer.responses) {
        if (op.response_range !== undefined) get(op.response_range, output);
        else if (op.response_put !== undefined) put(op.response_put, output);
        else if (op.response_delete_range !== undefined) del(op.response_delete_range, output);
        else output.line('"Unknown" : ""');
      }
    },
    watch(answer, output) {
      fields.header(answer.header, output);
      for (const event of answer.events) {
        output.line(`"Type" : ${event.type === 1 ? "DELETE" : "PUT"}`);
        if (event.prev_kv !== undefined) fields.keyValue("Prev", event.prev_kv, output);
        if (event.kv !== undefined) fields.keyValue("", event.kv, output);
      }
    },
  };
}

function leaseForm(fields: Fields): Form {
  const idAndTtl = (answer: Answers["keepAlive"], output: Output): void => {
    fields.header(answer.header, output);
    output.line(`"ID" : ${fields.lease(answer.ID)}`);
    output.line(`"TTL" : ${answer.TTL}`);
  };
  return {
    grant: idAndTtl,
    keepAlive: idAndTtl,
    revoke({ answer }, output) {
      fields.header(answer.header, output);
    },
    timeToLive({ answer }, output) {
      idAndTtl(answer, output);
      output.line(`"GrantedTTL" : ${answer.grantedTTL}`);
      for (const key of answer.keys) output.line(`"Key" : ${quote(key)}`);
    },
    leases(answer, output) {
      fields.header(answer.header, output);
      for (const { ID } of answer.leases) output.line(`"ID" : ${fields.lease(ID)}`);
    },
  };
}

function clusterForm(fields: Fields): Form {
  return {
    alarm(answer, output) {
      fields.header(answer.header, output);
      for (const { memberID, alarm } of answer.alarms) {
        output.line(`"MemberID" : ${fields.id(memberID)}`);
        output.line(`"AlarmType" : ${alarmName(alarm)}`);
        output.line("");
      }
    },
    memberList(answer, output) {
      fields.header(answer.header, output);
      for (const member of answer.members) {
        output.line(`"ID" : ${fields.id(member.ID)}`);
        output.line(`"Name" : ${quote(member.name)}`);
        for (const url of member.peerURLs) output.line(`"PeerURL" : ${quote(url)}`);
        for (const url of member.clientURLs) output.line(`"ClientURL" : ${quote(url)}`);
        output.line(`"IsLearner" : ${member.isLearner}`);
        output.line("");
      }
    },
    endpointHealth(list, output) {
      for (const { endpoint, isHealthy, took, error } of list) {
        output.line(`"Endpoint" : ${quote(endpoint)}`);
        output.line(`"Health" : ${isHealthy}`);
        output.line(`"Took" : ${took}`);
        output.line(`"Error" : ${error}`);
        output.line("");
      }
    },
    endpointStatus(list, output) {
      for (const { endpoint, status } of list) {
        fields.header(status.header, output);
        output.line(`"Version" : ${quote(status.version)}`);
        output.line(`"StorageVersion" : ${quote(status.storageVersion)}`);
        output.line(`"DBSize" : ${status.dbSize}`);
        output.line(`"DBSizeInUse" : ${status.dbSizeInUse}`);
        output.line(`"DBSizeQuota" : ${status.dbSizeQuota}`);
        output.line(`"Leader" : ${status.leader}`);
        output.line(`"IsLearner" : ${status.isLearner}`);
        output.line(`"RaftIndex" : ${status.raftIndex}`);
        output.line(`"RaftAppliedIndex" : ${status.raftAppliedIndex}`);
        output.line(`"Errors" : [${status.errors.join(" ")}]`);
        output.line(`"Endpoint" : ${quote(endpoint)}`);
        output.line(`"DowngradeTargetVersion" : ${quote(status.downgradeInfo?.targetVersion ?? "")}`);
        output.line(`"DowngradeEnabled" : ${status.downgradeInfo?.enabled ?? false}`);
        output.line("");
      }
    },
    endpointHash(list, output) {
      for (const { endpoint, hash } of list) {
        fields.header(hash.header, output);
        output.line(`"Endpoint" : ${quote(endpoint)}`);
        output.line(`"Hash" : ${hash.hash}`);
        output.line(`"HashRevision" : ${hash.hash_revision}`);
        output.line("");
      }
    },
  };
}
