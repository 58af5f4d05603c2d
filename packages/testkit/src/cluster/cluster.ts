// The lab's cluster: members on path networks a, b, c, a core network with endpoints, a cluster network;
// clients on as many path networks as they have addresses. VIPs lie outside every network; hosts reach them
// by on-link routes, so that the owner answers ARP and neighbour discovery for them; in the profile `field` a
// router stands in between (profile.ts).
import { rmSync } from "node:fs";
import { join } from "node:path";
import type { Address } from "@holdfast/model";
import type { Host } from "../lab/host.ts";
import { Lab } from "../lab/lab.ts";
import { type ClientOptions, type Peer, startClient, startServer } from "../peer/peer.ts";
import { until } from "../wait.ts";
import { makeCertificates } from "./certificates.ts";
import { Member } from "./member.ts";
import { LAB_PROFILE, type Profile, type TwoFamilies } from "./profile.ts";
import { BFD_INTERVAL_MS, BgpRouter, type RouterOptions } from "./router.ts";

export const PATH_NETWORKS = ["path-a", "path-b", "path-c"] as const;
export const SERVICE_PORT = 38412;
export const ENDPOINT_PORT = 38412;
const REPLICATION_PORT = 7081;
/** Own numbers of the first client and endpoint, as the addresses have them. */
const CLIENT_NUMBER = 16;
const CLIENT_NUMBER_V4 = 10;
const ENDPOINT_NUMBER = 100;
/** Of addresses that are nobody's. */
const STRANGER_FIRST = 1_024;
const MEMBERS_AS = 65_001;
const ROUTERS_AS = 65_000;
/** Routing tables of clients, one for each of their addresses. */
const TABLE_FIRST = 1;

export interface ClusterOptions {
  /** Timers, addresses and routers; the lab's own by default. */
  readonly profile?: Profile;
  readonly members?: number;
  /**
   * Machines with certificates that are on nobody's list, with the numbers behind the members'; see
   * `Cluster.spares`.
   */
  readonly spares?: number;
  /** One entry a client host: on how many path networks it has an address (1 … 3). */
  readonly clients?: readonly number[];
  readonly endpoints?: number;
  /** Core addresses of each endpoint; 1 by default. */
  readonly endpointAddresses?: number;
  readonly vips?: readonly Address[];
  /** Default: what `auto` chooses, and that must be BPF; `auto` itself may fall back to userspace. */
  readonly fastPath?: "auto" | "tc" | "xdp" | "xdp-generic" | "userspace";
  readonly mtu?: number;
  /** Of members and routers, where the profile has them. */
  readonly bfdIntervalMs?: number;
  /** What runs on the profile's routers; BIRD by default. */
  readonly router?: Partial<RouterOptions>;
  /** Merged over the configuration that every member gets, section by section. */
  readonly configuration?: Readonly<Record<string, object>>;
  /** Of the member's API, beside its unix socket. */
  readonly api?: (index: number) => {
    readonly listen?: readonly string[];
    readonly [field: string]: unknown;
  };
  /** Fields of the service. */
  readonly service?: object;
  /**
   * Each VIP belongs to one path network, the one where clients with three addresses look for it; else to
   * all.
   */
  readonly vipNetworks?: boolean;
  /** Without it the file has no service: tests make them through the API. */
  readonly withService?: boolean;
}

/** Family of the lab's addresses follows the VIPs'. */
const isV6 = (address: string) => address.includes(":");
/** The clients' side of a path network behind a router. */
const accessOf = (network: string) => network.replace("path", "access");

export class Cluster {
  readonly lab: Lab;
  readonly options: ClusterOptions;
  readonly members: Member[] = [];
  /** They join by the first member's address. Whoever starts one moves it to `members`. */
  readonly spares: Member[] = [];
  readonly clients: Host[] = [];
  readonly endpoints: Host[] = [];
  /** One a path network, where the profile has them. */
  readonly routers: Host[] = [];
  /** The daemons on them, in the same order, where members speak BGP. */
  readonly bgpRouters: BgpRouter[] = [];
  /** Those that were started, in that order. */
  readonly peers: Peer[] = [];
  readonly vips: readonly Address[];
  readonly profile: Profile;

