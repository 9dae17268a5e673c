import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, test } from "node:test";
import { readBytes } from "./read-bytes.ts";

const servers: net.Server[] = [];
after(() => {
  for (const server of servers) server.close();
});

/** Both ends of a connection over loopback. */
async function connected(): Promise<{ accepted: net.Socket; opened: net.Socket }> {
  const server = net.createServer({ noDelay: true }).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  const opened = net.connect({
    port: (server.address() as net.AddressInfo).port,
    host: "127.0.0.1",
    noDelay: true,
  });
  const [[accepted]] = await Promise.all([once(server, "connection"), once(opened, "connect")]);
  return { accepted: accepted as net.Socket, opened };
}

/** Collects what a socket reads, and the arrays that it was handed. */
function reading(socket: net.Socket): {
  text: () => string;
  arrays: Set<Uint8Array>;
  until: (length: number) => Promise<void>;
} {
  const arrays = new Set<Uint8Array>();
  let text = "";
  let look = (): void => {};
  readBytes(socket, (bytes, end) => {
    arrays.add(bytes);
    text += Buffer.from(bytes.subarray(0, end)).toString("latin1");
    bytes.fill(0, 0, end);
    look();
  });
  return {
    text: () => text,
    arrays,
    until: (length) =>
      new Promise((resolve) => {
        look = () => void (text.length >= length && resolve());
        look();
      }),
  };
}

test("sockets of both ends are read into one array, also what is larger than it", async () => {
  const { accepted, opened } = await connected();
  const [here, there] = [reading(accepted), reading(opened)];
  const large = "0123456789abcdef".repeat(20_000);
  opened.write("a");
  await here.until(1);
  accepted.write(large);
  opened.write(large);
  await Promise.all([here.until(1 + large.length), there.until(large.length)]);
  assert.equal(here.text(), `a${large}`);
  assert.equal(there.text(), large);
  assert.equal(
    new Set([...here.arrays, ...there.arrays]).size,
    1,
    "this version of Node reads as the module expects",
  );
  opened.destroy();
});

test("a paused socket reads nothing until it resumes", async () => {
  const { accepted, opened } = await connected();
  const here = reading(accepted);
  opened.write("a");
  await here.until(1);
  accepted.pause();
  opened.write("b");
  // Something that goes the same way, and back, is not slower than that byte.
  const there = reading(opened);
  accepted.write("x");
  await there.until(1);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(here.text(), "a");
  accepted.resume();
  await here.until(2);
  assert.equal(here.text(), "ab");
  opened.destroy();
});

test("the end and the close are heard, and what came before them", async () => {
  const { accepted, opened } = await connected();
  const here = reading(accepted);
  const ended = once(accepted, "end");
  const closed = once(accepted, "close");
  opened.end("last words");
  await ended;
  assert.equal(here.text(), "last words");
  await closed;
});

test("a socket that has read something already goes on as it was", async () => {
  const { accepted, opened } = await connected();
  opened.write("early");
  await once(accepted, "readable");
  const here = reading(accepted);
  await here.until(5);
  opened.write(" late");
  await here.until(10);
  assert.equal(here.text(), "early late");
  opened.destroy();
});
