// A router of the lab: BIRD or FRR, which takes VIPs from every member and puts its choice into its kernel.
import type { ChildProcess } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type Address, parseAddress } from "@holdfast/model";
import type { Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { runSync } from "../lab/shell.ts";
import { until } from "../wait.ts";
import type { Member } from "./member.ts";

/**
 * Three of these without a word, and a member is dead to its routers. What docs/routers.md recommends; a
 * quiet machine of one's own takes 50.
 */
export const BFD_INTERVAL_MS = 100;
const ROUTER_AS = 65_000;
const MEMBER_AS = 65_001;
const BIRD = "/usr/sbin/bird";
const FRR = "/usr/lib/frr";

export type RouterSoftware = "bird" | "frr";

export interface RouterOptions {
  readonly software: RouterSoftware;
  readonly bfdIntervalMs: number;
  /** Equal routes are used side by side, chosen by addresses and ports. */
  readonly ecmp?: boolean;
}

/**
 * A host of the lab that routes as a daemon of others tells it to; it has sessions with `members` over
 * `network`.
 */
export class BgpRouter {
  readonly host: Host;
  readonly network: string;
  readonly #lab: Lab;
  readonly #members: readonly Host[];
  readonly #options: RouterOptions;
  #children: ChildProcess[] = [];

  constructor(lab: Lab, host: Host, network: string, members: readonly Host[], options: RouterOptions) {
    this.host = host;
    this.network = network;
    this.#lab = lab;
    this.#members = members;
    this.#options = options;
  }

  async start(): Promise<void> {
    // Ports count only so: with addresses alone, a client is always at the same next hop.
    if (this.#options.ecmp === true)
      for (const family of ["ipv4", "ipv6"])
        this.host.run("sysctl", ["-q", "-w", `net.${family}.fib_multipath_hash_policy=1`]);
    if (this.#options.software === "frr") await this.#startFrr();
    else this.#startBird();
  }

  /** As when it loses its power: no goodbye. Its kernel keeps the routes until they are learnt anew. */
  async kill(): Promise<void> {
    const children = this.#children.splice(0);
    const ends = children.map((child) => new Promise((resolve) => child.once("exit", resolve)));
    for (const child of children) child.kill("SIGKILL");
    await Promise.all(ends);
  }

  /** What the router holds for a VIP, the best first: "NEXT-HOP (MED 10, path 65001)". */
  table(vip: Address): string[] {
    return this.#options.software === "frr" ? this.#frrTable(vip) : this.#birdTable(vip);
  }

  #at(suffix: string): string {
    return join(this.#lab.directory, `${this.host.name}.${suffix}`);
  }

  #own(): Address {
    return this.host.addresses(this.network)[0] as Address;
  }

  #routerId(): string {
    const own = this.#own();
    return own.includes(":") ? `0.0.2.${this.host.name.charCodeAt(1)}` : own;
  }

  #families(): readonly ("ipv4" | "ipv6")[] {
    const v6 = this.host.addresses(this.network).map((address) => address.includes(":"));
    return [
      ...(v6.includes(false) ? (["ipv4"] as const) : []),
      ...(v6.includes(true) ? (["ipv6"] as const) : []),
    ];
  }

  /** Real-time priority as for any BFD on a busy machine, and for nothing else: it may go in circles. */
  #spawn(program: string, words: readonly string[], speaksBfd: boolean): void {
    const priority = speaksBfd ? ["-f", "10"] : ["-o", "0"];
    const child = this.host.spawn("chrt", [...priority, program, ...words], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (data) => writeFileSync(this.#at("log"), data, { flag: "a" }));
    this.#children.push(child);
  }

  #startBird(): void {
    this.#writeBird();
    this.#spawn(BIRD, ["-f", "-c", this.#at("conf"), "-s", this.#at("ctl"), "-P", this.#at("pid")], true);
  }

  #writeBird(): void {
    const merge = this.#options.ecmp === true ? " merge paths yes;" : "";
    const sessions = this.#members.map((member) =>
      [
        `protocol bgp from_${member.name} {`,
        `  local as ${ROUTER_AS}; neighbor ${first(member, this.network)} as ${MEMBER_AS}; passive on; bfd on; med metric;`,
        "  hold time 30; error wait time 1,2;",
        ...this.#families().map((family) => `  ${family} { import all; export none; };`),
        "}",
      ].join("\n"),
    );
    writeFileSync(
      this.#at("conf"),
      [
        `router id ${this.#routerId()};`,
        "log stderr all;",
        "timeformat log iso long us;",
        "protocol device { scan time 2; }",
        `protocol bfd { interface "*" { interval ${this.#options.bfdIntervalMs} ms; idle tx interval 200 ms; multiplier 3; }; }`,
        `protocol kernel {${merge} ipv4 { import none; export all; }; }`,
        `protocol kernel {${merge} ipv6 { import none; export all; }; }`,
        ...sessions,
        "",
      ].join("\n"),
    );
  }

  /**
   * One file a daemon: in a common one, a block of bfdd's makes bgpd drop what follows. Zebra listens before
   * the others begin: a bgpd whose first connection to it fails is back after 10 s, and never asks for BFD
   * (FRR 8.4.4).
   */
  async #startFrr(): Promise<void> {
    const { bfdIntervalMs } = this.#options;
    const directory = this.#at("frr");
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory);
    const neighbours = this.#members.map((member) => first(member, this.network));
    const lines = {
      zebra: [],
      bfdd: [
        ...["bfd", " profile fast", "  detect-multiplier 3", `  receive-interval ${bfdIntervalMs}`],
        ...[`  transmit-interval ${bfdIntervalMs}`, " exit", "exit"],
      ],
      bgpd: [
        `router bgp ${ROUTER_AS}`,
        ` bgp router-id ${this.#routerId()}`,
        ...[" no bgp ebgp-requires-policy", " no bgp default ipv4-unicast", " timers bgp 3 9"],
        ...this.#members.flatMap((member) => {
          const neighbour = ` neighbor ${first(member, this.network)}`;
          return [
            `${neighbour} remote-as ${MEMBER_AS}`,
            `${neighbour} passive`,
            `${neighbour} bfd`,
            `${neighbour} bfd profile fast`,
          ];
        }),
        ...this.#families().flatMap((family) => [
          ` address-family ${family} unicast`,
          ...neighbours.map((address) => `  neighbor ${address} activate`),
          ...(this.#options.ecmp === true ? [] : ["  maximum-paths 1"]),
          " exit-address-family",
        ]),
        "exit",
      ],
    } as const;
    const at = (suffix: string) => join(directory, suffix);
    // It has a user of its own, whom root cannot stand in for.
    runSync("chown", ["-R", "frr:frr", directory]);
    for (const [daemon, text] of Object.entries(lines)) {
      writeFileSync(at(`${daemon}.conf`), ["log stdout", ...text, ""].join("\n"));
      this.#spawn(
        join(FRR, daemon),
        [
          ...["-z", at("zserv.api"), "--vty_socket", directory],
          ...["-i", at(`${daemon}.pid`), "-f", at(`${daemon}.conf`), "-P", "0", "-A", "127.0.0.1"],
          ...(daemon === "bfdd" ? ["--bfdctl", at("bfdd.sock")] : []),
        ],
        daemon === "bfdd",
      );
      if (daemon === "zebra")
        await until(`zebra of ${this.host.name} to listen`, () => isListening(at("zserv.api")));
    }
  }

  #birdTable(vip: Address): string[] {
    const prefix = `${vip}/${vip.includes(":") ? 128 : 32}`;
    const text = this.host.run("birdc", ["-s", this.#at("ctl"), "show", "route", "all", prefix]);
    return [...text.matchAll(/\tvia (\S+) on [\s\S]*?(?=\tvia |$)/g)].map(([entry, via]) => {
      const med = /BGP\.med: (\d+)/.exec(entry)?.[1] ?? "none";
      const path = /BGP\.as_path: (.*)/.exec(entry)?.[1] ?? "";
      return `${via} (MED ${med}, path ${path})`;
    });
  }

  #frrTable(vip: Address): string[] {
    const family = vip.includes(":") ? "ipv6" : "ipv4";
    const words = ["--vty_socket", this.#at("frr"), "-c", `show bgp ${family} unicast ${vip} json`];
    const { paths = [] } = JSON.parse(this.host.run("vtysh", words)) as {
      paths?: {
        aspath: { string: string };
        metric?: number;
        bestpath?: object;
        nexthops: { ip: string }[];
      }[];
    };
    return paths
      .sort((a, b) => Number(b.bestpath !== undefined) - Number(a.bestpath !== undefined))
      .map(
        ({ aspath, metric = "none", nexthops }) =>
          `${nexthops[0]?.ip} (MED ${metric}, path ${aspath.string})`,
      );
  }
}

