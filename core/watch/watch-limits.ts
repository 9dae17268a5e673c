// The bounds of watching; their reasons stand in core/base/limits.ts.

import type { Limits } from "../base/limits.ts";

export type WatchLimits = Pick<
  Limits,
  | "watcherCountMax"
  | "watchControlBacklogMax"
  | "watchSliceUnits"
  | "watchBatchBytes"
  | "watchGroupCount"
  | "watchPassRevisionCount"
  | "requestSizeBytesMax"
  | "grpcOverheadBytes"
>;
