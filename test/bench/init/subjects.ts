// Who is flooded: a member of Holdfast with its daemon, and beside it a router with nftables that translates
// the same.
import type { Address } from "@holdfast/model";
import {
  Cluster,
  type Host,
  Lab,
  type Peer,
  SERVICE_PORT,
  startClient,
  startServer,
} from "@holdfast/testkit";
import { GENUINE_PREFIX, MESSAGE_RATE, type Subject } from "./traffic.ts";

/** NAT ports toward one endpoint are finite; four give 30,000 INITs a second a port each for a second. */
const ENDPOINT_COUNT = 4;
const CLIENT = 0;
const FLOODER = 1;
const FLOODED_NETWORK = "path-a";

export async function openHoldfast(): Promise<Subject> {
  const cluster = new Cluster({ clients: [1, 1], endpoints: ENDPOINT_COUNT });
  try {
    const flooderHost = cluster.clients[FLOODER] as Host;
    const [member] = cluster.members;
    if (member === undefined) throw new Error("a cluster without a member");
    member.host.ip(`route replace ${GENUINE_PREFIX} via ${cluster.clientAddresses(FLOODER)[0]}`);
    const servers: Peer[] = [];
    for (const index of cluster.endpoints.keys())
      servers.push(await cluster.startEndpoint(index, { echo: false }));
    await cluster.start();
    const client = await cluster.startClient(CLIENT, { rate: MESSAGE_RATE, size: 200 });
    await client.established(1);
    return {
      name: "holdfast",
      client,
      servers,
      endpointHosts: cluster.endpoints,
      flooderHost,
      target: {
        network: FLOODED_NETWORK,
        mac: member.host.mac(FLOODED_NETWORK),
        vip: cluster.vips[0] as Address,
        port: SERVICE_PORT,
      },
      counters: async () => countersIn((await member.fetch("GET", "/v1/metrics")).body),
      close: () => cluster.close(),
    };
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/** Drops of both paths by reason, and the slow path's events. */
function countersIn(metrics: string): Map<string, number> {
  const counters = new Map<string, number>();
  const lines =
    /^holdfast_(fast|slow)_path_(dropped_packets|events)_total\{(?:reason|event)="([^"]+)"\} (\d+)/gm;
  for (const [, path, kind, name, value] of metrics.matchAll(lines)) {
    if (kind === "events" && path === "fast") continue;
    const key = kind === "events" ? `event ${name}` : `drop ${name}`;
    counters.set(key, (counters.get(key) ?? 0) + Number(value));
  }
  return counters;
}

const VIP = "203.0.113.1";
const CLIENT_ADDRESS = "198.18.1.10";
const FLOODER_ADDRESS = "198.18.1.11";
/** The router's address on the endpoints' side. */
const INSIDE = "198.19.200.1";

export async function openNftables(): Promise<Subject> {
  const lab = new Lab();
  try {
    for (const network of [FLOODED_NETWORK, "core"]) lab.network(network);
    const addresses = Array.from({ length: ENDPOINT_COUNT }, (_, i): Address => `198.19.0.${100 + i}`);
    const endpointHosts = addresses.map((address, i) => lab.host(`e${i + 1}`, { core: [`${address}/16`] }));
    const clientHost = lab.host("c1", { [FLOODED_NETWORK]: [`${CLIENT_ADDRESS}/18`] });
    const flooderHost = lab.host("c2", { [FLOODED_NETWORK]: [`${FLOODER_ADDRESS}/18`] });
    const router = lab.host("r1", {
      [FLOODED_NETWORK]: ["198.18.0.1/18", `${VIP}/32`],
      core: ["198.19.255.1/16", `${INSIDE}/32`],
    });
    for (const host of [clientHost, flooderHost]) host.onLink(VIP, FLOODED_NETWORK);
    router.ip(`route replace ${GENUINE_PREFIX} via ${FLOODER_ADDRESS}`);
    router.run("sysctl", ["-q", "-w", "net.ipv4.ip_forward=1"]);
    const map = addresses.map((address, i) => `${i} : ${address}`).join(", ");
    router.run(
      "nft",
      ["-f", "-"],
      `table ip nat {
        chain before {
          type nat hook prerouting priority dstnat;
          ip daddr ${VIP} sctp dport ${SERVICE_PORT} dnat to numgen inc mod ${ENDPOINT_COUNT} map { ${map} }
        }
        chain after {
          type nat hook postrouting priority srcnat;
          oifname core meta l4proto sctp snat to ${INSIDE}
        }
      }
      table ip drops {
        # What the table of connections has no room for must not reach the router's own stack.
        chain input {
          type filter hook input priority filter;
          meta l4proto sctp drop
        }
      }\n`,
    );
    const servers: Peer[] = [];
    for (const [i, host] of endpointHosts.entries())
      servers.push(await startServer(host, { local: [addresses[i] as Address], port: SERVICE_PORT }));
    const client = await startClient(clientHost, {
      local: [CLIENT_ADDRESS],
      port: 36_412,
      remote: VIP,
      remotePort: SERVICE_PORT,
      rate: MESSAGE_RATE,
      size: 200,
    });
    await client.established(1);
    return {
      name: "nftables",
      client,
      servers,
      endpointHosts,
      flooderHost,
      target: { network: FLOODED_NETWORK, mac: router.mac(FLOODED_NETWORK), vip: VIP, port: SERVICE_PORT },
      counters: async () => conntrackIn(router.run("cat", ["/proc/net/stat/nf_conntrack"])),
      close: () => lab.close(),
    };
  } catch (error) {
    await lab.close();
    throw error;
  }
}

/** The kernel's own counters: hexadecimal, a line for each processor below the names. */
function conntrackIn(text: string): Map<string, number> {
  const [names = [], ...lines] = text
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));
  const counters = new Map<string, number>();
  for (const name of ["insert_failed", "drop", "early_drop", "invalid"]) {
    const column = names.indexOf(name);
    const sum = lines.reduce((total, line) => total + Number.parseInt(line[column] ?? "0", 16), 0);
    counters.set(`drop ${name}`, sum);
  }
  return counters;
}
