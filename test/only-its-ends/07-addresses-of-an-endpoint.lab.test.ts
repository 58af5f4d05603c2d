// What an INIT-ACK tells belongs to its session: a stranger's makes nobody's address an endpoint's. And a
// server with two addresses, both configured, is up while one of them answers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes } from "@holdfast/model";
import {
  CHUNK,
  encodeAddress,
  encodeInitAck,
  encodeIp,
  encodePacket,
  encodeParameter,
  PARAMETER,
} from "@holdfast/sctp";
import {
  Cluster,
  ENDPOINT_PORT,
  type Host,
  type Member,
  RawHost,
  ScriptedClient,
  SERVICE_PORT,
  until,
} from "@holdfast/testkit";
import { played, unharmed } from "../networks/played.ts";

interface EndpointRow {
  readonly address: Address;
  readonly health: string;
  readonly addressHealth?: readonly { readonly address: Address; readonly health: string }[];
}

/** A port of the first member's: the NAT port is the client's own, which the stranger therefore knows. */
const PORT = 40_000;
const PROBE_COUNT = 8;

test("a forged INIT-ACK teaches nobody an address; a server with two is up while one answers", async () => {
  const cluster = new Cluster({
    clients: [1, 1, 1],
    endpointAddresses: 2,
    configuration: { health: { intervalMs: 200, timeoutMs: 150, downCount: 2, upCount: 1 } },
  });
  await played(cluster, async () => {
    await cluster.start();
    const [server, strangersHost] = [cluster.endpoints[0], cluster.clients[1]] as [Host, Host];
    const [first = "", second = ""] = server.addresses("core");
    const vip = cluster.vips[0] as Address;
    const member = cluster.members[0] as Member;
    await cluster.startEndpoint();
    const client = await cluster.startClient(0, { rate: 20, size: 100 });
    await client.established(1);
    const row = async () => {
      const { items } = await member.get<{ items: { endpoints: EndpointRow[] }[] }>("/v1/services");
      return items[0]?.endpoints[0];
    };
    const healths = async () =>
      Object.fromEntries(((await row())?.addressHealth ?? []).map((each) => [each.address, each.health]));
    await until("both addresses to be probed", async () => (await healths())[second] === "up");

    const raw = new RawHost(strangersHost);
    const [own] = cluster.clientAddresses(1) as [Address];
    const stranger = new ScriptedClient(raw, {
      port: PORT,
      servicePort: SERVICE_PORT,
      addresses: [own],
      vips: [vip],
    });
    const forged = () =>
      encodeIp({
        source: addressBytes(own),
        destination: addressBytes(vip),
        payload: encodePacket({
          sourcePort: ENDPOINT_PORT,
          destinationPort: PORT,
          verificationTag: stranger.tag,
          chunks: [
            encodeInitAck({
              initiateTag: 7,
              parameters: [
                encodeParameter(PARAMETER.STATE_COOKIE, new Uint8Array(8)),
                encodeAddress(addressBytes(own)),
              ],
            }),
          ],
        }),
      });
    const events = async () => {
      const { body } = await member.fetch("GET", "/v1/metrics");
      return Number(/event="init-acks"\} (\d+)/.exec(body)?.[1] ?? 0);
    };
    const [membersOwn = ""] = member.host.addresses("core");
    server.run(
      "nft",
      ["-f", "-"],
      `table ip probes {
 chain input {
  type filter hook input priority -310
  ip saddr ${membersOwn} ip protocol 132 @th,96,8 1 counter
 }
}
`,
    );
    const probes = () =>
      Number(/packets (\d+)/.exec(server.run("nft", ["list", "table", "ip", "probes"]))?.[1] ?? 0);
    const before = await events();
    stranger.sendInit();
    raw.send(forged());
    await until(
      "the forged INIT-ACK and the server's to be looked at",
      async () => (await events()) >= before + 2,
    );
    const probesSoFar = probes();
    await until("more probes of the server", () => probes() >= probesSoFar + PROBE_COUNT);
    raw.receive();
    const probed = raw.heard.filter(
      (packet) => !packet.outgoing && packet.sctp?.chunks[0]?.type === CHUNK.INIT,
    );
    assert.deepEqual(
      probed.map(({ source }) => source),
      [],
      "nobody probes the stranger",
    );
    assert.deepEqual(Object.keys(await healths()).sort(), [first, second].sort());

    // Its first address goes silent, in and out: newcomers begin at the other, and nobody is told that it is
    // dead.
    server.run(
      "nft",
      ["-f", "-"],
      `table inet dead {
 chain input { type filter hook input priority -300; ip daddr ${first} drop; }
 chain output { type filter hook output priority -300; ip saddr ${first} drop; }
}
`,
    );
    await until("the first address to be down", async () => (await healths())[first] === "down");
    const newcomer = await cluster.startClient(2, { rate: 20, size: 100, port: 50_000, id: 50 });
    await newcomer.established(1);
    await unharmed(newcomer, 20);
    const echoes = Math.max(...(await client.associations()).map((figure) => figure.echoes));
    await unharmed(client, echoes + 20);
    assert.equal((await row())?.health, "up");
    raw.close();
  });
});
