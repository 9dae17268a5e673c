// version: of this program, and of the API that it speaks.

import { VERSION } from "../version.ts";
import type { Command } from "./command.ts";

const API_VERSION = "3.6";

export const versionCommand: Command = {
  name: "version",
  usage: "",
  summary: "Shows the version",
  flags: [],
  run(context) {
    context.output.line(`${context.program} version: ${VERSION}`);
    context.output.line(`API version: ${API_VERSION}`);
    return Promise.resolve(0);
  },
};
