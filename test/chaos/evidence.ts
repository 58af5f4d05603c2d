// What the captures at all edges say, whatever happened to the members.
import { WAY_PORT_FIRST } from "@holdfast/forwarder/testing";
import { MEMBER_NUMBER_COUNT_MAX } from "@holdfast/model";
import {
  brief,
  type Capture,
  type CapturedPacket,
  initOf,
  leaksOf,
  ownAbortsOf,
  PATH_NETWORKS,
  startCapture,
  wrongChecksumsOf,
} from "@holdfast/testkit";
import type { Scene } from "../cluster/scene.ts";

const EXAMPLE_COUNT_MAX = 10;
const FILTER = "sctp or icmp or icmp6";

export interface Evidence {
  packets: number;
  ownAborts: number;
  leaks: number;
  wrongChecksums: number;
  sharedNatPorts: number;
}

/** Captures of one stretch of time; the next stretch's begin before this one's end. */
export interface Edges {
  readonly atClients: readonly Capture[];
  readonly atEndpoints: readonly Capture[];
}

export async function startEdges(scene: Scene): Promise<Edges> {
  const { cluster } = scene;
  const capturesOf = (host: (typeof cluster.clients)[number], networks: readonly string[]) =>
    networks
      .filter((network) => host.addresses(network).length > 0)
      .map((network) => startCapture(cluster.lab, host, network, FILTER));
  const [atClients, atEndpoints] = await Promise.all([
    Promise.all(cluster.clients.flatMap((host) => capturesOf(host, PATH_NETWORKS))),
    Promise.all(cluster.endpoints.flatMap((host) => capturesOf(host, ["core"]))),
  ]);
  return { atClients, atEndpoints };
}

/** Stops the captures, adds what they show to `evidence`, and returns the violations in words. */
export async function examine(scene: Scene, edges: Edges, evidence: Evidence): Promise<string[]> {
  const { clients, endpoints, vips } = scene.cluster;
  for (const capture of [...edges.atClients, ...edges.atEndpoints]) await capture.stop();
  const atClients = edges.atClients.flatMap((capture) => capture.packets());
  const atEndpoints = edges.atEndpoints.flatMap((capture) => capture.packets());
  const clientAddresses = clients.flatMap((_, index) => scene.cluster.clientAddresses(index));
  const endpointAddresses = endpoints.flatMap((host) => host.addresses("core"));
  const edge = [...atClients, ...atEndpoints];
  const fromVips = edge.filter(({ source }) => vips.includes(source));
  const leaks = [...leaksOf(atEndpoints, clientAddresses), ...leaksOf(atClients, endpointAddresses)];
  const wrong = wrongChecksumsOf(fromVips);
  const aborts = ownAbortsOf(edge, vips);
  const shared = sharedNatPorts(atEndpoints, vips);
  evidence.packets += edge.length;
  evidence.leaks += leaks.length;
  evidence.wrongChecksums += wrong.length;
  evidence.ownAborts += aborts.length;
  evidence.sharedNatPorts += shared.length;
  return [
    ...said("an address of the other side", leaks.map(brief)),
    ...said("a wrong checksum", wrong.map(brief)),
    ...said("an ABORT of Holdfast's own", aborts.map(brief)),
    ...said("a NAT port with two associations", shared),
  ];
}

/** NAT ports at which one endpoint saw INITs of two tags. Nobody restarts here. */
function sharedNatPorts(atEndpoints: readonly CapturedPacket[], vips: readonly string[]): string[] {
  const tags = new Map<string, Set<number>>();
  for (const packet of atEndpoints) {
    if (packet.sctp?.chunks[0]?.type !== 1 || !vips.includes(packet.source)) continue;
    const tag = initOf(packet)?.initiateTag;
    const way = packet.sctp.sourcePort - WAY_PORT_FIRST;
    const isProbe = way >= 0 && way < MEMBER_NUMBER_COUNT_MAX;
    if (tag === undefined || isProbe) continue;
    const key = `${packet.destination} from port ${packet.sctp.sourcePort}`;
    const known = tags.get(key) ?? new Set();
    tags.set(key, known.add(tag));
  }
  return [...tags].filter(([, set]) => set.size > 1).map(([key, set]) => `${key}: ${[...set].join(", ")}`);
}

function said(what: string, examples: readonly string[]): string[] {
  if (examples.length === 0) return [];
  return [`${examples.length} × ${what}: ${examples.slice(0, EXAMPLE_COUNT_MAX).join("; ")}`];
}
