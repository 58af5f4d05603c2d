import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import {
  Cluster,
  ENDPOINT_PORT,
  type Host,
  type Member,
  type Peer,
  startClient,
  until,
  withLogs,
} from "@holdfast/testkit";
import type { SessionItem } from "./scene.ts";

const STATION_COUNT = 6;
const FIRST_CLIENT_PORT = 36_412;

interface Mode {
  readonly selection: string;
  readonly port: number;
  readonly weights: readonly number[];
}

const MODES: Readonly<Record<string, Mode>> = {
  least: { selection: "leastAssociations", port: 5_001, weights: [1, 1, 2] },
  roundRobin: { selection: "roundRobin", port: 5_002, weights: [1, 1, 1] },
  weighted: { selection: "weighted", port: 5_003, weights: [1, 2, 3] },
  hash: { selection: "hash", port: 5_004, weights: [1, 1, 1] },
  persist: { selection: "persist", port: 5_005, weights: [1, 1, 1] },
};

test("selection with real associations: least, round robin, weights, hash, persist by the set of addresses", async (t) => {
  const cluster = new Cluster({
    endpoints: 3,
    clients: [1, 2],
    withService: false,
    configuration: { health: { intervalMs: 250, timeoutMs: 200, downCount: 2, upCount: 1 } },
  });
  try {
    await cluster.start();
    const [member] = cluster.members;
    assert.ok(member);
    for (const mode of Object.values(MODES)) await createService(cluster, member, mode);
    for (const index of cluster.endpoints.keys()) await cluster.startEndpoint(index);
    await cluster.endpointsUp();
    const open = async (mode: Mode, associations: number, client = 0): Promise<number[]> => {
      // Other processes' raw sockets hear every packet of the host: silence about what is not theirs.
      const peer = await cluster.startClient(client, {
        associations,
        remotePort: mode.port,
        rate: 1,
        blackhole: true,
      });
      await peer.established(associations);
      const shares = await sharesOf(cluster, member, mode, associations);
      await peer.kill();
      return shares;
    };
    await t.test("least associations, by weight", async () => {
      assert.deepEqual(await open(MODES["least"] as Mode, 40), [10, 10, 20]);
    });
    await t.test("round robin", async () => {
      assert.deepEqual(await open(MODES["roundRobin"] as Mode, 30), [10, 10, 10]);
    });
    await t.test("weights", async () => {
      assert.deepEqual(await open(MODES["weighted"] as Mode, 30), [5, 10, 15]);
    });
    await t.test("hash: all associations of a host go one way, whatever their ports", async () => {
      const shares = await open(MODES["hash"] as Mode, 12);
      assert.deepEqual(
        [...shares].sort((a, b) => a - b),
        [0, 0, 12],
      );
    });
    await t.test(
      "persist: two associations of one base station reach one AMF, whichever addresses they list",
      () => persist(cluster, member, MODES["persist"] as Mode),
    );
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

async function createService(cluster: Cluster, member: Member, mode: Mode): Promise<void> {
  const made = await member.fetch("POST", "/v1/services", {
    name: mode.selection,
    vips: cluster.vips,
    port: mode.port,
    selection: mode.selection,
    endpoints: cluster.endpoints.map((host, index) => ({
      address: host.addresses("core")[0],
      port: ENDPOINT_PORT,
      weight: mode.weights[index],
    })),
  });
  assert.equal(made.status, 201, made.body);
}

async function sessionsOf(cluster: Cluster, member: Member, mode: Mode): Promise<SessionItem[]> {
  const service = encodeURIComponent(`sctp/${cluster.vips[0]}:${mode.port}`);
  const { items } = await member.get<{ items: SessionItem[] }>(`/v1/sessions?limit=1000&service=${service}`);
  return items.filter(({ phase }) => phase === "established");
}

/** Established sessions of the service by endpoint, once there are so many. */
async function sharesOf(cluster: Cluster, member: Member, mode: Mode, count: number): Promise<number[]> {
  const sessions = await until(`${count} sessions`, async () => {
    const all = await sessionsOf(cluster, member, mode);
    return all.length === count && all;
  });
  return cluster.endpoints.map(
    (host) => sessions.filter((s) => s.endpoint === `${host.addresses("core")[0]}:${ENDPOINT_PORT}`).length,
  );
}

/** Base stations with two addresses each: one association from both, then one from the second alone. */
async function persist(cluster: Cluster, member: Member, mode: Mode): Promise<void> {
  const host = cluster.clients[1] as Host;
  const stations = Array.from({ length: STATION_COUNT }, (_, i) => {
    const addresses = [`198.18.1.${100 + i}`, `198.18.65.${100 + i}`] as const;
    for (const [k, address] of addresses.entries()) host.ip(`addr add ${address}/18 dev path-${"ab"[k]}`);
    return { addresses, port: FIRST_CLIENT_PORT + i };
  });
  const connect = async (local: readonly Address[], port: number): Promise<Peer> => {
    const peer = await startClient(host, {
      local,
      port,
      remote: cluster.vips[0] as Address,
      remotePort: mode.port,
      rate: 1,
      blackhole: true,
    });
    await peer.established(1);
    return peer;
  };
  for (const { addresses, port } of stations) {
    await connect(addresses, port);
    await connect([addresses[1]], port + STATION_COUNT);
  }
  const sessions = await until("two sessions of every station", async () => {
    const all = await sessionsOf(cluster, member, mode);
    return all.length === 2 * STATION_COUNT && all;
  });
  const homes = stations.map(({ port }) =>
    [port, port + STATION_COUNT].map((p) => sessions.find((s) => s.clientPort === p)?.endpoint),
  );
  for (const [first, second] of homes) assert.equal(second, first, JSON.stringify(homes));
  assert.ok(new Set(homes.map(([first]) => first)).size > 1, "stations are spread over the endpoints");
}
