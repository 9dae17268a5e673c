// The plain HTTP side of the client port: /health, /livez, /readyz, /version, /metrics. The same handler serves HTTP/1.1
// and HTTP/2, because load balancers and probes come with either.

export interface HttpRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
}

export type HttpRespond = (status: number, headers: Readonly<Record<string, string>>, body: string) => void;

/** What the health paths ask of a member. */
export interface HealthSource {
  hasLeader(): boolean;
  isLearner(): boolean;
  /** Names of the raised alarms, `NOSPACE` and `CORRUPT`. */
  alarms(): readonly string[];
  /** Reads once, linearizably or not; the text is the error's. */
  probeRead(linearizable: boolean, done: (error: string | undefined) => void): void;
}

export interface HttpSources {
  readonly health: HealthSource;
  readonly versions: () => { readonly server: string; readonly cluster: string; readonly storage: string };
  readonly renderMetrics: () => string;
  readonly countHealth: (ok: boolean) => void;
}

const CORS: Readonly<Record<string, string>> = {
  "access-control-allow-headers": "accept, content-type, authorization",
  "access-control-allow-methods": "POST, GET, OPTIONS, PUT, DELETE",
  "access-control-allow-origin": "*",
};
const PLAIN = { ...CORS, "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" };

/** Which paths a listener answers: `metrics` is what --listen-metrics-urls shows. */
export type HttpScope = "client" | "metrics";

export function handleHttp(
  sources: HttpSources,
  scope: HttpScope,
  request: HttpRequest,
  respond: HttpRespond,
): void {
  if (request.method === "OPTIONS") return respond(200, CORS, "");
  const url = new URL(request.path, "http://localhost");
  const path = url.pathname;
  if (path === "/health") return health(sources, request, url.searchParams, respond);
  if (path === "/metrics") return metrics(sources, request, respond);
  if (path === "/version" && scope === "client") return version(sources, request, respond);
  const check = /^\/(livez|readyz)(?:\/([a-z_]+))?$/.exec(path);
  if (check !== null)
    return healthChecks(sources, check[1] as "livez" | "readyz", check[2], url.searchParams, respond);
  if (path.startsWith("/v3/"))
    return respond(501, { ...CORS, "content-type": "application/json" }, NO_GATEWAY);
  respond(404, PLAIN, "404 page not found\n");
}

const NO_GATEWAY = JSON.stringify({
  code: 12,
  error: "the JSON gateway is not built yet",
  message: "the JSON gateway is not built yet",
});

function version(sources: HttpSources, request: HttpRequest, respond: HttpRespond): void {
  if (request.method !== "GET") return methodNotAllowed(respond);
  const { server, cluster, storage } = sources.versions();
  respond(
    200,
    { ...CORS, "content-type": "application/json" },
    JSON.stringify({ etcdserver: server, etcdcluster: cluster, storage }),
  );
}

function metrics(sources: HttpSources, request: HttpRequest, respond: HttpRespond): void {
  if (request.method !== "GET") return methodNotAllowed(respond);
  respond(
    200,
    { ...CORS, "content-type": "text/plain; version=0.0.4; charset=utf-8" },
    sources.renderMetrics(),
  );
}

function methodNotAllowed(respond: HttpRespond): void {
  respond(405, { ...PLAIN, allow: "GET" }, "Method Not Allowed\n");
}

function health(
  sources: HttpSources,
  request: HttpRequest,
  query: URLSearchParams,
  respond: HttpRespond,
): void {
  if (request.method !== "GET") return methodNotAllowed(respond);
  const serializable = query.get("serializable") === "true";
  const answer = (reason: string): void => {
    sources.countHealth(reason === "");
    const body = JSON.stringify({ health: reason === "" ? "true" : "false", reason });
    respond(reason === "" ? 200 : 503, { ...CORS, "content-type": "text/plain; charset=utf-8" }, body);
  };
  const excluded = query.getAll("exclude");
  const alarm = sources.health.alarms().find((name) => !excluded.includes(name));
  if (alarm !== undefined) return answer(`ALARM ${alarm}`);
  if (!serializable && !sources.health.hasLeader()) return answer("RAFT NO LEADER");
  sources.health.probeRead(!serializable, (error) =>
    answer(error === undefined ? "" : `RANGE ERROR:${error}`),
  );
}

type Check = (health: HealthSource, done: (error: string | undefined) => void) => void;

const CHECKS: Readonly<Record<string, Check>> = {
  data_corruption: (source, done) => done(source.alarms().includes("CORRUPT") ? "CORRUPT" : undefined),
  serializable_read: (source, done) => source.probeRead(false, done),
  linearizable_read: (source, done) => source.probeRead(true, done),
  non_learner: (source, done) => done(source.isLearner() ? "not supported for learner" : undefined),
};

const CHECKS_OF = {
  livez: ["serializable_read"],
  readyz: ["data_corruption", "serializable_read", "linearizable_read", "non_learner"],
} as const;

// oxlint-disable-next-line max-params -- what handleHttp has, passed on
function healthChecks(
  sources: HttpSources,
  kind: "livez" | "readyz",
  single: string | undefined,
  query: URLSearchParams,
  respond: HttpRespond,
): void {
  const all: readonly string[] = CHECKS_OF[kind];
  if (single !== undefined && !all.includes(single)) return respond(404, PLAIN, "404 page not found\n");
  const excluded = query.getAll("exclude");
  const names = single === undefined ? all.filter((name) => !excluded.includes(name)) : [single];
  const lines = excluded.filter((name) => all.includes(name)).map((name) => `[+]${name} excluded: ok\n`);
  let failed = false;
  // One after the other: each may wait for a quorum.
  const next = (i: number): void => {
    if (i < names.length) {
      CHECKS[names[i]!]!(sources.health, (error) => {
        failed ||= error !== undefined;
        lines.push(error === undefined ? `[+]${names[i]} ok\n` : `[-]${names[i]} failed: ${error}\n`);
        next(i + 1);
      });
    } else if (failed) respond(503, PLAIN, `${lines.join("")}${kind} check failed\n`);
    else respond(200, PLAIN, query.has("verbose") ? `${lines.join("")}ok\n` : "ok\n");
  };
  next(0);
}
