/**
 * Where the code of a worker thread is, in the bundle and when run from source.
 *
 * A worker is a file named `*.worker.ts` under io/, product/ or proof/; tools/build.ts makes each a file of its own in
 * dist/, beside the bundle that starts it. From source (under tsx, as tests are) Node 20 does not hand the parent's
 * loader to a worker's first file, so the worker starts with two lines that register tsx and import the real one.
 */

/** `source` is the worker's path from the root of the repository, such as "io/disk/sync.worker.ts". */
export function workerUrl(source: string): URL {
  if (import.meta.url.endsWith(".ts")) {
    const file = new URL(`../${source}`, import.meta.url).href;
    const loader = import.meta.resolve("tsx/esm/api");
    const code = `import { register } from "${loader}"; register(); await import("${file}");`;
    return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
  }
  const name = source.slice(source.lastIndexOf("/") + 1).replace(/\.ts$/, ".js");
  return new URL(`./${name}`, import.meta.url);
}
