// The method of a call that has none yet: a constant, so that the field always has the same shape.

import { type Method, METHODS } from "../wire/service.ts";

export const METHOD_NONE: Method = METHODS[0]!;
