// A unix socket that a proxy passes browsers on to.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createClient } from "@holdfast/api";
import { nodeFetch } from "@holdfast/api/node";
import { silentLogger } from "@holdfast/model";
import { startApi } from "./listen.ts";
import { fakeNode } from "./testing/fake-node.ts";

function statusOf(socketPath: string, method: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const path = method === "GET" ? "/v1/vips" : "/v1/members/m0/drain";
    request({ socketPath, method, path, headers }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    })
      .on("error", reject)
      .end();
  });
}

test("whoever opens the socket may do everything; a page of a stranger that a proxy lets through may not", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-socket-"));
  const socket = join(directory, "api.sock");
  const node = fakeNode();
  const api = { listen: `unix:${socket}`, url: "https://m0.example:8443", tokens: [] };
  const listeners = await startApi(node.sources, api, () => [], silentLogger);
  try {
    const fetch = nodeFetch({ socketPath: socket });
    const client = createClient({ url: "http://holdfast", fetch });
    assert.equal((await client.drainMember("m0", true)).draining, true);
    for (const [host, origin, status] of [
      ["localhost", undefined, 200],
      ["127.0.0.1:7081", "http://127.0.0.1:7081", 200],
      // The proxy's name for this member, and another member's page.
      ["m0.example:8443", "https://m0.example:8443", 200],
      ["m0.example:8443", undefined, 200],
      ["127.0.0.1:7081", "https://m1.example:7080", 200],
      // A page elsewhere, and one whose name was made to lead here.
      ["127.0.0.1:7081", "https://elsewhere.example", 403],
      ["127.0.0.1:7081", "null", 403],
      ["elsewhere.example:7081", "http://elsewhere.example:7081", 403],
      ["elsewhere.example:7081", undefined, 403],
    ] as const)
      for (const method of ["GET", "POST"]) {
        const headers = { host, ...(origin !== undefined && { origin }) };
        assert.equal(await statusOf(socket, method, headers), status, `${method} ${host} ${origin}`);
      }
  } finally {
    await listeners.close();
    rmSync(directory, { recursive: true, force: true });
  }
});
