import assert from "node:assert/strict";
import { once } from "node:events";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { workerUrl } from "./worker-url.ts";

test("a worker that is a TypeScript file with imports of its own starts from source", async (context) => {
  const root = fileURLToPath(new URL("..", import.meta.url));
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "worker-url-"));
  context.after(() => {
    fs.rmSync(folder, { recursive: true });
  });
  fs.writeFileSync(path.join(folder, "answer.ts"), "export const answer: number = 42;\n");
  fs.writeFileSync(
    path.join(folder, "a.worker.ts"),
    'import { parentPort } from "node:worker_threads";\nimport { answer } from "./answer.ts";\n' +
      "parentPort!.postMessage(answer satisfies number);\n",
  );
  const worker = new Worker(workerUrl(path.relative(root, path.join(folder, "a.worker.ts"))));
  const [message] = (await once(worker, "message")) as [unknown];
  assert.equal(message, 42);
  await worker.terminate();
});
