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
/** Of threads that had something to do for so much of the time. */
const WANTED_SHARE = 0.05;

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

/** Nanoseconds that a thread ran, and waited for a processor. */
interface Times {
  readonly ran: number;
  readonly waited: number;
}

/** Of the threads of all members' daemons, by member and number. */
function threadsOf(members: readonly Member[]): ReadonlyMap<string, Times> {
  const times = new Map<string, Times>();
  for (const { host, name, pid } of members) {
    const lines = host
      .run("sh", ["-c", `cd /proc/${pid}/task && grep . */schedstat`])
      .trim()
      .split("\n");
    for (const line of lines) {
      const [thread, ran = 0, waited = 0] = line.split(/\/schedstat:| /).map(Number);
      times.set(`${name} ${thread === pid ? "main" : thread}`, { ran, waited });
    }
  }
  return times;
}

/**
 * The thread that waited for a processor for the largest share of the time in which it had something to do. A
 * handshake passes several threads of two members, and one that works all the time says nothing of those that
 * wait for it.
 */
function mostStarved(
  before: ReadonlyMap<string, Times>,
  after: ReadonlyMap<string, Times>,
  durationMs: number,
): { readonly name: string; readonly share: number } {
  let most = { name: "nobody", share: 0 };
  for (const [name, { ran, waited }] of after) {
    const earlier = before.get(name) ?? { ran: 0, waited: 0 };
    const wanted = ran + waited - earlier.ran - earlier.waited;
    if (wanted < WANTED_SHARE * durationMs * 1e6) continue;
    const share = (waited - earlier.waited) / wanted;
    if (share > most.share) most = { name, share };
  }
  return most;
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
    // Who gave up does not begin again.
    await until("its association", () => peer.count("up") + peer.count("cannotStart") > 0, 60_000);
    assert.equal(peer.count("cannotStart"), 0, "it gave up after three INITs");
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
        t.diagnostic(`starved: ${kind}: the generator took the members' processor; once more with pauses`);
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
  const before = threadsOf(cluster.members);
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
  const { name, share } = mostStarved(before, threadsOf(cluster.members), durationMs);
  t.diagnostic(
    `${kind}: ${Math.round((sent * 1_000) / durationMs)} a second for ${Math.round(durationMs)} ms, pauses of ${pauseMs} ms; ` +
      `thread ${name} waited for a processor ${Math.round(100 * share)} % of its time, the owner is ${owner.name}`,
  );
  if (failure === undefined) return false;
  if (share > STARVED_SHARE && !isLast) return true;
  const what = `${kind}, ${name} starved for ${Math.round(100 * share)} %`;
  throw new Error(`${what}: ${(failure as Error).message}`, { cause: failure });
}

async function ownerOf(cluster: Cluster, vip: string): Promise<Member> {
  const [member] = cluster.members;
  const { items } = await (member as Member).get<{ items: { vip: string; owner?: string }[] }>("/v1/vips");
  return cluster.memberOf(items.find((item) => item.vip === vip)?.owner ?? "");
}
