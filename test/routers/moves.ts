// Moves of the primary VIP that an operator asks for, while many packets a second pass; each is looked at by
// itself, so that a hundred need no more memory than one.
import { rmSync } from "node:fs";
import type { Address } from "@holdfast/model";
import {
  type Capture,
  type CapturedPacket,
  Cluster,
  type Host,
  type Member,
  PATH_NETWORKS,
  type Peer,
  ROUTED_PROFILE,
  type RouterSoftware,
  routed,
  sessionsUp,
  startCapture,
  swallowedOf,
  until,
  withLogs,
} from "@holdfast/testkit";

export interface MovesOptions {
  /** What runs on the routers; undefined: there are none, the VIP is on the link. */
  readonly software: RouterSoftware | undefined;
  readonly moveCount: number;
  /** Both ways together, as the clients' side sees them. */
  readonly packetsPerSecond: number;
  readonly onMove?: (move: Move) => void;
}

export interface Move {
  /** From the order until every member and every router says so. */
  readonly ms: number;
  /** Meanwhile, and some messages before and after, at the clients' side. */
  readonly packetCount: number;
  readonly packetsPerSecond: number;
  /** They went in at one edge and came out at none. */
  readonly lost: readonly CapturedPacket[];
}

export interface Moves {
  readonly moves: readonly Move[];
  readonly associationsLost: number;
  readonly messagesLost: number;
}

const ASSOCIATION_COUNT = 40;
/** A SACK for every second DATA chunk (RFC 9260 §6.2). */
const PACKETS_PER_MESSAGE = 1.5;
/** Of every association, before and after each move. */
const MESSAGE_COUNT = 20;
const LIMIT_MS = 60_000;

export async function moved(options: MovesOptions): Promise<Moves> {
  const { software, moveCount, packetsPerSecond } = options;
  const cluster = new Cluster({
    members: 3,
    clients: [2],
    ...(software === undefined
      ? { vips: ["203.0.113.1", "198.51.100.1"] }
      : {
          profile: ROUTED_PROFILE,
          vips: ROUTED_PROFILE.vips.ipv4.slice(0, 2),
          router: { software },
        }),
  });
  try {
    await cluster.start();
    if (software !== undefined) await sessionsUp(cluster.members);
    const endpoint = await cluster.startEndpoint(0, { echo: false });
    const client = await cluster.startClient(0, {
      associations: ASSOCIATION_COUNT,
      rate: Math.round(packetsPerSecond / PACKETS_PER_MESSAGE / ASSOCIATION_COUNT),
      startRate: 50,
      size: 100,
    });
    await client.established(ASSOCIATION_COUNT, LIMIT_MS);
    const moves: Move[] = [];
    for (let n = 0; n < moveCount; n++) {
      const move = await moveOnce(cluster, endpoint);
      moves.push(move);
      options.onMove?.(move);
    }
    const figures = await client.settle();
    const receipts = await endpoint.receipts();
    return {
      moves,
      associationsLost: figures.filter(({ up, lost, restarts }) => !up || lost + restarts > 0).length,
      messagesLost: receipts.reduce((sum, { missing }) => sum + missing, 0),
    };
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
}

async function moveOnce(cluster: Cluster, endpoint: Peer): Promise<Move> {
  const vip = cluster.vips[0] as Address;
  const owners = await cluster.settled();
  const place = cluster.members.findIndex(({ name }) => name === owners.get(vip));
  const to = cluster.members[(place + 1) % cluster.members.length] as Member;
  const client = cluster.clients[0] as Host;
  const edges: readonly (readonly [Host, string])[] = [
    ...PATH_NETWORKS.filter((network) => client.addresses(network).length > 0).map(
      (network) => [client, network] as const,
    ),
    [cluster.endpoints[0] as Host, "core"],
  ];
  const captures = await Promise.all(
    // ICMP, too: a capture knows by it that it has caught up.
    edges.map(([host, network]) => startCapture(cluster.lab, host, network, "sctp or icmp")),
  );
  await flowing(endpoint);
  const fromMs = Date.now();
  const startedMs = performance.now();
  await pinned(cluster, vip, to);
  const ms = performance.now() - startedMs;
  await flowing(endpoint);
  const untilMs = Date.now();
  // What was on its way by then has arrived when more has.
  await flowing(endpoint);
  const packets = await packetsOf(captures);
  const atClient = packets
    .slice(0, -1)
    .flat()
    .filter(({ wallMs, sctp }) => sctp !== undefined && wallMs >= fromMs && wallMs <= untilMs);
  return {
    ms,
    packetCount: atClient.length,
    packetsPerSecond: (atClient.length / (untilMs - fromMs)) * 1_000,
    lost: swallowedOf(packets.flat(), cluster.vips, fromMs, untilMs),
  };
}

/** Capture by capture; the files are gone then. */
async function packetsOf(captures: readonly Capture[]): Promise<CapturedPacket[][]> {
  for (const capture of captures) {
    await capture.flush();
    await capture.stop();
  }
  return captures.map((capture) => {
    const packets = capture.packets();
    rmSync(capture.file);
    return packets;
  });
}

async function pinned(cluster: Cluster, vip: string, to: Member): Promise<void> {
  // A disk that is slow to confirm it is answered with 503.
  await until(
    `the pin to ${to.name} to be taken`,
    async () => {
      const { status } = await to.fetch("PUT", `/v1/vips/${vip}/pin`, { member: to.name });
      return status === 200;
    },
    LIMIT_MS,
  );
  await until(
    `${vip} to be at ${to.name}`,
    async () => (await cluster.settled()).get(vip) === to.name,
    LIMIT_MS,
    20,
  );
  const owners = async () => new Map<string, Host>([[vip, to.host]]);
  await routed(cluster.routers, owners, LIMIT_MS);
}

/** So many more messages of every association arrive. */
async function flowing(endpoint: Peer): Promise<void> {
  const before = new Map((await endpoint.receipts()).map(({ client, received }) => [client, received]));
  await until(
    "messages of every association",
    async () => {
      const now = await endpoint.receipts();
      return now.every(({ client, received }) => received >= (before.get(client) ?? 0) + MESSAGE_COUNT);
    },
    LIMIT_MS,
    20,
  );
}
