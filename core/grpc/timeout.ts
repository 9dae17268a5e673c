// The `grpc-timeout` field: up to eight digits and a unit (gRPC over HTTP/2, "Requests").

const UNIT_MS: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1_000],
  ["m", 1],
  ["u", 1e-3],
  ["n", 1e-6],
]);

/** Milliseconds, or undefined when malformed. Eight digits of hours stay far below 2^53, so nothing overflows. */
export function parseTimeoutMs(text: string): number | undefined {
  const unit = UNIT_MS.get(text.slice(-1));
  const digits = text.slice(0, -1);
  if (unit === undefined || !/^\d{1,8}$/.test(digits)) return undefined;
  return Number(digits) * unit;
}

/** The finest unit that fits into eight digits, rounded up, so that no deadline comes early. */
export function formatTimeout(timeoutMs: number): string {
  const us = Math.ceil(Math.max(timeoutMs, 0) * 1000);
  if (us < 1e8) return `${us}u`;
  if (us < 1e11) return `${Math.ceil(us / 1e3)}m`;
  return `${Math.min(99_999_999, Math.ceil(us / 1e6))}S`;
}
