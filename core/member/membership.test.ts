import assert from "node:assert/strict";
import { test } from "node:test";
import { arePeerUrls } from "./membership.ts";

test("peer URLs are a scheme, a host and a port, and nothing behind", () => {
  for (const url of [
    "http://a:1",
    "https://m1.example.org:2380",
    "http://10.0.0.1:65535",
    "http://[::1]:2380",
  ])
    assert.ok(arePeerUrls([url]), url);
  const bad = [
    "http://a:1junk",
    "http://a:1/path",
    "http://a:1/",
    "http://a",
    "a:1",
    "ftp://a:1",
    "http://a b:1",
  ];
  for (const url of [
    ...bad,
    "http://a:65536",
    "http://[::1]",
    "http://[::g]:1",
    "http://u@a:1",
    "",
    "http://:1",
  ]) {
    assert.ok(!arePeerUrls([url]), url);
    assert.ok(!arePeerUrls(["http://a:1", url]), url);
  }
  assert.ok(!arePeerUrls([]));
});
