import assert from "node:assert/strict";
import { get } from "node:http";
import { after, before, describe, test } from "node:test";
import {
  type ApiClient,
  ApiError,
  ClusterSchema,
  createClient,
  HealthSchema,
  type MemberReport,
  MemberViewSchema,
  type NodeEvent,
  ProblemSchema,
  ROLE_HEADER,
  ServiceViewSchema,
  SessionDetailSchema,
  SessionPageSchema,
  VipSchema,
} from "@holdfast/api";
import { type Address, addressBytes, HoldfastError, PROTOCOL_SCTP } from "@holdfast/model";
import type { FastifyInstance } from "fastify";
import { pino } from "pino";
import { buildServer } from "./server.ts";
import { addSession, fakeNode } from "./testing/fake-node.ts";
import { assertSchema } from "./testing/schema.ts";

const SPEC = {
  vips: ["203.0.113.1", "203.0.113.65"],
  port: 38412,
  endpoints: [{ address: "10.0.0.5", port: 38412 }],
};
const ID = "sctp/203.0.113.1:38412";

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ApiError, `expected a problem, got ${String(error)}`);
  assert.ok(error.remedy.length > 0, "a problem says what to do");
  return error.code;
}

describe("a change", () => {
  test("that the disk did not take is answered with an error that says so, and is in force", async () => {
    const node = fakeNode();
    let asked = 0;
    const sources: typeof node.sources = {
      ...node.sources,
      configurationKept: async () => {
        asked++;
        throw new HoldfastError("CONFIGURATION_NOT_KEPT", { reason: "configuration: ENOSPC" });
      },
    };
    const app = await buildServer(sources, { authorization: { tokens: () => [], socket: false } });
    const answer = await app.inject({ method: "POST", url: "/v1/services", payload: SPEC });
    assert.equal(answer.statusCode, 507);
    assert.match(String(answer.headers["content-type"]), /problem\+json/);
    const problem = answer.json();
    assertSchema(ProblemSchema, problem);
    assert.equal(problem.code, "CONFIGURATION_NOT_KEPT");
    assert.match(problem.title, /in force.*ENOSPC/);
    assert.equal(asked, 1);
    assert.equal((await app.inject({ url: `/v1/services/${encodeURIComponent(ID)}` })).statusCode, 200);
    await app.close();
  });

  for (const [method, url, status, waits] of [
    ["POST", "/v1/services", 201, 1],
    ["GET", "/v1/services", 200, 0],
    ["HEAD", "/v1/services", 200, 0],
    ["DELETE", "/v1/services/nothing", 404, 0],
  ] as const)
    test(`${method} ${url} is answered once it is kept and logged as a change, if it is one`, async () => {
      const node = fakeNode();
      let waited = 0;
      let answered = false;
      let release = () => {};
      const logged: string[] = [];
      const sources: typeof node.sources = {
        ...node.sources,
        logger: pino({ level: "info" }, { write: (line: string) => void logged.push(line) }),
        configurationKept: () => {
          waited++;
          return new Promise((resolve) => {
            release = resolve;
          });
        },
      };
      const app = await buildServer(sources, { authorization: { tokens: () => [], socket: false } });
      const reply = app
        .inject({ method, url, ...(method === "POST" && { payload: SPEC }) })
        .then((answer) => {
          answered = true;
          return answer;
        });
      if (waits > 0) {
        while (waited === 0) await new Promise(setImmediate);
        assert.equal(answered, false);
        release();
      }
      assert.equal((await reply).statusCode, status);
      assert.equal(waited, waits);
      await app.close();
      assert.equal(logged.join().includes("API change"), waits > 0);
    });
});

