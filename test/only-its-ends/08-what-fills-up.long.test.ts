// A stranger sends as fast as he can, one kind after the other. Behind it all an association over two paths
// with an MTU of 1,400 loses no message, and a newcomer, whose large packets have to learn that MTU, is in
// within three INITs.
import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Address } from "@holdfast/model";
import {
  Cluster,
  ENDPOINT_PORT,
  type Host,
  type Member,
  type Peer,
  SERVICE_PORT,
  until,
} from "@holdfast/testkit";
import { played } from "../networks/played.ts";
import type { Order } from "./flood/flood-process.ts";
import { KINDS, type Kind } from "./flood/frames.ts";

const MTU = 1_400;
const ETHERNET_MTU = 1_500;
/** Of IPv4 and SCTP. */
const HEADERS = 32;
const MESSAGE_SIZE = 4_000;
/** Two INITs after the first. */
const INIT_RETRANS_MAX = 2;
const REPLICATION_PORT = 7081;
const PROBE_PORT = 7082;
/** A flood is bounded, whatever becomes of the test. */
const FLOOD_COUNT_MAX = 20_000_000;
const FLOOD_MS_MAX = 120_000;
/** That makes it one, on slow machines too; of connections fewer. */
const SENT_LEAST: Readonly<Record<Kind, number>> = {
  fragments: 20_000,
  icmp: 20_000,
  initAck: 20_000,
  init: 20_000,
  tls: 300,
  probes: 20_000,
};
/**
 * A generator that takes the product's processor proves nothing about the product: then it is given pauses.
 */
const PAUSES_MS = [0, 10, 100];
/** Waiting for a processor for more of its time than this is being starved. */
const STARVED_SHARE = 0.5;

class Flood {
  readonly #child: ChildProcess;
  #text = "";

