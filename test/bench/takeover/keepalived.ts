// The same kill with what people use today: keepalived moves a VIP between two routers, nftables translates,
// conntrackd carries the connection table over. It knows nothing of SCTP's several addresses, so its client
// has one path.
//
// What to expect (Linux 6.18, conntrackd 1.4.7): the VIP moves in 0.2 s and the connections are in the
// successor's table, ESTABLISHED, but it counts every DATA as invalid; only HEARTBEATs, whose tags the kernel
// does not hold against them, pass. The associations end when the stacks give up.
import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type Host,
  Lab,
  monotonicMs,
  pause,
  startCapture,
  startClient,
  startServer,
  until,
} from "@holdfast/testkit";
import { wallMs } from "./kill.ts";

const VIP = "203.0.113.1";
/** The routers' common address on the endpoints' side: translation on both sides needs one. */
const INSIDE = "198.19.200.1";
const ENDPOINT = "198.19.0.100";
const PORT = 38412;
/** VRRP's advertisements, s: as often as Holdfast's probes. */
const ADVERTISEMENT_S = 0.05;
/** Long enough for the stacks to give up what does not come back. */
export const KEEPALIVED_OBSERVATION_MS = 8_000;
const BEFORE_MS = 300;
const PACKAGES = { keepalived: "keepalived", conntrackd: "conntrackd" };

export interface KeepalivedResult {
  /** Why there are no figures; undefined: there are. */
  readonly trouble: string | undefined;
  readonly firstForwarded: readonly number[];
  readonly clientGap: readonly number[];
  readonly associationsLost: number;
}