describe("the API", () => {
  const node = fakeNode();
  let app: FastifyInstance;
  let url: string;
  let client: ApiClient;
  before(async () => {
    app = await buildServer(node.sources, { authorization: { tokens: () => [], socket: false } });
    url = await app.listen({ host: "127.0.0.1", port: 0 });
    client = createClient({ url });
  });
  after(() => app.close());

  test("creating a service twice is one service; a different one under its id is refused", async () => {
    const service = await client.createService(SPEC);
    assertSchema(ServiceViewSchema, service);
    assert.equal(service.id, ID);
    assert.equal((await client.createService(SPEC)).revision, service.revision);
    assert.equal(await codeOf(client.createService({ ...SPEC, selection: "hash" })), "SERVICE_EXISTS");
    assert.equal(
      await codeOf(client.createService({ vips: ["203.0.113.9", "203.0.113.65"], port: 38412 })),
      "SERVICE_VIP_TAKEN",
    );
    assert.equal((await client.listServices()).length, 1);
  });

  test("a conditional replace fails when somebody else was faster", async () => {
    const { etag } = await client.getService(ID);
    await client.replaceService(ID, { ...SPEC, selection: "roundRobin" }, etag);
    assert.equal(await codeOf(client.replaceService(ID, SPEC, etag)), "SERVICE_CHANGED");
    assert.equal((await client.getService(ID)).service.selection, "roundRobin");
    const fresh = await client.getService(ID);
    const response = await fetch(`${url}/v1/services/${encodeURIComponent(ID)}`, {
      headers: { "if-none-match": fresh.etag },
    });
    assert.equal(response.status, 304);
  });

  test("a request that is wrong says which field and what to do", async () => {
    const response = await fetch(`${url}/v1/services`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ vips: ["203.0.113.300"], port: 0, endpoint: [] }),
    });
    assert.equal(response.status, 400);
    assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/);
    const problem = (await response.json()) as { code: string; fields: { field: string }[] };
    assertSchema(ProblemSchema, problem);
    assert.equal(problem.code, "REQUEST_INVALID");
    assert.deepEqual(problem.fields.map((f) => f.field).sort(), ["endpoint", "port", "vips[0]"]);
  });

  test("endpoints are drained, taken back and removed", async () => {
    assert.equal((await client.drainEndpoint(ID, "10.0.0.5:38412", true)).endpoints[0]?.state, "drain");
    assert.equal((await client.drainEndpoint(ID, "10.0.0.5:38412", false)).endpoints[0]?.state, "active");
    assert.equal(await codeOf(client.drainEndpoint(ID, "10.0.0.6:38412", true)), "ENDPOINT_NOT_FOUND");
    assert.equal((await client.removeEndpoint(ID, "10.0.0.5:38412")).endpoints.length, 0);
  });

  test("a DELETE with a JSON content type and no body is a DELETE", async () => {
    const response = await fetch(`${url}/v1/services/${encodeURIComponent(ID)}`, {
      method: "DELETE",
      headers: { "content-type": "application/json" },
    });
    assert.equal(response.status, 204);
    assert.equal(await codeOf(client.getService(ID)), "SERVICE_NOT_FOUND");
  });

  test("VIPs, members, health and status answer as their schemas say", async () => {
    await client.createService(SPEC);
    const vips = await client.listVips();
    assert.equal(vips.length, 2);
    for (const vip of vips) assertSchema(VipSchema, vip);
    for (const member of await client.listMembers()) assertSchema(MemberViewSchema, member);
    assertSchema(HealthSchema, await client.ready());
    node.setReady(false);
    assert.equal((await client.ready()).status, "notReady");
    node.setReady(true);
    assert.equal((await client.drainMember("m0", true)).draining, true);
    assert.equal(await codeOf(client.drainMember("m9", true)), "MEMBER_NOT_FOUND");
    await client.drainMember("m0", false);
  });

  test("a VIP is pinned and unpinned, in whichever way its address is written", async () => {
    const six = await client.createService({ vips: ["2001:db8::1"], port: 38412, endpoints: [] });
    const vip = "2001:db8:0::0:1";
    const pins = async () => (await client.listVips()).flatMap((view) => view.pin ?? []);
    const heard: string[] = [];
    node.events.subscribe(({ message }) => void heard.push(message));
    const pinned = await client.pinVip(vip, "m1");
    assertSchema(VipSchema, pinned);
    assert.deepEqual([pinned.vip, pinned.pin, await pins()], ["2001:db8::1", "m1", ["m1"]]);
    await client.pinVip("2001:db8::1", "m1");
    assert.deepEqual(heard, ["VIP 2001:db8::1 is pinned to m1."], "the same again is no news");
    assert.equal(await codeOf(client.pinVip(vip, "m9")), "MEMBER_NOT_FOUND");
    assert.equal(await codeOf(client.pinVip("192.0.2.99", "m0")), "VIP_NOT_FOUND");
    assert.equal(await codeOf(client.pinVip("nonsense", "m0")), "ADDRESS_INVALID");
    assert.equal(await codeOf(client.pinVip(vip, "")), "REQUEST_INVALID");
    assert.equal(await codeOf(client.unpinVip("192.0.2.99")), "VIP_NOT_FOUND");
    assert.deepEqual(await pins(), ["m1"], "what is refused changes nothing");

    await client.deleteService(six.id);
    assert.equal(await codeOf(client.pinVip(vip, "m0")), "VIP_NOT_FOUND");
    await client.unpinVip(vip);
    assert.equal(node.store.pins().size, 0, "a pin can be taken back when its VIP is gone");
    assert.equal(await codeOf(client.unpinVip(vip)), "VIP_NOT_FOUND");
  });

  test("pages of sessions are complete, in order and filtered", async () => {
    const primary = "203.0.113.1";
    for (let i = 0; i < 250; i++) {
      addSession(node.view, {
        primary,
        port: 38412,
        client: `192.0.2.${i % 50}`,
        clientPort: 1000 + i,
        endpoint: i % 2 === 0 ? "10.0.0.5" : "10.0.0.6",
        natPort: 2000 + i,
        ...(i % 10 === 0 && { phase: "cookieEchoed" as const }),
      });
    }
    const ids: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await client.listSessions({ limit: 100, ...(cursor !== undefined && { cursor }) });
      assertSchema(SessionPageSchema, page);
      ids.push(...page.items.map((session) => session.id));
      cursor = page.next;
    } while (cursor !== undefined);
    assert.equal(ids.length, 250);
    assert.deepEqual(ids, [...new Set(ids)].sort());
    const count = async (query: object) =>
      (await client.listSessions({ ...query, limit: 1000 })).items.length;
    assert.equal(await count({ client: "192.0.2.7" }), 5);
    assert.equal(await count({ endpoint: "10.0.0.6:38412" }), 125);
    assert.equal(await count({ endpoint: "10.0.0.6:1" }), 0);
    assert.equal(await count({ natPort: 2003 }), 1);
    assert.equal(await count({ phase: "cookieEchoed" }), 25);
    assert.equal(await count({ vip: "203.0.113.65" }), 250);
    assert.equal(await count({ vip: "203.0.113.66" }), 0);
    assert.equal(await count({ owner: "m0" }), 250);
    assert.equal(await count({ member: "m3" }), 31);
    assert.equal(await codeOf(client.listSessions({ cursor: "nonsense" })), "CURSOR_INVALID");
    assert.equal(await codeOf(client.listSessions({ limit: 100_000 })), "REQUEST_INVALID");
    const detail = await client.getSession(ids[0] as string);
    assertSchema(SessionDetailSchema, detail);
    assert.equal(detail.paths[0]?.owner, "m0");
    const tag = detail.generations[0]?.clientTag ?? "";
    assert.deepEqual(
      [await count({ tag }), await count({ tag: tag.slice(2).toUpperCase() }), await count({ tag: "4D" })],
      [1, 1, 250],
    );
    assert.equal(await count({ tag, clientPort: detail.clientPort }), 1);
    assert.equal(await count({ clientPort: 1 }), 0);
    assert.equal(await codeOf(client.listSessions({ tag: "0xyz" })), "REQUEST_INVALID");
    assert.equal(detail.history.length, 1);
    for (const id of [
      "no-such",
      "toString",
      "g".repeat(36),
      "0".repeat(36),
      "A0000000-0000-0000-0000-000000000000",
    ])
      assert.equal(await codeOf(client.getSession(id)), "SESSION_NOT_FOUND");
    const [service] = await client.listServices();
    assert.equal(service?.sessions, 250);
    await client.removeSession(ids[1] as string);
    const removed = await client.getSession(ids[1] as string);
    assert.equal(removed.ended, "operator");
    assert.deepEqual(removed.history.at(-1)?.note, "operator");
    assert.equal((await client.listServices())[0]?.sessions, 249);
    for (const id of ["no-such", "toString", "0".repeat(36)])
      assert.equal(await codeOf(client.removeSession(id)), "SESSION_NOT_FOUND");
  });

  test("a walk over 20,000 sessions gives the event loop back", async () => {
    for (let i = 0; i < 20_000; i++)
      addSession(node.view, {
        primary: "203.0.113.1",
        port: 38412,
        client: "198.51.100.1",
        clientPort: 1 + i,
        endpoint: "10.0.0.5",
        natPort: 10_000 + i,
      });
    let turns = 0;
    const ticker = setInterval(() => turns++, 0);
    // Nothing matches: every session is looked at.
    const page = await client.listSessions({ natPort: 1 });
    clearInterval(ticker);
    assert.equal(page.items.length, 0);
    assert.ok(turns >= 5, `the loop turned ${turns} times`);
  });

  test("events stream to a reader and resume after an id", async () => {
    const abort = new AbortController();
    const stream = client.events({ signal: abort.signal });
    const first = stream.next();
    // The subscription exists when the head of the answer is here; emit until it is heard.
    const ticker = setInterval(
      () =>
        node.events.emit({ type: "ownership", message: "moved", vip: "203.0.113.1", from: "m0", to: "m1" }),
      5,
    );
    const { value } = await first;
    clearInterval(ticker);
    abort.abort();
    assert.equal(value?.type, "ownership");
    const again = new AbortController();
    const all: NodeEvent[] = [];
    for await (const event of client.events({ after: "0", signal: again.signal })) {
      all.push(event);
      if (event.id === value?.id) break;
    }
    again.abort();
    const last = all.at(-1);
    const before = all.at(-2)?.id ?? "0";
    assert.equal(last?.message, "moved");
    const resumed = await client.events({ after: before, signal: AbortSignal.timeout(5_000) }).next();
    assert.deepEqual(resumed.value, last);
    assert.equal(await codeOf(client.events({ after: "7" }).next()), "REQUEST_INVALID");
  });

  test("the OpenAPI document and its page are served", async () => {
    const document = (await client.openapi()) as { openapi: string; paths: Record<string, unknown> };
    assert.equal(document.openapi, "3.1.0");
    for (const path of ["/v1/services", "/v1/sessions/{id}", "/v1/vips", "/v1/members", "/v1/events"])
      assert.ok(document.paths[path] !== undefined, path);
    const page = await fetch(`${url}/v1/docs`);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /swagger-ui/);
    const style = await fetch(`${url}/v1/docs/static/swagger-ui.css`);
    assert.deepEqual([style.status, style.headers.get("content-type")], [200, "text/css; charset=utf-8"]);
    const shown = await fetch(`${url}/v1/docs/json`);
    assert.deepEqual(await shown.json(), document);
    assert.equal((await fetch(`${url}/v1/docs/nothing`)).status, 404);
  });

  test("an unknown route is a problem, too", async () => {
    const response = await fetch(`${url}/v1/nothing`);
    assert.equal(response.status, 404);
    assertSchema(ProblemSchema, await response.json());
  });

  test("the cluster comes in one answer, the same for all who ask at once", async () => {
    const report: MemberReport = {
      ...{ member: "m0", at: new Date(0).toISOString(), version: "1", startedAt: new Date(0).toISOString() },
      ...{
        ready: true,
        failing: [],
        fastPath: "tcx",
        sessions: 5,
        natPortsUsed: 5,
        interfaces: [],
        peers: [],
      },
      announcements: [{ vip: "203.0.113.1", places: [{ interface: "eth0", kind: "l2", rank: 0 }] }],
      ...{ routers: [], drops: [{ name: "wrong-tag", count: 2 }], traffic: [], api: [] },
    };
    node.reports.set("m0", { report, ageMs: 40 });
    await client.createService(SPEC).catch(() => {});
    const answers = await Promise.all([client.cluster(), client.cluster()]);
    const [picture] = answers;
    assert.deepEqual(answers[1], picture);
    assertSchema(ClusterSchema, picture);
    assert.equal(picture?.members[0]?.heardMsAgo, 40);
    const [vip] = picture?.vips.filter((each) => each.vip === "203.0.113.1") ?? [];
    assert.deepEqual(vip?.announcements, [{ member: "m0", interface: "eth0", kind: "l2", rank: 0 }]);
  });

  test("pages of members may ask, with a token as anybody; a preflight is answered", async () => {
    const origin = "https://m1.example:7080";
    const asked = await fetch(`${url}/v1/members`, { headers: { origin } });
    assert.equal(asked.status, 200);
    assert.equal(asked.headers.get("access-control-allow-origin"), origin);
    const headers = { origin, "access-control-request-method": "POST" };
    const preflight = await fetch(`${url}/v1/members/m0/drain`, { method: "OPTIONS", headers });
    assert.equal(preflight.status, 204);
    assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /authorization/);
  });

  test("pages of other sites are refused", async () => {
    const foreign = await fetch(`${url}/v1/services`, { headers: { origin: "https://evil.example" } });
    assert.equal(foreign.status, 403);
    assertSchema(ProblemSchema, await foreign.json());
  });
});

