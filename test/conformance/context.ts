// What a scenario works with: a cluster with captures at every edge, peers, scripted clients; and what must
// hold at the end of every scenario, whatever it was about.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import {
  brief,
  type Capture,
  type CapturedPacket,
  Cluster,
  type ClusterOptions,
  leaksOf,
  type Member,
  ownAbortsOf,
  PATH_NETWORKS,
  type Peer,
  PROFILES,
  type Profile,
  RawHost,
  routed,
  ScriptedClient,
  type ScriptedOptions,
  SERVICE_PORT,
  sessionsUp,
  startCapture,
  until,
  wrongChecksumsOf,
} from "@holdfast/testkit";
import type { Surroundings } from "./scenario.ts";

/** First chunk ABORT, or ICMP. */
const ENDS = "(ip proto 132 and ip[32] = 6) or (ip6 proto 132 and ip6[52] = 6) or icmp or icmp6";
/**
 * … INIT and INIT-ACK, which list addresses, and whatever comes from or goes to the other side's networks.
 */
const LISTS =
  "(ip proto 132 and (ip[32] = 1 or ip[32] = 2)) or (ip6 proto 132 and (ip6[52] = 1 or ip6[52] = 2))";
const strangers = (networks: readonly string[]) =>
  `${ENDS} or ${LISTS} or (sctp and (${networks.map((network) => `net ${network}`).join(" or ")}))`;
const EDGE_FILTER = "sctp or icmp or icmp6 or (ip[6:2] & 0x3fff != 0) or (ip6[6] = 44)";

/** Packets of each edge, and events of each peer, in the report of a failure. */
const PACKET_COUNT = 20;
const EVENT_COUNT = 12;

export interface StageOptions extends Omit<ClusterOptions, "vips" | "fastPath"> {
  /** How many VIPs the service has; 4 when absent. */
  readonly vipCount?: number;
  /** The VIPs themselves, when the family's are not wanted. */
  readonly vips?: readonly Address[];
  /**
   * What is captured: everything, or only ABORTs, address lists and leaks, where everything would be too
   * much.
   */
  readonly edges?: "everything" | "ends";
  /** Client hosts that flood, and are not captured: tcpdump could not keep up. */
  readonly flooding?: readonly number[];
}

/** What a scenario breaks on purpose. */
export interface Exceptions {
  /** Holdfast sends ABORTs of its own here. */
  ownAborts?: boolean;
  /** Checksums that arrive wrong because they were sent wrong. */
  wrongChecksums?: boolean;
  /** Client addresses at endpoints or the other way round. */
  leaks?: boolean;
}

export interface SessionSummary {
  readonly id: string;
  readonly phase: string;
  readonly clientPort: number;
  readonly clients: readonly Address[];
  readonly endpoint?: string;
  readonly natPort?: number;
  readonly member?: string;
  readonly pending: boolean;
  readonly ended?: string;
}

export class Context {
  readonly surroundings: Surroundings;
  readonly profile: Profile;
  readonly allowed: Exceptions = {};
  readonly #captures = new Map<string, Capture[]>();
  #cluster: Cluster | undefined;

  constructor(surroundings: Surroundings) {
    this.surroundings = surroundings;
    this.profile = PROFILES[surroundings.profile ?? "lab"];
  }

  /** Of Holdfast's own protocol times: a minute's wait is `timeScale` minutes. */
  get timeScale(): number {
    return this.profile.timeScale;
  }

  /**
   * A telecom stack's options for a scenario of the lab; in the field stacks keep the timers that they have.
   */
  inLab<T extends object>(options: T): Partial<T> {
    return this.profile.name === "lab" ? options : {};
  }

