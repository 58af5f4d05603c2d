// The lab's cluster: members on path networks a, b, c, a core network with endpoints, a cluster network; clients on as many
// path networks as they have addresses. VIPs lie outside every network; hosts reach them by on-link routes, so that the
// owner answers ARP and neighbour discovery for them.
//
// The networks are 198.18.0.0/15 (RFC 2544), not private ones: toward a public VIP real stacks leave their private
// addresses out of INIT (scoping), and nothing would be multi-homed.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { parseAddress } from "@holdfast/model";
import type { Host } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { runSync } from "../lab/shell.ts";
import { type ClientOptions, type Peer, startClient, startServer } from "../peer/peer.ts";
import { until } from "../wait.ts";
import { HOLDFAST_PROGRAM, Member } from "./member.ts";

export const PATH_NETWORKS = ["path-a", "path-b", "path-c"] as const;
export const SERVICE_PORT = 38412;
export const ENDPOINT_PORT = 38412;
/** Documentation prefixes (RFC 5737, RFC 3849); the fourth VIP shares path-a with the primary. */
export const VIPS_V4 = ["203.0.113.1", "198.51.100.1", "192.0.2.1", "203.0.113.129"] as const;
export const VIPS_V6 = ["2001:db8:a::1", "2001:db8:b::1", "2001:db8:c::1", "2001:db8:a::129"] as const;

export interface ClusterOptions {
  readonly members?: number;
  /** One entry a client host: on how many path networks it has an address (1 … 3). */
  readonly clients?: readonly number[];
  readonly endpoints?: number;
  /** Core addresses of each endpoint; 1 by default. */
  readonly endpointAddresses?: number;
  readonly vips?: readonly string[];
  /** Default: what `auto` chooses, and that must be BPF; `auto` itself may fall back to userspace. */
  readonly fastPath?: "auto" | "tc" | "xdp" | "xdp-generic" | "userspace";
  readonly mtu?: number;
  /** Merged over the configuration that every member gets, section by section. */
  readonly configuration?: Readonly<Record<string, object>>;
  /** Fields of the service. */
  readonly service?: object;
  /** Each VIP belongs to one path network, the one where clients with three addresses look for it; else to all. */
  readonly vipNetworks?: boolean;
  /** Without it the file has no service: tests make them through the API. */
  readonly withService?: boolean;
}

/** Family of the lab's addresses follows the VIPs'. */
const isV6 = (address: string) => address.includes(":");

export class Cluster {
  readonly lab: Lab;
  readonly options: ClusterOptions;
  readonly members: Member[] = [];
  readonly clients: Host[] = [];
  readonly endpoints: Host[] = [];
  /** Those that were started, in that order. */
  readonly peers: Peer[] = [];
  readonly vips: readonly string[];

  constructor(options: ClusterOptions = {}) {
    this.options = options;
    this.vips = options.vips ?? VIPS_V4;
    this.lab = new Lab(options.mtu === undefined ? {} : { mtu: options.mtu });
    try {
      this.#build();
    } catch (error) {
      void this.lab.close();
      throw error;
    }
  }

  /** Path network of a VIP as a client with `pathCount` networks reaches it. */
  networkOf(vip: string, pathCount: number): string {
    return PATH_NETWORKS[this.vips.indexOf(vip) % pathCount] as string;
  }