test("a trace is a pcapng with the reasons as comments", async () => {
  const node = fakeNode();
  const app = await buildServer(node.sources, { authorization: { tokens: () => [], socket: false } });
  try {
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    const stream = await createClient({ url }).trace({ packets: 2, reason: "drop" });
    const packet = Uint8Array.from({ length: 33 }, (_, i) => i);
    const publish = (reason: string) =>
      node.sources.trace.publish({ packet, reason, wallMs: 1_700_000_000_123, interfaceIndex: 4 });
    publish("punt init");
    publish("drop wrong-tag");
    publish("drop malformed");
    const parts: Uint8Array[] = [];
    for await (const part of stream) parts.push(part);
    const bytes = Buffer.concat(parts);
    assert.equal(bytes.readUInt32LE(0), 0x0a0d0d0a);
    const comments: string[] = [];
    for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at + 4)) {
      const size = bytes.readUInt32LE(at + 4);
      assert.equal(size % 4, 0);
      assert.equal(bytes.readUInt32LE(at + size - 4), size, "both lengths of a block agree");
      if (bytes.readUInt32LE(at) !== 6) continue;
      assert.deepEqual(bytes.subarray(at + 28, at + 28 + 33), Buffer.from(packet));
      const option = at + 28 + 36;
      assert.equal(bytes.readUInt16LE(option), 1);
      comments.push(bytes.toString("utf8", option + 4, option + 4 + bytes.readUInt16LE(option + 2)));
    }
    assert.deepEqual(comments, ["drop wrong-tag on interface 4", "drop malformed on interface 4"]);
  } finally {
    await app.close();
  }
});