  constructor(host: Host, order: Order) {
    const program = fileURLToPath(new URL("./flood/flood-process.ts", import.meta.url));
    this.#child = host.spawn(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", program, JSON.stringify(order)],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    this.#child.stdout?.on("data", (part: Buffer) => {
      this.#text += part;
    });
  }

  /** It has sent enough to be one. */
  async begun(): Promise<void> {
    await until("the generator", () => this.#text.includes("flooding\n"), 60_000);
  }

  /** Ends it; how much it sent. */
  async end(): Promise<{ readonly sent: number; readonly durationMs: number }> {
    const ended = new Promise((resolve) => this.#child.once("close", resolve));
    if (this.#child.exitCode === null) this.#child.kill("SIGTERM");
    await ended;
    return JSON.parse(this.#text.split("\n").at(-2) ?? "") as { sent: number; durationMs: number };
  }
}

/** Nanoseconds that the daemon's threads ran, and waited for a processor. */
function processorOf(member: Member): { readonly ran: number; readonly waited: number } {
  const threads = member.host
    .run("sh", ["-c", `cat /proc/${member.pid}/task/*/schedstat`])
    .trim()
    .split("\n");
  const sums = threads.map((line) => line.split(" ").map(Number));
  return {
    ran: sums.reduce((sum, [ran = 0]) => sum + ran, 0),
    waited: sums.reduce((sum, [, waited = 0]) => sum + waited, 0),
  };
}

/** INIT-ACKs of the newcomer's, messages of a size that has to learn the MTU, and what it learned. */
async function newcomer(cluster: Cluster, index: number, port: number): Promise<void> {
  const peer = await cluster.startClient(index, {
    port,
    id: port,
    rate: 10,
    size: MESSAGE_SIZE,
    pathMtu: ETHERNET_MTU - HEADERS,
    initMaxRetrans: INIT_RETRANS_MAX,
  });
  try {
    await peer.established(1, 60_000);
    await until("five of its messages and what ICMP told it", async () => {
      const [figures] = await peer.associations();
      assert.equal((figures?.lost ?? 0) + (figures?.cannotStart ?? 0), 0, JSON.stringify(figures));
      return (
        (figures?.echoes ?? 0) >= 5 && peer.events.some((e) => e.event === "pathMtu" && e["mtu"] === MTU)
      );
    });
  } finally {
    await peer.kill();
  }
}

test("floods of every kind: nothing is lost over a path of 1,400 bytes, and newcomers get in", async (t) => {
  // Half a second of a member's silence is no death here: the generator shares the processors with all of
  // them.
  const configuration = { coordinator: { probeIntervalMs: 200 } };
  const cluster = new Cluster({ members: 3, clients: [2, 1], configuration });
  await played(cluster, async () => {
    const stranger = cluster.lab.host("stranger", {
      "path-a": ["198.18.2.77/18"],
      cluster: ["10.8.0.99/24"],
    });
    for (const host of [...cluster.members.map((member) => member.host), ...cluster.endpoints])
      host.run("ip", ["link", "set", "dev", "core", "mtu", String(MTU)]);
    await cluster.start();
    const server = await cluster.startEndpoint(0, { echo: true, pathMtu: MTU - HEADERS });
    const client = await cluster.startClient(0, {
      rate: 20,
      size: MESSAGE_SIZE,
      pathMtu: ETHERNET_MTU - HEADERS,
    });
    await client.established(1);
    let port = 40_000;
    for (const kind of KINDS) {
      for (const [attempt, pauseMs] of PAUSES_MS.entries()) {
        const isLast = attempt === PAUSES_MS.length - 1;
        const starved = await under(t, cluster, { stranger, client, kind, pauseMs, port: port++ }, isLast);
        if (!starved) break;
        t.diagnostic(`${kind}: the generator took the members' processor; once more with pauses`);
      }
    }
    const [figures] = await client.associations();
    assert.ok(figures?.up && figures.ups === 1, JSON.stringify(figures));
    assert.equal(figures.lost + figures.restarts, 0, JSON.stringify(figures));
    await client.settle();
    const receipt = (await server.receipts()).find(({ client: id }) => id === figures.id);
    assert.equal(receipt?.missing, 0, JSON.stringify(receipt));
    for (const member of cluster.members) {
      assert.ok(!member.crashed && member.running, `${member.name} ended`);
      assert.equal(await member.metric('holdfast_fast_path_events_total{event="nexthop-table-full"}'), 0);
    }
  });
});

interface Round {
  readonly stranger: Host;
  readonly client: Peer;
  readonly kind: Kind;
  readonly pauseMs: number;
  readonly port: number;
}

/** true: it failed, and the daemons had too little processor to say why. */
async function under(
  t: { diagnostic(message: string): void },
  cluster: Cluster,
  { stranger, client, kind, pauseMs, port }: Round,
  isLast: boolean,
): Promise<boolean> {
  const [vip] = cluster.vips as readonly [Address];
  const owner = await ownerOf(cluster, vip);
  const order: Order = {
    kind,
    target: {
      vip,
      servicePort: SERVICE_PORT,
      endpointPort: ENDPOINT_PORT,
      client: cluster.clientAddresses(0)[0] as Address,
      clientPort: (await client.associations())[0]?.port ?? 0,
      endpoint: cluster.endpoints[0]?.addresses("core")[0] as Address,
    },
    interfaceName: "path-a",
    ownMac: stranger.mac("path-a"),
    mac: owner.host.mac("path-a"),
    member: owner.host.addresses("cluster")[0] as Address,
    replicationPort: REPLICATION_PORT,
    probePort: PROBE_PORT,
    pauseMs,
    countLeast: SENT_LEAST[kind],
    countMax: FLOOD_COUNT_MAX,
    durationMsMax: FLOOD_MS_MAX,
  };
  const before = processorOf(owner);
  const echoesBefore = (await client.associations())[0]?.echoes ?? 0;
  const flood = new Flood(stranger, order);
  let failure: unknown;
  try {
    await flood.begun();
    await newcomer(cluster, 1, port);
    await until("the association to go on", async () => {
      const [figures] = await client.associations();
      return (figures?.echoes ?? 0) >= echoesBefore + 40;
    });
  } catch (error) {
    failure = error;
  }
  const { sent, durationMs } = await flood.end();
  const after = processorOf(owner);
  const waited = after.waited - before.waited;
  const share = waited / Math.max(1, waited + after.ran - before.ran);
  t.diagnostic(
    `${kind}: ${Math.round((sent * 1_000) / durationMs)} a second for ${Math.round(durationMs)} ms, pauses of ${pauseMs} ms; ` +
      `the owner waited for a processor ${Math.round(100 * share)} % of its time`,
  );
  if (failure === undefined) return false;
  if (share > STARVED_SHARE && !isLast) return true;
  throw new Error(`${kind}: ${(failure as Error).message}`, { cause: failure });
}

async function ownerOf(cluster: Cluster, vip: string): Promise<Member> {
  const [member] = cluster.members;
  const { items } = await (member as Member).get<{ items: { vip: string; owner?: string }[] }>("/v1/vips");
  return cluster.memberOf(items.find((item) => item.vip === vip)?.owner ?? "");
}
