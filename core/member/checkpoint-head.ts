// Whether a checkpoint's head is what encodeHead (checkpoint-state.ts) writes. Its checksums say that it is as it was written,
// not by whom: a snapshot comes from another member, and what is not as it should be must be refused by its name instead of
// becoming the state.

/** The name of what is wrong within `value`, which itself is called `name`; undefined when nothing is. */
type Check = (value: unknown, name: string) => string | undefined;

function is(holds: (value: unknown) => boolean): Check {
  return (value, name) => (holds(value) ? undefined : name);
}

function optional(check: Check): Check {
  return (value, name) => (value === undefined ? undefined : check(value, name));
}

function list(check: Check): Check {
  return (value, name) => {
    if (!Array.isArray(value)) return name;
    return firstOf(value.length, (i) => check(value[i], `${name}[${i}]`));
  };
}

function record(checks: Readonly<Record<string, Check>>): Check {
  const keys = Object.keys(checks);
  return (value, name) => {
    if (typeof value !== "object" || value === null) return name;
    const held = value as Readonly<Record<string, unknown>>;
    return firstOf(keys.length, (i) =>
      checks[keys[i]!]!(held[keys[i]!], name === "" ? keys[i]! : `${name}.${keys[i]}`),
    );
  };
}

/** JSON within JSON. */
function embedded(check: Check): Check {
  return (value, name) => {
    if (typeof value !== "string") return name;
    let parsed: unknown;
    try {
      parsed = JSON.parse(value);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      return name;
    }
    return check(parsed, name);
  };
}

function firstOf(count: number, find: (i: number) => string | undefined): string | undefined {
  for (let i = 0; i < count; i++) {
    const found = find(i);
    if (found !== undefined) return found;
  }
  return undefined;
}

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isUint32 = (value: unknown): boolean => isCount(value) && (value as number) < 2 ** 32;

const POSITIVE = is((value) => isCount(value) && (value as number) > 0);
const UINT32 = is(isUint32);
/** Of a hash: 32 bits, with a sign or without. */
const BITS32 = is((value) => isUint32(value) || (typeof value === "number" && value === (value | 0)));
const TEXT = is((value) => typeof value === "string");
const FLAG = is((value) => typeof value === "boolean");
const ID = record({ hi: UINT32, lo: UINT32 });
/** A member's id, a type, and whether it is about that member's state alone; heads of older versions lack the last. */
const ALARM = is(
  (value) => Array.isArray(value) && value.length >= 3 && value.length <= 4 && value.every(isUint32),
);
const MEMBER = record({
  hi: UINT32,
  lo: UINT32,
  name: TEXT,
  peerUrls: list(TEXT),
  clientUrls: list(TEXT),
  isLearner: FLAG,
});

const HEAD = record({
  appliedIndex: POSITIVE,
  appliedTerm: POSITIVE,
  confState: record({
    voters: list(ID),
    learners: list(ID),
    votersOutgoing: list(ID),
    learnersNext: list(ID),
    autoLeave: FLAG,
  }),
  clusterVersion: TEXT,
  formatVersion: optional(POSITIVE),
  effectHash: optional(record({ version: POSITIVE, value: BITS32 })),
  membership: embedded(record({ members: list(MEMBER), removed: list(TEXT) })),
  alarms: embedded(list(ALARM)),
});

/** The first field that is not as it is written; undefined when all are. */
export function badFieldOf(head: unknown): string | undefined {
  return HEAD(head, "");
}