test("a trace of one session has its packets of both sides, and nobody else's", async () => {
  const node = fakeNode();
  const app = await buildServer(node.sources, { authorization: { tokens: () => [], socket: false } });
  try {
    const client = createClient({ url: await app.listen({ host: "127.0.0.1", port: 0 }) });
    await client.createService(SPEC);
    const session = addSession(node.view, {
      ...{ primary: "203.0.113.1", port: 38412, client: "10.1.0.7", clientPort: 5000 },
      ...{ endpoint: "10.0.0.5", natPort: 12_345 },
    });
    assert.equal(await codeOf(client.trace({ session: "0" })), "SESSION_NOT_FOUND");
    const stream = await client.trace({ session, packets: 3 });
    const send = (source: Address, destination: Address, sourcePort: number, destinationPort: number) => {
      const packet = new Uint8Array(32);
      packet.set([0x45, 0, 0, 0, 0, 0, 0, 0, 64, PROTOCOL_SCTP], 0);
      packet.set(addressBytes(source), 12);
      packet.set(addressBytes(destination), 16);
      new DataView(packet.buffer).setUint16(20, sourcePort);
      new DataView(packet.buffer).setUint16(22, destinationPort);
      const reason = `${source}:${sourcePort}`;
      node.sources.trace.publish({ packet, reason, wallMs: 1_700_000_000_123, interfaceIndex: 0 });
    };
    send("10.1.0.8", "203.0.113.1", 5000, 38412);
    send("10.1.0.7", "203.0.113.65", 5000, 38412);
    send("10.1.0.7", "203.0.113.65", 5001, 38412);
    send("10.0.0.5", "203.0.113.1", 38412, 12_345);
    send("10.0.0.5", "203.0.113.1", 38412, 12_346);
    node.sources.trace.publish({ packet: new Uint8Array(8), reason: "short", wallMs: 0, interfaceIndex: 0 });
    send("203.0.113.1", "10.1.0.7", 38412, 5000);
    const parts: Uint8Array[] = [];
    for await (const part of stream) parts.push(part);
    const text = Buffer.concat(parts).toString("latin1");
    const told = [...text.matchAll(/\d+\.\d+\.\d+\.\d+:\d+/g)].map(([words]) => words);
    assert.deepEqual(told, ["10.1.0.7:5000", "10.0.0.5:38412", "203.0.113.1:38412"]);
  } finally {
    await app.close();
  }
});