/** Says what it installs. undefined: all is there. */
function install(): string | undefined {
  const missing = Object.entries(PACKAGES).filter(([program]) => {
    try {
      execFileSync("which", [program], {
        stdio: "ignore",
        env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin` },
      });
      return false;
    } catch {
      return true;
    }
  });
  if (missing.length === 0) return undefined;
  const names = missing.map(([, name]) => name);
  console.error(`installing ${names.join(" and ")} from Debian for the comparison`);
  try {
    // RUNLEVEL=1: their services are not started.
    const env = { ...process.env, RUNLEVEL: "1", DEBIAN_FRONTEND: "noninteractive" };
    execFileSync("apt-get", ["install", "-y", "--no-install-recommends", ...names], { stdio: "ignore", env });
    return undefined;
  } catch (error) {
    return `${names.join(" and ")} could not be installed: ${(error as Error).message.split("\n")[0]}`;
  }
}

export async function measureKeepalived(
  kills: number,
  associations: number,
  rate: number,
): Promise<KeepalivedResult> {
  const failed = (trouble: string) => ({ trouble, firstForwarded: [], clientGap: [], associationsLost: 0 });
  const trouble = install();
  if (trouble !== undefined) return failed(trouble);
  const firstForwarded: number[] = [];
  const clientGap: number[] = [];
  let associationsLost = 0;
  for (let i = 0; i < kills; i++) {
    const one = await measureOnce(associations, rate);
    if (typeof one === "string") return failed(one);
    if (one.firstForwarded !== undefined) firstForwarded.push(one.firstForwarded);
    clientGap.push(one.clientGap);
    associationsLost += one.lost;
    console.error(`keepalived, kill ${i + 1} of ${kills}: ${JSON.stringify(one)}`);
  }
  return { trouble: undefined, firstForwarded, clientGap, associationsLost };
}

/** A lab, one kill. A string: why the association never came up. */
async function measureOnce(associations: number, rate: number) {
  const lab = new Lab();
  try {
    for (const network of ["path-a", "core", "cluster"]) lab.network(network);
    const endpoint = lab.host("e1", { core: [`${ENDPOINT}/16`] });
    const client = lab.host("c1", { "path-a": ["198.18.1.10/18"] });
    client.onLink(VIP, "path-a");
    const routers = [1, 2].map((n) =>
      lab.host(`k${n}`, {
        "path-a": [`198.18.0.${n}/18`],
        core: [`198.19.255.${n}/16`],
        cluster: [`10.8.0.${n}/24`],
      }),
    );
    for (const [index, router] of routers.entries()) setUp(lab, router, index);
    const master = routers[0] as Host;
    await until(
      "the master to have the VIP",
      () => master.run("ip", ["address"]).includes(`${VIP}/32`),
      10_000,
    );
    const server = await startServer(endpoint, { local: [ENDPOINT], port: PORT, echo: true });
    const sender = await startClient(client, {
      local: ["198.18.1.10"],
      port: 36412,
      remote: VIP,
      remotePort: PORT,
      associations,
      rate,
    });
    try {
      await sender.established(associations, 10_000);
    } catch {
      return "keepalived, nftables and conntrackd do not carry the association at all";
    }
    await pause(1_000);
    const macs = new Set(
      (JSON.parse(master.run("ip", ["-j", "link"])) as { address?: string }[]).flatMap(
        ({ address }) => address ?? [],
      ),
    );
    const core = await startCapture(lab, endpoint, "core", "ip proto 132");
    await pause(BEFORE_MS);
    const killedAtMs = wallMs();
    const before = monotonicMs();
    // Cables first: keepalived's child says goodbye when its parent dies, and a node without power does not.
    master.unplug();
    master.killProcesses();
    await pause(KEEPALIVED_OBSERVATION_MS);
    await core.stop();
    const packets = core.packets().filter(({ source }) => source === INSIDE);
    const first = packets.find(({ wallMs, sourceMac }) => wallMs >= killedAtMs && !macs.has(sourceMac));
    const arrivals = new Map<number, number[]>();
    for (const { wallMs, sctp } of packets) {
      if (sctp?.chunks.some(({ type }) => type === 0) !== true) continue;
      arrivals.set(sctp.sourcePort, [...(arrivals.get(sctp.sourcePort) ?? []), wallMs]);
    }
    const endMs = killedAtMs + (monotonicMs() - before);
    const gaps = [...arrivals.values()].map((times) =>
      [...times, endMs].reduce(
        (longest, time, index) => Math.max(longest, index === 0 ? 0 : time - (times[index - 1] as number)),
        0,
      ),
    );
    const figures = await sender.associations();
    await server.kill();
    return {
      firstForwarded: first === undefined ? undefined : first.wallMs - killedAtMs,
      clientGap: Math.max(...gaps),
      lost: figures.filter(({ up, lost, restarts }) => !up || lost + restarts > 0).length,
    };
  } finally {
    await lab.close();
  }
}

function setUp(lab: Lab, router: Host, index: number): void {
  const file = (name: string, text: string) => {
    const path = join(lab.directory, `${router.name}-${name}`);
    // keepalived skips configurations that are executable.
    writeFileSync(path, text, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
    return path;
  };
  const where = (name: string) => join(lab.directory, `${router.name}-${name}`);
  router.run("sysctl", ["-q", "-w", "net.ipv4.ip_forward=1", "net.netfilter.nf_conntrack_checksum=0"]);
  // A VIP's ARP is answered by the kernel that has the address; the lab's strict settings would not mind.
  router.run(
    "nft",
    ["-f", "-"],
    `table ip nat {
      chain before {
        type nat hook prerouting priority dstnat;
        ip daddr ${VIP} sctp dport ${PORT} dnat to ${ENDPOINT}
      }
      chain after {
        type nat hook postrouting priority srcnat;
        ip daddr ${ENDPOINT} meta l4proto sctp snat to ${INSIDE}
      }
    }
    table ip drops {
      # Until it has taken the table over, a router must not answer for its own stack.
      chain input {
        type filter hook input priority filter;
        meta l4proto sctp drop
      }
    }\n`,
  );
  const conntrackd = file(
    "conntrackd.conf",
    `Sync {
      Mode FTFW { }
      UDP {
        IPv4_address 10.8.0.${index + 1}
        IPv4_Destination_Address 10.8.0.${2 - index}
        Port 3780
        Interface cluster
        Checksum on
      }
    }
    General {
      HashSize 4096
      HashLimit 65536
      LogFile ${where("conntrackd.log")}
      LockFile ${where("conntrackd.lock")}
      UNIX { Path ${where("conntrackd.sock")} }
      Filter From Userspace { Protocol Accept { SCTP } }
    }\n`,
  );
  const master = file(
    "master.sh",
    `#!/bin/sh\nfor what in -c -f -R -B; do conntrackd -C ${conntrackd} $what; done\n`,
  );
  const backup = file(
    "backup.sh",
    `#!/bin/sh\nfor what in -t -n; do conntrackd -C ${conntrackd} $what; done\n`,
  );
  const keepalived = file(
    "keepalived.conf",
    `global_defs {
      vrrp_version 3
      script_user root
      vrrp_garp_master_refresh 0
    }
    vrrp_instance service {
      state ${index === 0 ? "MASTER" : "BACKUP"}
      interface path-a
      virtual_router_id 51
      priority ${index === 0 ? 200 : 100}
      advert_int ${ADVERTISEMENT_S}
      virtual_ipaddress {
        ${VIP}/32 dev path-a
        ${INSIDE}/32 dev core
      }
      notify_master ${master}
      notify_backup ${backup}
    }\n`,
  );
  router.spawn("conntrackd", ["-C", conntrackd], { stdio: "ignore" });
  const pids = ["-p", where("keepalived.pid"), "-r", where("vrrp.pid")];
  const log = openSync(where("keepalived.log"), "w");
  router.spawn("keepalived", ["-n", "-P", "-l", "-D", "-f", keepalived, ...pids], {
    stdio: ["ignore", log, log],
  });
  closeSync(log);
}
