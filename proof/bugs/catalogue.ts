// All planted bugs, in the order of the list of known traps.

import { c1 } from "./c1.ts";
import { l1 } from "./l1.ts";
import { l2 } from "./l2.ts";
import { l4 } from "./l4.ts";
import { l6 } from "./l6.ts";
import { l7 } from "./l7.ts";
import { l8 } from "./l8.ts";
import { m3 } from "./m3.ts";
import type { PlantedBug } from "./planted-bug.ts";
import { r1 } from "./r1.ts";
import { r10 } from "./r10.ts";
import { r11 } from "./r11.ts";
import { r13 } from "./r13.ts";
import { r2 } from "./r2.ts";
import { r22 } from "./r22.ts";
import { r23 } from "./r23.ts";
import { r3 } from "./r3.ts";
import { r31 } from "./r31.ts";
import { r5 } from "./r5.ts";
import { r6 } from "./r6.ts";
import { r7 } from "./r7.ts";
import { r8 } from "./r8.ts";
import { s1 } from "./s1.ts";
import { s17 } from "./s17.ts";
import { s2 } from "./s2.ts";
import { s9 } from "./s9.ts";
import { w1 } from "./w1.ts";
import { w3 } from "./w3.ts";
import { w4 } from "./w4.ts";

export const PLANTED_BUGS: readonly PlantedBug[] = [
  r1,
  r2,
  r3,
  r5,
  r6,
  r7,
  r8,
  r10,
  r11,
  r13,
  r22,
  r23,
  r31,
  s1,
  s2,
  s9,
  s17,
  w1,
  w3,
  w4,
  l1,
  l2,
  l4,
  l6,
  l7,
  l8,
  m3,
  c1,
];
