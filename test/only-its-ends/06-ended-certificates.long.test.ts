// All certificates have ended, and every daemon is killed and started again: associations go on, new ones get
// in, the log says what to do; and when it is done the members replicate again without a restart.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { issueMember } from "@holdfast/sync";
import { Cluster, type Member, metricOfAll, type Peer, until } from "@holdfast/testkit";

/** From the issue: long enough for three daemons to start and meet. */
const VALID_S = 75;
const LIMIT_MS = 240_000;

interface Health {
  readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
}

describe("a cluster whose certificates have all ended", () => {
  let cluster: Cluster;
  let client: Peer;
  let server: Peer;
  let directory: string;

  before(async () => {
    cluster = new Cluster({ members: 3, clients: [3, 2] });
    directory = join(cluster.lab.directory, "certificates");
    for (const { name } of cluster.members)
      await issueMember(directory, { memberName: name, validDays: VALID_S / 86_400 });
    await cluster.start();
    server = await cluster.startEndpoint();
    client = await cluster.startClient(0, { rate: 20, assocMaxRetrans: 60 });
    await client.established(1);
  });
  after(() => cluster?.close());

  const certificate = async (member: Member) =>
    (await member.get<Health>("/v1/health/ready")).checks.find(({ name }) => name === "certificate");
  const links = () => metricOfAll(cluster.members, "holdfast_replication_peer_connected");
  const flowing = async (peer: Peer) => {
    const echoes = async () => (await peer.associations())[0]?.echoes ?? 0;
    const before = await echoes();
    await until("messages to be answered", async () => (await echoes()) > before + 20);
  };

  test("members that have met stay together, are ready, and say that it is over", async () => {
    assert.equal(await links(), 6);
    for (const member of cluster.members) {
      await until(
        "its end",
        async () => /ended at/.test((await certificate(member))?.detail ?? ""),
        LIMIT_MS,
        500,
      );
      assert.equal((await certificate(member))?.ok, false);
      assert.match(member.log(), /"code":"CERTIFICATE_EXPIRED".*holdfast certificates issue NAME/);
      assert.ok((await member.metric("holdfast_certificate_end_seconds")) > 0);
    }
    assert.equal(await links(), 6);
    await flowing(client);
  });

  test("each is killed and starts again, owns VIPs, and the association goes on", async () => {
    for (const member of cluster.members) {
      await member.killDaemon();
      await member.start();
      await flowing(client);
    }
    assert.equal(await links(), 0);
    await until("VIPs to be spread again", async () => new Set((await cluster.settled()).values()).size > 1);
    await until("a refusal that says why", () =>
      cluster.members.some((member) => /refused a connection|was refused/.test(member.log())),
    );
    assert.match(
      cluster.members.map((member) => member.log()).join(),
      /its certificate has ended: 'holdfast/,
    );
  });

  test("a new association gets in", async () => {
    const newcomer = await cluster.startClient(1, { rate: 20, assocMaxRetrans: 60 });
    await newcomer.established(1, 60_000);
    await flowing(newcomer);
  });

  test("renewed, they replicate again without a restart, and nothing was lost", async () => {
    for (const { name } of cluster.members) await issueMember(directory, { memberName: name });
    await until("all links", async () => (await links()) === 6, LIMIT_MS, 200);
    for (const member of cluster.members) {
      assert.equal((await certificate(member))?.ok, true);
      await until("both sessions", async () => {
        const { items } = await member.get<{ items: { phase: string }[] }>("/v1/sessions");
        return items.filter(({ phase }) => phase === "established").length === 2;
      });
    }
    await flowing(client);
    const [figures] = await client.settle();
    assert.ok(figures?.up && figures.ups === 1 && figures.lost === 0 && figures.restarts === 0);
    const receipt = (await server.receipts()).find(({ client: id }) => id === 0);
    assert.equal(receipt?.received, figures.sent);
  });
});
