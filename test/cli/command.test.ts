// The command against a node's API: what it prints, what it exits with.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { main } from "@holdfast/cli/testing";
import { addSession, buildServer, fakeNode } from "@holdfast/node/testing";
import type { FastifyInstance } from "fastify";

const directory = mkdtempSync(join(tmpdir(), "holdfast-cli-"));
after(() => rmSync(directory, { recursive: true }));

async function run(...args: string[]): Promise<{ code: number; out: string; error: string }> {
  let out = "";
  let error = "";
  const code = await main(args, {
    out: (text) => {
      out += text;
    },
    error: (text) => {
      error += text;
    },
  });
  process.exitCode = undefined;
  return { code, out, error };
}

describe("holdfast against a node", () => {
  const node = fakeNode();
  let app: FastifyInstance;
  let api: string;
  before(async () => {
    app = await buildServer(node.sources, { authorization: { tokens: () => [], socket: false } });
    api = await app.listen({ host: "127.0.0.1", port: 0 });
  });
  after(() => app.close());
  const at = (...args: string[]) => run("--api", api, ...args);

  test("take-overs are shown with what each step took", async () => {
    node.takeOvers.push({
      ...{
        id: "1",
        at: "2026-01-01T00:00:00.000Z",
        vip: "203.0.113.1",
        from: "m2",
        to: "m1",
        cause: "death",
      },
      ...{ verdictMs: 101.4, announcedMs: 110, sessions: 3 },
    });
    const { out } = await at("get", "takeovers");
    assert.match(out, /^AT +VIP +FROM +TO +CAUSE +VERDICT +ANNOUNCED +FIRST PACKET +SESSIONS/);
    assert.match(out, /203\.0\.113\.1 +m2 +m1 +death +101 ms +110 ms +- +3/);
  });

  test("create, get and delete a service", async () => {
    const created = await at(
      ...[
        "create",
        "service",
        "--name",
        "amf",
        "--vip",
        "203.0.113.1",
        "--vip",
        "203.0.113.65",
        "--port",
        "38412",
      ],
      ...["--endpoint", "10.0.0.5:38412*2", "--health-check", "http:8080/ready"],
    );
    assert.deepEqual([created.code, created.error], [0, ""]);
    const table = await at("get", "services");
    assert.match(table.out, /^ID +NAME +VIPS +ENDPOINTS/);
    assert.match(table.out, /sctp\/203\.0\.113\.1:38412 +amf +203\.0\.113\.1,203\.0\.113\.65 +1/);
    const json = JSON.parse((await at("get", "services", "-o", "json")).out) as {
      endpoints: { weight: number }[];
      healthCheck: unknown;
    }[];
    assert.deepEqual(json[0]?.healthCheck, { kind: "http", port: 8080, path: "/ready" });
    assert.match((await at("get", "service", "amf", "-o", "wide")).out, /CHECK.*\n.*http:8080\/ready/);
    const wrong = ["create", "service", "--vip", "203.0.113.9", "--port", "1", "--health-check", "gopher"];
    assert.match((await at(...wrong)).error, /the kinds are none, ping, sctp/);
    assert.equal(json[0]?.endpoints[0]?.weight, 2);
    assert.match((await at("get", "service", "amf")).out, /10\.0\.0\.5:38412 +2 +active/);
  });

  test("a different service of the same id is a conflict, --replace replaces", async () => {
    const args = ["create", "service", "--name", "other", "--vip", "203.0.113.1", "--port", "38412"];
    const refused = await at(...args);
    assert.equal(refused.code, 5);
    assert.match(refused.error, /exists already and is different\.\n {2}Replace it/);
    assert.equal((await at(...args, "--replace")).code, 0);
  });

  test("sessions: table, filters, one in full", async () => {
    const id = addSession(node.view, {
      primary: "203.0.113.1",
      port: 38412,
      client: "192.0.2.1",
      clientPort: 5000,
      endpoint: "10.0.0.5",
      natPort: 5001,
    });
    assert.match(
      (await at("get", "sessions")).out,
      new RegExp(`${id} +other +established +192\\.0\\.2\\.1 +5000`),
    );
    assert.equal((await at("get", "sessions", "--client", "192.0.2.2")).out.trim().split("\n").length, 1);
    assert.equal((await at("get", "sessions", "--service", "nope")).code, 4);
    assert.equal((await at("get", "sessions", "--owner", "m9")).code, 4);
    assert.equal((await at("get", "sessions", "--member", "m9")).code, 4);
    const full = await at("get", "session", id);
    assert.match(full.out, /phase: +established/);
    assert.match(full.out, /generations\n +ROLE/);
    assert.equal((await at("delete", "session", id)).code, 0);
    assert.match((await at("get", "session", id)).out, /ended: +operator/);
    assert.equal((await at("get", "session", "no-such")).code, 4);
  });

  test("pin and unpin a VIP", async () => {
    const pinned = await at("pin", "vip", "203.0.113.1", "m0");
    assert.deepEqual(pinned, { code: 0, out: "VIP 203.0.113.1 is pinned to m0\n", error: "" });
    assert.match((await at("get", "vips")).out, /PINNED TO.*\n203\.0\.113\.1 +m0 +- +m0 /);
    // The only candidate of the test's node is m0.
    const useless = await at("pin", "vip", "203.0.113.1", "m1");
    assert.equal(useless.code, 0);
    assert.match(useless.error, /m1 cannot own 203\.0\.113\.1 now: m0: the only member/);
    const stranger = await at("pin", "vip", "203.0.113.1", "m7");
    assert.deepEqual([stranger.code, /holdfast get members/.test(stranger.error)], [4, true]);
    const unknown = await at("unpin", "vip", "203.0.113.99");
    assert.deepEqual([unknown.code, /holdfast get vips/.test(unknown.error)], [4, true]);
    assert.equal((await at("unpin", "vip", "203.0.113.1")).code, 0);
    assert.match((await at("get", "vips")).out, /\n203\.0\.113\.1 +m0 +- +- /);
  });

  test("drain and undrain a member", async () => {
    assert.equal((await at("drain", "member", "m0")).code, 0);
    assert.match((await at("get", "members")).out, /m0 \* +0 .* yes +yes/);
    assert.equal((await at("undrain", "member", "m0")).code, 0);
    assert.equal((await at("drain", "member", "m7")).code, 4);
  });

  test("the exit code says what kind of failure it was", async () => {
    assert.equal((await at("get", "nothing")).code, 2);
    assert.equal((await at("get", "sessions", "--limit", "many")).code, 2);
    assert.equal((await at("create", "service", "--vip", "203.0.113.300", "--port", "1")).code, 7);
    const nobody = await run("--api", "http://127.0.0.1:1", "get", "services");
    assert.equal(nobody.code, 3);
    assert.match(nobody.error, /No node answers at http:\/\/127\.0\.0\.1:1/);
    assert.equal((await at("--help")).code, 0);
  });
});