test("a token does what its role says; who comes over the loopback without one reads", async () => {
  const node = fakeNode();
  const [operate, read] = ["a-token-that-operates", "a-token-that-reads"];
  const app = await buildServer(node.sources, {
    authorization: {
      tokens: () => [
        { role: "operate", token: operate },
        { role: "read", token: read },
      ],
      socket: false,
    },
  });
  try {
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    const of = (token?: string) => createClient({ url, ...(token !== undefined && { token }) });
    const roleOf = async (token?: string) => {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
      return (await fetch(`${url}/v1/members`, { headers })).headers.get(ROLE_HEADER);
    };
    assert.equal(await codeOf(of(`${read}x`).listServices()), "UNAUTHORIZED");
    assert.equal(await codeOf(of().drainMember("m0", true)), "UNAUTHORIZED");
    assert.equal(await codeOf(of(read).drainMember("m0", true)), "ROLE_INSUFFICIENT");
    assert.equal(await codeOf(of(read).trace()), "ROLE_INSUFFICIENT");
    assert.equal(await codeOf(of().trace()), "UNAUTHORIZED");
    assert.equal((await of(operate).drainMember("m0", true)).draining, true);
    assert.deepEqual(
      [await roleOf(), await roleOf(read), await roleOf(operate)],
      ["read", "read", "operate"],
    );
    // A name that anybody may point at the loopback reads nothing without a token.
    const named = await rawStatus(url, "/v1/members", { host: "rebound.example" });
    assert.equal(named, 403);
    assert.equal(
      await rawStatus(url, "/v1/members", { host: "m1.example", authorization: `Bearer ${read}` }),
      200,
    );
  } finally {
    await app.close();
  }
});

