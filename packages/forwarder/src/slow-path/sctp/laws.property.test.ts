// Whatever clients, endpoints, losses and members do: no two living sessions share an endpoint's NAT port, no
// byte of a client's address reaches an endpoint, none of an endpoint's a client, and no ABORT is ours.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, currentCandidate, isLiving } from "@holdfast/model";
import { encodeAbort, encodeShutdown, encodeShutdownAck, encodeShutdownComplete } from "@holdfast/sctp";
import fc from "fast-check";
import { Cluster } from "../../testing/cluster.ts";
import { ClientHost, EndpointHost, type Seen, see } from "../../testing/hosts.ts";
import { ENDPOINT_PORT, type Rig, SERVICE_PORT, serviceOf, settled, VIPS } from "../../testing/rig.ts";

const ENDPOINTS: readonly Address[] = ["192.0.2.201", "192.0.2.202"];
const CLIENT_COUNT = 6;
/** Few ports, so that clients collide. */
const PORTS = [36_000, 36_008];
/** A byte pattern that no header, tag or cookie of these hosts contains by chance. */
const clientAddress = (client: number, index: number): Address => `100.${90 + index}.217.${131 + client}`;

const step = fc.record({
  client: fc.nat(CLIENT_COUNT - 1),
  member: fc.nat(1),
  address: fc.nat(1),
  vip: fc.nat(1),
  kind: fc.constantFrom(
    "connect",
    "connect",
    "connect",
    "data",
    "data",
    "abort",
    "shutdown",
    "vanish",
    "partition",
    "heal",
    "wait",
    "flood",
  ),
  /** Which packets of what follows are lost. */
  loss: fc.nat(0xff),
});

interface Association {
  readonly client: ClientHost;
  readonly endpoint: EndpointHost;
  readonly endpointAddress: Address;
}

function assertNoLeak(seen: Seen): void {
  const toEndpoint = ENDPOINTS.includes(seen.destination);
  const hidden = toEndpoint
    ? Array.from({ length: CLIENT_COUNT }, (_, c) => [clientAddress(c, 0), clientAddress(c, 1)]).flat()
    : ENDPOINTS;
  const bytes = Buffer.from(seen.bytes);
  for (const address of hidden) {
    assert.equal(bytes.indexOf(addressBytes(address)), -1, `${address} in a packet to ${seen.destination}`);
  }
  assert.ok(VIPS.includes(seen.source));
}

function assertUniquePorts(rig: Rig): void {
  const holders = new Map<string, string>();
  for (const record of rig.table.values()) {
    const candidate = currentCandidate(record);
    if (candidate === undefined || !isLiving(record)) continue;
    const key = `${candidate.endpoint}|${candidate.natPort}`;
    assert.equal(holders.get(key), undefined, `two living sessions on ${key}`);
    holders.set(key, record.id);
  }
}

test("no shared NAT port, no leaked address, no ABORT of ours, under any schedule", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const cluster = new Cluster(2, {
        services: [
          serviceOf({
            endpoints: ENDPOINTS.map((address) => ({
              address,
              port: ENDPOINT_PORT,
              weight: 1,
              state: "active",
            })),
            restartNewAddresses: "accept",
          }),
        ],
      });
      const associations = new Map<number, Association>();
      let tag = 0x0101_0000;
      /** undefined: lost, dropped or refused. */
      const deliver = async (rig: Rig, packet: Uint8Array, lost: boolean): Promise<Seen | undefined> => {
        rig.fastPath.inject(packet);
        await settled();
        const seen = rig.fastPath.takeOutgoing().map((out) => see(out.packet));
        for (const one of seen) assertNoLeak(one);
        return lost ? undefined : seen[0];
      };
      for (const { client: index, member, address, vip, kind, loss } of steps) {
        const rig = cluster.rig(member);
        const source = clientAddress(index, address);
        const route = { source, destination: VIPS[vip] as Address };
        const known = associations.get(index);
        switch (kind) {
          case "connect": {
            const client = new ClientHost(PORTS[index % PORTS.length] as number, SERVICE_PORT, ++tag);
            const init = await deliver(
              rig,
              client.init(route, [clientAddress(index, 0), clientAddress(index, 1)]),
              (loss & 1) !== 0,
            );
            if (init === undefined || !ENDPOINTS.includes(init.destination)) break;
            const endpoint = new EndpointHost(ENDPOINT_PORT, 0, ++tag);
            const ack = await deliver(
              rig,
              endpoint.initAck(init, { listed: [init.destination] }),
              (loss & 2) !== 0,
            );
            if (ack === undefined) break;
            client.acceptInitAck(ack);
            if ((await deliver(rig, client.cookieEcho(route), (loss & 4) !== 0)) === undefined) break;
            // The endpoint has it now, whether or not its COOKIE-ACK arrives.
            associations.set(index, { client, endpoint, endpointAddress: init.destination });
            await deliver(
              rig,
              endpoint.cookieAck({ source: init.destination, destination: init.source }),
              (loss & 8) !== 0,
            );
            break;
          }
          case "data":
            if (known === undefined) break;
            await deliver(rig, known.client.data(route), false);
            await deliver(
              rig,
              known.endpoint.data({ source: known.endpointAddress, destination: route.destination }),
              false,
            );
            break;
          case "abort":
            if (known === undefined) break;
            await deliver(rig, known.client.packet(route, [encodeAbort()]), false);
            associations.delete(index);
            break;
          case "shutdown": {
            if (known === undefined) break;
            const back = { source: known.endpointAddress, destination: route.destination };
            await deliver(rig, known.client.packet(route, [encodeShutdown(1)]), false);
            await deliver(rig, known.endpoint.packet(back, [encodeShutdownAck()]), false);
            await deliver(rig, known.client.packet(route, [encodeShutdownComplete()]), false);
            associations.delete(index);
            break;
          }
          case "vanish":
            associations.delete(index);
            break;
          case "partition":
            cluster.connected = false;
            break;
          case "heal":
            cluster.connected = true;
            cluster.deliver();
            break;
          case "wait":
            cluster.clock.advance(loss * 1_000);
            break;
          case "flood":
            for (let i = 0; i < 20; i++) {
              const spoofed = new ClientHost(36_000, SERVICE_PORT, ++tag);
              const init = await deliver(rig, spoofed.init(route), false);
              if (init !== undefined && ENDPOINTS.includes(init.destination)) {
                await deliver(rig, new EndpointHost(ENDPOINT_PORT, 0, ++tag).initAck(init), false);
              }
            }
        }
        for (const one of cluster.rigs) assertUniquePorts(one);
      }
      cluster.connected = true;
      cluster.deliver();
      for (const one of cluster.rigs) {
        assertUniquePorts(one);
        // Never an ABORT, but the refusal of an INIT that touches two associations, and after a verified end.
        const refusals = one.drops()["init-two-associations"] ?? 0;
        const dead = one.drops()["session-ended"] ?? 0;
        assert.ok(one.event("aborts-sent") <= refusals + dead);
      }
    }),
    { numRuns: 150 },
  );
});