test("the version, and every command's help with the options of all", async () => {
  assert.match((await run("--version")).out, /^\d+\.\d+\.\d+\n$/);
  assert.match((await run("get", "sessions", "--help")).out, /Global Options:\n +--api/);
});

test("config check and show say what is wrong and what is in force", async () => {
  const file = join(directory, "holdfast.yaml");
  writeFileSync(file, "log: { level: loud }\ncordinator: {}\n");
  const wrong = await run("config", "check", "--config", file);
  assert.equal(wrong.code, 7);
  assert.match(wrong.error, /holdfast\.yaml:2: cordinator is not a known field/);
  assert.match(wrong.error, /holdfast\.yaml:1: log\.level must be one of/);
  writeFileSync(file, "log: { level: warn }\napi: { token: 0123456789abcdef }\n");
  assert.equal((await run("config", "check", "--config", file)).code, 0);
  const shown = await run("config", "show", "--config", file);
  assert.match(shown.out, /level: warn/);
  assert.match(shown.out, /probeIntervalMs: 50/);
  assert.doesNotMatch(shown.out, /0123456789abcdef/);
});

test("certificates: authority, secret, member, overview", async () => {
  const place = join(directory, "certificates");
  assert.equal((await run("certificates", "init", "--cluster", "c1", "--directory", place)).code, 0);
  assert.ok(readFileSync(join(place, "cluster.secret"), "utf8").trim().length >= 32);
  const issued = await run("certificates", "issue", "m3", "--number", "3", "--directory", place);
  assert.match(issued.out, /m3, number 3/);
  assert.match((await run("certificates", "show", "--directory", place)).out, /m3 +3 .* valid/);
  const again = await run("certificates", "init", "--cluster", "c1", "--directory", place);
  assert.notEqual(again.code, 0);
  assert.match(again.error, /CERTIFICATE_AUTHORITY_EXISTS/);
});
