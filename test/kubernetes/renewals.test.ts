// Who talks to an API server, or to members, longer than certificates and tokens last: what is renewed in
// place is in force without a restart, and what is under way goes on.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { TLSSocket } from "node:tls";
import { connect } from "@holdfast/cli/testing";
import {
  type Connection,
  connectionOfFile,
  connectionOfPod,
  Http,
  KubernetesClient,
  MEMBERS,
} from "@holdfast/kubernetes/testing";
import { certifyRequest, createAuthority, createMemberRequest } from "@holdfast/node/certificates";
import { until } from "@holdfast/testkit";

/** One authority, and a certificate of it for 127.0.0.1 that servers and clients may have. */
async function makePair() {
  const clusterId = "test";
  const authority = await createAuthority({ clusterId, wallMs: Date.now() });
  const { requestPem, keyPem } = await createMemberRequest("member");
  const member = { clusterId, memberName: "m1", memberNumber: 1, addresses: ["127.0.0.1"], dnsNames: [] };
  const certificatePem = await certifyRequest(authority, requestPem, { ...member, wallMs: Date.now() });
  return { ca: authority.certificatePem, cert: certificatePem, key: keyPem };
}
type Pair = Awaited<ReturnType<typeof makePair>>;

let directory: string;
let first: Pair;
let second: Pair;
let server: Server;
let url: string;
/** Of each request: its token, and the serial number of its client's certificate. */
let seen: { readonly token: string; readonly serial: string | undefined }[];
let streams: ServerResponse[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-renewals-"));
  [first, second] = await Promise.all([makePair(), makePair()]);
  seen = [];
  streams = [];
  server = createServer(
    { ...first, requestCert: true, rejectUnauthorized: false },
    (request: IncomingMessage, response: ServerResponse) => {
      const { raw } = (request.socket as TLSSocket).getPeerCertificate();
      const serial = raw === undefined ? undefined : new X509Certificate(raw).serialNumber;
      seen.push({ token: request.headers.authorization ?? "", serial });
      response.writeHead(200, { "content-type": "application/json" });
      if (request.url?.includes("watch") === true) streams.push(begin(response));
      else response.end('{"kind":"MemberList","items":[],"metadata":{}}');
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(async () => {
  for (const stream of streams) stream.end();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  rmSync(directory, { recursive: true, force: true });
});

function begin(response: ServerResponse): ServerResponse {
  response.write("{}\n");
  return response;
}

const place = (name: string) => join(directory, "account", name);

/** As the kubelet renews a volume: all files at once, by a link that points elsewhere. */
function mount(version: string, files: Readonly<Record<string, string>>): void {
  mkdirSync(join(directory, version), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, version, name), text);
  symlinkSync(version, join(directory, "account.new"));
  renameSync(join(directory, "account.new"), join(directory, "account"));
}

/** Another authority's certificate, for whoever connects from now on. */
function renewServer(): void {
  server.setSecureContext(second);
  server.closeIdleConnections();
}

function podConnection(): Connection {
  const environment = { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: new URL(url).port };
  return connectionOfPod(environment, join(directory, "account"));
}

/** Not by the end of an idle connection: by its certificate. */
async function isRefused(request: Promise<unknown>): Promise<boolean> {
  try {
    await request;
  } catch (error) {
    return /certificate|self-signed/.test(`${error} ${(error as Error).cause}`);
  }
  return false;
}

test("a pod's token and its API server's authority are renewed under a client that runs", async (t) => {
  mount("one", { token: "first\n", "ca.crt": first.ca, namespace: "holdfast" });
  const client = new KubernetesClient(podConnection());
  t.after(() => client.close());
  await client.list(MEMBERS);
  assert.equal(seen.at(-1)?.token, "Bearer first");
  renewServer();
  await until("it not to be believed any more", () => isRefused(client.list(MEMBERS)));
  mount("two", { token: "second\n", "ca.crt": second.ca, namespace: "holdfast" });
  await until("it to be believed", () =>
    client.list(MEMBERS).then(
      () => true,
      () => false,
    ),
  );
  assert.equal(seen.at(-1)?.token, "Bearer second");
});

test("a watch that began before goes on", async (t) => {
  mount("one", { token: "first", "ca.crt": first.ca });
  const http = new Http(podConnection());
  t.after(() => http.close());
  const call = { method: "GET" as const, timeoutMs: 5_000 };
  const lines = http.lines({ ...call, path: "/watch" }, () => {});
  assert.equal((await lines.next()).value, "{}");
  mount("two", { token: "second", "ca.crt": second.ca });
  renewServer();
  await until("what begins to go by the new one", () =>
    http.json({ ...call, path: "/x" }).then(
      () => true,
      () => false,
    ),
  );
  const next = lines.next();
  streams[0]?.write('{"still":"here"}\n');
  assert.equal((await next).value, '{"still":"here"}');
  streams[0]?.end();
  assert.equal((await lines.next()).done, true);
});

test("a kubeconfig's client certificate is renewed", async (t) => {
  mount("one", { "ca.crt": first.ca, "tls.crt": first.cert, "tls.key": first.key });
  const kubeconfig = join(directory, "kubeconfig");
  writeFileSync(
    kubeconfig,
    JSON.stringify({
      "current-context": "c",
      contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
      clusters: [{ name: "c", cluster: { server: url, "certificate-authority": place("ca.crt") } }],
      users: [
        { name: "u", user: { "client-certificate": place("tls.crt"), "client-key": place("tls.key") } },
      ],
    }),
  );
  const client = new KubernetesClient(connectionOfFile(kubeconfig));
  t.after(() => client.close());
  const serial = ({ cert }: Pair) => new X509Certificate(cert).serialNumber;
  await client.list(MEMBERS);
  assert.equal(seen.at(-1)?.serial, serial(first));
  mount("two", { "ca.crt": first.ca, "tls.crt": second.cert, "tls.key": second.key });
  await until("the new one", async () => {
    await client.list(MEMBERS);
    return seen.at(-1)?.serial === serial(second);
  });
});

test("the members' token and authority are renewed under a controller or an agent that runs", async () => {
  mount("one", { token: "first\n", "ca.crt": first.ca });
  const client = connect({ api: url, tokenFile: place("token"), ca: place("ca.crt") }, {});
  await client.memberList();
  assert.equal(seen.at(-1)?.token, "Bearer first");
  renewServer();
  await until("it not to be believed any more", () => isRefused(client.memberList()));
  mount("two", { token: "second\n", "ca.crt": second.ca });
  await client.memberList();
  assert.equal(seen.at(-1)?.token, "Bearer second");
  // While a Secret is being replaced its files may be away for a moment.
  rmSync(join(directory, "account"));
  await client.memberList();
  assert.equal(seen.at(-1)?.token, "Bearer second");
});