function isListening(socket: string): Promise<boolean> {
  return new Promise((resolve) => {
    const connection = connect(socket);
    connection.once("error", () => resolve(false));
    connection.once("connect", () => {
      connection.destroy();
      resolve(true);
    });
  });
}

function first(host: Host, network: string): Address {
  return host.addresses(network)[0] as Address;
}

/** The members' addresses to which a router's kernel sends a VIP's packets; none: nowhere. */
export function routesOf(router: Host, vip: string): Address[] {
  const family = vip.includes(":") ? "-6" : "-4";
  const text = router.run("ip", [family, "-N", "route", "show", vip]);
  return [...text.matchAll(/via (?:inet6 )?(\S+)/g)].map(([, via]) => parseAddress(via as string));
}

/** The one, or the first. */
export function routeOf(router: Host, vip: string): Address | undefined {
  return routesOf(router, vip)[0];
}

/** Every running member has a session with every router, watched by BFD. */
export function sessionsUp(members: readonly Member[], limitMs = 60_000): Promise<true> {
  return until(
    "sessions with all routers, BFD included",
    async () => {
      const views = await Promise.all(
        members
          .filter(({ running }) => running)
          .map((member) => member.get<{ items: { session: string; bfd?: string }[] }>("/v1/routers")),
      );
      return views.every(({ items }) =>
        items.every(({ session, bfd }) => session === "Established" && bfd === "Up"),
      );
    },
    limitMs,
    50,
  );
}

/** Every router sends every VIP's packets to its owner, whoever that is by then. */
export function routed(
  routers: readonly Host[],
  owners: () => Promise<ReadonlyMap<string, Host>>,
  limitMs = 60_000,
): Promise<true> {
  const networks = ["path-a", "path-b", "path-c", "core"];
  return until(
    "routers to send to the owners",
    async () => {
      const now = await owners();
      return routers.every((router) =>
        [...now].every(([vip, owner]) => {
          const via = routeOf(router, vip);
          return via !== undefined && networks.some((network) => owner.addresses(network).includes(via));
        }),
      );
    },
    limitMs,
    20,
  );
}
