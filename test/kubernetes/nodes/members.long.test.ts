// Members that get who they are from the controller, as a DaemonSet's pods do: real daemons with the
// configurations that `holdfast identity` writes, and the real list of members.
import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { createClient } from "@holdfast/api";
import { nodeFetch } from "@holdfast/api/node";
import { Lab, Member, metricOfAll, until, withLogs } from "@holdfast/testkit";
import { MembersWorld, openTestKubernetes } from "../members-world.ts";

const NODES = ["n1", "n2", "n3"] as const;
const addressOf = (node: string) => `198.18.2.1${node.slice(1)}`;

class Nodes {
  readonly lab = new Lab();
  readonly world: MembersWorld;
  readonly members = new Map<string, Member>();

  constructor(world: MembersWorld) {
    this.world = world;
    this.lab.network("net-a");
    for (const name of NODES) this.lab.host(name, { "net-a": [`${addressOf(name)}/24`] });
    world.base = JSON.stringify({
      cluster: { id: "lab", memberNumberCount: 8 },
      interfaces: [{ name: "net-a", role: ["path", "core"] }],
      timers: { scale: 0.05 },
      coordinator: { probeIntervalMs: 150 },
    });
    world.authorityFile = join(this.lab.directory, "ca.crt");
    world.secretFile = join(this.lab.directory, "cluster.secret");
    world.clientAt = (address) => this.at(address);
    world.addresses = NODES.map((name) => ({
      name,
      client: createClient({
        url: "http://localhost",
        name,
        timeoutMs: 3_000,
        fetch: nodeFetch({ socketPath: join(this.lab.directory, `${name}.sock`) }),
      }),
    }));
  }

  /** Whoever is at an address. */
  at(address: string) {
    const index = NODES.findIndex((name) => addressOf(name) === address);
    const found = this.world.addresses?.[index]?.client;
    assert.ok(found, address);
    return found;
  }

  /** What every pod has of the cluster's Secret. */
  async secrets(): Promise<void> {
    const secret = await this.world.secret("holdfast-cluster");
    writeFileSync(this.world.authorityFile, secret["ca.crt"] ?? "");
    writeFileSync(this.world.secretFile, secret["cluster.secret"] ?? "");
  }

  /** A pod of the DaemonSet: identity, then the member. `disk`: of the node. */
  async start(node: (typeof NODES)[number], disk: string = node): Promise<Member> {
    const { configuration } = await this.world.identify(node, addressOf(node), disk);
    const host = this.lab.hosts.get(node);
    assert.ok(host);
    const pinDirectory = `/sys/fs/bpf/${this.lab.id}-${disk}`;
    this.lab.onEnd(() => rmSync(pinDirectory, { recursive: true, force: true }));
    const storeDirectory = join(this.lab.directory, `${disk}.store`);
    const own = {
      ...configuration,
      dataPlane: { pinDirectory, flowCountMax: 65_536 },
      store: { directory: storeDirectory },
    };
    const places = { pinDirectory, storeDirectory };
    const member = new Member(this.lab, host, configuration.member.number, own, places);
    this.members.set(node, member);
    await member.start();
    return member;
  }

  async joined(node: string): Promise<void> {
    await until(
      `${node} to be a member`,
      async () => (await this.world.member(node))?.status?.phase === "Joined",
      60_000,
    );
  }

  list(of: string): Promise<{ items: { name: string; number: number }[]; resting: { number: number }[] }> {
    const member = this.members.get(of);
    assert.ok(member);
    return member.get("/v1/members");
  }
}

/** Half of the certificates' time is over: new ones are taken under links that stay. */
async function renewed(nodes: Nodes): Promise<void> {
  const { world, members } = nodes;
  const links = () => metricOfAll(members.values(), "holdfast_replication_peer_connected");
  await until("all links", async () => (await links()) === 6);
  const ends = () =>
    Promise.all([...members.values()].map((each) => each.metric("holdfast_certificate_end_seconds")));
  const before = await ends();
  world.wallMs = Date.now;
  for (const node of NODES) {
    await until("another one", () => world.events.includes(`${node} Renewed`), 60_000);
    // What runs beside the member puts it in its place.
    await world.identify(node, addressOf(node));
  }
  await until(
    "every member to go by its new one",
    async () => (await ends()).every((end, index) => end > (before[index] ?? 0) + 300 * 86_400),
    60_000,
  );
  assert.equal(await links(), 6);
  for (const member of members.values()) assert.doesNotMatch(member.log(), /are not taken/);
}

test("nodes become members by themselves, leave with their nodes, and come again as others", async () => {
  const world = new MembersWorld(await openTestKubernetes());
  const nodes = new Nodes(world);
  try {
    // Certificates of another year, so that their renewal is seen.
    world.wallMs = () => Date.now() - 401 * 86_400_000;
    await world.node("n1");
    await world.startController();
    await until("the authority", async () => (await world.member("n1"))?.status?.number === 0);
    await nodes.secrets();
    await nodes.start("n1");
    await nodes.joined("n1");
    for (const node of ["n2", "n3"] as const) {
      await world.node(node);
      await until(
        "where the others are",
        async () => ((await world.member(node))?.status?.join?.length ?? 0) > 0,
      );
      await nodes.start(node);
      await nodes.joined(node);
    }
    const names = async () => (await nodes.list("n1")).items.map(({ name }) => name).sort();
    assert.deepEqual(await names(), ["n1", "n2", "n3"]);

    await renewed(nodes);

    // A machine burns, and its node is deleted: the list heals, and what comes in its place is another
    // member.
    await nodes.members.get("n3")?.killNode();
    await world.removeNode("n3");
    await until("n3 to be off the list", async () => (await names()).join() === "n1,n2", 60_000);
    await until("its Member to be gone", async () => (await world.member("n3")) === undefined);
    nodes.lab.hosts.get("n3")?.plug();
    await world.node("n3");
    await until(
      "its successor's way",
      async () => ((await world.member("n3"))?.status?.join?.length ?? 0) > 0,
    );
    const next = await nodes.start("n3", "n3-anew");
    await nodes.joined("n3");
    assert.equal(next.number, 3, "the number of the first one rests");

    // The label goes: it hands over while it lives.
    await world.label("n2", null);
    await until("n2 to have left", async () => (await world.member("n2")) === undefined, 60_000);
    assert.equal((await names()).includes("n2"), false);
    assert.ok((await nodes.list("n1")).resting.some(({ number }) => number === 1));
  } catch (error) {
    throw withLogs(error, [...nodes.members.values()]);
  } finally {
    await world.close();
    await nodes.lab.close();
  }
});
