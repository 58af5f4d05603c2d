// The demo of TCP and UDP: the same cluster and deaths under connections, or exchanges of datagrams,
// of the kernel's own stacks.
import { WAY_PORT_FIRST } from "@holdfast/forwarder/testing";
import { type Address, MEMBER_NUMBER_COUNT_MAX } from "@holdfast/model";
import {
  type Capture,
  type CapturedPacket,
  Cluster,
  type Door,
  PATH_NETWORKS,
  ROUTED_PROFILE,
  sessionsUp,
  startCapture,
  until,
} from "@holdfast/testkit";
import {
  createEchoServices,
  type PlainProtocol,
  SteadyClient as Steady,
  type SteadyClient,
  type SteadyReport,
  startEcho,
} from "../plain/steady.ts";
import type { DemoOptions } from "./options.ts";
import { bold, cyan, dim, green, red, type Screen } from "./screen.ts";

const PORT = 8_080;
/** Each flow's records, ms apart. */
const INTERVAL_MS = 20;
/** Headers of every kind, and not yet a record. */
const HEADERS_MAX = 120;
const PATH_A = PATH_NETWORKS[0];
const CLIENTS = [1, 1];

export interface PlainFigures {
  readonly protocol: PlainProtocol;
  readonly flows: number;
  /** Connections that were reset or closed. */
  readonly lost: number;
  /** RST segments that arrived at a client or an endpoint, from anybody. */
  readonly resets: number;
  readonly recordsSent: number;
  /** Of UDP those on their way when a member dies: nobody sends them again. */
  readonly recordsLost: number;
  readonly recordsWrong: number;
  /** By flow, where the records come back to, ms. */
  readonly longestGapMs: readonly number[];
}

export class PlainStage {
  readonly screen: Screen;
  readonly options: DemoOptions;
  readonly protocol: PlainProtocol;
  readonly cluster: Cluster;
  readonly edges: Capture[] = [];
  readonly #clients: SteadyClient[] = [];
  readonly #doors: readonly Door[];
  #reports: readonly SteadyReport[] = [];
  #owner = "?";
  #watch: NodeJS.Timeout | undefined;

  constructor(screen: Screen, options: DemoOptions, protocol: PlainProtocol, doors: readonly Door[]) {
    this.screen = screen;
    this.options = options;
    this.protocol = protocol;
    this.#doors = doors;
    const routed = options.announcer === "bgp";
    this.cluster = new Cluster({
      ...(routed && { profile: ROUTED_PROFILE }),
      vips: [routed ? (ROUTED_PROFILE.vips.ipv4[0] as Address) : "203.0.113.1"],
      members: options.members,
      endpoints: options.endpoints,
      clients: CLIENTS,
      fastPath: options.fastPath,
      withService: false,
      api: (index) => ({ url: doors[index]?.origin }),
    });
  }

  /** A packet that carries a record. */
  readonly isMessage = ({ protocol, bytes }: CapturedPacket): boolean =>
    protocol === (this.protocol === "tcp" ? 6 : 17) && bytes.length > HEADERS_MAX;