  /** Prefixes of the VIPs that live on a path network. */
  #vipsOn(network: string): string[] {
    return this.vips
      .filter((vip) => this.networkOf(vip, PATH_NETWORKS.length) === network)
      .map((vip) => `${vip}/${isV6(vip) ? 128 : 32}`);
  }

  #build(): void {
    const { lab } = this;
    for (const network of [...PATH_NETWORKS, "core", "cluster"]) lab.network(network);
    const count = this.options.members ?? 1;
    const v6 = this.vips.some(isV6);
    const v4 = this.vips.some((vip) => !isV6(vip));
    const both = (ipv4: string, ipv6: string) => [...(v4 ? [ipv4] : []), ...(v6 ? [ipv6] : [])];
    for (let n = 0; n < (this.options.endpoints ?? 1); n++) {
      const addresses = Array.from({ length: this.options.endpointAddresses ?? 1 }, (_, k) =>
        // An endpoint has one family or two, as the VIPs need it: toward it, VIPs are the sources.
        both(`198.19.${k}.${100 + n}/16`, `${parseAddress(`fd09::${k}:${(100 + n).toString(16)}`)}/64`),
      ).flat();
      const endpoint = lab.host(`e${n + 1}`, { core: addresses });
      for (const vip of this.vips) endpoint.onLink(vip, "core");
      this.endpoints.push(endpoint);
    }
    for (const [index, pathCount] of (this.options.clients ?? [1]).entries()) {
      const client = lab.host(
        `c${index + 1}`,
        Object.fromEntries(
          PATH_NETWORKS.slice(0, pathCount).map((network, k) => [
            network,
            both(`198.18.${k * 64 + 1}.${index + 10}/18`, `fd0${k + 1}::1:${(index + 16).toString(16)}/64`),
          ]),
        ),
      );
      for (const vip of this.vips) client.onLink(vip, this.networkOf(vip, pathCount));
      this.clients.push(client);
    }
    const hosts = Array.from({ length: count }, (_, n) =>
      lab.host(`m${n + 1}`, {
        ...Object.fromEntries(
          PATH_NETWORKS.map((network, k) => [
            network,
            both(`198.18.${k * 64}.${n + 1}/18`, `fd0${k + 1}::${n + 1}/64`),
          ]),
        ),
        core: both(`198.19.255.${n + 1}/16`, `fd09::ff:${n + 1}/64`),
        cluster: [`10.8.0.${n + 1}/24`],
      }),
    );
    const certificates = count > 1 ? this.#makeCertificates(hosts) : () => ({});
    for (const [n, host] of hosts.entries()) {
      const pinDirectory = `/sys/fs/bpf/${lab.id}-${host.name}`;
      lab.onEnd(() => rmSync(pinDirectory, { recursive: true, force: true }));
      this.members.push(
        new Member(lab, host, n, this.#configuration(host, n, hosts, pinDirectory, certificates(n)), {
          pinDirectory,
          storeDirectory: join(lab.directory, `${host.name}.store`),
        }),
      );
    }
  }

  #makeCertificates(hosts: readonly Host[]): (n: number) => object {
    const directory = join(this.lab.directory, "certificates");
    const holdfast = (...words: string[]) =>
      runSync(process.execPath, [
        "--disable-warning=ExperimentalWarning",
        HOLDFAST_PROGRAM,
        "certificates",
        ...words,
      ]);
    holdfast("init", "--cluster", "lab", "--directory", directory);
    for (const [n, host] of hosts.entries()) {
      holdfast("issue", host.name, "--number", String(n), "--directory", directory);
    }
    return (n) => ({
      certificates: {
        authority: join(directory, "authority.crt"),
        certificate: join(directory, `${hosts[n]?.name}.crt`),
        key: join(directory, `${hosts[n]?.name}.key`),
      },
      secretFile: join(directory, "cluster.secret"),
    });
  }

  /** The service as the configuration file has it. */
  serviceSpec(): object {
    return {
      name: "amf",
      vips: this.vips,
      port: SERVICE_PORT,
      endpoints: this.endpoints.map((endpoint) => ({
        address: endpoint.addresses("core")[0],
        port: ENDPOINT_PORT,
      })),
      ...this.options.service,
    };
  }

  #configuration(
    host: Host,
    number: number,
    hosts: readonly Host[],
    pinDirectory: string,
    certificates: object,
  ): object {
    const overrides = this.options.configuration ?? {};
    const sections: Record<string, object> = {
      cluster: { id: "lab", ...certificates },
      member: { name: host.name, number },
      dataPlane: { mode: this.options.fastPath ?? "auto", pinDirectory, flowCountMax: 65_536 },
      store: { directory: join(this.lab.directory, `${host.name}.store`) },
      log: { level: "info" },
    };
    for (const [name, section] of Object.entries(overrides))
      sections[name] = { ...sections[name], ...section };
    return {
      ...sections,
      interfaces: [
        ...PATH_NETWORKS.map((name) => ({
          name,
          role: "path",
          ...(this.options.vipNetworks === true && { vips: this.#vipsOn(name) }),
        })),
        { name: "core", role: "core" },
        { name: "cluster", role: "cluster" },
      ],
      members:
        hosts.length < 2
          ? []
          : hosts.map((other, n) => ({
              name: other.name,
              number: n,
              addresses: ["cluster", ...PATH_NETWORKS, "core"].map((network) => other.addresses(network)[0]),
            })),
      clientPrefixes: ["fd00::/8"],
      services: this.options.withService === false ? [] : [this.serviceSpec()],
    };
  }

  /** Starts all members at once, and waits until every VIP of the file's service has an owner that everybody names. */
  async start(): Promise<void> {
    await Promise.all(this.members.map((member) => member.start()));
    if (this.options.fastPath === undefined) {
      const without = this.members.find((member) => member.log().includes('"fastPath":"userspace"'));
      if (without !== undefined)
        throw new Error(`${without.name} could not load its BPF programs:\n${without.log().slice(0, 4_000)}`);
    }
    if (this.members.length > 1 && this.options.withService !== false) await this.settled();
  }

  /** VIP → owner, as one member sees it. */
  async owners(member = this.members.find((m) => m.running) as Member): Promise<Map<string, string>> {
    const { items } = await member.get<{ items: { vip: string; owner?: string }[] }>("/v1/vips");
    return new Map(items.flatMap(({ vip, owner }) => (owner === undefined ? [] : [[vip, owner] as const])));
  }

  /** Every running member names the same owner for every VIP. */
  async settled(limitMs = 30_000): Promise<Map<string, string>> {
    return until(
      "all members to name the same owners",
      async () => {
        const views = await Promise.all(this.members.filter((m) => m.running).map((m) => this.owners(m)));
        const [first] = views;
        if (first === undefined || !this.vips.every((vip) => first.has(vip))) return false;
        const same = views.every((view) => this.vips.every((vip) => view.get(vip) === first.get(vip)));
        return same && first;
      },
      limitMs,
      50,
    );
  }

  /** Members of different groups hear nothing of each other on any network; clients and endpoints hear all. */
  partition(groups: readonly (readonly Member[])[]): void {
    this.mend();
    for (const group of groups) {
      const strangers = groups.filter((other) => other !== group).flat();
      const addresses = strangers.flatMap(({ host }) =>
        [...this.lab.networks.keys()].flatMap((network) => host.addresses(network)),
      );
      const drop = (family: string, list: readonly string[]) =>
        list.length === 0 ? "" : `${family} saddr { ${list.join(", ")} } drop\n`;
      const rules = `${drop(
        "ip",
        addresses.filter((a) => !isV6(a)),
      )} ${drop("ip6", addresses.filter(isV6))}`;
      for (const { host } of group) {
        host.run(
          "nft",
          ["-f", "-"],
          `table inet partition {\n chain input {\n type filter hook input priority 0\n ${rules}\n }\n}\n`,
        );
      }
    }
  }

  mend(): void {
    for (const { host } of this.members) {
      host.run("nft", ["-f", "-"], "table inet partition\ndelete table inet partition\n");
    }
  }

  memberOf(name: string): Member {
    const member = this.members.find((m) => m.name === name);
    if (member === undefined) throw new Error(`the cluster has no member ${name}`);
    return member;
  }

  /** The server program on endpoint `index`. */
  startEndpoint(
    index = 0,
    options: { readonly echo?: boolean } & Partial<ClientOptions> = {},
  ): Promise<Peer> {
    const host = this.endpoints[index] as Host;
    return this.#noted(
      startServer(host, {
        local: this.#sctpAddresses(host.addresses("core")),
        port: ENDPOINT_PORT,
        echo: true,
        ...options,
      }),
    );
  }

  /** Associations of client host `index` with the primary VIP. */
  startClient(index = 0, options: Partial<ClientOptions> = {}): Promise<Peer> {
    const host = this.clients[index] as Host;
    return this.#noted(
      startClient(host, {
        local: this.clientAddresses(index),
        port: 36412,
        remote: this.vips[0] as string,
        remotePort: SERVICE_PORT,
        id: index * 1000,
        ...options,
      }),
    );
  }

  async #noted(starting: Promise<Peer>): Promise<Peer> {
    const peer = await starting;
    this.peers.push(peer);
    return peer;
  }

  clientAddresses(index: number): string[] {
    const host = this.clients[index] as Host;
    return this.#sctpAddresses(PATH_NETWORKS.flatMap((network) => host.addresses(network)));
  }

  /** Addresses of the families that the VIPs have. */
  #sctpAddresses(addresses: readonly string[]): string[] {
    return addresses.filter((address) => this.vips.some((vip) => isV6(vip) === isV6(address)));
  }

  /** Stops everything and removes what the kernel keeps for it. */
  close(): Promise<void> {
    return this.lab.close();
  }
}
