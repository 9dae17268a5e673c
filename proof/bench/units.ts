// Numbers as people write and read them: 30s, 250us, 4k, 1.5 ms.

/** Microseconds of `250us`, `20ms`, `1.5s`, `2m`, `1h`; a bare number is refused, because its unit would be a guess. */
export function parseDurationUs(text: string): number {
  let total = 0;
  let rest = text.trim();
  if (rest === "0") return 0;
  while (rest !== "") {
    const part = /^(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/.exec(rest);
    if (!part) throw new Error(`Duration ${text} is not of the form 250us, 20ms, 1.5s or 1m30s`);
    total += Number(part[1]) * UNITS_US[part[2]!]!;
    rest = rest.slice(part[0].length);
  }
  if (text.trim() === "") throw new Error("A duration is missing");
  return total;
}

const UNITS_US: Readonly<Record<string, number>> = {
  ns: 0.001,
  us: 1,
  µs: 1,
  ms: 1000,
  s: 1_000_000,
  m: 60_000_000,
  h: 3_600_000_000,
};

/** Counts and rates: `4000`, `4k`, `1.5M`. */
export function parseCount(text: string): number {
  const parts = /^(\d+(?:\.\d+)?)([kKmM]?)$/.exec(text.trim().replaceAll("_", ""));
  if (!parts) throw new Error(`Number ${text} is not of the form 4000, 4k or 1M`);
  const scale = parts[2] === "" ? 1 : parts[2]!.toLowerCase() === "k" ? 1000 : 1_000_000;
  return Math.round(Number(parts[1]) * scale * 1e6) / 1e6;
}

/** Three digits, with the unit that fits. */
export function formatDuration(us: number): string {
  if (!Number.isFinite(us)) return "–";
  if (us < 999.5) return `${threeDigits(us)} us`;
  if (us < 999_500) return `${threeDigits(us / 1000)} ms`;
  return `${threeDigits(us / 1_000_000)} s`;
}

export function threeDigits(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 99.95) return value.toFixed(0);
  return Math.abs(value) >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** Thousands apart, so that a reader sees the size: 1,234,567. */
export function formatCount(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ",");
}

export function formatBytes(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  if (bytes < 1e6) return `${threeDigits(bytes / 1e3)} kB`;
  if (bytes < 1e9) return `${threeDigits(bytes / 1e6)} MB`;
  return `${threeDigits(bytes / 1e9)} GB`;
}