  constructor(options: ClusterOptions = {}) {
    this.options = options;
    this.profile = options.profile ?? LAB_PROFILE;
    this.vips = options.vips ?? this.profile.vips.ipv4;
    this.lab = new Lab(options.mtu === undefined ? {} : { mtu: options.mtu });
    try {
      this.#build();
    } catch (error) {
      void this.lab.close();
      throw error;
    }
  }

  /** Path network of a VIP as a client with `pathCount` networks reaches it. */
  networkOf(vip: Address, pathCount: number): string {
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
    const { profile } = this;
    for (let n = 0; n < (this.options.endpoints ?? 1); n++) {
      const addresses = Array.from({ length: this.options.endpointAddresses ?? 1 }, (_, k) =>
        // An endpoint has one family or two, as the VIPs need it: toward it, VIPs are the sources.
        this.#addresses(profile.endpoint(ENDPOINT_NUMBER + n, k), profile.coreBits),
      ).flat();
      const endpoint = lab.host(`e${n + 1}`, { core: addresses });
      if (!this.#isRouted) endpoint.onLink(this.vips, "core");
      this.endpoints.push(endpoint);
    }
    if (profile.router !== undefined) this.#buildRouters();
    if (this.#isRouted) this.#buildCoreRouter();
    for (const [index, pathCount] of (this.options.clients ?? [1]).entries())
      this.clients.push(this.#buildClient(index, pathCount));
    const count = this.options.members ?? 1;
    const all = Array.from({ length: count + (this.options.spares ?? 0) }, (_, n) =>
      lab.host(`m${n + 1}`, {
        ...Object.fromEntries(
          PATH_NETWORKS.map((network, k) => [
            network,
            this.#addresses(profile.member(k, n + 1), profile.memberBits),
          ]),
        ),
        core: this.#addresses(profile.coreMember(n + 1), profile.coreBits),
        cluster: [`10.8.0.${n + 1}/24`],
      }),
    );
    const hosts = all.slice(0, count);
    for (const host of all) this.#routeBack(host);
    if (this.#isRouted) {
      const options: RouterOptions = {
        software: "bird",
        bfdIntervalMs: this.options.bfdIntervalMs ?? BFD_INTERVAL_MS,
        ...this.options.router,
      };
      for (const router of this.routers)
        this.bgpRouters.push(new BgpRouter(lab, router, this.#memberNetworkOf(router), hosts, options));
    }
    const certificates = all.length > 1 ? this.#makeCertificates(all) : () => ({});
    for (const [n, host] of all.entries()) {
      const pinDirectory = `/sys/fs/bpf/${lab.id}-${host.name}`;
      lab.onEnd(() => rmSync(pinDirectory, { recursive: true, force: true }));
      const isListed = n < count;
      const first = `${all[0]?.addresses("cluster")[0]}:${REPLICATION_PORT}`;
      const cluster = isListed ? certificates(n) : { ...certificates(n), join: [first] };
      const configuration = this.#configuration(host, n, isListed ? hosts : [], pinDirectory, cluster);
      (isListed ? this.members : this.spares).push(
        new Member(lab, host, n, this.#apiOf(n, configuration), {
          pinDirectory,
          storeDirectory: join(lab.directory, `${host.name}.store`),
        }),
      );
    }
  }

  #apiOf(index: number, configuration: object): object {
    const { api } = this.options;
    return api === undefined ? configuration : { ...configuration, api: api(index) };
  }

  /** An address with its prefix length, of the families that the VIPs have. */
  #addresses(address: TwoFamilies, bits: { readonly ipv4: number; readonly ipv6: number }): string[] {
    const v6 = this.vips.some(isV6);
    const v4 = this.vips.some((vip) => !isV6(vip));
    return [...(v4 ? [`${address.ipv4}/${bits.ipv4}`] : []), ...(v6 ? [`${address.ipv6}/${bits.ipv6}`] : [])];
  }

  #buildClient(index: number, pathCount: number): Host {
    const { profile, lab } = this;
    const networks = PATH_NETWORKS.slice(0, pathCount);
    const addressOf = (k: number): TwoFamilies => ({
      ipv4: profile.client(k, CLIENT_NUMBER_V4 + index).ipv4,
      ipv6: profile.client(k, CLIENT_NUMBER + index).ipv6,
    });
    const client = lab.host(
      `c${index + 1}`,
      Object.fromEntries(
        networks.map((network, k) => [network, this.#addresses(addressOf(k), profile.clientBits)]),
      ),
      profile.router === undefined
        ? {}
        : Object.fromEntries(networks.map((network) => [network, accessOf(network)])),
    );
    client.ip(...this.vips.map((vip) => this.#routeTo(vip, this.networkOf(vip, pathCount))));
    if (profile.router !== undefined) this.#routeBySource(client, networks);
    return client;
  }

  /** What a multi-homed host is told to do by every guide: packets from A1 leave by A1's gateway. */
  #routeBySource(client: Host, networks: readonly string[], addresses?: readonly Address[]): void {
    for (const network of networks)
      for (const address of addresses ?? client.addresses(network)) {
        const gateway = this.gateway(address, network);
        if (gateway === undefined) continue;
        const table = TABLE_FIRST + PATH_NETWORKS.indexOf(network as never);
        const family = isV6(address) ? "-6 " : "";
        client.ip(`${family}route replace default via ${gateway} dev ${network} table ${table}`);
        client.ip(`${family}rule add from ${address} lookup ${table}`);
      }
  }

  /**
   * One router a path network: clients on one side, members on the other, sources checked on both (RFC 3704).
   */
  #buildRouters(): void {
    const { profile, lab } = this;
    const { router } = profile;
    if (router === undefined) return;
    for (const [k, network] of PATH_NETWORKS.entries()) {
      const access = accessOf(network);
      lab.network(access);
      const host = lab.host(`r${k + 1}`, {
        [access]: this.#addresses(router.client(k), profile.clientBits),
        [network]: this.#addresses(router.member(k), profile.memberBits),
      });
      host.run("sysctl", [
        "-q",
        "-w",
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        ...[access, network, "all"].map((name) => `net.ipv4.conf.${name}.rp_filter=1`),
      ]);
      if (!this.#isRouted) host.onLink(this.vips, network);
      this.routers.push(host);
    }
  }

  get #isRouted(): boolean {
    return this.profile.announcer === "bgp";
  }

  /** Endpoints reach VIPs, and nothing else, by a router beside them; it redirects nobody. */
  #buildCoreRouter(): void {
    const { coreRouter } = this.profile;
    const host = this.lab.host("rc", { core: this.#addresses(coreRouter, this.profile.coreBits) });
    host.run("sysctl", ["-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    for (const endpoint of this.endpoints)
      endpoint.ip(
        ...this.vips.map((vip) => {
          const gateway = isV6(vip) ? coreRouter.ipv6 : coreRouter.ipv4;
          return `route replace ${vip}/${isV6(vip) ? 128 : 32} via ${gateway} dev core`;
        }),
      );
    this.routers.push(host);
  }

  /** The network on which a router meets the members. */
  #memberNetworkOf(router: Host): string {
    return router.name === "rc" ? "core" : (PATH_NETWORKS[this.routers.indexOf(router)] as string);
  }

  /** Members reach clients through the routers. */
  #routeBack(member: Host): void {
    const { profile } = this;
    if (profile.router === undefined) return;
    for (const [k, network] of PATH_NETWORKS.entries())
      for (const prefix of this.#sctpAddresses(Object.values(profile.router.clients(k)))) {
        const { ipv4, ipv6 } = profile.router.member(k);
        member.ip(`route replace ${prefix} via ${isV6(prefix) ? ipv6 : ipv4} dev ${network}`);
      }
  }

  /** The router that a client's packets to a VIP go to on `network`; undefined where it is on the link. */
  gateway(vip: Address, network: string): Address | undefined {
    const address = this.profile.router?.client(PATH_NETWORKS.indexOf(network as never));
    return isV6(vip) ? address?.ipv6 : address?.ipv4;
  }

  /** A client's packets to a VIP leave by `network`. */
  route(client: Host, vip: Address, network: string): void {
    client.ip(this.#routeTo(vip, network));
  }

  #routeTo(vip: Address, network: string): string {
    const gateway = this.gateway(vip, network);
    const via = gateway === undefined ? "" : ` via ${gateway}`;
    return `route replace ${vip}/${isV6(vip) ? 128 : 32}${via} dev ${network}`;
  }

  /** One more address for a client, of its side of a path network. */
  addAddress(client: Host, network: string, address: Address): void {
    const { ipv4, ipv6 } = this.profile.clientBits;
    const v6 = isV6(address);
    client.ip(`addr add ${address}/${v6 ? ipv6 : ipv4} dev ${network}${v6 ? " nodad" : ""}`);
    this.#routeBySource(client, [network], [address]);
  }

  /** Whose hardware address a client's packets to a VIP bear. */
  neighbourOf(vip: Address, network: string): Address {
    return this.gateway(vip, network) ?? vip;
  }

  /** An address of the clients' side of a path network that is no client's, of the VIPs' first family. */
  stranger(n: number, network: string = PATH_NETWORKS[0]): Address {
    const { ipv4, ipv6 } = this.profile.client(PATH_NETWORKS.indexOf(network as never), STRANGER_FIRST + n);
    return isV6(this.vips[0] as Address) ? ipv6 : ipv4;
  }

  #makeCertificates(hosts: readonly Host[]): (n: number) => object {
    const directory = join(this.lab.directory, "certificates");
    makeCertificates(
      directory,
      hosts.map(({ name }) => name),
    );
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
        addresses: endpoint.addresses("core"),
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
    if (this.#isRouted) {
      sections["announcer"] = {
        kind: "bgp",
        localAs: MEMBERS_AS,
        directory: join(this.lab.directory, `${host.name}.bgp`),
      };
    }
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
      ...(this.#isRouted && {
        routers: this.routers.map((router) => ({
          name: router.name,
          address: router.addresses(this.#memberNetworkOf(router))[0],
          as: ROUTERS_AS,
          ipv6: this.vips.some(isV6) && this.vips.some((vip) => !isV6(vip)),
          bfd: { intervalMs: this.options.bfdIntervalMs ?? BFD_INTERVAL_MS, multiplier: 3 },
        })),
      }),
      // Where routers lead to the clients, the routes say what is believed.
      clientPrefixes: this.profile.router === undefined ? ["fd00::/8"] : [],
      services: this.options.withService === false ? [] : [this.serviceSpec()],
    };
  }

  /**
   * Starts all members at once, and waits until every VIP of the file's service has an owner that everybody
   * names.
   */
  async start(): Promise<void> {
    await Promise.all(this.bgpRouters.map((router) => router.start()));
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

  /**
   * Every running member calls every endpoint of every service up. An endpoint whose server has only just
   * begun may have refused a probe before, and gets no new association until it is asked again: whoever
   * counts on the distribution of associations waits for this first.
   */
  async endpointsUp(limitMs = 30_000): Promise<void> {
    await until(
      "all members to call all endpoints up",
      async () => {
        const lists = await Promise.all(
          this.members
            .filter((member) => member.running)
            .map((member) => member.get<{ items: { endpoints: { health: string }[] }[] }>("/v1/services")),
        );
        return lists.every(({ items }) =>
          items.every(({ endpoints }) => endpoints.every(({ health }) => health === "up")),
        );
      },
      limitMs,
      50,
    );
  }

  /**
   * Members of different groups hear nothing of each other on any network; clients and endpoints hear all.
   */
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
        ...this.profile.peer("server", index),
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
        remote: this.vips[0] as Address,
        remotePort: SERVICE_PORT,
        id: index * 1000,
        ...this.profile.peer("client", index),
        ...options,
      }),
    );
  }

  async #noted(starting: Promise<Peer>): Promise<Peer> {
    const peer = await starting;
    this.peers.push(peer);
    return peer;
  }

  clientAddresses(index: number): Address[] {
    const host = this.clients[index] as Host;
    return this.#sctpAddresses(PATH_NETWORKS.flatMap((network) => host.addresses(network)));
  }

  /** Addresses of the families that the VIPs have. */
  #sctpAddresses<Text extends string>(addresses: readonly Text[]): Text[] {
    return addresses.filter((address) => this.vips.some((vip) => isV6(vip) === isV6(address)));
  }

  /** Stops everything and removes what the kernel keeps for it. */
  close(): Promise<void> {
    return this.lab.close();
  }
}
