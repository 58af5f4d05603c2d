// Listed addresses: which are believed, which may only speak, and which VIPs follow from them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, CLIENT_ADDRESS_COUNT_MAX } from "@holdfast/model";
import { ServiceRegistry } from "../services/registry.ts";
import { ClientHost, EndpointHost, listedIn } from "../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  VIPS,
} from "../testing/rig.ts";
import { filterFor, filterListed, ROUTE_QUESTION_COUNT_MAX } from "./client-filter.ts";

const [VIP0, VIP1] = VIPS as [Address, Address];
const DOCKER: Address = "172.17.0.1";
const isRoutable = (address: Address) => address.startsWith("10.2.");

function filtered(listed: readonly Address[], options: { prefixes?: string[]; asked?: Address[] } = {}) {
  const registry = new ServiceRegistry();
  registry.set([serviceOf({ clientPrefixes: options.prefixes ?? [] })]);
  const [entry] = registry.entries;
  assert.ok(entry);
  return filterListed(
    listed.map((address) => addressBytes(address)),
    CLIENT,
    entry,
    {
      isOwn: (address) => registry.isVip(address),
      isRoutable(address) {
        options.asked?.push(address);
        return isRoutable(address);
      },
    },
  );
}

test("a private address is believed with a route of its own or a client prefix; without, it may only speak", () => {
  const listed: readonly Address[] = ["10.2.0.9", DOCKER, "192.168.122.1", "8.8.8.8", "100.64.3.4"];
  assert.deepEqual(filtered(listed), {
    // 100.64.0.0/10 is global for Linux, which lists it to everybody.
    listed: ["10.2.0.9", "8.8.8.8", "100.64.3.4"],
    unrouted: [DOCKER, "192.168.122.1"],
  });
  assert.deepEqual(filtered(listed, { prefixes: ["192.168.0.0/16"] }).unrouted, [DOCKER]);
});

test("the first sixteen usable addresses are kept, of however many, and the kernel is asked so often at most", () => {
  const many = Array.from({ length: 1_000 }, (_, i): Address => `10.${3 + (i >> 8)}.${i & 0xff}.1`);
  const usable = Array.from({ length: 40 }, (_, i): Address => `198.18.0.${i + 1}`);
  const asked: Address[] = [];
  const first = filtered([...many, ...usable], { asked });
  assert.equal(asked.length, ROUTE_QUESTION_COUNT_MAX);
  assert.deepEqual(first, { listed: usable.slice(0, CLIENT_ADDRESS_COUNT_MAX - 1), unrouted: [] });
  const { unrouted } = filtered(many);
  assert.deepEqual(unrouted, many.slice(0, CLIENT_ADDRESS_COUNT_MAX - 1));
});

test("an address without a route is paired with nothing, and gets nothing; when it speaks it is the client's", async () => {
  const rig = new Rig({ isRoutable });
  const { client, endpoint, record, natPort } = await rig.establish({ listed: [CLIENT, DOCKER] });
  assert.deepEqual(record.commit?.generation?.pairing, [CLIENT, CLIENT]);
  for (let i = 0; i < 3; i++) {
    const probe = await rig.one(endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }));
    assert.equal(probe.destination, CLIENT);
    rig.clock.advance(30_000);
  }
  await rig.one(client.heartbeat({ source: DOCKER, destination: VIP1 }));
  assert.equal(
    (await rig.one(endpoint.heartbeatAck({ source: ENDPOINT, destination: VIP1 }))).destination,
    DOCKER,
  );
  assert.equal(rig.table.get(record.id)?.clients.get(DOCKER), true);
  // A restart that names it is this association's.
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x77);
  const restart = await rig.one(again.init({ source: DOCKER, destination: VIP1 }, [CLIENT, DOCKER]));
  assert.equal(restart.packet.sourcePort, natPort);
  assert.deepEqual(rig.drops(), {});
});

test("a client is told of no VIP in a family in which it has no address, whatever the endpoint has", async () => {
  const vip6 = "2001:db8:ffff::1";
  const other6 = "2001:db8:fffe::1";
  const client6 = "2001:db8:1::10";
  const endpoint6 = "2001:db8:2::20";
  const endpoints = [{ address: endpoint6, port: ENDPOINT_PORT, weight: 1, state: "active" }] as const;
  const vips: readonly Address[] = [VIP0, vip6, VIP1, other6];
  const rig = new Rig({ isRoutable, services: [serviceOf({ vips, endpoints })] });
  const route = { source: client6, destination: vip6 } as const;
  // An AF_INET6 socket of a host whose only IPv4 address is Docker's bridge.
  for (const listed of [[], [client6], [client6, DOCKER]] as const) {
    const client = new ClientHost(CLIENT_PORT + listed.length, SERVICE_PORT, 0x100 + listed.length);
    const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 2);
    const initAck = async () => {
      const init = await rig.one(client.init(route, listed));
      assert.deepEqual(listedIn(init), [vip6, other6]);
      return rig.one(endpoint.initAck(init, { source: endpoint6, listed: [ENDPOINT, endpoint6] }));
    };
    // The endpoint has both, and says so; a repeated INIT changes nothing.
    assert.deepEqual(listedIn(await initAck()), [vip6, other6]);
    assert.deepEqual(listedIn(await initAck()), [vip6, other6]);
  }
});

test("this host's own processes are clients by its loop, and forged everywhere else", () => {
  const [own, others]: Address[] = ["198.18.2.11", "198.18.2.12"];
  assert.ok(own && others);
  const options = {
    isOwn: (address: Address) => [own, others, VIP0].includes(address),
    ownHost: { isLoop: (index: number) => index === 7, has: (address: Address) => address === own },
  };
  assert.equal(filterFor(options, own, 7).isOwn(own), false);
  assert.equal(filterFor(options, own, 7).isOwn(others), true, "another member's");
  assert.equal(filterFor(options, own, 7).isOwn(VIP0), true);
  assert.equal(filterFor(options, own, 3).isOwn(own), true, "by a network it is forged");
  assert.equal(filterFor(options, others, 7).isOwn(others), true);
  assert.equal(filterFor({ isOwn: options.isOwn }, own, 7).isOwn(own), true, "without a loop");
});
