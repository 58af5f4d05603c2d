import assert from "node:assert/strict";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { buildServer } from "../api/server.ts";
import { fakeNode } from "../api/testing/fake-node.ts";
import { contentSecurityPolicy } from "./serve.ts";

const OPEN = { authorization: { tokens: () => [], socket: false } };

test("the page is served packed, with a policy that lets nothing in, and is not sent twice", async () => {
  const app = await buildServer(fakeNode().sources, OPEN);
  try {
    const page = await app.inject({ url: "/console/", headers: { "accept-encoding": "gzip" } });
    assert.equal(page.statusCode, 200);
    const html = gunzipSync(page.rawPayload).toString();
    assert.match(html, /<script type="module" src="console\.js">/);
    assert.doesNotMatch(html, /<script>|<style|\son\w+=|https?:/);
    const policy = String(page.headers["content-security-policy"]);
    assert.match(policy, /default-src 'none'; script-src 'self'; style-src 'self'/);
    assert.match(policy, /connect-src 'self' https:\/\/m1\.example:7080;/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    assert.equal(page.headers["set-cookie"], undefined);
    const again = await app.inject({
      url: "/console/",
      headers: { "if-none-match": String(page.headers.etag) },
    });
    assert.equal(again.statusCode, 304);
    assert.equal((await app.inject("/console")).headers.location, "/console/");
    for (const path of ["/console/../package.json", "/console/sources.sha256", "/console/constructor"])
      assert.equal((await app.inject(path)).statusCode, 404, path);
  } finally {
    await app.close();
  }
});

test("everything that a browser loads is at most 60 kB", async () => {
  const app = await buildServer(fakeNode().sources, OPEN);
  try {
    let size = 0;
    for (const file of ["", "console.js", "console.css", "icon.svg"]) {
      const { rawPayload, statusCode } = await app.inject({
        url: `/console/${file}`,
        headers: { "accept-encoding": "gzip" },
      });
      assert.equal(statusCode, 200);
      size += rawPayload.length;
    }
    assert.ok(size <= 60_000, `${size} bytes`);
  } finally {
    await app.close();
  }
});

test("foreign pages and foreign names get no page; a wrong origin of a member is no origin", async () => {
  const app = await buildServer(fakeNode().sources, OPEN);
  try {
    const named = await app.inject({ url: "/console/", headers: { host: "rebound.example" } });
    assert.equal(named.statusCode, 403);
    const foreign = await app.inject({ url: "/console/", headers: { origin: "https://evil.example" } });
    assert.equal(foreign.statusCode, 403);
    const policy = contentSecurityPolicy(["https://a; script-src *", "https://m1:1", "'unsafe-inline'"]);
    assert.match(policy, /connect-src 'self' https:\/\/m1:1; base-uri/);
  } finally {
    await app.close();
  }
});

test("a page whose policy names another member is sent anew", async () => {
  const { consoleRoutes } = await import("./serve.ts");
  const { default: Fastify } = await import("fastify");
  const app = Fastify();
  const origins: string[] = [];
  await app.register(consoleRoutes(() => origins));
  try {
    const before = await app.inject("/console/");
    const asked = { url: "/console/", headers: { "if-none-match": String(before.headers.etag) } };
    assert.equal((await app.inject(asked)).statusCode, 304);
    origins.push("https://m2.example:7080");
    const after = await app.inject(asked);
    assert.equal(after.statusCode, 200);
    assert.match(String(after.headers["content-security-policy"]), /connect-src 'self' https:\/\/m2/);
  } finally {
    await app.close();
  }
});

test("a page that was not built says how it is", async () => {
  const { consoleRoutes } = await import("./serve.ts");
  const { default: Fastify } = await import("fastify");
  const app = Fastify();
  await app.register(consoleRoutes(() => [], pathToFileURL("/nonexistent/")));
  try {
    const answer = await app.inject("/console/");
    assert.match(answer.body, /CONSOLE_NOT_BUILT/);
  } finally {
    await app.close();
  }
});
