// The form "simple": what a person wants to see.

import type { KeyValue, ResponseOpMessage } from "../../core/wire/messages.ts";
import { AlarmType } from "../../core/wire/messages.ts";
import type { MessageOf } from "../../core/wire/schema.ts";
import { decodeUtf8 } from "../../core/base/utf8.ts";
import { hex, hex16, hexEscaped } from "./go-text.ts";
import type { Answers, Form, Output } from "./print.ts";
import { hashTable, memberTable, statusTable } from "./print.ts";

type Kv = MessageOf<typeof KeyValue>;

export function simpleForm(isHex: boolean): Form {
  const keyValue = (kv: Kv, output: Output): void => {
    bytesLine(kv.key, isHex, output);
    bytesLine(kv.value, isHex, output);
  };
  const get = (answer: Answers["get"], output: Output): void => {
    for (const kv of answer.kvs) keyValue(kv, output);
  };
  const put = (answer: Answers["put"], output: Output): void => {
    output.line("OK");
    if (answer.prev_kv !== undefined) keyValue(answer.prev_kv, output);
  };
  const del = (answer: Answers["del"], output: Output): void => {
    output.line(String(answer.deleted));
    for (const kv of answer.prev_kvs) keyValue(kv, output);
  };
  return {
    get,
    put,
    del,
    getValues(answer, output) {
      for (const kv of answer.kvs) bytesLine(kv.value, isHex, output);
    },
    txn(answer, output) {
      output.line(answer.succeeded ? "SUCCESS" : "FAILURE");
      for (const op of answer.responses) {
        output.line("");
        showOperation(op, { get, put, del }, output);
      }
    },
    watch(answer, output) {
      for (const event of answer.events) {
        output.line(event.type === 1 ? "DELETE" : "PUT");
        if (event.prev_kv !== undefined) keyValue(event.prev_kv, output);
        if (event.kv !== undefined) keyValue(event.kv, output);
      }
    },
    ...leaseForm,
    ...clusterForm,
  };
}

type OperationForm = Required<Pick<Form, "get" | "put" | "del">>;

function showOperation(op: ResponseOpMessage, form: OperationForm, output: Output): void {
  if (op.response_range !== undefined) form.get(op.response_range, output);
  else if (op.response_put !== undefined) form.put(op.response_put, output);
  else if (op.response_delete_range !== undefined) form.del(op.response_delete_range, output);
  else output.line("unexpected response");
}

function bytesLine(bytes: Uint8Array, isHex: boolean, output: Output): void {
  if (isHex) output.line(hexEscaped(bytes));
  else output.bytesLine(bytes);
}

const leaseForm: Form = {
  grant(answer, output) {
    output.line(`lease ${hex16(answer.ID)} granted with TTL(${answer.TTL}s)`);
  },
  revoke({ id }, output) {
    output.line(`lease ${hex16(id)} revoked`);
  },
  keepAlive(answer, output) {
    output.line(`lease ${hex16(answer.ID)} keepalived with TTL(${answer.TTL})`);
  },
  timeToLive({ answer, withKeys }, output) {
    if (answer.grantedTTL === 0 && answer.TTL === -1) {
      output.line(`lease ${hex16(answer.ID)} already expired`);
      return;
    }
    const text = `lease ${hex16(answer.ID)} granted with TTL(${answer.grantedTTL}s), remaining(${answer.TTL}s)`;
    const keys = answer.keys.map((it) => decodeUtf8(it, 0, it.length)).join(" ");
    output.line(withKeys ? `${text}, attached keys([${keys}])` : text);
  },
  leases(answer, output) {
    output.line(`found ${answer.leases.length} leases`);
    for (const lease of answer.leases) output.line(hex16(lease.ID));
  },
};

const padded = (id: bigint): string => hex(id).padStart(16, " ");

const clusterForm: Form = {
  alarm(answer, output) {
    for (const { memberID, alarm } of answer.alarms) output.line(alarmText(memberID, alarm));
  },
  memberAdd(answer, output) {
    const role = answer.member?.isLearner === true ? " as learner " : " ";
    output.line(
      `Member ${padded(answer.member?.ID ?? 0n)} added${role}to cluster ${clusterOf(answer.header)}`,
    );
  },
  memberRemove({ id, answer }, output) {
    output.line(`Member ${padded(id)} removed from cluster ${clusterOf(answer.header)}`);
  },
  memberUpdate({ id, answer }, output) {
    output.line(`Member ${padded(id)} updated in cluster ${clusterOf(answer.header)}`);
  },
  memberPromote({ id, answer }, output) {
    output.line(`Member ${padded(id)} promoted in cluster ${clusterOf(answer.header)}`);
  },
  memberList(answer, output) {
    for (const row of memberTable(answer).rows) output.line(row.join(", "));
  },
  endpointHealth(list, output) {
    for (const { endpoint, took, error } of list) {
      if (error === "")
        output.line(`${endpoint} is healthy: successfully committed proposal: took = ${took}`);
      else output.errorLine(`${endpoint} is unhealthy: failed to commit proposal: ${error}`);
    }
  },
  endpointStatus(list, output) {
    for (const row of statusTable(list).rows) output.line(row.join(", "));
  },
  endpointHash(list, output) {
    for (const row of hashTable(list).rows) output.line(row.join(", "));
  },
  moveLeader({ leader, target }, output) {
    output.line(`Leadership transferred from ${hex(leader)} to ${hex(target)}`);
  },
};

function clusterOf(header: { readonly cluster_id: bigint } | undefined): string {
  return padded(header?.cluster_id ?? 0n);
}

export function alarmName(alarm: number): string {
  return Object.entries(AlarmType.values).find(([, value]) => value === alarm)?.[0] ?? String(alarm);
}

/** As etcd's protobuf library prints a message: zero fields left out, a blank after each. */
function alarmText(memberId: bigint, alarm: number): string {
  return (memberId === 0n ? "" : `memberID:${memberId} `) + (alarm === 0 ? "" : `alarm:${alarmName(alarm)} `);
}
