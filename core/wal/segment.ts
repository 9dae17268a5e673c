// Segments are files of one directory, named as etcd names them: `<sequence>-<first index>.wal`, sixteen hexadecimal
// digits each. Beside them lie the durable mark (durable-mark.ts) and spare files (`spare-<n>.tmp` ready,
// `filling-<n>.tmp` not yet), whose ending etcd's tools pass over. A segment that was just opened may have a spare's name still
// (unnamed.ts).

export interface Segment {
  readonly sequence: number;
  /** The index after the last one that the log had when this segment was opened. */
  readonly firstIndex: number;
  readonly path: string;
}

/** More than the records take that open a segment. */
export const HEAD_BYTES_MAX = 4096;

export const MARK_NAME = "durable-mark";

const SEGMENT_NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;
const SPARE_NAME = /^spare-(\d{1,15})\.tmp$/;

export function segmentName(sequence: number, firstIndex: number): string {
  return `${sequence.toString(16).padStart(16, "0")}-${firstIndex.toString(16).padStart(16, "0")}.wal`;
}

export function makeSegment(directory: string, sequence: number, firstIndex: number): Segment {
  return { sequence, firstIndex, path: `${directory}/${segmentName(sequence, firstIndex)}` };
}

export function parseSegmentName(directory: string, name: string): Segment | undefined {
  const match = SEGMENT_NAME.exec(name);
  if (match === null) return undefined;
  const sequence = Number.parseInt(match[1]!, 16);
  const firstIndex = Number.parseInt(match[2]!, 16);
  return { sequence, firstIndex, path: `${directory}/${name}` };
}

export function isSpareName(name: string): boolean {
  return SPARE_NAME.test(name);
}

export function isTemporaryName(name: string): boolean {
  return name.endsWith(".tmp");
}
