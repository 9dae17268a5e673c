// While a simulation runs, asking the machine for time or chance is a bug: the same seed would not give the same run.
// So every such function throws, and is put back afterwards.

import { Violation } from "./violation.ts";

type Restore = () => void;

/** Arms the tripwires; call the function that comes back to disarm them. */
export function armTripwires(): Restore {
  const restores: Restore[] = [];
  const replace = (owner: object, name: string, whole: string): void => {
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    // No arrow: `new Date()` has to get as far as the throw, and `Date.now` as well once `Date` is replaced.
    function trip(): never {
      throw new Violation("determinism", `${whole} was used inside a simulation`);
    }
    trip.now = trip;
    trip.bigint = trip;
    Object.defineProperty(owner, name, { value: trip, configurable: true, writable: true });
    // Inherited, as performance.now is: what stands before it is taken away again.
    if (descriptor === undefined) restores.push(() => Reflect.deleteProperty(owner, name));
    else restores.push(() => Object.defineProperty(owner, name, descriptor));
  };
  replace(Math, "random", "Math.random");
  replace(Date, "now", "Date.now");
  replace(performance, "now", "performance.now");
  replace(process, "hrtime", "process.hrtime");
  for (const name of ["setTimeout", "setInterval", "setImmediate", "queueMicrotask", "Date"])
    replace(globalThis, name, name);
  for (const name of ["getRandomValues", "randomUUID"])
    replace(Object.getPrototypeOf(globalThis.crypto) as object, name, `crypto.${name}`);
  replace(process, "nextTick", "process.nextTick");
  return () => {
    for (const restore of restores.reverse()) restore();
  };
}