  get cluster(): Cluster {
    assert.ok(this.#cluster, "the scenario has not opened a cluster");
    return this.#cluster;
  }

  get member(): Member {
    return this.cluster.members[0] as Member;
  }

  /** VIPs of the family under test. */
  vipsOf(count: number): Address[] {
    const { family } = this.surroundings;
    const { ipv4, ipv6 } = this.profile.vips;
    if (family === "ipv4") return ipv4.slice(0, count);
    if (family === "ipv6") return ipv6.slice(0, count);
    // The primary of one family, the next of the other, and so on.
    return Array.from({ length: count }, (_, i) => (i % 2 === 0 ? ipv4 : ipv6)[i] as Address);
  }

  /** Starts the cluster; everything at its edges is captured from here on. */
  async open(options: StageOptions = {}): Promise<Cluster> {
    const {
      vipCount = 4,
      vips = this.vipsOf(vipCount),
      edges = "everything",
      flooding = [],
      ...rest
    } = options;
    const all = edges === "everything";
    const configuration = {
      ...rest.configuration,
      timers: { scale: this.timeScale, ...rest.configuration?.["timers"] },
      // Scenarios count INITs at the endpoint: those that prove VIPs' ways have tests of their own.
      health: { enabled: false, proveWays: false, ...rest.configuration?.["health"] },
      ...((rest.members ?? 1) === 1 && { store: { directory: "", ...rest.configuration?.["store"] } }),
    };
    const { profile, surroundings } = this;
    this.#cluster = new Cluster({ ...rest, vips, fastPath: surroundings.fastPath, configuration, profile });
    const { clients, endpoints, lab } = this.#cluster;
    const started = this.#cluster.start();
    const captures = [
      ...endpoints.map((host) =>
        startCapture(lab, host, "core", all ? EDGE_FILTER : strangers(profile.clientPrefixes)),
      ),
      ...clients
        .filter((_, index) => !flooding.includes(index))
        .flatMap((host) =>
          PATH_NETWORKS.filter((network) => host.addresses(network).length > 0).map((network) =>
            startCapture(lab, host, network, all ? EDGE_FILTER : strangers(profile.corePrefixes)),
          ),
        ),
    ];
    for (const capture of await Promise.all(captures)) {
      const { name } = capture.host;
      this.#captures.set(name, [...(this.#captures.get(name) ?? []), capture]);
    }
    await started;
    if (profile.announcer === "bgp") await sessionsUp(this.#cluster.members);
    if (rest.withService !== false) await this.settled();
    return this.#cluster;
  }

  /** All members name the same owners, and routers that learn the VIPs' ways lead to them. */
  async settled(): Promise<void> {
    const { cluster } = this;
    await cluster.settled();
    if (this.profile.announcer !== "bgp") return;
    await routed(cluster.routers, async () => {
      const owners = [...(await cluster.settled())];
      return new Map(owners.map(([vip, name]) => [vip, cluster.memberOf(name).host]));
    });
  }

  /** Everything seen at client `index` until now, in time. */
  atClient(index = 0): Promise<CapturedPacket[]> {
    return this.#seen(this.cluster.clients[index]?.name);
  }

  atEndpoint(index = 0): Promise<CapturedPacket[]> {
    return this.#seen(this.cluster.endpoints[index]?.name);
  }

  /** Waits for the captures first: what is not in them has not happened. */
  async #seen(name = ""): Promise<CapturedPacket[]> {
    await Promise.all((this.#captures.get(name) ?? []).map((capture) => capture.flush()));
    return this.#captured(name);
  }

  #captured(name = ""): CapturedPacket[] {
    return (this.#captures.get(name) ?? [])
      .flatMap((capture) => capture.packets())
      .sort((a, b) => a.wallMs - b.wallMs);
  }

  // ---- peers

  /** A client without a stack on client host `index`; it lists all the host's addresses. */
  scripted(index = 0, options: Partial<ScriptedOptions> = {}): ScriptedClient {
    const host = this.cluster.clients[index];
    assert.ok(host);
    const addresses = this.cluster.clientAddresses(index);
    const routed = this.profile.router === undefined ? {} : { routedBySource: addresses };
    return new ScriptedClient(new RawHost(host, routed), {
      port: 36_412,
      servicePort: SERVICE_PORT,
      addresses,
      vips: this.cluster.vips,
      ...options,
    });
  }

  /** All paths of all associations are there and confirmed, as each peer sees them. */
  async confirmed(peers: readonly Peer[], pathCount: number, limitMs = 10_000): Promise<void> {
    await until(
      `${pathCount} confirmed paths`,
      async () => {
        for (const peer of peers) {
          const paths = [...(await peer.paths()).values()];
          if (paths.length === 0) return false;
          if (paths.some((list) => list.length !== pathCount || list.some((p) => p.state !== "active")))
            return false;
        }
        return true;
      },
      limitMs,
    );
  }

  /** So many more numbered messages reach the endpoint from every sender. */
  async flowing(server: Peer, count = 20, limitMs = 15_000): Promise<void> {
    const before = new Map((await server.receipts()).map((r) => [r.client, r.received]));
    await until(
      `${count} more messages of ${before.size} senders`,
      async () => {
        const now = await server.receipts();
        return now.length > 0 && now.every((r) => r.received >= (before.get(r.client) ?? 0) + count);
      },
      limitMs,
      20,
    );
  }

  /** Stops the numbers; every message that was sent has arrived once and in order, and nothing broke. */
  async intact(clients: readonly Peer[], servers: readonly Peer[]): Promise<void> {
    const figures = (await Promise.all(clients.map((client) => client.settle()))).flat();
    const receipts = (await Promise.all(servers.map((server) => server.receipts()))).flat();
    for (const figure of figures) {
      const receipt = receipts.find(({ client }) => client === figure.id);
      const about = `association ${figure.id}: ${JSON.stringify({ figure, receipt })}`;
      assert.ok(figure.up, `${about} is not up`);
      assert.equal(figure.ups, 1, `${about} came up ${figure.ups} times`);
      assert.equal(figure.lost + figure.restarts + figure.retries, 0, about);
      assert.ok(figure.sent > 0, `${about} sent nothing`);
      assert.equal(receipt?.received, figure.sent, `${about}: messages lost`);
      assert.equal(receipt?.duplicates, 0, `${about}: duplicates`);
      assert.equal(receipt?.outOfOrder, 0, `${about}: out of order`);
      assert.equal(receipt?.corrupt, 0, `${about}: corrupt`);
    }
  }

  // ---- the daemon

  async sessions(member = this.member): Promise<SessionSummary[]> {
    return (await member.get<{ items: SessionSummary[] }>("/v1/sessions?limit=1000")).items;
  }

  /** The one session that is not closed. */
  async session(member = this.member): Promise<SessionSummary> {
    const living = (await this.sessions(member)).filter(({ phase }) => phase !== "closed");
    assert.equal(living.length, 1, `one living session, not ${JSON.stringify(living)}`);
    return living[0] as SessionSummary;
  }

  /** Waits until every session is closed, as these members see it. */
  async closed(members: readonly Member[] = [this.member]): Promise<void> {
    await until(`sessions to be closed at ${members.map(({ name }) => name)}`, async () => {
      const lists = await Promise.all(members.map((member) => this.sessions(member)));
      return lists.flat().every(({ phase }) => phase === "closed");
    });
  }

  /** Packets that the members dropped, by reason, in fast and slow path together. */
  async drops(): Promise<Map<string, number>> {
    const sums = new Map<string, number>();
    for (const member of this.cluster.members.filter(({ running }) => running)) {
      const { body } = await member.fetch("GET", "/v1/metrics");
      for (const [, reason, value] of body.matchAll(
        /^holdfast_(?:fast|slow)_path_dropped_packets_total\{reason="([^"]+)"\} (\d+)/gm,
      )) {
        sums.set(reason as string, (sums.get(reason as string) ?? 0) + Number(value));
      }
    }
    return sums;
  }

  /** Drops for any of the reasons rise by `count` at least while `action` runs and shortly after. */
  async dropped(
    reasons: readonly string[],
    count: number,
    action: () => Promise<void> | void,
  ): Promise<void> {
    const sum = async () => {
      const drops = await this.drops();
      return reasons.reduce((total, reason) => total + (drops.get(reason) ?? 0), 0);
    };
    const before = await sum();
    await action();
    await until(
      `${count} drops because of ${reasons.join(" or ")}`,
      async () => (await sum()) >= before + count,
      3_000,
      20,
    ).catch(async (error: unknown) => {
      throw new Error(`${(error as Error).message}; drops are ${JSON.stringify([...(await this.drops())])}`);
    });
  }

  /** Makes the service through the API, so that it can be changed there; returns its URL. */
  async createService(): Promise<string> {
    const { status, body } = await this.member.fetch("POST", "/v1/services", this.cluster.serviceSpec());
    assert.equal(status, 201, body);
    await this.settled();
    return `/v1/services/${encodeURIComponent((JSON.parse(body) as { id: string }).id)}`;
  }

  // ---- the end

  /** What holds after every scenario. */
  async judge(): Promise<void> {
    const { clients, endpoints, vips, members } = this.cluster;
    for (const member of members) assert.ok(!member.crashed, `${member.name} ended by itself`);
    await Promise.all([...this.#captures.values()].flat().map((capture) => capture.stop()));
    const clientSide = clients.flatMap(({ name }) => this.#captured(name));
    const endpointSide = endpoints.flatMap(({ name }) => this.#captured(name));
    const clientAddresses = clients.flatMap((_, i) => this.cluster.clientAddresses(i));
    const endpointAddresses = endpoints.flatMap((host) => host.addresses("core"));
    if (!this.allowed.leaks) {
      const notFrom = (packets: readonly CapturedPacket[], own: readonly string[]) =>
        packets.filter(({ source }) => !own.includes(source));
      const atEndpoints = leaksOf(notFrom(endpointSide, endpointAddresses), clientAddresses);
      const atClients = leaksOf(notFrom(clientSide, clientAddresses), endpointAddresses);
      assert.deepEqual(atEndpoints.map(brief), [], "a client's address at an endpoint");
      assert.deepEqual(atClients.map(brief), [], "an endpoint's address at a client");
    }
    const fromVips = (packets: readonly CapturedPacket[]) => packets.filter((p) => vips.includes(p.source));
    if (!this.allowed.wrongChecksums) {
      const wrong = wrongChecksumsOf(fromVips([...clientSide, ...endpointSide]));
      assert.deepEqual(wrong.map(brief), [], "wrong checksums");
    }
    if (!this.allowed.ownAborts) {
      const aborts = ownAbortsOf([...clientSide, ...endpointSide], vips);
      assert.deepEqual(aborts.map(brief), [], "ABORTs of Holdfast's own");
    }
  }

  async close(): Promise<void> {
    await this.#cluster?.close();
  }

  /**
   * The last packets at every edge and the last events of every peer, for a report of what failed. Never
   * throws.
   */
  excerpt(): string {
    const captures = [...this.#captures].map(([name]) => {
      try {
        const packets = this.#captured(name);
        const lines = packets.slice(-PACKET_COUNT).map((packet) => `  ${brief(packet)}`);
        return [`--- last of ${packets.length} packets at ${name}`, ...lines].join("\n");
      } catch (error) {
        return `--- no capture at ${name}: ${(error as Error).message}`;
      }
    });
    const events = (this.#cluster?.peers ?? []).map(({ role, host, events }) => {
      const lines = events.slice(-EVENT_COUNT).map((event) => `  ${JSON.stringify(event)}`);
      return [`--- last of ${events.length} events of the ${role} on ${host.name}`, ...lines].join("\n");
    });
    return [...captures, ...events].join("\n");
  }

  /** Ends of the members' logs, for a report of what failed. */
  logs(): string {
    return (this.#cluster?.members ?? []).map((m) => `--- ${m.name}\n${m.log().slice(-3000)}`).join("\n");
  }
}
