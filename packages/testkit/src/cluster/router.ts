// A router of the lab: BIRD, which takes VIPs from every member and puts its choice into its kernel.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { until } from "../wait.ts";
import type { Member } from "./member.ts";

/**
 * Three of these without a word, and a member is dead to its routers. What docs/routers.md recommends; a quiet machine
 * of one's own takes 50.
 */
export const BFD_INTERVAL_MS = 100;
const ROUTER_AS = 65_000;
const MEMBER_AS = 65_001;
const BIRD = "/usr/sbin/bird";

/** Sessions with `members` over `network`; the router waits for them to connect. */
export function startRouter(
  lab: Lab,
  router: Host,
  network: string,
  members: readonly Host[],
  bfdIntervalMs: number,
): void {
  const at = (suffix: string) => join(lab.directory, `${router.name}.${suffix}`);
  const first = (host: Host) => host.addresses(network)[0] as string;
  const own = first(router);
  const sessions = members.map((member) => {
    const both = router.addresses(network).some((address) => address.includes(":") !== own.includes(":"));
    const channel = (family: string) => `  ${family} { import all; export none; };`;
    return [
      `protocol bgp from_${member.name} {`,
      `  local as ${ROUTER_AS}; neighbor ${first(member)} as ${MEMBER_AS}; passive on; bfd on; med metric;`,
      "  hold time 30; error wait time 1,2;",
      ...(both || !own.includes(":") ? [channel("ipv4")] : []),
      ...(both || own.includes(":") ? [channel("ipv6")] : []),
      "}",
    ].join("\n");
  });
  writeFileSync(
    at("conf"),
    [
      `router id ${own.includes(":") ? `0.0.2.${router.name.charCodeAt(1)}` : own};`,
      "log stderr all;",
      "timeformat log iso long us;",
      "protocol device { scan time 2; }",
      `protocol bfd { interface "*" { interval ${bfdIntervalMs} ms; idle tx interval 200 ms; multiplier 3; }; }`,
      "protocol kernel { ipv4 { import none; export all; }; }",
      "protocol kernel { ipv6 { import none; export all; }; }",
      ...sessions,
      "",
    ].join("\n"),
  );
  const child = router.spawn(
    "chrt",
    ["-f", "10", BIRD, "-f", "-c", at("conf"), "-s", at("ctl"), "-P", at("pid")],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  child.stderr?.on("data", (data) => writeFileSync(at("log"), data, { flag: "a" }));
}

/** The member's address to which a router's kernel sends a VIP's packets; undefined: nowhere. */
export function routeOf(router: Host, vip: string): string | undefined {
  const family = vip.includes(":") ? "-6" : "-4";
  return /via (\S+)/.exec(router.run("ip", [family, "route", "show", vip]))?.[1];
}

/** What a router holds for a VIP, the best first: "NEXT-HOP (MED 10, path 65001)". */
export async function routeTable(directory: string, router: Host, vip: string): Promise<string[]> {
  const text = router.run("birdc", [
    "-s",
    join(directory, `${router.name}.ctl`),
    "show",
    "route",
    "all",
    `${vip}/${vip.includes(":") ? 128 : 32}`,
  ]);
  return [...text.matchAll(/\tvia (\S+) on [\s\S]*?(?=\tvia |$)/g)].map(([entry, via]) => {
    const med = /BGP\.med: (\d+)/.exec(entry)?.[1] ?? "none";
    const path = /BGP\.as_path: (.*)/.exec(entry)?.[1] ?? "";
    return `${via} (MED ${med}, path ${path})`;
  });
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