  async open(): Promise<void> {
    const { screen, cluster, options, protocol } = this;
    const vip = cluster.vips[0] as Address;
    const name = protocol.toUpperCase();
    screen.say(
      `the lab stands: ${bold(`${options.members} member${options.members > 1 ? "s" : ""}`)}, ` +
        `${options.endpoints} endpoint${options.endpoints > 1 ? "s" : ""} with an echo of ${name}, two clients`,
    );
    for (const host of cluster.endpoints) await startEcho(host);
    await cluster.start();
    for (const [index, member] of cluster.members.entries()) {
      const door = this.#doors[index];
      if (door !== undefined) door.socket = member.socket;
    }
    screen.say(`its page: ${bold(`${this.#doors[0]?.origin}/console/`)}`);
    if (options.announcer === "bgp") {
      await sessionsUp(cluster.members);
      screen.say("every member has a session with every router: BGP, watched by BFD at 3 x 100 ms");
    }
    await createEchoServices(cluster, PORT, [protocol]);
    const mode = /"fastPath":"([^"]+)"/.exec(cluster.members[0]?.log() ?? "")?.[1] ?? "?";
    screen.say(`members are ready, fast path ${bold(mode)}; service ${protocol} ${vip} port ${PORT}`);
    for (const [each, owner] of await cluster.settled())
      screen.say(`  ${cyan(each)} belongs to ${bold(owner)}`);
    await this.#begin(vip);
    this.#watch = setInterval(() => void this.#look(), 200);
    screen.show(() => this.#board());
  }

  async #begin(vip: Address): Promise<void> {
    const { screen, cluster, options, protocol } = this;
    // A record's silence is looked for at the endpoints, resets everywhere. ICMP carries a capture's marks.
    const filter = `${protocol} or icmp`;
    const edges = [
      ...cluster.endpoints.map((host) => [host, "core"] as const),
      ...cluster.clients.map((host) => [host, PATH_A] as const),
    ];
    for (const [host, network] of edges)
      this.edges.push(await startCapture(cluster.lab, host, network, filter));
    for (const host of cluster.clients)
      this.#clients.push(
        await Steady.start(
          host,
          { address: vip, port: PORT, protocol },
          { count: options.associations, intervalMs: INTERVAL_MS },
        ),
      );
    const count = options.associations * cluster.clients.length;
    const what = protocol === "tcp" ? "connections are" : "exchanges of datagrams are";
    screen.say(green(`${count} ${what} up: each sends a record of 200 bytes every ${INTERVAL_MS} ms`));
    if (options.members < 2) return;
    await until("every member to know all flows", async () => {
      const known = await Promise.all(cluster.members.map((member) => member.metric("holdfast_sessions")));
      return known.every((each) => each >= count);
    });
    screen.say(green("they are a second old, and every member knows them"));
  }

  async #look(): Promise<void> {
    try {
      this.#reports = await Promise.all(this.#clients.map((client) => client.report()));
      const owners = await this.cluster.owners();
      this.#owner = owners.get(this.cluster.vips[0] as Address) ?? "?";
    } catch {
      // A member that dies while it is asked: the next look asks another.
    }
  }

  #board(): readonly string[] {
    const members = this.cluster.members
      .map((member) => (member.running ? green(`● ${member.name}`) : red(`○ ${member.name}`)))
      .join("  ");
    const rows = this.#reports.map(({ received, resets, closed, gapsMs }, index) => {
      const longest = String(Math.max(0, ...gapsMs)).padStart(5);
      const name = this.#clients[index]?.host.name;
      return `  ${name}  came back ${String(received).padStart(6)}  longest gap ${longest} ms  resets ${resets}  closed ${closed}`;
    });
    return [
      dim("─".repeat(72)),
      `  ${members}    ${this.cluster.vips[0]} ${dim("→")} ${this.#owner}`,
      ...rows,
    ];
  }

  /** Stops the records, and counts where they come back to and in the captures. */
  async settle(): Promise<PlainFigures> {
    if (this.#watch !== undefined) clearInterval(this.#watch);
    const reports = await Promise.all(this.#clients.map((client) => client.settle()));
    for (const edge of this.edges) await edge.flush().then(() => edge.stop());
    const sum = (of: (report: SteadyReport) => number) =>
      reports.reduce((total, report) => total + of(report), 0);
    // Members ask endpoints for their health from their own addresses; one that is killed meanwhile resets
    // that.
    const own = new Set<string>(this.cluster.members.flatMap(({ host }) => host.addresses("core")));
    const resets = this.edges.flatMap((edge) =>
      edge
        .packets()
        .filter(({ source, destination }) => !own.has(source) && !own.has(destination))
        .flatMap((packet) => clientReset(packet) ?? [])
        .map((text) => `at ${edge.host.name} ${edge.network} ${text}`),
    );
    for (const text of resets) this.screen.say(red(text));
    return {
      protocol: this.protocol,
      flows: this.#clients.reduce((total, { count }) => total + count, 0),
      lost: sum(({ closed }) => closed),
      resets: resets.length,
      recordsSent: sum(({ sent }) => sent),
      recordsLost: sum(({ sent, received }) => sent - received),
      recordsWrong: sum(({ wrong }) => wrong),
      longestGapMs: reports.flatMap(({ gapsMs }) => gapsMs),
    };
  }

  async close(): Promise<void> {
    if (this.#watch !== undefined) clearInterval(this.#watch);
    for (const door of this.#doors) door.close();
    await this.cluster.close();
  }
}

/**
 * What is told of a reset of a client's connection; undefined: the packet is none. Members prove their ways
 * by SYNs, and take back what an endpoint made of one.
 */
function clientReset({ protocol, payload, source, destination }: CapturedPacket): string | undefined {
  if (protocol !== 6 || ((payload[13] ?? 0) & 4) === 0) return undefined;
  const view = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  const [from, to] = [view.readUInt16BE(0), view.readUInt16BE(2)];
  const isOfWay = (port: number) => port >= WAY_PORT_FIRST && port < WAY_PORT_FIRST + MEMBER_NUMBER_COUNT_MAX;
  if (isOfWay(from) || isOfWay(to)) return undefined;
  return `a reset of ${source} port ${from}, to ${destination} port ${to}`;
}
