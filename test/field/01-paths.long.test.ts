// A client that lists addresses which lead nowhere: another network's, whose router says so by ICMP, and
// Docker's bridge.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK } from "@holdfast/sctp";
import { Cluster, FIELD_PROFILE, hasChunk, startCapture, until } from "@holdfast/testkit";

/** Global, so that it is believed; nobody has it beyond the client. */
const NOWHERE = "192.0.2.77";
const DOCKER = "172.17.0.1";
/** The stacks' minutes take a second. */
const CLOCK = 60;

interface Detail {
  readonly id: string;
  readonly clientAddresses: readonly { readonly address: string; readonly verified: boolean }[];
  readonly paths: readonly {
    readonly vip: string;
    readonly pairedClient?: string;
    readonly pairedGaveWay?: boolean;
  }[];
}

test("the endpoint's second HEARTBEAT confirms every path, with stock timers; what is said about strangers stops", async () => {
  const cluster = new Cluster({ profile: FIELD_PROFILE, clients: [1] });
  try {
    const [client, member, endpoint] = [cluster.clients[0], cluster.members[0], cluster.endpoints[0]];
    assert.ok(client && member && endpoint);
    client.ip("link add docker0 type veth peer name docker1");
    client.ip("link set docker1 up");
    client.ip(`addr add ${NOWHERE}/32 dev docker0`);
    client.ip(`addr add ${DOCKER}/16 dev docker0`);
    client.ip("link set docker0 up");
    // The way to everybody else: the router knows that there is none to NOWHERE.
    member.host.ip(`route add default via ${FIELD_PROFILE.router?.member(0).ipv4} dev path-a`);
    await cluster.start();
    const capture = await startCapture(cluster.lab, endpoint, "core", "sctp");
    const server = await cluster.startEndpoint(0, { clock: CLOCK });
    const peer = await cluster.startClient(0, {
      local: [...cluster.clientAddresses(0), NOWHERE, DOCKER],
      clock: CLOCK,
      rate: 1,
    });
    await peer.established(1);

    const { items } = await member.get<{ items: { id: string }[] }>("/v1/sessions");
    const detail = await member.get<Detail>(`/v1/sessions/${items[0]?.id}`);
    const paired = detail.paths.filter(({ pairedClient }) => pairedClient === NOWHERE);
    assert.equal(paired.length, 1, "one VIP is paired with the address that leads nowhere");
    assert.ok(detail.paths.every(({ pairedClient }) => pairedClient !== DOCKER));
    const lost = paired[0]?.vip as string;

    await until("every path of the endpoint to be confirmed", async () => {
      const [paths] = (await server.paths()).values();
      return paths?.length === cluster.vips.length && paths.every(({ state }) => state === "active");
    });
    const first = capture.packets().findIndex((p) => p.source === lost && hasChunk(p, CHUNK.HEARTBEAT_ACK));
    const probes = capture
      .packets()
      .slice(0, first)
      .filter((p) => p.destination === lost && hasChunk(p, CHUNK.HEARTBEAT));
    assert.equal(probes.length, 2, "HEARTBEATs until the path was confirmed");

    // The router's word about NOWHERE reached nobody, and the association lives on it.
    await until("the router's ICMP", async () => (await member.drops("icmp-unproven")) > 0);
    assert.equal(peer.count("lost") + server.count("lost"), 0);
    const { clientAddresses, paths } = await member.get<Detail>(`/v1/sessions/${detail.id}`);
    const verified = (address: string) => clientAddresses.find((c) => c.address === address)?.verified;
    assert.deepEqual([verified(NOWHERE), verified(DOCKER)], [false, false]);
    assert.deepEqual(
      paths.filter(({ pairedGaveWay }) => pairedGaveWay === true).map(({ vip }) => vip),
      [lost],
    );
  } finally {
    await cluster.close();
  }
});
