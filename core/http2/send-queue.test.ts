import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SendQueue } from "./send-queue.ts";
import { Http2Stream } from "./stream.ts";

function streamOf(id: number, priority: number): Http2Stream {
  const stream = new Http2Stream();
  stream.reset(id);
  stream.priority = priority as 0 | 1 | 2;
  return stream;
}

test("of 13 turns under full load eight are the first class's, four the second's, one the third's", () => {
  const queue = new SendQueue();
  for (let id = 0; id < 39; id++) queue.push(streamOf(id, id % 3));
  const turns = [0, 0, 0];
  for (let i = 0; i < 13; i++) turns[queue.shift().priority]!++;
  assert.deepEqual(turns, [8, 4, 1]);
});

test("whoever leaves from anywhere leaves the others in their order, as in a plain list", () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("push" as const) }),
    fc.record({ do: fc.constant("shift" as const) }),
    fc.record({ do: fc.constant("remove" as const), at: fc.nat(20) }),
    // An answer that turned out large, while the stream waits.
    fc.record({ do: fc.constant("demote" as const), at: fc.nat(20) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const queue = new SendQueue();
      const model: Http2Stream[] = [];
      let nextId = 1;
      for (const step of steps) {
        const at = "at" in step && model.length > 0 ? step.at % model.length : -1;
        if (step.do === "push") {
          const stream = streamOf(nextId++, 1);
          queue.push(stream);
          model.push(stream);
        } else if (step.do === "shift" && model.length > 0) {
          assert.equal(queue.shift(), model.shift());
        } else if (step.do === "remove" && at >= 0) {
          const [stream] = model.splice(at, 1);
          queue.remove(stream!);
          queue.remove(stream!); // one that does not wait is left alone
        } else if (step.do === "demote" && at >= 0) {
          model[at]!.priority = 2;
        }
        assert.equal(queue.count, model.length);
      }
      for (const stream of model) assert.equal(queue.shift(), stream);
    }),
  );
});
