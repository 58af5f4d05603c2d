// The configuration that members share, on the real daemons: made at any member, there after all of them were
// down.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, type Member, SERVICE_PORT, until, withLogs } from "@holdfast/testkit";

interface ServiceView {
  readonly id: string;
  readonly name: string;
  readonly endpoints: readonly { readonly address: string; readonly state: string }[];
}

const SECOND_VIP = "192.0.2.77";

test("three members without services in their files: made, drained, deleted at any of them, kept over a restart of all", async () => {
  const cluster = new Cluster({ members: 3, endpoints: 2, withService: false });
  try {
    // No VIP has an owner yet: nothing to settle.
    await Promise.all(cluster.members.map((member) => member.start()));
    await play(cluster);
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

async function play(cluster: Cluster): Promise<void> {
  const [first, second, third] = cluster.members as [Member, Member, Member];
  const list = async (member: Member) => (await member.get<{ items: ServiceView[] }>("/v1/services")).items;
  const everywhere = (what: string, holds: (services: readonly ServiceView[]) => boolean) =>
    until(what, async () => (await Promise.all(cluster.members.map(list))).every(holds), 30_000);
  const done = async (member: Member, method: string, path: string, body?: object) => {
    const answer = await member.fetch(method, path, body);
    assert.ok(answer.status >= 200 && answer.status < 300, `${method} ${path}: ${answer.body}`);
  };
  const isDrained = ({ endpoints }: ServiceView) =>
    endpoints
      .map(({ state }) => state)
      .sort()
      .join() === "active,drain";
  const path = (vip: string) => `/v1/services/${encodeURIComponent(`sctp/${vip}:${SERVICE_PORT}`)}`;
  const primary = cluster.vips[0] as Address;
  const endpoint = cluster.endpoints[1]?.addresses("core")[0] as Address;

  await done(first, "POST", "/v1/services", cluster.serviceSpec());
  await done(second, "POST", "/v1/services", {
    name: "second",
    vips: [SECOND_VIP],
    port: SERVICE_PORT,
    endpoints: [{ address: endpoint, port: SERVICE_PORT }],
  });
  await everywhere("both services everywhere", (services) => services.length === 2);
  // Each VIP has one owner, whom everybody names: the shared service is served, not only listed.
  await cluster.settled();

  await done(
    third,
    "POST",
    `${path(primary)}/endpoints/${encodeURIComponent(`${endpoint}:${SERVICE_PORT}`)}/drain`,
  );
  await everywhere("the drain everywhere", (services) => services.some(isDrained));

  // One member is away while another deletes, and then, as after a power cut, only the stores are left: the
  // one that knows nothing of the deletion brings nothing back.
  await third.killNode();
  await done(first, "DELETE", path(SECOND_VIP));
  await until("the deletion at the second member", async () => (await list(second)).length === 1);
  await Promise.all([first, second].map((member) => member.killNode()));
  for (const member of cluster.members) restore(member);
  await Promise.all(cluster.members.map((member) => member.start()));
  await everywhere(
    "the service, its drain and the deletion after the restart",
    (services) => services.length === 1 && services.some(isDrained),
  );
  await cluster.settled();

  await done(second, "DELETE", path(primary));
  await everywhere("no services", (services) => services.length === 0);
  for (const member of cluster.members) assert.ok(!member.crashed, `${member.name} ended by itself`);
}

function restore(member: Member): void {
  rmSync(member.pinDirectory, { recursive: true, force: true });
  member.host.plug();
}
