import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import {
  ENDPOINT_PORT,
  HOLDFAST_PROGRAM,
  type Host,
  type Member,
  RawHost,
  runSync,
  ScriptedClient,
  SERVICE_PORT,
  until,
} from "@holdfast/testkit";
import { Scene, type SessionSummary } from "./scene.ts";

/** Fields of `/v1/sessions/{id}` that are facts of the session, not views of the member that answers. */
const FACTS = [
  "id",
  "service",
  "phase",
  "clientPort",
  "clients",
  "endpoint",
  "natPort",
  "member",
  "pending",
  "createdAt",
  "clientAddresses",
  "generations",
  "commit",
  "end",
] as const;

/** A second service's VIP, of no network. */
const SECOND_VIP = "192.0.2.77";
const SECOND_PORT = 5000;

test("three members: every record everywhere, split VIPs, a death in the handshake, services of the API, strangers, a whole restart", async (t) => {
  // Up to a whole restart of the cluster passes without an answer.
  const options = { members: 3, clients: [3, 1, 2], withoutStack: [1], assocMaxRetrans: 200, rate: 25 };
  await Scene.play(options, async (scene) => {
    await scene.confirmed();
    await t.test("every member shows the same record of every session", () => sameRecords(scene));
    await t.test("client traffic at one member, endpoint traffic at another", () => split(scene));
    await t.test("a service made at any member appears at all, and carries", () => makeService(scene));
    await t.test("the owner dies between INIT-ACK and COOKIE-ECHO", () => dieInHandshake(scene));
    await t.test("a member with another authority's certificate is refused", () => strangers(scene));
    await t.test("the whole cluster loses its power and comes back with its associations", () =>
      restartAll(scene),
    );
    await scene.judge();
  });
});

async function sameRecords(scene: Scene): Promise<void> {
  const { members } = scene.cluster;
  await until("all members to show the same records", async () => {
    const pages = await Promise.all(members.map((member) => scene.sessions(member)));
    assert.ok(pages.every((page) => page.length === 2));
    for (const { id } of pages[0] as SessionSummary[]) {
      const views = await Promise.all(
        members.map((member) => member.get<Record<string, unknown>>(`/v1/sessions/${id}`)),
      );
      const facts = views.map((view) => Object.fromEntries(FACTS.map((field) => [field, view[field]])));
      for (const other of facts) assert.deepEqual(other, facts[0]);
      assert.equal(facts[0]?.["phase"], "established");
      for (const view of views) {
        const states = view["replication"] as { member: string; state: string }[];
        assert.deepEqual([...new Set(states.map(({ state }) => state))], ["holds"]);
      }
    }
    return true;
  });
}

const pin = (host: Host, network: string, vip: Address, member: Member) =>
  host.run("ip", [
    "neigh",
    "replace",
    vip,
    "lladdr",
    member.host.mac(network),
    "dev",
    network,
    "nud",
    "permanent",
  ]);
const unpin = (host: Host, network: string, vip: Address) =>
  host.run("ip", ["neigh", "del", vip, "dev", network]);

/** Neither of the two members that carry a VIP's traffic need be its owner. */
async function split(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const [endpoint] = cluster.endpoints as [Host];
  const [client] = cluster.clients as [Host];
  const owners = await cluster.settled();
  const of = (vip: Address, step: number) => {
    const owner = cluster.memberOf(owners.get(vip) as string);
    return cluster.members[(owner.number + step) % cluster.members.length] as Member;
  };
  for (const vip of cluster.vips) {
    pin(client, cluster.networkOf(vip, 3), vip, of(vip, 1));
    pin(endpoint, "core", vip, of(vip, 2));
  }
  const fromMs = Date.now();
  await scene.flowing(40);
  const macs = new Map(cluster.vips.map((vip) => [vip, of(vip, 2).host.mac("core")]));
  const way = scene.atEndpoints
    .flatMap((capture) => capture.packets())
    .filter((p) => p.wallMs > fromMs && macs.has(p.destination) && p.sctp !== undefined);
  assert.ok(way.length > 0);
  for (const packet of way) assert.equal(packet.destinationMac, macs.get(packet.destination));
  for (const vip of cluster.vips) {
    unpin(client, cluster.networkOf(vip, 3), vip);
    unpin(endpoint, "core", vip);
  }
  await scene.flowing(10);
}

