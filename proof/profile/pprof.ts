// Profiles in pprof's form (github.com/google/pprof, proto/profile.proto), gzipped, for `go tool pprof` and what reads its files.

import { gzipSync } from "node:zlib";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import {
  encode,
  type Input,
  int64,
  message,
  type MessageOf,
  nested,
  repeated,
  string,
  uint64,
} from "../../core/wire/schema.ts";
import type { CpuProfile, HeapProfile } from "./cpu-profile.ts";
import { sourceOf } from "./source-map.ts";

/** Texts are indexes into the table of strings. */
const ValueType = message("perftools.profiles.ValueType", { type: int64(1), unit: int64(2) });
const Sample = message("perftools.profiles.Sample", {
  location_id: repeated(uint64(1)),
  value: repeated(int64(2)),
});
const Line = message("perftools.profiles.Line", { function_id: uint64(1), line: int64(2) });
const Location = message("perftools.profiles.Location", {
  id: uint64(1),
  line: repeated(nested(4, () => Line)),
});
const Function = message("perftools.profiles.Function", {
  id: uint64(1),
  name: int64(2),
  system_name: int64(3),
  filename: int64(4),
  start_line: int64(5),
});
const Profile = message("perftools.profiles.Profile", {
  sample_type: repeated(nested(1, () => ValueType)),
  sample: repeated(nested(2, () => Sample)),
  location: repeated(nested(4, () => Location)),
  function: repeated(nested(5, () => Function)),
  string_table: repeated(string(6)),
  duration_nanos: int64(10),
  period_type: nested(11, () => ValueType),
  period: int64(12),
});

type CallFrame = CpuProfile["nodes"][number]["callFrame"];

/** CPU time by stack; idle time is left out. */
export function cpuPprof(profile: CpuProfile, intervalUs: number): Uint8Array {
  const own = new Map<number, { count: number; us: number }>();
  let allUs = 0;
  for (const [i, id] of profile.samples.entries()) {
    const us = Math.max(0, profile.timeDeltas[i] ?? 0);
    const before = own.get(id) ?? { count: 0, us: 0 };
    own.set(id, { count: before.count + 1, us: before.us + us });
    allUs += us;
  }
  const builder = new Builder();
  const byId = new Map(profile.nodes.map((node) => [node.id, node]));
  const parents = new Map(
    profile.nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node.id] as const)),
  );
  for (const [id, { count, us }] of own) {
    if (byId.get(id)?.callFrame.functionName === "(idle)") continue;
    const stack: CallFrame[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at))
      stack.push(byId.get(at)!.callFrame);
    builder.add(stack, [count, us * 1000]);
  }
  return builder.finish({
    types: [
      ["samples", "count"],
      ["cpu", "nanoseconds"],
    ],
    durationNanos: allUs * 1000,
    period: intervalUs * 1000,
  });
}

/** Allocated bytes by stack, sampled. */
export function heapPprof(profile: HeapProfile, intervalBytes: number): Uint8Array {
  const builder = new Builder();
  const visit = (node: HeapProfile["head"], callers: readonly CallFrame[]): void => {
    const stack = [node.callFrame, ...callers];
    if (node.selfSize > 0) builder.add(stack, [node.selfSize]);
    for (const child of node.children) visit(child, stack);
  };
  visit(profile.head, []);
  return builder.finish({ types: [["alloc_space", "bytes"]], durationNanos: 0, period: intervalBytes });
}

class Builder {
  readonly #strings = new Map<string, number>([["", 0]]);
  /** A function is one location: V8 names the line where it begins, not where it was. */
  readonly #functions = new Map<string, Input<MessageOf<typeof Function>>>();
  readonly #samples: Input<MessageOf<typeof Sample>>[] = [];

  /** `stack` begins with the innermost function; V8's root, which encloses all, is left out. */
  add(stack: readonly CallFrame[], values: readonly number[]): void {
    const frames = stack.filter((frame) => frame.functionName !== "(root)");
    this.#samples.push({ location_id: frames.map((frame) => this.#location(frame)), value: values });
  }

  finish(about: {
    readonly types: readonly (readonly [type: string, unit: string])[];
    readonly durationNanos: number;
    readonly period: number;
  }): Uint8Array {
    const types = about.types.map(([type, unit]) => ({ type: this.#string(type), unit: this.#string(unit) }));
    const functions = [...this.#functions.values()];
    const writer = new ByteWriter(64 * 1024);
    encode(
      Profile,
      {
        sample_type: types,
        sample: this.#samples,
        location: functions.map(({ id, start_line }) => ({
          id,
          line: [{ function_id: id, line: start_line }],
        })),
        function: functions,
        string_table: [...this.#strings.keys()],
        duration_nanos: about.durationNanos,
        period_type: types.at(-1),
        period: about.period,
      },
      writer,
    );
    return gzipSync(writer.written());
  }

  /** Ids count from 1: 0 means none. */
  #location(frame: CallFrame): number {
    const key = `${frame.url}:${frame.lineNumber}:${frame.columnNumber}:${frame.functionName}`;
    const known = this.#functions.get(key);
    if (known) return known.id!;
    const id = this.#functions.size + 1;
    const name = this.#string(frame.functionName || "(anonymous)");
    const filename = this.#string(sourceOf(frame.url, frame.lineNumber, frame.columnNumber));
    // V8 counts lines from 0, and -1 stands for what has none.
    this.#functions.set(key, { id, name, system_name: name, filename, start_line: frame.lineNumber + 1 });
    return id;
  }

  #string(text: string): number {
    const known = this.#strings.get(text);
    if (known !== undefined) return known;
    this.#strings.set(text, this.#strings.size);
    return this.#strings.size - 1;
  }
}
