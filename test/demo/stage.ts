// What every story of the demo stands on: the cluster, the peers, the captures at the edges, and the final
// figures.
import type { Address } from "@holdfast/model";
import {
  type Capture,
  type CapturedPacket,
  Cluster,
  type Door,
  monotonicMs,
  PATH_NETWORKS,
  type Peer,
  type PeerEvent,
  ROUTED_PROFILE,
  routeOf,
  sessionsUp,
  startCapture,
  until,
} from "@holdfast/testkit";
import { countInits, countOwnAborts } from "./aborts.ts";
import type { DemoOptions } from "./options.ts";
import { bold, cyan, dim, green, red, type Screen, yellow } from "./screen.ts";

/** Messages per second and association, bytes each. */
const RATE = 50;
const MESSAGE_SIZE = 200;
const CHUNK_DATA = 0;
/** Clients with one, two and three addresses. */
const CLIENT_ADDRESS_COUNTS = [1, 2, 3];

export interface Figures {
  readonly associations: number;
  /** COMM_LOST, a restart, or a second INIT: the peers never reconnect unasked. */
  readonly lost: number;
  readonly abortsSent: number;
  readonly messagesSent: number;
  readonly messagesLost: number;
  /** By association, from the receiver's clock, ms. */
  readonly longestGapMs: readonly number[];
}

/** What a server had of a client when it was asked last. */
interface Watched {
  readonly received: number;
  readonly gapMs: number;
  readonly lastMs: number;
}

/** An association that a server has heard within this time is with it. */
const HEARD_MS = 1000;

/** The member that has one of a text's addresses, with what stands beside it. */
function nameIn(cluster: Cluster, text: string): string {
  for (const { host, name } of cluster.members)
    for (const network of [...PATH_NETWORKS, "core"])
      for (const address of host.addresses(network))
        if (text.split(" ").includes(address)) return text.replace(address, name);
  return text;
}

export class Stage {
  readonly screen: Screen;
  readonly options: DemoOptions;
  readonly cluster: Cluster;
  readonly servers: Peer[] = [];
  readonly clients: Peer[] = [];
  readonly edges: Capture[] = [];
  /** By server, then by sender. Of a server that died what was seen last stays. */
  readonly #watched = new Map<Peer, Map<number, Watched>>();
  #owners = new Map<string, string>();
  #sessions = 0;
  #watch: NodeJS.Timeout | undefined;
  /** To each member's API, on this machine's loopback, for a browser. */
  readonly #doors: readonly Door[];

  constructor(screen: Screen, options: DemoOptions, doors: readonly Door[]) {
    this.screen = screen;
    this.#doors = doors;
    this.options = options;
    this.cluster = new Cluster({
      ...(options.announcer === "bgp" && { profile: ROUTED_PROFILE }),
      members: options.members,
      endpoints: options.endpoints,
      clients: CLIENT_ADDRESS_COUNTS,
      fastPath: options.fastPath,
      withService: !options.kubernetes,
      api: (index) => ({ url: doors[index]?.origin }),
      // An endpoint's death should be seen in a second here.
      configuration: { health: { intervalMs: 250, timeoutMs: 200, downCount: 2, upCount: 2 } },
    });
  }

  /** See `Scene`. */
  readonly isMessage = ({ sctp }: CapturedPacket): boolean =>
    sctp?.chunks.some(({ type }) => type === CHUNK_DATA) === true;

  get associationCount(): number {
    return this.clients.length * this.options.associations;
  }

