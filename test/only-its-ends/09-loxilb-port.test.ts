// LoxiLB's port has the checks of the node's own API: no page in a browser posts or deletes rules, and beyond
// the loopback it is open to listed clients, or to holders of the token over TLS. kube-loxilb and loxicmd go
// on as they are.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { parseConfiguration } from "@holdfast/node/testing";
import { createAuthority, issueMemberCertificate } from "@holdfast/sync/certificates";
import { kubeHead } from "../loxilb/bodies.ts";
import { type RigMember, type RigOptions, startRig } from "../loxilb/rig.ts";

const RULES = "/netlox/v1/config/loadbalancer";
const TOKEN = "0123456789abcdef";

async function withMember(options: RigOptions, run: (member: RigMember) => Promise<void>): Promise<void> {
  const rig = await startRig(options);
  try {
    await run(rig.members[0] as RigMember);
  } finally {
    await rig.stop();
  }
}

interface Call {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly url?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly from?: string;
}

async function call({ app }: RigMember, { method = "POST", url = RULES, headers, from }: Call) {
  const reply = await app.inject({
    method,
    url,
    remoteAddress: from ?? "127.0.0.1",
    headers: { host: "127.0.0.1:11111", ...headers },
    ...(method === "POST" && { payload: kubeHead() }),
  });
  return { status: reply.statusCode, result: (reply.json() as { result?: string }).result };
}

const JSON_TYPE = { "content-type": "application/json" };
const rules = ({ node }: RigMember) => node.registry.list().length;

test("a web page cannot post or delete a rule", () =>
  withMember({}, async (member) => {
    const foreign = { origin: "http://evil.example" };
    // What a page may send without asking first.
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
      for (const headers of [{ "content-type": type }, { "content-type": type, ...foreign }]) {
        const reply = await call(member, { headers });
        assert.ok([403, 415].includes(reply.status), `${type}: ${reply.status}`);
        assert.equal(rules(member), 0);
      }
    assert.equal((await call(member, { headers: {} })).status, 415, "no type at all");
    // What it may send when it may ask, or when its own name points here.
    assert.equal((await call(member, { headers: { ...JSON_TYPE, ...foreign } })).status, 403);
    const rebound = { host: "evil.example:11111", origin: "http://evil.example:11111" } as const;
    assert.equal((await call(member, { headers: { ...JSON_TYPE, ...rebound } })).status, 403);
    assert.equal(rules(member), 0);

    assert.equal((await call(member, { headers: JSON_TYPE })).result, "Success");
    const remove = { method: "DELETE", url: `${RULES}/all` } as const;
    assert.equal((await call(member, { ...remove, headers: foreign })).status, 403);
    assert.equal((await call(member, { ...remove, headers: { origin: "null" } })).status, 403);
    const list = { method: "GET", url: `${RULES}/all` } as const;
    assert.equal((await call(member, { ...list, headers: { host: "evil.example" } })).status, 403);
    assert.equal(rules(member), 1);
  }));

test("kube-loxilb may know its nodes by name, and its health check is answered to any name", () =>
  withMember({}, async (member) => {
    const headers = { ...JSON_TYPE, host: "node-1.example:11111" };
    assert.equal((await call(member, { method: "GET", url: "/netlox/v1", headers })).status, 200);
    assert.equal((await call(member, { headers })).result, "Success");
    const remove = {
      method: "DELETE",
      url: `${RULES}/externalipaddress/123.123.123.1/port/55002/protocol/sctp`,
      headers,
    } as const;
    assert.equal((await call(member, remove)).result, "Success");
  }));

test("with a list of clients, others get nothing", () =>
  withMember({ loxilb: { allowRemote: ["198.18.0.0/24", "2001:db8::7"] } }, async (member) => {
    for (const from of ["198.18.0.9", "::ffff:198.18.0.9", "2001:db8::7", "127.0.0.1", "::1"])
      assert.equal((await call(member, { headers: JSON_TYPE, from })).status, 200, from);
    for (const from of ["198.18.1.9", "2001:db8::8", "::ffff:198.18.1.9", "10.0.0.1"]) {
      assert.equal((await call(member, { headers: JSON_TYPE, from })).status, 403, from);
      assert.equal((await call(member, { method: "GET", url: "/netlox/v1", from })).status, 403, from);
    }
  }));

test("with a token a name is as good as an address, and the token is asked for", () =>
  withMember({ token: TOKEN, loxilb: { allowRemote: ["198.18.0.0/24"] } }, async (member) => {
    const headers = { ...JSON_TYPE, host: "node-1.example:11111" };
    const from = "198.18.0.9";
    assert.equal((await call(member, { headers, from })).status, 401);
    assert.equal((await call(member, { headers: { ...headers, authorization: TOKEN }, from })).status, 200);
    const list = { method: "GET", url: `${RULES}/all`, from } as const;
    assert.equal(
      (await call(member, { ...list, headers: { ...headers, authorization: TOKEN } })).status,
      200,
    );
  }));

test("with a certificate it speaks TLS alone", async () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-loxilb-"));
  try {
    const authority = await createAuthority({ clusterId: "test" });
    const own = { clusterId: "test", memberName: "m0", memberNumber: 0, addresses: ["127.0.0.1"] } as const;
    const { certificatePem, keyPem } = await issueMemberCertificate(authority, own);
    const tls = { certificate: join(directory, "c.pem"), key: join(directory, "k.pem") };
    writeFileSync(tls.certificate, certificatePem);
    writeFileSync(tls.key, keyPem);
    await withMember({ token: TOKEN, loxilb: { tls } }, async ({ url }) => {
      const port = new URL(url).port;
      assert.match(url, /^https:/);
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const headers = { authorization: TOKEN };
        const options = {
          host: "127.0.0.1",
          port,
          path: `${RULES}/all`,
          headers,
          ca: authority.certificatePem,
        };
        get(options, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).on("error", reject);
      });
      assert.equal(status, 200);
      await assert.rejects(fetch(`http://127.0.0.1:${port}/netlox/v1`));
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("beyond the loopback: a list of clients, or a token and TLS", () => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-loxilb-"));
  try {
    const load = (more: object) =>
      parseConfiguration(
        JSON.stringify({ loxilb: { enabled: true, listen: "0.0.0.0:11111", ...more } }),
        "x.yaml",
      );
    const tls = { certificate: join(directory, "c.pem"), key: join(directory, "k.pem") };
    const refused = (more: object, missing: RegExp) =>
      assert.throws(() => load(more), { code: "LOXILB_NOT_PROTECTED", message: missing });
    refused({}, /without a token and TLS/);
    refused({ token: TOKEN }, /without TLS/);
    refused({ tls }, /without a token /);
    assert.throws(() => load({ allowRemote: true }), { code: "CONFIG_INVALID", message: /allowRemote/ });
    assert.throws(() => load({ allowRemote: ["everybody"] }), { code: "CONFIG_INVALID" });
    load({ allowRemote: ["192.0.2.7", "10.0.0.0/8"] });
    load({ token: TOKEN, tls });
    load({ listen: "127.0.0.1:11111" });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
