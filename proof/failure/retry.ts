import { EtcdError } from "../../product/client/index.ts";

const PAUSE_MS = 200;

/**
 * Does it until it succeeds; what the cluster answered last is thrown when `endMs` has passed (as `performance.now()` counts),
 * anything else at once. The action says itself how long one attempt may take, and must be one that may be done twice.
 */
export async function retry<T>(endMs: number, action: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof EtcdError) || performance.now() > endMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