  /** `beforeClients`: the endpoints are there, and what makes the service. */
  async open(
    clientOptions: { readonly reconnect?: boolean } = {},
    beforeClients?: () => Promise<void>,
  ): Promise<void> {
    const { screen, cluster, options } = this;
    screen.say(
      `the lab stands: ${bold(`${options.members} member${options.members > 1 ? "s" : ""}`)}, ${options.endpoints} endpoint${options.endpoints > 1 ? "s" : ""}, ` +
        "clients with one, two and three addresses",
    );
    await cluster.start();
    for (const [index, member] of cluster.members.entries()) {
      const door = this.#doors[index];
      if (door !== undefined) door.socket = member.socket;
    }
    screen.say(`its page: ${bold(`${this.#doors[0]?.origin}/console/`)}`);
    const log = cluster.members[0]?.log() ?? "";
    const mode = /"fastPath":"([^"]+)"/.exec(log)?.[1] ?? "?";
    screen.say(`members are ready, fast path ${bold(mode)}; service ${cluster.vips.join(", ")} port 38412`);
    if (options.announcer === "bgp") await this.#tellRouters();
    if (options.members > 1 && beforeClients === undefined) {
      for (const [vip, owner] of await cluster.settled())
        screen.say(`  ${cyan(vip)} belongs to ${bold(owner)}`);
    }
    for (const [index, host] of cluster.endpoints.entries()) {
      this.edges.push(await startCapture(cluster.lab, host, "core", "ip proto 132 or ip6 proto 132"));
      this.servers.push(await cluster.startEndpoint(index, { echo: true }));
    }
    await beforeClients?.();
    for (const [index, count] of CLIENT_ADDRESS_COUNTS.entries()) {
      const host = cluster.clients[index];
      if (host === undefined) continue;
      for (const network of PATH_NETWORKS.slice(0, count))
        this.edges.push(await startCapture(cluster.lab, host, network, "ip proto 132 or ip6 proto 132"));
      this.clients.push(
        await cluster.startClient(index, {
          rate: options.killEndpoint ? 5 : RATE,
          size: MESSAGE_SIZE,
          associations: options.associations,
          ...clientOptions,
        }),
      );
    }
    for (const client of this.clients) {
      await client.established(options.associations);
      client.on("event", (event) => this.#tell(client, event));
    }
    const pathCount = cluster.vips.length;
    await until("every path to be confirmed on both sides", async () => {
      const sides = await Promise.all([...this.clients, ...this.servers].map((peer) => peer.paths()));
      return sides.every((paths) =>
        [...paths.values()].every(
          (list) => list.length === pathCount && list.every((p) => p.state === "active"),
        ),
      );
    });
    screen.say(
      green(
        `${this.associationCount} associations are up, ${pathCount} paths each, all confirmed on both sides`,
      ),
    );
    this.#watch = setInterval(() => void this.#look(), 200);
    screen.show(() => this.#board());
  }

  #tell(client: Peer, { event, id, address, state }: PeerEvent): void {
    // Hundreds of associations that go and come back: the story counts them.
    if (this.options.killEndpoint) return;
    const who = `client ${client.host.name}`;
    if (event === "path" && state === "unreachable")
      this.screen.say(yellow(`${who}: path to ${address} is down`));
    else if (event === "path" && state === "reachable")
      this.screen.say(green(`${who}: path to ${address} is back`));
    else if (event === "lost" || event === "restart" || event === "cannotStart")
      this.screen.say(red(`${who}: association ${id} ${event}`));
  }

  async #look(): Promise<void> {
    try {
      for (const server of this.servers.filter((s) => s.running)) {
        const receipts = await server.receipts();
        this.#watched.set(
          server,
          new Map(
            receipts.map((r) => [
              r.client,
              { received: r.received, gapMs: r.longestGapMs, lastMs: r.lastMs },
            ]),
          ),
        );
      }
      const member = this.cluster.members.find((m) => m.running);
      if (member !== undefined) {
        this.#owners = await this.cluster.owners(member);
        this.#sessions = await member.metric('holdfast_sessions{protocol="sctp",phase="established"}');
      }
    } catch {
      // A member that dies while it is asked: the next look asks another.
    }
  }

  #board(): readonly string[] {
    const { cluster } = this;
    const members = cluster.members
      .map((m) => (m.running ? green(`● ${m.name}`) : red(`○ ${m.name}`)))
      .join("  ");
    const owners = cluster.vips
      .map((vip) => `${vip} ${dim("→")} ${this.#owners.get(vip) ?? "?"}`)
      .join("   ");
    const rows = this.clients.flatMap((client) => {
      const mine = [...this.#watched.values()]
        .flatMap((senders) => [...senders])
        .filter(([id]) => Math.floor(id / 1000) === this.clients.indexOf(client));
      const received = mine.reduce((sum, [, w]) => sum + w.received, 0);
      const gap = Math.max(0, ...mine.map(([, w]) => w.gapMs));
      const addresses = cluster.clientAddresses(this.clients.indexOf(client)).length;
      return [
        `  ${client.host.name} ${dim(`${addresses} address${addresses > 1 ? "es" : " "}`)}  received ${String(received).padStart(6)}  longest gap ${gap.toFixed(0).padStart(5)} ms`,
      ];
    });
    return [
      dim("─".repeat(72)),
      `  ${members}    ${this.#sessions} sessions`,
      `  ${owners}`,
      ...this.#routerBoard(),
      ...(this.servers.length > 1 ? [`  ${this.#endpointBoard()}`] : []),
      ...rows,
    ];
  }

  async #tellRouters(): Promise<void> {
    const { cluster, screen } = this;
    const [r1, r2, r3, rc] = cluster.routers.map(({ name }) => bold(name));
    screen.say(`routers ${r1}, ${r2}, ${r3} stand between clients and members, ${rc} beside the endpoints:`);
    screen.say(dim("  clients ── path-a ── r1 ──┐                 ┌── core ── endpoints"));
    screen.say(dim("          ── path-b ── r2 ──┼── m1, m2, m3 ───┤"));
    screen.say(dim("          ── path-c ── r3 ──┘                 └── rc, the endpoints' gateway"));
    await sessionsUp(cluster.members);
    screen.say("every member has a session with every router: BGP, watched by BFD at 3 x 100 ms");
    const primary = cluster.vips[0] as Address;
    for (const router of cluster.bgpRouters) {
      const table = router.table(primary);
      screen.say(
        `  ${bold(router.host.name)} holds ${cyan(primary)}: ${table.map((line) => nameIn(cluster, line)).join(", then ")}`,
      );
    }
  }

  /** What each router's kernel does with each VIP now. */
  #routerBoard(): readonly string[] {
    const { cluster } = this;
    if (this.options.announcer !== "bgp") return [];
    return cluster.routers.map((router) => {
      const ways = cluster.vips.map((vip) => {
        const via = routeOf(router, vip);
        return `${vip} ${dim("via")} ${via === undefined ? red("nobody") : nameIn(cluster, via)}`;
      });
      return `  ${router.name.padEnd(2)} ${ways.join("   ")}`;
    });
  }

  /** Endpoints and how many associations each carries. */
  #endpointBoard(): string {
    const heardSinceMs = monotonicMs() - HEARD_MS;
    return this.servers
      .map((server) => {
        const { name } = server.host;
        if (!server.running) return red(`○ ${name}   0`);
        const senders = [...(this.#watched.get(server)?.values() ?? [])];
        const carried = senders.filter(({ lastMs }) => lastMs > heardSinceMs).length;
        return `${green(`● ${name}`)} ${String(carried).padStart(3)} ${dim("associations")}`;
      })
      .join("   ");
  }

  /**
   * Stops the numbers, waits until the stacks hold nothing, and counts at the receivers and in the captures.
   */
  async settle(): Promise<Figures> {
    const all = await Promise.all(this.clients.map((client) => client.settle()));
    if (this.#watch !== undefined) clearInterval(this.#watch);
    const associations = all.flat();
    const receipts = new Map<number, { received: number; gapMs: number }>();
    let restarts = 0;
    for (const server of this.servers.filter((s) => s.running)) {
      for (const r of await server.receipts()) {
        const before = receipts.get(r.client) ?? { received: 0, gapMs: 0 };
        receipts.set(r.client, {
          received: before.received + r.received,
          gapMs: Math.max(before.gapMs, r.longestGapMs),
        });
      }
      restarts += (await server.serverFigures()).restarts;
    }
    for (const edge of this.edges) await edge.stop();
    const lost = associations.filter(
      (a) => !a.up || a.lost > 0 || a.restarts > 0 || a.cannotStart > 0 || a.ups !== 1,
    );
    const extraInits = Math.max(0, countInits(this.edges, this.cluster.vips) - associations.length);
    const messagesSent = associations.reduce((sum, a) => sum + a.sent, 0);
    const messagesLost = associations.reduce(
      (sum, a) => sum + a.sent - (receipts.get(a.id)?.received ?? 0),
      0,
    );
    return {
      associations: associations.length,
      lost: Math.max(lost.length, restarts, extraInits),
      abortsSent: countOwnAborts(this.edges, this.cluster.vips),
      messagesSent,
      messagesLost,
      longestGapMs: associations.map((a) => Math.round(receipts.get(a.id)?.gapMs ?? -1)),
    };
  }

  async close(): Promise<void> {
    if (this.#watch !== undefined) clearInterval(this.#watch);
    for (const door of this.#doors) door.close();
    await this.cluster.close();
  }
}
