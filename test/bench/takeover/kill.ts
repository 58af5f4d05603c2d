// One kill and its clock, all of it read from captures and logs after the fact: nothing measures while it
// happens.

import { readFileSync } from "node:fs";
import { type Address, NO_ADDRESS } from "@holdfast/model";
import {
  type Cluster,
  type Member,
  PATH_NETWORKS,
  type Peer,
  parsePcap,
  pause,
  routeOf,
  startCapture,
  until,
} from "@holdfast/testkit";
import { watchRoutes } from "./routes.ts";

/** All in ms since the kill; undefined: it did not happen within the observation. */
export interface KillClock {
  readonly how: "node" | "daemon";
  /** The successor's verdict. */
  readonly detection: number | undefined;
  /** The first gratuitous ARP for the VIP on the client's network that is not the victim's. */
  readonly announcement: number | undefined;
  /** The last of the routers that led to the victim leads elsewhere, in its kernel; behind routers alone. */
  readonly rerouted: number | undefined;
  /** The first packet from the VIP at the endpoint that is not the victim's. */
  readonly firstForwarded: number | undefined;
  /** The longest time that any association's numbered messages did not reach the endpoint. */
  readonly clientGap: number;
}

/** What follows a kill is watched for so long: longer than RTO.Max and its retransmissions. */
const OBSERVATION_MS = 1_500;
const BEFORE_MS = 300;
const ETHERTYPE_ARP = 0x0806;
const CHUNK_DATA = 0;

/** As logs and captures have it, to the fraction of a millisecond. */
export const wallMs = () => performance.timeOrigin + performance.now();

/** Kills the owner of the primary VIP. The member stays dead. */
export async function kill(
  cluster: Cluster,
  how: "node" | "daemon",
): Promise<{ victim: Member; clock: KillClock }> {
  const vip = cluster.vips[0] as Address;
  const victim = cluster.memberOf((await cluster.settled()).get(vip) as string);
  const macs = new Set(
    (JSON.parse(victim.host.run("ip", ["-j", "link"])) as { address?: string }[]).flatMap(
      ({ address }) => address ?? [],
    ),
  );
  const client = cluster.clients[0];
  const endpoint = cluster.endpoints[0];
  if (client === undefined || endpoint === undefined)
    throw new Error("the cluster has no client or endpoint");
  const network = cluster.networkOf(vip, 2);
  const own = ["core", ...PATH_NETWORKS].flatMap((each) => victim.host.addresses(each));
  const watches = await Promise.all(
    cluster.bgpRouters
      .filter(({ host }) => own.includes(routeOf(host, vip) ?? NO_ADDRESS))
      .map(({ host }) => watchRoutes(host)),
  );
  const [core, arp] = await Promise.all([
    startCapture(cluster.lab, endpoint, "core", "ip proto 132"),
    startCapture(cluster.lab, client, network, "arp"),
  ]);
  await pause(BEFORE_MS);
  const killedAtMs = wallMs();
  await (how === "node" ? victim.killNode() : victim.killDaemon());
  await pause(OBSERVATION_MS);
  const watchedUntilMs = wallMs();
  await Promise.all([core.stop(), arp.stop()]);
  for (const watch of watches) watch.stop();

  const after = (atMs: number) => (atMs >= killedAtMs ? atMs - killedAtMs : undefined);
  const least = (times: readonly (number | undefined)[]) => {
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  };
  const packets = core.packets();
  const arrivals = new Map<number, number[]>();
  for (const { wallMs, sctp, source } of packets) {
    if (sctp === undefined || !cluster.vips.includes(source)) continue;
    if (!sctp.chunks.some(({ type }) => type === CHUNK_DATA)) continue;
    arrivals.set(sctp.sourcePort, [...(arrivals.get(sctp.sourcePort) ?? []), wallMs]);
  }
  return {
    victim,
    clock: {
      how,
      detection: least(
        cluster.members
          .filter((member) => member.running)
          .flatMap((member) => verdictsOn(victim.name, member))
          .map(after),
      ),
      announcement: least(announcementsOf(vip, readFileSync(arp.file), macs).map(after)),
      rerouted: greatest(watches.map((watch) => watch.leftMs(vip, own)).map((at) => at && after(at))),
      firstForwarded: least(
        packets
          .filter(({ source, sourceMac }) => source === vip && !macs.has(sourceMac))
          .map(({ wallMs }) => after(wallMs)),
      ),
      clientGap: Math.max(...[...arrivals.values()].map((times) => longestGapMs([...times, watchedUntilMs]))),
    },
  };
}

/** Brings a killed member back and waits until everybody agrees again. */
export async function revive(cluster: Cluster, member: Member): Promise<void> {
  member.host.plug();
  await member.start();
  // Ready is one thing; it has its VIPs back when all members say the same for a while.
  let before = "";
  let sinceMs = performance.now();
  await until(
    "the VIPs to come to rest",
    async () => {
      const now = JSON.stringify([...(await cluster.settled())].sort());
      if (now !== before) {
        before = now;
        sinceMs = performance.now();
      }
      return performance.now() - sinceMs > 1_000;
    },
    60_000,
    50,
  );
}

/** A member that was away: killed after the one, back before the other; wall clock ms. */
export interface Absence {
  readonly member: string;
  readonly fromMs: number;
  readonly untilMs: number;
}

/** Verdicts on members that lived. */
export function falseVerdicts(cluster: Cluster, absences: readonly Absence[]): number {
  const verdicts = cluster.members.flatMap((of) =>
    cluster.members.flatMap((at) => verdictsOn(of.name, at).map((atMs) => ({ member: of.name, atMs }))),
  );
  return verdicts.filter(
    ({ member, atMs }) =>
      !absences.some((one) => one.member === member && atMs >= one.fromMs && atMs <= one.untilMs),
  ).length;
}

/** Messages that no endpoint got although their sender's stack has no more to send. */
export async function messagesLost(endpoint: Peer): Promise<number> {
  return (await endpoint.receipts()).reduce((sum, { missing }) => sum + missing, 0);
}

/** undefined where one of them did not happen, and where there are none. */
function greatest(times: readonly (number | undefined)[]): number | undefined {
  return times.length === 0 || times.includes(undefined) ? undefined : Math.max(...(times as number[]));
}

function verdictsOn(victim: string, member: Member): number[] {
  return member
    .log()
    .split("\n")
    .filter((line) => line.includes(`member ${victim} is dead`))
    .map((line) => Date.parse((JSON.parse(line) as { time: string }).time));
}

/** Times of gratuitous ARP for `vip` from other stations than `macs`. */
function announcementsOf(vip: Address, file: Uint8Array, macs: ReadonlySet<string>): number[] {
  const address = vip.split(".").map(Number);
  return parsePcap(file)
    .filter(({ bytes }) => {
      if (bytes.length < 42 || ((bytes[12] as number) << 8) + (bytes[13] as number) !== ETHERTYPE_ARP)
        return false;
      const mac = Buffer.from(bytes.subarray(6, 12))
        .toString("hex")
        .replace(/(..)(?=.)/g, "$1:");
      const at = (offset: number) => address.every((byte, index) => bytes[offset + index] === byte);
      return at(28) && at(38) && !macs.has(mac);
    })
    .map(({ wallMs }) => wallMs);
}

function longestGapMs(times: readonly number[]): number {
  let longest = 0;
  for (let i = 1; i < times.length; i++)
    longest = Math.max(longest, (times[i] as number) - (times[i - 1] as number));
  return longest;
}
