import type { PlantedBug } from "./planted-bug.ts";

export const s17: PlantedBug = {
  id: "S17",
  title: "the alarm of a full store is in force at whoever finds it full before the log says so",
  file: "core/member/housekeeping.ts",
  find: "    const writer = new ByteWriter(32);\n",
  replace: "    member.alarms.activate(memberId, ALARM_NOSPACE);\n    const writer = new ByteWriter(32);\n",
};