test("with one token, only its holder changes anything; health stays open", async () => {
  const node = fakeNode();
  const token = "a-token-of-some-length";
  const app = await buildServer(node.sources, {
    authorization: { tokens: () => [{ role: "operate", token }], socket: false },
  });
  try {
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    assert.equal(await codeOf(createClient({ url }).deleteService(ID)), "UNAUTHORIZED");
    assert.equal(await codeOf(createClient({ url, token: `${token}x` }).listServices()), "UNAUTHORIZED");
    assert.deepEqual(await createClient({ url, token }).listServices(), []);
    assert.equal((await fetch(`${url}/v1/health/live`)).status, 200);
  } finally {
    await app.close();
  }
});

/** Status of a GET with headers that fetch does not let a program set. */
function rawStatus(url: string, path: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url + path, { headers, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).on("error", reject);
  });
}

test("a service of the file belongs to the file", async () => {
  const spec = {
    ...SPEC,
    endpoints: [{ address: "10.0.0.5", port: 38412, weight: 1, state: "active" as const }],
  };
  const node = fakeNode([
    {
      name: "",
      protocol: "sctp",
      selection: "leastAssociations",
      idleTimeoutS: 900,
      restartNewAddresses: "abort",
      clientPrefixes: [],
      withdrawWhenDown: false,
      endpointRemoval: { mode: "drain", graceS: 300 },
      natPort: "keep",
      endpointsMayBegin: false,
      peers: [],
      ...spec,
    },
  ]);
  const app = await buildServer(node.sources, { authorization: { tokens: () => [], socket: false } });
  try {
    const client = createClient({ url: await app.listen({ host: "127.0.0.1", port: 0 }) });
    assert.equal(await codeOf(client.deleteService(ID)), "SERVICE_FROM_FILE");
    await client.drainEndpoint(ID, "10.0.0.5:38412", true);
    node.registry.applyFile([]);
    assert.equal((await client.listServices()).length, 0);
  } finally {
    await app.close();
  }
});
