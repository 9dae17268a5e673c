// A server's /metrics as sums by name: labels are added up, buckets left out.

import * as http from "node:http";

export async function metricsOf(endpoint: string): Promise<Record<string, number>> {
  if (endpoint.startsWith("https:")) return {};
  const body = await new Promise<string>((resolve) => {
    const request = http.get(
      `http://${endpoint.replace(/^http:\/\//, "")}/metrics`,
      { timeout: 2000, agent: false },
      (response) => {
        let page = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (page += chunk));
        response.on("end", () => resolve(page));
        response.on("error", () => resolve(""));
      },
    );
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(""));
  });
  return parseMetrics(body);
}

export function parseMetrics(body: string): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const line of body.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{[^}]*\})? (\S+)/.exec(line);
    if (!parts || parts[1]!.endsWith("_bucket")) continue;
    const value = Number(parts[2]);
    if (Number.isFinite(value)) sums[parts[1]!] = (sums[parts[1]!] ?? 0) + value;
  }
  return sums;
}
