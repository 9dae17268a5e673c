// What Ctrl-C does to a run that takes minutes.

const INTERRUPTS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM"];

/** The first signal ends the run with a report, the second the program. */
export function untilInterrupted(signals = INTERRUPTS): {
  readonly signal: AbortSignal;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(130);
    controller.abort();
  };
  for (const name of signals) process.on(name, onSignal);
  return {
    signal: controller.signal,
    release: () => {
      for (const name of signals) process.off(name, onSignal);
    },
  };
}
