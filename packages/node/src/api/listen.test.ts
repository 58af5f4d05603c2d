import assert from "node:assert/strict";
import { test } from "node:test";
import Fastify from "fastify";
import { listenedAt } from "./listen.ts";

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