async function makeService(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const [endpoint] = cluster.endpoints as [Host];
  const [, client] = cluster.clients as [Host, Host];
  const [first, second, third] = cluster.members as [Member, Member, Member];
  const { status, body } = await second.fetch("POST", "/v1/services", {
    name: "second",
    vips: [SECOND_VIP],
    port: SECOND_PORT,
    endpoints: [{ address: endpoint.addresses("core")[0], port: ENDPOINT_PORT + 1 }],
  });
  assert.equal(status, 201, body);
  for (const member of [first, second, third]) {
    await until(`${member.name} to know the service, and who owns its VIP`, async () => {
      const { items } = await member.get<{ items: { name: string }[] }>("/v1/services");
      return items.some(({ name }) => name === "second") && (await cluster.owners(member)).has(SECOND_VIP);
    });
  }
  endpoint.onLink(SECOND_VIP, "core");
  client.onLink(SECOND_VIP, "path-a");
  const scripted = new ScriptedClient(new RawHost(client), {
    port: 40_001,
    servicePort: SECOND_PORT,
    addresses: cluster.clientAddresses(1),
    vips: [SECOND_VIP],
  });
  scripted.sendInit();
  // Nobody listens on that port: the endpoint's own ABORT comes back, through a service that no file names.
  await scripted.answer(CHUNK.ABORT);
  const removed = await third.fetch(
    "DELETE",
    `/v1/services/${encodeURIComponent(`sctp/${SECOND_VIP}:${SECOND_PORT}`)}`,
  );
  assert.ok(removed.status < 300, removed.body);
  for (const member of [first, second, third]) {
    await until(`${member.name} to forget the service`, async () => {
      const { items } = await member.get<{ items: { name: string }[] }>("/v1/services");
      return items.every(({ name }) => name !== "second");
    });
  }
}

async function dieInHandshake(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const vip = cluster.vips[0] as Address;
  const scripted = new ScriptedClient(new RawHost(cluster.clients[1] as Host), {
    port: 40_000,
    servicePort: SERVICE_PORT,
    addresses: cluster.clientAddresses(1),
    vips: [vip],
  });
  const owner = await scene.ownerOf(vip);
  const answer = await scripted.init();
  await owner.killNode();
  assert.ok(answer.stateCookie);
  // The client's retransmission (RFC 9260 §5.1, T1-cookie), until the successor carries it.
  await until(
    "the COOKIE-ECHO to be answered",
    async () => {
      await scripted.echo(answer);
      return true;
    },
    15_000,
  );
  scripted.behave();
  scripted.sendData(Buffer.from("after the death"));
  await scripted.answer(CHUNK.SACK);
  await scene.flowing(10);
  owner.host.plug();
  await owner.start();
  await cluster.settled();
  scripted.silence();
}

async function strangers(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const member = cluster.members[2] as Member;
  await member.stop();
  const directory = join(cluster.lab.directory, "strangers");
  const certificates = (...words: string[]) =>
    runSync(process.execPath, [
      "--disable-warning=ExperimentalWarning",
      HOLDFAST_PROGRAM,
      "certificates",
      ...words,
      "--directory",
      directory,
    ]);
  certificates("init", "--cluster", "lab");
  certificates("issue", member.name, "--number", String(member.number));
  const configuration = readFileSync(member.configFile, "utf8");
  const strange = JSON.parse(configuration);
  strange.cluster.certificates = {
    authority: join(directory, "authority.crt"),
    certificate: join(directory, `${member.name}.crt`),
    key: join(directory, `${member.name}.key`),
  };
  writeFileSync(member.configFile, JSON.stringify(strange));
  const others = cluster.members.slice(0, 2);
  const before = others.map((other) => other.log().length);
  member.launch();
  await until("every member's log to say that a stranger was refused, and why", () =>
    others.every((other, i) =>
      /refused.*certificate|certificate.*refused/i.test(other.log().slice(before[i])),
    ),
  );
  await scene.flowing(10);
  assert.equal((await scene.sessions(others[0])).length, 3);
  await member.killDaemon();
  writeFileSync(member.configFile, configuration);
  await member.start();
  await cluster.settled();
}

/** Daemons, programs and maps are gone, as after a power cut: only the store is left. */
async function restartAll(scene: Scene): Promise<void> {
  const { cluster } = scene;
  const ids = (await scene.sessions()).map(({ id }) => id).sort();
  assert.equal(ids.length, 3);
  await Promise.all(cluster.members.map((member) => member.killNode()));
  for (const member of cluster.members) {
    rmSync(member.pinDirectory, { recursive: true, force: true });
    member.host.plug();
  }
  await Promise.all(cluster.members.map((member) => member.start()));
  await cluster.settled();
  await scene.flowing(20);
  assert.deepEqual((await scene.sessions()).map(({ id }) => id).sort(), ids);
}
