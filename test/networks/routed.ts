// Client and endpoint each behind a router whose way to them is narrow, so that errors come from strangers in
// between:
//
//   client ─ far ─ router c ─ path-a ─ member ─ core ─ router e ─ behind ─ endpoint
import type { Address } from "@holdfast/model";
import {
  type Capture,
  type CapturedPacket,
  type ClientOptions,
  Cluster,
  type ClusterOptions,
  ENDPOINT_PORT,
  type Host,
  type Peer,
  SERVICE_PORT,
  startCapture,
  startClient,
  startServer,
  VIPS_V4,
  VIPS_V6,
} from "@holdfast/testkit";

export type Family = "IPv4" | "IPv6";
export type FastPathMode = NonNullable<ClusterOptions["fastPath"]>;

/** Bytes that both routers' outer networks carry. */
export const NARROW_MTU = 1280;
const ETHERNET_MTU = 1500;
/** Of IPv6 and SCTP: both families then send the same sizes. */
export const HEADER_SIZE = 52;
/** A multiple of the number of slots: with member number 0 it stays, and the next port is changed. */
export const KEPT_PORT = 36_416;

interface Places {
  readonly bits: 32 | 128;
  readonly far: { readonly net: string; readonly router: Address; readonly client: Address };
  readonly path: Address;
  readonly core: Address;
  readonly behind: { readonly net: string; readonly router: Address; readonly endpoint: Address };
}

const PLACES: Readonly<Record<Family, Places>> = {
  IPv4: {
    bits: 32,
    far: { net: "198.18.192.0/24", router: "198.18.192.1", client: "198.18.192.10" },
    path: "198.18.0.250",
    core: "198.19.255.250",
    behind: { net: "198.18.193.0/24", router: "198.18.193.1", endpoint: "198.18.193.10" },
  },
  IPv6: {
    bits: 128,
    far: { net: "fd04::/64", router: "fd04::1", client: "fd04::10" },
    path: "fd01::fa",
    core: "fd09::ff:fa",
    behind: { net: "fd08::/64", router: "fd08::1", endpoint: "fd08::10" },
  },
};

export class Routed {
  readonly family: Family;
  readonly places: Places;
  readonly cluster: Cluster;
  readonly client: Host;
  readonly endpoint: Host;
  readonly clientRouter: Host;
  readonly endpointRouter: Host;

  constructor(family: Family, fastPath: FastPathMode) {
    this.family = family;
    const places = PLACES[family];
    this.places = places;
    const { bits, far, behind, path, core } = places;
    this.cluster = new Cluster({
      fastPath,
      clients: [],
      endpoints: 0,
      vips: family === "IPv4" ? VIPS_V4.slice(0, 2) : VIPS_V6.slice(0, 2),
      // The second association is to show that a port changes.
      service: { endpoints: [{ address: behind.endpoint, port: ENDPOINT_PORT }], natPort: "any" },
    });
    const { lab, members, vips } = this.cluster;
    const prefix = (address: Address, length: number) => `${address}/${length}`;
    const [outer, inner, wide] = bits === 32 ? [24, 18, 16] : [64, 64, 64];
    lab.network("far");
    lab.network("behind");
    this.clientRouter = lab.host("rc", {
      "path-a": [prefix(path, inner as number)],
      far: [prefix(far.router, outer as number)],
    });
    this.endpointRouter = lab.host("re", {
      core: [prefix(core, wide as number)],
      behind: [prefix(behind.router, outer as number)],
    });
    this.client = lab.host("c", { far: [prefix(far.client, outer as number)] });
    this.endpoint = lab.host("e", { behind: [prefix(behind.endpoint, outer as number)] });
    for (const router of [this.clientRouter, this.endpointRouter])
      router.run("sysctl", ["-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    // Cables of 1,500 bytes whose routes carry less: what is too big then reaches the router, and it says so.
    this.clientRouter.ip(`route replace ${far.client}/${bits} dev far mtu lock ${NARROW_MTU}`);
    this.endpointRouter.ip(`route replace ${behind.endpoint}/${bits} dev behind mtu lock ${NARROW_MTU}`);
    for (const vip of vips) {
      this.clientRouter.onLink(vip, "path-a");
      this.endpointRouter.onLink(vip, "core");
      this.client.ip(`route replace ${vip}/${bits} via ${far.router} dev far`);
      this.endpoint.ip(`route replace ${vip}/${bits} via ${behind.router} dev behind`);
    }
    for (const { host } of members) {
      host.ip(`route replace ${far.net} via ${path} dev path-a`);
      host.ip(`route replace ${behind.net} via ${core} dev core`);
    }
  }

  get vips(): readonly string[] {
    return this.cluster.vips;
  }

  startServer(): Promise<Peer> {
    return startServer(this.endpoint, {
      local: [this.places.behind.endpoint],
      port: ENDPOINT_PORT,
      echo: true,
      pathMtu: ETHERNET_MTU - HEADER_SIZE,
    });
  }

  /** The first association keeps its port on the way, the second does not. */
  startClient(options: Partial<ClientOptions>): Promise<Peer> {
    return startClient(this.client, {
      local: [this.places.far.client],
      port: KEPT_PORT,
      remote: this.vips[0] as Address,
      remotePort: SERVICE_PORT,
      pathMtu: ETHERNET_MTU - HEADER_SIZE,
      ...options,
    });
  }

  capture(host: Host, network: string): Promise<Capture> {
    return startCapture(this.cluster.lab, host, network, "");
  }

  /** "Packet too big" in the words of the family. */
  isTooBig({ protocol, payload }: CapturedPacket): boolean {
    return this.family === "IPv4"
      ? protocol === 1 && payload[0] === 3 && payload[1] === 4
      : protocol === 58 && payload[0] === 2;
  }

  /** What an error quotes: MTU, and of the packet inside addresses, ports and tag. */
  quoted({ payload }: CapturedPacket): Quoted {
    const view = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
    const v6 = this.family === "IPv6";
    const [source, destination, size, header] = v6 ? [8, 24, 16, 40] : [12, 16, 4, 20];
    const at = (offset: number) => view.subarray(8 + offset, 8 + offset + size);
    return {
      mtu: v6 ? view.readUInt32BE(4) : view.readUInt16BE(6),
      source: at(source).toString("hex"),
      destination: at(destination).toString("hex"),
      sourcePort: view.readUInt16BE(8 + header),
      destinationPort: view.readUInt16BE(8 + header + 2),
      tag: view.readUInt32BE(8 + header + 4),
    };
  }

  /** Source and destination port of an SCTP packet's first fragment; undefined for everything else. */
  firstFragment({ bytes, protocol, payload }: CapturedPacket): readonly [number, number] | undefined {
    const view = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
    if (this.family === "IPv4") {
      const flags = ((bytes[6] as number) << 8) | (bytes[7] as number);
      if (protocol !== 132 || (flags & 0x3fff) !== 0x2000) return undefined;
      return [view.readUInt16BE(0), view.readUInt16BE(2)];
    }
    if (protocol !== 44 || payload[0] !== 132 || (view.readUInt16BE(2) & 0xfff9) !== 1) return undefined;
    return [view.readUInt16BE(8), view.readUInt16BE(10)];
  }
}

export interface Quoted {
  readonly mtu: number;
  /** Addresses in hexadecimal. */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tag: number;
}
