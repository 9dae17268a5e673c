// Node's file errors as the port's.

import { DiskError } from "../../core/base/ports.ts";

export function diskError(error: unknown, path: string): DiskError {
  const fault = error as NodeJS.ErrnoException;
  return new DiskError(fault.message ?? String(error), fault.code ?? "EIO", path);
}
