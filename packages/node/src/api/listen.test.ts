import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import Fastify from "fastify";
import { listenAt, listenedAt } from "./listen.ts";

test("where a listener listens is said as it is, every address included", async () => {
  for (const [host, tls, expected] of [
    ["0.0.0.0", false, /^http:\/\/0\.0\.0\.0:\d+$/],
    ["127.0.0.1", true, /^https:\/\/127\.0\.0\.1:\d+$/],
    ["::1", false, /^http:\/\/\[::1\]:\d+$/],
  ] as const) {
    const app = Fastify();
    try {
      await app.listen({ host, port: 0 });
      assert.match(listenedAt(app, tls), expected);
    } finally {
      await app.close();
    }
  }
});

test("what a killed daemon left in a socket's place is taken away", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-listen-"));
  const path = join(directory, "holdfast.sock");
  writeFileSync(path, "");
  const app = Fastify();
  try {
    await listenAt(app, { path });
    const { mode } = statSync(path);
    assert.equal(mode & 0o777, 0o660);
    assert.ok(statSync(path).isSocket());
  } finally {
    await app.close();
    rmSync(directory, { recursive: true });
  }
});
