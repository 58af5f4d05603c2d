// A small world for generated packets: VIPs, endpoints, and flows in all their variants.
import {
  type Address,
  PROTOCOL_SCTP,
  type Prefix,
  type Protocol,
  parsePrefix,
  type Random,
} from "@holdfast/model";

/** The shape of the forwarder's Flow, which the testkit does not know. */
export interface GeneratedFlow {
  readonly key: {
    readonly protocol: Protocol;
    readonly source: Address;
    readonly destination: Address;
    readonly sourcePort: number;
    readonly destinationPort: number;
  };
  readonly newSource: Address;
  readonly newDestination: Address;
  readonly newSourcePort: number;
  readonly newDestinationPort: number;
  readonly tag: number;
  readonly direction: "up" | "down";
  readonly replyDestination?: Address;
  readonly pending: boolean;
  readonly heartbeatOnly: boolean;
  readonly learn: boolean;
  readonly session: number;
}

export interface PacketWorld {
  readonly local: readonly {
    readonly address: Address;
    readonly owned: boolean;
    readonly ports: readonly {
      readonly protocol: Protocol;
      readonly port: number;
      readonly allowedSources?: readonly Prefix[];
    }[];
  }[];
  readonly endpoints: readonly {
    readonly protocol: Protocol;
    readonly address: Address;
    readonly port: number;
  }[];
  readonly flows: readonly GeneratedFlow[];
}

const ALLOWED = [
  {},
  { allowedSources: prefixes("10.1.0.0/24", "10.1.255.254/32", "fd00:1::/32") },
  { allowedSources: [] },
];

function prefixes(...texts: string[]): readonly Prefix[] {
  return texts.map((text) => parsePrefix(text)).filter((prefix) => prefix !== undefined);
}

interface Network {
  readonly vips: readonly Address[];
  readonly clients: readonly Address[];
  readonly endpoints: readonly Address[];
}

const NETWORKS: readonly Network[] = [
  {
    vips: ["203.0.113.1", "198.51.100.1", "192.0.2.1", "203.0.113.129"],
    clients: ["10.1.0.10", "10.2.0.10", "10.1.255.254"],
    endpoints: ["10.9.0.20", "10.9.0.21"],
  },
  {
    vips: ["2001:db8:1::1", "2001:db8:2::1"],
    clients: ["fd00:1::10", "fd00:2::10"],
    endpoints: ["fd00:9::20"],
  },
];

/** The SCTP port that every VIP of the world serves. */
export const WORLD_SERVICE_PORT = 38_412;
const WORLD_ENDPOINT_PORT = 7_000;

/** `associationCount` associations, each with flows both ways between all its addresses. */
export function packetWorld(random: Random, associationCount: number): PacketWorld {
  const flows: GeneratedFlow[] = [];
  for (let session = 1; session <= associationCount; session++) {
    flows.push(...associationFlows(random, pick(random, NETWORKS), session));
  }
  return {
    // The last VIP of each network belongs to another member now.
    local: NETWORKS.flatMap(({ vips }) =>
      vips.map((address, i) => ({
        address,
        owned: i < vips.length - 1,
        // From anywhere, from some networks of clients, from nowhere.
        ports: [{ protocol: PROTOCOL_SCTP, port: WORLD_SERVICE_PORT, ...ALLOWED[i % ALLOWED.length] }],
      })),
    ),
    endpoints: NETWORKS.flatMap(({ endpoints }) =>
      endpoints.map((address) => ({ protocol: PROTOCOL_SCTP, address, port: WORLD_ENDPOINT_PORT })),
    ),
    flows,
  };
}

function associationFlows(random: Random, network: Network, session: number): GeneratedFlow[] {
  const endpoint = pick(random, network.endpoints);
  const clientPort = 1 + random.below(65_535);
  // A quarter keeps the client's port and the service has the endpoint's port: nothing to add to the
  // checksum.
  const samePorts = random.below(4) === 0;
  const natPort = samePorts ? clientPort : 1 + random.below(65_535);
  const endpointPort = samePorts ? WORLD_SERVICE_PORT : WORLD_ENDPOINT_PORT;
  const [clientTag, endpointTag] = [random.uint32() || 1, random.uint32() || 1];
  const flows: GeneratedFlow[] = [];
  for (const vip of network.vips) {
    for (const client of network.clients) {
      flows.push({
        key: {
          protocol: PROTOCOL_SCTP,
          source: client,
          destination: vip,
          sourcePort: clientPort,
          destinationPort: WORLD_SERVICE_PORT,
        },
        newSource: vip,
        newDestination: endpoint,
        newSourcePort: natPort,
        newDestinationPort: endpointPort,
        tag: endpointTag,
        direction: "up",
        pending: random.below(4) === 0,
        heartbeatOnly: false,
        learn: random.below(4) === 0,
        session,
      });
    }
    const heard = pick(random, network.clients);
    flows.push({
      key: {
        protocol: PROTOCOL_SCTP,
        source: endpoint,
        destination: vip,
        sourcePort: endpointPort,
        destinationPort: natPort,
      },
      newSource: vip,
      newDestination: pick(random, network.clients),
      newSourcePort: WORLD_SERVICE_PORT,
      newDestinationPort: clientPort,
      tag: clientTag,
      direction: "down",
      ...(random.below(2) === 0 ? { replyDestination: heard } : {}),
      pending: random.below(4) === 0,
      heartbeatOnly: random.below(4) === 0,
      learn: false,
      session,
    });
  }
  return flows;
}

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.below(items.length)] as T;
}
